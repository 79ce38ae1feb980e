"""Direct preference optimisation (Rafailov et al. 2023): of two answers, make one likelier and the other less so.

The loss compares with a reference, the model as it stood when this training began. What the reference thinks of each answer
never changes, so that it is computed once and kept: no second model stands beside the trained one.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn import functional as F
from tqdm import tqdm

from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.run.chat import IGNORED, Encoded, encode_rows, prompt_ids
from course_lib.run.distributed import everyone, from_main, is_main, part
from course_lib.run.sharded import as_parts
from course_lib.run.step import collate, target_logits, target_mask

REFERENCE_FILE = "reference.json"


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt as tokens, and the reference's log-probability of each, in nats, once it is known."""

    chosen: Encoded
    rejected: Encoded
    reference: tuple[float, float] = (0.0, 0.0)

    def __len__(self) -> int:
        return len(self.chosen) + len(self.rejected)


def encode_pairs(tokenizer, rows: list[dict], max_len: int) -> list[Pair]:
    """Pairs as tokens; targets are those of the last answer alone. Raises as `encode_rows`."""
    if not rows:
        raise CourseError("There are no preference pairs: give a file or data set with at least one.")
    chosen, rejected = (_encoded(tokenizer, rows, which, max_len) for which in ("chosen", "rejected"))
    return [Pair(*answers) for answers in zip(chosen, rejected, strict=True)]


def _encoded(tokenizer, rows: list[dict], which: str, max_len: int) -> list[Encoded]:
    chats = [{"messages": row["prompt"] + row[which]} for row in rows]
    encoded = encode_rows(tokenizer, chats, max_len)
    starts = [len(prompt_ids(tokenizer, chat)) for chat in chats]
    return [
        Encoded(row.input_ids, [IGNORED] * start + row.labels[start:])
        for row, start in zip(encoded, starts, strict=True)
    ]


def collate_pairs(pairs: list[Pair], pad_id: int, share: bool) -> dict[str, torch.Tensor]:
    """A batch as `step.collate` makes it, the chosen answers first, then the rejected; `reference` (2, pairs) in nats."""
    batch = collate([pair.chosen for pair in pairs] + [pair.rejected for pair in pairs], pad_id, share)
    return batch | {"reference": torch.tensor([pair.reference for pair in pairs]).T}


def answer_log_probabilities(model, batch: dict[str, torch.Tensor], everywhere: bool = False) -> torch.Tensor:
    """(2, pairs): the summed log-probability of each pair's chosen and rejected answer, in nats."""
    logits, targets = target_logits(model, batch, everywhere)
    each = -F.cross_entropy(logits.float(), targets, reduction="none")
    row_of = target_mask(batch).nonzero()[:, 0]
    return each.new_zeros(len(batch["labels"])).index_add(0, row_of, each).view(2, -1)


def dpo_loss(
    model, batch: dict[str, torch.Tensor], n_pairs: torch.Tensor | int, beta: float, everywhere: bool = False
) -> torch.Tensor:
    """-log sigmoid(beta x margin), summed over the batch and divided by `n_pairs` of the whole optimizer step.

    The margin is how much more the model has come to prefer the chosen answer than the reference does, in nats. A model that is
    still the reference has a loss of log 2 = 0.693.
    """
    moved = answer_log_probabilities(model, batch, everywhere) - batch["reference"]
    real = (batch["labels"] != IGNORED).any(1).view(2, -1)[0]
    return -F.logsigmoid(beta * (moved[0] - moved[1]))[real].sum() / n_pairs


@torch.no_grad()
def with_reference(
    model, pairs: list[Pair], folder: Path, digest: str, together: Callable[[list[Pair]], dict], batch_rows: int
) -> list[Pair]:
    """The pairs with what `model` thinks of their answers now, taken from the run's folder where it is known already.

    digest: of the rows, so that the numbers of other rows are not taken for these. together: makes a batch of pairs.
    """
    file = folder / REFERENCE_FILE
    known = from_main(lambda: _known(file, digest, len(pairs)))
    if known is None:
        device, training = next(model.parameters()).device, model.training
        model.eval()
        found, mine = [], part(pairs, len(pairs), lambda pair: pair)
        for start in tqdm(range(0, len(mine), batch_rows), desc="reference", unit="batch", disable=not is_main()):
            batch = together(mine[start : start + batch_rows])
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            found.append(answer_log_probabilities(model, batch).float().cpu())
        model.train(training)
        as_parts(model)
        theirs = everyone(torch.cat(found, 1).T.tolist())
        known = [theirs[i % len(theirs)][i // len(theirs)] for i in range(len(pairs))]
        if is_main():
            write_whole(file, json.dumps({"rows": digest, "log_probabilities": known}))
    return [replace(pair, reference=tuple(both)) for pair, both in zip(pairs, known, strict=True)]


def _known(file: Path, digest: str, n: int) -> list[list[float]] | None:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        known = kept["log_probabilities"] if kept["rows"] == digest else []
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return known if len(known) == n else None
