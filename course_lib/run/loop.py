"""The training loop as lesson 103 writes it: to read and to compare with Trainer's. Runs use Trainer's."""

import torch
from torch.nn import functional as F

from course_lib.run.chat import IGNORED


def pad(rows, pad_id):
    """Rows of unequal length as tensors (batch, seq): padding is neither looked at nor trained on."""
    longest = max(len(row.input_ids) for row in rows)

    def filled(lists, fill):
        return torch.tensor([numbers + [fill] * (longest - len(numbers)) for numbers in lists])

    ids = filled([row.input_ids for row in rows], pad_id)
    mask = filled([[1] * len(row.input_ids) for row in rows], 0)
    return {"input_ids": ids, "attention_mask": mask, "labels": filled([row.labels for row in rows], IGNORED)}


def answer_loss(model, batch):
    """Mean surprise at the next token, in nats, over the tokens whose label is not -100."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    predicted, wanted = logits[:, :-1], batch["labels"][:, 1:]  # position i predicts token i + 1
    return F.cross_entropy(predicted.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)
