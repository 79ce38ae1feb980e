"""Merging gives the model that was trained, on a 4-bit base too, where bitsandbytes makes it easy to go wrong."""

import warnings

import pytest
import torch
from bitsandbytes.functional import _convert_weight_packed_for_cpu, dequantize_4bit, has_avx512bf16
from bitsandbytes.nn import Linear4bit
from transformers import AutoModelForCausalLM

from course_lib import Plan
from course_lib.run.merge import merge
from course_lib.run.methods import load_base, prepare
from course_lib.run.trained import reload, save

IDS = torch.arange(3, 100).reshape(1, -1)


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory):
    """Saved weights of a plan whose new weights have been moved away from their start."""

    def of(**fields):
        plan = Plan(**{"model": str(tiny), "rank": 4, "precision": "fp32", **fields})
        model, folder = prepare(tiny, plan), tmp_path_factory.mktemp("saved")
        generator = torch.Generator().manual_seed(0)
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
        save(model, plan, folder)
        return plan, folder

    return of


@torch.inference_mode()
def logits(model):
    return model(input_ids=IDS).logits.float()


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_merged_model_is_an_ordinary_one_on_the_disk_too(tiny, saved, tmp_path, method):
    plan, weights = saved(method=method)
    merged = merge(tiny, plan, weights)
    merged.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(again), logits(merged))
    assert not hasattr(again.config, "quantization_config")
    assert {weight.dtype for weight in again.parameters()} == {torch.float32}
    torch.testing.assert_close(logits(again), logits(reload(tiny, plan, weights)), rtol=0, atol=1e-3)


def test_control_the_base_model_answers_otherwise(tiny, saved):
    plan, weights = saved(method="qlora")
    assert not torch.allclose(logits(merge(tiny, plan, weights)), logits(load_base(tiny, plan)), atol=0.1)


def test_sums_are_made_in_fp32_and_then_cast(tiny, saved):
    plan, weights = saved(precision="bf16", attention="eager")
    exact = merge(tiny, plan, weights, torch.float32)
    ours = merge(tiny, plan, weights)
    sloppy = reload(tiny, plan, weights).to(torch.bfloat16).merge_and_unload()
    worse = better = 0.0
    for name, weight in exact.named_parameters():
        assert ours.get_parameter(name).dtype is torch.bfloat16
        assert torch.equal(ours.get_parameter(name), weight.bfloat16())
        better += (ours.get_parameter(name) - weight).abs().sum().item()
        worse += (sloppy.get_parameter(name) - weight).abs().sum().item()
    assert worse > 1.1 * better, "control: sums in bf16 are further from the exact ones"


def test_full_fine_tuning_has_nothing_to_merge(tiny, saved):
    plan, weights = saved(method="full")
    assert torch.equal(logits(merge(tiny, plan, weights)), logits(reload(tiny, plan, weights)))


@pytest.fixture
def packing_processor(monkeypatch):
    """Every processor says that it is one for which bitsandbytes packs 4-bit weights anew (AVX512 with bf16)."""
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)


def a_layer(packs: bool) -> tuple[Linear4bit, torch.Tensor]:
    """A 4-bit layer in eval mode, and its weights as numbers before it has computed anything."""
    torch.manual_seed(0)
    layer = Linear4bit(64, 64, bias=False, compute_dtype=torch.float32, quant_type="nf4").to("cpu").eval()
    layer.support_avx512bf16_for_cpu = packs
    return layer, dequantize_4bit(layer.weight.data, layer.weight.quant_state)


def test_bitsandbytes_still_scrambles_what_it_packs():
    """The reason for what `load_base` and `merge` do. Should this fail, bitsandbytes is mended: both may become simpler."""
    layer, before = a_layer(packs=True)
    layer.weight.data, state = _convert_weight_packed_for_cpu(layer.weight.data, layer.weight.quant_state)
    assert (dequantize_4bit(layer.weight.data, state).float() - before).abs().max() > before.abs().max()


def test_bitsandbytes_still_packs_at_the_first_answer(monkeypatch):
    """On a processor without AVX512-bf16 the packed product itself cannot run: whether it packs can be seen before it."""
    if not has_avx512bf16():
        warnings.warn(
            "no AVX512-bf16 here: that a merged model is wrong after an answer was not run, only its cause",
            stacklevel=1,
        )
    packed = []
    monkeypatch.setattr(
        "bitsandbytes.nn.modules._convert_weight_packed_for_cpu", lambda *args: packed.append(args) or args
    )
    monkeypatch.setattr("bitsandbytes.matmul_4bit", lambda x, *_, **__: x)
    layer, _ = a_layer(packs=True)
    with torch.inference_mode():
        layer(torch.ones(1, 64))
    assert packed
    layer, _ = a_layer(packs=False)
    packed.clear()
    with torch.inference_mode():
        layer(torch.ones(1, 64))
    assert not packed, "the switch that load_base turns off is there no more"


def test_our_models_are_never_packed(tiny, saved, packing_processor):
    plan, weights = saved(method="qlora")
    unpacked = logits(reload(tiny, plan, weights))
    model = reload(tiny, plan, weights)
    layers = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
    assert layers
    assert Linear4bit(4, 4).support_avx512bf16_for_cpu, "control: bitsandbytes would"
    assert torch.equal(logits(model), unpacked)
    assert not any(getattr(layer.weight.quant_state, "packing_format_for_cpu", False) for layer in layers)


@pytest.mark.skipif(not has_avx512bf16(), reason="no AVX512-bf16: its cause is tested above")
def test_merging_after_an_answer_gives_another_model_with_bitsandbytes_alone(tiny, saved):
    plan, weights = saved(method="qlora", precision="bf16")
    model = reload(tiny, plan, weights)
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = True
    before = logits(model)
    wrong = logits(model.merge_and_unload())
    assert (wrong - before).abs().max() > 10 * (logits(merge(tiny, plan, weights)) - before).abs().max()
