"""What a reader calls to see and to steer a way through the course; each prints its words and returns them."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from course_lib.folders import work_folder
from course_lib.learn import acts
from course_lib.learn.paths import TECHNIQUES, Lesson, find_lesson
from course_lib.learn.place import where_kept
from course_lib.learn.progress import keep, mine
from course_lib.learn.progress_text import checklist_markdown as checklist_markdown
from course_lib.learn.progress_text import paths_text, progress_text
from course_lib.learn.standing import standing
from course_lib.learn.steps import Step, next_step
from course_lib.said import Said, clip, say

_begun: set[str] = set()  # numbers of the lessons that were begun in this kernel


def lesson(number) -> Said:
    """Begin a lesson: where you are, what is next, and whether your progress can be saved.

    Raises:
        CourseError: there is no such lesson.
    """
    here = find_lesson(number)
    _begun.add(here.number)
    kept = where_kept()  # first, as it may bring earlier progress along
    state = mine().state()
    words = f"You are in {here.name}. {_off_focus(here, state)}".rstrip()
    return say(_lines(words, next_words(state), kept, _unsaveable(), *mine().troubles()))


def finish(number) -> Said:
    """Mark a lesson as run: the last cell of its page.

    Raises:
        CourseError: there is no such lesson.
    """
    here = find_lesson(number)
    if here.number not in _begun:
        return say(f"{here.name} is not marked as run: run its first cell, then the others, and this one again.")
    before = acts.now()
    trouble = keep(here.number, "run")
    state = mine().state()
    return say(_lines(f"{here.name} is run.", acts.won_words(before, standing(state)), trouble, next_words(state)))


def next() -> Said:
    """Say what comes next on your path: the page, the question, and about how long it takes."""
    return say(next_words(mine().state()))


def progress() -> Said:
    """Show what you have done: bars, checklists, the table of techniques, and what comes next."""
    return say(text())


def path(name=None) -> Said:
    """Choose a learning path by its name ("quick", "deep", "production"); without one, describe the three.

    Raises:
        CourseError: there is no such path.
    """
    return say(paths_text(acts.now()) if name is None else _lines(acts.choose_path(name), next_words(mine().state())))


def focus(technique="") -> Said:
    """Put the lessons of one technique first ("lora"); `None` ends it; nothing says which there are.

    Raises:
        CourseError: there is no such technique.
    """
    if technique == "":
        chosen = acts.now().focus
        words = f"Your focus is {TECHNIQUES[chosen]}." if chosen else "You have no focus."
        return say(f"{words} Choose one with course.focus: {', '.join(map(repr, TECHNIQUES))}; None ends it.")
    return say(_lines(acts.set_focus(technique), next_words(mine().state())))


def tick(item) -> Said:
    """Tick an item of a checklist by hand: its number or id, as `progress()` shows them.

    Raises:
        CourseError: there is no such item.
    """
    return say(acts.tick(item))


def untick(item) -> Said:
    """Take back a tick by hand.

    Raises:
        CourseError: there is no such item.
    """
    return say(acts.untick(item))


def note(technique, words) -> Said:
    """Keep a note on a technique in the tracking table, in place of the one before.

    Raises:
        CourseError: there is no such technique.
    """
    return say(acts.write_note(technique, words))


def text() -> str:
    """What `progress()` prints."""
    state = mine().state()
    return progress_text(state, mine().troubles())


def next_words(state: Mapping[str, str]) -> str:
    """What `next()` prints, for `Progress.state()`."""
    step = next_step(state)
    return step.words + _copy(step)


def _copy(step: Step) -> str:
    """How the reader gets a copy of an exercise that is not in `my_work/` yet."""
    if not step.lesson or step.notebook != step.lesson.exercise:
        return ""
    if os.path.exists(work_folder() / Path(step.notebook).name):
        return ""
    return f" It is not there yet: `course learn` copies it, or copy it yourself from exercises/{step.lesson.level}."


def _off_focus(here: Lesson, state: Mapping[str, str]) -> str:
    focus, step = standing(state).focus, next_step(state)
    if not focus or here.technique == focus or not step.lesson or step.lesson.technique != focus:
        return ""
    return f"Your focus is {TECHNIQUES[focus]}, and this lesson is about something else: course.focus(None) ends it. "


def _unsaveable() -> str:
    """Why progress cannot be saved, found out before there is any to lose; empty where it can be."""
    folder = mine().folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(4096))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return f"Your progress cannot be saved ({why}): free some space or allow writing in {clip(str(folder))}."
    return ""


def _lines(*lines: str) -> str:
    return "\n".join(filter(None, lines))
