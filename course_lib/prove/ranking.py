"""Whether things lie in the order that somebody claims, where their measurements say so beyond their uncertainty."""

from collections.abc import Callable, Hashable, Mapping
from typing import Literal

from course_lib.prove.scores import Score

Verdict = Literal["holds", "partly", "not here"]
WORD: dict[int, Verdict] = {1: "holds", 0: "partly", -1: "not here"}


def apart(one: tuple[float, float], other: tuple[float, float]) -> int:
    """1 where the interval (low, high) lies wholly above the other, -1 where wholly below, 0 where they overlap."""
    return 1 if one[0] > other[1] else -1 if one[1] < other[0] else 0


def side(gap: Score) -> int:
    """1 where the interval of a difference lies above 0, -1 where below, 0 where it has 0 in it."""
    return apart((gap.low, gap.high), (0, 0))


def ranked(levels: Mapping[Hashable, int], order: Callable[[Hashable, Hashable], int]) -> dict[Hashable, Verdict]:
    """The verdict on each thing's claimed level, from all pairs that the claim puts on different levels.

    "holds" where every pair surely lies as claimed, "not here" where some pair surely lies the other way round, else
    "partly".

    levels: thing -> claimed level; a higher number lies above. order: what the measurement says of two things, as `apart`.
    """
    verdicts = {}
    for one, level in levels.items():
        pairs = {(1 if level > levels[other] else -1) * order(one, other) for other in levels if levels[other] != level}
        verdicts[one] = "not here" if -1 in pairs else "holds" if pairs == {1} else "partly"
    return verdicts
