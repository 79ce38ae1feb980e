"""Which program shows this notebook, and whether its widgets can be drawn there."""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from course_lib.folders import on_colab
from course_lib.learn.examining import Line, shown


def front_end() -> Line:
    """JupyterLab, Notebook, VS Code, Colab or a terminal, and the two packages that draw widgets."""
    ours, theirs = _version("ipywidgets"), _version("jupyterlab_widgets")
    seen = f"{_name()}; ipywidgets {ours or 'not installed'}"
    drawn_here = bool(theirs or _version("jupyterlab")) and not on_colab()
    return Line(
        "notebook",
        not (ours.startswith("8.") and drawn_here and not theirs.startswith("3.")),
        f"{seen} with jupyterlab_widgets {theirs or 'not installed'}" if drawn_here else seen,
        'run `%pip install "jupyterlab_widgets>=3,<4"`, then start JupyterLab again: else widgets stay empty',
    )


def _name() -> str:
    if on_colab():
        return f"Colab {shown(os.environ['COLAB_RELEASE_TAG'], 60)}".strip()
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not hasattr(shell, "kernel"):
        return "a terminal, where widgets are shown as text"
    if "__vsc_ipynb_file__" in shell.user_ns:
        return "VS Code"
    started = {Path(argument).stem for program in _programs() for argument in program[:4]}
    if started & {"jupyter-lab", "lab", "jupyter-labhub"}:
        return f"JupyterLab {_version('jupyterlab')}".strip()
    if started & {"jupyter-notebook", "notebook"}:
        return f"Notebook {_version('notebook')}".strip()
    return "a Jupyter kernel"


def _programs() -> list[list[str]]:
    """The command lines of the programs that started this one."""
    try:
        return [program.cmdline() for program in psutil.Process().parents()[:3]]
    except psutil.Error:
        return []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
