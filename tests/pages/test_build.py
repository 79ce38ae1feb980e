"""The builder on tiny projects; the cells run for real."""

import hashlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_lib.authoring import build, lint
from course_lib.authoring.install import install_cell
from course_lib.errors import CourseError

pytestmark = pytest.mark.slow  # a kernel for nearly each of them

LESSON = """\
# %% [markdown]
# # 104 · LoRA
# **You will** count.

# %%
print("hello")
40 + 2

# %% [markdown]
# Said twice.

# %% [markdown]
# Said twice.
"""
SOLUTION = """\
# %% [markdown]
# # 104 · LoRA

# %%
def double(x):
    \"\"\"Twice x.\"\"\"
    ### BEGIN SOLUTION
    y = x

    return y + x
    ### END SOLUTION


### BEGIN SOLUTION
answer = 4
### END SOLUTION

# %% tags=["solution"]
print("only in the solution")

# %%
print("checked")
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add(project: Path, text: str, kind="notebooks") -> Path:
    path = project / kind / "beginner" / "104_lora.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def run_cell(project: Path, code: str) -> list:
    """Outputs of one executed cell."""
    (path,) = build.build(add(project, f"# %% [markdown]\n# # 104 · LoRA\n\n# %%\n{code}\n"), project)
    return nbformat.read(path, as_version=4).cells[2].outputs


def fresh(project: Path, text: str, kind="notebooks"):
    return build.to_notebook(add(project, text, kind), build.Settings.of(project))


def test_sources_are_lessons_then_solutions(project):
    lesson, solution = add(project, LESSON), add(project, SOLUTION, "solutions")
    (lesson.parent / "helper.py").touch()
    assert build.sources(project) == [lesson, solution]


def test_lesson_is_executed_and_stamped(project):
    source = add(project, LESSON)
    (path,) = build.build(source, project)
    nb = nbformat.read(path, as_version=4)
    nbformat.validate(nb)
    assert path == source.with_suffix(".ipynb")
    assert nb.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "course": {
            "source": "notebooks/beginner/104_lora.py",
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        },
    }
    cell = nb.cells[2]
    assert cell.metadata == {}
    assert cell.execution_count == 2
    assert [o.get("text") or o.data["text/plain"] for o in cell.outputs] == ["hello\n", "42"]
    assert nb.cells[4].id == f"{nb.cells[3].id}-2"
    assert build.stale(source, project) == []
    assert not list(project.rglob("*.tmp"))


def test_two_builds_are_byte_equal(project):
    source = add(project, LESSON)
    first = [path.read_bytes() for path in build.build(source, project)]
    assert [path.read_bytes() for path in build.build(source, project)] == first


def test_cells_run_in_the_notebooks_own_folder(project):
    (output,) = run_cell(project, "import os\nprint(os.path.basename(os.getcwd()))")
    assert output.text == "beginner\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("total = 1 / 0", ["notebooks/beginner/104_lora.py, cell 3", "ZeroDivisionError: division by zero"]),
        ("import os\nos._exit(1)", ["cell 3", "died"]),
        ("import sys\nprint('careful', file=sys.stderr)", ["cell 3", "stderr", "careful"]),
        ("import warnings\nwarnings.warn('old name')", ["cell 3", "stderr", "old name"]),
        ("print('x' * 200_001)", ["cell 3", "200 kB"]),
    ],
)
def test_a_bad_cell_stops_the_build_and_nothing_is_written(project, code, words):
    with pytest.raises(CourseError) as stop:
        run_cell(project, code)
    assert all(word in str(stop.value) for word in words)
    assert not list(project.rglob("*.ipynb*"))


def test_a_tag_does_not_allow_an_error(project):
    source = add(project, '# %% [markdown]\n# # 104 · LoRA\n\n# %% tags=["raises-exception"]\n1 / 0\n')
    with pytest.raises(CourseError, match="ZeroDivisionError"):
        build.build(source, project)


def test_a_slow_cell_stops_the_build(project, monkeypatch):
    monkeypatch.setattr(build, "SECONDS_PER_CELL", 1)
    with pytest.raises(CourseError, match="timed out"):
        run_cell(project, "import time\ntime.sleep(30)")


def test_a_failing_build_leaves_the_last_one(project):
    (path,) = build.build(add(project, LESSON), project)
    before = path.read_bytes()
    with pytest.raises(CourseError):
        run_cell(project, "1 / 0")
    assert path.read_bytes() == before


def test_progress_bars_are_dropped(project):
    bars = """
from tqdm import tqdm
from tqdm.auto import tqdm as widget_bar
for i in tqdm(range(3)):
    for j in tqdm(range(2), leave=False):
        print("step", i, j)
