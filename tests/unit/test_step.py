"""The step is faster than a plain loop and must not differ from it in anything else."""

from collections import Counter

import pytest
import torch

from course_lib import Plan
from course_lib.run.chat import IGNORED, encode_rows
from course_lib.run.mails import mails
from course_lib.run.methods import load_tokenizer, prepare
from course_lib.run.step import collate, order, target_loss


@pytest.fixture
def rows(tiny):
    return encode_rows(load_tokenizer(tiny), mails(6, "train"), 2048)


def a_model(tiny, method="lora"):
    """LoRA's B starts at zero, which would hide an error in A's gradient: draw it."""
    model = prepare(tiny, Plan(model=str(tiny), method=method, precision="fp32"))
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
    return model


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def plain(model, rows):
    """The loop that everybody writes: padded rows, an attention mask, logits everywhere, the library's own loss."""
    width = max(len(row.input_ids) for row in rows)
    ids = torch.tensor([row.input_ids + [2] * (width - len(row.input_ids)) for row in rows])
    labels = torch.tensor([row.labels + [IGNORED] * (width - len(row.labels)) for row in rows])
    mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in rows])
    model.zero_grad()
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    return loss.detach(), gradients(model)


def ours(model, rows, micro_batch=6, share=True, everywhere=False):
    n_targets = sum(label != IGNORED for row in rows for label in row.labels)
    model.zero_grad()
    total = 0
    for start in range(0, len(rows), micro_batch):
        loss = target_loss(model, collate(rows[start : start + micro_batch], 2, share), n_targets, everywhere)
        loss.backward()
        total += loss.detach()
    return total, gradients(model)


@pytest.mark.parametrize("method", ["lora", "full", "prompt_tuning"])
@pytest.mark.parametrize("setting", [{}, {"micro_batch": 2}, {"share": False}, {"everywhere": True}])
def test_loss_and_gradients_equal_the_plain_loop(tiny, rows, method, setting):
    if method == "prompt_tuning":
        setting = {**setting, "share": False}
    model = a_model(tiny, method)
    loss, expected = plain(model, rows)
    got_loss, got = ours(model, rows, **setting)
    torch.testing.assert_close(got_loss, loss, rtol=1e-5, atol=1e-6)
    assert got.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=1e-3, atol=1e-6)


def test_control_one_wrong_label_is_seen(tiny, rows):
    model = a_model(tiny)
    _, expected = plain(model, rows)
    rows[0].labels[-2] = IGNORED
    _, got = ours(model, rows)
    assert any(not torch.allclose(got[name], expected[name], rtol=1e-3, atol=1e-6) for name in expected)


def test_shared_prompt_is_shared(rows):
    batch = collate(rows, 2, share=True)
    assert batch["prefix_ids"].shape[1] > 100
    assert collate(rows, 2, share=False)["prefix_ids"].shape[1] == 0


def test_each_epoch_has_every_row_once_and_steps_are_near_equal_in_length():
    lengths = [(i * 37) % 101 + 20 for i in range(100)]
    got = order(lengths, step_rows=8, epochs=3, seed=5)
    assert got == order(lengths, step_rows=8, epochs=3, seed=5)
    assert got != order(lengths, step_rows=8, epochs=3, seed=6)
    for epoch in range(3):
        assert sorted(got[100 * epoch : 100 * (epoch + 1)]) == list(range(100))
    spread = [
        max(lengths[i] for i in got[s : s + 8]) - min(lengths[i] for i in got[s : s + 8]) for s in range(0, 96, 8)
    ]
    assert sum(spread) / len(spread) < 20 < max(lengths) - min(lengths)
    assert Counter(got) == Counter(dict.fromkeys(range(100), 3))
