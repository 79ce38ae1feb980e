"""What beat what, in words: the fine-tuned model against each way to do without fine-tuning."""

from collections.abc import Mapping

from course_lib.prove.scores import Scores, difference
from course_lib.prove.tables import Table, table

TUNED = "fine-tuned"
LOWER_IS_BETTER = ("perplexity", "bits_per_byte")


def verdict(tuned: Scores, rivals: Mapping[str, Scores]) -> list[str]:
    """A sentence for each rival and each metric that both have, the rivals' paired difference and its 95 % interval in it."""
    return [
        _sentence(metric, tuned, name, rival)
        for name, rival in rivals.items()
        for metric in tuned.scores
        if metric in rival.scores
    ]


def _sentence(metric: str, tuned: Scores, name: str, rival: Scores) -> str:
    gap = difference(tuned, rival, metric)
    better, worse = (gap.low > 0, gap.high < 0) if metric not in LOWER_IS_BETTER else (gap.high < 0, gap.low > 0)
    numbers = (
        f"{tuned[metric].value:.2f} against {rival[metric].value:.2f}, difference {gap.value:+.2f} "
        f"[{gap.low:+.2f}, {gap.high:+.2f}]"
    )
    if better:
        return f"{metric}: fine-tuning beat the {name}: {numbers}."
    if worse:
        return f"{metric}: fine-tuning did not beat the {name}, which is clearly better: {numbers}."
    return f"{metric}: fine-tuning did not beat the {name}: {numbers}, no clear difference."


def scores_table(entries: Mapping[str, Scores]) -> Table:
    """A row for each entry, a column for each metric, with intervals."""
    metrics = list(dict.fromkeys(metric for scores in entries.values() for metric in scores.scores))
    n = next(score.n for scores in entries.values() for score in scores.scores.values())
    return table(
        [
            {"model": name, **{metric: str(scores.scores.get(metric, "")) for metric in metrics}}
            for name, scores in entries.items()
        ],
        f"Mean [95 % interval] over {n} test rows",
    )


def to_markdown(shown: Table) -> str:
    """A table as Markdown."""
    lines = [shown.columns, ["---"] * len(shown.columns), *shown.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
