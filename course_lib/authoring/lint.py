"""The rules of a page: each returns the faults as sentences that name file and cell; an empty list is fine."""

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from urllib.parse import unquote

from nbformat import NotebookNode

SECTIONS = ("Why", "Claim and measurement", "Check yourself", "Your turn", "Recap")
SECTIONS_OF_100 = ("Why", "Recap")
WIDGET_CALL = re.compile(r"(course\.)?(Dashboard|Timer|Stuck|Selector|quiz)\(")
LINES, LINES_SHOWN, CELLS_IN_A_ROW = 15, 45, 3
OUTPUT_BYTES = 200_000

MARKERS = ("### BEGIN SOLUTION", "### END SOLUTION")
LIKE_A_MARKER = re.compile(r"^\s*#[#\s]*((BEGIN|END)\b|(?i:(begin|end)\s+solution))")
CODE_IN_PROSE = re.compile(r"(?ms)^[ \t]*(```|~~~).*?^[ \t]*\1|`[^`\n]*`")
LINK = re.compile(r"\]\(<?([^)>\s]+)|(?:src|href)=[\"']([^\"']+)")
IMAGE = re.compile(r"!\[\s*\]\(|<img(?![^>]*\balt=[\"'][^\"'])[^>]*>")


def skeleton(nb: NotebookNode) -> list[str]:
    """The first cell is the title; in a lesson it says what to expect, and the sections stand in their order."""
    source, head = nb.metadata.course.source, nb.cells[0]
    number = Path(source).name[:3]
    if head.cell_type != "markdown" or not re.match(rf"# {number} · \S", head.source):
        return [f"{_at(nb, 1)}: the first line is not `# {number} · Title`"]
    if source.startswith("solutions/"):
        return []
    faults = [
        f"{_at(nb, 1)}: does not say `{word}`" for word in ("You will", "Needs", "Time") if word not in head.source
    ]
    wanted = SECTIONS_OF_100 if number == "100" else SECTIONS
    headings = [
        (title.partition(" · ")[0].strip(), cell)
        for cell, text in _prose(nb)
        for title in re.findall(r"(?m)^## (.+)$", text)
    ]
    found = [title for title, _ in headings]
    faults += [f"{source}: the section `## {title}` is missing" for title in wanted if title not in found]
    faults += [f"{source}: the section `## {title}` is there twice" for title in wanted if found.count(title) > 1]
    if headings and found[0] != wanted[0]:
        faults.append(f"{_at(nb, headings[0][1])}: the first section is not `## {wanted[0]}`")
    order = [title for title in found if title in wanted]
    if sorted(order, key=wanted.index) != order:
        faults.append(f"{source}: the sections stand in the order {', '.join(order)}; it is {', '.join(wanted)}")
    return faults


def frame(nb: NotebookNode) -> list[str]:
    """A lesson says first where the reader is, puts its quiz under `Check yourself`, and marks itself as run last."""
    source = nb.metadata.course.source
    if source.startswith("solutions/"):
        return []
    call = f'course.{{}}("{Path(source).name[:3]}")'.format
    ends = [(number, _last_line(cell)) for number, cell in _code(nb) if "colab" not in cell.metadata.get("tags", [])]
    faults = []
    for (number, line), which, wanted in zip((ends[0], ends[-1]), ("first", "last"), ("lesson", "finish"), strict=True):
        if line != call(wanted):
            faults.append(f"{_at(nb, number)}: the {which} code cell does not end in `{call(wanted)}`")
    for number, text in _prose(nb):
        if "## Check yourself" in text and (number + 1, call("quiz")) not in ends:
            faults.append(f"{_at(nb, number)}: the cell after `## Check yourself` is not `{call('quiz')}`")
    return faults


def twins(nb: NotebookNode) -> list[str]:
    """A widget has left a still page and plain text, for places where no widget runs."""
    return [
        f"{_at(nb, number)}: the widget of `{_last_line(cell)}` has left no {kind}"
        for number, cell in _code(nb)
        if WIDGET_CALL.match(_last_line(cell))
        for kind in ("text/html", "text/plain")
        if not any(output.get("data", {}).get(kind, "").strip() for output in cell.outputs)
    ]


def cell_size(nb: NotebookNode) -> list[str]:
    """Code cells are short, and prose comes after three of them at the latest."""
    faults = []
    for number, cell in _code(nb):
        limit = LINES_SHOWN if _shown_module(cell) else LINES
        lines = sum(bool(line.strip()) for line in cell.source.splitlines())
        if lines > limit:
            faults.append(f"{_at(nb, number)}: {lines} lines of code; at most {limit}")
    for kind, group in groupby(enumerate(nb.cells, 1), key=lambda numbered: numbered[1].cell_type):
        cells = list(group)
        if kind == "code" and len(cells) > CELLS_IN_A_ROW:
            faults.append(f"{_at(nb, cells[0][0])}: {len(cells)} code cells in a row; at most {CELLS_IN_A_ROW}")
    return faults


