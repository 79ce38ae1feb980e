"""Scores of a model on held-out rows, each with a 95 % interval, and the answers themselves for reading."""

from contextlib import contextmanager

import numpy as np
from transformers import AutoConfig

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.prove import log_likelihood
from course_lib.prove.classify import labels_said
from course_lib.prove.forms import in_one_form
from course_lib.prove.metrics import METRICS_FOR, PER_ROW, REWARDS, check_metrics, check_records, exact_match, macro_f1
from course_lib.prove.scores import Answer, Score, Scores, difference, scored
from course_lib.run.assets import model_folder
from course_lib.run.classification import text_of
from course_lib.run.data import DataSet
from course_lib.run.forms import FormName
from course_lib.run.generate import answers
from course_lib.run.methods import load_base, load_tokenizer, prepare
from course_lib.run.result import Run, stage_folders
from course_lib.run.targets import is_encoder

__all__ = ["Answer", "Score", "Scores", "difference", "evaluate", "few_shot"]


def few_shot(rows: list[dict], examples: list[dict]) -> list[dict]:
    """The same rows with solved examples before the question, as earlier turns of the chat: a k-shot prompt."""
    shown = [message for example in examples for message in example["messages"] if message["role"] != "system"]
    prompted = []
    for row in rows:
        head = [message for message in row["messages"] if message["role"] == "system"]
        prompted.append({"messages": head + shown + row["messages"][len(head) :]})
    return prompted


def evaluate(
    model_or_run,
    data: DataSet | list[dict],
    metrics: tuple[str, ...] | str | None = None,
    *,
    shots: int = 0,
    n: int | None = None,
    max_new_tokens: int = 64,
    name: str = "answering",
) -> Scores:
    """Score a model on held-out rows: by its answers to chats, its preferences between pairs, or how well it foresees texts.

    Args:
        model_or_run: a Run, a loaded transformers or PEFT model, or a model's name.
        data: a DataSet (its test rows are used) or rows: chats, pairs or plain texts.
        metrics: of chats valid_json, field_accuracy, exact_match, accuracy, rouge_l, macro_f1 and perplexity (of the answers);
            of pairs preference_accuracy, preference_accuracy_per_token, and for a DPO run reward_accuracy and reward_margin;
            of plain texts perplexity and bits_per_byte; of a classifier with a head accuracy and macro_f1. Default: those that
            fit the data.
        shots: solved training rows put before each question (needs a DataSet of chats).
        n: how many of the rows, from the first; default all.
        max_new_tokens: longest answer; what is cut off there is scored as it stands.

    Raises:
        CourseError: no rows, rows of no form or of several, a metric that does not go with them, or shots without training rows
            to take them from.
    """
    rows, form = rows_to_score(data, n)
    if _has_head(model_or_run):
        if form != "chat":
            raise CourseError("A classifier's head names labels, and foresees no text: evaluate it on chats.")
        form = "labels by a head"
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics or _default_metrics(model_or_run, data, form))
    check_metrics(metrics, form)
    if "field_accuracy" in metrics:
        check_records(rows)
    if set(REWARDS) & set(metrics) and not _is_dpo(model_or_run):
        raise CourseError(
            "A reward compares with the model that a DPO run began with: pass a Run of objective dpo or sft+dpo, or take "
            "preference_accuracy."
        )
    if shots and (form != "chat" or not isinstance(data, DataSet) or len(data.train) < shots):
        raise CourseError(
            f"{shots} solved examples are wanted, but there are not that many training rows of questions and written answers: "
            "pass a DataSet that has them, or set shots to 0."
        )
    prompts = few_shot(rows, data.train[:shots]) if shots else rows
    model, tokenizer = _loaded(model_or_run)
    with _eval_mode(model):
        if form == "plain":
            tables, kept = log_likelihood.of_texts(model, tokenizer, rows), []
        elif form == "pair":
            logp, tokens = log_likelihood.of_pairs(model, tokenizer, rows)
            tables, kept = log_likelihood.preferences(logp, tokens), _preferred(rows, logp)
        elif form == "labels by a head":
            tables, kept = answered(rows, labels_said(model, tokenizer, rows, name), metrics)
        else:
            tables, kept = {}, []
            if any(metric != "perplexity" for metric in metrics):
                tables, kept = answered(rows, answers(model, tokenizer, prompts, max_new_tokens, what=name), metrics)
            if "perplexity" in metrics:
                tables["perplexity"] = log_likelihood.of_chats(model, tokenizer, prompts)
    if set(REWARDS) & set(metrics):
        del model  # one model in memory at a time
        start = _start_of(model_or_run)
        tables |= log_likelihood.rewards(
            logp, log_likelihood.of_pairs(start, tokenizer, rows)[0], model_or_run.plan.beta
        )
    return scored({metric: tables[metric] for metric in metrics}, rows, kept)


