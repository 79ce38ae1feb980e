"""Every exercise of the course: its page, its checks and its wrong answers. A new lesson needs no new test here.

A lesson NNN with exercises has `solutions/*/NNN_*.py`, `course_lib/learn/lesson_NNN.py` and `wrong_answers/lesson_NNN.py`:
`WRONG`, exercise id -> pairs of (wrong objects, a word of the fault that is named), and, if there are any, `ALSO_RIGHT`.
"""

import runpy
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from exercise_harness import assert_exercise, assert_outcome, reader, run

from course_lib.authoring import build
from course_lib.learn.checks import Exercise, Outcome

ROOT = Path(__file__).resolve().parents[2]
LEARN = ROOT / "course_lib" / "learn"
PAGES = {path.name[:3]: path for path in build.sources(ROOT) if "solutions" in path.parts}
SECONDS = 10  # that a page may take, since it trains nothing


def exercises(number: str) -> dict[str, Exercise]:
    """The exercises of a lesson's module by their names, in the order of the module."""
    module = import_module(f"course_lib.learn.lesson_{number}")
    return {name: value for name, value in vars(module).items() if isinstance(value, Exercise)}


ALL = [pytest.param(number, name, id=q.id) for number in PAGES for name, q in exercises(number).items()]


def cells(number: str, untouched: bool) -> list[str]:
    solution, exercise = build.pages(PAGES[number], ROOT).values()
    return [cell.source for cell in (exercise if untouched else solution).cells if cell.cell_type == "code"]


_MADE: dict = {}


@pytest.fixture
def page(monkeypatch, tmp_path):
    """A page's globals once its cells have run: `page("104")` as solved, `page("104", untouched=True)`."""
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))

    def ran(number: str, untouched: bool = False) -> dict:
        monkeypatch.chdir(PAGES[number].parent)
        if (number, untouched) not in _MADE:
            start = time.perf_counter()
            _MADE[number, untouched] = reader(*cells(number, untouched))
            assert time.perf_counter() - start < SECONDS, f"page {number} takes more than {SECONDS} s"
        return dict(_MADE[number, untouched])

    return ran


def test_every_page_has_its_module_and_every_module_its_page():
    assert sorted(PAGES) == sorted(path.stem[-3:] for path in LEARN.glob("lesson_*.py"))


@pytest.mark.parametrize("number", PAGES)
def test_the_page_asks_for_every_exercise_in_order(number):
    asked = [cell.strip() for cell in cells(number, untouched=False) if ".check()" in cell]
    assert asked == [f"q{n}.check()" for n in range(1, len(asked) + 1)]
    assert {f"{name}.check()": q.id for name, q in exercises(number).items()} == {
        cell: f"{number}.{cell[1:].partition('.')[0]}" for cell in asked
    }


@pytest.mark.parametrize(("number", "name"), ALL)
def test_the_exercise_tells_right_from_wrong(number, name, page):
    names, exercise = page(number), exercises(number)[name]
    answers = import_module(f"wrong_answers.lesson_{number}")
    assert set(answers.WRONG) == {q.id for q in exercises(number).values()}
    right = {want: names[want] for want in exercise.wants}
    assert_exercise(exercise, right, answers.WRONG[exercise.id])
    for also in getattr(answers, "ALSO_RIGHT", {}).get(exercise.id, []):
        assert_outcome(exercise, {**right, **also}, Outcome.CORRECT)


@pytest.mark.parametrize(("number", "name"), ALL)
def test_the_untouched_page_is_not_attempted_and_the_answer_that_is_shown_passes(number, name, page):
    names, exercise = page(number, untouched=True), exercises(number)[name]
    assert_outcome(exercise, names, Outcome.NOT_ATTEMPTED)
    run(names, exercise.answer)
    assert_outcome(exercise, names, Outcome.CORRECT)


OPENED: list[str] | None = None


def _hook(event: str, arguments: tuple) -> None:
    if OPENED is not None and event in ("open", "os.listdir", "os.scandir"):
        OPENED.append(str(arguments[0]))


sys.addaudithook(_hook)


@contextmanager
def no_answer_opened():
    """Fails if anything inside opens a file of solutions/, or lists that folder."""
    global OPENED
    OPENED = []
    try:
        yield
        assert not [path for path in OPENED if "solutions" in Path(path).parts]
    finally:
        OPENED = None


def play(module: str, names: dict) -> None:
    """Load a lesson's checks anew and use all that its exercises offer."""
    for exercise in [value for value in runpy.run_path(module).values() if isinstance(value, Exercise)]:
        own = reader() | names | {"exercise": exercise}
        run(own, "exercise.check()\nexercise.hint()\nexercise.solution()\nexercise.reset()\nexercise.check()")
        assert exercise.outcome is Outcome.NOT_ATTEMPTED


@pytest.mark.parametrize("number", PAGES)
def test_no_check_knows_the_solution_page(number, page, capsys):
    module = LEARN / f"lesson_{number}.py"
    assert "solutions" not in module.read_text()
    names = page(number)
    with no_answer_opened():
        play(str(module), names)


SPY = """
from pathlib import Path
from course_lib.learn.checks import Exercise, NotYet

def peek(answer):
    if answer not in next(Path({folder!r}).glob("*/104_*.py")).read_text():
        raise NotYet("that is not what the page has")

q1 = Exercise(id="104.1", wants=("answer",), test=peek, hints=("a", "b", "c"), answer="d")
"""


def test_control_a_check_that_reads_the_solution_page_is_caught(tmp_path, capsys):
    spy = tmp_path / "lesson_104.py"
    spy.write_text(SPY.format(folder=str(ROOT / "solutions")))
    with pytest.raises(AssertionError, match=r"104_lora\.py"), no_answer_opened():
        play(str(spy), {"answer": "rank"})
