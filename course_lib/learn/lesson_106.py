"""Checks of lesson 106: a paired difference with its interval, a choice from a table of measurements, room for many tasks."""

from copy import deepcopy

import numpy as np

from course_lib.learn.checks import Exercise, NotYet
from course_lib.learn.given import close, numbers

WIDTH = 1.96  # standard errors to each side of a mean: 95 % of a normal distribution


def _apart(paired_difference) -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0.5, 0.3, 12)  # a row that is hard for one method is hard for the other
    first, second = hard + rng.normal(0.1, 0.1, 12), hard + rng.normal(0.0, 0.1, 12)
    got = numbers(paired_difference(first.copy(), second.copy()), 3)
    if got is None:
        raise NotYet(
            "it should return three numbers: the mean difference, and the lower and the upper end of its interval."
        )
    apart = first - second
    _mean(got[0], apart, first, second)
    middle, low, high = got
    if low > high:
        raise NotYet("the mean is right; the ends are in the wrong order: the lower one comes first.")
    if not close(low + high, 2 * middle):
        raise NotYet("the mean is right; the interval should reach equally far to both sides of it.")
    _half((high - low) / 2, apart, first, second)
    again = numbers(paired_difference(first[:7].copy(), second[:7].copy()), 3)
    wanted = apart[:7].mean(), WIDTH * apart[:7].std(ddof=1) / 7**0.5
    if again is None or not close(again[0], wanted[0]) or not close(again[2] - again[0], wanted[1]):
        raise NotYet("it is right for 12 rows but not for 7: take the number of rows from the arguments.")


