"""The strategy selector in a notebook: questions, comparison, scenarios, guides; below them always the recommendation.

A thin view: what it shows comes from pure functions (`card`, `figures`, `tables`), and `recommend(...)` is its twin without
widgets. Only core controls that the keyboard reaches and a screen reader can name.
"""

from dataclasses import replace
from pathlib import Path

from ipywidgets import HTML, Box, HBox, Layout, Textarea, VBox

from course_lib.choose.guides import SCENARIOS
from course_lib.choose.selector import Recommendation, recommend
from course_lib.choose.situation import Situation
from course_lib.errors import CourseError
from course_lib.folders import work_folder
from course_lib.learn.progress import keep
from course_lib.plan import Plan
from course_lib.widgets import answers as kept
from course_lib.widgets import twin
from course_lib.widgets.answers import Answers
from course_lib.widgets.card import card_html, for_card, plan_code, question_html, refusal, saved_words
from course_lib.widgets.controls import COLUMNS, COMMON, WRAP, button, controls, mark, show_answers
from course_lib.widgets.figures import path_picture
from course_lib.widgets.latest import take_place
from course_lib.widgets.markup import STYLE, box, heading, tag
from course_lib.widgets.safely import safely
from course_lib.widgets.tables import comparison_html, guides_html, scenario_html
from course_lib.widgets.words import FIELDS, MORE, QUESTIONS, VIEWS, situation_in_words

LAST = len(QUESTIONS)  # the step after the fifth question: the answer


