"""How far the memory model is from published measurements: errors, coverage, and the rows it does not represent."""

import json
import math
import statistics
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.choose.gpus import gpu as gpu_of
from course_lib.choose.memory import estimate_setup
from course_lib.choose.peak import FITTED, Fitted
from course_lib.choose.published import Row, number, read_rows, represent
from course_lib.choose.published.words import NotRepresented
from course_lib.choose.speed_fit import log_error, timed
from course_lib.errors import CourseError

FIGURES = ("allocated", "reserved", "device")
# Which figure a published number is. Where the source does not say, it is taken as what torch reserves.
CLASSES = {
    "allocated": "allocated",
    "active": "allocated",
    "reserved": "reserved",
    "device": "device",
    "unknown": "reserved",
}
ALSO = {"max_memory_allocated": "allocated", "nvidia-smi": "device"}  # second figures that some sources publish


@dataclass(frozen=True)
class Observation:
    """One published number beside ours. log_error: log(predicted / measured); main: the row's first figure."""

    row: Row
    figure: str
    measured: float
    predicted: float
    low: float
    high: float
    main: bool

    @property
    def log_error(self) -> float:
        """log(predicted / measured): below 0 = too low."""
        return math.log(self.predicted / self.measured)

    @property
    def covered(self) -> bool:
        """Whether the measured value lies in the interval."""
        return self.low <= self.measured <= self.high

    @property
    def group(self) -> str:
        """Runs that repeat one another share a group."""
        return self.row.cells.get("dup_group") or self.row.cells["id"]


@dataclass(frozen=True)
class Verdict:
    """Whether a run fits its card: published, and by the estimate (device figure)."""

    row: Row
    fits: bool
    said_fits: bool
    constraint: bool  # the row publishes only that it fits, or that it does not
    card_gib: float


