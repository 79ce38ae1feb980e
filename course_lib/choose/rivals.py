"""Our memory model beside other estimators and two rules of thumb, on the same published runs."""

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass

from course_lib.choose.baselines import RULES, predictions
from course_lib.choose.score import Observation, ScoreTable

OURS = "this course"
TOTALS = (
    "device",
    "reserved",
)  # what these tools predict is one total: compared with the most complete figure published


@dataclass(frozen=True)
class Rival:
    """One estimator against ours on the runs that it can express. Errors as in `ScoreTable`; shares of runs.

    rejected: runs that worked, on a card that the prediction exceeds. median_ours, rejected_ours: ours on the same runs.
    """

    name: str
    runs: int
    groups: int
    median_error: float
    median_ours: float
    rejected: float
    rejected_ours: float


def rivals(table: ScoreTable, qualities: str = "A") -> list[Rival]:
    """Each other estimator beside ours, on runs of these qualities."""
    totals = _totals(table, qualities)
    verdicts = {v.row.cells["id"]: v for v in table.verdicts if v.fits}
    cards = table.cards
    guesses = defaultdict(dict)
    for o in totals:
        name = o.row.cells["id"]
        for tool, guess in {**predictions(name), **{rule: f(o.row) for rule, f in RULES.items()}}.items():
            if guess:
                guesses[tool][name] = guess
    out = []
    for tool, guess in guesses.items():
        seen = [o for o in totals if o.row.cells["id"] in guess]
        judged = [o for o in seen if o.row.cells["id"] in verdicts]
        out.append(
            Rival(
                tool,
                len(seen),
                len({o.group for o in seen}),
                _median(seen, lambda o, g=guess: g[o.row.cells["id"]]),
                _median(seen, lambda o: o.predicted),
                statistics.fmean(guess[o.row.cells["id"]] > cards[o.row.cells["id"]] for o in judged),
                statistics.fmean(not verdicts[o.row.cells["id"]].said_fits for o in judged),
            )
        )
    return sorted(out, key=lambda rival: rival.median_error)


def to_text(found: list[Rival]) -> str:
    """The comparison as a table."""
    lines = [
        "Others on the runs that each can express (median error, and share of runs that worked but are rejected), ours beside:",
        f"{'':<22}{'runs':>5}{'groups':>7}   {'error':>7} {'ours':>7}   {'rejected':>8} {'ours':>6}",
    ]
    for r in found:
        lines.append(
            f"{r.name:<22}{r.runs:>5}{r.groups:>7}   {r.median_error:>7.1%} {r.median_ours:>7.1%}   "
            f"{r.rejected:>8.1%} {r.rejected_ours:>6.1%}"
        )
    return "\n".join(lines)


def _totals(table: ScoreTable, qualities: str) -> list[Observation]:
    """For each run the most complete figure that was published: device, else reserved."""
    best = {}
    for o in table.observations:
        if o.figure in TOTALS and (o.row.cells.get("config_quality") or "A") in qualities:
            name = o.row.cells["id"]
            if name not in best or TOTALS.index(o.figure) < TOTALS.index(best[name].figure):
                best[name] = o
    return list(best.values())


def _median(observations: list[Observation], predicted) -> float:
    groups = defaultdict(list)
    for o in observations:
        groups[o.group].append(abs(math.log(predicted(o) / o.measured)))
    return statistics.median(statistics.fmean(errors) for errors in groups.values())