def markers(source_text: str, name: str) -> list[str]:
    """BEGIN and END SOLUTION are in pairs, in a solution only; `name` is the source's path from the project's root."""
    faults, opened, pairs = [], None, 0
    for number, line in enumerate(source_text.splitlines(), 1):
        place, marker = f"{name}, line {number}", line.strip()
        if line.startswith("# %%") and opened is not None:
            faults.append(f"{place}: a cell begins before `### END SOLUTION`")
            opened = None
        elif not LIKE_A_MARKER.match(line):
            continue
        elif marker not in MARKERS:
            faults.append(f"{place}: `{marker}` is no marker; they are `{MARKERS[0]}` and `{MARKERS[1]}`")
        elif marker == MARKERS[0]:
            if opened is not None:
                faults.append(f"{place}: `{marker}` inside a solution")
            opened = line.index("#")
        elif opened is None:
            faults.append(f"{place}: `{marker}` without a beginning")
        else:
            if opened != line.index("#"):
                faults.append(f"{place}: `{marker}` is not indented like its beginning")
            opened, pairs = None, pairs + 1
    if opened is not None:
        faults.append(f"{name}: a solution is not ended")
    is_solution = name.startswith("solutions/")
    if is_solution and not pairs:
        faults.append(f"{name}: no answer is marked with `{MARKERS[0]}`")
    if not is_solution and pairs:
        faults.append(f"{name}: a lesson holds a marked answer; answers belong in solutions/")
    return faults


def shown(nb: NotebookNode) -> list[str]:
    """Functions and classes in cells tagged `shown:some.module` are the code of that module."""
    faults = []
    for number, cell in _code(nb):
        if not (module := _shown_module(cell)):
            continue
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            spec = None
        if spec is None or spec.origin is None:
            faults.append(f"{_at(nb, number)}: there is no module {module}")
            continue
        library = _definitions(Path(spec.origin).read_text("utf-8"))
        here = _definitions(cell.source)
        if not here:
            faults.append(f"{_at(nb, number)}: shows no function or class of {module}")
        for name, code in here.items():
            if name not in library:
                faults.append(f"{_at(nb, number)}: {name} is not defined in {module}")
            elif code != library[name]:
                faults.append(f"{_at(nb, number)}: {name} differs from {module}")
    return faults


def images(nb: NotebookNode) -> list[str]:
    """Every picture has words: alt text in prose; after a plot, prose or a printed line that begins `Figure:`."""
    faults = [f"{_at(nb, number)}: an image without alt text" for number, text in _prose(nb) if IMAGE.search(text)]
    for number, cell in _code(nb):
        if not any("image/png" in output.get("data", {}) for output in cell.outputs):
            continue
        printed = [o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
        described = any(re.search(r"(?m)^Figure:", text) for text in printed)
        followed = number < len(nb.cells) and nb.cells[number].cell_type == "markdown"
        if not described and not followed:
            faults.append(f"{_at(nb, number)}: a figure that no prose follows and no `Figure:` line describes")
    return faults


def outputs(nb: NotebookNode) -> list[str]:
    """An executed page may be committed: every code cell ran, nothing failed, no widget state, nothing too large."""
    faults = [f"{nb.metadata.course.source}: holds widget state"] if "widgets" in nb.metadata else []
    for number, cell in _code(nb):
        if cell.execution_count is None:
            faults.append(f"{_at(nb, number)}: has not run")
        for output in cell.outputs:
            size = len(json.dumps(output, ensure_ascii=False).encode())
            if size > OUTPUT_BYTES:
                faults.append(f"{_at(nb, number)}: an output of {size / 1000:.0f} kB; at most {OUTPUT_BYTES // 1000}")
            if output.output_type == "error":
                faults.append(f"{_at(nb, number)}: ended with {output.ename}")
            if any("widget" in kind for kind in output.get("data", {})):
                faults.append(f"{_at(nb, number)}: holds a widget")
    return faults


def links(nb: NotebookNode, path: Path, root: Path) -> list[str]:
    """Relative links in the prose of the notebook at `path` lead to files inside the project at `root`."""
    faults = []
    for number, text in _prose(nb):
        for target in (a or b for a, b in LINK.findall(text)):
            if re.match(r"[a-z][a-z0-9+.-]*:|#", target):
                continue
            file = (path.parent / unquote(target.partition("#")[0])).resolve()
            if not file.is_relative_to(root.resolve()) or not file.exists():
                faults.append(f"{_at(nb, number)}: the link {target} leads to no file of the course")
    return faults


def _at(nb: NotebookNode, number: int) -> str:
    return f"{nb.metadata.course.source}, cell {number}"


def _last_line(cell: NotebookNode) -> str:
    return cell.source.rstrip().rpartition("\n")[2]


def _code(nb: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    return ((number, cell) for number, cell in enumerate(nb.cells, 1) if cell.cell_type == "code")


def _prose(nb: NotebookNode) -> Iterator[tuple[int, str]]:
    return (
        (number, CODE_IN_PROSE.sub("", cell.source))
        for number, cell in enumerate(nb.cells, 1)
        if cell.cell_type == "markdown"
    )


def _shown_module(cell: NotebookNode) -> str:
    tags = cell.metadata.get("tags", [])
    return next((tag.removeprefix("shown:") for tag in tags if tag.startswith("shown:")), "")


def _definitions(code: str) -> dict[str, str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name: ast.dump(node) for node in ast.parse(code).body if isinstance(node, kinds)}
