"""The questions of a quiz as widgets, a panel each: buttons to choose from or to put in order, check boxes, a text box.

A pressed control is never rebuilt or disabled, so that the focus stays where the reader is.
"""

from collections.abc import Callable
from string import ascii_lowercase

from ipywidgets import HTML, Button, Checkbox, HBox, Layout, Text, VBox

from course_lib.errors import CourseError
from course_lib.learn.quiz import RIGHT, WRONG
from course_lib.learn.quiz_bank import Choice, Numeric, Ordering
from course_lib.learn.quiz_judge import Feedback
from course_lib.widgets.controls import WRAP, button, mark
from course_lib.widgets.markup import box, heading, tag
from course_lib.widgets.safely import safely

STATES = {RIGHT: "correct", WRONG: "not yet correct"}


def state_in_words(outcome: str) -> str:
    """What a heading says of a question."""
    return STATES.get(outcome, "not yet answered")


def lettered(options: tuple[str, ...]) -> list[str]:
    """`a) words`, `b) words`, ..."""
    return [f"{letter}) {words}" for letter, words in zip(ascii_lowercase, options, strict=False)]


class Panel(VBox):
    """A question: its heading with its state, its controls, and what was said of the answer.

    Args:
        answer: called with what the reader answered; says what it is worth, or raises a CourseError.
    """

    def __init__(self, question: Choice | Numeric | Ordering, title: str, answer: Callable):
        self.title, self.head, self.said = title, HTML(), HTML()
        self.options = lettered(question.options)
        self._answer = answer
        words = HTML(box(tag("p", question.question, class_="cs-question")))
        super().__init__([self.head, words, *self._controls(question), self.said])
        self.add_class("cs-panel")

    def show_state(self, outcome: str) -> None:
        """How the question stands, in its heading."""
        self.head.value = box(heading(f"{self.title} ({state_in_words(outcome)})"))

    def show_feedback(self, feedback: Feedback) -> None:
        """The answer that was given, in the controls, and what is said of it."""
        self._mark(feedback)
        self._say(feedback.words, feedback=feedback)

    def _say(self, words: str, wrong: bool = False, feedback: Feedback | None = None) -> None:
        """A live message below the controls."""
        look = "cs-message" if wrong or (feedback and not feedback.correct) else "cs-status"
        verdict = [tag("strong", f"{feedback.verdict}:"), " "] if feedback else ""
        self.said.value = box(tag("div", verdict, words, role="alert" if wrong else "status", class_=look))

    @safely
    def submit(self, given) -> None:
        """Answer the question."""
        self._answer(given)

    def _option(self, words: str, press: Callable) -> Button:
        made = button(words, tooltip=f"{self.title}: {words}")
        made.add_class("cs-option")
        made.on_click(lambda _: press())
        mark(made, words, False)
        return made


class OnePanel(Panel):
    """One right answer: pressing an option answers."""

    def _controls(self, question: Choice) -> list:
        letters = zip(ascii_lowercase, self.options, strict=False)
        self.buttons = [self._option(words, lambda letter=letter: self.submit(letter)) for letter, words in letters]
        return self.buttons

    def _mark(self, feedback: Feedback) -> None:
        for letter, words, one in zip(ascii_lowercase, self.options, self.buttons, strict=False):
            chosen = letter == feedback.given
            mark(one, words, chosen)
            if chosen and not feedback.correct:
                one.description = f"✗ {words}"


class ManyPanel(Panel):
    """Several right answers: check boxes, and a button that answers."""

    def _controls(self, question: Choice) -> list:
        self.boxes = [Checkbox(description=words, indent=False, layout=Layout(width="auto")) for words in self.options]
        self.check = button("Check", tooltip=f"Check the answers to {self.title}")
        self.check.on_click(lambda _: self._submit())
        return [*self.boxes, HBox([self.check], layout=WRAP)]

    @safely
    def _submit(self) -> None:
        chosen = "".join(letter for letter, one in zip(ascii_lowercase, self.boxes, strict=False) if one.value)
        if not chosen:
            raise CourseError("Nothing is chosen: choose all that you hold to be right, then press Check.")
        self.submit(chosen)

    def _mark(self, feedback: Feedback) -> None:
        for letter, one in zip(ascii_lowercase, self.boxes, strict=False):
            one.value = letter in feedback.given


class NumberPanel(Panel):
    """A number: a text box, which Enter answers as the button does."""

    def _controls(self, question: Numeric) -> list:
        label = f"Your answer ({question.unit})" if question.unit else "Your answer"
        size = Layout(width="360px", max_width="98%")
        self.box = Text(
            description=label, placeholder="a number, such as 3.5 or 2/3", continuous_update=False, layout=size
        )
        self.box.style.description_width = "initial"
        self.check = button("Check", tooltip=f"Check the answer to {self.title}")
        self._entered, self._judged, self._own = False, "", False
        self.box.on_msg(lambda _, content, buffers: self._enter(content))
        self.box.observe(lambda change: self._entered and self._submit(), "value")
        self.check.on_click(lambda _: self._submit())
        return [HBox([self.box, self.check], layout=WRAP)]

    def _enter(self, content: dict) -> None:
        """Enter was pressed; if the box has changed, the browser sends its new value right after this."""
        if content.get("event") == "submit":
            self._entered = True
            if self.box.value != self._judged:
                self._submit()

    def _submit(self) -> None:
        self._entered, self._judged, self._own = False, self.box.value, True
        self.submit(self.box.value)
        self._own = False

    def _mark(self, feedback: Feedback) -> None:
        if not self._own:  # what was typed here is left as it was typed
            self.box.value = self._judged = feedback.given


class OrderPanel(Panel):
    """Steps to put in order: pressed one after the other; when all are placed, that is the answer."""

    def _controls(self, question: Ordering) -> list:
        self.placed: list[int] = []
        self.buttons = [self._option(words, lambda i=i: self._press(i)) for i, words in enumerate(self.options)]
        self.again = button("Start this one again", tooltip=f"{self.title}: take all steps back")
        self.again.on_click(lambda _: self._restart())
        how = HTML(box("Press them in their order. Pressing a placed one takes it back."))
        return [how, *self.buttons, HBox([self.again], layout=WRAP)]

    @safely
    def _press(self, option: int) -> None:
        (self.placed.remove if option in self.placed else self.placed.append)(option)
        self._draw()
        self._say(f"{len(self.placed)} of {len(self.options)} are placed.")
        if len(self.placed) == len(self.options):
            self.submit("".join(ascii_lowercase[i] for i in self.placed))

    @safely
    def _restart(self) -> None:
        self.placed = []
        self._draw()
        self._say("Nothing is placed.")

    def _draw(self) -> None:
        for i, (words, one) in enumerate(zip(self.options, self.buttons, strict=True)):
            mark(one, words, i in self.placed)
            if i in self.placed:
                one.description = f"{self.placed.index(i) + 1}. {words}"

    def _mark(self, feedback: Feedback) -> None:
        self.placed = [ascii_lowercase.index(letter) for letter in feedback.given]
        self._draw()


PANELS = {
    "multiple_choice": OnePanel,
    "many_choice": ManyPanel,
    "numeric": NumberPanel,
    "ordering": OrderPanel,
}
