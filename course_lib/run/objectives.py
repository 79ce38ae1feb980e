"""Objectives: what the loss rewards, from rows of a data set to the loss of a batch."""

from collections.abc import Callable, Sized
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch.nn import functional as F

from course_lib.plan import Plan
from course_lib.run.chat import IGNORED, Encoded, encode_rows
from course_lib.run.classification import collate_labelled, encode_labelled, label_loss
from course_lib.run.methods import METHODS
from course_lib.run.plain_text import blocks
from course_lib.run.preference import Pair, collate_pairs, dpo_loss, encode_pairs
from course_lib.run.step import collate, target_logits, target_mask
from course_lib.run.targets import is_encoder

SECOND_LR = 1 / 20  # of lr: the DPO stage of sft+dpo, as `choose.hyperparameters` sets it for DPO alone

Batch = dict[str, torch.Tensor]
BaseLogits = Callable[[Batch], torch.Tensor]


@dataclass(frozen=True)
class Objective:
    """One objective; `OBJECTIVES` holds them all.

    stages: what is trained, one after the other; each stage is an objective of its own. field: of the plan, that names the
    data, and form: what the rows of that data are. goal: in words. scores: metrics of `evaluate` that say whether it was
    reached. lesson: the page that teaches it.
    """

    stages: tuple[str, ...]
    field: Literal["data", "pairs", "texts"]
    form: Literal["chat", "pair", "plain"]
    goal: str
    scores: tuple[str, ...]
    lesson: int


OBJECTIVES = {
    "sft": Objective(
        ("sft",),
        "data",
        "chat",
        "the answers of the rows become likely",
        ("field_accuracy", "exact_match", "accuracy", "rouge_l"),
        104,
    ),
    "dpo": Objective(
        ("dpo",),
        "pairs",
        "pair",
        "the chosen answer becomes likelier than it was, compared with the rejected one",
        ("preference_accuracy", "reward_accuracy"),
        208,
    ),
    "cpt": Objective(("cpt",), "texts", "plain", "every token of the texts becomes likely", ("perplexity",), 210),
    "classification": Objective(
        ("classification",), "data", "chat", "a new output layer names the label", ("accuracy", "macro_f1"), 210
    ),
    "sft+dpo": Objective(
        ("sft", "dpo"),
        "data",
        "chat",
        "first the answers, then the preferences",
        ("field_accuracy", "exact_match", "preference_accuracy"),
        208,
    ),
    "cpt+sft": Objective(
        ("cpt", "sft"), "data", "chat", "first the language of the field, then the answers", ("exact_match",), 210
    ),
}


def stage_plans(plan: Plan) -> list[Plan]:
    """The plan as plans of one stage each."""
    stages = OBJECTIVES[plan.objective].stages
    if len(stages) == 1:
        return [plan]
    alone = {"dpo": {"objective": "dpo", "lr": plan.dpo_lr or plan.lr * SECOND_LR, "replay": 0, "kl": 0}}
    return [plan.but(**alone.get(stage, {"objective": stage}), dpo_lr=None) for stage in stages]


def encode(tokenizer, rows: list[dict], plan: Plan, labels: list[str] = ()) -> list[Sized]:
    """The rows of one stage as tokens; the length of each is its number of tokens. Raises what the objective's encoder raises."""
    match plan.objective:
        case "dpo":
            return encode_pairs(tokenizer, rows, plan.max_len)
        case "cpt":
            return blocks(tokenizer, rows, plan.max_len)
        case "classification":
            return encode_labelled(tokenizer, rows, labels, plan.max_len)
    return encode_rows(tokenizer, rows, plan.max_len)


def silent(row: Sized) -> Sized:
    """The row with nothing to learn from it: it counts for nothing in the loss."""
    match row:
        case Encoded():
            return replace(row, labels=[IGNORED] * len(row))
        case Pair():
            return replace(row, chosen=silent(row.chosen), rejected=silent(row.rejected))
    return replace(row, label=IGNORED)


def collator(plan: Plan, pad_id: int, config) -> Callable[[list[Sized]], Batch]:
    """What makes a batch of a stage's rows; `config` is the model's."""
    if plan.objective == "classification":
        left = METHODS[plan.method].virtual and not is_encoder(config)
        return lambda rows: collate_labelled(rows, pad_id, left)
    share = not METHODS[plan.method].virtual and not plan.gradient_checkpointing and plan.n_gpus == 1
    together = collate_pairs if plan.objective == "dpo" else collate
    return lambda rows: together(rows, pad_id, share)


def count(batch: Batch, plan: Plan) -> torch.Tensor:
    """How many things the loss is a mean of: pairs, rows with a label, or target tokens."""
    if plan.objective == "dpo":
        return (batch["labels"] != IGNORED).any(1).sum() // 2
    return (batch["labels"] != IGNORED).sum() if batch["labels"].dim() == 1 else target_mask(batch).sum()


def loss(model, batch: Batch, plan: Plan, n: torch.Tensor | int, base_logits: BaseLogits | None = None) -> torch.Tensor:
    """The loss of a batch, divided by `n`, the `count` of the whole optimizer step.

    base_logits: of the same batch by the untrained model, where the plan has a KL term: KL(model || base) over the whole
    vocabulary at each target, in nats, times `plan.kl`.
    """
    everywhere = plan.loss == "full"
    match plan.objective:
        case "dpo":
            return dpo_loss(model, batch, n, plan.beta, everywhere)
        case "classification":
            return label_loss(model, batch, n)
    logits, targets = target_logits(model, batch, everywhere)
    total = F.cross_entropy(logits.float(), targets, reduction="sum")
    if base_logits:
        ours, theirs = logits.float().log_softmax(-1), base_logits(batch).float().log_softmax(-1)
        total = total + plan.kl * F.kl_div(theirs, ours, reduction="sum", log_target=True)
    return total / n
