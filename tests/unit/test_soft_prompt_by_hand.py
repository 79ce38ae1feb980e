"""Lesson 105's soft prompt computes what PEFT's does, and trains nothing but its own rows."""

import inspect

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model

from course_lib import ModelShape, Plan
from course_lib.learn.quiz import load
from course_lib.run import soft_prompt_by_hand
from course_lib.run.methods import load_base
from course_lib.run.soft_prompt_by_hand import SoftPrompt

TOKENS = 5
IDS = torch.arange(3, 27).reshape(3, 8)
LENGTHS = (8, 5, 1)
RIGHT = torch.tensor([[1] * n + [0] * (8 - n) for n in LENGTHS])


@pytest.fixture(scope="module")
def base(tiny):
    return lambda: load_base(tiny, Plan(model=str(tiny), precision="fp32")).eval()


@pytest.fixture(scope="module")
def ours(base):
    return SoftPrompt(base(), TOKENS)


@pytest.mark.parametrize("mask", [None, RIGHT, RIGHT.flip(1)], ids=["none", "right", "left"])
def test_with_the_same_numbers_it_is_pefts(mask, ours, base):
    theirs = get_peft_model(base(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=TOKENS)).eval()
    theirs.prompt_encoder["default"].embedding.weight.data = ours.prompt.data.clone()
    with torch.no_grad():
        got, expected = ours(IDS, mask), theirs(input_ids=IDS, attention_mask=mask).logits[:, TOKENS:]
        assert got.shape == (*IDS.shape, theirs.config.vocab_size)
        assert torch.allclose(got, expected, atol=1e-5)

        theirs.prompt_encoder["default"].embedding.weight.data += 0.1
        other = theirs(input_ids=IDS, attention_mask=mask).logits[:, TOKENS:]
        assert not torch.allclose(got, other, atol=1e-5), "control: another prompt gives other logits"


@torch.no_grad()
def test_padding_on_the_right_changes_nothing_and_control_on_the_left_it_does_without_a_mask(ours):
    assert torch.allclose(ours(IDS[1:2, :5]), ours(IDS, RIGHT)[1:2, :5], atol=1e-5)
    assert not torch.allclose(ours(IDS)[1:2, 3:], ours(IDS, RIGHT.flip(1))[1:2, 3:], atol=1e-4)


def test_only_the_prompt_gets_a_gradient(base):
    model = SoftPrompt(base(), TOKENS)
    model(IDS).logsumexp(-1).sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is not None] == ["prompt"]
    assert model.prompt.grad.abs().sum(1).min() > 0
    assert sum(w.numel() for w in model.parameters() if w.requires_grad) == TOKENS * model.model.config.hidden_size


def test_it_starts_as_tokens_of_the_vocabulary_drawn_by_the_seed(base, ours):
    words = ours.model.get_input_embeddings().weight
    assert torch.all((ours.prompt[:, None] == words).all(-1).any(-1))
    assert torch.equal(SoftPrompt(base(), TOKENS).prompt, ours.prompt)
    assert not torch.equal(SoftPrompt(base(), TOKENS, seed=1).prompt, ours.prompt)


def test_training_it_leaves_the_vocabulary_as_it_is(base):
    model = SoftPrompt(base(), TOKENS)
    before = model.model.get_input_embeddings().weight.clone()
    with torch.no_grad():
        model.prompt += 1
    assert torch.equal(model.model.get_input_embeddings().weight, before)


def test_it_is_as_short_as_the_lesson_says():
    assert len(inspect.getsource(soft_prompt_by_hand).splitlines()) <= 30


def by_id(number, id):
    return next((n, q) for n, q in enumerate(load(number).questions, 1) if q.id == id)


def test_the_quiz_orders_the_steps_as_the_code_does():
    code = inspect.getsource(SoftPrompt.forward)
    places = [code.index(part) for part in ("(input_ids)", "[prompt, text]", "inputs_embeds=", "logits[:, ")]
    assert places == sorted(places)
    _, forward = by_id("105", "forward")
    assert [step.answer.split()[1] for step in forward.answers] == ["tokens", "learned", "frozen", "logits"]


def test_the_sizes_in_the_quizzes_are_those_of_the_model():
    model = ModelShape.of("smollm2-135m")
    n, count = by_id("105", "count")
    assert load("105").judge(n, 20 * model.hidden).correct
    slips = {20, model.hidden, 20 + model.hidden, 20 * model.hidden * model.layers, 20 * model.vocab}
    slips.add(model.vocab * model.hidden)
    assert slips == {a.value for a in count.answers if a.type == "value" and not a.correct}
    assert 20 * model.hidden / model.params < 0.0001, "as `after` says"

    n, copies = by_id("106", "copies")
    assert load("106").judge(n, 20 * 2 * model.params / 1e9).correct
    assert f"{20 * 20 * model.hidden * 4 / 1e6:.2f} MB" in copies.after

    layers = 2 * [(576, 576)] + 2 * [(576, 192)] + 3 * [(576, 1536)]
    assert (model.hidden, model.ffn, model.kv_heads * model.hidden // model.heads) == (576, 1536, 192)
    per_rank = model.layers * sum(map(sum, layers))
    sizes = [20 * model.hidden, 2 * per_rank, 16 * per_rank]
    assert sizes == sorted(sizes)
    assert all(f"{size:,}" in by_id("106", "file-sizes")[1].after for size in sizes)
