"""The "I am stuck" helper in a notebook: the last error explained, what was tried written down, fifteen minutes for it."""

from ipywidgets import HTML, HBox, Layout, Output, Textarea, VBox

from course_lib.errors import CourseError
from course_lib.learn import stuck
from course_lib.learn.timer import moment, standing
from course_lib.widgets.controls import WRAP, button
from course_lib.widgets.countdown import countdown
from course_lib.widgets.markup import STYLE, Html, box, html, tag
from course_lib.widgets.safely import safely

NAME = "Time for this problem"
OFFER = "Stuck? What the last error means, fifteen minutes for it, and a place to write down what you tried."
LATER = "This problem has had its 15 min. Explain the last error begins them anew."
LINES = Html("<style>.course-box .cs-lines { white-space: pre-wrap; overflow-wrap: anywhere; }</style>")


class Stuck(VBox):
    """`Stuck()` as the last line of a cell shows it; `course.stuck("what I tried")` is the same without a browser."""

    def __init__(self):
        self.tried = Textarea(
            description="What did you try?",
            placeholder="what you tried, what you expected, what you saw",
            layout=Layout(width="98%", height="84px"),
        )
        self.tried.style.description_width = "initial"
        self.explain, self.write = button("Explain the last error", button_style="primary"), button("Write it down")
        self.write.tooltip = "Add what you tried, and the last error, to stuck.md in your work folder"
        self.live, self.message = Output(), HTML()
        parts = [
            HTML(html(STYLE, LINES)),
            self.tried,
            HBox([self.explain, self.write], layout=WRAP),
            self.live,
            self.message,
        ]
        super().__init__(parts, layout=Layout(max_width="920px"))
        self.add_class("course-widget")
        self.explain.on_click(lambda _: self._explain())
        self.write.on_click(lambda _: self._write())
        self._draw()

    def text(self) -> str:
        """The same in plain text, for a place where no widget runs."""
        return f'{OFFER} Run the cell to use it, or call course.stuck("what I tried").'

    def _repr_mimebundle_(self, **_):
        """The live view, and for places where none runs what it is for."""
        self._draw()
        still = str(html(STYLE, box(tag("p", self.text(), class_="cs-status"))))
        return {**(super()._repr_mimebundle_() or {}), "text/plain": self.text(), "text/html": still}

    @safely
    def _explain(self) -> None:
        self._answer(stuck.help_words(self.tried.value))

    @safely
    def _write(self) -> None:
        tried = self.tried.value.strip()
        if not tried:
            raise CourseError("There is nothing to write down yet: type what you tried into the box above.")
        self._answer(stuck.write_down(tried))

    def _answer(self, words: str) -> None:
        """Say it; the fifteen minutes begin, or what to do after them is said too."""
        kept, trouble = stuck.limit(begin=True)
        late = stuck.limit_words(self.tried.value) if standing(kept, moment()).phase == "break" else trouble
        self._draw()
        self._say("\n".join(filter(None, [words, late])))

    def _draw(self) -> None:
        """The time that is left, if it has begun."""
        (kept, _), now = stuck.limit(), moment()
        if standing(kept, now).phase == "not started":
            self.live.outputs = ()
        else:
            shown = str(countdown(NAME, stuck.limit_phases(kept), LATER, kept, now))
            self.live.outputs = (
                {"output_type": "display_data", "data": {"text/html": shown, "text/plain": ""}, "metadata": {}},
            )

    def _say(self, words: str, wrong: bool = False) -> None:
        look = (
            {"role": "alert", "class_": "cs-message"} if wrong else {"role": "status", "class_": "cs-status cs-lines"}
        )
        self.message.value = box(tag("div", words, **look))
