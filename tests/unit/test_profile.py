"""The same lessons on larger machines, as far as that can be seen without one: plans fit, and what a card lacks is known."""

import pytest
import torch

from course_lib import PROFILES, CourseError, ModelShape, Plan, current_profile, estimate
from course_lib.choose.gpus import gpu
from course_lib.choose.memory import CONTEXT
from course_lib.choose.possible import check_card
from course_lib.run import dry_run as dry_run_module
from course_lib.run import methods
from course_lib.run.dry_run import dry_run
from course_lib.run.methods import METHODS, compute_dtype
from course_lib.run.simulate import simulate
from course_lib.run.skeleton import config_of, skeleton

CARDS = ("t4", "gpu24", "gpu80")
each_card = pytest.mark.parametrize("name", CARDS)
each_method = pytest.mark.parametrize("method", METHODS)


def plan_of(name: str, method: str = "lora", **fields) -> Plan:
    """The plan of lesson 104 on that machine, with another method."""
    size = PROFILES[name]
    model = size.full_model if method == "full" else size.model
    return Plan(
        model=model, method=method, n_train=size.n_train, micro_batch=size.micro_batch, lr=size.lr, first_layer=size.first_layer, **fields
    )  # fmt: skip


@each_card
@each_method
def test_the_upper_bound_of_each_plan_fits_the_card(name, method):
    card = gpu(PROFILES[name].gpu)
    assert estimate(plan_of(name, method), gpu=card.name).interval("device")[1] <= card.memory_gib


@each_card
def test_control_a_larger_model_would_not_fit(name):
    card = gpu(PROFILES[name].gpu)
    too_large = plan_of(name, "full").but(model="Qwen/Qwen2.5-7B")
    assert estimate(too_large, gpu=card.name).interval("device")[1] > card.memory_gib


@each_card
def test_lesson_104_holds_two_models_in_fp32(name):
    size = PROFILES[name]
    assert 2 * 4 * ModelShape.of(size.model).params / 2**30 + CONTEXT < 0.9 * gpu(size.gpu).memory_gib


def test_each_profile_has_a_larger_model_than_the_one_before_and_says_what_it_was_not_run_on():
    sizes = [ModelShape.of(PROFILES[name].model).params for name in ("cpu", *CARDS)]
    assert sizes == sorted(set(sizes))
    assert all("dry-run only" in PROFILES[name].why for name in CARDS)


@pytest.mark.slow
@each_card
@each_method
def test_each_plan_is_accepted_for_its_card(name, method):
    said = dry_run(plan_of(name, method), gpu=PROFILES[name].gpu)
    assert any(f"precision {'fp16 with loss scaling' if name == 't4' else 'bf16'}" in words for words in said)


@pytest.mark.slow
@each_card
@each_method
def test_the_weighed_step_of_each_plan_lies_in_the_estimates_band_and_on_the_card(name, method):
    plan, card = plan_of(name, method), gpu(PROFILES[name].gpu)
    weighed = simulate(plan, device=card.name)
    low, high = estimate(plan, gpu=card.name).interval("allocated")
    assert low <= weighed.allocated_gib <= high
    assert weighed.device_gib <= card.memory_gib


def on_a_gpu(monkeypatch, bf16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)


@pytest.mark.parametrize(("bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_is_fp16_on_a_gpu_without_bf16(monkeypatch, bf16, dtype):
    on_a_gpu(monkeypatch, bf16)
    assert compute_dtype("auto") is dtype


def test_auto_on_a_processor_is_never_fp16(monkeypatch):
    monkeypatch.setattr(methods, "bf16_in_hardware", lambda: False)
    assert compute_dtype("auto") is torch.float32


@each_method
def test_what_is_trained_under_loss_scaling_is_fp32(method, tiny):
    """GradScaler refuses gradients in fp16."""
    plan = Plan(model=str(tiny), method=method, precision="fp16")
    trained = [p.dtype for p in skeleton(plan, config_of(plan), torch.float16).parameters() if p.requires_grad]
    assert set(trained) == {torch.float32}


@pytest.mark.parametrize(
    ("fields", "card", "says"),
    [
        ({"precision": "bf16"}, "T4", "set precision to auto, which is fp16 with loss scaling"),
        ({"attention": "flash_attention_2"}, "T4", "set attention to sdpa"),
        ({"attention": "flash_attention_2"}, "V100-32GB", "set attention to sdpa"),
        ({"precision": "fp16"}, "2-core laptop", "fp16 training needs a GPU"),
        ({"loss": "fused_linear"}, "2-core laptop", "set loss to targets"),
    ],
)
def test_what_a_card_lacks_is_said(fields, card, says):
    with pytest.raises(CourseError, match=says):
        check_card(Plan(**fields), gpu(card))


def test_what_a_card_has_is_not_refused():
    for card in ("A10G", "A100-80GB"):
        check_card(Plan(precision="bf16", attention="flash_attention_2"), gpu(card))
    check_card(Plan(precision="fp16", loss="fused_linear"), gpu("T4"))


def test_the_dry_run_says_what_it_looked_at(tiny):
    said = dry_run(Plan(model=str(tiny), n_gpus=2, sharding="ddp", max_len=1024))
    assert any("96 chats of mails, the longest of" in words for words in said)
    assert any("LlamaForCausalLM, lora goes onto all of its blocks" in words for words in said)
    assert any("2 processes" in words and "course launch" in words for words in said)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"targets": ("query",)}, "no linear module named query"),
        ({"model": "no-such-model"}, "no model named"),
        ({"model": "org/unheard-of"}, "not in the catalogue"),
        ({"data": "no-such-data"}, "no data set"),
        ({"method": "prefix_tuning", "gradient_checkpointing": True}, "set gradient_checkpointing to false"),
        ({"method": "ia3", "model": "microsoft/phi-4"}, "set method to lora"),
        ({"model": "google/gemma-2-2b-it"}, "set attention to eager"),
        ({"n_gpus": 8, "sharding": "ddp", "n_train": 7}, "7 training rows for 8 processes"),
        ({"n_gpus": 2, "sharding": "fsdp", "optimizer": "adafactor"}, "set optimizer to adamw_torch"),
        ({"max_len": 20}, "longer than max_len"),
        ({"first_layer": 32, "model": "Qwen/Qwen3-0.6B"}, "has 28 blocks"),
    ],
)
def test_the_dry_run_refuses_what_train_would(fields, says, tiny):
    plan = Plan(**{"model": str(tiny), "max_len": 1024} | fields)
    with pytest.raises(CourseError, match=says) as caught:
        dry_run(plan)
    assert "\n" not in str(caught.value)


def test_control_a_dry_run_that_builds_nothing_accepts_what_is_not_there(tiny, monkeypatch):
    plan = Plan(model="Qwen/Qwen3-0.6B", targets=("query",))
    with pytest.raises(CourseError, match="query"):
        dry_run(plan)
    monkeypatch.setattr(dry_run_module, "_model", lambda stage: "")
    assert dry_run(plan)


def test_an_unknown_profile_is_refused():
    with pytest.raises(CourseError, match="There is no profile gpu9000"):
        current_profile("gpu9000")
