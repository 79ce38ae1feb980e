"""Lessons, paths and checklists as data, and what a reader's events come to in them."""

import importlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib import CourseError
from course_lib.learn import standing as standing_module
from course_lib.learn.checks import Exercise
from course_lib.learn.paths import (
    ITEMS,
    LESSONS,
    LEVELS,
    LISTS,
    PATHS,
    START,
    TECHNIQUES,
    Lesson,
    find_item,
    find_path,
    find_technique,
    lesson_of,
    list_of,
    spans,
)  # fmt: skip
from course_lib.learn.quiz import question_items
from course_lib.learn.standing import LONGEST_NOTE, standing
from course_lib.learn.steps import next_step, span

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ("100", "102", "104")
READY = [lesson for lesson in LESSONS.values() if lesson.ready]
EVERY = [*LESSONS, *ITEMS, "102.plan", *(q for one in READY for q in (*one.questions, *question_items(one.number)))]


@pytest.fixture
def early(monkeypatch):
    """The course when three lessons were written."""
    monkeypatch.setattr(Lesson, "ready", property(lambda lesson: lesson.number in WRITTEN))


def run(*items, **more):
    return dict.fromkeys(items, "run") | more


def whole(number):
    """Every event of a lesson: its page, its quiz, its exercise."""
    return run(number) | dict.fromkeys((*question_items(number), *LESSONS[number].questions), "correct")


def ticked(state):
    return {id for id, mark in standing(state).marks.items() if mark.ticked}


def test_the_lessons_are_those_of_the_folders():
    pages = {path.name[:3]: path for path in (ROOT / "notebooks").glob("*/[0-9]*_*.ipynb")}
    assert {lesson.number for lesson in READY} == set(pages)
    for number, path in pages.items():
        lesson = LESSONS[number]
        assert lesson.notebook == path.relative_to(ROOT).as_posix()
        source = path.with_suffix(".py").read_text(encoding="utf-8")
        assert f"# # {lesson.name}\n" in source
        reading = int(re.search(r"\*\*Time\*\* (\d+) min", source)[1])
        assert reading <= lesson.minutes <= reading + 5, "reading, and a few minutes of running"


def test_the_exercises_are_those_of_the_folders_and_the_checks():
    pages = {path.name for path in (ROOT / "exercises").glob("*/*.ipynb")}
    assert {Path(lesson.exercise).name for lesson in READY if lesson.exercises} == pages
    for lesson in READY:
        assert bool(lesson.exercises) == bool(lesson.exercise_minutes)
        if lesson.exercises:
            checks = importlib.import_module(f"course_lib.learn.lesson_{lesson.number}")
            assert lesson.questions == tuple(v.id for v in vars(checks).values() if isinstance(v, Exercise))


def test_every_lesson_of_the_design_and_every_item_of_the_guides():
    assert [len([x for x in LESSONS.values() if x.level == level]) for level in LEVELS] == [8, 13, 12]
    assert all(lesson.number[0] == "123"[LEVELS.index(lesson.level)] for lesson in LESSONS.values())
    assert [len(one.items) for one in LISTS] == [6, 8, 12, 6]
    assert len(ITEMS) == 32
    assert [len(path.lessons) for path in PATHS.values()] == [8, 21, 33]
    table = {name: [getattr(lesson_of(name, level), "number", "N/A") for level in LEVELS] for name in TECHNIQUES}
    assert table == {
        "full": ["103", "203", "301"],
        "lora": ["104", "204", "302"],
        "qlora": ["N/A", "205", "303"],
        "prompt_tuning": ["105", "207", "N/A"],
        "adapters": ["N/A", "206", "304"],
    }


def test_every_item_can_be_reached_as_soon_as_its_lessons_are_written():
    for item in ITEMS.values():
        assert item.lessons or not item.by, item.id
        for number, _, part in (token.partition(".") for token in item.by):
            assert number in LEVELS or number in LESSONS
            assert part in ("", "exercise", "quiz", "plan")
            if number in LESSONS and LESSONS[number].ready:
                assert part != "quiz" or question_items(number), item.id
                assert part != "exercise" or LESSONS[number].questions, item.id
    assert all(item.lessons for item in START.items)


