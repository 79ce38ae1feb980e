"""What a score is: a number over held-out rows with its 95 % interval, kept row by row so that two models can be compared."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from course_lib.errors import CourseError

Statistic = Callable[[np.ndarray], np.ndarray]  # means over rows (..., columns) -> (...)


@dataclass(frozen=True)
class Score:
    """A figure over `n` rows with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:z.2f} [{self.low:z.2f}, {self.high:z.2f}]"


@dataclass(frozen=True)
class Answer:
    """One held-out row: what was asked, what was wanted, what the model said, and whether that is exactly right.

    Of a pair, `wanted` is the chosen answer and `said` is the one of the two that the model finds likelier: it writes neither.
    """

    asked: str
    wanted: str
    said: str
    right: bool


@dataclass(frozen=True)
class Scores:
    """Metric name -> Score, the answers behind them, and what each row adds to each metric.

    rows: metric -> (rows, columns); `STATISTICS` says what becomes of the columns' means. digest: of the rows scored.
    """

    scores: dict[str, Score]
    answers: list[Answer] = field(default_factory=list, repr=False)
    rows: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    digest: str = field(default="", repr=False)

    def __getitem__(self, metric: str) -> Score:
        return self.scores[metric]

    def failures(self) -> list[Answer]:
        return [answer for answer in self.answers if not answer.right]

    def __str__(self) -> str:
        return "  ".join(f"{name} {score}" for name, score in self.scores.items())


def mean(means: np.ndarray) -> np.ndarray:
    return means[..., 0]


def _perplexity(means: np.ndarray) -> np.ndarray:
    """exp(nats / tokens)."""
    return np.exp(means[..., 0] / means[..., 1])


def _bits_per_byte(means: np.ndarray) -> np.ndarray:
    """nats / (bytes x ln 2): Gao et al. 2020 ("The Pile"), section 3.1."""
    return means[..., 0] / (means[..., 1] * math.log(2))


def _macro_f1(means: np.ndarray) -> np.ndarray:
    """2 x right / (wanted + said) for each label, averaged over the labels that are wanted."""
    right, wanted, said = np.moveaxis(means.reshape(*means.shape[:-1], 3, -1), -2, 0)
    f1 = 2 * right / np.maximum(wanted + said, 1e-12)
    return (f1 * (wanted > 0)).sum(-1) / (wanted > 0).sum(-1)


STATISTICS: dict[str, Statistic] = {  # of all others: the mean
    "perplexity": _perplexity,
    "bits_per_byte": _bits_per_byte,
    "macro_f1": _macro_f1,
}
NO_SHARE = {"perplexity", "bits_per_byte", "reward_margin"}  # all others are between 0 and 1


def scored(tables: dict[str, np.ndarray], rows: list[dict], answers: list[Answer]) -> Scores:
    """The Scores of what each row adds to each metric."""
    scores = {metric: _score(metric, table) for metric, table in tables.items()}
    return Scores(scores, answers, tables, hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest())


def _score(metric: str, table: np.ndarray) -> Score:
    statistic = STATISTICS.get(metric, mean)
    bounds = interval(table, statistic, share=metric not in NO_SHARE)
    return Score(float(statistic(_columns(table).mean(0))), *bounds, len(table))


def interval(
    table: np.ndarray, statistic: Statistic = mean, resamples: int = 2000, share: bool = True
) -> tuple[float, float]:
    """95 % percentile bootstrap over rows (Efron & Tibshirani 1993, chapter 13).

    Rows that all agree (all right, all wrong) leave a bootstrap nothing to vary; then a share gets Wilson's interval
    (Wilson 1927), so that 0 of 24 does not read as certainly 0.
    """
    table = _columns(table)
    if share and np.all(table == table[0]):
        return _wilson(float(statistic(table[0])), len(table))
    return _middle(statistic(_resampled(table, resamples)))


def difference(first: Scores, second: Scores, metric: str) -> Score:
    """How much higher `first` scores than `second`, with its 95 % paired bootstrap interval over the rows that both answered.

    An interval that leaves out 0 says that the two differ. Paired, it is narrower than the two intervals apart: a row that is
    hard for both tells nothing against either. Source: Efron & Tibshirani 1993, chapter 13; Koehn 2004 for its use here.

    Raises:
        CourseError: the scores are not of the same rows, lack the metric, or are perplexities over different tokens.
    """
    statistic, one, other = _paired(first, second, metric)
    value = float(statistic(one.mean(0)) - statistic(other.mean(0)))
    if metric not in NO_SHARE and np.all(one - other == (one - other)[0]):
        low, high = _wilson(abs(value), len(one))
        bounds = (-high, high) if value == 0 else (low, high) if value > 0 else (-high, -low)
    else:
        bounds = _middle(statistic(_resampled(one)) - statistic(_resampled(other)))
    return Score(value, *bounds, len(one))


def ratio(first: Scores, second: Scores, metric: str) -> Score:
    """`first` as a multiple of `second`; interval and errors as of `difference`."""
    statistic, one, other = _paired(first, second, metric)
    bounds = _middle(statistic(_resampled(one)) / statistic(_resampled(other)))
    return Score(float(statistic(one.mean(0)) / statistic(other.mean(0))), *bounds, len(one))


def _paired(first: Scores, second: Scores, metric: str) -> tuple[Statistic, np.ndarray, np.ndarray]:
    for scores in (first, second):
        if metric not in scores.rows:
            had = ", ".join(scores.rows) or "none"
            raise CourseError(
                f"There is no {metric} in both of these scores (one has {had}): give it in metrics to both calls of evaluate."
            )
    one, other = _columns(first.rows[metric]), _columns(second.rows[metric])
    if first.digest != second.digest or one.shape != other.shape:
        raise CourseError(
            "These scores are not of the same rows, so that no row can be compared with itself: evaluate both on the same data "
            "with the same n."
        )
    if metric == "perplexity" and not np.array_equal(one[:, 1], other[:, 1]):
        raise CourseError(
            "These models cut the same text into different tokens, so that a perplexity of one says nothing beside the other's: "
            "compare bits_per_byte of plain texts."
        )
    return STATISTICS.get(metric, mean), one, other


def _columns(table: np.ndarray) -> np.ndarray:
    return np.asarray(table, dtype=float).reshape(len(table), -1)


def _resampled(table: np.ndarray, resamples: int = 2000) -> np.ndarray:
    """Means (resamples, columns) over rows drawn with replacement; the same draws for tables of the same length."""
    n = len(table)
    picks = np.random.default_rng(0).integers(0, n, (resamples, n))
    drawn = np.bincount((picks + n * np.arange(resamples)[:, None]).ravel(), minlength=resamples * n)
    return drawn.reshape(resamples, n) @ table / n


def _middle(drawn: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _wilson(p: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share `p` seen in `n` rows."""
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)
