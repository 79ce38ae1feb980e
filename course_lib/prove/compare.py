"""Several finished runs in one table: how well, how fast, how large, and which differences are clear."""

from collections.abc import Iterable
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.prove.evaluated import data_of, evaluated, metrics_of
from course_lib.prove.scores import Score, Scores, difference
from course_lib.prove.tables import Table, table
from course_lib.run.data import DataSet
from course_lib.run.result import Run


def compare_runs(
    runs: Iterable[Run | str | Path], data: DataSet | None = None, metric: str | None = None, n: int | None = None
) -> Table:
    """One row for each run, with 95 % intervals; the first is what the others are compared with.

    Args:
        runs: finished runs, or their folders.
        data: what they are scored on; default: the test rows of the data that all of them learned from.
        metric: one of those that fit the data; default: all of them, the difference in the first.
        n: how many of the test rows, from the first; default all.

    Scores that a pipeline or an earlier comparison kept are read from the runs' folders; others are found and kept there.

    Raises:
        CourseError: fewer than two runs, an unfinished one, runs on different test rows, or a metric that does not fit.
    """
    runs = [run if isinstance(run, Run) else Run.from_folder(run) for run in runs]
    if len(runs) < 2:
        raise CourseError("There is nothing to compare: name two runs or more.")
    for run in runs:
        if not run.finished:
            raise CourseError(
                f"The run in {run.folder} is not finished: call train with the same plan and folder to go on."
            )
    data = data or _common_data(runs)
    metrics = [
        name for name in metrics_of(runs[0].plan, data) if all(name in metrics_of(run.plan, data) for run in runs)
    ]
    if not metrics:
        raise CourseError(f"These runs have no metric in common on {data.name}: compare classifiers with classifiers.")
    if metric and metric not in metrics:
        raise CourseError(f"{metric} does not fit all of these runs on {data.name}: choose from {', '.join(metrics)}.")
    metrics = [metric] if metric else metrics
    scores = [evaluated(run, data, n) for run in runs]
    names = _names(runs)
    rows = [
        _row(name, run, found, first, metrics)
        for name, run, found, first in zip(names, runs, scores, [None] + scores[:1] * len(runs), strict=False)
    ]
    of = f"{scores[0][metrics[0]].n} test rows of {data.name}"
    return table(rows, f"{of}, [95 % interval]; difference to {names[0]} row by row (paired bootstrap)")


def in_words(gap: Score) -> str:
    """A difference with its interval, and whether that covers 0."""
    words = f"{gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]"
    return f"{words}, no clear difference" if gap.low <= 0 <= gap.high else words


def _common_data(runs: list[Run]) -> DataSet:
    """The data of the first run, if the test rows of all the others are the same."""
    sets = [data_of(run.plan) for run in runs]
    for run, data in zip(runs, sets, strict=True):
        if data.test != sets[0].test:
            raise CourseError(
                f"{run.folder} has other test rows ({data.name}) than {runs[0].folder} ({sets[0].name}): compare runs on the "
                "same data, or pass data that all of them can be scored on."
            )
    return sets[0]


def _names(runs: list[Run]) -> list[str]:
    """Each run's folder; with the folder above it where two have the same name."""
    names = [run.folder.name for run in runs]
    return names if len(set(names)) == len(names) else [f"{run.folder.parent.name}/{run.folder.name}" for run in runs]


def _row(name: str, run: Run, scores: Scores, first: Scores | None, metrics: list[str]) -> dict[str, str]:
    size = sum(file.stat().st_size for file in run.weights.glob("*.safetensors"))
    return {
        "run": name,
        **{metric: str(scores[metric]) for metric in metrics},
        f"{metrics[0]}, difference": in_words(difference(scores, first, metrics[0])) if first else "",
        "tokens/s": f"{run.tokens_per_s:.0f}",
        "seconds": f"{run.seconds:.0f}",
        "peak GiB": f"{run.peak_gib:.2f}",
        "trained": f"{run.record['trainable'] / run.record['parameters']:.2%}",
        "MB": f"{size / 1e6:.1f}",
    }