def test_items_tick_by_doing():
    assert ticked(run("104")) == {"quick.lora"}
    assert standing(run("104")).marks["quick.lora"].how == "lesson 104 run"
    assert ticked({"102.plan": "done"}) == {"start.model", "start.hardware"}
    beginner = [lesson.number for lesson in LESSONS.values() if lesson.level == "beginner"]
    assert "deep.beginner" in ticked(run(*beginner))
    assert "deep.beginner" not in ticked(run(*beginner[1:]))
    assert standing(run(*beginner)).marks["deep.beginner"].how == "all beginner lessons run"


def test_an_item_needs_all_that_ticks_it(monkeypatch, early):
    quizzes = {"101": ("101.quiz.a", "101.quiz.b")}
    monkeypatch.setattr(standing_module, "quiz_items", lambda number: quizzes.get(number, ()))
    half = run("101") | {"101.quiz.a": "correct", "101.quiz.b": "not yet"}
    assert ticked(half) == set()
    assert standing(half).marks["quick.what"].how == "pass the quiz of lesson 101 (not written yet)"
    assert ticked(half | {"101.quiz.b": "correct"}) == {"quick.what"}
    assert standing(half | {"101.quiz.b": "correct"}).marks["quick.what"].how == "lesson 101 run, its quiz passed"


def test_what_is_missing_is_said_in_words(early):
    how = {id: mark.how for id, mark in standing(run("102")).marks.items()}
    assert how["quick.lora"] == "run lesson 104"
    assert how["quick.full"] == "run lesson 103 (not written yet)"
    assert how["quick.own"] == "run lesson 107 and solve its exercise (not written yet)"
    assert how["deep.beginner"] == "run lessons 100, 104; lessons 101, 103, 105 to 107 are not written yet"
    assert how["deep.intermediate"] == "lessons 201 to 213 are not written yet"
    assert how["start.metrics"] == "tick it by hand; lesson 201 teaches it (not written yet)"
    assert how["start.model"] == "save a plan in lesson 102"


def test_a_tick_by_hand_counts_without_the_rule_and_beside_it():
    assert ticked({"quick.own": "ticked", "quick.full": "unticked"}) == {"quick.own"}
    mark = standing(run("104", **{"quick.lora": "ticked"})).marks["quick.lora"]
    assert (mark.earned, mark.by_hand, mark.how) == (True, True, "lesson 104 run")


def unticked(some, more):
    return ticked(dict.fromkeys(some, "done")) - ticked(dict.fromkeys(some | more, "done"))


@given(st.sets(st.sampled_from(EVERY)), st.sets(st.sampled_from(EVERY)))
def test_more_events_never_untick(some, more):
    assert unticked(some, more) == set()


def test_a_rule_that_unticks_would_be_found(monkeypatch):
    monkeypatch.setattr(standing_module, "_reached", lambda token, done: done == {token})
    assert unticked({"104"}, {"102"}) == {"quick.lora"}


def test_events_that_the_course_does_not_know_change_nothing():
    strange = {
        "path": "<b>",
        "focus": "x" * 10**6,
        "celebrate": "?",
        "999": "run",
        "104.9": "correct",
        "\udc80": "\udc80",
    }
    now = standing(strange)
    assert (now.path, now.focus, now.celebrate) == (None, "", True)
    assert ticked(strange) == set()
    assert next_step(strange).notebook.endswith("100_start_here.ipynb")


def test_notes_are_one_line_that_can_be_written():
    (note,) = standing({"note.lora": "a\n<b>\udc80\x07 " + "x" * 10**6}).notes.values()
    assert note.startswith("a <b>\\udc80\\u0007 xxx")
    assert len(note) < LONGEST_NOTE + 50
    assert standing({"note.lora": "  ", "note.other": "x"}).notes == {}


