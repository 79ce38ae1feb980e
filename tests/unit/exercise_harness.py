"""Proves that the check of an exercise can tell right from wrong, whatever it is given."""

import inspect
import linecache
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import count

import numpy as np

from course_lib.learn.checks import Exercise, Outcome

SECONDS = 1
LONGEST = 1000  # characters of a message
_cells = count(1)


def reader(*cells: str) -> dict:
    """The globals of a notebook whose cells held `cells`; their source can be looked up, as in a kernel."""
    names = {"__name__": "__main__"}
    run(names, *cells)
    return names


def run(names: dict, *cells: str) -> None:
    """Run further cells in a notebook's globals."""
    for cell in cells:
        file = f"<cell {next(_cells)}>"
        linecache.cache[file] = (len(cell), None, cell.splitlines(True), file)
        exec(compile(cell, file, "exec"), names)


HOSTILE = """
def fail(*args, **kwargs): raise ZeroDivisionError("planted")
class Repr: __repr__ = __str__ = __format__ = fail
class Equal: __eq__ = __ne__ = __hash__ = __lt__ = __gt__ = __le__ = __ge__ = fail
class Class: __class__ = property(fail)
class Get: __getattr__ = fail
class GetAll: __getattribute__ = fail
class Number(float): __float__ = __int__ = __mul__ = __rmul__ = __sub__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = fail
class Wide:
    def __repr__(self): return "x" * 10**7
def numbered(n): yield n
hostile = [Repr(), Equal(), Class(), Get(), GetAll(), Number(3.0), Wide(), numbered(2), type("N" * 10**6, (), {})()]
"""
RAISING = {
    "planted": "raise ZeroDivisionError('planted')",
    "SystemExit": "raise SystemExit(3)",
    "GeneratorExit": "raise GeneratorExit",
    "RecursionError": "return answer(*args, **kwargs)",
    "EOFError": "return input('how many? ')",
    "cannot be shown": "raise type('Odd', (Exception,), {'__str__': fail})",
    "(10,000,0": "raise ValueError('x' * 10**7)",
}


def junk() -> list:
    """Values of every wrong kind."""
    plain = ["text", "x" * 10**6, "\x1b[2J\ud800<script>", b"x", True, -1, 0, 10**5000, -1e300, 1j, Fraction(1, 3)]
    plain += [
        float("nan"),
        float("inf"),
        np.float64(0.1),
        np.array(3.0),
        np.zeros((2, 2)),
        np.array(["a"]),
        object,
        len,
    ]
    return [*plain, [], {}, (1, 2), [None], {"first": 1}, {1: object()}, set(), object(), *reader(HOSTILE)["hostile"]]


def assert_exercise(exercise: Exercise, right: dict, wrongs: list[tuple[dict, str]]) -> None:
    """The right answer is Correct within a second, the untouched one Not attempted, each wrong one Not yet with its fault.

    Args:
        right: objects by the names in `exercise.wants`.
        wrongs: at least five pairs of (objects that differ from `right`, a word that the message must hold).

    Besides, junk in place of an object, functions that give junk and functions that raise are never Correct and never
    called our fault, and what is said of them is short enough to read.
    """
    assert len(exercise.hints) == 3, f"{exercise.id}: three hints"
    assert all(hint.strip() for hint in exercise.hints), f"{exercise.id}: an empty hint"
    assert exercise.answer.strip(), f"{exercise.id}: no answer"
    assert len(wrongs) >= 5, f"{exercise.id}: {len(wrongs)} wrong answers; at least five"
    assert_outcome(exercise, right, Outcome.CORRECT)
    assert min(_seconds(exercise, right) for _ in range(2)) < SECONDS, f"{exercise.id}: a check takes {SECONDS} s"

    for name in exercise.wants:
        assert_outcome(exercise, {k: v for k, v in right.items() if k != name}, Outcome.NOT_ATTEMPTED, name)
        for untouched in (None, ..., _empty):
            assert_outcome(exercise, {**right, name: untouched}, Outcome.NOT_ATTEMPTED, name)

    for wrong, fault in wrongs:
        assert_outcome(exercise, {**right, **wrong}, Outcome.NOT_YET, fault)

    for name in exercise.wants:
        for value in [*junk(), *(_giving(junk()) if inspect.isfunction(right[name]) else [])]:
            assert_never_right(exercise, {**right, name: value})
        if inspect.isfunction(right[name]):
            for value in _right_once(right[name], junk()):
                assert exercise.judge({**right, name: value})[0] != Outcome.OUR_FAULT, f"{exercise.id}: right only once"
            for word, body in RAISING.items():
                names = reader(HOSTILE, f"def answer(*args, **kwargs):\n    {body}")
                assert_outcome(exercise, {**right, **names, name: names["answer"]}, Outcome.RAISED, word)


def assert_outcome(exercise: Exercise, objects: dict, outcome: Outcome, word: str = "") -> None:
    """`judge` gives `outcome`, its message begins with the outcome's words and holds `word`."""
    got, message = exercise.judge(objects)
    assert got == outcome, f"{exercise.id}: {outcome} expected with {word!r}, got: {message}"
    assert message.startswith(outcome), message
    assert word in message, f"{exercise.id}: {word!r} is not in: {message}"
    assert_readable(message)


def assert_never_right(exercise: Exercise, objects: dict) -> None:
    """A wrong kind of answer is the reader's to put right."""
    outcome, message = exercise.judge(objects)
    assert outcome in (Outcome.NOT_YET, Outcome.RAISED), f"{exercise.id}: {message}"
    assert_readable(message)


def assert_readable(message: str) -> None:
    """Short, and without characters that a terminal obeys."""
    assert len(message) < LONGEST, message
    assert all(c == "\n" or c.isprintable() for c in message), repr(message)


def _empty(*args, **kwargs): ...


def _giving(values: Iterable) -> Iterator:
    for value in values:
        yield lambda *args, value=value, **kwargs: value


def _right_once(right: Callable, values: Iterable) -> Iterator:
    for value in values:
        calls = count()
        yield lambda *args, value=value, calls=calls, **kwargs: value if next(calls) else right(*args, **kwargs)


def _seconds(exercise: Exercise, objects: dict) -> float:
    start = time.perf_counter()
    exercise.judge(objects)
    return time.perf_counter() - start
