"""What a reader has done, in files that are only ever added to: one file per kernel, merged by union.

A line is one event, `{"item": "104.1", "outcome": "correct", ..., "v": 1, "id": ..., "t": ..., "crc": ...}`. Nothing is
rewritten, so that neither a kill nor a second kernel can lose what `record` has returned, and a sync folder can hold it.
"""

import json
import os
import re
import secrets
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from zlib import crc32

from course_lib.errors import CourseError
from course_lib.folders import progress_folder

FORM = 1
DONE = frozenset({"correct", "passed", "run", "ticked", "done"})  # once reached, an item stays so
CRC = len(',"crc":"12345678"}')
STAMP = len(',"v":1,"id":"0123456789abcdef","t":"2026-11-22T08:40:12.123456Z"') + CRC
START = re.compile(rb'(?=\{"item":)')
KNOWN = {"item": str, "outcome": str, "id": str, "t": str, "v": int}


class Progress:
    """The events in a folder.

    Args:
        folder: made when the first event is recorded.

    .damaged, .newer and .unreadable count, after a read: lines that are no whole event, events of a later version of
    the course, and files that could not be opened. Nothing of these is ever raised.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.damaged = self.newer = self.unreadable = 0
        self._lock = threading.Lock()
        self._pending: list[dict] = []  # recorded, but the disk would not take them
        self._torn = False
        self._pid = 0

    def record(self, item: str, outcome: str, **more) -> dict:
        """Add an event; it is on disk when this returns.

        Args:
            item: what was done: "104" a lesson, "104.1" an exercise, "104.quiz.zero" a question, or any name.
            outcome: one of `DONE` completes the item for good; any other is its outcome until the next.
            more: further fields, of JSON types.

        Raises:
            CourseError: it could not be written. It stays in memory, and is written with the next one.
        """
        if not (isinstance(item, str) and isinstance(outcome, str) and item):
            raise CourseError("An event has an item and an outcome, both text, such as '104.1' and 'correct'.")
        event = {"item": item, "outcome": str(outcome), **more, "v": FORM, "id": secrets.token_hex(8), "t": _now()}
        with self._lock:
            self._pending.append(event)
            try:
                self._append(b"".join(map(line, self._pending)))
            except OSError as error:
                raise CourseError(
                    f"Your progress could not be saved ({error.strerror}): free some space or allow writing in "
                    f"{self.folder}. What you did is remembered while this kernel lives, and saved with the next step."
                ) from None
            self._pending.clear()
        return event

    def undo(self, item: str) -> dict:
        """Take back what `record` completed by hand, event by event: the same tick made elsewhere stays.

        Raises:
            CourseError: as `record`.
        """
        ticks = [event["id"] for event in self.events() if event["item"] == item and event["outcome"] == "ticked"]
        return self.record(item, "unticked", cancels=ticks)

    def state(self) -> dict[str, str]:
        """Item -> outcome. A fold over the events that no order, repetition or damage of files can upset."""
        return {item: event["outcome"] for item, event in self.latest().items()}

    def latest(self) -> dict[str, dict]:
        """Item -> the event that decides its outcome: the last that completed it, else the last."""
        events = self._read(every=False)
        cancelled = {id for event in events for id in event.get("cancels") or ()}
        best: dict[str, tuple[tuple, dict]] = {}
        for event in events:
            if event["id"] not in cancelled:
                rank = (event["outcome"].casefold() in DONE, event["t"], event["id"])
                if event["item"] not in best or rank > best[event["item"]][0]:
                    best[event["item"]] = rank, event
        return {item: event for item, (_, event) in best.items()}

    def events(self) -> list[dict]:
        """Every intact event once, in the order of time."""
        unique = {event["id"]: event for event in self._read(every=True)}
        return sorted(unique.values(), key=lambda event: (event["t"], event["id"]))

    def troubles(self) -> list[str]:
        """One sentence for each kind of trouble that the last read met; empty = none."""
        said = []
        if self.damaged:
            said.append(f"{self.damaged} damaged {_lines(self.damaged)} left out; all whole ones are counted.")
        if self.newer:
            said.append(
                f"{self.newer} {_lines(self.newer)} of a newer version of the course; update it to see them whole."
            )
        if self.unreadable:
            said.append(f"{self.unreadable} of its files cannot be opened: allow reading in {self.folder}.")
        if self._pending:
            said.append(f"{len(self._pending)} not yet saved: free some space or allow writing in {self.folder}.")
        return [f"Of your progress, {words}" for words in said]

    def add(self, events: Iterable[dict]) -> int:
        """Add events of another folder, those that are not here yet; returns how many.

        Raises:
            OSError: they could not be written; then none of them is added.
        """
        here = {event["id"] for event in self.events()}
        new = {event["id"]: event for event in events if _is_event(event) and event["id"] not in here}
        if new:
            with self._lock:
                self._append(b"".join(map(line, new.values())))
        return len(new)

    def _append(self, data: bytes) -> None:
        """Write at the end of this kernel's file and wait for the disk; on failure as much as possible is taken back."""
        if self._pid != os.getpid():  # a new kernel, or a fork of one
            self._pid, self._name = os.getpid(), f"{secrets.token_hex(8)}.jsonl"
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / self._name
        new = not path.exists()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        size = os.fstat(handle).st_size
        try:
            left = memoryview(b"\n" + data if self._torn else data)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
            self._torn = False
        except OSError:
            self._torn = True
            os.ftruncate(handle, size)
            raise
        finally:
            os.close(handle)
        if new:
            _sync_folder(self.folder)

    def _read(self, every: bool) -> list[dict]:
        """The intact events, or of those of a file that say the same only the last."""
        found = list(self._pending)
        self.damaged = self.unreadable = 0
        try:
            paths = sorted(self.folder.glob("*.jsonl"))
        except OSError:
            paths, self.unreadable = [], 1
        for path in paths:
            try:
                lines = path.read_bytes().split(b"\n")
            except OSError:
                self.unreadable += 1
                continue
            good, bad = _sort(lines)
            if not every:
                good = {text[:-STAMP]: text for text in good}.values()
            events, broken = _parse(good)
            found += events
            self.damaged += bad + broken
        self.newer = sum(event["v"] > FORM for event in found)
        return found


