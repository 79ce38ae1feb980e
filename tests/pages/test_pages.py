"""Every rule of a page that a program can check, over every authored page."""

from pathlib import Path

import nbformat
import pytest

from course_lib.authoring import build, lint

ROOT = Path(__file__).parents[2]
SOURCES = build.sources(ROOT)
NOTEBOOK_RULES = (lint.skeleton, lint.frame, lint.cell_size, lint.shown, lint.images, lint.outputs, lint.twins)


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


@pytest.fixture
def built(source):
    path = source.with_suffix(".ipynb")
    if not path.exists():
        pytest.fail(f"not built: run `make page N={source.name[:3]}`")
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("source", SOURCES, ids=page_id)
def test_notebooks_are_what_their_source_says(source):
    assert build.stale(source, ROOT) == []


@pytest.mark.parametrize("rule", NOTEBOOK_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("source", SOURCES, ids=page_id)
def test_page_keeps_the_rule(source, built, rule):
    assert rule(built) == []


@pytest.mark.parametrize("source", SOURCES, ids=page_id)
def test_links_lead_somewhere(source, built):
    assert lint.links(built, source.with_suffix(".ipynb"), ROOT) == []


@pytest.mark.parametrize("source", SOURCES, ids=page_id)
def test_markers_are_in_order(source):
    assert lint.markers(source.read_text("utf-8"), source.relative_to(ROOT).as_posix()) == []


@pytest.mark.parametrize("source", [s for s in SOURCES if "solutions" in s.relative_to(ROOT).parts], ids=page_id)
def test_exercise_has_holes_and_no_outputs(source):
    path = list(build.pages(source, ROOT))[-1]
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert any(build.HOLE in c.source for c in cells)
    assert not any(c.outputs or c.execution_count for c in cells)


def test_every_notebook_has_a_source():
    wanted = {path for source in SOURCES for path in build.pages(source, ROOT)}
    kinds = ("notebooks", "solutions", "exercises")
    there = {p for k in kinds for p in ROOT.glob(f"{k}/**/*.ipynb") if ".ipynb_checkpoints" not in p.parts}
    assert there - wanted == set()


def test_every_solution_has_a_lesson():
    lessons = {s.relative_to(ROOT / "notebooks") for s in SOURCES if s.is_relative_to(ROOT / "notebooks")}
    assert {s.relative_to(ROOT / "solutions") for s in SOURCES if s.is_relative_to(ROOT / "solutions")} <= lessons
