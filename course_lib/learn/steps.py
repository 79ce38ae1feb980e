"""What comes next on a reader's path: the page, the question where it stands, and the minutes left."""

from collections.abc import Mapping
from dataclasses import dataclass

from course_lib.learn.paths import PATHS, TECHNIQUES, LearningPath, Lesson, find_path, spans
from course_lib.learn.standing import Standing, standing

QUIZ_MINUTES = 1  # for each question


@dataclass(frozen=True)
class Step:
    """The next thing to do. `notebook` is the page from the course folder, `question` the item where it stands, and both
    are empty where nothing that is written is left. `minutes` are the step's, `path_minutes` those of all that is left.
    """

    words: str
    lesson: Lesson | None = None
    notebook: str = ""
    question: str = ""
    minutes: int = 0
    path_minutes: int = 0


def next_step(state: Mapping[str, str], path: str | None = None) -> Step:
    """The next step on a path (an id or title), or on the chosen one; without one, where to choose it.

    Raises:
        CourseError: there is no such path.
    """
    now = standing(state)
    chosen = find_path(path) if path else now.path
    route = chosen or PATHS["quick"]
    said = (
        ""
        if chosen
        else "No path is chosen yet: course.path('quick') chooses one, and so does the dashboard in lesson 100.\n"
    )
    lessons = [lesson for lesson in route.lessons if _parts(now, lesson)]
    if now.focus:
        focused = [lesson for lesson in lessons if lesson.technique == now.focus]
        said += "" if focused else _no_focus(now, route)
        lessons = focused or lessons
    if not lessons:
        return Step(said + _all_done(route))
    minutes, words, notebook, question = _parts(now, lessons[0])[0]
    left = sum(minutes_left(now, lesson) for lesson in route.lessons)
    words = f"{said}Next: {words} (about {span(minutes)}).{_left(route, left) if chosen else ''}"
    return Step(words, lessons[0], notebook, question, minutes, left)


def minutes_left(now: Standing, lesson: Lesson) -> int:
    """Minutes for what is left of a written lesson: its page, its quiz, its exercise."""
    return sum(minutes for minutes, *_ in _parts(now, lesson))


def span(minutes: int) -> str:
    """Minutes in words: "45 min", "1 h 25 min"."""
    hours, rest = divmod(minutes, 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest or not hours))


def _parts(now: Standing, lesson: Lesson) -> list[tuple[int, str, str, str]]:
    """What is left of a lesson, in order: minutes, words, notebook, question."""
    parts = []
    if lesson.ready and not now.run(lesson):
        parts.append((lesson.minutes, f"read and run {lesson.notebook}", lesson.notebook, ""))
    if lesson.ready and (quiz := now.open_quiz(lesson)):
        parts.append((QUIZ_MINUTES * len(quiz), f"the quiz in {lesson.notebook}", lesson.notebook, quiz[0]))
    if lesson.ready and (left := now.open_questions(lesson)):
        minutes = -(-lesson.exercise_minutes * len(left) // lesson.exercises)
        parts.append((minutes, f"the exercise {lesson.exercise}, from question {left[0]} on", lesson.exercise, left[0]))
    return parts


def _no_focus(now: Standing, path: LearningPath) -> str:
    """Why no lesson of the technique in focus is next."""
    title = TECHNIQUES[now.focus]
    mine = [lesson for lesson in path.lessons if lesson.technique == now.focus]
    later = [lesson.number for lesson in mine if not lesson.ready]
    if not mine:
        why = f"no lesson of {path.title} is about it"
    elif later:
        done = "all that is written of it is done; " if len(later) < len(mine) else ""
        why = f"{done}{spans(later)} {'are' if len(later) > 1 else 'is'} not written yet"
    else:
        why = f"all lessons of {path.title} about it are done"
    return f"Your focus is {title}, but {why}; course.focus(None) ends it.\n"


def _all_done(path: LearningPath) -> str:
    later = [lesson.number for lesson in path.lessons if not lesson.ready]
    if not later:
        return f"{path.title} is done: every lesson, quiz and exercise of it."
    written = len(path.lessons) - len(later)
    return f"All that is written of {path.title} is done, {written} of {len(path.lessons)} lessons. More follow: {spans(later)}."


def _left(path: LearningPath, left: int) -> str:
    whole = path.title if all(lesson.ready for lesson in path.lessons) else f"what is written of {path.title}"
    return f"\nLeft of {whole}: about {span(left)}."