def line(event: dict) -> bytes:
    """An event as a line of a file, sealed by its CRC-32."""
    text = json.dumps(event, separators=(",", ":")).encode()[:-1]
    return text + b',"crc":"%08x"}\n' % crc32(text)


def keep(item: str, outcome: str, **more) -> str:
    """Record in the reader's own folder; empty, or why it could not be saved, in words. Never raises."""
    try:
        mine().record(item, outcome, **more)
    except CourseError as error:
        return str(error)
    return ""


_MINE: dict[Path, Progress] = {}


def mine() -> Progress:
    """The reader's own progress, in `progress_folder()`."""
    folder = progress_folder().absolute()
    if folder not in _MINE:
        _MINE[folder] = Progress(folder)
    return _MINE[folder]


def _sort(lines: list[bytes]) -> tuple[list[bytes], int]:
    """Lines whose seal is right, and how many are damaged; a line that lost its end is searched for whole events."""
    try:
        sealed = list(map(int, [text[-10:-2] or b"0" for text in lines], repeat(16)))
    except ValueError:
        sealed = [None] * len(lines)
    if sealed == list(map(crc32, [text[:-CRC] for text in lines])):
        return [text for text in lines if text], 0
    good, bad = [], 0
    for text in filter(None, lines):
        whole = [match for piece in START.split(text) if (match := _sealed(piece))]
        good += whole
        bad += not whole or len(whole) < text.count(b'{"item":')
    return good, bad


def _sealed(piece: bytes) -> bytes | None:
    end = piece.rfind(b'"}') + 2
    piece = piece[:end]
    return piece if piece[-CRC:] == b',"crc":"%08x"}' % crc32(piece[:-CRC]) else None


def _parse(lines: Iterable[bytes]) -> tuple[list[dict], int]:
    events, broken = [], 0
    for text in lines:
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            event = None
        if _is_event(event):
            event.pop("crc", None)
            events.append(event)
        else:
            broken += 1
    return events, broken


def _is_event(event) -> bool:
    """Whether it has the fields that every version has, and nothing that would upset the fold."""
    if not isinstance(event, dict) or any(type(event.get(name)) is not kind for name, kind in KNOWN.items()):
        return False
    cancels = event.get("cancels", [])
    return isinstance(cancels, list) and all(isinstance(id, str) for id in cancels)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _lines(count: int) -> str:
    return "record is" if count == 1 else "records are"


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable, where the system can do that (not on Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
