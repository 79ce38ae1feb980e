"""The catalogue of models: names, sizes and arithmetic. tests/slow/test_models.py builds them."""

import itertools
import subprocess
import sys
import time

import pytest

from course_lib.choose.shapes import ModelShape, catalogue, suggestions
from course_lib.errors import CourseError
from course_lib.run.hf_config import hf_config

NATIVE = [shape for shape in catalogue() if shape.model_type]


FOREIGN = [shape for shape in catalogue() if not shape.model_type]


SIZES = ("params", "layers", "hidden", "heads", "kv_heads", "ffn", "vocab", "block_linear_params", "embedding_params")


MEASURED = {
    "01-ai/Yi-6B": "01-ai/Yi-6B",
    "GPT-2 small config, untied head (12L,768,12H,vocab 50257)": "gpt2-untied",
    "Qwen/Qwen-7B": "Qwen/Qwen-7B",
    "Qwen/Qwen2.5-0.5B": "Qwen/Qwen2.5-0.5B",
    "Qwen/Qwen2.5-1.5B": "Qwen/Qwen2.5-1.5B",
    "Qwen/Qwen2.5-3B": "Qwen/Qwen2.5-3B",
    "Qwen/Qwen2.5-7B": "Qwen/Qwen2.5-7B",
    "THUDM/chatglm3-6b": "THUDM/chatglm3-6b",
    "TheBloke/Mistral-7B-v0.1-GPTQ": "mistralai/Mistral-7B-v0.1",
    "bigcode/gpt_bigcode-santacoder": "bigcode/gpt_bigcode-santacoder",
    "bigscience/bloomz-7b1": "bigscience/bloom-7b1",
    "meta-llama/Llama-2-13b-hf": "meta-llama/Llama-2-13b-hf",
    "meta-llama/Llama-2-7b-hf": "meta-llama/Llama-2-7b-hf",
    "meta-llama/Llama-3.1-8B": "meta-llama/Llama-3.1-8B",
    "meta-llama/Llama-3.2-3B": "meta-llama/Llama-3.2-3B",
    "microsoft/Phi-3-mini-4k-instruct": "microsoft/Phi-3-mini-4k-instruct",
    "microsoft/phi-1_5": "microsoft/phi-1_5",
    "microsoft/phi-2": "microsoft/phi-2",
    "mistralai/Mistral-7B-v0.1": "mistralai/Mistral-7B-v0.1",
    "mistralai/Mistral-7B-v0.2": "mistralai/Mistral-7B-v0.2",
    "mosaicml/MPT-125m": "mosaicml/mpt-125m",
    "mosaicml/MPT-1b": "mosaicml/mpt-1b",
    "mosaicml/MPT-30b": "mosaicml/mpt-30b",
    "mosaicml/MPT-350m": "mosaicml/mpt-350m",
    "mosaicml/MPT-7b": "mosaicml/mpt-7b",
    "sshleifer/tiny-gpt2": "sshleifer/tiny-gpt2",
    "stabilityai/stablelm-base-alpha-3b": "stabilityai/stablelm-base-alpha-3b",
    "tiiuae/falcon-40b": "tiiuae/falcon-40b",
    "tiiuae/falcon-7b": "tiiuae/falcon-7b",
    "unsloth/Llama-3.1-8B": "meta-llama/Llama-3.1-8B",
    "unsloth/Phi-3.5-mini-instruct": "microsoft/Phi-3.5-mini-instruct",
    "unsloth/Qwen2.5-7B": "Qwen/Qwen2.5-7B",
    "unsloth/gemma-2-2b": "google/gemma-2-2b",
    "unsloth/llama-3-8b-Instruct-bnb-4bit": "meta-llama/Meta-Llama-3-8B",
    "unsloth/llama-3-8b-bnb-4bit": "meta-llama/Meta-Llama-3-8B",
    "unsloth/mistral-7b-instruct-v0.3-bnb-4bit": "mistralai/Mistral-7B-v0.3",
    "unsloth/mistral-7b-v0.3": "mistralai/Mistral-7B-v0.3",
    "unsloth/tinyllama-bnb-4bit": "TinyLlama/TinyLlama-1.1B",
}


