"""The dashboard without a browser: controls set and pressed in Python, what is recorded, what is shown."""

import ast
import errno
import os
from pathlib import Path

import ipywidgets
import pytest

import course_lib as course
from course_lib.learn import acts
from course_lib.learn.paths import ITEMS, PATHS, Lesson
from course_lib.learn.progress import Progress, mine
from course_lib.widgets import dashboard as dashboard_module
from course_lib.widgets import dashboard_html, markup
from course_lib.widgets.dashboard import Dashboard
from course_lib.widgets.markup import Html

HOSTILE = '<img src=x onerror="alert(1)"></table><script>alert(2)</script>'


@pytest.fixture(autouse=True)
def early(monkeypatch):
    """The course when three lessons were written."""
    monkeypatch.setattr(Lesson, "ready", property(lambda lesson: lesson.number in ("100", "102", "104")))


@pytest.fixture
def dashboard():
    return Dashboard()


def everything(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything(child)


def shown(dashboard):
    """The paths whose checklist is to be seen."""
    return [name for name, one in dashboard.lists.items() if one.layout.display != "none"]


def test_only_controls_that_keep_their_keys(dashboard):
    allowed = (
        ipywidgets.Button,
        ipywidgets.Text,
        ipywidgets.Checkbox,
        ipywidgets.HTML,
        ipywidgets.HBox,
        ipywidgets.VBox,
    )
    for widget in everything(dashboard):
        assert isinstance(widget, allowed), type(widget)
        assert getattr(widget, "description", "x") or isinstance(widget, ipywidgets.HTML)
        assert getattr(widget, "continuous_update", False) is False


def test_a_path_is_chosen_and_its_checklist_alone_is_shown(dashboard):
    assert shown(dashboard) == ["quick"]
    assert "not chosen yet" in dashboard.above.value
    dashboard.paths["deep"].click()
    assert mine().state() == {"path": "deep"}
    assert shown(dashboard) == ["deep"]
    assert [one.description for one in dashboard.paths.values()] == ["Quick Start", "✓ Deep Dive", "Production Ready"]
    assert "Your path is Deep Dive" in dashboard.message.value
    assert "Left of what is written of Deep Dive" in dashboard.next.value


def test_every_item_has_a_checkbox_in_the_guides_words(dashboard):
    assert {name: one.description for name, one in dashboard.items.items()} == {i.id: i.words for i in ITEMS.values()}
    for name, path in PATHS.items():
        boxes = [w for w in everything(dashboard.lists[name]) if isinstance(w, ipywidgets.Checkbox)]
        assert [w.description for w in boxes] == [item.words for item in path.items]
    assert "run lesson 104" in dashboard.hows["quick.lora"].value


def test_an_item_is_ticked_by_hand_celebrated_and_unticked(dashboard):
    dashboard.items["quick.what"].value = True
    assert mine().state() == {"quick.what": "ticked"}
    assert 'role="status" class="cd-won"' in dashboard.message.value
    assert (
        "Ticked: Understand what fine-tuning is and why it&#x27;s useful. Quick Start: 1 of 6. Well done!"
        in dashboard.message.value
    )
    assert dashboard.message.value.count("Ticked") == 1
    assert "by hand" in dashboard.hows["quick.what"].value
    assert 'aria-label="Quick Start: 1 of 6" max="6" value="1"' in dashboard.bars.value
    dashboard.items["quick.what"].value = False
    assert mine().state() == {"quick.what": "unticked"}
    assert "cd-won" not in dashboard.message.value


def test_unticking_what_was_done_says_why_it_stays(dashboard):
    mine().record("104", "run")
    dashboard.refresh.click()
    assert dashboard.items["quick.lora"].value
    assert "Ticked: Run beginner LoRA example. Quick Start: 1 of 6." in dashboard.message.value
    assert "✓ 104 run" in dashboard.table.value
    dashboard.items["quick.lora"].value = False
    assert dashboard.items["quick.lora"].value
    assert "stays ticked (lesson 104 run): only a tick by hand can be taken back." in dashboard.message.value
    dashboard.refresh.click()
    assert "Nothing new was ticked." in dashboard.message.value


def test_the_celebration_has_a_switch_that_is_kept(dashboard):
    dashboard.celebrate.value = False
    assert mine().state()["celebrate"] == "off"
    dashboard.items["quick.what"].value = True
    assert "cd-won" not in dashboard.message.value
    assert "Quick Start: 1 of 6.</div>" in dashboard.message.value
    assert Dashboard().celebrate.value is False
    assert "prefers-reduced-motion: reduce" in dashboard_html.STYLE_MORE


def test_focus_and_notes(dashboard):
    dashboard.focuses["lora"].click()
    dashboard.notes["lora"].value = "done"
    dashboard.notes["lora"].value = HOSTILE
    assert mine().state()["focus"] == "lora"
    assert "104_lora.ipynb" in dashboard.next.value
    assert dashboard.focuses["lora"].description == "✓ LoRA"
    for value in (dashboard.table.value, dashboard.message.value):
        assert "&lt;img src=x" in value
        assert "<img" not in value
    dashboard.focuses["off"].click()
    assert dashboard.focuses["off"].description == "✓ all techniques"


def test_without_the_escape_a_note_would_be_markup(dashboard, monkeypatch):
    monkeypatch.setattr(markup, "escape", lambda text: text)
    dashboard.notes["lora"].value = HOSTILE
    assert "<img" in dashboard.table.value


def test_the_checklist_before_starting_and_the_notes_are_folded(dashboard):
    for words, fold in dashboard.folds.items():
        assert fold.description == f"Show: {words}"
        assert dashboard.folded[words].layout.display == "none"
        fold.click()
        assert fold.description == f"Hide: {words}"
        assert dashboard.folded[words].layout.display is None


def test_a_new_dashboard_finds_everything_again(dashboard):
    dashboard.paths["production"].click()
    dashboard.focuses["qlora"].click()
    dashboard.items["production.deploy"].value = True
    dashboard.notes["qlora"].value = "later"
    again = Dashboard()
    assert shown(again) == ["production"]
    assert again.items["production.deploy"].value
    assert again.notes["qlora"].value == "later"
    assert again.focuses["qlora"].description == "✓ QLoRA"
    assert again.message.value == ""
    assert [part.value for part in (again.bars, again.table, again.next)] == [
        part.value for part in (dashboard.bars, dashboard.table, dashboard.next)
    ]


def test_drawing_records_nothing(dashboard):
    mine().record("104", "run")
    mine().record("note.lora", "x ")
    before = len(mine().events())
    dashboard.refresh.click()
    Dashboard()
    assert len(mine().events()) == before


def test_a_failed_save_is_said_and_kept_in_sight(dashboard, monkeypatch):
    def full_disk(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(Progress, "_append", full_disk)
        dashboard.items["quick.what"].value = True
        assert "could not be saved" in dashboard.message.value
        assert 'role="alert"' in dashboard.trouble.value
    dashboard.paths["quick"].click()
    assert Progress(mine().folder).state() == {"quick.what": "ticked", "path": "quick"}
    assert dashboard.trouble.value == ""


def test_a_callback_never_raises(dashboard, monkeypatch):
    def broken(name):
        raise RuntimeError(HOSTILE)

    monkeypatch.setattr(acts, "choose_path", broken)
    dashboard.paths["deep"].click()
    assert 'role="alert"' in dashboard.message.value
    assert "&lt;img" in dashboard.message.value
    with pytest.raises(RuntimeError):
        acts.choose_path("deep")


def test_the_twins_say_the_same(dashboard):
    course.tick("deep.metrics")
    bundle = dashboard._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == dashboard.text() == course.progress()
    still = bundle["text/html"]
    for words in (
        "Deep Dive (4-6 weeks, 10-15 hours/week): 1 of 8",
        "✓ done",
        "104 open",
        "Before you start fine-tuning",
    ):
        assert words in still
    assert all(Html(markup.html(item.words)) in still for item in ITEMS.values())
    assert "<progress" in still
    assert "<input" not in still


def test_html_is_made_by_the_helpers_alone():
    for module in (dashboard_module, dashboard_html):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = "".join(str(v.value) for v in node.values if isinstance(v, ast.Constant))
                assert "<" not in parts, parts


def test_a_cell_that_is_run_again_leaves_no_widget_behind(monkeypatch):
    from ipywidgets.widgets.widget import _instances

    Dashboard()
    alive = len(_instances)
    for _ in range(3):
        Dashboard()
    assert len(_instances) == alive
    monkeypatch.setattr("course_lib.widgets.dashboard.take_place", lambda view: None)
    Dashboard()
    assert len(_instances) > alive, "the control: without it each run adds to what the page must load"
