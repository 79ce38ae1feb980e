"""Layer-wise decay: each block learns more slowly than the one above it, and no weight is left out."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from course_lib import Plan
from course_lib.run.methods import METHODS
from course_lib.run.trainer import decay_layers


@pytest.mark.parametrize("method", ["full", "lora", "adapters", "ia3"])
def test_rates_fall_from_the_last_block_down(tiny, method):
    plan = Plan(method=method, layer_decay=0.5, lr=1e-2)
    model = METHODS[method].build(AutoModelForCausalLM.from_pretrained(tiny), plan)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        [{"params": list(trained.values())[::2], "weight_decay": 0.1}, {"params": list(trained.values())[1::2]}],
        lr=1e-2,
    )
    decay_layers(optimizer, model, plan)
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rate) == len(trained) == sum(len(group["params"]) for group in optimizer.param_groups)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.1, 0.01}
    for name, parameter in trained.items():
        expected = {"layers.0.": 0.5, "layers.1.": 1.0, "embed_tokens": 0.25, "model.norm": 1.0}
        (factor,) = {value for part, value in expected.items() if part in name}
        assert rate[id(parameter)] == pytest.approx(1e-2 * factor), name
