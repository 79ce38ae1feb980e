"""The dashboard in a notebook: bars, what is next, a path's checklist, the techniques, and a small celebration.

A thin view of `course_lib.learn`: what it shows comes from the recorded events, and what is pressed is recorded. Its twins
without widgets are `course.progress()`, `path`, `focus`, `tick`, `untick` and `note`.
"""

from collections.abc import Callable, Iterable

from ipywidgets import HTML, Button, Checkbox, HBox, Layout, Text, VBox

from course_lib.learn import acts, reader
from course_lib.learn.paths import PATHS, START, TECHNIQUES, Item
from course_lib.learn.progress import mine
from course_lib.learn.standing import standing
from course_lib.widgets.controls import LABEL, WRAP, button, mark
from course_lib.widgets.dashboard_html import STYLE_MORE, bars_html, path_html, static_html, techniques_html
from course_lib.widgets.latest import take_place
from course_lib.widgets.markup import STYLE, box, tag
from course_lib.widgets.safely import safely

WIDE = {"width": "auto", "max_width": "98%"}
ALL = "all techniques"
NOTES = "Notes on techniques"


class Dashboard(VBox):
    """`Dashboard()` as the last line of a cell shows it; `.text()` is the same in plain text."""

    def __init__(self):
        self._drawing = False
        self.paths = {name: button(path.title) for name, path in PATHS.items()}
        self.focuses = {"off": button(ALL), **{name: button(title) for name, title in TECHNIQUES.items()}}
        self.items: dict[str, Checkbox] = {}
        self.hows: dict[str, HTML] = {}
        self.lists = {name: self._list(path.items) for name, path in PATHS.items()}
        self.notes = {
            name: Text(description=title, continuous_update=False, style=LABEL, layout=WIDE)
            for name, title in TECHNIQUES.items()
        }
        self.folded = {START.title: self._list(START.items), NOTES: VBox(list(self.notes.values()))}
        self.folds = {words: button("") for words in self.folded}
        self.celebrate = Checkbox(description="Celebrate completed items", indent=False, layout=WIDE)
        self.refresh = button("Refresh", tooltip="Show what was done in other notebooks and in the terminal")
        self.bars, self.next, self.trouble, self.message, self.above, self.table = (HTML() for _ in range(6))
        super().__init__(self._arrange(), layout=Layout(max_width="920px"))
        self.add_class("course-widget")
        self._listen()
        self._draw()
        take_place(self)

    def text(self) -> str:
        """What `course.progress()` prints."""
        return reader.text()

    def _repr_mimebundle_(self, **_):
        """The live view, and for places where none runs the same as a still page and as text."""
        state = mine().state()
        still = str(static_html(standing(state), reader.next_words(state)))
        return {**(super()._repr_mimebundle_() or {}), "text/plain": self.text(), "text/html": still}

    def _list(self, items: Iterable[Item]) -> VBox:
        """A checkbox for each item, and beside it how it was ticked or what is missing."""
        rows = []
        for item in items:
            self.items[item.id] = Checkbox(description=item.words, indent=False, layout=WIDE)
            self.hows[item.id] = HTML()
            rows.append(HBox([self.items[item.id], self.hows[item.id]], layout=WRAP))
        return VBox(rows).add_class("cd-list")

    def _arrange(self) -> list:
        def row(words: str, buttons: Iterable[Button]) -> HBox:
            return HBox([HTML(box(tag("span", words))), *buttons], layout=WRAP)

        folded = [part for words in self.folded for part in (HBox([self.folds[words]]), self.folded[words])]
        return [
            HTML(STYLE),
            HTML(STYLE_MORE),
            self.bars,
            self.next,
            self.trouble,
            row("Your path:", self.paths.values()),
            self.above,
            *self.lists.values(),
            self.message,
            row("One technique at a time:", self.focuses.values()),
            self.table,
            *folded,
            HBox([self.refresh, self.celebrate], layout=WRAP),
        ]

    def _listen(self) -> None:
        for name, one in self.paths.items():
            one.tooltip = f"Choose the path {PATHS[name].title}, and show its checklist"
            one.on_click(lambda _, name=name: self._do(lambda: acts.choose_path(name)))
        for name, one in self.focuses.items():
            one.tooltip = f"Put the lessons on {TECHNIQUES[name]} first" if name in TECHNIQUES else "End the focus"
            one.on_click(lambda _, name=name: self._do(lambda: acts.set_focus(name)))
        for name, one in self.items.items():
            one.observe(lambda change, name=name: self._do(lambda: self._ticked(name, change["new"])), "value")
        for name, one in self.notes.items():
            one.observe(lambda change, name=name: self._do(lambda: acts.write_note(name, change["new"])), "value")
        for words, one in self.folds.items():
            self.folded[words].layout.display = "none"
            one.on_click(lambda _, words=words: self._fold(words))
            self._name(words)
        self.celebrate.observe(lambda change: self._do(lambda: acts.celebrate(change["new"])), "value")
        self.refresh.on_click(lambda _: self._do(lambda: ""))

    @safely
    def _do(self, act: Callable[[], str]) -> None:
        """Record what was pressed, show everything anew, and say what came of it."""
        before = self.now
        try:
            words = act()
        finally:
            self._draw()
        won = acts.won_words(before, self.now)
        lines = dict.fromkeys([*words.splitlines(), *won.splitlines()])
        self._say("\n".join(lines) or "Nothing new was ticked.", won=bool(won) and self.now.celebrate)

    def _ticked(self, name: str, on: bool) -> str:
        return acts.tick(name) if on else acts.untick(name)

    @safely
    def _fold(self, words: str) -> None:
        folded = self.folded[words].layout
        folded.display = None if folded.display == "none" else "none"
        self._name(words)

    def _name(self, words: str) -> None:
        self.folds[words].description = f"{'Show' if self.folded[words].layout.display == 'none' else 'Hide'}: {words}"

    def _say(self, words: str, wrong: bool = False, won: bool = False) -> None:
        """What was done, what is wrong, or what was won."""
        look = {"role": "alert", "class_": "cs-message"} if wrong else {"role": "status", "class_": "cs-status"}
        lines = [tag("div", line) for line in words.splitlines()]
        self.message.value = box(tag("div", lines, **look | ({"class_": "cd-won"} if won else {})))

    def _draw(self) -> None:
        """Show what the events come to."""
        state = mine().state()
        self.now = now = standing(state)
        path = now.path or next(iter(PATHS.values()))
        troubles = mine().troubles()
        self._drawing = True
        try:
            for name, mark_ in now.marks.items():
                self.items[name].value = mark_.ticked
                self.hows[name].value = box(tag("span", mark_.how, class_="cd-how"))
            for name, note in self.notes.items():
                note.value = now.notes.get(name, "")
            self.celebrate.value = now.celebrate
        finally:
            self._drawing = False
        self.bars.value = box(bars_html(now))
        self.next.value = box(tag("p", reader.next_words(state)))
        self.trouble.value = box(tag("div", " ".join(troubles), role="alert", class_="cs-message")) if troubles else ""
        self.above.value = box(path_html(path, path is now.path))
        self.table.value = box(techniques_html(now))
        for name, one in self.paths.items():
            mark(one, PATHS[name].title, PATHS[name] is now.path)
            self.lists[name].layout.display = None if PATHS[name] is path else "none"
        for name, one in self.focuses.items():
            mark(one, TECHNIQUES.get(name, ALL), name == (now.focus or "off"))