def test_a_damaged_quiz_is_no_quiz(monkeypatch):
    def damaged(number):
        raise CourseError("damaged")

    monkeypatch.setattr(standing_module, "question_items", damaged)
    standing_module.quiz_items.cache_clear()
    try:
        assert standing({}).quizzes() == (0, 0)
    finally:
        standing_module.quiz_items.cache_clear()


def test_next_without_a_path_says_where_to_choose_one(early):
    step = next_step({})
    assert step.notebook == "notebooks/beginner/100_start_here.ipynb"
    assert step.words.startswith("No path is chosen yet: course.path('quick') chooses one")
    after = next_step(whole("100"))
    assert "No path is chosen yet" in after.words
    assert after.notebook == "notebooks/beginner/102_choosing_a_strategy.ipynb"


def test_within_a_lesson_the_page_then_the_quiz_then_the_exercise(early):
    state = whole("100") | whole("102") | {"path": "quick"}
    step = next_step(state)
    assert (step.notebook, step.question, step.minutes) == ("notebooks/beginner/104_lora.ipynb", "", 27)
    assert step.path_minutes == 27 + len(question_items("104")) + 10  # a minute for each question of the quiz
    state |= run("104")
    assert next_step(state).question == question_items("104")[0]
    assert "the quiz in notebooks/beginner/104_lora.ipynb" in next_step(state).words
    state |= dict.fromkeys(question_items("104"), "correct") | {"104.1": "correct", "104.2": "not yet"}
    step = next_step(state)
    assert (step.notebook, step.question, step.minutes) == ("my_work/104_lora.ipynb", "104.2", 7)
    assert step.path_minutes == step.minutes


def test_all_that_is_written_is_done(early):
    state = {"path": "quick"} | whole("100") | whole("102") | whole("104")
    step = next_step(state)
    assert (step.lesson, step.minutes, step.path_minutes) == (None, 0, 0)
    assert step.words == (
        "All that is written of Quick Start is done, 3 of 8 lessons. More follow: 101, 103, 105 to 107."
    )
    assert "No path is chosen yet" in next_step(state | {"path": "?"}).words


def test_a_focus_comes_first_and_says_when_it_has_nothing_left(early):
    state = {"path": "quick", "focus": "lora"}
    assert next_step(state).lesson is LESSONS["104"]
    done = next_step(state | whole("104"))
    assert done.lesson is LESSONS["100"]
    assert done.words.startswith("Your focus is LoRA, but all lessons of Quick Start about it are done;")
    assert (
        "no lesson of Quick Start is about it; course.focus(None) ends it."
        in next_step(state | {"focus": "qlora"}).words
    )
    assert "but 205 is not written yet" in next_step({"path": "deep", "focus": "qlora"}).words
    assert (
        "but all that is written of it is done; 204 is"
        in next_step(whole("104") | {"path": "deep", "focus": "lora"}).words
    )


def test_another_path_than_the_chosen_one_can_be_asked_for():
    assert "Production Ready" in next_step({"path": "quick"}, "production ready").words
    with pytest.raises(CourseError, match="There is no path 'qick': did you mean quick"):
        next_step({}, "qick")


def test_names_are_found_as_readers_write_them():
    assert find_path(" Quick Start ").id == "quick"
    assert find_technique("QLoRA") == "qlora"
    assert find_item(3) is find_item("3") is find_item("quick.lora") is find_item("run beginner LoRA example")
    assert list_of(find_item(32)) is START
    with pytest.raises(CourseError, match=r"no item 'quick\.lra': did you mean quick\.lora"):
        find_item("quick.lra")
    for hostile in ("", "x" * 10**7, None, "\udc80", 10**6000, -1, object()):
        for find in (find_path, find_technique, find_item):
            with pytest.raises(CourseError) as error:
                find(hostile)
            assert len(str(error.value)) < 300


def test_words_for_spans():
    assert spans(["101", "103", "105", "106", "107", "201"]) == "101, 103, 105 to 107, 201"
    assert [span(m) for m in (0, 45, 60, 85)] == ["0 min", "45 min", "1 h", "1 h 25 min"]
