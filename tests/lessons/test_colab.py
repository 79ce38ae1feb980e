"""What a reader does on Colab: a page in /content, torch there already, the course not, Drive to be mounted.

The machine is a stand-in: a fresh venv that borrows every package of this one but the course, and a `google.colab`
that mounts a folder. The pages are those of the repository, and run top to bottom.
"""

import importlib.util
import json
import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from course_lib.authoring import build
from course_lib.learn.place import LOST, MOUNT
from course_lib.run.assets import home

ROOT = Path(__file__).resolve().parents[2]
CONTENT = Path("/content")
DRIVE = CONTENT / "drive" / "MyDrive"
OURS = ("course_lib", "_editable_impl_course_lib", "__editable__")
RUN = """
import sys, nbformat
from nbclient import NotebookClient
page = nbformat.read(sys.argv[1], as_version=4)
try:
    NotebookClient(page, timeout=280).execute()
finally:
    nbformat.write(page, sys.argv[1])
"""


@pytest.fixture
def content():
    """The folder /content of a Colab machine, which is thrown away."""
    if CONTENT.exists() or os.geteuid() != 0:
        reason = f"NOT TESTED: a folder {CONTENT} is there already, or cannot be made without root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    CONTENT.mkdir()
    yield CONTENT
    shutil.rmtree(CONTENT)


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The Python of a machine that has every package of this one, torch too, but not the course."""
    folder = tmp_path_factory.mktemp("colab") / "venv"
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for package in Path(site.getsitepackages()[0]).iterdir():
        if not package.name.startswith(OURS):
            (packages / package.name).symlink_to(package)
    (packages / "stand_in.pth").write_text(str(Path(__file__).parent / "colab_stand_in"))
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def colab(python, tmp_path_factory):
    """Runs Python or a page on the machine."""
    kept = (
        "PATH",
        "HOME",
        "LANG",
        "HF_HUB_OFFLINE",
        "OMP_WAIT_POLICY",
        "GOMP_SPINCOUNT",
        "OMP_NUM_THREADS",
        "SSL_CERT_FILE",
    )
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
    environment |= {
        "COLAB_RELEASE_TAG": "release-colab_20261101-060000_RC00",
        "COURSE_HOME": str(home()),  # models are here already
        "JUPYTER_DATA_DIR": str(tmp_path_factory.mktemp("jupyter")),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONDONTWRITEBYTECODE": "1",  # the borrowed packages are not this machine's to write in
        **({"PIP_NO_BUILD_ISOLATION": "0"} if hatchling() else {}),
    }

    def run(*arguments, cwd: Path, **more) -> str:
        result = subprocess.run(
            [python, *arguments], cwd=cwd, env=environment | more, capture_output=True, text=True, timeout=550
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout

    return run


def hatchling() -> bool:
    """Whether a wheel can be built without fetching what builds it."""
    return importlib.util.find_spec("hatchling") is not None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """What `make wheel` makes."""
    folder = tmp_path_factory.mktemp("wheel")
    isolation = ["--no-build-isolation"] if hatchling() else []
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *isolation, "-w", folder, ROOT]
    subprocess.run(command, check=True)
    return next(folder.glob("course_lib-*-any.whl"))


def page(number: str, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> nbformat.NotebookNode:
    """A lesson as it is built, not executed, with cells of the reader's before and after it."""
    (source,) = (ROOT / "notebooks").glob(f"*/{number}_*.py")
    built = build.to_notebook(source, build.Settings(ROOT))
    built.cells = [*map(new_code_cell, before), *built.cells, *map(new_code_cell, after)]
    return built


def printed(path: Path) -> list[str]:
    """What each code cell printed."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]


def events(folder: Path) -> list[tuple[str, str]]:
    """Item and outcome of each event in a progress folder, read without the course."""
    found = [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
    return [(event["item"], event["outcome"]) for event in found]


def test_the_wheel_holds_every_file_of_the_package(wheel):
    there = {p.relative_to(ROOT).as_posix() for p in (ROOT / "course_lib").rglob("*") if p.is_file()}
    there = {name for name in there if "__pycache__" not in name}
    assert any(name.endswith(".csv") for name in there)
    assert any(name.endswith(".toml") for name in there)
    assert there <= set(zipfile.ZipFile(wheel).namelist())


def test_lesson_100_from_a_clone_and_drive_mounted_late(content, colab):
    clone = content / "course"
    (clone / "notebooks" / "beginner").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.lock"):
        shutil.copy(ROOT / name, clone)
    shutil.copytree(ROOT / "course_lib", clone / "course_lib", ignore=shutil.ignore_patterns("__pycache__"))
    path = clone / "notebooks" / "beginner" / "100_start_here.ipynb"
    nbformat.write(page("100", after=(MOUNT, "course.lesson('100')")), path)
    colab("-c", RUN, path, cwd=path.parent)
    said = printed(path)
    assert "Installing the course" in said[0]
    assert LOST in said[1]
    doctor = next(words for words in said if "Python" in words)
    assert "Colab release-colab_20261101" in doctor
    assert "are as the course needs them" in doctor, "Colab's packages are compared with the lock"
    assert "Your progress is kept in your Google Drive" in said[-1]
    assert ("100", "run") in events(DRIVE / "finetuning-course" / "progress")


@pytest.mark.timeout(600)
def test_lesson_104_from_a_wheel_with_drive(content, colab, wheel, python):
    shutil.copy(wheel, content)
    path = content / "104_lora.ipynb"
    nbformat.write(page("104", before=(MOUNT,)), path)
    torch = next(python.parents[1].glob("lib/python*/site-packages/torch"))
    colab("-m", "pip", "uninstall", "-q", "-y", "course-lib", cwd=content)
    colab("-c", RUN, path, cwd=content, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS="")
    said = printed(path)
    assert "Installing the course" in said[1]
    assert torch.is_symlink(), "pip replaced the torch that was there"
    assert "Your progress is kept in your Google Drive" in said[2]
    assert "same as PEFT to 1e-5: True" in "".join(said)
    assert ("104", "run") in events(DRIVE / "finetuning-course" / "progress")
    assert list((content / "my_work" / "runs").iterdir()), "training runs belong on the machine's own disk"
    assert not list(DRIVE.rglob("*.safetensors"))
