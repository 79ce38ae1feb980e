"""The formats of a reader's own file: its records one by one, each with its line, and those that are none."""

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic_core import to_json

from course_lib.errors import CourseError
from course_lib.run.chat_row import OBJECT, Fault, from_json, from_table, quote
from course_lib.run.forms import FORMS, Form, FormName, form_with
from course_lib.run.passages import joined

FORMATS = ".jsonl, .ndjson, .json (one object a line), .csv or .parquet"

Found = Iterator[tuple[int, bytes, dict | Fault | None]]  # line, raw bytes, record; None stands for a blank line


def records(path: Path, form: FormName) -> Found:
    """The records of a file in its order, types checked. Raises CourseError when the file as a whole cannot be read."""
    suffix = _suffix(path)
    if suffix in TEXTS and form != "plain":
        raise CourseError(f"{path.name} has the suffix {suffix!r}; save it as {FORMATS}.")
    try:
        if path.stat().st_size == 0:
            raise CourseError(f"{path.name} is empty; put one example on each line.")
        if suffix == ".parquet":
            return _parquet(path, FORMS[form])
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise CourseError(f"{path.name} could not be read ({error.strerror}); check its permissions.") from error
    if what := _no_text(data[:8192]):
        raise CourseError(
            f"{path.name} is {what}; rows are read from UTF-8 text, not from binary or UTF-16: save them as CSV or JSON Lines in UTF-8."
        )
    if not data.strip():
        raise CourseError(f"{path.name} holds only blank lines; put one example on each line.")
    if suffix == ".json" and data.lstrip().startswith(b"["):
        raise CourseError(f"{path.name} is one JSON list; write each of its items on a line of its own (JSON Lines).")
    _check_encoding(path, data)
    return READERS[suffix](path, data, FORMS[form])


def _no_text(head: bytes) -> str | None:
    """What a file is that begins so, if it is no text in UTF-8 or an encoding of one byte a letter."""
    for begins, what in BEGINNINGS.items():
        if head.startswith(begins):
            return what
    few, many = sorted((head[::2].count(0), head[1::2].count(0)))
    if many > len(head) / 4 and few < len(head) / 40:
        return "text in UTF-16"
    return "binary" if sum(byte < 32 and byte not in b"\t\n\r" for byte in head) > len(head) / 20 else None


def _check_encoding(path: Path, data: bytes) -> None:
    """Refuse a file that is not UTF-8 in most lines that go beyond ASCII; where these are few, each is a reject."""
    try:
        data.decode("utf-8")
        return
    except UnicodeDecodeError:
        lines = [(n, line) for n, line in enumerate(data.split(b"\n"), 1) if not line.isascii()]
    bad = [(n, line) for n, line in lines if "\ufffd" in line.decode("utf-8", "replace")]
    if len(bad) > max(1, len(lines) / 2):
        guess = "Windows-1252" if any(re.search(rb"[\x80-\x9f]", line) for _, line in bad) else "Latin-1"
        raise CourseError(
            f"{path.name} is not UTF-8 but probably {guess}: of {len(lines):,} lines with letters such as é or ü, {len(bad):,} cannot be "
            f"read, the first being line {bad[0][0]}; save the file once more as UTF-8, which spreadsheets call CSV UTF-8."
        )


def form_of(path: str | os.PathLike) -> FormName | None:
    """The form of the file's first record that has the keys of one, or of its columns; None where there is none.

    Raises CourseError for no file, a folder, or a suffix that stands for no format.
    """
    path = Path(path)
    suffix = _suffix(path)
    try:
        if suffix in TEXTS:
            return "plain"
        if suffix == ".parquet":
            from pyarrow import parquet

            return form_with(parquet.ParquetFile(path).schema_arrow.names)
        with path.open("rb") as file:
            if suffix == ".csv":
                return form_with(next(csv.reader(io.TextIOWrapper(file, "utf-8-sig", "replace")), ()))
            return next(filter(None, map(_form_of_line, file)), None)
    except (OSError, ValueError, csv.Error):  # `records` says what is wrong
        return None


def wrong_form(file: str, form: FormName, wanted: FormName) -> CourseError:
    """That a file holds rows of `form`, and what rows of the wanted one need."""
    return CourseError(f"{file} holds {FORMS[form].rows}; {FORMS[wanted].rows} need {FORMS[wanted].needs}.")


