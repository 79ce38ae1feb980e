"""What lies in memory at each moment of a training step, weighed on the real tensors, and a picture of it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from course_lib.run.ledger import Ledger

GIB = 1024**3
PARTS = {"weights": "", "activations": "..", "gradients": "//", "optimizer": "xx"}  # part -> hatch of its bar
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # Okabe and Ito 2008


@dataclass(frozen=True)
class Moment:
    """GiB by part at one moment; parts are those of `PARTS`."""

    name: str
    parts: dict[str, float]

    @property
    def gib(self) -> float:
        return sum(self.parts.values())

    def __str__(self) -> str:
        held = ", ".join(f"{part} {size:.2f}" for part, size in self.parts.items() if size >= 0.005)
        return f"{self.name}: {self.gib:.2f} ({held})"


def weigh_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]
) -> tuple[Moment, ...]:
    """Do one training step, and weigh all tensors of model and optimizer before it and after each of its parts.

    loss: runs the forward pass and returns the loss. The weights are changed as by any step.
    """
    device = next(model.parameters()).device.type
    ledger, moments = Ledger(device), []

    def look(name: str) -> None:
        moments.append(Moment(name, {part: ledger.live.get(part, 0) / GIB for part in PARTS}))

    for tensor in (*model.parameters(), *model.buffers()):
        ledger.add(tensor, "weights")
    for state in optimizer.state.values():
        for tensor in filter(torch.is_tensor, state.values()):
            ledger.add(tensor, "optimizer")
    hooks = [
        parameter.register_post_accumulate_grad_hook(lambda parameter: ledger.add(parameter.grad, "gradients"))
        for parameter in model.parameters()
        if parameter.requires_grad
    ]
    with ledger:
        look("before")
        value = loss()
        look("after forward")
        value.backward()
        del value
        look("after backward")
        ledger.category = "optimizer"
        optimizer.step()
        look("after step")
        optimizer.zero_grad()
        look("after zero_grad")
    for hook in hooks:
        hook.remove()
    return tuple(moments)


def plot_step(moments: tuple[Moment, ...]) -> None:
    """A bar for each moment, divided into its parts; prints the same in words."""
    from matplotlib import pyplot as plt

    _, axes = plt.subplots(figsize=(7, 0.9 + 0.45 * len(moments)), layout="constrained")
    names = [moment.name for moment in moments]
    left = [0.0] * len(moments)
    for (part, hatch), colour in zip(PARTS.items(), COLOURS, strict=True):
        sizes = [moment.parts[part] for moment in moments]
        axes.barh(names, sizes, left=left, color=colour, alpha=0.55, edgecolor=colour, hatch=hatch, label=part)
        left = [start + size for start, size in zip(left, sizes, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("GiB of tensors")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    print("Figure: GiB of tensors; " + "; ".join(map(str, moments)) + ".")
