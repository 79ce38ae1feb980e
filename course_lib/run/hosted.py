"""Fine-tuning at a service: submit files, follow the job, call the model, and never pay twice for the same files.

A job is paid for from the moment it is made, so three things are written into the folder of the files as they come to be
known: the ids of the uploaded files, then the id of the job. A kernel that dies in between leaves the first; the next
`submit` or `Hosted.job` then asks the service for its jobs and finds the one that has these files.

Spoken: OpenAI's protocol and Together's (its own paths, the same files). Neither service was ever tried from here, only a
stand-in server. By its own pages, OpenAI is winding its fine-tuning down and takes no new users for it.
"""

import json
import time
from pathlib import Path

from filelock import FileLock, Timeout

from course_lib.errors import CourseError
from course_lib.run.hosted_files import HostedFiles, check_file
from course_lib.run.hosted_job import Job
from course_lib.run.hosted_record import RECORD, digest_of, keep, read
from course_lib.run.hosted_request import check_names, request
from course_lib.run.hosted_wire import JOBS, Refused, Unclear, Wire
from course_lib.said import clip, say

PAGES = 20  # of 100 jobs each, newest first, that are searched


class Hosted:
    """A fine-tuning service.

    Args:
        base_url: address of its API. Together's is https://api.together.xyz/v1, with provider "together".
        api_key_env: environment variable that holds the key; it is read for each request, and never kept or shown.
        provider: whose protocol it speaks, "openai" or "together".
        tries: how often a request is sent at most, when the service is busy, in trouble or out of reach.
        timeout_s: seconds that one request may take.
        longest_wait_s: seconds; the most that one wait between two tries to make a job lasts.

    Raises:
        CourseError: an address that is none or would send the key in the clear, or an unknown provider.
    """

    def __init__(
        self,
        base_url: str = "https://api.openai.com/v1",
        api_key_env: str = "OPENAI_API_KEY",
        *,
        provider: str = "openai",
        tries: int = 4,
        timeout_s: float = 60,
        longest_wait_s: float = 60,
    ):
        self.wire = Wire(str(base_url).rstrip("/"), provider, api_key_env, tries, timeout_s)
        self.longest_wait_s = longest_wait_s

    def __repr__(self) -> str:
        return f"Hosted({self.wire.base_url!r}, api_key_env={self.wire.api_key_env!r})"

    def submit(
        self,
        files: HostedFiles,
        model: str,
        epochs: int,
        suffix: str | None = None,
        seed: int | None = None,
        again: bool = False,
        beta: float | None = None,
        tuned: bool = False,
    ) -> Job:
        """Check and upload the files and make a job, which the service charges for: DPO where the files hold preference pairs.

        Args:
            model: the service's name of a model that it fine-tunes.
            epochs: passes over the training rows, 1 or more.
            suffix: becomes part of the new model's name.
            seed: of the training, OpenAI only.
            again: make a job, and pay, although these files were submitted before.
            beta: of DPO, how strongly the model holds to where it started; None = the service's default. Pairs only.
            tuned: `model` came out of an earlier job there, and this one goes on from it.

        Raises:
            CourseError: a fault in a file (nothing is uploaded), files submitted before, another submit in this folder under
                way, or the service's refusal or trouble. After trouble, submit again: it looks for the job before making one.
        """
        asked = request(files, self.wire.provider, model, epochs, suffix=suffix, seed=seed, beta=beta, tuned=tuned)
        for file, training in ((files.train, True), (files.validation, False)):
            if file and (faults := check_file(file, self.wire.provider, training=training, form=files.form)):
                raise CourseError(f"Nothing was uploaded, as {len(faults)} faults were found; the first: {faults[0]}")
        try:
            with FileLock(files.folder / ".hosted.lock", timeout=0):
                return self._submit(files, again, asked)
        except Timeout:
            raise CourseError(f"Another submit is under way in {files.folder}: wait until it has ended.") from None
        except OSError as error:
            raise CourseError(
                f"{files.folder} cannot be used ({error.strerror}): write the files anew elsewhere."
            ) from None

    def job(self, folder: str | Path) -> Job:
        """The job whose files lie in a folder, found again by what `submit` wrote there.

        Raises:
            CourseError: no job was submitted from there, it belongs to another service, or the service cannot be asked.
        """
        folder = Path(folder).expanduser()
        record = read(folder)
        if record is None:
            raise CourseError(f"No job was submitted from {folder}: give the folder of the files that were submitted.")
        self._check_service(record, folder)
        if record["job"] is None:
            found = self._find(record["training_file"])
            if found is None:
                raise CourseError(
                    f"Files of {folder} were uploaded, but {self.wire.host} has no job with them: submit them again."
                )
            keep(folder, record | {"job": found})
            return Job(self.wire, folder, found)
        return Job(self.wire, folder, record["job"])

    def answer(self, model: str, messages: str | list[dict]) -> str:
        """What a model of the service answers to a chat, or to one message of the user; each call is charged.

        Raises:
            CourseError: text that is not valid Unicode, a model that is not known, an answer without text, or as always.
        """
        check_names(model)
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        try:
            json.dumps(messages, ensure_ascii=False).encode("utf-8")
        except (UnicodeEncodeError, TypeError, ValueError):
            raise CourseError("messages cannot be sent: each needs a role and a content that is valid text.") from None
        about = f"the model {clip(model, 80)}"
        answer = self.wire.post("/chat/completions", about, {"model": model, "messages": messages})
        try:
            text = answer["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str):
            raise CourseError(f"{self.wire.host} answered without text: ask in other words, or check the model's name.")
        return text

    def _submit(self, files: HostedFiles, again: bool, asked: dict) -> Job:
        folder, digest, record = files.folder, digest_of(files), read(files.folder)
        earlier = [*record["earlier"], record["job"] or record["training_file"]] if record else []
        if record is None or again or record["digest"] != digest:
            record = {
                "base_url": self.wire.base_url,
                "provider": self.wire.provider,
                "digest": digest,
                "training_file": self.wire.upload(files.train),
                "validation_file": self.wire.upload(files.validation) if files.validation else None,
                "job": None,
                "earlier": earlier,
            }
            keep(folder, record)
        elif record["job"]:
            raise CourseError(
                f"These files were submitted before, as job {record['job']}: go on with Hosted(...).job({str(folder)!r}), "
                "or pass again=True to pay for another."
            )
        else:
            self._check_service(record, folder)
            if found := self._find(record["training_file"]):
                say(
                    f"An earlier submit had made job {found} before it was cut off: it is taken up, and no other is paid for."
                )
                keep(folder, record | {"job": found})
                return Job(self.wire, folder, found)
        made = self._make(asked | {name: record[name] for name in ("training_file", "validation_file") if record[name]})
        keep(folder, record | {"job": made})
        say(f"{self.wire.host} has taken the job {made}; its id is in {folder / RECORD}.")
        return Job(self.wire, folder, made)

    def _make(self, body: dict) -> str:
        """Id of a new job. A request is sent again only when it is known that the one before made none."""
        path, about = (
            JOBS[self.wire.provider],
            f"the job or the model {clip(body.get('model') or body['from_checkpoint'], 80)}",
        )
        sent = 0
        while True:
            pause, sent = 0.5 * 2**sent, sent + 1
            try:
                return self.wire.id_of(self.wire.post(path, about, body, once=True))
            except Refused as refused:
                if refused.retry_after is None or sent == self.wire.tries:
                    raise
                pause = refused.retry_after or pause
            except Unclear as unclear:
                if found := self._find(body["training_file"]):
                    return found
                if not unclear.answered or sent == self.wire.tries:
                    raise CourseError(
                        f"{unclear} The service lists no job with these files yet: submit again in some minutes, "
                        "which looks for the job before it makes one."
                    ) from None
            time.sleep(min(pause, self.longest_wait_s))

    def _find(self, training_file: str) -> str | None:
        """Id of the newest job that has this training file."""
        query = {"limit": 100} if self.wire.provider == "openai" else {}
        for _ in range(PAGES):
            jobs, more = self.wire.list(JOBS[self.wire.provider], "the list of jobs", **query)
            for job in jobs:
                if job.get("training_file") == training_file:
                    return self.wire.id_of(job)
            if not more or not jobs:
                return None
            query["after"] = self.wire.id_of(jobs[-1])
        raise CourseError(f"{self.wire.host} lists more jobs than can be searched: look for yours on its own page.")

    def _check_service(self, record: dict, folder: Path) -> None:
        if record["base_url"] != self.wire.base_url:
            raise CourseError(
                f"The files of {folder} were sent to {record['base_url']}: ask Hosted({record['base_url']!r}, ...) for their job."
            )
