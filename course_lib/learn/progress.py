"""What a reader has done, in files that are only ever added to: one file per kernel, merged by union.

A line is one event, `{"item": "104.1", "outcome": "correct", ..., "v": 1, "id": ..., "t": ..., "crc": ...}`. Nothing is
rewritten, so that neither a kill nor a second kernel can lose what `record` has returned, and a sync folder can hold it.
"""

import json
import os
import secrets
import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.folders import progress_folder, write_whole
from course_lib.learn.durable import append, sync, sync_folders
from course_lib.learn.records import FORM, decisive, decode, is_event, line, newest, once, parse, uncancelled, whole
from course_lib.said import clip

DONE = frozenset({"correct", "passed", "run", "ticked", "done"})  # once reached, an item stays so
OURS = frozenset({"item", "outcome", "v", "id", "t", "crc"})  # fields that an event sets itself
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


class Progress:
    """The events in a folder.

    Args:
        folder: made when the first event is recorded.

    .unreadable counts the files that could not be opened at the last read. Trouble of that kind is never raised.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(os.path.abspath(folder))
        self.unreadable = 0
        self._locks: dict[int, threading.Lock] = {}  # by process: a fork copies a lock that nobody will ever release
        self._pid = 0
        self._name = ""
        self._pending: list[dict] = []  # recorded, but the disk would not take them
        self._torn = False
        self._last = ""  # the time of the newest event known here

    def record(self, item: str, outcome: str, **more) -> dict:
        """Add an event; it is on disk when this returns.

        Args:
            item: what was done: "104" a lesson, "104.1" an exercise, "104.quiz.zero" a question, or any name.
            outcome: one of `DONE` completes the item for good; any other is its outcome until the next.
            more: further fields, of JSON types.

        Raises:
            CourseError: the event is not one, or it could not be written. Then it stays in memory, and is written with
                the next one.
        """
        event = _event(item, outcome, more)
        if not self._last and event["outcome"].casefold() not in DONE:
            self.latest()  # so that it counts as later than all that is there, whatever the clocks say
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            if self._pid != os.getpid():  # a new kernel, or a fork of one
                self._pid, self._name, self._pending, self._torn = os.getpid(), _new_name(), [], False
            self._last = event["t"] = _time_after(self._last)
            self._pending.append(event)
            try:
                self._append(b"".join(map(line, self._pending)))
            except (OSError, ValueError) as error:
                raise CourseError(self._why(error)) from None
            self._pending.clear()
        return event

    def undo(self, item: str) -> dict:
        """Take back what `record` completed by hand, event by event: the same tick made elsewhere stays.

        Raises:
            CourseError: as `record`.
        """
        events = uncancelled(self._read())
        ticks = [event["id"] for event in events if event["item"] == item and event["outcome"] == "ticked"]
        return self.record(item, "unticked", cancels=ticks)

    def state(self) -> dict[str, str]:
        """Item -> outcome. A fold over the events that no order, repetition or damage of files can upset."""
        return {item: event["outcome"] for item, event in self.latest().items()}

    def latest(self) -> dict[str, dict]:
        """Item -> the event that decides its outcome: the last that completed it, else the last.

        A time more than a day ahead is not believed: such an event counts as the earliest.
        """
        best: dict[str, tuple[tuple, dict]] = {}
        limit = _tomorrow()
        for event in uncancelled(self._read()):
            time = event["t"] if event["t"] < limit else ""
            self._last = max(self._last, time)
            rank = (event["outcome"].casefold() in DONE, time, event["outcome"], event["id"])
            if event["item"] not in best or rank > best[event["item"]][0]:
                best[event["item"]] = rank, event
        return {item: event for item, (_, event) in best.items()}

    def events(self) -> list[dict]:
        """Every intact event once, in the order of time."""
        return sorted(once(self._examine()[0]), key=lambda e: (e["t"], e["id"], e["item"], e["outcome"]))

    @property
    def damaged(self) -> int:
        """How many lines are no whole event. Reads every line of every file, as `state` need not."""
        return self._examine()[1]

    @property
    def newer(self) -> int:
        """How many events are of a later version of the course; reads every line."""
        return sum(event["v"] > FORM for event in self._examine()[0])

    def troubles(self) -> list[str]:
        """One sentence for each kind of trouble; empty = none. Reads every line."""
        events, damaged = self._examine()
        newer, said = sum(event["v"] > FORM for event in events), []
        if damaged:
            said.append(f"{_count(damaged, 'line')} damaged; every whole record is counted.")
        if newer:
            said.append(f"{_count(newer, 'record')} of a newer version of the course; update it to see them whole.")
        if self.unreadable:
            said.append(f"{_count(self.unreadable, 'file')} unreadable: allow reading in {self._where()}.")
        if self._pending:
            said.append(f"{_count(len(self._pending), 'record')} not saved yet: {self._remedy()}.")
        return [f"Of your progress, {words}" for words in said]

    def add(self, events: Iterable[dict]) -> int:
        """Add events of another folder, those that are not here yet: all of them or none. Returns how many.

        Raises:
            OSError: they could not be written; then none of them is added.
        """
        here = self.events()
        new = once([*here, *filter(is_event, events)])[len(here) :]
        if new:
            path = self.folder / _new_name()
            write_whole(path, b"".join(map(line, new)).decode())
            sync(path)
            sync_folders(self.folder)
        return len(new)

    def _append(self, data: bytes) -> None:
        torn, self._torn = self._torn, True
        append(self.folder / self._name, b"\n" + data if torn else data)
        self._torn = False

    def _read(self) -> list[dict]:
        """The intact events that can decide an outcome."""
        pending, limit = list(self._pending), _tomorrow()
        lines = [text for data in self._data() for text in decisive(data, limit)]
        return parse(newest(lines, limit))[0] + pending

    def _examine(self) -> tuple[list[dict], int]:
        """Every intact event, and how many lines hold none."""
        pending, lines, damaged = list(self._pending), [], 0
        for data in self._data():
            good, bad = whole(data)
            lines += good
            damaged += bad
        events, broken = parse(lines)
        return events + pending, damaged + broken

    def _data(self) -> Iterable[bytes]:
        """What is in each file that can be read."""
        self.unreadable = 0
        for path in self._files():
            try:
                data = path.read_bytes() if path.is_file() else None  # a pipe would be waited for
            except OSError:
                data = None
            if data is None:
                self.unreadable += 1
            else:
                yield data

    def _files(self) -> list[Path]:
        try:
            return [self.folder / name for name in sorted(os.listdir(self.folder)) if name.endswith(".jsonl")]
        except FileNotFoundError:
            return []
        except (OSError, ValueError):
            self.unreadable = 1
            return []

    def _why(self, error: Exception) -> str:
        reason = getattr(error, "strerror", None) or error
        return (
            f"Your progress could not be saved ({reason}): {self._remedy()}; what you did is remembered while this "
            "kernel lives, and saved with the next step."
        )

    def _remedy(self) -> str:
        nearest = next(filter(os.path.exists, (self.folder, *self.folder.parents)), self.folder)
        if os.path.isfile(nearest):
            return f"move the file {clip(str(nearest))} away, for a folder belongs there"
        return f"free some space or allow writing in {self._where()}"

    def _where(self) -> str:
        return clip(str(self.folder))


def keep(item: str, outcome: str, **more) -> str:
    """Record in the reader's own folder; empty, or why it could not be saved, in words. Never raises."""
    try:
        mine().record(item, outcome, **more)
    except CourseError as error:
        return str(error)
    except OSError as error:  # the current folder is gone, and progress lies below it
        return f"Your progress could not be saved ({error.strerror}): restart the kernel."
    return ""


