"""The memory model by hand on small arithmetic, by property on the rest."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import CourseError, ModelShape, Plan, estimate, largest_model
from course_lib.choose.gpus import gpu
from course_lib.choose.memory import CONTEXT
from course_lib.choose.peak import GIB, WORKSPACE, peak
from course_lib.choose.setup import NF4_DOUBLE, Setup, setup_of, trained_parameters

LLAMA = ModelShape.of("meta-llama/Llama-2-7b-hf")
MISTRAL = ModelShape.of("mistralai/Mistral-7B-v0.1")


def test_a_full_step_of_pure_bf16_is_ten_bytes_a_parameter():
    found = peak(Setup(MISTRAL, "full", rows=4, seq=4096, checkpointing="full", attention="flash_attention_2"))
    assert found.moment == "step"
    assert found.allocated == pytest.approx(10 * MISTRAL.params + WORKSPACE)


def test_a_fused_optimizer_needs_no_copy_of_the_gradients():
    loop = peak(Setup(MISTRAL, "full", rows=1, seq=512, checkpointing="full"))
    fused = peak(Setup(MISTRAL, "full", rows=1, seq=512, checkpointing="full", optimizer="adamw_torch_fused"))
    assert loop.allocated - fused.allocated > 1.5 * MISTRAL.params


@pytest.mark.parametrize(
    ("loss", "bytes_per_token", "within"), [("full", 734_724, 0.001), ("fused_linear", 540_956, 0.04)]
)
def test_the_published_slope_of_a_checkpointed_lora(loss, bytes_per_token, within):
    """Bytes per token of Mistral-7B, LoRA on q, k, v, o under autocast (foundation-model-stack/fms-acceleration)."""

    def allocated(rows):
        targets = frozenset({"q_proj", "k_proj", "v_proj", "o_proj"})
        setup = Setup(
            MISTRAL, "lora", rows, 4096, 13_631_488, targets=targets, autocast=True, checkpointing="full",
            attention="flash_attention_2", loss=loss, fused_norms=True,
        )  # fmt: skip
        return peak(setup).allocated

    slope = (allocated(16) - allocated(8)) / (8 * 4096)
    assert slope == pytest.approx(bytes_per_token, rel=within)


def test_four_bit_weights_are_counted_as_bitsandbytes_holds_them():
    setup, _ = setup_of(Plan(model=LLAMA.name, method="qlora", max_len=1), LLAMA)
    in_blocks = LLAMA.layers * LLAMA.block_linear_params
    by_hand = in_blocks * NF4_DOUBLE + (LLAMA.params - in_blocks) * 2
    assert peak(setup).parts["weights"] - WORKSPACE == pytest.approx(by_hand)


def test_the_parts_make_up_the_device_figure_but_for_what_lies_idle():
    found = estimate(Plan(model=LLAMA.name, method="qlora", max_len=1024, gradient_checkpointing=True))
    assert sum(found.parts.values()) == pytest.approx(found.allocated_gib + CONTEXT)
    assert found.allocated_gib < found.reserved_gib < found.device_gib == found.peak_gib
    for name in ("allocated", "reserved", "device"):
        low, high = found.interval(name)
        assert low < getattr(found, f"{name}_gib") < high
    assert any("target at every position" in words for words in found.assumes)


def test_checkpointing_does_not_help_where_the_optimizer_step_is_the_peak():
    plan = Plan(model=LLAMA.name, method="full", max_len=128, micro_batch=1)
    with_it = estimate(plan.but(gradient_checkpointing=True))
    assert with_it.allocated_gib == estimate(plan).allocated_gib
    longer = plan.but(max_len=4096, micro_batch=8)
    assert estimate(longer.but(gradient_checkpointing=True)).allocated_gib < 0.8 * estimate(longer).allocated_gib


def test_dpo_holds_no_second_model():
    plan = Plan(model=LLAMA.name, method="full", objective="dpo", max_len=64, micro_batch=1)
    assert estimate(plan).parts["weights"] == estimate(plan.but(objective="sft")).parts["weights"]
    assert any("computed once" in words for words in estimate(plan).assumes)


def test_kl_on_all_weights_holds_a_frozen_copy_and_twice_the_logits():
    plan = Plan(model=LLAMA.name, max_len=512, micro_batch=4, gradient_checkpointing=True)
    for method, models in (("full", 2), ("lora", 1)):
        without, held = estimate(plan.but(method=method)), estimate(plan.but(method=method, kl=0.1))
        assert held.parts["weights"] == pytest.approx(models * without.parts["weights"], rel=0.01)
    assert held.parts["logits"] > 2 * without.parts["logits"]


def test_published_runs_with_a_reference_model_still_hold_it():
    alone = Setup(MISTRAL, "full", rows=1, seq=512)
    beside = peak(replace(alone, reference=True))
    assert beside.parts["weights"] - WORKSPACE == pytest.approx(2 * (peak(alone).parts["weights"] - WORKSPACE))


def test_of_two_stages_the_larger_one_is_estimated():
    plan = Plan(model=LLAMA.name, method="full", objective="sft+dpo", kl=0.1, max_len=128, micro_batch=1)
    sft, dpo = (
        estimate(Plan(**{**plan.model_dump(), "objective": stage, "kl": kl}))
        for stage, kl in (("sft", 0.1), ("dpo", 0))
    )
    assert estimate(plan).allocated_gib == sft.allocated_gib > dpo.allocated_gib


def test_a_classifier_has_a_head_over_its_labels_and_none_over_the_vocabulary():
    plan = Plan(model=LLAMA.name, objective="classification")
    head = LLAMA.vocab * LLAMA.hidden
    assert trained_parameters(plan.but(method="full"), LLAMA, 5) == LLAMA.params - head + 5 * LLAMA.hidden
    assert trained_parameters(plan, LLAMA, 5) == trained_parameters(plan, LLAMA) + 5 * LLAMA.hidden
    sft, labelled = estimate(plan.but(objective="sft")), estimate(plan)
    assert labelled.parts["logits"] == 0 < sft.parts["logits"]
    assert sft.parts["weights"] - labelled.parts["weights"] == pytest.approx(2 * head / GIB, rel=0.01)


def test_auto_is_fp16_on_a_card_without_bf16():
    plan = Plan(model=LLAMA.name)
    assert estimate(plan, gpu="T4").assumes[1] == "fp16, as `auto` takes on this device"
    assert estimate(plan, gpu="T4").allocated_gib == estimate(plan, gpu="A10G").allocated_gib


def test_sharding_takes_weights_from_each_gpu():
    plan = Plan(model=LLAMA.name, method="lora", max_len=512, gradient_checkpointing=True)
    alone, ddp, fsdp = (
        estimate(plan),
        estimate(plan.but(n_gpus=4, sharding="ddp")),
        estimate(plan.but(n_gpus=4, sharding="fsdp")),
    )
    assert fsdp.allocated_gib < 0.6 * alone.allocated_gib < alone.allocated_gib <= ddp.allocated_gib


def test_near_the_end_of_the_card_idle_memory_is_given_back():
    plan = Plan(
        model="Qwen/Qwen2.5-7B", method="lora", max_len=3000, micro_batch=1, gradient_checkpointing=True, loss="full"
    )
    free, card = estimate(plan), estimate(plan, gpu="RTX 4090")
    assert free.allocated_gib + CONTEXT < card.device_gib < free.device_gib
    assert card.device_gib == gpu("RTX 4090").memory_gib


def test_on_a_processor_there_is_no_context_but_an_interpreter():
    plan = Plan(method="lora", max_len=256)
    on_cpu = estimate(plan, gpu="cpu")
    assert on_cpu.parts["context"] < 0.5 < CONTEXT
    assert on_cpu.interval("device")[1] > 1.4 * on_cpu.allocated_gib


METHODS = ("full", "lora", "qlora", "adapters", "prompt_tuning", "prefix_tuning", "p_tuning", "ia3")


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    size=st.sampled_from((0.135, 0.5, 1.5, 7, 13, 70)),
    max_len=st.integers(1, 8192),
    rows=st.integers(1, 64),
    rank=st.integers(1, 256),
    checkpointing=st.booleans(),
    attention=st.sampled_from(("sdpa", "eager")),
    more=st.integers(1, 512),
    what=st.sampled_from(("max_len", "micro_batch", "rank")),
)
def test_longer_rows_bigger_batches_and_higher_ranks_never_need_less(
    method, size, max_len, rows, rank, checkpointing, attention, more, what
):
    shape = ModelShape.generic(size)
    plan = Plan(
        method=method,
        max_len=max_len,
        micro_batch=rows,
        rank=rank,
        gradient_checkpointing=checkpointing,
        attention=attention,
    )
    larger = plan.but(**{what: getattr(plan, what) + more})
    for figure in ("allocated_gib", "reserved_gib", "device_gib"):
        assert getattr(estimate(larger, shape), figure) >= getattr(estimate(plan, shape), figure)


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    gib=st.floats(0, 400),
    more=st.floats(0, 400),
    max_len=st.sampled_from((256, 1024, 4096)),
)
def test_more_memory_never_gives_a_smaller_largest_model(method, gib, more, max_len):
    assert largest_model(gib + more, method, max_len=max_len) >= largest_model(gib, method, max_len=max_len)


def test_the_largest_model_fits_and_the_next_does_not():
    fields = {"max_len": 1024, "micro_batch": 1, "gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"}
    size = largest_model(16, "qlora", **fields)
    assert estimate(Plan(method="qlora", **fields), ModelShape.generic(size)).interval("device")[1] <= 16
    assert 4 < size < 16
    assert largest_model(0.1, "qlora", **fields) == 0.0


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: estimate(Plan(model="no-such/model-7x")), "nearest names are"),
        (lambda: estimate(Plan(), gpu="RTX 4091"), "RTX 4090"),
        (lambda: largest_model(-1, "lora"), "give the memory of one GPU in GiB"),
        (lambda: largest_model(8, "lorra"), "must be 'full'"),
    ],
)
def test_bad_input_gets_one_sentence(ask, says):
    with pytest.raises(CourseError, match=says):
        ask()


def test_choosing_loads_no_torch():
    code = (
        "from course_lib import recommend, estimate, Plan, compare_guides, score, Situation, largest_model\n"
        "recommend(gpu_gib=16); estimate(Plan()); compare_guides(Situation()); score()\n"
        "import sys; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert (
        subprocess.run(
            [sys.executable, "-c", code.replace("import sys", "import sys; sys.modules['torch'] = sys")], check=False
        ).returncode
        == 1
    )


def test_an_estimate_takes_under_five_milliseconds():
    import time

    plan, shape = Plan(method="qlora"), ModelShape.of("Qwen/Qwen2.5-7B")
    estimate(plan, shape)
    started = time.process_time()
    for _ in range(100):
        estimate(plan, shape)
    assert (time.process_time() - started) / 100 < 0.005


def test_bytes_are_shown_in_gib():
    assert GIB == 2**30
    assert "GiB" in str(estimate(Plan(model=LLAMA.name)))


def test_stepping_in_the_backward_pass_holds_one_layers_gradients():
    ordinary = Setup(LLAMA, "full", rows=1, seq=512, checkpointing="full")
    at_once = peak(replace(ordinary, in_backward=True))
    assert peak(ordinary).allocated - at_once.allocated > 3 * LLAMA.params
    assert at_once.parts["gradients"] < 0.2 * LLAMA.params


def test_the_first_fsdp_holds_a_frozen_models_layer_inputs_twice():
    first = Setup(
        MISTRAL, "lora", 8, 4096, 13_631_488, targets=frozenset({"q_proj"}), checkpointing="full", sharding="fsdp", n_gpus=4,
        loss="fused_linear",
    )  # fmt: skip
    inputs = 8 * 4096 * MISTRAL.layers * MISTRAL.hidden * 2
    assert peak(first).allocated - peak(replace(first, fsdp2=True)).allocated == pytest.approx(inputs)


def test_an_encoder_keeps_masks_of_what_it_drops_out():
    bert = ModelShape.of("google-bert/bert-large-uncased")
    encoder = Setup(bert, "full", 4, 512, attention="eager", weight=4, compute=4, loss="none")
    decoder = replace(encoder, shape=replace(bert, kind="causal"))
    more = peak(encoder).parts["activations"] - peak(decoder).parts["activations"]
    assert more == pytest.approx(4 * 512 * bert.layers * (4 * bert.heads * 512 + 8 * bert.hidden))
