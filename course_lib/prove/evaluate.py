"""Scores of a model on held-out rows, each with a 95 % interval, and the answers themselves for reading."""

import json
import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run.assets import model_folder
from course_lib.run.chat import IGNORED, encode_rows
from course_lib.run.data import DataSet
from course_lib.run.generate import answers
from course_lib.run.methods import load_base, load_tokenizer
from course_lib.run.step import collate, logits_at
from course_lib.run.train import Run

METRICS_FOR = {
    "json": ("valid_json", "field_accuracy", "exact_match"),
    "label": ("accuracy", "macro_f1"),
    "text": ("exact_match", "rouge_l"),
}


@dataclass(frozen=True)
class Score:
    """A mean over `n` rows with its 95 % interval; perplexity is not a share, all others are between 0 and 1."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Answer:
    """One held-out row: what was asked, what was wanted, what the model said, and whether that is exactly right."""

    asked: str
    wanted: str
    said: str
    right: bool


@dataclass(frozen=True)
class Scores:
    """Metric name -> Score, and the answers behind them."""

    scores: dict[str, Score]
    answers: list[Answer] = field(default_factory=list, repr=False)

    def __getitem__(self, metric: str) -> Score:
        return self.scores[metric]

    def failures(self) -> list[Answer]:
        return [answer for answer in self.answers if not answer.right]

    def __str__(self) -> str:
        return "  ".join(f"{name} {score}" for name, score in self.scores.items())


def interval(
    values: np.ndarray, statistic: Callable = np.mean, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap over rows (Efron & Tibshirani 1993, chapter 13).

    Rows that all agree (all right, all wrong) leave a bootstrap nothing to vary; then Wilson's score interval for a share
    (Wilson 1927) is given instead, so that 0 of 24 does not read as certainly 0.
    """
    n = len(values)
    if np.all(values == values[0]):
        z2 = 1.96**2
        p = float(values[0])
        centre, half = (
            (p + z2 / (2 * n)) / (1 + z2 / n),
            1.96 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n),
        )
        return max(0.0, centre - half), min(1.0, centre + half)
    picks = np.random.default_rng(seed).integers(0, n, (resamples, n))
    drawn = (
        statistic(values[picks], axis=1)
        if statistic is np.mean
        else np.array([statistic(values[pick]) for pick in picks])
    )
    return tuple(float(bound) for bound in np.percentile(drawn, [2.5, 97.5]))


def _parsed(text: str) -> dict | None:
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def valid_json(said: str, wanted: str) -> float:
    """1 if the answer is one JSON object and nothing else."""
    return float(_parsed(said) is not None)


def field_accuracy(said: str, wanted: str) -> float:
    """Share of the wanted record's fields that the answer has with the same value; 0 if it is no JSON object."""
    right, got = json.loads(wanted), _parsed(said) or {}
    return sum(got.get(key) == value for key, value in right.items()) / len(right)


def exact_match(said: str, wanted: str) -> float:
    """1 if the answer is the wanted one: the same record for JSON, the same text otherwise."""
    record = _parsed(wanted)
    return float(_parsed(said) == record if record is not None else said.strip() == wanted.strip())


def accuracy(said: str, wanted: str) -> float:
    """1 if the answer is the wanted label, whatever its case."""
    return float(said.strip().lower() == wanted.strip().lower())


def rouge_l(said: str, wanted: str) -> float:
    """ROUGE-L F1 with stemming (Lin 2004), as Google's rouge_score computes it."""
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True).score(wanted, said)["rougeL"].fmeasure


PER_ROW = {f.__name__: f for f in (valid_json, field_accuracy, exact_match, accuracy, rouge_l)}


def _macro_f1(said: list[str], wanted: list[str]) -> Score:
    """Macro-averaged F1 over the wanted labels; anything else that was said counts against recall."""
    from sklearn.metrics import f1_score  # two seconds, for the one metric that needs it

    pairs = np.array([[w.strip().lower(), s.strip().lower()] for s, w in zip(said, wanted, strict=True)], dtype=object)
    labels = sorted(set(pairs[:, 0]))

    def f1(rows: np.ndarray) -> float:
        return float(f1_score(list(rows[:, 0]), list(rows[:, 1]), labels=labels, average="macro", zero_division=0))

    picks = np.random.default_rng(0).integers(0, len(pairs), (500, len(pairs)))
    low, high = np.percentile([f1(pairs[pick]) for pick in picks], [2.5, 97.5])
    return Score(f1(pairs), float(low), float(high), len(pairs))


