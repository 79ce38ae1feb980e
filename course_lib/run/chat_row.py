"""One row of a reader's file: turned into the messages of a chat, or refused with the place and the reason."""

import codecs
import json
import math
from functools import lru_cache
from typing import Any, Literal, NotRequired

import pydantic
from typing_extensions import TypedDict

LIMIT = 1_000_000  # bytes in one row
STRICT = pydantic.ConfigDict(extra="allow", strict=True)


class Message(TypedDict):
    __pydantic_config__ = STRICT
    role: Literal["system", "user", "assistant"]
    content: str


class Record(TypedDict):
    __pydantic_config__ = STRICT
    messages: NotRequired[list[Message]]


RECORD = pydantic.TypeAdapter(Record)
OBJECT = pydantic.TypeAdapter(dict[str, Any], config=pydantic.ConfigDict(strict=True))
NEEDS = "messages, or prompt and completion"


class Fault(Exception):
    """Why one row cannot be used: `kind` (for the counts), `path` (dotted place in the row) and `reason`."""

    def __init__(self, kind: str, path: str, reason: str):
        super().__init__(kind, path, reason)
        self.kind, self.path, self.reason = kind, path, reason


def from_json(line: bytes, adapter: pydantic.TypeAdapter = RECORD, needs: str = NEEDS) -> dict:
    """The object on one line of JSON, types checked as far as `adapter` does. Raises Fault."""
    if len(line) > LIMIT:
        raise too_long(line)
    try:
        return adapter.validate_json(line)
    except pydantic.ValidationError as error:
        if line.startswith(codecs.BOM_UTF8):
            reason = "starts with a byte order mark; was the file joined from several?"
            raise Fault("byte order mark", "", reason) from None
        _check_utf8(line)
        if b"\0" in line:
            reason = f"byte {line.index(0) + 1} is a NUL character; remove it"
            raise Fault("NUL character", "", reason) from None
        raise type_fault(error, needs=needs) from None


def from_table(record: dict, raw: bytes, adapter: pydantic.TypeAdapter = RECORD, needs: str = NEEDS) -> dict:
    """The row of a table, types checked as far as `adapter` does; `raw` is how it stood in the file. Raises Fault."""
    if len(raw) > LIMIT:
        raise too_long(raw)
    _check_utf8(raw)
    try:
        return adapter.validate_python(record)
    except pydantic.ValidationError as error:
        raise type_fault(error, needs=needs) from None


def to_messages(record: dict) -> tuple[list[dict], list[str]]:
    """The messages of a checked row, and the keys in it that a chat has no use for. Raises Fault."""
    extra, paths = [], None
    if "messages" in record:
        messages = record["messages"]
        if len(record) > 1:
            extra = [key for key in record if key != "messages"]
    elif "prompt" in record or "completion" in record:
        paths = ("prompt", "completion")
        messages = [
            {"role": role, "content": record.get(key)} for role, key in zip(("user", "assistant"), paths, strict=True)
        ]
        extra = [key for key in record if key not in paths]
    else:
        raise Fault("missing key", "messages", f"is missing; a row needs {NEEDS}")
    for key in extra:
        check_finite(record[key], key)
    for i, message in enumerate(messages):
        content = message["content"]
        if not isinstance(content, str) or not content or content.isspace() or "\0" in content:
            path = paths[i] if paths else f"messages.{i}.content"
            if paths and path not in record:
                raise Fault("missing key", path, "is missing; a row needs both prompt and completion")
            raise content_fault(content, path)
        if len(message) > 2:
            check_finite(message, f"messages.{i}")
            extra += [f"messages.{key}" for key in message if key not in ("role", "content")]
            messages[i] = {"role": message["role"], "content": content}
    if fault := order_fault(tuple([message["role"] for message in messages])):
        raise Fault(*fault)
    return messages, extra


def too_long(raw: bytes) -> Fault:
    return Fault("line too long", "", f"line is {len(raw) / 1e6:.1f} MB; the limit is {LIMIT / 1e6:.0f} MB")


def quote(value: object) -> str:
    """At most 60 characters of a value, with nothing in it that could move a cursor."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _check_utf8(raw: bytes) -> None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault("not UTF-8", "", f"byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None


def check_finite(value: object, path: str) -> None:
    """Raise Fault for NaN or Infinity anywhere in a value that is left out."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise Fault("NaN", path, "holds NaN or Infinity, which JSON does not have; use null") from None


def type_fault(error: pydantic.ValidationError, place: tuple[str, ...] = (), needs: str = NEEDS) -> Fault:
    """What pydantic found first, in words; `place` is where the checked value stands in its row."""
    first = error.errors(include_url=False)[0]
    path, value = ".".join(map(str, (*place, *first["loc"]))), first["input"]
    if first["type"] == "json_invalid":
        return Fault("broken JSON", "", "is not JSON: " + first["ctx"]["error"].replace("line 1 ", ""))
    if first["type"] == "missing":
        return Fault("missing key", path, "is missing")
    if isinstance(value, float) and not math.isfinite(value):
        return Fault("NaN", path, "is NaN or Infinity; must be text")
    if first["type"] == "literal_error":
        return Fault("bad role", path, f"is {quote(value)}; must be system, user or assistant")
    if not path:
        return Fault("no object", "", f"is {_kind(value)}; must be an object with {needs}")
    wanted = {"list_type": "a list of messages", "string_type": "text"}.get(first["type"], "an object")
    return Fault("wrong type", path, f"is {_kind(value)}; must be {wanted}")


def check_content(content: object, path: str) -> None:
    """Raise Fault unless this is a text with something in it."""
    if not isinstance(content, str) or not content or content.isspace() or "\0" in content:
        raise content_fault(content, path)


def content_fault(content: object, path: str) -> Fault:
    """Why this is no text with something in it."""
    if not isinstance(content, str):
        return Fault("wrong type", path, f"is {_kind(content)}; must be text")
    if "\0" in content:
        return Fault("NUL character", path, f"character {content.index(chr(0)) + 1} is a NUL character; remove it")
    return Fault("empty text", path, "is only white space" if content else "is empty")


@lru_cache(1024)
def order_fault(roles: tuple[str, ...], path: str = "messages") -> tuple[str, str, str] | None:
    """What breaks the order "system (or not), then user and assistant in turn", as (kind, path, reason)."""
    start = int(roles[:1] == ("system",))
    for i, role in enumerate(roles[start:], start):
        if role != ("user", "assistant")[(i - start) % 2]:
            if role == "system":
                return "bad order", f"{path}.{i}.role", "is system; only the first message may be"
            if i == start:
                return "bad order", f"{path}.{i}.role", "is assistant; a user message must come first"
            return "repeated role", f"{path}.{i}.role", f"is {role} twice in a row; user and assistant take turns"
    if len(roles) == start:
        return "no answer", path, "has no user and assistant message"
    if roles[-1] == "user":
        return "no answer", f"{path}.{len(roles) - 1}.role", "is user; the last message must be the assistant's"
    return None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
