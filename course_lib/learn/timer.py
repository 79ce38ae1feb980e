"""A study timer as pure functions: some minutes of focus, then a break.

It has no thread: what is kept is the moment at which it began, and how long it ran before. A page, a kernel and a file can
each say from that where it stands, and a busy kernel delays nothing.
"""

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.learn.blame import text_of
from course_lib.said import clip

FORM = 1  # of the file; another one is not read
DAY = 24 * 3600.0
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Moment:
    """A moment by two clocks. wall: seconds since 1970, which can jump. steady: seconds of a clock that only goes on,
    sleep included. boot: the start of the machine that `steady` counts from; empty where it has no name."""

    wall: float
    steady: float = 0.0
    boot: str = ""

    def since(self, earlier: "Moment") -> float:
        """Seconds between: by the steady clock within one start of the machine, else by the wall clock; never negative."""
        if self.boot and self.boot == earlier.boot:
            return max(0.0, self.steady - earlier.steady)
        return max(0.0, self.wall - earlier.wall)


def moment(ago: float = 0.0) -> Moment:
    """Now, or some seconds ago."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    steady = time.monotonic() if clock is None else time.clock_gettime(clock)
    try:
        boot = BOOT.read_text().strip()
    except (OSError, ValueError):
        boot = ""
    return Moment(time.time() - ago, steady - ago, boot)


@dataclass(frozen=True)
class TimerState:
    """A timer. spent_s: how long it ran before `since`; since: when it last began to run, None while it does not run."""

    focus_s: float = 25 * 60.0
    break_s: float = 5 * 60.0
    spent_s: float = 0.0
    since: Moment | None = None
    paused: bool = False

    def elapsed(self, now: Moment) -> float:
        """Seconds that it has run, up to the end of the break."""
        running = now.since(self.since) if self.since else 0.0
        return min(self.spent_s + running, self.focus_s + self.break_s)


class Phase(NamedTuple):
    """A part of a timer: it ends `ends_s` after the start; `words` has {left} in place of the time left."""

    name: str
    length_s: float
    ends_s: float
    words: str


class Standing(NamedTuple):
    """Where a timer stands. phase: not started, focus, break, over or paused; 0 <= left_s <= the length of that part."""

    phase: str
    left_s: float
    words: str


def start(timer: TimerState, now: Moment, focus_min=None, break_min=None) -> TimerState:
    """A new run, with the lengths of the last one where none are given.

    Raises:
        CourseError: a length is no number of minutes from one second to 24 hours.
    """
    focus_s = timer.focus_s if focus_min is None else seconds("focus", focus_min)
    break_s = timer.break_s if break_min is None else seconds("break", break_min)
    return TimerState(focus_s, break_s, since=now)


def pause(timer: TimerState, now: Moment) -> TimerState:
    """Stop the clock; a timer that does not run stays as it is."""
    if timer.since is None or standing(timer, now).phase == "over":
        return timer
    return replace(timer, spent_s=timer.elapsed(now), since=None, paused=True)


def resume(timer: TimerState, now: Moment) -> TimerState:
    """Go on where it was paused; a timer that is not paused stays as it is."""
    return replace(timer, since=now, paused=False) if timer.paused else timer


def stop(timer: TimerState) -> TimerState:
    """The same lengths, not started."""
    return TimerState(timer.focus_s, timer.break_s)


def phases(timer: TimerState) -> tuple[Phase, Phase]:
    """Focus and break."""
    focus, rest = length(timer.focus_s), length(timer.break_s)
    return (
        Phase("focus", timer.focus_s, timer.focus_s, f"Focus: {{left}} left of {focus}, then a break of {rest}."),
        Phase(
            "break",
            timer.break_s,
            timer.focus_s + timer.break_s,
            f"Break: {{left}} left of {rest}, after {focus} of focus.",
        ),
    )


def over(timer: TimerState) -> str:
    """What is said after the break."""
    return f"Over: {length(timer.focus_s)} of focus and {length(timer.break_s)} of break are done; start again when you like."


def standing(timer: TimerState, now: Moment) -> Standing:
    """Where the timer stands now, in words too."""
    if timer.since is None and not timer.paused:
        words = f"{length(timer.focus_s)} of focus, then {length(timer.break_s)} of break: not started."
        return Standing("not started", timer.focus_s, words)
    elapsed = timer.elapsed(now)
    for phase in phases(timer):
        if elapsed < phase.ends_s:
            left = min(phase.ends_s - elapsed, phase.length_s)
            words = phase.words.format(left=clock(left))
            return Standing("paused", left, f"Paused. {words}") if timer.paused else Standing(phase.name, left, words)
    return Standing("over", 0.0, over(timer))


def clock(left_s: float) -> str:
    """17:20, or 1:05:00 from an hour on; a second that has begun is shown whole."""
    minutes, s = divmod(math.ceil(left_s), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def length(length_s: float) -> str:
    """A length in words: 25 min, 0.5 min."""
    return f"{length_s / 60:.4g} min"


def seconds(part: str, minutes) -> float:
    """A length that was given in minutes, as a number or typed; `part` is focus or break.

    Raises:
        CourseError: it is no number from one second to 24 hours.
    """
    try:
        if isinstance(minutes, str):
            given = float(minutes.casefold().strip().removesuffix("minutes").removesuffix("min")) * 60
        else:
            given = float(minutes) * 60 if isinstance(minutes, Real) and not isinstance(minutes, bool) else 0.0
    except (ValueError, OverflowError):
        given = 0.0
    if not 1 <= given <= DAY:
        shown = clip(text_of(minutes), 40)
        raise CourseError(
            f"{part.capitalize()} of {shown!r}: give a number of minutes above 0 and up to 1440 (24 hours), such as 25."
        )
    return given


_UNSAVED: dict[Path, TimerState] = {}  # what the disk would not take


def read(path: Path) -> tuple[TimerState, str]:
    """The timer of a file and no words; a new one, and why in words, where it cannot be read. Never raises."""
    if path in _UNSAVED:
        return _UNSAVED[path], ""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(kept, dict) or kept.get("form") != FORM:
            return TimerState(), f"{path.name} was written by another version of the course: the timer starts afresh."
        since = kept["since"]
        if since is not None:
            since = Moment(_number(since["wall"]), _number(since["steady"]), str(since["boot"]))
        lengths = [_number(kept[name], 1, DAY) for name in ("focus_s", "break_s")]
        spent = _number(kept["spent_s"], 0, sum(lengths))
        return TimerState(*lengths, spent, since, kept["paused"] is True and since is None), ""
    except FileNotFoundError:
        return TimerState(), ""
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return TimerState(), f"{path.name} is damaged or cannot be opened: the timer starts afresh."


def write(timer: TimerState, path: Path) -> str:
    """Keep the timer, whole or not at all; why not, in words. It then lives in this kernel. Never raises."""
    try:
        write_whole(path, json.dumps({"form": FORM, **asdict(timer)}, indent=1) + "\n")
    except OSError as error:
        _UNSAVED[path] = timer
        return (
            f"{path.name} could not be written ({error.strerror}): the timer runs in this kernel alone until there is "
            f"space and write access in {path.parent}."
        )
    _UNSAVED.pop(path, None)
    return ""


def _number(value, low: float = -1e12, high: float = 1e12) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(value)
    return float(value)
