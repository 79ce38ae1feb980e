"""The quiz of a lesson in a notebook; `quiz("104").answer(2, "b")` is its twin without widgets."""

from ipywidgets import HTML, Layout, VBox

from course_lib.learn.quiz import RIGHT, Feedback, Quiz, load
from course_lib.learn.quiz_judge import how_to_answer
from course_lib.said import say
from course_lib.widgets.markup import STYLE, Html, box, heading, html, tag
from course_lib.widgets.quiz_panels import PANELS, lettered, state_in_words

STYLE_MORE = Html(
    """<style>
.course-widget .cs-panel { margin: 0 0 1.2em; padding: 2px; }
.course-widget .cs-option.jupyter-button { height: auto; min-height: 28px; white-space: normal; text-align: left;
  line-height: 1.4; padding: 4px 10px; flex: 0 0 auto; }
.course-widget .cs-panel .widget-checkbox, .course-widget .cs-panel .widget-checkbox label { height: auto; }
.course-widget .cs-panel .widget-checkbox label { display: flex; align-items: flex-start; white-space: normal;
  line-height: 1.4; margin-bottom: 4px; }
.course-box ul.cs-options { list-style: none; padding-left: 0.4em; }
</style>"""
)
_VIEWS: dict[str, "QuizView"] = {}


def quiz(number: str | int) -> "QuizView":
    """The quiz of a lesson, as the last line of a cell; the same one each time, so that a call of `answer` shows in it.

    Raises:
        CourseError: the lesson has no quiz.
    """
    wanted = load(number)
    view = _VIEWS.get(wanted.number)
    if view is None or view.comm is None:  # the first time, or it was closed
        view = _VIEWS[wanted.number] = QuizView(wanted)
    view.refresh()
    return view


class QuizView(VBox):
    """A quiz as widgets. .quiz is what it shows, .text() the same in plain text."""

    def __init__(self, quiz: Quiz):
        self.quiz, self.head = quiz, HTML()
        self.panels = [
            PANELS[question.type](question, self._title(n), lambda given, n=n: self._take(n, given))
            for n, question in enumerate(quiz.questions, 1)
        ]
        super().__init__([HTML(STYLE), HTML(STYLE_MORE), self.head, *self.panels], layout=Layout(max_width="760px"))
        self.add_class("course-widget")
        self.refresh()
        for panel, (_, feedback) in zip(self.panels, quiz.so_far(), strict=True):
            if feedback:
                panel.show_feedback(feedback)

    def answer(self, n: int, given) -> Feedback:
        """Answer question `n`: prints what the answer is worth, keeps it in your progress, and returns it.

        Args:
            n: which question, from 1.
            given: one letter ("b"), several ("ac"), a number (3.5, "2/3") or an order ("cab").

        Raises:
            CourseError: there is no such question, or it is no answer to one of its type; says what to type.
        """
        feedback = self._take(n, given)
        say(str(feedback))
        return feedback

    def refresh(self) -> None:
        """Show how each question stands by now; what is chosen and said stays as it is."""
        found = self.quiz.so_far()
        for panel, (outcome, _) in zip(self.panels, found, strict=True):
            panel.show_state(outcome)
        self.head.value = box(tag("p", self._summary(found)))

    def text(self) -> str:
        """The questions, their options and how to answer, in plain text."""
        found = self.quiz.so_far()
        parts = [self._summary(found)]
        for n, (question, (outcome, _)) in enumerate(zip(self.quiz.questions, found, strict=True), 1):
            lines = [f"{self._title(n)} ({state_in_words(outcome)})", question.question]
            lines += [f"  {option}" for option in lettered(question.options)]
            parts.append("\n".join([*lines, self._how(n)]))
        return "\n\n".join(parts)

    def _repr_mimebundle_(self, **_):
        """The live view, and for places where none runs the questions as a still page and as text."""
        return {**(super()._repr_mimebundle_() or {}), "text/plain": self.text(), "text/html": str(self._still())}

    def _still(self) -> Html:
        parts = [tag("p", tag("em", "The quiz without its buttons: run the cell to use it."))]
        for n, question in enumerate(self.quiz.questions, 1):
            options = [tag("li", option) for option in lettered(question.options)]
            parts += [heading(self._title(n)), tag("p", question.question)]
            parts += [tag("ul", options, class_="cs-options")] if options else []
            parts += [tag("p", self._how(n), class_="cs-small")]
        return html(STYLE, STYLE_MORE, box(parts))

    def _take(self, n: int, given) -> Feedback:
        """What buttons and `answer` do."""
        feedback = self.quiz.answer(n, given)
        self.refresh()
        self.panels[n - 1].show_feedback(feedback)
        return feedback

    def _title(self, n: int) -> str:
        return f"Question {n} of {len(self.quiz.questions)}"

    def _summary(self, found) -> str:
        right, of = sum(outcome == RIGHT for outcome, _ in found), len(found)
        stands = "is passed" if right == of else "is not passed yet"
        return f"Quiz {self.quiz.number} {stands}: {right} of {of} questions correct."

    def _how(self, n: int) -> str:
        what, example = how_to_answer(self.quiz.questions[n - 1])
        return f'To answer: course.quiz("{self.quiz.number}").answer({n}, {example}), with {what}.'
