"""One training step, without the work that changes nothing.

Three savings, each exact (a test compares gradients with the plain loop in fp32):

1. Rows of near-equal length meet in a batch, so that little of it is padding.
2. The instruction that all rows share is run once per batch; its keys and values serve every row. (Not where learned virtual
   tokens stand before it: `train` turns this off.)
3. Only positions with a target pass through the output layer: 49,152 logits each for the 135M model.

Padding stands on the right, where a causal model cannot look at it, so no attention mask is needed.
"""

import random

import torch
from torch.nn import functional as F
from transformers import DynamicCache

from course_lib.run.chat import IGNORED, Encoded, common_prefix

WORTH_SHARING = 16  # tokens; below this a second forward pass costs more than it saves


def order(lengths: list[int], step_rows: int, epochs: int, seed: int) -> list[int]:
    """Row numbers in training order: `epochs` passes, each consecutive `step_rows` of them near-equal in length.

    Rows are shuffled, sorted by length within chunks of up to eight steps, and the steps are shuffled again, so that which
    rows meet is still mostly chance. The order depends on the seed alone: a resumed run goes on with the same rows.
    """
    rng, out = random.Random(seed), []
    chunk_rows = step_rows * max(1, min(8, len(lengths) // step_rows // 2))
    for _ in range(epochs):
        rows = list(range(len(lengths)))
        rng.shuffle(rows)
        steps = []
        for start in range(0, len(rows), chunk_rows):
            chunk = sorted(rows[start : start + chunk_rows], key=lambda row: lengths[row])
            steps += [chunk[i : i + step_rows] for i in range(0, len(chunk), step_rows)]
        short = [step for step in steps if len(step) < step_rows]
        steps = [step for step in steps if len(step) == step_rows]
        rng.shuffle(steps)
        out += [row for step in steps + short for row in step]
    return out


def collate(rows: list[Encoded], pad_id: int, share: bool) -> dict[str, torch.Tensor]:
    """A batch: `prefix_ids` (1, prefix), shared by all rows and perhaps empty; `input_ids` and `labels` (batch, seq) after it."""
    shared = common_prefix([row.input_ids for row in rows]) if share else 0
    first_target = min(
        next((i for i, label in enumerate(row.labels) if label != IGNORED), len(row.labels)) for row in rows
    )
    shared = min(shared, first_target - 1)
    if shared < WORTH_SHARING:
        shared = 0
    width = max(len(row.input_ids) for row in rows) - shared

    def padded(tokens: list[int], fill: int) -> list[int]:
        return tokens[shared:] + [fill] * (width - len(tokens) + shared)

    return {
        "prefix_ids": torch.tensor([rows[0].input_ids[:shared]], dtype=torch.long),
        "input_ids": torch.tensor([padded(row.input_ids, pad_id) for row in rows]),
        "labels": torch.tensor([padded(row.labels, IGNORED) for row in rows]),
    }


def target_loss(
    model, batch: dict[str, torch.Tensor], n_targets: torch.Tensor | int, everywhere: bool = False
) -> torch.Tensor:
    """Cross-entropy summed over the batch's targets and divided by `n_targets`, in nats per token.

    `n_targets` counts the targets of the whole optimizer step, so that micro-batches add up to one large batch.
    """
    logits, targets = target_logits(model, batch, everywhere)
    return F.cross_entropy(logits.float(), targets, reduction="sum") / n_targets


def target_mask(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """(batch, seq - 1): which of the next tokens are targets."""
    return batch["labels"][:, 1:] != IGNORED


def target_logits(model, batch: dict[str, torch.Tensor], everywhere: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits (n, vocab), targets (n,)) of a batch, row after row.

    `everywhere` computes logits at all positions, as a plain loop does: slower, the same numbers.
    """
    prefix, ids = batch["prefix_ids"], batch["input_ids"]
    cache = None
    if prefix.shape[1]:
        cache = DynamicCache(config=model.config)
        whole = model.get_base_model() if hasattr(model, "get_base_model") else model
        decoder = getattr(whole, whole.base_model_prefix)
        decoder(input_ids=prefix, past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(len(ids))
    keep = target_mask(batch)
    inputs = {"input_ids": ids, "past_key_values": cache, "use_cache": cache is not None}
    logits = model(**inputs).logits[:, -ids.shape[1] : -1][keep] if everywhere else logits_at(model, keep, **inputs)
    return logits, batch["labels"][:, 1:][keep]


def logits_at(model, keep: torch.Tensor, **inputs) -> torch.Tensor:
    """Logits (n, vocab) at the n positions that the mask `keep` (batch, seq - 1) names; the last position is never one."""

    def select(_, args):
        hidden = args[0][:, -keep.shape[1] - 1 : -1]  # from the right: prompt tuning puts virtual tokens on the left
        return (hidden[keep],)

    hook = getattr(model, "module", model).get_output_embeddings().register_forward_pre_hook(select)
    try:
        return model(**inputs).logits
    finally:
        hook.remove()
