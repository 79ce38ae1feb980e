"""Checks of the exercises: they take the reader's objects by name, say what is wrong, and know no answer notebook."""

import dis
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import FunctionType

HOLE = "...  # your code here"
IDLE = ("RESUME", "NOP", "CACHE", "COPY_FREE_VARS", "RETURN_VALUE")


class NotYet(Exception):
    """Raised by a test when the answer is wrong: what is wrong, and one thing to try, in words for the reader."""


class Outcome(StrEnum):
    """What a check can find; its words are the first words of the message."""

    CORRECT = "Correct"
    NOT_YET = "Not yet"
    NOT_ATTEMPTED = "Not attempted"
    RAISED = "Your code raised"
    OUR_FAULT = "Could not check (our fault)"


# A cell that ends in `q1.check()` shows the message alone. Set here because an enum's body allows no such name.
Outcome._ipython_display_ = lambda self: None


@dataclass
class Exercise:
    """One exercise, for instance `q1 = Exercise(id="104.1", wants=("lora_parameters",), test=..., ...)`.

    Args:
        id: lesson and number, "104.1".
        wants: names of the objects that the reader makes.
        test: called with those objects by name; returns None if they are right, raises `NotYet` if not.
        hints: a nudge, an approach, almost the code.
        answer: the text that `solution()` prints.
    """

    id: str
    wants: tuple[str, ...]
    test: Callable[..., None]
    hints: tuple[str, ...]
    answer: str
    outcome: Outcome | None = field(default=None, init=False)
    _seen: set[int] = field(default_factory=set, init=False, repr=False)

    def check(self) -> Outcome:
        """Check the objects in the caller's globals (in a notebook: what its cells made); prints what it found.

        Raises nothing but KeyboardInterrupt, so that a reader can stop a check that takes too long.
        """
        self.outcome, message = self.judge(sys._getframe(1).f_globals)
        print(message)
        return self.outcome

    def judge(self, names: Mapping[str, object]) -> tuple[Outcome, str]:
        """The outcome for the objects in `names`, and the message that `check()` prints for it."""
        objects = {want: names[want] for want in self.wants if want in names}
        for want in self.wants:
            if want not in objects:
                return _say(
                    Outcome.NOT_ATTEMPTED, f": there is no `{want}` yet. Write it in the cell above and run it."
                )
            if objects[want] is None or objects[want] is ... or _is_empty(objects[want]):
                return _say(Outcome.NOT_ATTEMPTED, f": `{want}` is still empty. Fill it in, run its cell, check again.")
        try:
            returned = self.test(**objects)
        except NotYet as wrong:
            outcome, detail = Outcome.NOT_YET, f": {wrong}"
        except (Exception, SystemExit) as error:
            outcome, detail = _blame(error, objects, names)
        else:
            if returned is None:
                return _say(Outcome.CORRECT, f": {self.id} is done.")
            outcome, detail = (
                Outcome.OUR_FAULT,
                f": the test of {self.id} returned {returned!r}. Please report this line.",
            )
        for want in self.wants:
            if any(HOLE in _source(function) for function in _functions(objects[want])):
                return _say(Outcome.NOT_ATTEMPTED, f": `{want}` still holds `{HOLE}`. Put your code there.")
        return _say(outcome, detail)

    def hint(self, n: int | None = None) -> None:
        """Print hint number `n`, or without `n` the first one not seen yet."""
        count = len(self.hints)
        if n is None:
            n = next((i for i in range(1, count + 1) if i not in self._seen), None)
            if n is None:
                print(f"No more hints: try {self._name}.solution().")
                return
        if n not in range(1, count + 1):
            print(f"There is no hint {n}: this exercise has {count}, so {self._name}.hint({count}) is the last.")
            return
        self._seen.add(n)
        print(f"Hint {n} of {count}: {self.hints[n - 1]}")

    def solution(self) -> None:
        """Print the answer."""
        print(f"Solution of {self.id}:\n{self.answer}")

    def reset(self) -> None:
        """Forget the hints seen and the last outcome; the reader's cell is theirs to restore, and this says how."""
        self._seen.clear()
        self.outcome = None
        print(
            f"{self.id} starts afresh: no hint seen, no result. Your cell is as you left it: to have it as it came, "
            f"put `{HOLE}` in place of your lines, or copy the cell from the notebook {self.id[:3]} in exercises/."
        )

    @property
    def _name(self) -> str:
        return f"q{self.id.partition('.')[2]}"


def _say(outcome: Outcome, detail: str) -> tuple[Outcome, str]:
    return outcome, f"{outcome}{detail}"


def _functions(value: object) -> list[FunctionType]:
    found = vars(value).values() if inspect.isclass(value) else [value]
    return [inspect.unwrap(f) for f in found if inspect.isfunction(f)]


def _is_empty(value: object) -> bool:
    """Whether `value` is a function that does nothing: its body is `...`, `pass`, a docstring, or `return None`."""
    return inspect.isfunction(value) and all(
        step.opname in IDLE or (step.opname in ("LOAD_CONST", "RETURN_CONST") and step.argval in (None, ...))
        for step in dis.get_instructions(inspect.unwrap(value))
    )


def _source(function: FunctionType) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return ""


def _blame(error: BaseException, objects: Mapping[str, object], names: Mapping[str, object]) -> tuple[Outcome, str]:
    """Tell the reader's error from ours: theirs if it passed through their code or came of how we had to call it."""
    theirs = [f for value in objects.values() for f in _functions(value)]
    codes = {f.__code__ for f in theirs}
    said = f"{type(error).__name__}: {error}"
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code in codes or frame.f_globals is names or frame.f_globals.get("__name__") == "__main__"
    ]
    if frames:
        frame, line = frames[-1]
        name = frame.f_code.co_name
        code = traceback.FrameSummary(frame.f_code.co_filename, line, name).line
        where = f"In `{name}`, line {line}" + (f": `{code}`." if code else ".")
        return (
            Outcome.RAISED,
            f" {said}\n{where} Try it in a cell of its own, with a small input, and print what it gets.",
        )
    called_wrongly = [f"{f.__qualname__}()" for f in theirs]
    called_wrongly += [f"'{type(value).__name__}' object is not callable" for value in objects.values()]
    if isinstance(error, TypeError) and str(error).startswith(tuple(called_wrongly)):
        return Outcome.RAISED, f" {said}\nThe check could not call it: compare its name and arguments with the task's."
    return Outcome.OUR_FAULT, f": the test stopped with {said}. Your answer may be right: go on, and report this line."
