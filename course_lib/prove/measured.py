"""Results that were measured once, for pages to quote: every one with its machine, versions and date.

They are written by `python -m tests.bench.methods`, one run a line, and lie in `measurements/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
from scipy.stats import t as student

from course_lib.errors import CourseError
from course_lib.prove.measured_runs import OneRun, Setting, read_runs
from course_lib.prove.scores import Score, interval
from course_lib.prove.tables import Table, table

WORDS = {
    "field_accuracy": "of the fields right",
    "exact_match": "of the records right",
    "valid_json": "of the answers JSON",
}
BASE = "0-shot"  # the case that is the untrained model
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "0.2")  # Okabe and Ito 2008


def crossed(values: np.ndarray, share: bool = True) -> Score:
    """Mean of scores (seeds, rows) with a 95 % interval over both: other seeds and other rows of the kind would move it.

    Each seed answers the same rows, so the variance of the mean is (MS_seeds + MS_rows - MS_rest) / n, with mean squares
    of the two-way table and components below zero taken as zero (Searle, Casella & McCulloch 1992); Student's t with
    Satterthwaite's degrees of freedom (1946), which are near 2 where three seeds decide: then the interval is wide, as it
    should be. One seed, or rows that all agree: the interval over rows alone, see `scores.interval`.

    share: the scores lie between 0 and 1, and so does the interval.
    """
    seeds, rows = values.shape
    mean, by_seed, by_row = values.mean(), values.mean(axis=1), values.mean(axis=0)
    if seeds == 1 or np.ptp(values) == 0:
        return Score(float(mean), *interval(by_row, share=share), rows)
    rest = values - by_seed[:, None] - by_row + mean
    df = np.array([seeds - 1, rows - 1, (seeds - 1) * (rows - 1)])
    squares = np.array([rows * ((by_seed - mean) ** 2).sum(), seeds * ((by_row - mean) ** 2).sum(), (rest**2).sum()])
    of_seeds, of_rows, of_rest = squares / np.maximum(df, 1)
    total = max(of_seeds, of_rest) + max(of_rows, of_rest) - of_rest
    freedom = max(1.0, total**2 / ((squares / np.maximum(df, 1)) ** 2 / np.maximum(df, 1)).sum())
    half = student.ppf(0.975, freedom) * np.sqrt(total / values.size)
    low, high = float(mean - half), float(mean + half)
    return Score(float(mean), *((max(0.0, low), min(1.0, high)) if share else (low, high)), rows)


@dataclass(frozen=True)
class Measured:
    """Runs of one bench: the same task, budget and machine. A notebook shows them as a table."""

    runs: tuple[OneRun, ...]

    @property
    def setting(self) -> Setting:
        return self.runs[0].setting

    @property
    def cases(self) -> list[str]:
        """Methods and prompts, in the order in which they were measured."""
        return list(dict.fromkeys(run.case for run in self.runs))

    def of(self, case: str) -> list[OneRun]:
        """The runs of one case, by seed. Raises CourseError when it was not measured."""
        found = sorted((run for run in self.runs if run.case == case), key=lambda run: run.seed)
        if not found:
            raise CourseError(f"{case} was not measured: choose from {', '.join(self.cases)}.")
        return found

    def score(self, case: str, metric: str = "field_accuracy") -> Score:
        """Mean over seeds and rows with its 95 % interval, see `crossed`. Raises CourseError: no such case or metric."""
        runs = self.of(case)
        if metric not in runs[0].values:
            raise CourseError(f"{metric} was not measured: choose from {', '.join(runs[0].values)}.")
        return crossed(np.array([run.values[metric] for run in runs]))

    def difference(self, case: str, other: str, metric: str = "field_accuracy", share: float = 1.0) -> Score:
        """How much higher one case scores than another, or than a share of it, row by row; with its 95 % interval, see `crossed`.

        Raises CourseError: no such case or metric, or not as many seeds of both.
        """
        for one in (case, other):
            self.score(one, metric)
        ones, others = (np.array([run.values[metric] for run in self.of(name)]) for name in (case, other))
        if ones.shape != others.shape:
            raise CourseError(f"{case} has {len(ones)} seeds and {other} {len(others)}: compare cases with as many.")
        return crossed(ones - share * others, share=False)

    def forgetting(self, case: str) -> Score:
        """How many times the base model's perplexity on general texts the trained one's is; interval as of `crossed`.

        1 says that nothing was lost. Raises CourseError: no such case.
        """
        before = np.array(self.of(BASE)[0].general)
        after = np.array([run.general for run in self.of(case)])[:, :, 0]
        rise = crossed(
            (after - before[:, 0]) / before[:, 1].mean(), share=False
        )  # nats per token, long texts weigh more
        return Score(*(float(np.exp(edge)) for edge in (rise.value, rise.low, rise.high)), rise.n)

    def cost(self, case: str) -> Mapping[str, float]:
        """Means over seeds of what training took: seconds, tokens_per_s, peak_gib, saved_bytes, trained; and answer_seconds.

        A prompt without training has answer_seconds alone.
        """
        runs = self.of(case)
        trained = [run.training for run in runs if run.training]
        costs = {"answer_seconds": fmean(run.answer_seconds for run in runs)}
        if trained:
            costs |= {
                name: fmean(getattr(one, name) for one in trained)
                for name in ("seconds", "peak_gib", "saved_bytes", "trained")
            }
            costs["tokens_per_s"] = fmean(one.tokens / one.seconds for one in trained)
        return costs

    def where(self) -> str:
        """Task, budget, machine, versions and date in one sentence, for beneath a figure or a table."""
        s, days = self.setting, sorted({run.date for run in self.runs})
        first, last = (f"{day.day} {day:%B %Y}" for day in (days[0], days[-1]))
        versions = ", ".join(f"{name} {number}" for name, number in s.versions.items())
        busy = max(run.busy_cores for run in self.runs)
        beside = f", beside other programs on up to {busy:.1f} cores" if busy > 0.5 else ""
        return (
            f"Measured with {s.model} on {s.train_rows} rows of {s.data}, {s.step_rows} in each step, scored on "
            f"{s.test_rows} others, and on {s.general_texts} texts of {s.general}; on {s.machine}, "
            f"{_n(s.threads, 'thread')}, {s.precision}{beside}; {versions}; "
            f"{first if first == last else f'{first} to {last}'}."
        )

    def say(self, case: str) -> str:
        """What came of one case, in a sentence."""
        metrics = [metric for metric in ("field_accuracy", "exact_match") if metric in self.runs[0].values]
        reached = " and ".join(f"{self.score(case, metric)} {WORDS[metric]}" for metric in metrics)
        costs, seeds = self.cost(case), len(self.of(case))
        if "seconds" not in costs:
            return f"{case} without training reached {reached}."
        return f"{case} reached {reached} after {costs['seconds']:.0f} s of training (mean of {_n(seeds, 'seed')})."

    def table(self) -> Table:
        """One row for each case."""
        return table([self._cells(case) for case in self.cases], self.where())

    def _cells(self, case: str) -> dict[str, str]:
        costs = self.cost(case)
        cells = {"": case} | {
            WORDS[m].removeprefix("of the "): str(self.score(case, m)) for m in WORDS if m in self.runs[0].values
        }
        shown = {
            "trained weights": ("trained", "{:,.0f}", 1),
            "training, s": ("seconds", "{:.0f}", 1),
            "tokens/s": ("tokens_per_s", "{:.0f}", 1),
            f"peak GiB{self._memory_of()}": ("peak_gib", "{:.2f}", 1),
            "saved, MB": ("saved_bytes", "{:,.2f}", 1e-6),
            "answering, s": ("answer_seconds", "{:.1f}", 1),
        }
        if BASE in self.cases:
            cells |= {"general perplexity, times": str(self.forgetting(case)) if "trained" in costs else ""}
        return cells | {
            head: form.format(costs[name] * unit) if name in costs else "" for head, (name, form, unit) in shown.items()
        }

    def _memory_of(self) -> str:
        return next((f" ({run.training.memory_of})" for run in self.runs if run.training), "")

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def plot(self, metric: str = "field_accuracy", against: Literal["trained", "seconds"] = "trained") -> None:
        """A point for each method: its score with the 95 % interval, against trained weights or seconds of training.

        Methods that lie within a tenth of each other are drawn side by side.
        Prompts without training are lines across. Prints the same in words, for those who cannot see it.
        """
        from matplotlib import pyplot as plt

        _, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
        costs = {case: self.cost(case).get(against) for case in self.cases}
        places = _side_by_side({case: x for case, x in costs.items() if x})
        words, looks, dashes = [], cycle(zip("os^Dv<>XP*dph", cycle(COLOURS), strict=False)), cycle(("--", ":"))
        for case, x in costs.items():
            score = self.score(case, metric)
            if x is None:
                axes.axhline(score.value, color="0.4", linestyle=next(dashes), label=case)
                words.append(f"{case} {score} without training")
                continue
            mark, colour = next(looks)
            axes.errorbar(
                places[case],
                score.value,
                yerr=[[score.value - score.low], [score.high - score.value]],
                marker=mark,
                color=colour,
                markersize=7,
                capsize=3,
                linestyle="",
                label=case,
            )
            words.append(f"{case} {score} with {x:,.0f}" + (" s" if against == "seconds" else " trained weights"))
        if against == "trained":
            axes.set_xscale("log")
        axes.set_xlabel({"trained": "trained weights", "seconds": "seconds of training"}[against])
        axes.set_ylabel(f"{WORDS.get(metric, metric)}, 95 % interval".removeprefix("of the "))
        axes.set_ylim(-0.02, 1.02)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        print(f"Figure: share {WORDS.get(metric, metric)}, 95 % interval; {'; '.join(words)}.")


def _side_by_side(values: dict[str, float]) -> dict[str, float]:
    """Where to draw values, so that those within a tenth of the one before do not hide each other."""
    groups: list[list[str]] = []
    for name in sorted(values, key=values.get):
        if groups and values[name] < 1.1 * values[groups[-1][-1]]:
            groups[-1].append(name)
        else:
            groups.append([name])
    return {name: values[name] * 1.1 ** (i - (len(group) - 1) / 2) for group in groups for i, name in enumerate(group)}


def measured(name: str | Path = "methods") -> Measured:
    """Results that come with the course, or of a file that the bench wrote.

    Raises:
        CourseError: there are none, a line is none of a bench, or the runs are not of one task, budget and machine.
    """
    path = Path(str(name))
    if not path.suffix:
        path = Path(str(resources.files("course_lib.prove"))) / "measurements" / f"{name}.jsonl"
    runs = read_runs(path)
    if not runs:
        raise CourseError(f"{path.name} holds no results: run the bench, see tests/bench/README.md.")
    if any(run.setting != runs[0].setting for run in runs):
        raise CourseError(
            f"{path.name} mixes runs of several tasks, budgets or machines, which cannot be compared: run the bench anew."
        )
    return Measured(tuple(runs))


def _n(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
