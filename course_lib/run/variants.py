"""LoRA and its variants, and PiSSA's way back to a LoRA that fits the untouched model."""

import copy
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from transformers import PreTrainedModel

from course_lib.plan import Plan
from course_lib.run.targets import linear_names

ADAPTER_FILE = "adapter_model.safetensors"
# DoRA (Liu et al. 2024) trains the length of each output's weights beside LoRA's direction; rsLoRA (Kalajdzievski 2023) scales
# by alpha / sqrt(rank). PiSSA is LoRA with another start.
FIELDS = {"plain": {}, "dora": {"use_dora": True}, "rslora": {"use_rslora": True}, "pissa": {}}
PISSA_ROUNDS = 16  # of the randomised singular value decomposition: more rounds, nearer the exact one


def lora(model: PreTrainedModel, plan: Plan) -> LoraConfig:
    """PEFT's configuration for the plan's LoRA."""
    targets = [plan.targets] if isinstance(plan.targets, str) else list(plan.targets)
    if targets == ["all-linear"]:
        targets = linear_names(model)
    return LoraConfig(
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=plan.dropout,
        target_modules=targets,
        layers_to_transform=list(range(plan.first_layer, model.config.num_hidden_layers)) if plan.first_layer else None,
        task_type="CAUSAL_LM",
        **FIELDS[plan.variant],
    )


def is_pissa(plan: Plan) -> bool:
    """Whether the plan trains LoRA from the principal parts of the matrices."""
    return plan.method == "lora" and plan.variant == "pissa"


def start_pissa(model: PeftModel) -> None:
    """Move the largest singular parts of each matrix from the frozen weights into A and B (Meng et al. 2024).

    The model computes what it did. It remembers A and B as they started: the update is what has become of them since.
    """
    for layer in _layers(model):
        layer.pissa_init("default", f"pissa_niter_{PISSA_ROUNDS}")
        layer.pissa_start = tuple(
            part["default"].weight.detach().cpu().clone() for part in (layer.lora_A, layer.lora_B)
        )


def saved_plan(plan: Plan) -> Plan:
    """The plan whose LoRA the saved file holds: PiSSA is saved as a plain one of twice the rank, the same scale."""
    return plan.but(variant="plain", rank=2 * plan.rank, alpha=2 * plan.alpha) if is_pissa(plan) else plan


def save_as_plain(model: PeftModel, folder: str | Path) -> None:
    """Write a PiSSA adapter over its file as the plain LoRA B A - B0 A0, which fits the untouched model.

    In 16 bits what was frozen had been rounded once more than the untouched weights, so that logits agree to rounding only.
    """
    state = get_peft_model_state_dict(model)
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            first, second = layer.pissa_start
            for key, start, dim in ((f"{name}.lora_A.weight", first, 0), (f"{name}.lora_B.weight", -second, 1)):
                state[key] = torch.cat([state[key], start.to(state[key])], dim).contiguous()
    save_file(state, Path(folder) / ADAPTER_FILE, metadata={"format": "pt"})
    config: LoraConfig = copy.copy(model.peft_config["default"])
    config.r, config.lora_alpha, config.inference_mode = 2 * config.r, 2 * config.lora_alpha, True
    config.save_pretrained(folder)


@torch.no_grad()
def move_start(model: PeftModel, starts: dict[str, torch.Tensor]) -> None:
    """Go back to the parts that a stopped run took out of the weights, should this machine have found slightly others."""
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            then = tuple(starts[f"{name}.{part}"] for part in "AB")
            now = layer.pissa_start
            if not all(torch.equal(a, b) for a, b in zip(now, then, strict=True)):
                weight = layer.get_base_layer().weight
                scale = layer.scaling["default"]
                weight += (scale * (now[1] @ now[0] - then[1] @ then[0])).to(weight)
                layer.pissa_start = then


def starts(model: PeftModel) -> dict[str, torch.Tensor]:
    """What `move_start` needs of a run that goes on later."""
    return {
        f"{name}.{part}": tensor
        for name, layer in model.named_modules()
        if isinstance(layer, LoraLayer)
        for part, tensor in zip("AB", layer.pissa_start, strict=True)
    }


def _layers(model: PeftModel) -> list[LoraLayer]:
    return [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
