"""Classification by a head: a new output layer says which of the labels a text has."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from course_lib.errors import CourseError
from course_lib.run.chat import IGNORED


@dataclass(frozen=True)
class Labelled:
    """A text as tokens, and the number of its label; -100 for none."""

    input_ids: list[int]
    label: int

    def __len__(self) -> int:
        return len(self.input_ids)


def labels_in(rows: list[dict]) -> list[str]:
    """The labels of chat rows, in order: what their last answers say.

    Raises:
        CourseError: fewer than two different ones.
    """
    labels = sorted({row["messages"][-1]["content"] for row in rows})
    if len(labels) < 2:
        raise CourseError(
            f"All {len(rows)} training rows have the same label: a classifier needs rows of at least two, so add some, or raise n_train."
        )
    return labels


def text_of(row: dict) -> str:
    """What is classified: the last that the user says, without chat template or instruction."""
    return next(message["content"] for message in reversed(row["messages"]) if message["role"] == "user")


def encode_labelled(tokenizer, rows: list[dict], labels: list[str], max_len: int) -> list[Labelled]:
    """Rows as tokens with the numbers of their labels; a label that is none of `labels` becomes -100.

    Raises:
        CourseError: a text longer than `max_len` tokens.
    """
    number = {label: i for i, label in enumerate(labels)}
    encoded = [
        Labelled(ids, number.get(row["messages"][-1]["content"], IGNORED))
        for ids, row in zip(tokenizer([text_of(row) for row in rows])["input_ids"], rows, strict=True)
    ]
    longest = max(map(len, encoded), default=0)
    if longest > max_len:
        n = sum(len(row) > max_len for row in encoded)
        raise CourseError(
            f"{n} of {len(rows)} texts are longer than max_len = {max_len} tokens (the longest has {longest}): raise max_len to "
            f"{longest} if the model allows it, or shorten these texts; they are not cut, since that would lose their ends."
        )
    return encoded


def collate_labelled(rows: list[Labelled], pad_id: int, left: bool = False) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` (batch, seq), `labels` (batch,).

    left: padding stands before the text. Behind learned virtual tokens a causal classifier cannot tell padding from text and
    reads its answer off the last position.
    """
    width = max(map(len, rows))

    def padded(tokens: list[int], fill: int) -> list[int]:
        gap = [fill] * (width - len(tokens))
        return gap + tokens if left else tokens + gap

    return {
        "input_ids": torch.tensor([padded(row.input_ids, pad_id) for row in rows]),
        "attention_mask": torch.tensor([padded([1] * len(row), 0) for row in rows]),
        "labels": torch.tensor([row.label for row in rows]),
    }


def label_loss(model, batch: dict[str, torch.Tensor], n_rows: torch.Tensor | int) -> torch.Tensor:
    """Cross-entropy of the labels summed over the batch and divided by `n_rows`, in nats per row."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return F.cross_entropy(logits.float(), batch["labels"], ignore_index=IGNORED, reduction="sum") / n_rows
