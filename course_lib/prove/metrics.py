"""Metrics of answers that a model wrote or chose, row by row, and which metrics go with which rows."""

import json

import numpy as np

from course_lib.errors import CourseError
from course_lib.run.forms import FORMS

METRICS_FOR = {  # by DataSet.answer; those that are taken when none are named
    "json": ("valid_json", "field_accuracy", "exact_match"),
    "label": ("accuracy", "macro_f1"),
    "text": ("exact_match", "rouge_l"),
    "pair": ("preference_accuracy", "preference_accuracy_per_token"),
    "plain": ("perplexity", "bits_per_byte"),
}
REWARDS = ("reward_accuracy", "reward_margin")


def parsed(text: str) -> dict | None:
    """The JSON object that a text is; None if it is none."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def valid_json(said: str, wanted: str) -> float:
    """1 if the answer is one JSON object and nothing else."""
    return float(parsed(said) is not None)


def field_accuracy(said: str, wanted: str) -> float:
    """Share of the wanted record's fields that the answer has with the same value; 0 if it is no JSON object."""
    right, got = json.loads(wanted), parsed(said) or {}
    return sum(got.get(key) == value for key, value in right.items()) / len(right)


def exact_match(said: str, wanted: str) -> float:
    """1 if the answer is the wanted one: the same record for JSON, the same text otherwise."""
    record = parsed(wanted)
    return float(parsed(said) == record if record is not None else said.strip() == wanted.strip())


def accuracy(said: str, wanted: str) -> float:
    """1 if the answer is the wanted label, whatever its case."""
    return float(said.strip().lower() == wanted.strip().lower())


def rouge_l(said: str, wanted: str) -> float:
    """ROUGE-L F1 with stemming (Lin 2004), as Google's rouge_score computes it."""
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True).score(wanted, said)["rougeL"].fmeasure


PER_ROW = {f.__name__: f for f in (valid_json, field_accuracy, exact_match, accuracy, rouge_l)}
FITTING = {
    "chat": (*PER_ROW, "macro_f1", "perplexity"),
    "labels by a head": METRICS_FOR["label"],
    "pair": (*METRICS_FOR["pair"], *REWARDS),
    "plain": METRICS_FOR["plain"],
}
CALLED = {name: form.rows for name, form in FORMS.items()} | {"labels by a head": "what a classifier's head says"}


def macro_f1(said: list[str], wanted: list[str]) -> np.ndarray:
    """For each row and wanted label, three columns: rightly said, wanted, said (rows, 3 x labels).

    Any other label that was said is none of them: it counts against the label that was wanted instead.
    """
    said, wanted = (np.array([text.strip().lower() for text in texts]) for texts in (said, wanted))
    labels = np.unique(wanted)
    is_wanted, is_said = wanted[:, None] == labels, said[:, None] == labels
    return np.hstack([is_wanted & is_said, is_wanted, is_said]).astype(float)


def check_metrics(metrics: tuple[str, ...], form: str) -> None:
    """Refuse metrics that do not go with rows of this form (a key of FITTING).

    Raises:
        CourseError: says which do.
    """
    for metric in metrics:
        if metric in FITTING[form]:
            continue
        choose = f"choose from {', '.join(FITTING[form])}"
        others = [CALLED[name] for name, names in FITTING.items() if metric in names]
        if not others:
            raise CourseError(f"There is no metric {metric}: {choose}.")
        raise CourseError(f"{metric} is a metric of {others[0]}, and these are {CALLED[form]}: {choose}.")


def check_records(rows: list[dict]) -> None:
    """Refuse rows whose wanted answer has no fields to compare.

    Raises:
        CourseError: says which row is the first.
    """
    for number, row in enumerate(rows, 1):
        if not parsed(row["messages"][-1]["content"]):
            raise CourseError(
                f"field_accuracy compares the fields of JSON objects, and the wanted answer of row {number} has none: "
                "choose exact_match or rouge_l."
            )