@pytest.mark.parametrize("shape", [*FOREIGN, *NATIVE], ids=lambda shape: shape.name)
def test_sizes_account_for_the_parameters(shape):
    """What the matrices leave over is biases, norms and positions: under 1 % from a billion up."""
    matrices = shape.embedding_params + shape.head_params + shape.layers * shape.block_linear_params
    share = 0.01 if shape.params > 1e9 or not shape.model_type else 0.025
    assert (1 - share) * shape.params < matrices < shape.params
    assert shape.heads % shape.kv_heads == 0
    assert shape.layers * shape.block_params == pytest.approx(shape.params - shape.embedding_params - shape.head_params)


def test_catalogue_is_complete():
    assert len(catalogue()) >= 170
    names = [name.lower() for shape in catalogue() for name in (shape.name, *shape.aliases)]
    assert len(names) == len(set(names))
    for shape in catalogue():
        assert ModelShape.of(shape.name) is shape
        assert ModelShape.of(shape.name.upper()) is shape
        assert all(ModelShape.of(alias) is shape for alias in shape.aliases)
        assert shape.mlp in (2, 3)
        assert shape.kind in ("causal", "encoder")
        assert 2018 <= shape.year <= 2026
        assert shape.licence
        assert shape.context
        assert shape.source


def test_suggestions_are_spread_and_some_need_no_acceptance():
    shapes = suggestions()
    assert 35 <= len(shapes) <= 50
    assert all(shape.licence and shape.context and shape.model_type for shape in shapes)
    causal = [shape for shape in shapes if shape.kind == "causal"]
    open_ones = [shape for shape in causal if not shape.gated]
    assert causal[0].name == "smollm2-135m"
    assert causal[-1].params > 70e9
    for some in (causal, open_ones):
        assert max(b.params / a.params for a, b in itertools.pairwise(some)) < 3
    assert len(open_ones) < len(causal)
    assert [shape.params for shape in shapes] == sorted(shape.params for shape in shapes)


