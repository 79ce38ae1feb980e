"""All exercises at once: those of the notebook that one is in, or those of every notebook in the reader's folder."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.folders import work_folder
from course_lib.learn.blame import shorten, text_of
from course_lib.learn.checks import Outcome
from course_lib.learn.pages import code_cells
from course_lib.learn.progress import keep
from course_lib.learn.run_page import exercises_in
from course_lib.said import say

SECONDS = 60  # that a notebook may take
PACKAGE = Path(__file__).resolve().parents[2]


class Results(dict):
    """Id -> outcome; a cell that ends in it shows the printed table alone."""

    def _ipython_display_(self) -> None:
        pass


def check_all() -> Results:
    """Check every exercise of the caller's notebook; prints a line for each and what is next, returns id -> outcome."""
    names = sys._getframe(1).f_globals
    exercises = exercises_in(names)
    if not exercises:
        say("There are no exercises here: open one in my_work, or type `course check` in a terminal for all of them.")
        return Results()
    judged = [(exercise.id, *exercise.judge(names)) for exercise in exercises]
    unsaved = {exercise.record(outcome) for exercise, (_, outcome, _) in zip(exercises, judged, strict=True)}
    say("\n".join(filter(None, [*_rows(judged), _total(judged), *unsaved])))
    return Results({id: outcome for id, outcome, _ in judged})


def check_my_work(number: str | None = None) -> int:
    """Run the exercise notebooks in the reader's folder, each in a process of its own, and check what they made.

    Args:
        number: of the lesson, "104"; None = every notebook.

    Returns:
        0 if all of it is correct, else 1. What cannot be checked is said in a sentence.

    Raises:
        CourseError: the current folder is gone.
    """
    work = work_folder()
    pages = {page: page.name.partition("_")[0] for page in sorted(work.glob("[0-9][0-9][0-9]_*.ipynb"))}
    chosen = [page for page in pages if number in (None, pages[page])]
    if not chosen:
        there = ", ".join(sorted(set(pages.values())))
        missing = (
            f"There is no exercise {shorten(text_of(number), 40)}" if number is not None else "There are no exercises"
        )
        say(f"{missing} in {work}: {f'there are {there}.' if there else '`course learn` copies them there.'}")
        return 1
    judged, unsaved, unchecked = [], set(), []
    for page in chosen:
        say(page.name)
        try:
            found, stopped = _in_its_own_process(page)
        except CourseError as error:
            say(f"  {error}")
            unchecked.append(page.name)
            continue
        unsaved |= {keep(id, outcome.casefold()) for id, outcome, _ in found}
        judged += found
        say("\n".join([*(f"  {row}" for row in _rows(found)), *([f"  Its {stopped}"] if stopped else [])]))
    say(
        "\n".join(
            [_total(judged), *([f"Not checked: {', '.join(unchecked)}."] if unchecked else []), *filter(None, unsaved)]
        )
    )
    return int(bool(unchecked) or any(outcome is not Outcome.CORRECT for _, outcome, _ in judged))


def _rows(judged: Iterable[tuple[str, Outcome, str]]) -> list[str]:
    return [f"{id:<6}  {shorten(message.splitlines()[0], 200)}" for id, _, message in judged]


def _total(judged: list[tuple[str, Outcome, str]]) -> str:
    wrong = [id for id, outcome, _ in judged if outcome is not Outcome.CORRECT]
    return f"{len(judged) - len(wrong)} of {len(judged)} correct{f'; next: {wrong[0]}' if wrong else ''}."


def _in_its_own_process(page: Path) -> tuple[list[tuple[str, Outcome, str]], str]:
    """What a notebook's exercises come to, and its first cell that stopped.

    Its cells record into a folder that is thrown away: the caller records each exercise, once.

    Raises:
        CourseError: it is damaged, has no exercises, crashed or took too long.
    """
    if not any(".check()" in cell for cell in code_cells(page)):
        raise CourseError(f"{page.name} has no exercises: those of the course lie in exercises/.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as aside:
        answer = Path(aside, "answer.json")
        environment = {
            **os.environ,
            "COURSE_PROGRESS": aside,
            "IPYTHONDIR": aside,
            "MPLBACKEND": "agg",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")])),
        }
        status = _run([str(page.resolve()), str(answer)], page.parent, environment)
        try:
            told = json.loads(answer.read_bytes())
            judged = [(id, Outcome(outcome), message) for id, outcome, message in told["judged"]]
        except (OSError, ValueError):
            raise CourseError(
                f"{page.name} stopped before its end (exit status {status}): run it in JupyterLab to see where."
            ) from None
    if not judged:
        why = f": its {told['stopped']}" if told["stopped"] else ""
        raise CourseError(f"{page.name} made no exercises{why}. Its first cell, which imports them, must run.")
    return judged, told["stopped"]


def _run(arguments: list[str], folder: Path, environment: dict[str, str]) -> int:
    """Run the child in silence; it ends with us, and after `SECONDS`, with all that it started.

    Raises:
        CourseError: it took too long.
    """
    silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    command = [sys.executable, "-m", "course_lib.learn.run_page", *arguments]
    child = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **silent)
    try:
        return child.wait(SECONDS)
    except subprocess.TimeoutExpired:
        raise CourseError(
            f"It took more than {SECONDS} seconds and was stopped: a check trains nothing, so look for a loop without end."
        ) from None
    finally:
        if child.poll() is None:
            if hasattr(os, "killpg"):
                os.killpg(child.pid, signal.SIGKILL)
            child.kill()
            child.wait()
