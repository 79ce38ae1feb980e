"""Progress as one file: for a backup, for another machine, for somebody who wants to see it."""

import json
import os
from contextlib import suppress
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.folders import work_folder, write_whole
from course_lib.learn.progress import mine
from course_lib.learn.records import decode, is_event
from course_lib.said import clip, say

FORM = "finetuning-course progress"
VERSION = 1
HEAD = f'{{"form": "{FORM}"'
NAME = "progress.json"
LARGEST_MB = 200


def export(path: str | os.PathLike | None = None) -> Path:
    """Write all progress into one JSON file that `import_` takes, and beside it a checklist to read (`.md`).

    Args:
        path: the file, or a folder for a `progress.json`; none: `progress.json` in the work folder.

    Returns:
        the JSON file. Nothing of this machine is in it but what was done, and when.

    Raises:
        CourseError: it could not be written, or another file is in the way.
    """
    from course_lib.learn.reader import checklist_markdown

    kept = mine()
    events = [json.dumps(event, sort_keys=True) for event in kept.events()]
    checklist = checklist_markdown(kept.state())
    target = _target(path)
    beside = target.with_suffix(".md")
    _make_sure(target, HEAD)
    if not os.path.exists(target):
        _make_sure(beside, checklist.partition("\n")[0])
    try:
        write_whole(target, "\n".join([f'{HEAD}, "v": {VERSION}, "events": [', ",\n".join(events), "]}", ""]))
        write_whole(beside, checklist)
    except (OSError, ValueError) as error:
        raise CourseError(
            f"Your progress could not be exported to {_shown(target)} ({_reason(error)}): free some space or allow "
            "writing there, or name another file."
        ) from None
    say("\n".join([f"Your progress is in {_shown(target)}, and as a checklist in {_shown(beside)}.", *kept.troubles()]))
    return target


def import_(path: str | os.PathLike) -> int:
    """Add the progress of a file that `export` wrote to your own: all of it or nothing, and nothing twice.

    Nothing that is done becomes undone by it, but for ticks that were taken back there.

    Returns:
        how many of its events are new here.

    Raises:
        CourseError: the file is no such file, or its events could not be saved.
    """
    file = Path(os.path.abspath(os.path.expanduser(_text(path))))
    found = _contents(file)
    entries, newer = found["events"], found["v"] > VERSION
    for entry in entries:
        if isinstance(entry, dict):
            entry.pop("crc", None)  # of a line of a progress file; each line gets its own
    events = [entry for entry in entries if is_event(entry)]
    try:
        new = mine().add(events)
    except (OSError, ValueError, RecursionError) as error:
        raise CourseError(
            f"Nothing of {_shown(file)} was added ({_reason(error)}): free some space or allow writing in "
            f"{_shown(mine().folder)}, then import it again."
        ) from None
    words = [f"{new:,} of {len(events):,} events in {_shown(file)} were new; your progress has them all now."]
    if left_out := len(entries) - len(events):
        are = "is no event and was" if left_out == 1 else "are not events and were"
        words.append(f"{left_out:,} of {len(entries):,} entries {are} left out.")
    if newer:
        words.append("It comes from a newer version of the course: update this one to see all that it holds.")
    say(" ".join(words))
    return new


def _target(path: str | os.PathLike | None) -> Path:
    if path is None:
        return Path(os.path.abspath(work_folder() / NAME))
    target = Path(os.path.abspath(os.path.expanduser(_text(path))))
    if os.path.isdir(target):
        return target / NAME
    return target if target.suffix == ".json" else target.with_name(f"{target.name}.json")


def _make_sure(path: Path, start: str) -> None:
    """Nothing of the reader's is written over: a file that is there begins as ours do."""
    if not os.path.lexists(path):
        return
    found = b""
    if os.path.isfile(path):  # a pipe would be waited for
        with suppress(OSError), open(path, "rb") as file:
            found = file.read(len(start.encode()))
    if found != start.encode():
        raise CourseError(f"{_shown(path)} is there already and is no export: name another file.")


def _contents(file: Path) -> dict:
    """The JSON object of an exported file; its entries are not looked at."""
    which = "name the file that course.export() wrote"
    try:
        if os.path.isdir(file):
            raise CourseError(f"{_shown(file)} is a folder: {which}.")
        if not os.path.isfile(file):
            raise CourseError(f"There is no file {_shown(file)}: {which}.")
        if file.stat().st_size > LARGEST_MB * 1_000_000:
            raise CourseError(f"{_shown(file)} has more than {LARGEST_MB} MB, which is no export: {which}.")
        found = decode(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise CourseError(f"{_shown(file)} cannot be read ({_reason(error)}): allow reading it, or copy it.") from None
    except (ValueError, RecursionError):
        raise CourseError(f"{_shown(file)} is not JSON, or not all of it is there: {which}.") from None
    if not isinstance(found, dict) or found.get("form") != FORM or type(found.get("v")) is not int:
        raise CourseError(f"{_shown(file)} is no export of this course's progress: {which}.")
    if not isinstance(found.get("events"), list):
        which = "update the course, then import it again" if found["v"] > VERSION else which
        raise CourseError(f"{_shown(file)} holds no list of events: {which}.")
    return found


def _text(path: str | os.PathLike) -> str:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise CourseError('Name the file as text, such as "progress.json".')
    return os.fsdecode(path)


def _shown(path: Path) -> str:
    return clip(str(path)).encode("utf-8", "backslashreplace").decode()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
