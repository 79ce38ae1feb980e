import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import cli
from course_lib.errors import CourseError
from course_lib.learn.doctor import Line, examine, locked_versions

ROOT = Path(__file__).resolve().parents[2]


def course(*arguments, **more):
    return subprocess.run(
        [Path(sys.executable).with_name("course"), *arguments], capture_output=True, text=True, **more
    )


def test_importing_the_package_loads_no_torch():
    code = "import course_lib, sys; course_lib.Plan(); course_lib.current_profile(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_doctor_names_each_part_and_loads_no_torch():
    code = "import course_lib, sys; course_lib.doctor(); assert 'torch' not in sys.modules"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    for part in ("Python", "torch", "memory", "disk", "smollm2-135m"):
        assert f" {part} " in said


def test_doctor_compares_with_the_lock_and_gives_a_remedy(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("torch==0.0.1\npeft==0.0.2 ; python_version > '3'\n")
    assert locked_versions(lock) == {"torch": "0.0.1", "peft": "0.0.2"}
    (torch_line,) = [line for line in examine(tmp_path, lock) if line.part == "torch"]
    assert not torch_line.fine
    assert "tested with 0.0.1: run `make learn` again" in str(torch_line)
    assert "->" not in str(Line("disk", True, "9 GiB", "free some"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["run", "999"], "There is no page 999"), (["train", "nowhere.yaml"], "There is no plan file")],
)
def test_a_wrong_call_gets_one_sentence(arguments, says):
    result = course(*arguments, cwd=ROOT)
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_exercises_are_copied_once_and_never_over_a_readers_work(tmp_path):
    (tmp_path / "exercises" / "beginner").mkdir(parents=True)
    (tmp_path / "exercises" / "beginner" / "104_lora.ipynb").write_text("new")
    work = tmp_path / "my_work"
    assert cli.copy_exercises(tmp_path, work) == ["104_lora.ipynb"]
    (work / "104_lora.ipynb").write_text("mine")
    assert cli.copy_exercises(tmp_path, work) == []
    assert (work / "104_lora.ipynb").read_text() == "mine"


def test_a_page_is_found_by_its_number(monkeypatch, tmp_path):
    (tmp_path / "notebooks" / "beginner").mkdir(parents=True)
    (tmp_path / "notebooks" / "beginner" / "104_lora.ipynb").write_text("")
    monkeypatch.chdir(tmp_path)
    assert cli.page("104").name == "104_lora.ipynb"
    with pytest.raises(CourseError, match="there are 104"):
        cli.page("105")
