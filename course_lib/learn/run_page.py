"""`python -m course_lib.learn.run_page PAGE ANSWER`: run a notebook's cells and judge its exercises, for `check_my_work`.

A process of its own, so that nothing a cell does (hang, crash, print 10 MB) reaches the caller.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from course_lib.learn.blame import name_of, shorten, text_of
from course_lib.learn.checks import Exercise
from course_lib.learn.pages import code_cells


def exercises_in(names: Mapping[str, object]) -> list[Exercise]:
    """The exercises among a notebook's objects, each once, in the order of their numbers."""
    found = {value.id: value for value in list(names.values()) if issubclass(type(value), Exercise)}
    return sorted(found.values(), key=lambda exercise: [(len(part), part) for part in exercise.id.split(".")])


def run_page(page: Path) -> dict:
    """Run each code cell, whether or not the one before it failed, then judge: `judged`, and `stopped`, the first error."""
    from IPython.core.interactiveshell import InteractiveShell

    shell, stopped = InteractiveShell.instance(), ""
    for number, cell in enumerate(code_cells(page), 1):
        result = shell.run_cell(cell, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        if error is not None and not stopped:
            stopped = shorten(f"code cell {number} stopped with {name_of(type(error))}: {text_of(error)}", 200)
    judged = [(exercise.id, *exercise.judge(shell.user_ns)) for exercise in exercises_in(shell.user_ns)]
    return {"judged": judged, "stopped": stopped}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(run_page(Path(sys.argv[1]))), encoding="utf-8")
