"""Near copies, found exactly, and a split that keeps them in one part: no near copy of a test row is trained on."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from course_lib.errors import CourseError

WORD = re.compile(r"\w+")
SHORT = 5  # words; a text this short is compared by its words too, for it has next to no 3-grams


def split(
    rows: list[dict],
    seed: int,
    parts: tuple[float, float, float] = (0.8, 0.1, 0.1),
    groups: Sequence[Hashable] | None = None,
) -> tuple[list[dict], list[dict], list[dict]]:
    """(train, valid, test): shares `parts` of the rows, whole groups in one part, in shuffled order.

    groups: what each row belongs to; None = near copies together. Rows are compared by what the user says (pairs: in the
    prompt; plain texts: by the text). A group too large for valid or test goes to train, so these two may come
    out a little smaller. Source: of 300 licence notices drawn at random, 103 had a near copy in the rest.

    Raises CourseError when there are fewer than three groups.
    """
    members = defaultdict(list)
    for row, group in zip(rows, groups_of(rows) if groups is None else groups, strict=True):
        members[group].append(row)
    if len(members) < 3:
        what = "hold only {} different text(s)" if "text" in rows[0] else "ask only {} different question(s)"
        raise CourseError(
            f"The {len(rows)} rows {what.format(len(members))}, near copies counted as one; "
            "at least 3 are needed to hold some out, so add more varied rows."
        )
    rng = random.Random(seed)
    left = list(members.values())
    rng.shuffle(left)
    test, left = _take(left, round(parts[2] * len(rows)), leave=2)
    valid, left = _take(left, round(parts[1] * len(rows)), leave=1)
    train = [row for group in left for row in group]
    for part in (train, valid, test):
        rng.shuffle(part)
    return train, valid, test


def groups_of(rows: list[dict]) -> list[int]:
    """A group number for each row: near copies, by what the user says, have one number."""
    return near_duplicate_groups(_questions(rows))


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
    words = [_question(row).split() for row in rows]
    for _ in ("opening", "ending"):
        shared = _shared_opening(words)
        words = [(text[len(shared) :] if text[: len(shared)] == shared else text)[::-1] for text in words]
    return [" ".join(text) for text in words]


def _question(row: dict) -> str:
    if "text" in row:
        return row["text"]
    return " ".join(m["content"] for m in row.get("messages") or row["prompt"] if m["role"] == "user")


def _shared_opening(texts: list[list[str]]) -> list[str]:
    shared, same = [], texts
    while nexts := Counter(text[len(shared)] for text in same if len(text) > len(shared)):
        word, n = nexts.most_common(1)[0]
        if n < 0.9 * len(texts):
            break
        same = [text for text in same if text[len(shared) : len(shared) + 1] == [word]]
        shared.append(word)
    return shared
