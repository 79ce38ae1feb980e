"""Data sets by name or from the reader's own file, held out so that no near copy of a test row is trained on."""

import json
import os
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from course_lib.errors import CourseError
from course_lib.run.chat_row import quote
from course_lib.run.dates import NOTICE as DATES_NOTICE
from course_lib.run.dates import dates
from course_lib.run.licences import NOTICE as LICENCES_NOTICE
from course_lib.run.licences import licences
from course_lib.run.mails import mails
from course_lib.run.rows import Rows, read, write_rejects

WORD = re.compile(r"\w+")
SHORT = 5  # words; a text this short is compared by its words too, for it has next to no 3-grams
LEAST = 10  # rows of one's own file


@dataclass(frozen=True)
class DataSet:
    """Chat rows in three parts, for learning, for choosing settings and for the final score."""

    name: str
    train: list[dict]
    valid: list[dict]
    test: list[dict]
    notice: str  # name, source, licence: lessons print it
    answer: Literal["json", "text", "label"]  # what the assistant answers with; the evaluator picks its metrics by it

    def write_jsonl(
        self,
        path: str | os.PathLike,
        part: Literal["train", "valid", "test"] = "train",
        form: Literal["messages", "prompt_completion"] = "messages",
    ) -> Path:
        """Write one part as JSON lines for other tools: whole chats, or the last answer apart from what came before."""
        rows = getattr(self, part)
        if form == "prompt_completion":
            rows = [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in rows]
        path = Path(path)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path


def load(
    name_or_path: str | os.PathLike,
    n_train: int | None = None,
    seed: int = 0,
    on_reject: Literal["stop", "drop"] = "stop",
) -> DataSet:
    """The data set "mails", "dates" or "licences", or the reader's own file, split by near-duplicate groups.

    Args:
        name_or_path: a name, or a file that `rows.read` reads.
        n_train: training rows, at most; default 96 mails, 400 dates, 1,000 licences, or all of one's own file.
            The valid and test rows do not depend on it.
        seed: draws and splits; the same seed gives the same rows.
        on_reject: "stop" raises when rows of the file cannot be used, "drop" goes on without them.

    Raises CourseError for an unknown name, a file that cannot be read, rejected rows, fewer than 10 good rows, or rows
    that are all near copies of each other.
    """
    if n_train is not None and n_train < 1:
        raise CourseError(f"n_train is {n_train}; training needs at least 1 row.")
    if on_reject not in ("stop", "drop"):
        raise CourseError(f'on_reject is {quote(on_reject)}; choose "stop" or "drop".')
    check_name(name_or_path)
    if str(name_or_path) in NAMED:
        return NAMED[str(name_or_path)](n_train, seed)
    return _own(Path(name_or_path).expanduser(), n_train, seed, on_reject)


def check_name(name_or_path: str | os.PathLike) -> None:
    """Raise CourseError when this is neither a data set of the course nor a file; reads nothing."""
    if str(name_or_path) not in NAMED and not Path(name_or_path).expanduser().exists():
        raise CourseError(
            f"There is no data set and no file {quote(str(name_or_path))}: name a file, or one of {', '.join(NAMED)}."
        )


