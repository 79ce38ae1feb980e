"""Progress in words: for a terminal of 80 columns, and as Markdown to keep."""

import re
from collections.abc import Iterable, Mapping
from textwrap import wrap

from course_lib.learn.paths import ITEMS, LEVELS, LISTS, PATHS, START, TECHNIQUES, LearningPath, lesson_of
from course_lib.learn.standing import Standing, standing
from course_lib.learn.steps import next_step

WIDTH = 80
BAR = 20
NUMBERS = {id: number for number, id in enumerate(ITEMS, 1)}


def progress_text(state: Mapping[str, str], troubles: Iterable[str] = ()) -> str:
    """Bars, what is next, the checklists and the tracking table, in lines of at most 80 columns."""
    now = standing(state)
    lines = [f"{title:<26} {_bar(done, of)} {done} of {of}{more}" for title, done, of, more in bars(now)]
    for words in (next_step(state).words, *troubles):
        lines += ["", *wrap(words, WIDTH)]
    for one in LISTS:
        lines += ["", one.title if one is START else path_words(one)[0]]
        for item in one.items:
            mark = now.marks[item.id]
            lines.append(f"{NUMBERS[item.id]:>3} {_box(mark.ticked)} {item.words}")
            if one in (now.path, START) or mark.ticked:
                lines += wrap(mark.how, WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)
    lines += ["", f"{'Technique':<18}" + "".join(f"{level.capitalize():<14}" for level in LEVELS).rstrip()]
    for name, title in TECHNIQUES.items():
        lines.append(f"{title:<18}" + "".join(f"{cell:<14}" for cell in cells(now, name)).rstrip())
        if name in now.notes:
            lines += wrap(f"Note: {now.notes[name]}", WIDTH, initial_indent="  ", subsequent_indent="  ")
    lines += ["", *wrap("Tick an item by its number: course.tick(3) or `course tick 3`; untick takes it back.", WIDTH)]
    return "\n".join(lines)


def bars(now: Standing) -> list[tuple[str, int, int, str]]:
    """What is counted: title, done, of how many, and a word on it."""
    paths = [(path.title, *now.count(path), " (your path)" if path is now.path else "") for path in PATHS.values()]
    lessons = ("Lessons run", *now.lessons(), " that are written")
    return [
        *paths,
        lessons,
        ("Exercise questions correct", *now.exercises(), ""),
        ("Quizzes passed", *now.quizzes(), ""),
    ]


def path_words(path: LearningPath) -> tuple[str, str]:
    """A path's title with its length, and its goal."""
    return f"{path.title} ({path.weeks}, {path.hours})", path.goal


def paths_text(now: Standing) -> str:
    """The three paths: what each is for, how long it takes, its items."""
    lines = []
    for path in PATHS.values():
        title, goal = path_words(path)
        done, of = now.count(path)
        lines += [f"{title}{', your path' if path is now.path else ''}: {done} of {of} items", *wrap(goal, WIDTH)]
        lines += [f"  {_box(now.marks[item.id].ticked)} {item.words}" for item in path.items]
        lines += [f"  Choose it with course.path({path.id!r}).", ""]
    return "\n".join(lines[:-1])


def cells(now: Standing, technique: str) -> list[str]:
    """A technique's row of the tracking table: "[x] 104", "[ ] 204", "N/A"."""
    lessons = [lesson_of(technique, level) for level in LEVELS]
    return [f"{_box(now.run(lesson))} {lesson.number}" if lesson else "N/A" for lesson in lessons]


def checklist_markdown(state: Mapping[str, str]) -> str:
    """All checklists and the tracking table as Markdown; what the reader wrote stays text."""
    now = standing(state)
    lines = ["# My progress"]
    for one in LISTS:
        done, of = now.count(one)
        title = one.title if one is START else path_words(one)[0]
        lines += ["", f"## {title}: {done} of {of}", ""]
        for mark in (now.marks[item.id] for item in one.items):
            lines.append(f"- {_box(mark.ticked)} {mark.item.words}{f' ({mark.how})' if mark.ticked else ''}")
    lines += [
        "",
        "## Techniques",
        "",
        "| Technique | Beginner | Intermediate | Expert | Notes |",
        "|---|---|---|---|---|",
    ]
    for name, title in TECHNIQUES.items():
        row = [title, *cells(now, name), _literal(now.notes.get(name, ""))]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _bar(done: int, of: int) -> str:
    full = BAR * done // of if of else 0
    return f"[{'#' * full}{'.' * (BAR - full)}]"


def _box(ticked: bool) -> str:
    return "[x]" if ticked else "[ ]"


def _literal(text: str) -> str:
    """Text that stays text in Markdown: no markup, link, mention, formula or cell of a table."""
    return re.sub(r"(?i)(?=[\\`*_{}\[\]|~#:@$<>&]|\bwww\.)", "\\\\", text).replace("\\www.", "www\\.")
