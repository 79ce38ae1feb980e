"""How far a reader is: what the events come to, item by item. Pure, and monotone: more events never untick an item."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from course_lib.errors import CourseError
from course_lib.learn.paths import (
    ITEMS,
    LESSONS,
    LEVELS,
    PATHS,
    TECHNIQUES,
    Checklist,
    Item,
    LearningPath,
    Lesson,
    spans,
)
from course_lib.learn.progress import DONE
from course_lib.learn.quiz import question_items
from course_lib.said import clip

LONGEST_NOTE = 1000  # characters


@dataclass(frozen=True)
class Mark:
    """An item of a checklist for one reader; `how` it was ticked, or what is missing, in words."""

    item: Item
    earned: bool  # by lessons, exercises, quizzes
    by_hand: bool
    how: str

    @property
    def ticked(self) -> bool:
        return self.earned or self.by_hand


@dataclass(frozen=True)
class Standing:
    """What a reader has done, and has chosen; `path` is None and `focus` empty where nothing was chosen."""

    path: LearningPath | None
    focus: str
    celebrate: bool
    done: frozenset[str]  # items of events that are completed
    marks: Mapping[str, Mark]
    notes: Mapping[str, str]

    def run(self, lesson: Lesson) -> bool:
        """Whether a lesson was run to its end."""
        return lesson.number in self.done

    def open_questions(self, lesson: Lesson) -> tuple[str, ...]:
        """The questions of its exercise that are not correct yet."""
        return tuple(item for item in lesson.questions if item not in self.done)

    def open_quiz(self, lesson: Lesson) -> tuple[str, ...]:
        """The questions of its quiz that are not correct yet."""
        return tuple(item for item in quiz_items(lesson.number) if item not in self.done)

    def exercises(self) -> tuple[int, int]:
        """How many exercise questions are correct, and how many there are."""
        every = [question for lesson in LESSONS.values() for question in lesson.questions]
        return sum(question in self.done for question in every), len(every)

    def quizzes(self) -> tuple[int, int]:
        """How many quizzes are passed, and how many there are."""
        every = [lesson for lesson in LESSONS.values() if quiz_items(lesson.number)]
        return sum(not self.open_quiz(lesson) for lesson in every), len(every)

    def lessons(self) -> tuple[int, int]:
        """How many lessons were run, and how many are written."""
        ready = [lesson for lesson in LESSONS.values() if lesson.ready]
        return sum(map(self.run, ready)), len(ready)

    def count(self, checklist: Checklist) -> tuple[int, int]:
        """How many items are ticked, and how many there are."""
        return sum(self.marks[item.id].ticked for item in checklist.items), len(checklist.items)


def standing(state: Mapping[str, str]) -> Standing:
    """What `Progress.state()` comes to; names that the course does not know are left out."""
    done = frozenset(item for item, outcome in state.items() if outcome.casefold() in DONE)
    notes = {name: plain(state.get(f"note.{name}", "")) for name in TECHNIQUES}
    return Standing(
        path=PATHS.get(state.get("path", "")),
        focus=state["focus"] if state.get("focus") in TECHNIQUES else "",
        celebrate=state.get("celebrate") != "off",
        done=done,
        marks={item.id: _mark(item, done) for item in ITEMS.values()},
        notes={name: words for name, words in notes.items() if words},
    )


@cache
def quiz_items(number: str) -> tuple[str, ...]:
    """The questions of a lesson's quiz; none where it has none, or where its file is damaged (the quiz itself says so)."""
    try:
        return question_items(number)
    except CourseError:
        return ()


def plain(text: str) -> str:
    """A reader's text in one line that any terminal, page and file can take."""
    line = " ".join(clip(text.strip(), LONGEST_NOTE).split())
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line)


def _mark(item: Item, done: frozenset[str]) -> Mark:
    missing = [token for token in item.by if not _reached(token, done)]
    earned = bool(item.by) and not missing
    by_hand = item.id in done
    how = _done_words(item) if earned else "by hand" if by_hand else _missing_words(item, missing, done)
    return Mark(item, earned, by_hand, how)


def _reached(token: str, done: frozenset[str]) -> bool:
    number, _, part = token.partition(".")
    if token in LEVELS:
        return all(lesson.number in done for lesson in LESSONS.values() if lesson.level == token)
    if part in ("exercise", "quiz"):
        parts = LESSONS[number].questions if part == "exercise" else quiz_items(number)
        return bool(parts) and done.issuperset(parts)
    return token in done


# What of a lesson counts: as the first thing that is said of it, and after another.
DID = {
    "": ("lesson {} run", ""),
    "exercise": ("exercise of lesson {} solved", "its exercise solved"),
    "quiz": ("quiz of lesson {} passed", "its quiz passed"),
    "plan": ("plan saved in lesson {}", "a plan saved"),
}
DO = {
    "": ("run lesson {}", ""),
    "exercise": ("solve the exercise of lesson {}", "solve its exercise"),
    "quiz": ("pass the quiz of lesson {}", "pass its quiz"),
    "plan": ("save a plan in lesson {}", "save a plan"),
}


def _done_words(item: Item) -> str:
    """How an item was earned: "lesson 101 run, quiz passed"."""
    if levels := [token for token in item.by if token in LEVELS]:
        return f"all {' and '.join(levels)} lessons run"
    return "; ".join(_words(DID, number, parts, ", ") for number, parts in _parts(item.by).items())


def _missing_words(item: Item, missing: list[str], done: frozenset[str]) -> str:
    """What is to be done for an item, and what of it cannot be done because it is not written yet."""
    if not item.by:
        return "; ".join(["tick it by hand", *(f"lesson {one.number} teaches it{_later(one)}" for one in item.lessons)])
    if levels := [token for token in missing if token in LEVELS]:
        left = [one for one in LESSONS.values() if one.level in levels and one.number not in done]
        ready, later = ([one.number for one in left if one.ready is written] for written in (True, False))
        run = [f"run {_lessons(ready)}"] if ready else []
        return "; ".join(
            run + ([f"{_lessons(later)} {'are' if len(later) > 1 else 'is'} not written yet"] if later else [])
        )
    parts_left = _parts(missing)
    return ", ".join(
        _words(DO, number, parts, " and ") + _later(LESSONS[number]) for number, parts in parts_left.items()
    )


def _words(said: dict[str, tuple[str, str]], number: str, parts: list[str], between: str) -> str:
    return between.join(said[part][place > 0].format(number) for place, part in enumerate(parts))


def _parts(tokens: Iterable[str]) -> dict[str, list[str]]:
    """Lesson number -> what of it: "" the lesson itself, "quiz", "exercise", "plan"."""
    parts: dict[str, list[str]] = {}
    for token in tokens:
        number, _, part = token.partition(".")
        parts.setdefault(number, []).append(part)
    return parts


def _later(lesson: Lesson) -> str:
    return "" if lesson.ready else " (not written yet)"


def _lessons(numbers: list[str]) -> str:
    return f"lesson{'s' if len(numbers) > 1 else ''} {spans(numbers)}"
