"""The reader's own file, read strictly: each row is kept as a chat, or rejected with its place and the reason."""

import base64
import codecs
import csv
import gc
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic_core import to_json

from course_lib.errors import CourseError
from course_lib.run.chat_row import Fault, from_json, from_table, quote, to_messages

SHOWN = 20  # rejects in the report
FORMATS = ".jsonl, .ndjson, .json (one object a line), .csv or .parquet"

Found = Iterator[tuple[int, bytes, dict | Fault | None]]  # line, raw bytes, row; None stands for a blank line


@dataclass(frozen=True)
class Reject:
    """A row that was left out. `line` is the physical line where it starts (Parquet: the row), counted from 1."""

    file: str
    line: int
    path: str
    reason: str
    kind: str
    raw: bytes = field(repr=False)


@dataclass(frozen=True)
class Rows:
    """What `read` found: good `rows` in file order, `rejects`, and the counts that `report` prints."""

    path: Path
    rows: list[dict]
    rejects: list[Reject]
    blank: int  # lines that hold nothing; skipped
    duplicates: int  # rows equal to an earlier one; kept
    ignored: Counter  # key that a chat has no use for -> rows or messages that have it

    def place(self, reject: Reject) -> str:
        """Where a reject stands: "file.jsonl:537 messages.2.role", or "file.parquet row 537 messages.2.role"."""
        mark = " row " if self.path.suffix.lower() == ".parquet" else ":"
        return f"{reject.file}{mark}{reject.line} {reject.path}".rstrip()

    def report(self) -> str:
        """Counts by kind and the first 20 rejects, one a line; quotes at most 60 characters of any row."""
        lines = [f"{self.path.name}: {len(self.rows):,} rows kept, {len(self.rejects):,} rejected"]
        if self.blank:
            lines.append(f"blank lines, skipped: {self.blank:,}")
        if self.duplicates:
            lines.append(f"exact duplicates, kept: {self.duplicates:,}")
        if self.ignored:
            keys = [f"{quote(key)} ({n:,})" for key, n in self.ignored.most_common(SHOWN)]
            lines.append("keys not used: " + ", ".join(keys))
        kinds = Counter(reject.kind for reject in self.rejects)
        lines += [f"rejected, {kind}: {n:,}" for kind, n in kinds.most_common()]
        lines += [f"{self.place(reject)}: {reject.reason}" for reject in self.rejects[:SHOWN]]
        if len(self.rejects) > SHOWN:
            lines.append(f"... and {len(self.rejects) - SHOWN:,} more")
        return "\n".join(lines)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Passes over rows that are all still needed would take a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_no_garbage_collection()
def read(path: str | os.PathLike) -> Rows:
    """Every row of a .jsonl, .ndjson, .json (one object a line), .csv or .parquet file, kept or rejected.

    A row has `messages` (at most one system message, first; then user and assistant in turn, the assistant last), or
    `prompt` and `completion`, which become messages. Other keys are counted and left out, equal rows counted and kept.

    Raises CourseError when the file as a whole cannot be read; a bad row is a `Reject`, never an error. Why so strict:
    `datasets.load_dataset("json")` loads integer contents, unknown roles and empty texts without a word (see the test).
    """
    path = Path(path)
    rows, rejects, blank, seen, ignored = [], [], 0, set(), Counter()
    for line, raw, record in _found(path):
        if record is None:
            blank += 1
            continue
        try:
            if isinstance(record, Fault):
                raise record
            messages, extra = to_messages(record)
        except Fault as fault:
            rejects.append(Reject(path.name, line, fault.path, fault.reason, fault.kind, raw))
            continue
        rows.append({"messages": messages})
        seen.add(tuple([m["content"] for m in messages]))  # contents fix the roles: an odd count starts with system
        if extra:
            ignored.update(extra)
    return Rows(path, rows, rejects, blank, len(rows) - len(seen), ignored)


def write_rejects(rows: Rows, path: str | os.PathLike | None = None) -> Path:
    """Write the rejects as JSON lines (file, line, path, reason, raw); default: <file>.rejects.jsonl beside the file.

    `raw` is the row as it stood; where its bytes are not UTF-8, `raw_base64` instead. Raises CourseError when the
    folder cannot be written.
    """
    target = Path(path) if path else rows.path.with_name(rows.path.name + ".rejects.jsonl")
    half = target.with_name(target.name + ".tmp")
    try:
        with half.open("w", encoding="utf-8") as out:
            for reject in rows.rejects:
                record = {"file": reject.file, "line": reject.line, "path": reject.path, "reason": reject.reason}
                try:
                    record["raw"] = reject.raw.decode("utf-8")
                except UnicodeDecodeError:
                    record["raw_base64"] = base64.b64encode(reject.raw).decode("ascii")
                out.write(json.dumps(record) + "\n")
        os.replace(half, target)
    except OSError as error:
        raise CourseError(
            f"The rejected rows could not be written to {target} ({error.strerror}); "
            "give write_rejects a path in a folder that you may write."
        ) from error
    return target


