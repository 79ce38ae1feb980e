"""Fitting the speed model's rates to published speeds, and testing them on sources they were not fitted on."""

import math
import re
import statistics
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, fields, replace

from course_lib.choose.gpus import Gpu, gpu
from course_lib.choose.published import read_rows, represent
from course_lib.choose.published.words import NotRepresented
from course_lib.choose.setup import Setup
from course_lib.choose.step_time import FITTED, Rates, Work, seconds, work
from course_lib.errors import CourseError

# Where a fit begins, and how far (as a factor's logarithm) it may well go: rates that few rows speak of stay near.
START = Rates(0.75, 0.5, 60, 10, 60, 40, 20, 50, 1e-3, 1e-3, 8e10, 4e9)
PRIOR = Rates(0.1, 0.5, 0.7, 0.7, 0.4, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7)
SCATTER = 0.1  # of speeds under equal conditions, logarithm
# Three steps each on a Windows desktop: the same run came out 1.1 to 1.8 times apart. Tested on, not fitted to.
NOT_FITTED = ("canifinetune",)
# Micro-batches in `train_time_s` of sources that give a time and no speed.
TIMED_STEPS = {"litgpt_resource_tables": 1000, "raschka_lora_insights": 50000}


@dataclass(frozen=True)
class Timed:
    """A published speed: tokens a second of one GPU, and the step it comes from (`setup.seq` = mean length of a row)."""

    source: str
    group: str
    quality: str
    setup: Setup
    card: Gpu
    grad_accum: float
    tokens_per_s: float

    @property
    def measured_s(self) -> float:
        """Seconds per micro-batch."""
        return self.setup.rows * self.setup.sequences * self.setup.seq / self.tokens_per_s


def timed(cells: dict[str, str]) -> Timed:
    """A row of the table as a speed.

    Raises:
        NotRepresented: no speed in it, or a step that the model has no terms for.
    """
    source = (cells.get("source") or "").strip()
    compute = (cells.get("compute_dtype") or "").lower()
    if "fp8" in compute or "tf32" in compute:
        raise NotRepresented(f"computes in {compute}, which no plan asks for")
    if (cells.get("config_quality") or "A") == "C" or source == "ms_swift_benchmark":
        raise NotRepresented("the row's configuration or length does not settle its speed")
    row = represent({**cells, "loss_impl": cells.get("loss_impl") or "eager"})
    if row.setup.method == "dora":
        raise NotRepresented("method dora is not in our table")
    stated = re.search(r"seq_len_mean: ~?(\d+)", cells.get("notes") or "")
    mean = row.number("seq_len_mean") or (float(stated[1]) if stated else None)
    speed, time, steps = row.number("tokens_per_s"), row.number("train_time_s"), TIMED_STEPS.get(source)
    if not mean or not (speed or (time and steps)):
        raise NotRepresented("no speed, or no mean length of a row")
    if not speed:
        speed = steps * row.setup.rows * mean / time
    elif cells.get("tps_scope") == "total":
        speed /= row.setup.n_gpus
    try:
        card = gpu(cells.get("gpu") or "")
    except CourseError as error:
        raise NotRepresented(str(error)) from None
    accumulated = row.number("grad_accum") or 1
    group = cells.get("dup_group") or cells["id"]
    quality = cells.get("config_quality") or "A"
    return Timed(source, group, quality, replace(row.setup, seq=mean), card, accumulated, speed)


def all_timed(rows: list[dict[str, str]] | None = None, qualities: str = "A") -> list[Timed]:
    """The rows that have a usable speed (None = the carried table), of these qualities."""
    found = []
    for cells in read_rows() if rows is None else rows:
        try:
            one = timed(cells)
        except NotRepresented:
            continue
        if one.quality in qualities and one.card.fast:
            found.append(one)
    return found


