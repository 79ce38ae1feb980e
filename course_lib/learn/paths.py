"""What there is to learn: the lessons, the overview's three paths and their checklists, the techniques of its table."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.said import clip

LEVELS = ("beginner", "intermediate", "expert")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Lesson:
    """A lesson of the course. `minutes` (reading and running) is 0 while it is not written yet."""

    number: str
    slug: str
    title: str
    level: str
    ends_with: str
    technique: str = ""
    minutes: int = 0
    exercise_minutes: int = 0
    exercises: int = 0  # questions in its exercise

    @property
    def ready(self) -> bool:
        return self.minutes > 0

    @property
    def name(self) -> str:
        return f"{self.number} · {self.title}"

    @property
    def notebook(self) -> str:
        """Its page, from the course folder."""
        return f"notebooks/{self.level}/{self.number}_{self.slug}.ipynb"

    @property
    def exercise(self) -> str:
        """The reader's copy of its exercise, from the course folder."""
        return f"my_work/{self.number}_{self.slug}.ipynb"

    @property
    def questions(self) -> tuple[str, ...]:
        """The items of its exercise: "104.1", "104.2", ..."""
        return tuple(f"{self.number}.{n}" for n in range(1, self.exercises + 1))


@dataclass(frozen=True)
class Item:
    """An item of a checklist, in the guide's words; `by` is all that ticks it (nothing: by hand alone)."""

    id: str
    words: str
    by: tuple[str, ...]
    lessons: tuple[Lesson, ...]  # where it is taught


@dataclass(frozen=True)
class Checklist:
    """Items under a title."""

    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class LearningPath(Checklist):
    """One of the overview's learning paths, its lessons in their order."""

    id: str
    goal: str
    weeks: str
    hours: str
    lessons: tuple[Lesson, ...]


def _read() -> tuple[dict[str, Lesson], dict[str, LearningPath], Checklist, dict[str, str]]:
    lessons = {one["number"]: Lesson(**one) for one in _toml("lessons.toml")["lesson"]}
    written = _toml("paths.toml")

    def chosen(names: Iterable[str]) -> tuple[Lesson, ...]:
        return tuple(one for one in lessons.values() if one.number in names or one.level in names)

    def items(entries: list[dict]) -> tuple[Item, ...]:
        return tuple(item(**entry) for entry in entries)

    def item(id: str, words: str, by: Iterable[str] = (), lessons: Iterable[str] = ()) -> Item:
        return Item(id, words, tuple(by), chosen([*lessons, *(token.partition(".")[0] for token in by)]))

    paths = {}
    for one in written["path"]:
        parts = {"items": items(one.pop("items")), "lessons": chosen(one.pop("levels"))}
        paths[one["id"]] = LearningPath(**one, **parts)
    start = Checklist(written["start"]["title"], items(written["start"]["items"]))
    return lessons, paths, start, written["techniques"]


def _toml(name: str) -> dict:
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


LESSONS, PATHS, START, TECHNIQUES = _read()
LISTS: tuple[Checklist, ...] = (*PATHS.values(), START)
ITEMS = {item.id: item for one in LISTS for item in one.items}  # the numbers that a reader sees are places in it


def lesson_of(technique: str, level: str) -> Lesson | None:
    """The lesson in a cell of the overview's tracking table; None where it says N/A."""
    return next((one for one in LESSONS.values() if (one.technique, one.level) == (technique, level)), None)


def list_of(item: Item) -> Checklist:
    """The checklist that an item is on."""
    return next(one for one in LISTS if item in one.items)


def find_lesson(number) -> Lesson:
    """The lesson of a number.

    Raises:
        CourseError: there is none.
    """
    return LESSONS[_named(number, {number: number for number in LESSONS}, "lesson", spans(LESSONS))]


def find_path(name) -> LearningPath:
    """A path by its id or title.

    Raises:
        CourseError: there is none of that name.
    """
    names = {title.casefold(): one.id for one in PATHS.values() for title in (one.id, one.title)}
    return PATHS[_named(name, names, "path", ", ".join(PATHS))]


def find_technique(name) -> str:
    """The id of a technique, by its id or its title.

    Raises:
        CourseError: there is none of that name.
    """
    names = {word.casefold(): id for id, title in TECHNIQUES.items() for word in (id, title)}
    return _named(name, names, "technique", ", ".join(TECHNIQUES))


def find_item(name) -> Item:
    """An item of a checklist by its id, its number as shown (1 is the first) or its words.

    Raises:
        CourseError: there is none of that name.
    """
    names = {str(place): id for place, id in enumerate(ITEMS, 1)} | {id: id for id in ITEMS}
    names |= {item.words.casefold(): item.id for item in reversed(ITEMS.values())}
    return ITEMS[_named(name, names, "item", f"1 to {len(ITEMS)}, as course.progress() shows them")]


def spans(numbers: Iterable[str]) -> str:
    """Lesson numbers in a row, shortened where they follow each other in the course: "101, 103, 105 to 107"."""
    order, rows = list(LESSONS), []
    for number in numbers:
        if rows and order.index(number) == order.index(rows[-1][-1]) + 1 and number[0] == rows[-1][0][0]:
            rows[-1].append(number)
        else:
            rows.append([number])
    return ", ".join(f"{row[0]} to {row[-1]}" if len(row) > 2 else ", ".join(row) for row in rows)


def _named(name, names: dict[str, str], kind: str, known: str) -> str:
    """What a reader's word stands for."""
    try:
        word = str(name).strip()
    except Exception:  # an integer of 5,000 digits
        word = type(name).__name__
    if word.casefold() in names:
        return names[word.casefold()]
    near = get_close_matches(word[:80].casefold(), names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {known}."
    raise CourseError(f"There is no {kind} {clip(word, 60)!r}: {hint}")