def _form_of_line(line: bytes) -> FormName | None:
    try:
        return form_with(from_json(line.removeprefix(codecs.BOM_UTF8), OBJECT))
    except Fault:
        return None


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if path.is_dir():
        raise CourseError(f"{path} is a folder; give the path of one {FORMATS} file.")
    if not path.exists():
        raise CourseError(f"There is no file {path}; check the path.")
    if suffix not in READERS and suffix != ".parquet":
        raise CourseError(f"{path.name} has the suffix {suffix!r}; save it as {FORMATS}, or plain text as .txt or .md.")
    return suffix


def _jsonl(path: Path, data: bytes, form: Form) -> Found:
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        try:
            yield number, line, from_json(line, form.adapter, form.needs) if line.strip() else None
        except Fault as fault:
            yield number, line, fault


def _csv(path: Path, data: bytes, form: Form) -> Found:
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
    if not set(form.keys[-1]) <= set(names):
        missing = tuple(key for key in form.keys[-1] if key not in names)
        do = f"add {_columns(missing)}, or give that name to the column that is meant"
        if len(names) < 2 and re.search("[;\t]", header):
            do = "separate the columns by commas"
        raise CourseError(f"{path.name} needs {_columns(form.keys[-1])}; its first line is {quote(header)}: {do}.")
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
            record = _from_table(dict(zip(names, fields, strict=False)), raw, form) if fields else None
        except Fault as error:
            fault = error
        yield start, raw, fault or record


def _parquet(path: Path, form: Form) -> Found:
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        file = parquet.ParquetFile(path)
        names = set(file.schema_arrow.names)
        used = next((keys for keys in form.keys if set(keys) <= names), None)
        if used is None:
            wanted = f"a column {form.needs}" if len(form.keys) > 1 else _columns(form.keys[0])
            raise CourseError(f"{path.name} needs {wanted}; it has {quote(', '.join(sorted(names)))}.")
        unused = dict.fromkeys(names - set(used))
        for batch in file.iter_batches(1000, columns=sorted(used)):
            for i, record in enumerate(_rows(batch)):
                number += 1
                if record is None:
                    raw = batch.slice(i, 1).serialize().to_pybytes()
                    yield number, raw, Fault("not UTF-8", "", "holds text that is not UTF-8")
                    continue
                raw = to_json(record, fallback=repr, bytes_mode="base64")
                try:
                    yield number, raw, _from_table(record | unused, raw, form)
                except Fault as fault:
                    yield number, raw, fault
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CourseError(f"{path.name} is damaged or no Parquet file; write or download it again.") from error


def _rows(batch) -> list[dict | None]:
    """The rows of a record batch; None for one whose text is not UTF-8."""
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        if len(batch) == 1:
            return [None]
        return [row for i in range(len(batch)) for row in _rows(batch.slice(i, 1))]


def _text(path: Path, data: bytes, form: Form) -> Found:
    """Paragraphs, between blank lines, joined to rows; a row's line is that of its first paragraph."""
    paragraphs: list[tuple[int, bytes]] = []
    goes_on = False
    for number, line in enumerate(data.splitlines(), 1):
        if goes_on and line.strip():
            paragraphs[-1] = (paragraphs[-1][0], paragraphs[-1][1] + b"\n" + line)
        elif line.strip():
            paragraphs.append((number, line))
        goes_on = bool(line.strip())
    for run in joined([len(text) for _, text in paragraphs]):
        raw = b"\n\n".join(text for _, text in paragraphs[run])
        try:
            yield paragraphs[run][0][0], raw, _from_table({"text": raw.decode("utf-8", "surrogateescape")}, raw, form)
        except Fault as fault:
            yield paragraphs[run][0][0], raw, fault


def _from_table(record: dict, raw: bytes, form: Form) -> dict:
    return from_table(record, raw, form.adapter, form.needs)


def _columns(keys: tuple[str, ...]) -> str:
    *others, last = keys
    return f"the columns {', '.join(others)} and {last}" if others else f"a column {last}"


TEXTS = (".txt", ".md")
BEGINNINGS = {
    codecs.BOM_UTF16_LE: "text in UTF-16",
    codecs.BOM_UTF16_BE: "text in UTF-16",
    b"PK\x03\x04": "an Excel workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel or Word file of the old kind",
    b"%PDF-": "a PDF",
    b"\x1f\x8b": "compressed by gzip",
    b"PAR1": "Parquet under another suffix",
}
READERS = {".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _jsonl, ".csv": _csv, ".txt": _text, ".md": _text}