def rows_to_score(data: DataSet | list[dict], n: int | None) -> tuple[list[dict], FormName]:
    """The first `n` test rows of a DataSet, or of the rows given, and the form that they have.

    Raises:
        CourseError: there are none, or they are of no form or of several.
    """
    rows, form = in_one_form(data.test if isinstance(data, DataSet) else list(data))
    if n is not None and n < 1:
        raise CourseError(f"n is {n}, which leaves no rows to evaluate on: set it to 1 or more.")
    return rows[:n], form


def _default_metrics(model_or_run, data, form: str) -> tuple[str, ...]:
    if form == "labels by a head":
        return METRICS_FOR["label"]
    if form == "pair":
        return METRICS_FOR["pair"] + (REWARDS if _is_dpo(model_or_run) else ())
    kind = data.answer if isinstance(data, DataSet) else {"chat": "text"}.get(form, form)
    return METRICS_FOR[kind]


def _is_dpo(model_or_run) -> bool:
    return isinstance(model_or_run, Run) and "dpo" in model_or_run.plan.objective


def _has_head(model_or_run) -> bool:
    if isinstance(model_or_run, Run):
        return model_or_run.plan.objective == "classification"
    return type(model_or_run).__name__.endswith("ForSequenceClassification")


def answered(rows: list[dict], said: list[str], metrics: tuple[str, ...]) -> tuple[dict[str, np.ndarray], list[Answer]]:
    """What each row adds to each metric, and the answers to read, when `said` was answered to the rows."""
    wanted = [row["messages"][-1]["content"] for row in rows]
    tables = {
        metric: np.array([PER_ROW[metric](say, want) for say, want in zip(said, wanted, strict=True)])
        for metric in metrics
        if metric in PER_ROW
    }
    if "macro_f1" in metrics:
        tables["macro_f1"] = macro_f1(said, wanted)
    kept = [
        Answer(text_of(row), want, say, bool(exact_match(say, want)))
        for row, want, say in zip(rows, wanted, said, strict=True)
    ]
    return tables, kept


def _preferred(rows: list[dict], logp: np.ndarray) -> list[Answer]:
    """`logp` (rows, 2): of the chosen and the rejected answer."""
    return [
        Answer(
            row["prompt"][-1]["content"],
            row["chosen"][-1]["content"],
            row["chosen" if chosen > rejected else "rejected"][-1]["content"],
            bool(chosen > rejected),
        )
        for row, (chosen, rejected) in zip(rows, logp, strict=True)
    ]


@contextmanager
def _eval_mode(model):
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _loaded(model_or_run):
    """(model, tokenizer) of a run, a loaded model, or a name."""
    if isinstance(model_or_run, Run):
        return model_or_run.model(), load_tokenizer(model_or_run.weights)
    if isinstance(model_or_run, str):
        folder = model_folder(model_or_run)
        if is_encoder(AutoConfig.from_pretrained(folder, trust_remote_code=False)):
            raise CourseError(
                f"{model_or_run} is an encoder, which writes no text: train it with objective classification, and evaluate the run."
            )
        return load_base(folder, Plan(model=model_or_run)).eval(), load_tokenizer(folder)
    return model_or_run, load_tokenizer(model_or_run.config._name_or_path)


def _start_of(run: Run):
    """The model as the DPO stage of a run began, in eval mode."""
    first = stage_folders(run.folder, run.plan)[0]
    if first != run.folder:
        return Run.from_folder(first).model()
    return prepare(model_folder(run.plan.model, run.plan.revision), run.plan).eval()
