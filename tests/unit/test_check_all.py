"""All exercises at once, in a notebook and in the reader's folder from a terminal."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from exercise_harness import reader
from nbformat.v4 import new_code_cell, new_notebook

from course_lib.learn import check_all as module
from course_lib.learn.check_all import check_all, check_my_work
from course_lib.learn.checks import Exercise, NotYet, Outcome
from course_lib.learn.progress import mine

ROOT = Path(__file__).resolve().parents[2]


def exercise(id: str, want: str) -> Exercise:
    def test(**objects):
        if objects[want] != 2:
            raise NotYet(f"{want} is not 2\nmore")

    return Exercise(id=id, wants=(want,), test=test, hints=("a", "b", "c"), answer="")


def notebook(**objects) -> dict:
    made = {"q10": exercise("104.10", "c"), "q1": exercise("104.1", "a"), "q2": exercise("104.2", "b")}
    return reader() | made | {"again": made["q1"], "check_all": check_all} | objects


def test_every_exercise_of_the_notebook_is_checked_in_order(capsys):
    names = notebook(a=2, b=1)
    exec("found = check_all()", names)
    assert list(names["found"].items()) == [
        ("104.1", Outcome.CORRECT),
        ("104.2", Outcome.NOT_YET),
        ("104.10", Outcome.NOT_ATTEMPTED),
    ]
    assert capsys.readouterr().out.splitlines() == [
        "104.1   Correct: 104.1 is done.",
        "104.2   Not yet: b is not 2",
        "104.10  Not attempted: there is no `c` yet. Write it in the cell above and run it.",
        "1 of 3 correct; next: 104.2.",
    ]
    assert names["found"]._ipython_display_() is None
    assert names["q2"].outcome is Outcome.NOT_YET
    assert [(e["item"], e["outcome"]) for e in mine().events()] == [
        ("104.1", "correct"),
        ("104.2", "not yet"),
        ("104.10", "not attempted"),
    ]


def test_all_correct_and_unsaved_is_said_once(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "file" / "progress"))
    exec("check_all()", notebook(a=2, b=2, c=2))
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "3 of 3 correct."
    assert lines[4].startswith("Your progress could not be saved")
    assert len(lines) == 5


def test_where_there_are_no_exercises_it_says_where_they_are(capsys):
    names = reader("class Odd: __class__ = property(lambda self: 1 / 0)\nodd = Odd()") | {"check_all": check_all}
    exec("found = check_all()", names)
    assert names["found"] == {}
    assert "`course check`" in capsys.readouterr().out


SETUP = """
from course_lib.learn.checks import Exercise, NotYet
def test(answer):
    if answer != 2:
        raise NotYet("it is not 2")
q1 = Exercise(id="{id}", wants=("answer",), test=test, hints=("a", "b", "c"), answer="2")"""


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """The reader's folder, empty."""
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    return tmp_path


def put(work: Path, name: str, *cells: str) -> Path:
    path = work / name
    path.write_text(json.dumps(new_notebook(cells=[new_code_cell(text) for text in cells])))
    return path


def test_my_work_is_run_checked_and_recorded_once(work, capfd):
    wild = "print('x' * 10**7)\nimport os; os.system('echo loud')\nanswer = 2\nq1.check()\nq1.solution()\n1 / 0"
    put(work, "104_lora.ipynb", SETUP.format(id="104.1"), wild, "q1.check()", "def broken(:")
    put(work, "102_choosing.ipynb", SETUP.format(id="102.1"), "answer = input('2? ')", "q1.check()")
    put(work, "notes.ipynb", "answer = 5")
    assert check_my_work() == 1
    assert capfd.readouterr().out.splitlines() == [
        "102_choosing.ipynb",
        "  102.1   Not attempted: there is no `answer` yet. Write it in the cell above and run it.",
        "  Its code cell 2 stopped with EOFError: EOF when reading a line",
        "104_lora.ipynb",
        "  104.1   Correct: 104.1 is done.",
        "  Its code cell 2 stopped with ZeroDivisionError: division by zero",
        "1 of 2 correct; next: 102.1.",
    ]
    assert [(e["item"], e["outcome"]) for e in mine().events()] == [("102.1", "not attempted"), ("104.1", "correct")]
    assert check_my_work("104") == 0
    assert capfd.readouterr().out.splitlines()[-1] == "1 of 1 correct."
    assert sorted(path.name for path in work.iterdir()) == ["102_choosing.ipynb", "104_lora.ipynb", "notes.ipynb"]


@pytest.mark.parametrize("number", ["999", "", "*", "../104", "x" * 10**6, "\x1b[2J\ud800"])
def test_an_unknown_number_is_one_sentence(work, capsys, number):
    put(work, "104_lora.ipynb")
    assert check_my_work(number) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("There is no exercise")
    assert line.endswith("there are 104.")
    assert len(line) < 400
    assert "\x1b" not in line


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_exercises_is_one_sentence(work, capsys, there):
    if not there:
        work.rmdir()
    assert check_my_work() == 1
    assert capsys.readouterr().out == f"There are no exercises in {work}: `course learn` copies them there.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"),
        (b"no notebook", "damaged"),
        (b'{"cells": {"a": 1}}', "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[" * 10**5, "damaged"),
        (None, "cannot be opened"),
        (["answer = 2"], "has no exercises"),
        (["import nothing_of_that_name", "q1.check()"], "made no exercises: its code cell 1 stopped with Module"),
        (["import os\nos._exit(3)", "q1.check()"], "stopped before its end (exit status 3)"),
    ],
)
def test_a_broken_notebook_is_one_sentence_and_the_next_is_checked(work, capfd, content, words):
    if content is None:
        (work / "102_a.ipynb").mkdir()
    elif isinstance(content, bytes):
        (work / "102_a.ipynb").write_bytes(content)
    else:
        put(work, "102_a.ipynb", *content)
    put(work, "104_lora.ipynb", SETUP.format(id="104.1"), "answer = 2", "q1.check()")
    assert check_my_work() == 1
    first, broken, second, right, total, unchecked = capfd.readouterr().out.splitlines()
    assert (first, second, right) == ("102_a.ipynb", "104_lora.ipynb", "  104.1   Correct: 104.1 is done.")
    assert broken.startswith("  102_a.ipynb ")
    assert words in broken
    assert total == "1 of 1 correct."
    assert unchecked == "Not checked: 102_a.ipynb."


@pytest.mark.slow
def test_a_notebook_without_end_is_stopped_with_all_that_it_started(work, capsys, monkeypatch):
    sleep = "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
    tell = f"open({str(work / 'pid')!r}, 'w').write(str(child.pid))\nwhile True: pass"
    put(work, "104_lora.ipynb", SETUP.format(id="104.1"), sleep + tell, "q1.check()")
    for seconds in (4, 40):  # a busy machine gets there later
        monkeypatch.setattr(module, "SECONDS", seconds)
        assert check_my_work() == 1
        assert f"It took more than {seconds} seconds and was stopped" in capsys.readouterr().out
        if (work / "pid").exists():
            break
    pid = int((work / "pid").read_text())
    for _ in range(50):
        if not _alive(pid):
            break
        time.sleep(0.1)
    assert not _alive(pid)
    assert mine().events() == []


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_the_courses_own_exercises_untouched(work):
    code = "import course_lib.learn.check_all as c; raise SystemExit(c.check_my_work('104'))"
    page = next(ROOT.glob("exercises/*/104_*.ipynb"))
    (work / page.name).write_bytes(page.read_bytes())
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1] == "0 of 3 correct; next: 104.1."
    assert ran.stderr == ""
