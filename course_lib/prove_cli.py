"""`course pipeline`, `course compare-runs`, `course search`, `course claims`: proving, from a terminal."""

import json
from pathlib import Path
from typing import Annotated

import typer

from course_lib.errors import CourseError
from course_lib.said import say

Rows = Annotated[int | None, typer.Option("--n", help="score the first N test rows; none: all")]


def pipeline(
    plan: Annotated[Path, typer.Argument(help="a plan file")],
    folder: Annotated[
        Path | None, typer.Option(help="where the run is kept; none: where `course train` keeps it")
    ] = None,
    n: Rows = None,
):
    """From a plan to a described model: data, checks, baselines, training, scores, report, model card; goes on after a kill."""
    from course_lib.prove.pipeline import run_pipeline

    made = run_pipeline(plan, folder, n)
    print(f"\n{made}")


def compare_runs(
    folders: Annotated[list[Path], typer.Argument(help="folders of finished runs; the first is compared with")],
    metric: Annotated[str | None, typer.Option(help="one metric; none: all that fit the data")] = None,
    n: Rows = None,
):
    """Several finished runs in one table, with intervals and paired differences."""
    from course_lib.prove.compare import compare_runs as compare

    print(compare(folders, metric=metric, n=n))


def search(
    plan: Annotated[Path, typer.Argument(help="a plan file")],
    field: Annotated[list[str], typer.Option(help="lr=1e-4..1e-2 or rank=4,8,16; give it once for each field")] = [],  # noqa: B006
    trials: Annotated[int, typer.Option(help="how many in all, those before a kill included")] = 20,
    folder: Annotated[Path | None, typer.Option(help="where the search is kept")] = None,
):
    """Search over fields of a plan for the lowest loss on the validation rows; goes on after a kill."""
    from course_lib.prove.search import search as run_search

    fields = dict(_named(words) for words in field)
    print(f"\n{run_search(plan, fields, trials, folder)}")


def claims(
    lesson: Annotated[str | None, typer.Option(help="those that one lesson measures, such as 104")] = None,
    guide: Annotated[str | None, typer.Option(help="those of one guide, such as overview")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
):
    """Every claim of the guides beside what the course measured on it, and where."""
    from course_lib.prove.claims import all_claims, as_dicts

    if as_json:
        print(json.dumps(as_dicts(lesson, guide), indent=1))
    else:
        say(str(all_claims(lesson, guide)))


def _named(words: str) -> tuple[str, str]:
    name, equals, values = words.partition("=")
    if not equals or not values:
        raise CourseError(f"--field {words} names no values: write it as lr=1e-4..1e-2 or rank=4,8,16.")
    return name.strip(), values


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (pipeline, compare_runs, search, claims):
        app.command()(command)
