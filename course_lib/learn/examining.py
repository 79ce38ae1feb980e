"""What the parts of the doctor share: a line, text from outside made fit to show, and a call that may hang."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread

from course_lib.said import clip


@dataclass(frozen=True)
class Line:
    """One part of the machine: fine or not, what was seen, and what to do if it is not fine."""

    part: str
    fine: bool
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"  -> {self.remedy}" if self.remedy and not self.fine else ""
        return f"{'ok ' if self.fine else 'fix'}  {self.part:<15} {self.seen}{remedy}"


def shown(text, longest: int = 80) -> str:
    """Text that others wrote (a variable, a path, a program's answer) on one line, short, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in clip(str(text), longest))


def aside(call: Callable, seconds: float, late) -> Callable:
    """Start a call beside this one.

    Args:
        seconds: from now; a call that takes longer is left behind.
        late: the answer of a call that was left behind.

    Returns:
        A function that waits for the answer; an exception of the call is the answer as well.
    """
    answers, end = SimpleQueue(), time.monotonic() + seconds

    def work() -> None:
        try:
            answers.put(call())
        except Exception as error:
            answers.put(error)

    def answer():
        try:
            return answers.get(timeout=max(0.0, end - time.monotonic()))
        except Empty:
            return late

    Thread(target=work, daemon=True).start()
    return answer