def fit(rows: list[dict[str, str]] | None = None, leave_out: str | None = None) -> Rates:
    """The rates with the least squares of log(predicted / measured), errors beyond 15 % counted softly.

    Repeats share one weight, and a source counts by the root of its number of groups. Quality A, without NOT_FITTED.
    """
    return _fit([t for t in all_timed(rows) if t.source not in (*NOT_FITTED, leave_out)])


def log_error(row: Timed, rates: Rates = FITTED) -> float:
    """log(predicted / measured) of the tokens a second."""
    return math.log(row.measured_s / seconds(work(row.setup, row.card, row.grad_accum), rates))


def validate(rows: list[dict[str, str]] | None = None) -> dict[str, dict[str, float]]:
    """Errors by source: n, and the median and 90th percentile of |log(predicted / measured)|, fitted and held out.

    "held out": for quality A, rates fitted without that source; quality B and NOT_FITTED are never fitted to.
    """
    known = all_timed(rows, "AB")
    fitted = [t for t in known if t.quality == "A" and t.source not in NOT_FITTED]
    errors = defaultdict(list)
    for source in dict.fromkeys(t.source for t in fitted):
        mine = [t for t in fitted if t.source == source]
        rates = _fit([t for t in fitted if t.source != source])
        for t in mine:
            pair = (log_error(t), log_error(t, rates))
            errors[source].append(pair)
            errors["all fitted"].append(pair)
    for t in known:
        if t not in fitted:
            errors[f"{t.source} ({t.quality}, not fitted)"].append((log_error(t),) * 2)
            errors["none fitted"].append((log_error(t),) * 2)
    return {source: _summary(pairs) for source, pairs in errors.items()}


def table(scores: dict[str, dict[str, float]]) -> str:
    """`validate` as text."""
    lines = [
        f"{'source':<44}{'n':>4}  {'fitted: median':>14} {'p90':>6}  {'held out: median':>16} {'p90':>6} {'bias':>6}"
    ]
    for source, s in scores.items():
        lines.append(
            f"{source:<44}{s['n']:>4}  {s['median']:>14.3f} {s['p90']:>6.3f}  {s['held_out_median']:>16.3f} "
            f"{s['held_out_p90']:>6.3f} {s['held_out_bias']:>6.2f}"
        )
    return "\n".join(lines)


def _fit(rows: list[Timed]) -> Rates:
    import numpy as np
    from scipy.optimize import least_squares

    names = [field.name for field in fields(Rates)]
    groups = Counter((t.source, t.group) for t in rows)
    sizes = Counter(source for source, _ in groups)
    weight = np.array([(1 / groups[t.source, t.group] / sizes[t.source] ** 0.5) ** 0.5 for t in rows]) / SCATTER
    loads = Work(*np.array([work(t.setup, t.card, t.grad_accum) for t in rows]).T)
    measured = np.log([t.measured_s for t in rows])
    start = np.log([getattr(START, name) for name in names])
    spread = np.array([getattr(PRIOR, name) for name in names])

    def misses(logs):
        rates = Rates(**dict(zip(names, np.exp(logs), strict=True)))
        return np.concatenate([weight * (np.log(seconds(loads, rates)) - measured), (logs - start) / spread])

    found = np.exp(least_squares(misses, start, loss="soft_l1", f_scale=1.5, xtol=1e-10, ftol=1e-10).x)
    return Rates(**dict(zip(names, map(float, found), strict=True)))


def _summary(pairs: list[tuple[float, float]]) -> dict[str, float]:
    out = {"n": len(pairs)}
    for prefix, errors in (("", [p[0] for p in pairs]), ("held_out_", [p[1] for p in pairs])):
        sizes = sorted(map(abs, errors))
        out[f"{prefix}median"] = statistics.median(sizes)
        out[f"{prefix}p90"] = sizes[min(len(sizes) - 1, int(0.9 * len(sizes)))]
        out[f"{prefix}bias"] = statistics.median(errors)
    return out


if __name__ == "__main__":
    print(table(validate()))
    print({name: float(f"{value:.4g}") for name, value in asdict(fit()).items()})