_MINE: dict[Path, Progress] = {}


def mine() -> Progress:
    """The reader's own progress, in `progress_folder()`."""
    folder = progress_folder().absolute()
    if folder not in _MINE:
        _MINE.setdefault(folder, Progress(folder))
    return _MINE[folder]


def _event(item: str, outcome: str, more: dict) -> dict:
    """An event as it will be read again, without its time."""
    if not (isinstance(item, str) and isinstance(outcome, str) and item):
        raise CourseError("An event has an item and an outcome, both text, such as '104.1' and 'correct'.")
    if taken := OURS & more.keys():
        raise CourseError(f"An event sets {', '.join(sorted(taken))} itself: give your own field another name.")
    event = {"item": item, "outcome": outcome, **more, "v": FORM, "id": secrets.token_hex(8), "t": ""}
    with suppress(TypeError, ValueError, RecursionError):
        event = decode(json.dumps(event))
        if is_event(event):
            return event
    raise CourseError(
        "The fields of an event are text, finite numbers, True, False, None, and lists and dicts of these."
    )


def _time_after(last: str) -> str:
    """Now; where the clock has not passed `last`, a moment after that."""
    now = datetime.now(UTC).strftime(TIME)
    if last >= now:
        with suppress(ValueError):
            return (datetime.strptime(last, TIME) + timedelta(microseconds=1)).strftime(TIME)
    return now


def _tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).strftime(TIME)


def _new_name() -> str:
    return f"{secrets.token_hex(8)}.jsonl"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun} is" if count == 1 else f"{count:,} {noun}s are"
