"""Saved weights are read as numbers, onto the model that they were trained on, or refused in a sentence before any model is loaded."""

import json
import os
import pickle
import shutil

import pytest
import torch
from cases import CASES
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from course_lib import Plan
from course_lib.errors import CourseError
from course_lib.run.methods import METHODS, prepare
from course_lib.run.seal import seal
from course_lib.run.trained import base_digest, reload, save

IDS = torch.arange(3, 60).reshape(1, -1)


@pytest.fixture(scope="module")
def plan(tiny):
    return Plan(model=str(tiny), rank=4, precision="fp32")


@pytest.fixture(scope="module")
def original(plan, tiny, tmp_path_factory):
    """A folder with a LoRA whose B is not zero, as a finished run leaves it."""
    folder = tmp_path_factory.mktemp("original")
    model = prepare(tiny, plan)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    save(model, plan, folder)
    (folder / "run.json").write_text(json.dumps({"base": base_digest(tiny)}))
    seal(folder)
    return folder


@pytest.fixture
def weights(original, tmp_path):
    return shutil.copytree(original, tmp_path / "weights")


@pytest.fixture
def no_model(monkeypatch):
    def never(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", never)


def refused(tiny, plan, weights) -> str:
    with pytest.raises(CourseError) as told:
        reload(tiny, plan, weights)
    said = str(told.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said


def test_whole_weights_are_read(tiny, plan, weights):
    assert reload(tiny, plan, weights)(input_ids=IDS).logits.shape == (1, 57, 259)


def test_control_whole_weights_do_load_a_model(tiny, plan, weights, no_model):
    with pytest.raises(AssertionError, match="a model was loaded"):
        reload(tiny, plan, weights)


class Bomb:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_a_pickle_is_not_opened(tiny, plan, weights, no_model, tmp_path):
    (weights / "adapter_model.safetensors").unlink()
    (weights / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "trace")))
    assert "pickle (adapter_model.bin)" in refused(tiny, plan, weights)
    assert not (tmp_path / "trace").exists()
    pickle.loads((weights / "adapter_model.bin").read_bytes())
    assert (tmp_path / "trace").exists(), "control: opening it does run a program"


def test_no_weights_at_all(tiny, plan, no_model, tmp_path):
    assert "holds no weights" in refused(tiny, plan, tmp_path)
    assert "holds no weights" in refused(tiny, plan, tmp_path / "nowhere")


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("damage", ["cut", "noise", "bit"])
def test_a_damaged_file(tiny, plan, weights, no_model, damage, sealed):
    file = weights / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[:-40]
    elif damage == "noise":
        content[:64] = os.urandom(64)
    else:
        content[-10] ^= 1
    file.write_bytes(content)
    if not sealed:
        (weights / "manifest.json").unlink()
    if damage == "bit" and not sealed:  # nothing says what it should be
        return
    assert "is damaged and cannot be read" in refused(tiny, plan, weights)


def test_what_stands_beside_the_weights_may_change(tiny, plan, weights):
    (weights / "README.md").write_text("my own model card")
    reload(tiny, plan, weights)


def test_weights_of_another_base_model(tiny, plan, weights, no_model, tmp_path):
    other = shutil.copytree(tiny, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    save_file({name: tensor + 0.01 for name, tensor in tensors.items()}, other / "model.safetensors", {"format": "pt"})
    assert "trained on another base model" in refused(other, plan, weights)


def test_the_same_base_model_in_another_dtype_and_other_files_is_the_same(tiny, plan, weights, tmp_path):
    other = shutil.copytree(tiny, tmp_path / "other")
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.bfloat16)
    assert base_digest(tiny) != ""
    model.to(torch.float32).save_pretrained(other, max_shard_size="100KB")
    (other / "model.safetensors").unlink()
    again = shutil.copytree(other, tmp_path / "again")
    for file in again.glob("*.safetensors"):
        save_file({name: t.bfloat16() for name, t in load_file(file).items()}, file, {"format": "pt"})
    assert len(list(other.glob("*.safetensors"))) > 1
    assert base_digest(other) == base_digest(again)


def test_a_run_that_does_not_say_its_base_is_judged_by_its_shapes(tiny, plan, weights):
    (weights / "run.json").write_text("{}")
    reload(tiny, plan, weights)
    (weights / "run.json").unlink()
    reload(tiny, plan, weights)


@pytest.mark.parametrize("case", [name for name in CASES if name not in ("full", "lora", "qlora", "rslora")])
def test_weights_of_another_method(tiny, plan, weights, no_model, case):
    assert "do not fit method" in refused(tiny, plan.but(**CASES[case]), weights)


def test_weights_of_another_rank_name_the_first_that_differs(tiny, plan, weights, no_model):
    said = refused(tiny, plan.but(rank=8), weights)
    assert "(8, 64) and is (4, 64)" in said or "(8, 128) and is (4, 128)" in said or "8) and is" in said


def test_what_an_adapters_own_configuration_asks_for_is_not_done(tiny, plan, weights, tmp_path):
    expected = reload(tiny, plan, weights)(input_ids=IDS).logits
    hostile = {
        "peft_type": "LORA",
        "megatron_core": "antigravity",
        "megatron_config": {},
        "auto_mapping": {"a": "b"},
        "r": 10**9,
    }
    for text in (json.dumps(hostile), "[" * 10_000, ""):
        (weights / "adapter_config.json").write_text(text)
        assert torch.equal(reload(tiny, plan, weights)(input_ids=IDS).logits, expected)


def test_a_sentence_for_every_method_whose_weights_are_missing(tiny, plan, tmp_path, no_model):
    for method in METHODS:
        assert "holds no weights" in refused(tiny, plan.but(method=method), tmp_path)
