"""Data sets by name or from the reader's own file, held out so that no near copy of a test row is trained on."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.run.chat_row import quote
from course_lib.run.dates import NOTICE as DATES_NOTICE
from course_lib.run.dates import dates
from course_lib.run.forms import FORMS, FormName
from course_lib.run.licence_texts import NOTICE as LICENCE_TEXTS_NOTICE
from course_lib.run.licence_texts import licence_texts
from course_lib.run.licences import NOTICE as LICENCES_NOTICE
from course_lib.run.licences import licences
from course_lib.run.mail_pairs import NOTICE as MAIL_PAIRS_NOTICE
from course_lib.run.mail_pairs import mail_pairs
from course_lib.run.mails import mails
from course_lib.run.near_copies import SHORT, split
from course_lib.run.python_docs import NOTICE as PYTHON_DOCS_NOTICE
from course_lib.run.python_docs import python_docs
from course_lib.run.row_checks import check_leak, check_rows
from course_lib.run.row_files import form_of, wrong_form
from course_lib.run.rows import Rows, read, write_rejects

RENAME = "rename the roles (what other formats call human is user, and gpt or bot is assistant)"


@dataclass(frozen=True)
class DataSet:
    """Rows of one form in three parts, for learning, for choosing settings and for the final score."""

    name: str
    train: list[dict]
    valid: list[dict]
    test: list[dict]
    notice: str  # name, source, licence: lessons print it
    # What the assistant answers with, by which the evaluator picks its metrics; or rows that are no chats.
    answer: Literal["json", "text", "label", "pair", "plain"]

    def write_jsonl(
        self,
        path: str | os.PathLike,
        part: Literal["train", "valid", "test"] = "train",
        form: Literal["messages", "prompt_completion"] = "messages",
    ) -> Path:
        """Write one part as JSON lines, which `load` and other tools read.

        form: of chats, whether the last answer stands apart from what came before; pairs and plain texts have one form.

        Raises CourseError for pairs or plain texts as prompt and completion.
        """
        rows = getattr(self, part)
        if form == "prompt_completion":
            if self.answer in ("pair", "plain"):
                raise CourseError(
                    f"{self.name} holds {FORMS[self.answer].rows}, not chats: leave form out to write them."
                )
            rows = [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in rows]
        return write_jsonl(path, rows)


def write_jsonl(path: str | os.PathLike, rows: list[dict]) -> Path:
    """Write rows of any form as JSON lines; makes the folder. Raises CourseError where that cannot be."""
    path = Path(path).expanduser()
    try:
        write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    except OSError as error:
        raise CourseError(
            f"The rows could not be written to {path} ({error.strerror}): give a path in a folder with room that you may write to."
        ) from None
    return path


def load(
    name_or_path: str | os.PathLike,
    n_train: int | None = None,
    seed: int = 0,
    on_reject: Literal["stop", "drop"] = "stop",
    form: FormName | None = None,
    test: str | os.PathLike | None = None,
) -> DataSet:
    """A data set of the course, or the reader's own file, split by near-duplicate groups.

    Chats: "mails", "dates", "licences". Preference pairs: "mail-pairs". Plain texts: "licence-texts", "python-docs".

    Args:
        name_or_path: a name, or a file that `rows.read` reads.
        n_train: training rows, at most; default 400 dates, 1,000 licences, 96 of the other sets, or all of one's own file.
            The valid and test rows do not depend on it.
        seed: draws and splits; the same seed gives the same rows.
        on_reject: "stop" raises when rows of the file cannot be used, "drop" goes on without them.
        form: "chat", "pair" or "plain" refuses rows of another form; None takes a file's form from its first good row.
        test: a file of your own held-out rows, used whole as the test part. The other parts stay as they are without it, since
            `train` knows only the first file: a tenth of that is then not used.

    Raises CourseError for an unknown name, another form, a file that cannot be read, rejected rows, fewer than 10 rows that
    are no near copies of each other, chats that all have one answer, or rows that `test` has too, near copies counted.
    """
    if n_train is not None and n_train < 1:
        raise CourseError(f"n_train is {n_train}; training needs at least 1 row.")
    if on_reject not in ("stop", "drop"):
        raise CourseError(f'on_reject is {quote(on_reject)}; choose "stop" or "drop".')
    check_name(name_or_path, form)
    for named in NAMED.values():
        if str(name_or_path) in named:
            if test is not None:
                raise CourseError(f"{name_or_path} has its own test rows: leave test out, or name a file of your own.")
            return named[str(name_or_path)](n_train, seed)
    return _own(Path(name_or_path).expanduser(), n_train, seed, on_reject, form, test)


def check_name(name_or_path: str | os.PathLike, form: FormName | None = "chat") -> None:
    """Raise CourseError when this is no data set of the course and no file, or one of another form than `form`.

    Of a file no more than its first rows are read.
    """
    if form is not None and form not in FORMS:
        raise CourseError(f"form is {quote(form)}; choose one of {', '.join(FORMS)}.")
    name, file = str(name_or_path), Path(name_or_path).expanduser()
    offered = [name for of, named in NAMED.items() if form in (of, None) for name in named]
    if name in offered:
        return
    *others, last = offered
    a_name = f"{', '.join(others)} or {last}" if others else last
    for other, named in NAMED.items():
        if name in named:
            raise CourseError(
                f"{name} holds {FORMS[other].rows}, not {FORMS[form].rows}: name a file of {FORMS[form].rows}, or {a_name}."
            )
    if not file.exists():
        raise CourseError(
            f"There is no data set and no file {quote(name)}: name a file, or one of {', '.join(offered)}."
        )
    if form and (other := form_of(file)) not in (form, None):
        raise wrong_form(file.name, other, form)


def _mails(n_train: int | None, seed: int) -> DataSet:
    train = mails(n_train or 96, "train", seed)
    valid = [row for row in mails(16, "train", -1 - seed) if row not in train]
    notice = (
        "mails: generated for this course (Apache-2.0); support mails and the JSON record of each.\n"
        "Test mails use templates, phrasings, names and products that never occur in the other two parts."
    )
    return DataSet("mails", train, valid, mails(48, "test", seed), notice, "json")


def _dates(n_train: int | None, seed: int) -> DataSet:
    rows = dates(48 + 16 + (n_train or 400), seed)
    return DataSet("dates", rows[64:], rows[48:64], rows[:48], DATES_NOTICE, "text")


def _licences(n_train: int | None, seed: int) -> DataSet:
    train, valid, test = split(licences(), seed)
    return DataSet("licences", train[: n_train or 1000], valid[:48], test[:200], LICENCES_NOTICE, "label")


def _mail_pairs(n_train: int | None, seed: int) -> DataSet:
    train = mail_pairs(n_train or 96, "train", seed)
    valid = [row for row in mail_pairs(16, "train", -1 - seed) if row not in train]
    return DataSet("mail-pairs", train, valid, mail_pairs(48, "test", seed), MAIL_PAIRS_NOTICE, "pair")


def _texts(name: str, rows: Callable[[], list[dict]], notice: str) -> Callable[[int | None, int], DataSet]:
    def texts(n_train: int | None, seed: int) -> DataSet:
        found = rows()
        parts = split([{"text": row["text"]} for row in found], seed, groups=[row["source"] for row in found])
        train, valid, test = (part[:n] for part, n in zip(parts, (n_train or 96, 16, 48), strict=True))
        return DataSet(name, train, valid, test, notice, "plain")

    return texts


def _own(
    path: Path, n_train: int | None, seed: int, on_reject: str, form: FormName | None, test: str | os.PathLike | None
) -> DataSet:
    form = form or form_of(path)
    found = _read(path, form, on_reject)
    groups = check_rows(found)
    train, valid, held = split(found.rows, seed, groups=groups)
    notice = f"{path.name}: {len(found.rows):,} rows of your own"
    if found.rejects:
        notice += f", {len(found.rejects):,} rejected rows left out"
    if copies := len(groups) - len(set(groups)):
        notice += (
            f".\n{copies:,} of {len(groups):,} rows are copies or near copies of others ({found.duplicates:,} word for word): "
            "they stay on one side of the split, and count several times in training"
        )
    if test is not None:
        tested = _read(Path(test).expanduser(), form or "chat", on_reject)
        check_leak(found, tested)
        held = tested.rows
        notice += f".\nTest: {len(held):,} rows of {tested.path.name}, none of them a copy or near copy of these"
    notice += ".\nSource and licence: yours to know; check that you may train on it before you share a model."
    answer = _answer(train + valid + held) if form in ("chat", None) else form
    return DataSet(path.name, train[:n_train], valid, held, notice, answer)


def _read(path: Path, form: FormName | None, on_reject: str) -> Rows:
    found = read(path, form)
    if found.rejects and on_reject == "stop":
        raise CourseError(_rejected(found))
    return found


def _rejected(found: Rows) -> str:
    try:
        where = f"all are in {write_rejects(found)}"
    except CourseError as error:
        where = str(error).rstrip(".")
    first = found.rejects[0]
    do = RENAME if {reject.kind for reject in found.rejects} == {"bad role"} else "fix these lines"
    if found.rows:
        do += ', or pass on_reject="drop" to go on without them'
    return (
        f"{found.path.name}: {len(found.rejects):,} of {len(found.rejects) + len(found.rows):,} rows cannot be used "
        f"(the first is {found.place(first)}: {first.reason}; {where}): {do}."
    )


def _answer(rows: list[dict]) -> Literal["json", "text", "label"]:
    """JSON when every answer is a JSON object; a label when few short answers occur again and again; else text."""
    answers = [row["messages"][-1]["content"] for row in rows]
    if all(map(_is_json_object, answers)):
        return "json"
    kinds = set(answers)
    few = len(kinds) <= min(50, len(answers) / 5)
    return "label" if few and max(len(kind.split()) for kind in kinds) <= SHORT else "text"


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


NAMED = {
    "chat": {"mails": _mails, "dates": _dates, "licences": _licences},
    "pair": {"mail-pairs": _mail_pairs},
    "plain": {
        "licence-texts": _texts("licence-texts", licence_texts, LICENCE_TEXTS_NOTICE),
        "python-docs": _texts("python-docs", python_docs, PYTHON_DOCS_NOTICE),
    },
}