def split(
    rows: list[dict], seed: int, parts: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> tuple[list[dict], list[dict], list[dict]]:
    """(train, valid, test): shares `parts` of the rows, whole near-duplicate groups in one part, in shuffled order.

    Rows are compared by what the user says. A group too large for valid or test goes to train, so these two may come
    out a little smaller. Source: of 300 licence notices drawn at random, 103 had a near copy in the rest.

    Raises CourseError when there are fewer than three groups.
    """
    members = defaultdict(list)
    for row, group in zip(rows, near_duplicate_groups(_questions(rows)), strict=True):
        members[group].append(row)
    if len(members) < 3:
        raise CourseError(
            f"The {len(rows)} rows ask only {len(members)} different question(s), near copies counted as one; "
            "at least 3 are needed to hold some out, so add more varied rows."
        )
    rng = random.Random(seed)
    groups = list(members.values())
    rng.shuffle(groups)
    test, groups = _take(groups, round(parts[2] * len(rows)), leave=2)
    valid, groups = _take(groups, round(parts[1] * len(rows)), leave=1)
    train = [row for group in groups for row in group]
    for part in (train, valid, test):
        rng.shuffle(part)
    return train, valid, test


def near_duplicate_groups(texts: list[str], threshold: float = 0.7) -> list[int]:
    """A group number for each text: texts joined, directly or through others, by a Jaccard similarity > `threshold`.

    Similarity is that of the sets of word 3-grams; for two texts of at most 5 words, of the sets of words as well.
    It is exact: no pair is left out. Case and punctuation do not count. Where a script puts no spaces between words,
    only exact copies are found.
    """
    words = [tuple(WORD.findall(text.lower())) or (text,) for text in texts]
    number = {key: i for i, key in enumerate(dict.fromkeys(words))}
    unique = list(number)
    short = np.array([i for i, key in enumerate(unique) if len(key) <= SHORT], dtype=int)
    pairs = _similar([set(zip(key, key[1:], key[2:], strict=False)) for key in unique], threshold)
    pairs = np.hstack([pairs, short[_similar([set(unique[i]) for i in short], threshold)]])
    links = sparse.coo_matrix((np.ones(pairs.shape[1]), tuple(pairs)), shape=(len(unique), len(unique)))
    group = connected_components(links, directed=False)[1]
    return [int(group[number[key]]) for key in words]


def _similar(sets: list[set], threshold: float) -> np.ndarray:
    """Pairs (2, n) of the sets whose Jaccard similarity is above the threshold, each set paired with itself as well."""
    column, columns, ends = {}, [], [0]
    for items in sets:
        columns += [column.setdefault(item, len(column)) for item in items]
        ends.append(len(columns))
    has = sparse.csr_matrix((np.ones(len(columns), dtype=np.int32), columns, ends), shape=(len(sets), len(column)))
    size, transposed, found = has.getnnz(axis=1), has.T.tocsr(), [np.empty((2, 0), dtype=int)]
    for start in range(0, len(sets), 500):
        shared = (has[start : start + 500] @ transposed).tocoo()
        left, right = shared.row + start, shared.col
        near = shared.data > threshold * (size[left] + size[right] - shared.data)
        found.append(np.stack([left[near], right[near]]))
    return np.hstack(found)


def _take(groups: list[list], room: int, leave: int) -> tuple[list, list[list]]:
    """Rows of the groups that fit into `room` (the smallest always does), and the other groups, at least `leave`."""
    room = max(room, min(map(len, groups)))
    taken, rest = [], []
    for i, group in enumerate(groups):
        if len(taken) + len(group) <= room and len(rest) + len(groups) - i > leave:
            taken += group
        else:
            rest.append(group)
    return taken, rest


def _questions(rows: list[dict]) -> list[str]:
    """What the user says in each row, without the opening and the ending that nine of ten rows share.

    An instruction repeated in every prompt would make all rows near copies of each other.
    """
    words = [" ".join(m["content"] for m in row["messages"] if m["role"] == "user").split() for row in rows]
    for _ in ("opening", "ending"):
        shared = _shared_opening(words)
        words = [(text[len(shared) :] if text[: len(shared)] == shared else text)[::-1] for text in words]
    return [" ".join(text) for text in words]


def _shared_opening(texts: list[list[str]]) -> list[str]:
    shared, same = [], texts
    while nexts := Counter(text[len(shared)] for text in same if len(text) > len(shared)):
        word, n = nexts.most_common(1)[0]
        if n < 0.9 * len(texts):
            break
        same = [text for text in same if text[len(shared) : len(shared) + 1] == [word]]
        shared.append(word)
    return shared


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


def _own(path: Path, n_train: int | None, seed: int, on_reject: str) -> DataSet:
    found = read(path)
    if found.rejects and on_reject == "stop":
        raise CourseError(_rejected(found))
    if len(found.rows) < LEAST:
        raise CourseError(
            f"{path.name} has {len(found.rows)} good rows, too few to hold some out for a test: "
            f"at least {LEAST} are needed, and 100 or more are advised."
        )
    train, valid, test = split(found.rows, seed)
    notice = f"{path.name}: {len(found.rows):,} rows of your own"
    if found.rejects:
        notice += f", {len(found.rejects):,} rejected rows left out"
    notice += ".\nSource and licence: yours to know; check that you may train on it before you share a model."
    return DataSet(path.name, train[:n_train], valid, test, notice, _answer(found.rows))


def _rejected(found: Rows) -> str:
    try:
        where = f"all are in {write_rejects(found)}"
    except CourseError as error:
        where = str(error).rstrip(".")
    first = found.rejects[0]
    return (
        f"{found.path.name}: {len(found.rejects):,} of {len(found.rejects) + len(found.rows):,} rows cannot be used. "
        f"The first is {found.place(first)}: {first.reason}; {where}. "
        'Fix these lines, or pass on_reject="drop" to go on without them.'
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


NAMED = {"mails": _mails, "dates": _dates, "licences": _licences}
