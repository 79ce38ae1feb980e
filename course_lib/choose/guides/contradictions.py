"""Where the guides contradict each other, and themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import inf

from course_lib.choose.guides.advice import METHODS, OBJECTIVES, TOPICS, Statement
from course_lib.choose.situation import Situation

ALLOWED_RATIO = 2 / 3  # upper ends of two model sizes that differ by more than a third contradict each other


@dataclass(frozen=True)
class Contradiction:
    """Two statements that contradict each other; `text` is the sentence for the reader."""

    topic: str
    a: Statement
    b: Statement
    text: str


def contradictions(statements: Iterable[Statement], situation: Situation) -> tuple[Contradiction, ...]:
    """The pairs of statements that contradict each other, by topic.

    - method: both speak for methods and share none, or one speaks for what the other speaks against;
    - model size: said for the same method, the ranges share nothing, or the largest sizes differ by more than a third;
      a model named as an example contradicts a largest size only where it is above it;
    - objective: both name objectives and share none;
    - data size, hyper-parameters, quality (and how large a model to start with): values of the same setting, where
      neither range contains the other, or where words share none.

    A statement that yields (a default, an option, an aside) contradicts other guides and not its own. Pairs that say the
    same are told once, by the first; that two guides speak for different methods is told once for these two guides.
    """
    said = list(dict.fromkeys(statements))
    found = {}
    for topic in TOPICS:
        for a, b in combinations([s for s in said if s.topic == topic], 2):
            if (a.guide == b.guide and (a.yields or b.yields)) or not _contradict(a, b):
                continue
            key = _key(a, b)
            if key not in found:
                found[key] = Contradiction(topic, a, b, _text(a, b, situation))
    return tuple(found.values())


def _contradict(a: Statement, b: Statement) -> bool:
    if a.topic == "method":
        return _apart(a.methods, b.methods) or bool(_disputed(a, b))
    if a.topic == "objective":
        return _apart(a.objectives, b.objectives)
    if a.model_b and b.model_b:
        return not set(a.methods).isdisjoint(b.methods) and _sizes_differ(a, b)
    return a.setting == b.setting and bool(a.value and b.value) and _values_differ(a.value, b.value)


def _apart(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    return bool(a and b) and set(a).isdisjoint(b)


def _disputed(a: Statement, b: Statement) -> tuple[str, ...]:
    """The methods that one speaks for and the other against."""
    return tuple(m for m in a.methods if m in b.against) or tuple(m for m in b.methods if m in a.against)


def _sizes_differ(a: Statement, b: Statement) -> bool:
    (low_a, high_a), (low_b, high_b) = a.model_b, b.model_b
    if bool(a.setting) != bool(b.setting):  # an example and a largest size
        return low_a > _largest(b) if a.setting else low_b > _largest(a)
    if low_a > high_b or low_b > high_a:
        return True
    lower, upper = sorted((_largest(a), _largest(b)))
    return not a.setting and lower < ALLOWED_RATIO * upper


def _largest(statement: Statement) -> float:
    """The largest size; of a range that is open above ("65B+"), the size that is named."""
    low, high = statement.model_b
    return low if high == inf and low else high


def _values_differ(a: tuple, b: tuple) -> bool:
    if isinstance(a[0], str):
        return set(a).isdisjoint(b)
    return not (a[0] <= b[0] and b[1] <= a[1]) and not (b[0] <= a[0] and a[1] <= b[1])


def _key(a: Statement, b: Statement) -> tuple:
    """What a pair says: pairs with equal keys are told once."""
    if a.topic == "method" and not _apart(a.methods, b.methods):
        return a.topic, "against", frozenset((a.guide, b.guide)), _disputed(a, b)
    if a.topic == "method" and a.guide != b.guide:
        return a.topic, a.guide, b.guide
    return a.topic, a.setting, *((s.guide, s.methods, s.model_b, s.objectives, s.value) for s in (a, b))


def _text(a: Statement, b: Statement, situation: Situation) -> str:
    """The contradiction in one sentence."""
    if a.topic == "method":
        if _apart(a.methods, b.methods):
            return f"On the method, {_both(a, b, _names(a.methods), _names(b.methods))}"
        return _dispute(a, b)
    if a.topic == "objective":
        return f"On the objective, {_both(a, b, *(_either(OBJECTIVES[o] for o in s.objectives) for s in (a, b)))}"
    if a.model_b and b.model_b:
        memory = f"{situation.gpu_gib:g} GB" if situation.gpu_gib else "no GPU"
        return f"For {memory} {_both(a, b, a.gist, b.gist)}"
    return f"On {a.setting}, {_both(a, b, a.gist, b.gist)}"


def _dispute(a: Statement, b: Statement) -> str:
    speaker, critic = (a, b) if set(a.methods) & set(b.against) else (b, a)
    names = _names(_disputed(a, b))
    if _same_place(a, b):
        return f"{_source(a)} speaks both for and against {names}."
    return f"{_source(speaker)} speaks for {names}, {_source(critic, after=speaker)} speaks against."


def _both(a: Statement, b: Statement, of_a: str, of_b: str) -> str:
    if _same_place(a, b):
        return f"{_source(a)} says both {of_a} and {of_b}."
    return f"{_source(a)} says {of_a}, {_source(b, after=a)} says {of_b}."


def _same_place(a: Statement, b: Statement) -> bool:
    return (a.guide, a.place) == (b.guide, b.place)


def _source(statement: Statement, after: Statement | None = None) -> str:
    if after and after.guide == statement.guide:
        return f"its {statement.place}"
    owner = f"{statement.guide}'" if statement.guide.endswith("s") else f"{statement.guide}'s"
    return f"{owner} {statement.place}"


def _names(methods: Iterable[str]) -> str:
    return _either(METHODS[method] for method in methods)


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
