"""Fake tensors weigh what real ones weigh, and both weigh what Trainer's own step weighs."""

import gc
import random
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from cases import CASES
from transformers import AutoConfig, AutoModelForSequenceClassification

from course_lib import CourseError, Plan
from course_lib.run import train as train_module
from course_lib.run import weigh as module
from course_lib.run.chat import Encoded
from course_lib.run.classification import Labelled
from course_lib.run.ledger import Ledger
from course_lib.run.methods import load_tokenizer
from course_lib.run.preference import Pair
from course_lib.run.simulate import measure, simulate
from course_lib.run.stages import Stage

OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd")


@pytest.fixture
def plan(tiny):
    return Plan(model=str(tiny), precision="fp32", micro_batch=2, max_len=48, attention="sdpa")


@cache
def weighed(plan, device="cuda"):
    return simulate(plan, device=device)


def agree(plan):
    fake, real = weighed(plan, "cpu"), measure(plan)
    assert fake.allocated_gib == pytest.approx(real.allocated_gib, rel=0.01)
    for name, value in real.parts.items():
        assert fake.parts[name] == pytest.approx(value, abs=0.01 * real.allocated_gib), name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_fake_equals_real(plan, case, checkpointing):
    """With every optimizer: tests/lessons/test_simulate_real.py."""
    if case != "prefix_tuning" or not checkpointing:  # refused
        agree(plan.but(**CASES[case], gradient_checkpointing=checkpointing))


@pytest.mark.parametrize("optimizer", OPTIMIZERS[1:])
def test_fake_equals_real_with_each_optimizer(plan, optimizer):
    agree(plan.but(method="full", optimizer=optimizer))


@pytest.mark.parametrize(
    ("method", "loss"),
    [
        ("full", "full"),
        ("lora", "fused_linear"),
        ("qlora", "full"),
        ("adapters", "targets"),
        ("prompt_tuning", "fused_linear"),
        ("prefix_tuning", "full"),
        ("p_tuning", "targets"),
        ("ia3", "fused_linear"),
    ],
)
def test_fake_equals_real_under_autocast_with_accumulation_and_other_losses(plan, method, loss):
    agree(plan.but(method=method, loss=loss, precision="bf16", grad_accum=3, attention="eager"))


OBJECTIVES = {
    "dpo": {"objective": "dpo"},
    "cpt": {"objective": "cpt"},
    "classification": {"objective": "classification"},
    "sft+dpo": {"objective": "sft+dpo"},
    "cpt+sft": {"objective": "cpt+sft"},
    "kl": {"kl": 0.1},
}


