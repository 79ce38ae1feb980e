"""The quizzes: one for a lesson, answered as often as one likes; a question once answered correctly stays passed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.learn.progress import keep, mine
from course_lib.learn.quiz_bank import Choice, Numeric, Ordering, read
from course_lib.learn.quiz_judge import Feedback, judge
from course_lib.said import clip

FOLDER = Path(__file__).parent / "quizzes"
RIGHT, WRONG = "correct", "not yet"


@dataclass(frozen=True)
class Quiz:
    """The questions of lesson `number`; they are counted from 1."""

    number: str
    questions: tuple[Choice | Numeric | Ordering, ...]

    @property
    def items(self) -> tuple[str, ...]:
        """The names under which progress is kept, one for each question."""
        return tuple(f"{self.number}.quiz.{question.id}" for question in self.questions)

    def judge(self, n: int, given) -> Feedback:
        """What an answer is worth; nothing is recorded.

        Args:
            n: which question, from 1.
            given: one letter ("b"), several ("ac", {"a", "c"}), a number (3.5, "2/3") or an order ("cab").

        Raises:
            CourseError: there is no such question, or it is no answer to one of its type.
        """
        if type(n) is not int or not 1 <= n <= len(self.questions):
            raise CourseError(
                f"Quiz {self.number} has the questions 1 to {len(self.questions)}: name one by its number."
            )
        return judge(self.questions[n - 1], given)

    def answer(self, n: int, given) -> Feedback:
        """As `judge`, and kept in the reader's progress; the words also say what has become of the quiz.

        Raises:
            CourseError: as `judge`. If only the progress could not be saved, the words say so.
        """
        feedback = self.judge(n, given)
        item, state = self.items[n - 1], mine().state()
        before = {one for one in self.items if state.get(one) == RIGHT}
        trouble = keep(item, RIGHT if feedback.correct else WRONG, given=feedback.given)
        said = filter(None, (feedback.words, self._news(feedback, item, before), trouble))
        return replace(feedback, words=" ".join(said))

    def _news(self, feedback: Feedback, item: str, before: set[str]) -> str:
        """What has become of the quiz; before: the items that were correct already."""
        if item in before:
            return "" if feedback.correct else "You have answered it correctly before, so it stays passed."
        of = len(self.items)
        last = feedback.correct and len(before) == of - 1
        return f"That was the last: quiz {self.number} is passed ({of} of {of})." if last else ""

    def so_far(self) -> tuple[tuple[str, Feedback | None], ...]:
        """For each question its outcome in the progress ("" = not answered), and the feedback to the answer kept there."""
        latest = mine().latest()
        return tuple(self._kept(n, latest.get(item)) for n, item in enumerate(self.items, 1))

    def _kept(self, n: int, event: dict | None) -> tuple[str, Feedback | None]:
        if event is None:
            return "", None
        try:
            feedback = self.judge(n, event.get("given"))
        except CourseError:  # kept without its answer, or the question has changed since
            return event["outcome"], None
        return event["outcome"], feedback if feedback.correct == (event["outcome"] == RIGHT) else None


def numbers() -> tuple[str, ...]:
    """The lessons that have a quiz."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(number: str | int) -> Quiz:
    """The quiz of a lesson, "104" or 104.

    Raises:
        CourseError: the lesson has none, or its file is damaged.
    """
    known = numbers()
    name = str(number) if type(number) is int and 0 <= number < 1000 else number
    if not isinstance(name, str) or name.strip() not in known:
        shown = repr(clip(name, 20)) if isinstance(name, str) else f"a value of type {type(name).__name__}"
        raise CourseError(f'There is no quiz for {shown}: there are {", ".join(known)}, as in quiz("{known[-1]}").')
    return Quiz(name.strip(), read(FOLDER / f"{name.strip()}.toml"))


def question_items(number: str) -> tuple[str, ...]:
    """The names under which the answers to a lesson's quiz are kept; none where the lesson has no quiz.

    Raises:
        CourseError: the quiz's file is damaged.
    """
    return load(number).items if number in numbers() else ()


def passed(state: Mapping[str, str], number: str) -> bool:
    """Whether every question of a lesson's quiz is correct in `Progress.state()`.

    Raises:
        CourseError: as `question_items`.
    """
    items = question_items(number)
    return bool(items) and all(state.get(item) == RIGHT for item in items)
