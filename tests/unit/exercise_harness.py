"""Proves that the check of an exercise can tell right from wrong."""

import inspect

from course_lib.learn.checks import Exercise, Outcome


def assert_exercise(exercise: Exercise, right: dict, wrongs: list[tuple[dict, str]]) -> None:
    """The right answer is Correct, the untouched one Not attempted, each wrong one Not yet with its fault named.

    Args:
        right: objects by the names in `exercise.wants`.
        wrongs: at least five pairs of (objects that differ from `right`, a word that the message must hold).

    Besides, for each function wanted: one that raises, one that returns text, and text instead of a function are
    never Correct and never called our fault.
    """
    assert len(exercise.hints) == 3, f"{exercise.id}: three hints"
    assert exercise.answer.strip(), f"{exercise.id}: no answer"
    assert len(wrongs) >= 5, f"{exercise.id}: {len(wrongs)} wrong answers; at least five"
    assert_outcome(exercise, right, Outcome.CORRECT)

    def empty(*args, **kwargs): ...

    for name in exercise.wants:
        assert_outcome(exercise, {k: v for k, v in right.items() if k != name}, Outcome.NOT_ATTEMPTED, name)
        for untouched in (None, ..., empty):
            assert_outcome(exercise, {**right, name: untouched}, Outcome.NOT_ATTEMPTED, name)

    for wrong, fault in wrongs:
        assert_outcome(exercise, {**right, **wrong}, Outcome.NOT_YET, fault)

    def broken(*args, **kwargs):
        raise ZeroDivisionError("planted")

    for name in filter(lambda name: inspect.isfunction(right[name]), exercise.wants):
        assert_outcome(exercise, {**right, name: broken}, Outcome.RAISED, "planted")
        for junk in (lambda *args, **kwargs: "text", "text"):
            outcome, message = exercise.judge({**right, name: junk})
            assert outcome in (Outcome.NOT_YET, Outcome.RAISED), f"{exercise.id}, {name} is {junk!r}: {message}"


def assert_outcome(exercise: Exercise, objects: dict, outcome: Outcome, word: str = "") -> None:
    """`judge` gives `outcome`, its message begins with the outcome's words and holds `word`."""
    got, message = exercise.judge(objects)
    assert got == outcome, f"{exercise.id}: {outcome} expected for {objects}, got: {message}"
    assert message.startswith(outcome), message
    assert word in message, f"{exercise.id}: {word!r} is not in: {message}"
