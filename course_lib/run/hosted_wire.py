"""Requests to a fine-tuning service through the `openai` client, and its failures as plain sentences without the key.

The paths are those of the services' public pages and clients; the services themselves were never tried from here, only a
stand-in server that speaks the protocol (tests/hosted_stand_in.py).
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from course_lib.errors import CourseError
from course_lib.said import clip

JOBS = {"openai": "/fine_tuning/jobs", "together": "/fine-tunes"}
UPLOAD = {"openai": "/files", "together": "/files/upload"}
LOCAL = ("localhost", "127.0.0.1", "::1")
ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")  # ids go into addresses and files


class Refused(CourseError):
    """The service said no, or cannot be asked: nothing was done. retry_after: seconds that it asks to wait, None if it does not."""

    def __init__(self, words: str, retry_after: float | None = None):
        super().__init__(words)
        self.retry_after = retry_after


class Unclear(CourseError):
    """No clear answer: what was asked for may have been done or not. answered: whether the service said so itself (5xx)."""

    def __init__(self, words: str, answered: bool = False):
        super().__init__(words)
        self.answered = answered


@dataclass(frozen=True)
class Wire:
    """One service. The key is read from the environment for each request and kept nowhere.

    tries: how often a request is sent at most. timeout_s: seconds that one request may take.
    """

    base_url: str
    provider: str
    api_key_env: str
    tries: int
    timeout_s: float

    def __post_init__(self):
        try:
            parts = urlsplit(self.base_url)
        except ValueError:
            parts = urlsplit("")
        if self.provider not in JOBS:
            raise CourseError(f"provider is {clip(str(self.provider), 60)!r}: choose one of {', '.join(JOBS)}.")
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise CourseError("base_url is no web address: give one such as https://api.openai.com/v1.")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise CourseError(
                f"base_url holds more than an address: leave names and keys out, and set {self.api_key_env} to the key."
            )
        if parts.scheme == "http" and parts.hostname not in LOCAL:
            raise CourseError(f"http:// would send the key in the clear: give https://{parts.hostname} as base_url.")
        if self.tries < 1 or self.timeout_s <= 0:
            raise CourseError("tries must be 1 or more, and timeout_s above 0.")

    @property
    def host(self) -> str:
        """The service's name in sentences."""
        return urlsplit(self.base_url).hostname

    def get(self, path: str, about: str, **query) -> dict:
        """Answer to a GET, sent again after 429, 5xx and lost connections. Raises CourseError."""
        return self._ask("get", path, about, self.tries, options={"params": query})

    def list(self, path: str, about: str, **query) -> tuple[list[dict], bool]:
        """The objects of a list, and whether there are more. Raises CourseError; Unclear for an answer that is no list."""
        answer = self.get(path, about, **query)
        if not isinstance(answer.get("data"), list):
            raise Unclear(
                f"{self.host} did not answer with {about}: check that base_url is the address of the service."
            )
        return [row for row in answer["data"] if isinstance(row, dict)], bool(answer.get("has_more"))

    def post(self, path: str, about: str, body: dict | None = None, once: bool = False) -> dict:
        """Answer to a POST; `once`: never sent again, whatever happens. Raises CourseError."""
        return self._ask("post", path, about, 1 if once else self.tries, body=body or {})

    def upload(self, file: Path) -> str:
        """Id of an uploaded training file. Raises CourseError."""
        form = {"purpose": "fine-tune", **({"file_name": file.name} if self.provider == "together" else {})}
        answer = self._ask(
            "post",
            UPLOAD[self.provider],
            f"the file {file.name}",
            self.tries,
            body=form,
            files=[("file", (file.name, file.read_bytes(), "application/jsonl"))],
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )
        return self.id_of(answer)

    def id_of(self, answer: dict) -> str:
        """The `id` of an answer. Raises Unclear when it has none."""
        found = answer.get("id")
        if not isinstance(found, str) or not ID.fullmatch(found) or not found.strip("."):
            raise Unclear(f"{self.host} answered without an id: check that base_url is the address of the service.")
        return found

    def _ask(self, method: str, path: str, about: str, tries: int, **more) -> dict:
        answer, trouble = self._send(method, path, about, tries, **more)
        if trouble:  # raised here, where neither the request nor a frame that knows the key hangs on to it
            raise trouble
        return answer

    def _send(self, method: str, path: str, about: str, tries: int, **more) -> tuple[dict, CourseError | None]:
        try:
            openai, key = _openai(), self._key()
        except CourseError as trouble:
            return {}, trouble
        try:
            with openai.OpenAI(
                api_key=key, base_url=self.base_url, max_retries=tries - 1, timeout=self.timeout_s
            ) as client:
                answer = getattr(client, method)(path, cast_to=object, **more)
            if isinstance(answer, dict):
                return answer, None
            words = "did not answer in JSON: check that base_url is the address of the service."
        except openai.APIStatusError as error:
            return {}, self._status(error, about, key)
        except openai.APITimeoutError:
            words = f"did not answer about {about} within {self.timeout_s:g} s: try again later."
        except openai.APIConnectionError as error:
            cause = clip(tidy(str(error.__cause__ or error)).replace(key, "[key]"), 100)
            words = f"could not be reached ({cause}): check the network and base_url, then try again."
        except (openai.OpenAIError, ValueError, RecursionError):  # a body that is no JSON, or nested too deep
            words = "gave an answer that cannot be read: check base_url, then try again."
        return {}, Unclear(f"{self.host} {words}")

    def _status(self, error, about: str, key: str) -> CourseError:
        code, said = error.status_code, self._said(error, key)
        if code == 401:
            return Refused(
                f"{self.host} does not accept the key in {self.api_key_env} (401): set {self.api_key_env} to a key that is valid there."
            )
        if code == 404:
            return Refused(f"{self.host} does not know {about} (404): check the name and base_url. It says: {said}")
        sent = "once" if self.tries == 1 else f"up to {self.tries} times"
        if code == 429:
            wait = _seconds(error.response.headers.get("retry-after"))
            when = f"in {wait:g} s" if wait else "later"
            return Refused(
                f"{self.host} asks to wait, or its credit is used up (429, asked {sent}): try again {when}. It says: {said}",
                wait or 0,
            )
        if code >= 500 or code in (408, 409):
            return Unclear(
                f"{self.host} has trouble of its own ({code}, asked {sent}): try again later. It says: {said}", True
            )
        return Refused(f"{self.host} refuses {about} ({code}): mend what it names, then try again. It says: {said}")

    def _said(self, error, key: str) -> str:
        """The service's own message, short, on one line."""
        body = error.body
        if isinstance(body, dict):
            body = body.get("message") or body.get("error") or body
        text = body if isinstance(body, str) else json.dumps(body, default=str)
        return clip(tidy(text.replace(key, "[key]")[:2000]), 300)

    def _key(self) -> str:
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise Refused(
                f"There is no key in the environment variable {self.api_key_env}: set it to your key of {self.host}, "
                "outside of the notebook so that it is not saved there."
            )
        if not all("!" <= character <= "~" for character in key):
            raise Refused(
                f"What {self.api_key_env} holds is no key (it has spaces or special characters): copy the key again."
            )
        return key


def tidy(text: str) -> str:
    """Text of a stranger on one line, with nothing in it that moves a cursor or cannot be written."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _openai():
    try:
        import openai
    except ImportError:
        raise CourseError(
            'The package openai is missing: run pip install "course-lib[hosted]", then start the kernel again.'
        ) from None
    return openai


def _seconds(header: str | None) -> float | None:
    try:
        wait = float(header or "")
    except ValueError:
        return None
    return wait if 0 <= wait < float("inf") else None
