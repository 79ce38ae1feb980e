"""Learning from a terminal: the same words as the functions."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import course_lib as course
from course_lib import CourseError
from course_lib.cli import app
from course_lib.learn.progress import mine


@pytest.fixture(autouse=True)
def my_work(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "my_work"))
    return tmp_path / "my_work"


def run(*arguments, status=0):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.output


def test_next_progress_path_and_focus_print_what_the_functions_say():
    assert run("path", "deep").startswith("Your path is Deep Dive")
    assert run("focus", "lora").startswith("Focus: LoRA")
    assert run("next") == f"{course.next()}\n"
    assert run("progress") == f"{course.progress()}\n"
    assert run("path") == f"{course.path()}\n"
    assert run("focus") == f"{course.focus()}\n"
    assert run("focus", "off").startswith("No focus")
    assert run("note", "lora", "rank", "8") == "Noted on LoRA: rank 8\n"


def test_an_item_is_ticked_by_its_number_and_unticked_by_its_id():
    assert run("tick", "3").startswith("Ticked: Run beginner LoRA example. Quick Start: 1 of 6.")
    assert run("untick", "quick.lora").startswith("Unticked: Run beginner LoRA example.")
    with pytest.raises(CourseError, match=r"There is no item 'quick\.lra': did you mean quick\.lora"):
        run("tick", "quick.lra")


def test_a_quiz_is_shown_and_answered():
    assert "Question 1 of " in run("quiz", "104")
    assert "such as course quiz 104 1 a" in run("quiz", "104")
    said = run("quiz", "104", "1", "b")
    assert said.startswith(("Correct", "Not yet"))
    assert [item for item in mine().state() if item.startswith("104.quiz.")]
    with pytest.raises(CourseError, match="An answer is missing: course quiz 104 2 ANSWER"):
        run("quiz", "104", "2")


def test_export_and_import(tmp_path, monkeypatch):
    run("tick", "3")
    file = tmp_path / "progress.json"
    assert str(file.name) in run("export", str(file))
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "elsewhere"))
    assert mine().state() == {}
    run("import", str(file))
    assert mine().state() == {"quick.lora": "ticked"}


def test_check_gives_the_exit_status(my_work):
    assert "`course learn` copies them there." in run("check", status=1)


def test_stuck_says_what_to_do():
    assert "15" in run("stuck")


def test_a_wrong_word_is_one_sentence_and_status_2():
    course_command = Path(sys.executable).with_name("course")
    result = subprocess.run([course_command, "path", "deeep"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "There is no path 'deeep': did you mean deep?\n"