def _found(path: Path) -> Found:
    readers = {".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _jsonl, ".csv": _csv}
    suffix = path.suffix.lower()
    if path.is_dir():
        raise CourseError(f"{path} is a folder; give the path of one {FORMATS} file.")
    if not path.exists():
        raise CourseError(f"There is no file {path}; check the path.")
    if suffix not in readers and suffix != ".parquet":
        raise CourseError(f"{path.name} has the suffix {suffix!r}; save it as {FORMATS}.")
    try:
        if path.stat().st_size == 0:
            raise CourseError(f"{path.name} is empty; put one example on each line.")
        if suffix == ".parquet":
            return _parquet(path)
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise CourseError(f"{path.name} could not be read ({error.strerror}); check its permissions.") from error
    head = data[:8192]
    if sum(byte < 32 and byte not in b"\t\n\r" for byte in head) > len(head) / 20:
        raise CourseError(f"{path.name} is not UTF-8 text but binary or UTF-16; save it as {FORMATS} in UTF-8.")
    if not data.strip():
        raise CourseError(f"{path.name} holds only blank lines; put one example on each line.")
    if suffix == ".json" and data.lstrip().startswith(b"["):
        raise CourseError(f"{path.name} is one JSON list; write each of its items on a line of its own (JSON Lines).")
    return readers[suffix](path, data)


def _jsonl(path: Path, data: bytes) -> Found:
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        try:
            yield number, line, from_json(line) if line.strip() else None
        except Fault as fault:
            yield number, line, fault


def _csv(path: Path, data: bytes) -> Found:
    taken: list[str] = []  # the physical lines of the record at hand

    def lines() -> Iterator[str]:
        for line in io.StringIO(data.decode("utf-8", "surrogateescape"), newline="\n"):
            taken.append(line)
            yield line

    csv.field_size_limit(2**31 - 1)  # a long row is a reject; the module's own limit would cut it in two
    reader = csv.reader(lines(), strict=True)  # strict: an open quote must not swallow later rows in silence
    header = data.split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    try:
        names = next(reader)
    except csv.Error:
        names = []
    if not {"prompt", "completion"} <= set(names):
        raise CourseError(f"{path.name} needs the columns prompt and completion; its first line is {quote(header)}.")
    while True:
        taken.clear()
        start, fault, fields = reader.line_num + 1, None, []
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = Fault("broken CSV", "", f"is not CSV: {error}")
        raw = "".join(taken).encode("utf-8", "surrogateescape")
        if fields and len(fields) != len(names):
            fault = Fault("broken CSV", "", f"has {len(fields)} fields; the first line names {len(names)}")
        try:
            record = from_table(dict(zip(names, fields, strict=False)), raw) if fields else None
        except Fault as error:
            fault = error
        yield start, raw, fault or record


def _parquet(path: Path) -> Found:
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        file = parquet.ParquetFile(path)
        names = set(file.schema_arrow.names)
        used = {"messages"} & names or {"prompt", "completion"}
        if not used <= names:
            found = quote(", ".join(sorted(names)))
            raise CourseError(f"{path.name} needs a column messages, or prompt and completion; it has {found}.")
        unused = dict.fromkeys(names - used)
        for batch in file.iter_batches(1000, columns=sorted(used)):
            for i, record in enumerate(_records(batch)):
                number += 1
                if record is None:
                    raw = batch.slice(i, 1).serialize().to_pybytes()
                    yield number, raw, Fault("not UTF-8", "", "holds text that is not UTF-8")
                    continue
                raw = to_json(record, fallback=repr, bytes_mode="base64")
                try:
                    yield number, raw, from_table(record | unused, raw)
                except Fault as fault:
                    yield number, raw, fault
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CourseError(f"{path.name} is damaged or no Parquet file; write or download it again.") from error


def _records(batch) -> list[dict | None]:
    """The rows of a record batch; None for one whose text is not UTF-8."""
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        if len(batch) == 1:
            return [None]
        return [record for i in range(len(batch)) for record in _records(batch.slice(i, 1))]
