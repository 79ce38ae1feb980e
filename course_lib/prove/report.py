"""Several evaluations side by side: one table and one picture."""

from dataclasses import dataclass
from html import escape

from course_lib.prove.scores import NO_SHARE, Scores


@dataclass(frozen=True)
class Report:
    """Name of a model or prompt -> its Scores, all on the same rows. Prints as a table; a notebook shows a table too."""

    entries: dict[str, Scores]

    @property
    def metrics(self) -> list[str]:
        return list(dict.fromkeys(metric for scores in self.entries.values() for metric in scores.scores))

    def _cells(self) -> list[list[str]]:
        return [
            [name, *(str(scores.scores.get(metric, "")) for metric in self.metrics)]
            for name, scores in self.entries.items()
        ]

    def __str__(self) -> str:
        table = [["", *self.metrics], *self._cells()]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(metric)}</th>' for metric in ["", *self.metrics])
        body = "".join(
            f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
            for name, *cells in self._cells()
        )
        n = next(score.n for scores in self.entries.values() for score in scores.scores.values())
        return f"<table><caption>Mean [95 % interval] over {n} held-out rows</caption><tr>{head}</tr>{body}</table>"

    def plot(self, metric: str):
        """A bar for each entry with its 95 % interval; prints the same in words, for those who cannot see it."""
        from matplotlib import pyplot as plt

        names = list(self.entries)
        shown = [scores[metric] for scores in self.entries.values()]
        _, axes = plt.subplots(figsize=(6, 0.5 + 0.5 * len(names)), layout="constrained")
        hatches = ("", "//", "..", "xx", "\\\\", "++")
        for row, score in enumerate(shown):
            axes.barh(
                row, score.value, color="#0072B2", alpha=0.55, edgecolor="#0072B2", hatch=hatches[row % len(hatches)]
            )
            axes.errorbar(
                score.value,
                row,
                xerr=[[max(0, score.value - score.low)], [max(0, score.high - score.value)]],
                color="0.4",
                capsize=4,
            )
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel(f"{metric.replace('_', ' ')} on {shown[0].n} held-out rows, 95 % interval")
        if metric not in NO_SHARE:
            axes.set_xlim(0, 1.02)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        print("Figure: " + "; ".join(f"{name} {score}" for name, score in zip(names, shown, strict=True)) + ".")


def plot_loss(run):
    """A run's loss by step, those of a second stage after the first's, in nats per trained token (dpo: per pair); prints first
    and last value in words."""
    from matplotlib import pyplot as plt

    steps, losses = range(1, len(run.history) + 1), [entry["loss"] for entry in run.history]
    unit = {"sft": " per token", "cpt": " per token", "dpo": " per pair", "classification": " per row"}
    _, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
    axes.plot(steps, losses, color="#0072B2", marker="o", markersize=3)
    axes.set_xlabel("step")
    axes.set_ylabel(f"loss, nats{unit.get(run.plan.objective, '')}")
    axes.set_ylim(bottom=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    way = "falls" if losses[-1] < losses[0] else "does not fall: it goes"
    print(f"Figure: loss {way} from {losses[0]:.2f} at step {steps[0]} to {losses[-1]:.2f} at step {steps[-1]}.")
