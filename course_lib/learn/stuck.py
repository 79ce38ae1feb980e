"""Help for someone who is stuck: what the last error means, fifteen minutes for it, and a note of what was tried."""

import linecache
import os
import platform
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from traceback import walk_tb

from course_lib.folders import work_folder
from course_lib.learn import timer
from course_lib.learn.blame import name_of, text_of
from course_lib.learn.known_errors import DIED, KERNEL_DIED, explain, explain_text
from course_lib.learn.redact import clip_redacted
from course_lib.learn.timer import Phase, TimerState, moment
from course_lib.said import Said, say

LIMIT = TimerState(15 * 60.0, 15 * 60.0)  # a quarter of an hour for it, and as long in which to stop
LONGEST = 20_000  # characters of a note
LONGEST_SHOWN = 600
LESSON = re.compile(r"(?:^|[/\\])([1-3]\d\d)_[^/\\]*$")
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
READ = (
    "Read the last line of the error first: its first word is the kind, the rest says what was wrong.",
    "Find the lowest line of the traceback that is in your own cell, and print what goes into it: type(x), x.shape, len(x).",
    "Change one thing at a time; course.stuck('what I tried') keeps it in your notes.",
)
ASK = (
    "There is no error in this kernel. What did you expect, and what do you see? Write both down, the difference is the clue: "
    "course.stuck('expected ..., saw ...').",
    "If the kernel died, tell it so: course.stuck('kernel died').",
    "If a check says Not yet: q1.hint() gives a nudge, q1.hint(2) an approach, q1.hint(3) almost the code.",
)
BREAK = (
    "Well tried: the answer often comes away from the screen. To ask, paste this, and what you wrote down in stuck.md:"
)


def stuck(tried: str = "") -> Said:
    """What the last error means and what to do about it; the first call begins fifteen minutes.

    Args:
        tried: what you tried, or what you see. It is added to `stuck.md` in your work folder, with the error.
    """
    tried = "" if tried is None else text_of(tried).strip()
    said = [help_words(tried), write_down(tried) if tried else "", limit_words(tried)]
    return say("\n".join(filter(None, said)))


def help_words(tried: str = "") -> str:
    """The last error, what it means, and what to do, in order."""
    error, tried = last_error(), tried[:LONGEST]
    known = None if error is None else explain(error)
    known = KERNEL_DIED if DIED.search(tried) else known or explain_text(tried)
    if error is None and known is None:
        return "\n".join(ASK)
    shown = [] if error is None or known is KERNEL_DIED else [first_lines(error), where(error)]
    means = [f"What it means: {known.means}"] if known else ["This error is not among those that the course knows."]
    steps = known.do if known else READ
    return "\n".join(filter(None, [*shown, *means, *(f"{n}. {step}" for n, step in enumerate(steps, 1))]))


def last_error() -> BaseException | None:
    """The last error that a cell of this kernel ended with."""
    error = getattr(sys, "last_exc", getattr(sys, "last_value", None))
    return error if isinstance(error, BaseException) else None


def first_lines(error: BaseException) -> str:
    """The kind of an error and the beginning of what it says, without secrets."""
    lines = [line for line in clip_redacted(text_of(error), LONGEST).splitlines() if line.strip()]
    return plain(f"{name_of(type(error))}: {' '.join(lines[:3])}", LONGEST_SHOWN)


def where(error: BaseException) -> str:
    """The lowest line of the reader's own cells that an error came through; empty where there is none."""
    if isinstance(error, SyntaxError) and error.lineno:
        return _line(error.lineno, text_of(error.text or ""))
    own = [
        (frame, line) for frame, line in walk_tb(error.__traceback__) if frame.f_globals.get("__name__") == "__main__"
    ]
    if not own:
        return ""
    frame, line = own[-1]
    return _line(line, linecache.getline(frame.f_code.co_filename, line, frame.f_globals))


def limit(begin: bool = False) -> tuple[TimerState, str]:
    """The fifteen minutes as they are kept, and what went wrong in words. Half an hour after they began they are forgotten.

    Args:
        begin: begin them where they have not begun.
    """
    path, now = work_folder() / "stuck.json", moment()
    kept, trouble = timer.read(path)
    if timer.standing(kept, now).phase in ("focus", "break"):
        return kept, trouble
    if not begin:
        return LIMIT, ""
    kept = timer.start(LIMIT, now)
    return kept, timer.write(kept, path) or trouble


def limit_words(tried: str = "") -> str:
    """How much of the fifteen minutes is left, which begin now if they have not; after them, kindly, to stop."""
    kept, trouble = limit(begin=True)
    stands = timer.standing(kept, moment())
    if stands.phase == "focus":
        words = limit_phases(kept)[0].words.format(left=timer.clock(stands.left_s))
    else:
        words = "\n".join([limit_phases(kept)[1].words, BREAK, *_indented(note(tried))])
    return "\n".join(filter(None, [words, trouble]))


def limit_phases(kept: TimerState) -> tuple[Phase, Phase]:
    """The quarter of an hour, and the time after it, with words for each."""
    focus, rest = timer.phases(kept)
    return (
        focus._replace(words="{left} left of 15 min for this; then stop and take a break."),
        rest._replace(words="Your 15 min for this are over: stop here, take a break, or ask somebody."),
    )


def note(tried: str = "") -> str:
    """What someone who is to help needs to know: lesson, versions, the error and where, what was tried. No secrets."""
    error, lesson = last_error(), lesson_of_notebook()
    lines = [
        f"{f'Lesson {lesson}, ' if lesson else ''}Python {platform.python_version()}, {_versions()}",
        f"Error: {first_lines(error)}" if error is not None else "No error in this kernel.",
        where(error) if error is not None else "",
        f"Tried: {plain(tried, LONGEST)}" if tried else "",
    ]
    return "\n".join(filter(None, lines))


def write_down(tried: str) -> str:
    """Add what was tried to `stuck.md`: it is on disk when this returns. Where it is, or why not and the text."""
    path = work_folder() / "stuck.md"
    said = f"Only its first {LONGEST:,} characters are kept. " if len(tried) > LONGEST else ""
    entry = note(tried)
    page = "\n".join([f"\n## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n", *_indented(entry), ""])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:  # other kernels write there too, so nothing is ever taken back
            left = memoryview(page.encode())
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
    except OSError as error:
        return (
            f"{said}{path.name} could not be written ({error.strerror}): copy these lines, or make space and write access "
            f"in {path.parent}.\n{entry}"
        )
    return f"{said}Written down in {path.parent.name}/{path.name}."


def lesson_of_notebook() -> str:
    """The number of the lesson whose notebook this is, as the server tells its kernel; empty where it does not."""
    found = LESSON.search(os.environ.get("JPY_SESSION_NAME", ""))
    return found[1] if found else ""


def plain(text: str, longest: int) -> str:
    """Text that can be shown and kept: no secrets, short enough, and what cannot be seen is spelled out."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), clip_redacted(text, longest))


def _line(number: int, code: str) -> str:
    return f"In your cell, line {number}" + (f": `{plain(code.strip(), 200)}`" if code.strip() else "")


def _indented(text: str) -> list[str]:
    """The lines of a text as a code block of Markdown, in which nothing has a meaning."""
    return [f"    {line}" for line in text.splitlines()]


def _versions() -> str:
    found = []
    for package in ("torch", "transformers", "peft", "trl"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)
