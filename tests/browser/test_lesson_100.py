"""Lesson 100 as it is published, in both front ends: every cell runs, and its widgets are there."""

import shutil
from pathlib import Path

import nbformat
import pytest
from faults import faults

PAGE = Path(__file__).resolve().parents[2] / "notebooks/beginner/100_start_here.ipynb"


@pytest.mark.parametrize("reader", ["lab", "notebook"], indirect=True)
def test_every_cell_of_lesson_100_runs_and_shows_no_error(reader):
    reader.notebook = reader.folder / "notebooks/beginner/100_start_here.ipynb"
    reader.notebook.parent.mkdir(parents=True)
    shutil.copy(PAGE, reader.notebook)
    cells = [cell.source for cell in nbformat.read(PAGE, 4).cells if cell.cell_type == "code"]
    reader.open()
    reader.run_all()
    assert reader.errors() == []
    widgets = [f"course.{name}(" for name in ("Dashboard", "Timer", "Stuck", "quiz")]
    shown = reader.page.locator(".course-widget")
    assert shown.count() == sum(any(name in cell for name in widgets) for cell in cells)
    assert faults(reader.page) == []
    assert {"item": "100", "outcome": "run"}.items() <= reader.events()[-1].items()
    reader.page.locator("h2", has_text="Choose a path").evaluate("heading => heading.scrollIntoView()")
    reader.picture("lesson-100.png", widget=".jp-NotebookPanel")
