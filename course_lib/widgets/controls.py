"""The controls of the selector: a labelled one for each field of the situation, and `gpu`.

No lists and no radio buttons: in JupyterLab 4 the arrow keys and letters that such a control needs are the notebook's
commands while it has the focus (`x` cuts the cell). Text boxes, buttons and check boxes keep their keys.
"""

from ipywidgets import HTML, Button, Checkbox, Combobox, HBox, Layout, Text
from traitlets import Any

from course_lib.choose.gpus import gpus
from course_lib.widgets.answers import Answers
from course_lib.widgets.markup import box, tag
from course_lib.widgets.words import FIELDS, Field, write_number

WRAP = {"flex_flow": "row wrap", "align_items": "center"}  # a dict, so that each widget has a layout of its own
COLUMNS = {"display": "grid", "grid_template_columns": "repeat(auto-fit, minmax(380px, 1fr))", "grid_gap": "0 10px"}
LABEL = {"description_width": "220px"}
COMMON = ("T4", "RTX 3060", "RTX 4090", "A100-80GB", "H100-80GB")  # one press each


def button(words: str, **look) -> Button:
    """A button that is as wide as its words."""
    return Button(description=words, layout=Layout(width="auto"), **look)


def mark(pressed: Button, words: str, chosen: bool) -> None:
    """Show in words, weight and border whether a button is the chosen one."""
    pressed.description = f"✓ {words}" if chosen else words
    pressed.style.font_weight = "bold" if chosen else ""
    pressed.layout.border_bottom = "3px solid #0072B2" if chosen else "3px solid transparent"


class Choice(HBox):
    """One of a few values, a button each; `value` is the chosen one's."""

    value = Any()

    def __init__(self, field: Field):
        self.buttons = {value: button(words) for words, value in field.choices}
        self._words = {value: words for words, value in field.choices}
        label = HTML(box(tag("div", field.label, class_="cs-label")), layout=Layout(width="220px", flex="0 0 auto"))
        super().__init__([label, HBox(list(self.buttons.values()), layout=WRAP)])
        for value, one in self.buttons.items():
            one.tooltip = f"{field.label}: {self._words[value]}"
            one.on_click(lambda _, value=value: self.set_trait("value", value))
        self.observe(lambda change: self._show(), "value")

    def focus(self) -> None:
        """Focus the chosen button."""
        self.buttons.get(self.value, next(iter(self.buttons.values()))).focus()

    def _show(self) -> None:
        for value, one in self.buttons.items():
            mark(one, self._words[value], value == self.value)


def controls() -> dict[str, Combobox | Choice | Text | Checkbox]:
    """A control for each field, by its name, and `gpu`."""
    wide = {"style": LABEL, "continuous_update": False}
    made = {
        "gpu": Combobox(
            description="GPU by name", placeholder="type a name, or leave empty and type its memory below",
            options=[card.name for card in gpus()], layout=Layout(width="580px", max_width="98%"), **wide,
        ),
    }  # fmt: skip
    for name, field in FIELDS.items():
        if field.kind == "yes_no":
            made[name] = Checkbox(description=field.label, indent=False, layout=Layout(width="auto", max_width="98%"))
        elif field.kind == "list":
            made[name] = Choice(field)
        else:
            size = Layout(width="460px", max_width="98%")
            made[name] = Text(description=field.label, placeholder=field.hint, layout=size, **wide)
    return made


def show_answers(made: dict, answers: Answers) -> None:
    """Set every control to what the answers say."""
    made["gpu"].value = answers.gpu
    for name, field in FIELDS.items():
        value = getattr(answers.situation, name)
        made[name].value = write_number(value) if field.kind == "number" else value