@torch.inference_mode()
def perplexity(model, tokenizer, rows: list[dict], max_len: int = 2048) -> Score:
    """exp of the mean cross-entropy of the rows' answer tokens; its interval resamples rows."""
    encoded = encode_rows(tokenizer, rows, max_len)
    sums = []
    for row in tqdm(encoded, desc="perplexity", unit="row"):
        batch = collate([row], tokenizer.pad_token_id, share=False)
        targets = batch["labels"][:, 1:].to(model.device)
        keep = targets != IGNORED
        logits = logits_at(model, keep, input_ids=batch["input_ids"].to(model.device))
        sums.append((F.cross_entropy(logits.float(), targets[keep], reduction="sum").item(), int(keep.sum())))
    table = np.array(sums)

    def mean_nats(rows: np.ndarray) -> float:
        return float(rows[:, 0].sum() / rows[:, 1].sum())

    picks = np.random.default_rng(0).integers(0, len(table), (2000, len(table)))
    low, high = np.percentile([mean_nats(table[pick]) for pick in picks], [2.5, 97.5])
    return Score(math.exp(mean_nats(table)), math.exp(low), math.exp(high), len(table))


def few_shot(rows: list[dict], examples: list[dict]) -> list[dict]:
    """The same rows with solved examples before the question, as earlier turns of the chat: a k-shot prompt."""
    shown = [message for example in examples for message in example["messages"] if message["role"] != "system"]
    prompted = []
    for row in rows:
        head = [message for message in row["messages"] if message["role"] == "system"]
        prompted.append({"messages": head + shown + row["messages"][len(head) :]})
    return prompted


@contextmanager
def _eval_mode(model):
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def evaluate(
    model_or_run,
    data: DataSet | list[dict],
    metrics: tuple[str, ...] | None = None,
    *,
    shots: int = 0,
    n: int | None = None,
    max_new_tokens: int = 64,
    name: str = "answering",
) -> Scores:
    """Answer held-out rows and score the answers.

    Args:
        model_or_run: a Run, a loaded transformers or PEFT model, or a model's name.
        data: a DataSet (its test rows are used) or rows.
        metrics: names from METRICS_FOR or "perplexity"; default: those that fit the data set's kind of answer.
        shots: solved training rows put before each question (needs a DataSet).
        n: how many of the rows, from the first; default all.
        max_new_tokens: longest answer; what is cut off there is scored as it stands.

    Raises:
        CourseError: no rows, an unknown metric, or shots without training rows to take them from.
    """
    rows = data.test if isinstance(data, DataSet) else data
    kind = data.answer if isinstance(data, DataSet) else "text"
    metrics = tuple(metrics or METRICS_FOR[kind])
    known = {*PER_ROW, "macro_f1", "perplexity"}
    if unknown := [metric for metric in metrics if metric not in known]:
        raise CourseError(f"There is no metric {unknown[0]}: choose from {', '.join(sorted(known))}.")
    if not rows:
        raise CourseError("There are no rows to evaluate on: hold some out, or pass rows.")
    rows = rows[:n]
    if shots and (not isinstance(data, DataSet) or len(data.train) < shots):
        raise CourseError(
            f"{shots} solved examples are wanted, but there are not that many training rows: pass a DataSet that has them."
        )
    model, tokenizer = _loaded(model_or_run)
    prompts = few_shot(rows, data.train[:shots]) if shots else rows
    wanted = [row["messages"][-1]["content"] for row in rows]
    scores: dict[str, Score] = {}
    kept: list[Answer] = []
    with _eval_mode(model):
        if any(metric != "perplexity" for metric in metrics):
            said = answers(model, tokenizer, prompts, max_new_tokens, what=name)
            kept = [
                Answer(row["messages"][-2]["content"], want, say, bool(exact_match(say, want)))
                for row, want, say in zip(rows, wanted, said, strict=True)
            ]
        for metric in metrics:
            if metric == "perplexity":
                scores[metric] = perplexity(model, tokenizer, prompts)
            elif metric == "macro_f1":
                scores[metric] = _macro_f1(said, wanted)
            else:
                values = np.array([PER_ROW[metric](say, want) for say, want in zip(said, wanted, strict=True)])
                scores[metric] = Score(float(values.mean()), *interval(values), len(values))
    return Scores(scores, kept)


def _loaded(model_or_run):
    """(model, tokenizer) of a run, a loaded model, or a name."""
    if isinstance(model_or_run, Run):
        return model_or_run.model(), load_tokenizer(model_or_run.weights)
    if isinstance(model_or_run, str):
        folder = model_folder(model_or_run)
        return load_base(folder, Plan(model=model_or_run)).eval(), load_tokenizer(folder)
    return model_or_run, load_tokenizer(model_or_run.config._name_or_path)