@pytest.mark.parametrize("method", ["full", "lora", "qlora", "adapters", "prefix_tuning", "p_tuning", "ia3"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_fake_equals_real_with_each_objective(plan, method, objective):
    agree(plan.but(method=method, **OBJECTIVES[objective]))


@pytest.mark.parametrize("method", ["full", "lora", "adapters", "prompt_tuning"])
@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_fake_equals_real_with_encoders(plan, method, kind, tiny, tmp_path):
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(kind, **sizes, vocab_size=259, max_position_embeddings=128, pad_token_id=2)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    load_tokenizer(tiny).save_pretrained(tmp_path)
    agree(plan.but(model=str(tmp_path), method=method, objective="classification", precision="bf16"))


def rows_of(plan, n: int) -> list:
    """Full rows in which everything is a target, as `train` encodes them."""
    draw = random.Random(0)

    def ids():
        return [draw.randrange(3, 250) for _ in range(plan.max_len)]

    def row():
        tokens = ids()
        return Encoded(tokens, tokens)

    if plan.objective == "classification":  # one is shorter, so that there is padding, as in `simulate`
        return [Labelled(ids()[: plan.max_len - (i % plan.micro_batch == 0)], i % 2) for i in range(n)]
    return [Pair(row(), row()) if plan.objective == "dpo" else row() for _ in range(n)]


SINGLE = ["sft", *(name for name in OBJECTIVES if "+" not in name)]


@pytest.mark.parametrize(
    ("method", "objective"),
    [(method, "sft") for method in ("full", "lora", "adapters", "prefix_tuning", "p_tuning", "ia3")]
    + [(method, objective) for objective in SINGLE[1:] for method in ("full", "lora")],
)
def test_the_step_weighs_what_trainers_own_step_weighs(plan, method, objective, tiny, tmp_path, monkeypatch):
    """Three steps of `train` on full rows in which everything is a target; the third one counts."""
    plan = plan.but(method=method, precision="bf16", save_steps=100, **OBJECTIVES.get(objective, {}))
    rows, ledger, peaks = rows_of(plan, 3 * plan.micro_batch), Ledger(vocab=259), []
    prepare, load_base = train_module.prepare, train_module.general.load_base

    def written_down(model):
        module.write_down(model, plan, ledger)
        return model

    class LastStep(train_module.Progress):
        def on_step_begin(self, args, state, control, **other):
            super().on_step_begin(args, state, control, **other)
            ledger.forget_peak()

        def on_step_end(self, args, state, control, **other):
            super().on_step_end(args, state, control, **other)
            peaks.append(ledger.peak)

    monkeypatch.setattr(train_module, "prepare", lambda *args, **more: written_down(prepare(*args, **more)))
    monkeypatch.setattr(train_module.general, "load_base", lambda *args, **more: written_down(load_base(*args, **more)))
    monkeypatch.setattr(train_module, "Progress", LastStep)
    monkeypatch.setattr(train_module, "order", lambda lengths, *_: range(len(lengths)))
    labels = ["0", "1"] if objective == "classification" else []
    stage = Stage(plan, tmp_path, load_tokenizer(tiny), rows, labels, "", "", [], goes_on=False)
    with ledger:
        train_module._train_once(stage, tiny, plan.micro_batch, None, None)
    assert len(peaks) == 3
    assert simulate(plan, device="cpu").allocated_gib * 2**30 == pytest.approx(peaks[-1], rel=0.01)


def test_of_two_stages_the_larger_one_is_weighed(plan):
    both, dpo = weighed(plan.but(objective="sft+dpo"), "cpu"), weighed(plan.but(objective="dpo"), "cpu")
    assert both.parts == dpo.parts
    assert both.allocated_gib > weighed(plan, "cpu").allocated_gib


def test_dpo_holds_no_second_model_and_kl_on_all_weights_does(plan):
    plain, dpo, kl = (
        weighed(plan.but(method="full", **fields), "cpu") for fields in ({}, OBJECTIVES["dpo"], {"kl": 0.1})
    )
    assert dpo.parts["weights"] == plain.parts["weights"]
    assert kl.parts["weights"] == pytest.approx(2 * plain.parts["weights"])


def test_the_ledger_counts_a_storage_once_and_crosses_it_out_when_it_dies():
    with Ledger() as ledger:
        first = torch.ones(1000)
        view = first.view(10, 100).t()
        assert ledger.total == 4000
        second = torch.ones(500, dtype=torch.bfloat16)
        assert ledger.total == 5000
        del first
        gc.collect()
        assert ledger.total == 5000, "the view keeps the storage"
        del view
        assert ledger.total == 1000
        del second
    assert ledger.total == 0
    assert ledger.peak == 5000


def test_the_ledger_rounds_as_a_gpu_does_and_files_by_category():
    ledger = Ledger(round_to=512, vocab=7)
    weight = torch.ones(3)
    ledger.add(weight, "weights")
    with ledger:
        logits = torch.ones(2, 7)
        hidden = torch.ones(2, 6)
    assert ledger.live == {"weights": 512, "logits": 512, "activations": 512}
    ledger.add(hidden, "gradients")
    assert ledger.live["gradients"] == 512
    assert ledger.live["activations"] == 0
    ledger.forget(logits)
    assert ledger.total == 1024


def test_control_a_ledger_that_ignores_frees_does_not_agree(plan, monkeypatch):
    honest = measure(plan).allocated_gib
    holding = SimpleNamespace(ref=lambda storage, callback: storage)
    monkeypatch.setattr("course_lib.run.ledger.weakref", holding)
    assert measure(plan).allocated_gib > 1.3 * honest


def test_lora_needs_less_than_full_and_four_bits_less_than_sixteen(plan):
    full, lora, qlora = (weighed(plan.but(method=method, rank=2), "cpu") for method in ("full", "lora", "qlora"))
    assert lora.allocated_gib < full.allocated_gib
    assert lora.parts["optimizer"] < 0.5 * full.parts["optimizer"]
    assert qlora.parts["weights"] < lora.parts["weights"]


def test_checkpointing_lowers_the_peak_unless_that_is_the_optimizer_step(plan):
    few_tokens = {"method": "full", "micro_batch": 1, "max_len": 2}
    for case, device, lower in (({"method": "full"}, "cpu", True), (few_tokens, "cuda", False)):
        stored, again = (weighed(plan.but(**case, gradient_checkpointing=on), device) for on in (False, True))
        assert (again.allocated_gib < stored.allocated_gib) is lower
        assert (stored.assumes[0] == "the peak is in the optimizer step") is not lower


def test_four_bit_weights_have_the_bytes_of_the_formula(plan, tiny):
    config = AutoConfig.from_pretrained(tiny)
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    kv = width // config.num_attention_heads * config.num_key_value_heads
    matrices = [width * width] * 2 + [width * kv] * 2 + [width * inner] * 3
    packed = sum(n / 2 + n / 64 + -(-n // 64 // 256) * 4 + (16 + 256 + 1) * 4 for n in matrices * layers)
    rest = 4 * (config.vocab_size * width + (2 * layers + 1) * width)
    rotary = 2 * 4 * (width // config.num_attention_heads // 2)
    weights = weighed(plan.but(method="qlora", rank=2), "cpu").parts["weights"] * 2**30
    assert weights == pytest.approx(packed + rest + rotary, rel=0.001)


def test_adam_on_a_gpu_copies_what_it_trains_unless_it_is_fused(plan):
    plan = plan.but(method="full", micro_batch=1, max_len=2)
    copied, fused = weighed(plan), weighed(plan.but(optimizer="adamw_torch_fused"))
    assert copied.parts["optimizer"] == pytest.approx(1.5 * fused.parts["optimizer"], rel=0.02)


def test_paged_states_are_not_on_the_gpu(plan):
    plan = plan.but(targets="q_proj", rank=1600)  # 1600 x 64 = 102,400 elements: large enough to be paged
    paged, held = (weighed(plan.but(optimizer=name)) for name in ("paged_adamw_8bit", "adamw_8bit"))
    assert paged.parts["optimizer"] < 0.1 * held.parts["optimizer"]
    assert any("computer's memory" in words for words in paged.assumes)


def test_data_parallel_training_holds_the_gradients_twice(plan):
    plan = plan.but(method="full", micro_batch=1, max_len=2)
    one, two = weighed(plan), weighed(plan.but(n_gpus=2, sharding="ddp"))
    assert two.allocated_gib - one.allocated_gib == pytest.approx(one.parts["weights"], rel=0.02)
    assert two.parts["gradients"] > one.parts["gradients"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_parts_add_up_and_figures_are_in_order(plan, device):
    estimate = weighed(plan.but(method="full", micro_batch=1, max_len=2), device)
    assert sum(estimate.parts.values()) - estimate.parts["context"] == pytest.approx(estimate.allocated_gib)
    assert estimate.allocated_gib <= estimate.reserved_gib <= estimate.device_gib
    for figure in ("allocated", "reserved", "device"):
        low, high = estimate.interval(figure)
        assert low <= getattr(estimate, f"{figure}_gib") <= high


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"n_gpus": 4, "sharding": "fsdp"}, "plain data parallel"),
        ({"n_gpus": 4, "sharding": "zero2"}, "use estimate"),
        ({"method": "prefix_tuning", "gradient_checkpointing": True}, "set gradient_checkpointing to false"),
        ({"model": "no-such-model"}, "no-such-model"),
        ({"targets": ("q_proj", "query")}, "no linear module named query"),
    ],
)
def test_what_it_cannot_weigh_it_says_in_one_sentence(plan, fields, sentence):
    with pytest.raises(CourseError, match=sentence) as caught:
        simulate(plan.but(**fields))
    assert "\n" not in str(caught.value)


def test_a_step_that_depends_on_numbers_is_refused(plan, monkeypatch):
    monkeypatch.setattr(module, "_loss", lambda model, plan, batch, *_: batch["input_ids"].sum().item())
    with pytest.raises(CourseError, match="on fake tensors"):
        simulate(plan)


def test_8_bit_optimizers_leave_nothing_in_the_process(plan):
    from bitsandbytes.optim import GlobalOptimManager

    plan = plan.but(method="full", optimizer="adamw_8bit")
    assert simulate(plan, device="cpu").parts == weighed(plan, "cpu").parts
    assert not GlobalOptimManager.get_instance().module_weight_config_triple
