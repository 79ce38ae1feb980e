"""Checks of the exercises: they take the reader's objects by name, say what is wrong, and know no answer notebook."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from course_lib.errors import CourseError
from course_lib.learn.blame import blame, functions, is_empty, shorten, source, text_of
from course_lib.learn.fold import fold, notebook
from course_lib.learn.pages import cell_as_it_came
from course_lib.learn.progress import DONE, keep, mine
from course_lib.learn.quietly import quietly
from course_lib.said import Said, say

HOLE = "...  # your code here"


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


@dataclass(frozen=True)
class Finding:
    """What a check found. message begins with the outcome's words; printed and trace are of the reader's own code."""

    outcome: Outcome
    message: str
    printed: str = ""
    trace: str = ""


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
    test: Callable[..., None] = field(repr=False)
    hints: tuple[str, ...] = field(repr=False)
    answer: str = field(repr=False)
    outcome: Outcome | None = field(default=None, init=False)
    _seen: set[str] | None = field(default=None, init=False, repr=False)  # hints; None = as the progress has it

    def check(self) -> Outcome:
        """Check the objects in the caller's globals (in a notebook: what its cells made); says and records what it found.

        Raises nothing but KeyboardInterrupt, so that a reader can stop a check that takes too long.
        """
        found = self.examine(sys._getframe(1).f_globals)
        unsaved = self.record(found.outcome)
        say(_lines(found.message, found.printed and f"Your code printed:\n{found.printed}"))
        if found.trace and notebook():
            fold("The lines of your code that led there", found.trace)
        if unsaved:
            say(unsaved)
        return found.outcome

    def judge(self, names: Mapping[str, object]) -> tuple[Outcome, str]:
        """The outcome for the objects in `names`, and the message that `check()` prints for it. Records nothing."""
        found = self.examine(names)
        return found.outcome, found.message

    def record(self, outcome: Outcome) -> str:
        """Take an outcome down, here and in the reader's progress; empty, or why it could not be saved, in words."""
        self.outcome = outcome
        return keep(self.id, outcome.casefold())

    def examine(self, names: Mapping[str, object]) -> Finding:
        """All that a check finds for the objects in `names`."""
        objects = {want: names[want] for want in self.wants if want in names}
        for want in self.wants:
            if want not in objects:
                return _found(
                    Outcome.NOT_ATTEMPTED, f": there is no `{want}` yet. Write it in the cell above and run it."
                )
            if is_empty(objects[want]):
                return _found(
                    Outcome.NOT_ATTEMPTED, f": `{want}` is still empty. Fill it in, run its cell, check again."
                )
        with quietly() as printed:
            outcome, words, trace = self._tested(objects, names)
        if outcome is not Outcome.CORRECT:
            for want in self.wants:
                if any(HOLE in source(function) for function in functions(objects[want])):
                    return _found(Outcome.NOT_ATTEMPTED, f": `{want}` still holds `{HOLE}`. Put your code there.")
        return _found(outcome, words, str(printed), trace)

    def _tested(self, objects: Mapping[str, object], names: Mapping[str, object]) -> tuple[Outcome, str, str]:
        try:
            returned = self.test(**objects)
        except NotYet as wrong:
            return Outcome.NOT_YET, f": {shorten(text_of(wrong))}", ""
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            fault = blame(error, objects, names)
            if fault.theirs:
                return Outcome.RAISED, f" {fault.words}", fault.trace
            stopped = f": the test stopped with {fault.words}. Your answer may be right: go on, and report this line."
            return Outcome.OUR_FAULT, stopped, ""
        if returned is None:
            return Outcome.CORRECT, f": {self.id} is done.", ""
        returned = f": the test of {self.id} returned {returned!r}. Please report this line."
        return Outcome.OUR_FAULT, returned, ""

    def hint(self, n: int | None = None) -> Said:
        """Say hint number `n`, or without `n` the first one not seen yet, in this kernel or before."""
        known = [str(i + 1) for i in range(len(self.hints))]
        if self._seen is None:
            self._seen = _history(f"{self.id}.hint")
        if n is None:
            n = next((i for i, name in enumerate(known, 1) if name not in self._seen), None)
            if n is None:
                return say(f"No more hints: try {self._name}.solution().")
        if type(n) is not int or not 1 <= n <= len(known):
            last = f"{self._name}.hint({len(known)})"
            return say(f"There is no such hint: {self.id} has {len(known)}, and {last} is the last.")
        self._seen.add(str(n))
        unsaved = keep(f"{self.id}.hint", str(n))
        return say(_lines(f"Hint {n} of {len(known)}: {self.hints[n - 1]}", unsaved))

    def solution(self) -> Said:
        """Show the answer; before the first try it is folded, and hints are pointed to."""
        answer = f"Solution of {self.id}:\n{self.answer}"
        unsaved = keep(f"{self.id}.solution", "seen")
        if {self.outcome, *_history(self.id)} - {None, Outcome.NOT_ATTEMPTED, Outcome.NOT_ATTEMPTED.casefold()}:
            return say(_lines(answer, unsaved))
        untried = f"You have not tried {self.id} yet: {self._name}.hint() gives a nudge first."
        if not notebook():
            return say(_lines(untried, answer, unsaved))
        said = say(_lines(f"{untried} The answer is folded below.", unsaved))
        fold(f"Solution of {self.id}", self.answer)
        return said

    def reset(self) -> Said:
        """Start afresh: no hint seen, no result, the reader's objects gone; and the cell as it came, below in a new one.

        Nothing that the reader wrote is overwritten, and an exercise that was done stays so.
        """
        names, self._seen, self.outcome = sys._getframe(1).f_globals, set(), None
        gone = [f"`{want}`" for want in self.wants if names.pop(want, self) is not self]
        words = f"{self.id} starts afresh: no hint seen, no result. "
        if gone:
            words += f"{' and '.join(gone)} forgotten. "
        if _history(self.id) & DONE:
            words += "In your progress it stays done. "
        cell, page = cell_as_it_came(self.id), f"the notebook {self.id.partition('.')[0]} in exercises/"
        if cell is None:
            words += f"Your cell is as you left it: put `{HOLE}` in place of your lines, or copy the cell from {page}."
        elif shell := notebook():
            shell.set_next_input(cell)
            words += f"Your cell is as you left it: a new one below is as it came (it is also in {page})."
        else:
            words += f"Your cell is as you left it; as it came, it was:\n{cell}"
        return say(words)

    @property
    def _name(self) -> str:
        return f"q{self.id.partition('.')[2]}"


def _found(outcome: Outcome, words: str, printed: str = "", trace: str = "") -> Finding:
    return Finding(outcome, f"{outcome}{words}", printed, trace)


def _history(item: str) -> set[str]:
    """Every outcome that the reader's progress has for an item; none where no progress can be had."""
    try:
        return {event["outcome"] for event in mine().events() if event["item"] == item}
    except CourseError:
        return set()


def _lines(*words: str) -> str:
    return "\n".join(filter(None, words))
