import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import cli
from course_lib.errors import CourseError

ROOT = Path(__file__).resolve().parents[2]


def course(*arguments, **more):
    return subprocess.run(
        [Path(sys.executable).with_name("course"), *arguments], capture_output=True, text=True, **more
    )


def test_importing_the_package_loads_no_torch():
    code = "import course_lib, sys; course_lib.Plan(); course_lib.current_profile(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


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
