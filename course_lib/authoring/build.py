"""Build the notebooks from their authored sources: `python -m course_lib.authoring.build 104` or `--all`.

A lesson becomes an executed notebook beside it. A solution becomes an executed notebook beside it and, with the
answers cut out, an exercise that is not executed.
"""

import argparse
import copy
import hashlib
import os
import re
import sys
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from course_lib.authoring import lint
from course_lib.authoring.install import install_cell
from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.learn.checks import HOLE

# What a cell may find of the author's own work.
PERSONAL = ("selector.json", "my_plan.yaml", "runs", "timer.json", "stuck.json")
# Where a lesson's findings on the guides' claims go.
CLAIMS = "course_lib/prove/measurements/claims"
SECONDS_PER_CELL = 300
WIDGET = "application/vnd.jupyter.widget-view+json"
SOLUTION = re.compile(r"(?ms)^(?P<pad>[ \t]*)### BEGIN SOLUTION[ \t]*\n.*?^(?P=pad)### END SOLUTION[ \t]*$")
PROGRESS_BAR = re.compile(r"\r|it/s|\d%\|")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

COLAB = "https://colab.research.google.com"
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # in JupyterLab, Notebook and VS Code; on Colab
BADGE = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/github/{{repository}}/blob/{{ref}}/{{path}})"


@dataclass(frozen=True)
class Settings:
    """The project's folder, and where its notebooks are published (`[tool.course]` in pyproject.toml)."""

    root: Path
    repository: str = ""
    ref: str = "main"

    @classmethod
    def of(cls, root: Path) -> "Settings":
        """Read the settings of the project in `root`; without a `[tool.course]` section there is no badge."""
        project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        return cls(root, **project.get("tool", {}).get("course", {}))


def sources(root: Path) -> list[Path]:
    """The authored lessons, then the authored solutions, each in the order of their numbers."""
    return [p for kind in ("notebooks", "solutions") for p in sorted(root.glob(f"{kind}/*/[1-3][0-9][0-9]_*.py"))]


def to_notebook(source: Path, settings: Settings) -> NotebookNode:
    """The lesson or solution as a notebook that has not run, with an install cell, and with a badge if it is published."""
    text = source.read_bytes()
    nb = jupytext.reads(text.decode("utf-8"), fmt="py:percent")
    path = source.relative_to(settings.root)
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "course": {"source": path.as_posix(), "sha256": hashlib.sha256(text).hexdigest()},
        }
    )
    if settings.repository:
        badge = BADGE.format(
            path=path.with_suffix(".ipynb").as_posix(), repository=settings.repository, ref=settings.ref
        )
        title, _, rest = nb.cells[0].source.partition("\n")
        nb.cells[0].source = f"{title}\n\n{badge}\n\n{rest.lstrip()}".rstrip()
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags"})
    install = install_cell(settings.repository, settings.ref)
    nb.cells.insert(1, nbformat.v4.new_code_cell(install, metadata={"tags": ["colab"]} | FOLDED))
    return _stamp_ids(nb)


def to_exercise(notebook: NotebookNode) -> NotebookNode:
    """The solution with holes for answers: marked blocks blanked, cells tagged `solution` and all outputs gone."""
    nb = copy.deepcopy(notebook)
    nb.cells = [c for c in nb.cells if "solution" not in c.metadata.get("tags", [])]
    nb.cells[0].source = re.sub(r"(colab\.research\.\S+)/solutions/", r"\1/exercises/", nb.cells[0].source)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.source = SOLUTION.sub(rf"\g<pad>{HOLE}", cell.source)
            cell.outputs, cell.execution_count = [], None
    return _stamp_ids(nb)


def view(nb: NotebookNode) -> list[tuple[str, str, list[str]]]:
    """What a reader sees: type, source and tags of each cell; no ids, outputs or counters."""
    return [(c.cell_type, c.source, sorted(c.metadata.get("tags", []))) for c in nb.cells]


def pages(source: Path, root: Path) -> dict[Path, NotebookNode]:
    """What is built from `source`, not executed, by the path it is written to: the exercise last, if there is one."""
    nb = to_notebook(source, Settings.of(root))
    built = {source.with_suffix(".ipynb"): nb}
    if "solutions" in source.relative_to(root).parts:
        built[root / "exercises" / source.parent.name / f"{source.stem}.ipynb"] = to_exercise(nb)
    return built


def stale(source: Path, root: Path) -> list[str]:
    """One sentence for each built notebook that is missing or is not what `source` says now; empty = all fresh."""
    remedy = f"run `make page N={source.name[:3]}`"
    faults = []
    for path, page in pages(source, root).items():
        name = path.relative_to(root).as_posix()
        if not path.exists():
            faults.append(f"{name} is missing: {remedy}")
            continue
        built = nbformat.read(path, as_version=4)
        same_ids = [c.get("id") for c in built.cells] == [c.id for c in page.cells]
        if view(built) != view(page) or not same_ids or built.metadata != page.metadata:
            faults.append(f"{name} is stale: {remedy}")
    return faults


