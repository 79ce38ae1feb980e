"""What the model could do before: general texts to mix in and to look at, and the base model's own opinion (`practices`).

Replay mixes general texts into the task's rows. The look compares the loss on held-out ones with what it was before
training. The base model's logits are what the KL term holds the model to.
"""

import json
import random
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.plan import Plan
from course_lib.run.chat import Encoded
from course_lib.run.data import DataSet
from course_lib.run.distributed import is_main, is_sharded
from course_lib.run.methods import load_base
from course_lib.run.plain_text import blocks
from course_lib.run.sharded import as_parts, shard
from course_lib.run.step import collate, target_logits, target_loss, target_mask

LOOKED_AT, LOOK_TOKENS = 8, 128  # held-out texts, and the tokens of each: a second or two at each look
LOOKS_FILE = "looks.json"


def replay(tokenizer, rows: list, general: DataSet, plan: Plan) -> list:
    """The task's rows and so many blocks of general text that these are `plan.replay` of all; a block is no longer than a row.

    Raises:
        CourseError: there is not that much general text.
    """
    wanted = round(len(rows) * plan.replay / (1 - plan.replay))
    offered = blocks(tokenizer, general.train, min(plan.max_len, max(map(len, rows))))
    if len(offered) < wanted:
        raise CourseError(
            f"replay {plan.replay:g} of {len(rows)} rows needs {wanted} blocks of general text, and {plan.general} has {len(offered)}: "
            f"set replay to {len(offered) / (len(offered) + len(rows)):.2f} or less, or name more texts in general."
        )
    return rows + random.Random(plan.seed).sample(offered, wanted)


def held_out(tokenizer, general: DataSet) -> list[Encoded]:
    """The texts that a look reads, cut to their first tokens."""
    return [blocks(tokenizer, [row], LOOK_TOKENS)[0] for row in (general.valid + general.test)[:LOOKED_AT]]


@torch.no_grad()
def general_loss(model, rows: list[Encoded], pad_id: int) -> float:
    """Mean loss on held-out general texts, nats per token."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    batch = {name: tensor.to(device) for name, tensor in collate(rows, pad_id, share=False).items()}
    value = target_loss(model, batch, target_mask(batch).sum()).item()
    model.train(training)
    as_parts(model)
    return value


class Looks:
    """The loss on general texts before training and at each look since, kept in the run's folder."""

    def __init__(self, folder: Path, allowed: float, look: Callable[[], float]):
        self.file, self.allowed, self.look = folder / LOOKS_FILE, allowed, look
        try:
            self.losses = {int(step): value for step, value in json.loads(self.file.read_text()).items()}
        except (OSError, ValueError, AttributeError):
            self.losses = {}
        if 0 not in self.losses:
            self.losses = {0: look()}
            self._keep()

    def within(self, step: int) -> bool:
        """Look now: whether the loss has risen by less than allowed."""
        self.losses[step] = self.look()
        self._keep()
        return self.losses[step] - self.losses[0] < self.allowed

    def _keep(self) -> None:
        if is_main():
            write_whole(self.file, json.dumps(self.losses))


def base_logits(model, plan: Plan, folder: Path) -> Callable[[dict], torch.Tensor]:
    """What gives the untrained model's logits of a batch: the model with its adapter off, or a frozen copy of a whole model."""
    if plan.method == "full":
        untrained, off = load_base(folder, plan, to_shard=is_sharded(plan)).eval().requires_grad_(False), nullcontext
        if is_sharded(plan):
            shard(untrained, plan)
    else:
        untrained, off = model, model.disable_adapter

    @torch.no_grad()
    def logits(batch: dict) -> torch.Tensor:
        with off():
            return target_logits(untrained, batch)[0]

    return logits
