"""Fitting the few constants of the memory model, and testing them on sources they were not fitted on."""

import math
import statistics
from collections import defaultdict
from dataclasses import fields, replace

from course_lib.choose.peak import FITTED, Fitted
from course_lib.choose.published import read_rows
from course_lib.choose.score import FIGURES, Observation, ScoreTable, score

STARTS = Fitted()
# Each constant's grid: small, so that a fit can be repeated by eye. In the order of fitting.
GRIDS = {
    "litgpt_extra": [float(value) for value in range(0, 9)],
    "idle_logits": [value / 2 for value in range(0, 17)],
    "idle_sharded": [value / 50 for value in range(0, 16)],
    "context_sharded": [value / 2 for value in range(0, 9)],
}
LOW_COSTS = 3.5  # chosen so that at most 2 % of the runs are under-estimated by more than 5 %
COVER = 0.96  # share of the calibration runs that an interval must hold, each figure


def fit(rows: list[dict[str, str]] | None = None) -> Fitted:
    """The constants with the least mean error over groups of repeats, on rows of quality A.

    Under-estimates count LOW_COSTS times: one that is too low costs its reader a failed run. One constant at a time over its
    grid, twice around; then the spreads, from what errors are left; quality B only widens the intervals of quality B.
    """
    everything = rows or read_rows()
    rows = [row for row in everything if row.get("config_quality") == "A"]
    constants = STARTS
    for _ in range(2):
        for name, grid in GRIDS.items():
            tried = {value: _loss(score(rows, replace(constants, **{name: value}))) for value in grid}
            constants = replace(constants, **{name: min(tried, key=tried.get)})
    constants = replace(constants, **_spreads(score(rows, constants).observations, FIGURES))
    inferred = [row for row in everything if row.get("config_quality") == "B"]
    if inferred:
        unwidened = replace(constants, spread_inferred=(0.0, 0.0))
        constants = replace(constants, spread_inferred=_inferred(score(inferred, unwidened).observations))
    return constants


def leave_one_source_out(rows: list[dict[str, str]] | None = None, progress=iter) -> dict[str, tuple[Fitted, dict]]:
    """Source -> (constants fitted on the others, scores on that source). Quality A rows.

    progress: wraps the list of sources, for a bar.
    """
    rows = rows or read_rows()
    sources = sorted({o.row.cells["source"] for o in score(rows).observations if o.row.cells["config_quality"] == "A"})
    out = {}
    for source in progress(sources):
        constants = fit([row for row in rows if row["source"] != source])
        table = score([row for row in rows if row["source"] == source], constants)
        out[source] = (constants, table.overall("A"))
    return out


def _loss(table: ScoreTable) -> float:
    groups = defaultdict(list)
    for o in table.observations:
        groups[o.figure, o.group].append(-LOW_COSTS * o.log_error if o.log_error < 0 else o.log_error)
    return statistics.fmean(statistics.fmean(values) for values in groups.values())


def _spreads(observations: list[Observation], figures: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """(down, up) for each figure: quantiles of log(measured / predicted), and 0.03 for what few runs do not show."""
    return {
        f"spread_{figure}": _quantiles([-o.log_error for o in observations if o.figure == figure]) for figure in figures
    }


def _inferred(observations: list[Observation]) -> tuple[float, float]:
    """(down, up) by which measurements of quality B lie outside their intervals."""
    return _quantiles([math.log(o.measured / min(max(o.measured, o.low), o.high)) for o in observations])


def _quantiles(errors: list[float]) -> tuple[float, float]:
    errors = sorted(errors)
    cut = (1 - COVER) / 2
    low, high = errors[math.floor(cut * (len(errors) - 1))], errors[math.ceil((1 - cut) * (len(errors) - 1))]
    return round(max(-low, 0) + 0.03, 3), round(max(high, 0) + 0.03, 3)


def differences(a: Fitted, b: Fitted = FITTED) -> dict[str, tuple]:
    """Constants that differ: name -> (a's, b's)."""
    return {
        f.name: (getattr(a, f.name), getattr(b, f.name))
        for f in fields(Fitted)
        if getattr(a, f.name) != getattr(b, f.name)
    }
