"""The catalogue of models against the models themselves, built without weights, and the counts against PEFT's."""

import dataclasses

import peft
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM

from course_lib import CourseError, Plan
from course_lib.choose.shapes import ModelShape, catalogue
from course_lib.run.hf_config import hf_config
from course_lib.run.methods import METHODS

NATIVE = [shape for shape in catalogue() if shape.model_type]


def build(shape, layers=None):
    """The model without weights."""
    kind = AutoModel if shape.kind == "encoder" else AutoModelForCausalLM
    with torch.device("meta"):
        return kind.from_config(hf_config(shape, layers))


def count(model, trainable=False):
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad or not trainable)


def two_blocks(name):
    """That model cut to two blocks, as a shape and as a function that builds it."""
    shape = ModelShape.of(name)
    return dataclasses.replace(shape, layers=2), lambda: build(shape, 2)


@pytest.mark.parametrize("shape", NATIVE, ids=lambda shape: shape.name)
def test_parameters_are_those_of_the_real_model(shape):
    """Every block has the same parameters, so two small models tell the large one's count exactly."""
    if shape.layers <= 6 or shape.model_type == "gpt_neo":  # gpt_neo's configuration names each block
        assert count(build(shape)) == shape.params
        return
    small, larger = count(build(shape, 2)), count(build(shape, 4))
    assert small + (larger - small) // 2 * (shape.layers - 2) == shape.params


@pytest.mark.parametrize("billions", [0.02, 0.3, 1.0, 2.3, 6.1])
def test_generic_can_be_built(billions):
    shape = ModelShape.generic(billions)
    assert count(build(shape)) == shape.params


def one_of_each_class():
    return list({(shape.model_type, shape.fused): shape.name for shape in reversed(NATIVE)}.values())


@pytest.mark.parametrize(
    "name", [name for name in one_of_each_class() if "gpt-neo-" not in name and "internlm" not in name]
)
def test_lora_counts_are_pefts(name):
    shape, model = two_blocks(name)
    pooler = 4 * 2 * shape.hidden if shape.model_type in ("bert", "roberta", "xlm-roberta") else 0
    whole = peft.get_peft_model(model(), peft.LoraConfig(r=4, target_modules="all-linear"))
    assert count(whole, trainable=True) == shape.lora_params(4) + pooler


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("meta-llama/Llama-3.2-1B", ["q_proj", "v_proj"]),
        ("google/gemma-2-2b", ["o_proj", "down_proj"]),
        ("gpt2", ["c_attn"]),
        ("gpt2", ["c_proj"]),
        ("EleutherAI/pythia-1b", ["query_key_value", "dense_4h_to_h"]),
        ("microsoft/Phi-3-mini-4k-instruct", ["qkv_proj", "gate_up_proj"]),
        ("microsoft/phi-2", ["q_proj", "fc1", "fc2"]),
        ("facebook/opt-350m", ["k_proj", "out_proj"]),
        ("google-bert/bert-base-uncased", ["query", "value"]),
        ("mistralai/Mixtral-8x7B-v0.1", ["q_proj", "v_proj"]),
    ],
)
def test_lora_targets_are_pefts(name, targets):
    shape, model = two_blocks(name)
    made = peft.get_peft_model(model(), peft.LoraConfig(r=4, target_modules=targets))
    assert count(made, trainable=True) == shape.lora_params(4, tuple(targets))


def test_lora_from_a_block_on():
    shape = ModelShape.of("smollm2-135m")
    config = peft.LoraConfig(r=16, target_modules=list(shape.linear_shapes), layers_to_transform=list(range(10, 30)))
    made = peft.get_peft_model(build(shape), config)
    assert count(made, trainable=True) == shape.lora_params(16, first_layer=10)
    assert shape.lora_params(16, "q_proj") == 30 * 16 * 2 * 576
    assert shape.lora_params(16, first_layer=30) == 0


SOFT = [
    "smollm2-135m",
    "meta-llama/Llama-3.2-1B",
    "Qwen/Qwen3-0.6B",
    "google/gemma-2-2b",
    "gpt2",
    "bigcode/starcoder2-3b",
]


@pytest.mark.parametrize("name", SOFT)
def test_soft_prompt_counts_are_pefts(name):
    shape, model = two_blocks(name)
    common = {"num_virtual_tokens": 7, "task_type": "CAUSAL_LM"}
    for config, expected in (
        (peft.PromptTuningConfig(**common), shape.prompt_params(7)),
        (peft.PrefixTuningConfig(**common), shape.prefix_params(7)),
        (peft.PromptEncoderConfig(**common), shape.ptuning_params(7)),
        (peft.PromptEncoderConfig(**common, encoder_hidden_size=64), shape.ptuning_params(7, 64)),
    ):
        assert count(peft.get_peft_model(model(), config), trainable=True) == expected, config.peft_type


IA3 = ["smollm2-135m", "Qwen/Qwen2.5-0.5B", "Qwen/Qwen3-0.6B", "google/gemma-2-2b", "google/gemma-3-270m", "gpt2"]


@pytest.mark.parametrize("name", [*IA3, "mistralai/Mistral-7B-v0.1", "mistralai/Mixtral-8x7B-v0.1", "tiiuae/falcon-7b"])
def test_ia3_counts_are_pefts(name):
    shape, model = two_blocks(name)
    made = peft.get_peft_model(model(), peft.IA3Config(task_type="CAUSAL_LM"))
    assert count(made, trainable=True) == shape.ia3_params


def causal_classes():
    return [name for name in one_of_each_class() if ModelShape.of(name).kind == "causal" and "gpt-neo-" not in name]


@pytest.mark.parametrize("name", causal_classes())
def test_adapters_find_their_place_in_every_class_but_mixtures_of_experts(name):
    shape, model = two_blocks(name)
    for placement in ("houlsby", "pfeiffer"):
        plan = Plan(model=name, method="adapters", placement=placement, bottleneck=8)
        if shape.experts:
            with pytest.raises(CourseError, match="no place for an adapter after the MLP"):
                METHODS["adapters"].build(model(), plan)
        else:
            made = METHODS["adapters"].build(model(), plan)
            assert count(made, trainable=True) == shape.adapter_params(8, placement)


@pytest.mark.parametrize(
    "name", [name for name in causal_classes() if "internlm" not in name and not ModelShape.of(name).experts]
)
def test_dora_counts_are_pefts(name):
    shape, model = two_blocks(name)
    made = METHODS["lora"].build(model(), Plan(model=name, rank=4, variant="dora"))
    assert count(made, trainable=True) == shape.lora_params(4, dora=True)


def test_adapters_are_two_bottlenecks_to_a_block():
    shape = ModelShape.of("smollm2-135m")
    one = torch.nn.Sequential(torch.nn.Linear(576, 64), torch.nn.GELU(), torch.nn.Linear(64, 576))
    assert shape.adapter_params(64) == 30 * 2 * count(one)
    assert shape.adapter_params(64, "pfeiffer") == 30 * count(one)