@dataclass
class ScoreTable:
    """Scores over all rows, by source and by method. Errors are |log(predicted / measured)|, medians over groups of repeats."""

    observations: list[Observation]
    verdicts: list[Verdict]
    speeds: list[tuple[Row, float]]
    not_represented: dict[str, str] = field(default_factory=dict)  # row id -> reason
    scorable: int = 0

    def overall(self, qualities: str = "A") -> dict:
        """Scores over rows of these qualities."""
        return self._scores(lambda row: (row.cells.get("config_quality") or "A") in qualities)

    def by(self, column: str) -> dict[str, dict]:
        """Scores for each value of a column ("source" or "method")."""
        values = sorted({o.row.cells[column] for o in self.observations})
        return {value: self._scores(lambda row, v=value: row.cells[column] == v) for value in values}

    def _scores(self, keep) -> dict:
        seen = [o for o in self.observations if keep(o.row)]
        scores = {"n": len({o.row.cells["id"] for o in seen}), "groups": len({o.group for o in seen})}
        for figure in FIGURES:
            errors = _by_group((o.group, abs(o.log_error)) for o in seen if o.figure == figure)
            scores[f"{figure}_median_error"] = _round(statistics.median(errors) if errors else None)
            scores[f"{figure}_p90_error"] = _round(_quantile(errors, 0.9) if errors else None)
        scores["coverage"] = _mean(_by_group((o.group, float(o.covered)) for o in seen))
        main = [o for o in seen if o.main]
        scores["under_5pct"] = _mean(_by_group((o.group, float(o.log_error < math.log(0.95))) for o in main))
        limits = [v for v in self.verdicts if keep(v.row)]
        scores["fits_accuracy"] = _mean([float(v.fits == v.said_fits) for v in limits if v.constraint])
        scores["rejected_of_those_that_ran"] = _mean([float(not v.said_fits) for v in limits if v.fits])
        times = [abs(error) for row, error in self.speeds if keep(row)]
        scores["time_median_error"] = _round(statistics.median(times) if times else None)
        return scores

    @property
    def cards(self) -> dict[str, float]:
        """Row id -> GiB of its card, where that is known."""
        return {v.row.cells["id"]: v.card_gib for v in self.verdicts}

    def reasons(self) -> dict[str, int]:
        """Why rows are not represented -> how many."""
        counts = defaultdict(int)
        for reason in self.not_represented.values():
            counts[reason] += 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def to_dict(self) -> dict:
        """All of it as plain data, as `course estimate --score --json` prints it."""
        return {
            "overall": self.overall("A"),
            "overall_ab": self.overall("AB"),
            "by_source": self.by("source"),
            "by_method": self.by("method"),
            "scorable": self.scorable,
            "represented": self.scorable - len(self.not_represented),
            "not_represented": [{"id": name, "reason": reason} for name, reason in self.not_represented.items()],
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    def __str__(self) -> str:
        head = f"{'':<28}{'rows':>5}{'groups':>7}   {'allocated':>9} {'reserved':>9} {'device':>7}  {'covered':>7} {'under 5 %':>9}"
        lines = ["Median error by figure, share inside the 95 % interval, share under-estimated by more than 5 %", head]
        tables = {"quality A": self.overall("A"), "quality A and B": self.overall("AB")} | self.by("source")
        for name, s in tables.items():
            errors = " ".join(
                _percent(s[f"{figure}_median_error"], width) for figure, width in zip(FIGURES, (9, 9, 7), strict=True)
            )
            lines.append(
                f"{name[:27]:<28}{s['n']:>5}{s['groups']:>7}   {errors}  {_percent(s['coverage'], 7)} {_percent(s['under_5pct'], 9)}"
            )
        lines.append(
            f"{self.scorable - len(self.not_represented)} of {self.scorable} rows are represented; not represented:"
        )
        lines += [f"  {count:>3}  {reason}" for reason, count in self.reasons().items()]
        return "\n".join(lines)


def score(rows: str | Path | list[dict[str, str]] | None = None, constants: Fitted = FITTED) -> ScoreTable:
    """Score the memory model on published measurements.

    rows: a CSV file with the columns of the carried one, such rows, or None for the carried file. Rows without a measured
    peak are skipped, unless they say whether the run fitted; quality C is skipped as well. What the model cannot represent
    is listed with its reason.

    Raises:
        CourseError: the file cannot be read, or lacks columns.
    """
    if rows is None or isinstance(rows, str | Path):
        rows = read_rows(rows)
    table = ScoreTable([], [], [])
    for line, cells in enumerate(rows, 1):
        if fault := _fault(cells):
            table.scorable += 1
            table.not_represented[cells.get("id") or f"row {line}"] = fault
            continue
        measured = number(cells.get("peak_gib_per_gpu"))
        status = (cells.get("status") or "").strip().lower()
        if (cells.get("config_quality") or "A") == "C" or (measured is None and status not in ("oom", "fits")):
            continue
        try:
            row = represent(cells)
        except NotRepresented as reason:
            if measured is not None:
                table.scorable += 1
                table.not_represented[cells.get("id") or f"row {line}"] = str(reason)
            continue
        card = _card(cells)
        guess = estimate_setup(row.setup, card=card, c=constants)
        shortest, longest = guess, guess
        if row.length_unknown:
            shortest = estimate_setup(row.setup_shortest, card=card, c=constants)
            longest = estimate_setup(row.setup_longest, card=card, c=constants)
        if card:
            fits = status != "oom"
            table.verdicts.append(Verdict(row, fits, guess.device_gib <= card, status in ("oom", "fits"), card))
        if measured is None:
            continue
        table.scorable += 1
        with suppress(NotRepresented):  # most rows publish no speed, or no mean length to compare it at
            table.speeds.append((row, log_error(timed(cells))))
        for figure, value, main in _figures(cells, measured):
            predicted = getattr(guess, f"{figure}_gib")
            low, high = shortest.interval(figure)[0], longest.interval(figure)[1]
            if cells.get("config_quality") == "B":  # one of its inputs was inferred by whoever collected it
                down, up = constants.spread_inferred
                low, high = low * math.exp(-down), high * math.exp(up)
            table.observations.append(Observation(row, figure, value, predicted, low, high, main))
    return table


def _fault(cells: dict[str, str]) -> str:
    """Why a row is none, in words; empty where it is one."""
    if None in cells or any(value is None for value in cells.values()):
        return "broken row: its cells do not match the header"
    written = cells.get("peak_gib_per_gpu", "").strip()
    peak = number(written)
    if written.lower() not in ("", "nan") and (peak is None or peak <= 0):
        return f"the measured peak is {written}: it must be a number above 0"
    return ""


def _figures(cells: dict[str, str], measured: float):
    """The figures that a row publishes: (figure, GiB, whether it is the row's first)."""
    figure = CLASSES.get((cells.get("mem_class") or "").strip().lower(), "reserved")
    yield figure, measured, True
    second = number(cells.get("alt_mem_gb"))
    for words, other in ALSO.items():
        if second and words in (cells.get("alt_mem_kind") or "") and other != figure:
            yield other, second, False


def _card(cells: dict[str, str]) -> float | None:
    """GiB of the row's card, None where it is not known."""
    try:
        return gpu_of((cells.get("gpu") or "").strip()).memory_gib
    except CourseError:
        return None


def _by_group(pairs) -> list[float]:
    groups = defaultdict(list)
    for group, value in pairs:
        groups[group].append(value)
    return [statistics.fmean(values) for values in groups.values()]


def _quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def _mean(values: list[float]) -> float | None:
    return _round(statistics.fmean(values)) if values else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _percent(value: float | None, width: int) -> str:
    return f"{'-' if value is None else f'{value:.1%}':>{width}}"