class Selector(VBox):
    """`Selector()` as the last line of a cell shows it. Answers are kept in `my_work/selector.json`.

    .situation, .recommendation and .plan (None where nothing is to be trained) are what the answers come to; .text() is
    the card in plain text.
    """

    def __init__(self, folder: str | Path | None = None):
        self._drawing = False
        self.folder = Path(folder) if folder else work_folder()
        self.answers, words = kept.read(self.folder / "selector.json")
        self.recommendation: Recommendation = for_card(recommend(self.answers.situation), self.device)
        self.controls = controls()
        self.views = {name: button(title) for name, title in VIEWS.items()}
        self.scenarios = {s.name: button(f"{s.name}: {s.published}") for s in SCENARIOS}
        self.common = {"": button("no GPU"), **{name: button(name) for name in COMMON}}
        self.back, self.next, self.again = button("Back"), button("Next"), button("Start again")
        self.everything, self.save = button("Show all"), button("Save as my plan", button_style="primary")
        self.question, self.path, self.message, self.card, self.status = (HTML() for _ in range(5))
        self.tables = {name: HTML() for name in ("comparison", "scenarios", "guides")}
        self.code = Textarea(description="Code of this plan", layout=Layout(width="98%", height="auto"))
        self.code.style.description_width = "initial"
        self.asked, self.panels = self._arrange()
        parts = [
            HTML(STYLE),
            HBox(list(self.views.values()), layout=WRAP),
            *self.panels.values(),
            self.message,
            self.path,
            self.card,
            self.code,
            HBox([self.save, self.status], layout=WRAP),
        ]
        super().__init__(parts, layout=Layout(max_width="920px"))
        self.add_class("course-widget")
        self._listen()
        self._draw()
        take_place(self)
        if words:
            self._say(words, wrong=True)

    @property
    def situation(self) -> Situation:
        """What the answers come to; `recommend(selector.situation)` gives the same answer."""
        return self.answers.situation

    @property
    def plan(self) -> Plan | None:
        return self.recommendation.plan

    @property
    def device(self) -> str | None:
        """The GPU that was chosen by name."""
        return self.answers.gpu or None

    def text(self) -> str:
        """The situation and the card in plain text."""
        return twin.text(self.recommendation, self.device)

    def _repr_mimebundle_(self, **_):
        """The live view, and for places where none runs the same as a still page and as text."""
        still = str(twin.static_html(self.recommendation, self.device))
        return {**(super()._repr_mimebundle_() or {}), "text/plain": self.text(), "text/html": still}

    def _arrange(self) -> tuple[list[VBox], dict[str, VBox]]:
        """The controls of each question, and the five views. All are there from the start, so that focus is never lost."""
        made = self.controls
        asked = [VBox([made[name] for name in q.fields]) for q in QUESTIONS]
        asked[0].children = (HBox(list(self.common.values()), layout=WRAP), made["gpu"], *asked[0].children)
        self._first = [self.common[""], *(made[q.fields[0]] for q in QUESTIONS[1:])]
        lists = [made[name] for name in MORE if FIELDS[name].kind != "yes_no"]
        checks = [made[name] for name in MORE if FIELDS[name].kind == "yes_no"]
        stories = HTML(box("Six stories of the guide selector. Choose one: it becomes your situation."))
        panels = {
            "tree": [self.question, *asked, HBox([self.back, self.next, self.again], layout=WRAP)],
            "more": [HTML(box(heading(VIEWS["more"]))), *lists, Box(checks, layout=COLUMNS)],
            "comparison": [self.tables["comparison"]],
            "scenarios": [stories, HBox(list(self.scenarios.values()), layout=WRAP), self.tables["scenarios"]],
            "guides": [HBox([self.everything]), self.tables["guides"]],
        }
        return asked, {name: VBox(parts, layout=Layout(width="100%")) for name, parts in panels.items()}

    def _listen(self) -> None:
        for name, control in self.controls.items():
            control.observe(lambda change, name=name: self._changed(name, change["new"]), "value")
        for name, view in self.views.items():
            view.on_click(lambda _, name=name: self._go(view=name))
        for name, story in self.scenarios.items():
            story.on_click(lambda _, name=name: self._tell(name))
        for name, card in self.common.items():
            card.on_click(lambda _, name=name: self._own(name))
        self.back.on_click(lambda _: self._step(-1))
        self.next.on_click(lambda _: self._step(1))
        self.again.on_click(lambda _: self._restart())
        self.everything.on_click(lambda _: self._go(everything=not self.answers.everything))
        self.save.on_click(lambda _: self._save())

    @safely
    def _changed(self, name: str, value) -> None:
        """An answer was given."""
        self._take(kept.changed(self.answers, name, value))

    @safely
    def _own(self, name: str) -> None:
        """A common GPU, or none, was pressed."""
        self._take(kept.changed(self.answers, *(("gpu", name) if name else ("gpu_gib", "0"))))

    @safely
    def _go(self, **where) -> None:
        self._take(replace(self.answers, **where))

    @safely
    def _step(self, by: int) -> None:
        self._take(replace(self.answers, question=(self.answers.question + by) % (LAST + 1)))
        if self.answers.question < LAST:
            self._first[self.answers.question].focus()

    @safely
    def _tell(self, name: str) -> None:
        """A scenario was clicked: it is the situation from now on."""
        story = next(s for s in SCENARIOS if s.name == name)
        self._take(replace(self.answers, situation=story.situation, gpu="", scenario=name, question=LAST))

    @safely
    def _restart(self) -> None:
        self._take(Answers())
        self._first[0].focus()

    @safely
    def _save(self) -> None:
        path = self.folder / "my_plan.yaml"
        if words := refusal(self.recommendation) or kept.replace(path, self.plan.to_text()):
            raise CourseError(words)
        self._say(f"{saved_words(self.recommendation, path)} {keep('102.plan', 'done')}".strip())

    def _take(self, answers: Answers) -> None:
        """Show and keep new answers; a situation that cannot be answered raises before anything has changed."""
        recommendation = for_card(recommend(answers.situation), answers.gpu)
        self.answers, self.recommendation = answers, recommendation
        self._draw()
        self._say(kept.write(answers, self.folder / "selector.json"), wrong=True)

    def _say(self, words: str, wrong: bool = False) -> None:
        """One sentence: above the card what is wrong, beside the button what was done."""
        alert = box(tag("div", words, role="alert", class_="cs-message")) if words and wrong else ""
        done = box(tag("div", words, role="status", class_="cs-status")) if words and not wrong else ""
        self.message.value, self.status.value = alert, done

    def _draw(self) -> None:
        """Show everything that the answers decide; a table only in the view that shows it."""
        a, rec = self.answers, self.recommendation
        self._drawing = True
        try:
            show_answers(self.controls, a)
        finally:
            self._drawing = False
        for name, view in self.views.items():
            mark(view, VIEWS[name], name == a.view)
            self.panels[name].layout.display = None if name == a.view else "none"
        self.path.layout.display = None if a.view == "tree" else "none"
        if a.view == "tree":
            self._draw_question()
        elif a.view == "comparison":
            self.tables["comparison"].value = box(comparison_html(rec))
        elif a.view == "scenarios":
            told = next((s for s in SCENARIOS if s.name == a.scenario), None)
            self.tables["scenarios"].value = box(scenario_html(told, a.situation == told.situation)) if told else ""
            for story in SCENARIOS:
                mark(self.scenarios[story.name], f"{story.name}: {story.published}", story is told)
        elif a.view == "guides":
            self.everything.description = "Show fewer" if a.everything else "Show all"
            self.tables["guides"].value = box(guides_html(a.situation, a.everything))
        so_far = f"Recommendation so far, with {a.question} of {LAST} questions answered, for: "
        progress = "Recommendation for: " if a.question == LAST else so_far
        self.card.value = box(card_html(rec, self.device, progress + situation_in_words(a.situation)))
        self.code.value = plan_code(rec.plan) if rec.plan else ""
        self.code.rows = self.code.value.count("\n") + 1
        self.code.layout.display = None if rec.plan else "none"

    def _draw_question(self) -> None:
        now = self.answers.question
        for number, controls_of_it in enumerate(self.asked):
            controls_of_it.layout.display = None if number == now else "none"
        self.question.value = box(question_html(self.recommendation, now))
        self.next.description = (
            "Next" if now < LAST - 1 else "See the answer" if now < LAST else "To the first question"
        )
        self.back.disabled = now == 0
        for name, card in self.common.items():
            mark(card, name or "no GPU", name == self.answers.gpu if name else self.situation.gpu_gib == 0)
        self.path.value = box(path_picture(self.recommendation, now))