def test_embedded_model():
    shape = ModelShape.of("smollm2-135m")
    assert shape is ModelShape.of("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert (shape.params, shape.layers, shape.hidden, shape.vocab, shape.tied) == (134515008, 30, 576, 49152, True)


@pytest.mark.parametrize(("name", "ours"), MEASURED.items())
def test_names_in_published_measurements_resolve(name, ours):
    assert ModelShape.of(name).name == ours


@pytest.mark.parametrize(
    ("name", "ours"),
    {
        "Qwen/Qwen2.5-7B-Instruct": "Qwen/Qwen2.5-7B",
        "NousResearch/Llama-2-7b-hf": "meta-llama/Llama-2-7b-hf",
        "togethercomputer/LLaMA-2-7B-32K": "meta-llama/Llama-2-7b-hf",
        "TheBloke/Llama-2-13B-chat-GPTQ": "meta-llama/Llama-2-13b-hf",
        "unsloth/Llama-3.2-1B-Instruct-unsloth-bnb-4bit": "meta-llama/Llama-3.2-1B",
        "Qwen/Qwen-7B-Chat-Int4": "Qwen/Qwen-7B",
        "google/gemma-3-1b-it": "google/gemma-3-1b-pt",
        "mistralai/Mixtral-8x7B-Instruct-v0.1": "mistralai/Mixtral-8x7B-v0.1",
        "mixtral-8x7b": "mistralai/Mixtral-8x7B-v0.1",
        "bert-base-uncased": "google-bert/bert-base-uncased",
        "llama-3-8b": "meta-llama/Meta-Llama-3-8B",
        " Llama-3-8B ": "meta-llama/Meta-Llama-3-8B",
    }.items(),
)
def test_names_in_other_spellings_resolve(name, ours):
    assert ModelShape.of(name).name == ours


def test_unknown_name_gets_the_nearest():
    with pytest.raises(CourseError, match=r"Qwen/Qwen2\.5-7B.*ModelShape\.generic") as error:
        ModelShape.of("Qwen/Qwen2.5-77B")
    assert str(error.value).count("\n") == 0
    for name in ("", "/", "base", "gpt-99", "模型"):
        with pytest.raises(CourseError):
            ModelShape.of(name)


def test_a_name_that_may_be_several_asks_which():
    with pytest.raises(CourseError, match="write which one"):
        ModelShape.of("vicuna-7b")


@pytest.mark.parametrize("name", ["google/gemma-2-2", "mistralai/Mistral-7B-v0.9", "microsoft/deberta-base", "gpt-3"])
def test_a_model_that_we_do_not_have_is_not_taken_for_another(name):
    with pytest.raises(CourseError):
        ModelShape.of(name)


def test_generic_grows_with_its_size():
    billions = [0.02 * 1.01**step for step in range(1150)]
    shapes = [ModelShape.generic(b) for b in billions]
    for size in SIZES:
        values = [getattr(shape, size) for shape in shapes]
        assert values == sorted(values), size
    assert max(abs(shape.params / 1e9 / b - 1) for shape, b in zip(shapes, billions, strict=True)) < 0.08
    for rank in (1, 64):
        counts = [shape.lora_params(rank) for shape in shapes]
        assert counts == sorted(counts)


def test_generic_is_llama_3_at_its_sizes():
    for name in ("meta-llama/Meta-Llama-3-8B", "meta-llama/Meta-Llama-3-70B"):
        real = ModelShape.of(name)
        made = ModelShape.generic(real.params / 1e9)
        assert [getattr(made, size) for size in SIZES[1:]] == [getattr(real, size) for size in SIZES[1:]]


@pytest.mark.parametrize("billions", [0, -1, 1e-3, 5000, float("nan")])
def test_generic_refuses_what_is_no_size(billions):
    with pytest.raises(CourseError, match="give its size in billions"):
        ModelShape.generic(billions)


@pytest.mark.parametrize("targets", ["nonsense", ("q_proj", "nonsense"), ()])
def test_lora_on_a_module_that_is_not_there(targets):
    with pytest.raises(CourseError, match="targets are all-linear or some of q_proj"):
        ModelShape.of("smollm2-135m").lora_params(8, targets)
    with pytest.raises(CourseError, match="gate_proj"):
        ModelShape.of("gpt2").lora_params(8, "gate_proj")


def test_experts():
    shape = ModelShape.of("mixtral-8x7b")
    assert shape.linear_shapes["up_proj"] == (4096, 14336)
    assert shape.block_linear_params > 8 * 3 * 4096 * 14336
    assert shape.active_params == pytest.approx(12.9e9, rel=0.01)  # as its makers say
    assert ModelShape.of("Qwen/Qwen3-30B-A3B").active_params == pytest.approx(3.3e9, rel=0.02)
    dense = ModelShape.of("smollm2-135m")
    assert dense.active_params == dense.params


def test_no_class_is_said_plainly():
    with pytest.raises(CourseError, match="no class of its own for Qwen/Qwen-7B"):
        hf_config(ModelShape.of("Qwen/Qwen-7B"))


def test_needs_no_torch_and_reads_quickly():
    code = "import sys, course_lib.choose.shapes as s; s.catalogue(); print('torch' in sys.modules, 'transformers' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]
    best = min(_seconds_to_read() for _ in range(5))
    assert best < 0.1  # 16 ms on a laptop; the limit is loose, as test machines are busy


def _seconds_to_read():
    catalogue.cache_clear()
    start = time.perf_counter()
    catalogue()
    return time.perf_counter() - start


def test_a_suggested_model_can_be_asked_for_as_the_version_that_chats():
    chatty = [shape for shape in suggestions() if shape.chat]
    assert len(chatty) > 20
    for shape in chatty:
        assert ModelShape.of(shape.chat) == shape
    bare = [
        s.name
        for s in suggestions()
        if s.kind == "causal" and not s.chat and ("base" in s.name.lower() or "-pt" in s.name)
    ]
    assert bare == []
