"""The reader's own file, read strictly: each row is kept in its one form, or rejected with its place and the reason."""

import base64
import gc
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.run.chat_row import Fault, quote
from course_lib.run.forms import FORMS, FormName
from course_lib.run.row_files import form_of, records, wrong_form

SHOWN = 20  # rejects in the report


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
    ignored: Counter  # key that the form has no use for -> rows or messages that have it
    lines: list[int]  # where each good row starts, as `Reject.line`

    def where(self, line: int) -> str:
        """A line as it is named: "file.jsonl:537", or "file.parquet row 537"."""
        return f"{self.path.name}{' row ' if self.path.suffix.lower() == '.parquet' else ':'}{line}"

    def place(self, reject: Reject) -> str:
        """Where a reject stands: "file.jsonl:537 messages.2.role", or "file.parquet row 537 messages.2.role"."""
        return f"{self.where(reject.line)} {reject.path}".rstrip()

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
def read(path: str | os.PathLike, form: FormName | None = None) -> Rows:
    """Every row of a .jsonl, .ndjson, .json (one object a line), .csv or .parquet file, kept or rejected.

    form: what the rows have to be. Other keys are counted and left out, equal rows counted and kept.
        "chat": `messages` (at most one system message, first; then user and assistant in turn, the assistant last), or
            `prompt` and `completion`, which become messages.
        "pair": `prompt`, `chosen` and `rejected`, each a text or a list of messages, which they become.
        "plain": `text`; or a .txt or .md file, whose paragraphs are joined to rows of at least 150 characters.
        None: as "chat", and rows of another form are rejected one by one.

    Raises CourseError when the file as a whole cannot be read, or holds another form than the one that is asked for; a
    bad row is a `Reject`, never an error. Why so strict:
    `datasets.load_dataset("json")` loads integer contents, unknown roles and empty texts without a word (see the test).
    """
    path = Path(path)
    rows, lines, rejects, blank, seen, ignored = [], [], [], 0, set(), Counter()
    wanted = FORMS[form or "chat"]
    if form and (other := form_of(path)) not in (form, None):
        raise wrong_form(path.name, other, form)
    for line, raw, record in records(path, form or "chat"):
        if record is None:
            blank += 1
            continue
        try:
            if isinstance(record, Fault):
                raise record
            row, extra = wanted.to_row(record)
        except Fault as fault:
            rejects.append(Reject(path.name, line, fault.path, fault.reason, fault.kind, raw))
            continue
        rows.append(row)
        lines.append(line)
        seen.add(wanted.contents(row))  # contents fix the roles: an odd count starts with system
        if extra:
            ignored.update(extra)
    return Rows(path, rows, rejects, blank, len(rows) - len(seen), ignored, lines)


def place_of(path: str | os.PathLike, row: dict, form: FormName) -> str:
    """Where a row stands first in a file, as `Rows.where` names it; empty where there is no such file or row in it."""
    try:
        found = read(Path(path).expanduser(), form)
    except CourseError:
        return ""
    return next((found.where(line) for line, other in zip(found.lines, found.rows, strict=True) if other == row), "")


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
