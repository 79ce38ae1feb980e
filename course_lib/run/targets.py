"""The layers of a model that a method goes into, and the refusal of layers that are not there."""

import difflib
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as ENCODERS
from transformers.pytorch_utils import Conv1D

from course_lib.errors import CourseError
from course_lib.plan import Plan

HEADS = ("lm_head", "score", "classifier", "pre_classifier")  # output layers, as the model classes call them


def linear_names(model: nn.Module) -> list[str]:
    """Names of a model's linear layers inside its blocks: q_proj, up_proj, ... The output layer is none of them."""
    linear = (nn.Linear, Conv1D)  # the latter is GPT-2's
    names = {name.split(".")[-1] for name, module in model.named_modules() if isinstance(module, linear)}
    return sorted(names.difference(HEADS))


def is_encoder(config: PretrainedConfig) -> bool:
    """Whether the model reads a text as a whole and writes none, as BERT does."""
    return config.model_type in ENCODERS and not getattr(config, "is_decoder", False)


def model_class(plan: Plan) -> type:
    """transformers' class for the plan's objective."""
    return AutoModelForSequenceClassification if plan.objective == "classification" else AutoModelForCausalLM


def weightless(folder: str | Path, plan: Plan, n_labels: int = 2) -> PreTrainedModel:
    """The plan's model on the meta device, from the configuration of a folder alone: shapes without numbers."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if plan.objective == "classification":
        config.num_labels = n_labels
    with torch.device("meta"):
        return model_class(plan).from_config(config)


def check_lora(model: nn.Module, plan: Plan) -> None:
    """Refuse LoRA on layers or blocks that the model lacks.

    Raises:
        CourseError: names the layer, its nearest match and what the model has.
    """
    known, blocks = linear_names(model), model.config.get_text_config().num_hidden_layers
    if plan.first_layer >= blocks:
        raise CourseError(f"{plan.model} has {blocks} blocks, numbered from 0: set first_layer below that.")
    for target in [plan.targets] if isinstance(plan.targets, str) else plan.targets:
        if target not in (*known, "all-linear"):
            near = difflib.get_close_matches(target, known, n=1)
            raise CourseError(
                f"{plan.model} has no linear module named {target}{f' (did you mean {near[0]}?)' if near else ''}: "
                f"set targets to all-linear, or to some of {', '.join(known)}."
            )