def _mean(got: float, apart: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    for wrong, why in (
        (-apart.mean(), "the difference has the wrong sign: it is first less second."),
        (
            abs(apart).mean(),
            "the mean is that of differences without their sign: a row on which second is better counts below 0.",
        ),
        (first.mean(), "that is the mean of `first` alone: subtract row by row, then take the mean."),
        (second.mean(), "that is the mean of `second` alone: subtract row by row, then take the mean."),
        (apart.sum(), "that is the sum of the differences: divide by the number of rows."),
        (np.median(apart), "that is the median of the differences: take their mean."),
        (first.mean() / second.mean(), "that divides the means: subtract row by row."),
    ):
        if close(got, wrong):
            raise NotYet(why)
    if not close(got, apart.mean()):
        raise NotYet(f"the mean difference is {got:.4g}; it should be that of first - second, row by row.")


def _half(half: float, apart: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    n = len(apart)
    error = apart.std(ddof=1) / n**0.5
    unpaired = (first.var(ddof=1) / n + second.var(ddof=1) / n) ** 0.5
    for wrong, why in (
        (WIDTH * apart.std(ddof=0) / n**0.5, "it lacks ddof=1: with so few rows .std(ddof=1) is the better guess."),
        (
            WIDTH * apart.std(ddof=1),
            "that is how far single rows lie apart: divide by the root of the number of rows for their mean.",
        ),
        (WIDTH * apart.std(ddof=1) / n, "it divides by the number of rows: divide by its square root."),
        (error, "that is one standard error: the interval reaches 1.96 of them to each side."),
        (2 * error, "2 is near, but take 1.96 standard errors."),
        (WIDTH / 2 * error, "1.96 standard errors reach to each side, not in all."),
        (
            WIDTH * unpaired,
            "that is as if each method had answered other rows: take the spread of the row by row differences.",
        ),
        (
            WIDTH * (first.std(ddof=1) + second.std(ddof=1)) / n**0.5,
            "it adds two spreads: take that of the row by row differences.",
        ),
    ):
        if close(half, wrong):
            raise NotYet(f"the mean is right; of the interval: {why}")
    if not close(half, WIDTH * error):
        raise NotYet(
            f"the mean is right; the interval reaches {half:.4g} to each side: take 1.96 * std / root of n of the differences."
        )


q1 = Exercise(
    id="106.1",
    wants=("paired_difference",),
    test=_apart,
    hints=(
        "Subtract first: one difference for each row. All the rest is about these differences.",
        "The standard error of a mean is the standard deviation of the rows, divided by the square root of their number.",
        "apart = first - second; half = 1.96 * apart.std(ddof=1) / ...; return apart.mean(), apart.mean() - half, ...",
    ),
    answer=(
        "def paired_difference(first, second):\n"
        "    apart = first - second\n"
        "    half = 1.96 * apart.std(ddof=1) / len(apart) ** 0.5\n"
        "    return apart.mean(), apart.mean() - half, apart.mean() + half"
    ),
)

# Made up. On 8 GiB B is the best, D reaches it with its interval; C does not, and E is too large.
ROWS = {
    "A": {"quality": 0.60, "low": 0.52, "high": 0.68, "gib": 2.0, "seconds": 20, "mb": 0.1},
    "B": {"quality": 0.82, "low": 0.76, "high": 0.88, "gib": 6.0, "seconds": 90, "mb": 20},
    "C": {"quality": 0.70, "low": 0.66, "high": 0.74, "gib": 8.0, "seconds": 60, "mb": 5},
    "D": {"quality": 0.75, "low": 0.70, "high": 0.80, "gib": 8.0, "seconds": 40, "mb": 10},
    "E": {"quality": 0.93, "low": 0.90, "high": 0.96, "gib": 14.0, "seconds": 200, "mb": 270},
}


def _choice(rows: dict, budget: float) -> list[str]:
    fits = {name: row for name, row in rows.items() if row["gib"] <= budget}
    best = max(fits.values(), key=lambda row: row["quality"], default=None)
    return sorted((name for name in fits if fits[name]["high"] >= best["low"]), key=lambda name: fits[name]["seconds"])


def _chosen(choose, rows: dict, budget: float) -> list[str]:
    given = deepcopy(rows)
    got = choose(given, budget)
    if given != rows:
        raise NotYet("it changes the table that it was given: collect what fits in a new dict or list.")
    if not isinstance(got, (list, tuple)) or not all(isinstance(name, str) for name in got):
        raise NotYet(
            f"it should return a list of names, but gave {type(got).__name__}: return the names alone, in order."
        )
    return list(got)


def _choose(choose) -> None:
    got = _chosen(choose, ROWS, 8.0)
    for wrong, why in (
        (["D", "B", "E"], "E needs 14 GiB: leave out what does not fit."),
        (["E"], "E needs 14 GiB: leave out first what does not fit, then look for the best."),
        ([], "nothing is left: the best counts among those that fit, so E sets no mark for the others."),
        (["B"], "B is the best that fits, but D's interval reaches B's, and its 8 GiB fit: D is not clearly worse."),
        (["D"], "D is the cheapest; return all that are not clearly worse than the best, B among them."),
        (["B", "D"], "those are the right ones; the cheapest, by `seconds`, comes first."),
        (["A", "D", "C", "B"], "those are all that fit: leave out what is clearly worse than the best of them."),
        (["A", "D", "B"], "A's interval ends below B's: A is clearly worse."),
        (["D", "C", "B"], "C's interval ends below B's: C is clearly worse."),
    ):
        if got == wrong:
            raise NotYet(f"with 8 GiB it chooses {', '.join(got) or 'nothing'}: {why}")
    if got != ["D", "B"]:
        raise NotYet(
            f"with 8 GiB it chooses {', '.join(got)}: D and B fit and are not clearly worse than B, the best that fits."
        )
    if _chosen(choose, ROWS, 5.0) != ["A"]:
        raise NotYet("it is right for 8 GiB but not for 5, where only A fits: use `budget_gib`.")
    if _chosen(choose, ROWS, 1.0) != []:
        raise NotYet("where nothing fits it should return an empty list.")
    other = {f"{name}2": row | {"seconds": 1000 - row["seconds"]} for name, row in ROWS.items()}
    if _chosen(choose, other, 20.0) != ["E2"] or _chosen(choose, other, 8.0) != ["B2", "D2"]:
        raise NotYet("it is right for this table but not for another: use `rows`, and sort by `seconds`.")
    edge = {name: ROWS[name] | {"high": ROWS["B"]["low"]} for name in "AD"} | {"B": ROWS["B"]}
    if _chosen(choose, edge, 8.0) != ["A", "D", "B"]:
        raise NotYet("an interval that ends just where the best one's begins still touches it: compare with >=.")


q2 = Exercise(
    id="106.2",
    wants=("choose",),
    test=_choose,
    hints=(
        "Three steps: what fits; the best of these by `quality`; those whose interval reaches the best one's.",
        "Two intervals overlap if the worse one's `high` is at least the better one's `low`. sorted(names, key=...) puts names "
        "in order.",
        'best = max(fits.values(), key=lambda row: row["quality"]); sorted((n for n in fits if fits[n]["high"] >= ...), key=...)',
    ),
    answer=(
        "def choose(rows, budget_gib):\n"
        '    fits = {name: row for name, row in rows.items() if row["gib"] <= budget_gib}\n'
        "    if not fits:\n"
        "        return []\n"
        '    best = max(fits.values(), key=lambda row: row["quality"])\n'
        '    good = [name for name in fits if fits[name]["high"] >= best["low"]]\n'
        '    return sorted(good, key=lambda name: fits[name]["seconds"])'
    ),
)


def _storage(storage_gb) -> None:
    tasks, model, adapter = 50, 270.0, 10.0
    got = numbers(storage_gb(tasks, model, adapter), 2)
    if got is None:
        raise NotYet("it should return two numbers: GB for full copies, and GB for adapters with their model.")
    full, small = got
    right = tasks * model / 1000, (model + tasks * adapter) / 1000
    if close(full, right[1]) and close(small, right[0]):
        raise NotYet("the two are the wrong way round: full copies first.")
    for wrong, why in (
        (right[0] * 1000, "they are in MB: a GB is 1,000 MB."),
        (tasks * model / 1024, "they are divided by 1,024: a GB is 1,000 MB."),
        (model / 1000, "that is one copy: each task has its own."),
        (
            (tasks + 1) * model / 1000,
            "that is one copy too many: with full fine-tuning the base model need not be kept.",
        ),
        (tasks * (model + adapter) / 1000, "that adds an adapter to each copy: a full copy needs none."),
    ):
        if close(full, wrong):
            raise NotYet(f"of the full copies: {why}")
    if not close(full, right[0]):
        raise NotYet(f"for 50 full copies of 270 MB it gives {full:.6g} GB: multiply, and divide by 1,000.")
    for wrong, why in (
        (tasks * adapter / 1000, "the model itself is missing: an adapter is of no use without it."),
        (tasks * (model + adapter) / 1000, "that keeps a model for each task: one model serves all adapters."),
        ((model + adapter) / 1000, "that is one adapter: each task has its own."),
        (right[1] * 1000, "that is in MB: a GB is 1,000 MB."),
        (model + tasks * adapter / 1000, "the model is in MB, the adapters in GB: divide both by 1,000."),
    ):
        if close(small, wrong):
            raise NotYet(f"the full copies are right; of the adapters: {why}")
    if not close(small, right[1]):
        raise NotYet(
            f"the full copies are right; for 50 adapters of 10 MB and their model it gives {small:.6g} GB: add them up."
        )
    again = numbers(storage_gb(2, 3000.0, 500.0), 2)
    if again is None or not (close(again[0], 6.0) and close(again[1], 4.0)):
        raise NotYet(
            "it is right for 50 tasks but not for 2 with a model of 3,000 MB and adapters of 500: use the arguments."
        )


q3 = Exercise(
    id="106.3",
    wants=("storage_gb",),
    test=_storage,
    hints=(
        "What has to be kept for one task more, in either case? And what has to be there once?",
        "Full fine-tuning leaves a whole model for each task. Adapters stand beside one frozen model, which is kept once.",
        "return tasks * model_mb / 1000, (model_mb + ...) / 1000",
    ),
    answer=(
        "def storage_gb(tasks, model_mb, adapter_mb):\n"
        "    return tasks * model_mb / 1000, (model_mb + tasks * adapter_mb) / 1000"
    ),
)