def build(source: Path, root: Path, run: bool = True) -> list[Path]:
    """Build the notebooks of one source and return their paths; nothing is written unless all of it succeeds.

    What a lesson finds on the guides' claims is written as well, into `CLAIMS`. With `run=False` nothing is executed: outputs
    are kept where no code cell changed since the last build.

    Raises:
        CourseError: a marker is out of place, a cell raised, timed out or wrote to stderr, or an output is too large.
    """
    built = pages(source, root)
    path, nb = next(iter(built.items()))
    faults, found = lint.markers(source.read_text("utf-8"), nb.metadata.course.source), {}
    if run and not faults:
        found = _execute(nb, source.parent)
        faults = lint.outputs(nb)
    elif path.exists():
        _keep_outputs(nb, nbformat.read(path, as_version=4))
    if faults:
        raise CourseError("\n".join(faults))
    for path, page in built.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".ipynb.tmp")
        temporary.write_text(nbformat.writes(page) + "\n", "utf-8")
        os.replace(temporary, path)
    if "notebooks" in source.relative_to(root).parts:
        for name, text in found.items():
            write_whole(root / CLAIMS / name, text)
    return list(built)


def _stamp_ids(nb: NotebookNode) -> NotebookNode:
    seen = Counter()
    for cell in nb.cells:
        key = hashlib.sha1(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:8]
        seen[key] += 1
        cell["id"] = key if seen[key] == 1 else f"{key}-{seen[key]}"
    return nb


def _execute(nb: NotebookNode, folder: Path) -> dict[str, str]:
    """Run the cells in place; returns what they found on the guides' claims, by the name of its file."""
    page, metadata, begun = nb.metadata.course.source, copy.deepcopy(nb.metadata), []
    client = NotebookClient(
        nb,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
        force_raise_errors=True,
        record_timing=False,
        store_widget_state=False,
        on_cell_execute=lambda cell, cell_index: begun.append(cell_index),
    )
    try:
        # The page is stored as someone sees it who has done nothing yet.
        with TemporaryDirectory() as nobodys, TemporaryDirectory() as claims:
            client.execute(env=os.environ | {"COURSE_PROGRESS": nobodys, "COURSE_CLAIMS": claims})
            found = {file.name: file.read_text("utf-8") for file in Path(claims).glob("*.json")}
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        lines = ANSI.sub("", str(error)).strip().splitlines()
        what = "\n".join(lines[-6:] if isinstance(error, CellExecutionError) else lines[:1])
        raise CourseError(f"{page}, cell {begun[-1] + 1} failed, nothing is written:\n{what}") from None
    nb.metadata = metadata
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type == "code":
            _clean(cell, f"{page}, cell {number}")
    return found


def _clean(cell: NotebookNode, place: str) -> None:
    """Drop progress bars, reduce widgets to their text, join streams; raises CourseError on any other stderr."""
    outputs, stderr = [], ""
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            stderr += output.text
        elif output.output_type == "stream" and outputs and outputs[-1].output_type == "stream":
            outputs[-1].text += output.text
        elif WIDGET in output.get("data", {}):
            twin = {kind: output.data[kind] for kind in ("text/html", "text/plain") if kind in output.data}
            if twin and not any(PROGRESS_BAR.search(text) for text in twin.values()):
                outputs.append(nbformat.from_dict({**output, "data": twin, "metadata": {}}))
        else:
            outputs.append(output)
    lines = [ANSI.sub("", line).rstrip() for line in stderr.split("\n") if not PROGRESS_BAR.search(line)]
    if any(lines):
        raise CourseError(f"{place} wrote to stderr, nothing is written:\n" + "\n".join(filter(None, lines)))
    for output in outputs:
        if output.output_type == "stream":
            output.text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in output.text.split("\n"))
    cell.outputs = outputs


def _keep_outputs(nb: NotebookNode, before: NotebookNode) -> None:
    new, old = ([c for c in page.cells if c.cell_type == "code"] for page in (nb, before))
    if [c.source for c in new] == [c.source for c in old]:
        for cell, known in zip(new, old, strict=True):
            cell.outputs, cell.execution_count = known.outputs, known.execution_count


def main(arguments: list[str] | None = None) -> int:
    """Build the named pages; returns the exit status. The first page that fails stops the build."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.authoring.build", description="Build course pages.")
    parser.add_argument("numbers", nargs="*", help="lesson numbers, such as 104")
    parser.add_argument("--all", action="store_true", help="every page")
    parser.add_argument("--no-run", action="store_true", help="execute nothing: for edits of the prose alone")
    chosen = parser.parse_args(arguments)
    if bool(chosen.numbers) == chosen.all:
        parser.error("name the pages to build, such as 104, or say --all")
    root = Path.cwd()
    found = [p for p in sources(root) if chosen.all or p.name[:3] in chosen.numbers]
    if missing := set(chosen.numbers) - {p.name[:3] for p in found}:
        print(f"No source for {', '.join(sorted(missing))} in notebooks/ or solutions/ of {root.name}/.")
        return 1
    if not chosen.no_run and (mine := [name for name in PERSONAL if (root / "my_work" / name).exists()]):
        print(f"my_work/ holds {', '.join(mine)}, which the pages would show: move my_work/ away, then build again.")
        return 1
    for source in found:
        kind = source.relative_to(root).parts[0].removesuffix("s").replace("notebook", "lesson")
        print(f"{source.name[:3]} {kind}: {'writing' if chosen.no_run else 'running'} ...", end=" ", flush=True)
        start = time.monotonic()
        try:
            paths = build(source, root, run=not chosen.no_run)
        except CourseError as error:
            print(f"stopped\n{error}")
            return 1
        print(f"{time.monotonic() - start:.0f} s, {paths[0].stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