for i in widget_bar(range(3)): pass
"""
    outputs = run_cell(project, bars)
    assert [o.output_type for o in outputs] == ["stream"]
    assert outputs[0].text == "".join(f"step {i} {j}\n" for i in range(3) for j in range(2))


def test_a_warning_beside_a_progress_bar_still_stops(project):
    with pytest.raises(CourseError, match="careful"):
        run_cell(project, "import sys\nfrom tqdm import tqdm\nlist(tqdm(range(3)))\nprint('careful', file=sys.stderr)")


def test_overwritten_lines_keep_their_last_state(project):
    (output,) = run_cell(project, "print('start\\n 10%\\r 50%\\r100%')\nprint('kept\\r')")
    assert output.text == "start\n100%\nkept\n"


def test_a_widget_keeps_its_text_alone(project):
    (output,) = run_cell(project, "import ipywidgets\nipywidgets.IntSlider(value=7, description='rank')")
    assert list(output.data) == ["text/plain"]
    assert "rank" in output.data["text/plain"]
    assert "widgets" not in nbformat.read(project / "notebooks/beginner/104_lora.ipynb", as_version=4).metadata


def test_exercise_of_a_solution(project):
    source = add(project, SOLUTION, "solutions")
    solution, exercise = build.build(source, project)
    assert exercise == project / "exercises/beginner/104_lora.ipynb"
    nb = nbformat.read(exercise, as_version=4)
    nbformat.validate(nb)
    codes = [c for c in nb.cells if c.cell_type == "code"]
    assert [c.source for c in codes[1:]] == [
        'def double(x):\n    """Twice x."""\n    ...  # your code here\n\n\n...  # your code here',
        'print("checked")',
    ]
    assert all(c.outputs == [] and c.execution_count is None for c in codes)
    assert nb.metadata.course.source == "solutions/beginner/104_lora.py"
    assert "only in the solution" in solution.read_text()
    assert build.stale(source, project) == []


def test_a_crooked_marker_cannot_leak_an_answer(project):
    source = add(project, SOLUTION.replace("    ### END", "  ### END"), "solutions")
    with pytest.raises(CourseError, match="not indented"):
        build.build(source, project)
    assert not list(project.rglob("*.ipynb"))


def test_without_a_repository_there_is_no_badge(project):
    nb = fresh(project, LESSON)
    assert nb.cells[0].source == "# 104 · LoRA\n**You will** count."
    assert len(nb.cells) == 5


@pytest.mark.parametrize("kind", ["notebooks", "solutions"])
def test_every_page_begins_with_an_install_cell_that_a_reader_can_read(project, kind):
    solution = fresh(project, LESSON if kind == "notebooks" else SOLUTION, kind)
    for page in (solution, build.to_exercise(solution)):
        cell = page.cells[1]
        assert (cell.cell_type, cell.metadata.tags) == ("code", ["colab"])
        assert cell.metadata.jupyter.source_hidden
        assert cell.source.startswith("# @title Install the course where it is missing")
        lines = [line for line in cell.source.splitlines() if line]
        assert len(lines) <= lint.LINES
        assert max(map(len, lines)) <= 120


@pytest.fixture
def install(project, monkeypatch):
    """Runs the install cell two folders below `project`; returns what pip has been asked to install so far."""
    asked = []

    def run(repository="", ref="main", missing=True, pip_fails=0) -> list[str]:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if missing else name)
        monkeypatch.setattr(subprocess, "call", lambda command: asked.append(command) or pip_fails)
        exec(install_cell(repository, ref), {})
        assert all(command[:-1] == [sys.executable, "-m", "pip", "install", "-q"] for command in asked)
        return [command[-1] for command in asked]

    (project / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(project / "a" / "b")
    return run


def test_the_install_cell_does_nothing_where_the_course_is_installed(project, install, capsys):
    (project / "course_lib-0.1.0-py3-none-any.whl").touch()
    assert install(missing=False) == []
    assert capsys.readouterr().out == ""
    assert install() != []


def test_the_install_cell_takes_a_wheel_then_a_clone_of_the_folders_above(project, install):
    (project / "course_lib").mkdir()
    assert install() == [str(project)]
    wheel = project / "course_lib-0.1.0-py3-none-any.whl"
    wheel.touch()
    (
        project / "course_lib-0.1.0-py3-none-any (1).whl"
    ).touch()  # what a browser makes of a second upload; pip refuses it
    assert install()[1:] == [str(wheel)]
    newer = project / "a" / "course_lib-0.2.0-py3-none-any.whl"
    newer.touch()
    assert install()[2:] == [str(newer)]


def test_the_install_cell_says_what_to_do_when_there_is_nothing_to_install(install):
    with pytest.raises(SystemExit, match=r"put its wheel .* beside this page"):
        install()


def test_the_install_cell_says_so_when_pip_fails(install):
    with pytest.raises(SystemExit, match="pip could not install the course"):
        install(repository="org/name", pip_fails=1)


@pytest.mark.parametrize("kind", ["notebooks", "solutions"])
def test_badge_and_install_cell(project, kind, install):
    (project / "pyproject.toml").write_text('[tool.course]\nrepository = "org/name"\nref = "v1"\n')
    nb = fresh(project, LESSON if kind == "notebooks" else SOLUTION, kind)
    link = "https://colab.research.google.com/github/org/name/blob/v1/{}/beginner/104_lora.ipynb)"
    assert nb.cells[0].source.startswith("# 104 · LoRA\n\n[![Open in Colab](")
    assert link.format(kind) + ("\n\n**You" if kind == "notebooks" else "") in nb.cells[0].source
    assert nb.cells[1].metadata.tags == ["colab"]
    assert install("org/name", "v1") == ["course-lib @ git+https://github.com/org/name@v1"]
    assert nb.cells[1].source == install_cell("org/name", "v1")
    if kind == "solutions":
        exercise = build.to_exercise(nb)
        assert link.format("exercises") in exercise.cells[0].source
        assert "/solutions/" not in exercise.cells[0].source


def test_drift_is_flagged(project):
    source = add(project, SOLUTION, "solutions")
    assert [s.split(":")[0] for s in build.stale(source, project)] == [
        "solutions/beginner/104_lora.ipynb is missing",
        "exercises/beginner/104_lora.ipynb is missing",
    ]
    build.build(source, project, run=False)
    assert build.stale(source, project) == []
    source.write_text(SOLUTION.replace("answer = 4", "answer = 5"))
    assert build.stale(source, project) == [
        "solutions/beginner/104_lora.ipynb is stale: run `make page N=104`",
        "exercises/beginner/104_lora.ipynb is stale: run `make page N=104`",
    ]


@pytest.mark.parametrize("field", ["source", "tags", "id", "sha256"])
def test_an_edited_notebook_is_flagged(project, field):
    source = add(project, LESSON)
    (path,) = build.build(source, project, run=False)
    nb = nbformat.read(path, as_version=4)
    if field == "source":
        nb.cells[2].source += " "
    elif field == "tags":
        nb.cells[2].metadata.tags = ["solution"]
    elif field == "id":
        nb.cells[2].id = "other"
    else:
        nb.metadata.course.sha256 = "0" * 64
    nbformat.write(nb, path)
    assert build.stale(source, project) == ["notebooks/beginner/104_lora.ipynb is stale: run `make page N=104`"]


def test_prose_can_change_without_a_run(project):
    source = add(project, LESSON)
    (path,) = build.build(source, project)
    ran = nbformat.read(path, as_version=4).cells[2]
    source.write_text(LESSON.replace("**You will** count", "**You will** add"))
    build.build(source, project, run=False)
    nb = nbformat.read(path, as_version=4)
    assert "add" in nb.cells[0].source
    assert nb.cells[2] == ran
    source.write_text(LESSON.replace("40 + 2", "40 + 3"))
    build.build(source, project, run=False)
    assert nbformat.read(path, as_version=4).cells[2].outputs == []


def test_command_line(project, capsys):
    add(project, LESSON)
    add(project, SOLUTION, "solutions")
    assert build.main(["104", "--no-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" ... ")[0] for line in lines] == ["104 lesson: writing", "104 solution: writing"]
    assert re.fullmatch(r"\d+ s, \d+ kB", lines[0].partition(" ... ")[2])
    assert build.main(["999"]) == 1
    assert "No source for 999" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        build.main([])


def test_pages_are_not_built_over_the_authors_own_work(project, capsys):
    add(project, LESSON)
    (project / "my_work").mkdir()
    (project / "my_work" / "selector.json").write_text("{}")
    assert build.main(["104"]) == 1
    assert "my_work/ holds selector.json" in capsys.readouterr().out
    assert build.main(["104", "--no-run"]) == 0


def test_command_line_stops_at_a_failing_page(project, capsys):
    add(project, LESSON.replace("40 + 2", "1 / 0"))
    add(project, SOLUTION, "solutions")
    assert build.main(["--all"]) == 1
    out = capsys.readouterr().out
    assert "stopped" in out
    assert "cell 3 failed" in out
    assert "104 solution" not in out
