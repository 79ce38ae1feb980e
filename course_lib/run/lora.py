"""LoRA as lesson 104 writes it: to read and to compare with PEFT's. Runs use PEFT's."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class LoRALinear(nn.Module):
    """A frozen linear layer plus a trained low-rank update: W x + (alpha / rank) B A x (Hu et al. 2021).

    A is (rank, in_features) and random, B is (out_features, rank) and zero: before training nothing has changed.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.empty(rank, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, x):
        """(..., in_features) to (..., out_features)."""
        return self.base(x) + F.linear(F.linear(x, self.A), self.B) * self.scale

    def merged(self) -> nn.Linear:
        """One ordinary linear layer that computes the same."""
        self.base.weight.data += self.scale * self.B.data @ self.A.data
        return self.base


def add_lora(model: nn.Module, rank: int, alpha: float) -> nn.Module:
    """Freeze `model` and wrap each of its linear layers, the output layer excepted."""
    model.requires_grad_(False)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and name != "lm_head":
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], LoRALinear(layer, rank, alpha))
    return model
