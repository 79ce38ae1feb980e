"""The step is faster than a plain loop and must not differ from it in anything else."""

from collections import Counter

import pytest
import torch
from cases import CASES, ROWS

from course_lib import Plan
from course_lib.run.chat import IGNORED, encode_rows
from course_lib.run.mails import mails
from course_lib.run.methods import METHODS, load_tokenizer, prepare
from course_lib.run.step import collate, order, target_loss


@pytest.fixture
def rows(tiny):
    return encode_rows(load_tokenizer(tiny), mails(6, "train"), 2048)


def a_model(tiny, method="lora", **fields):
    """What starts at zero, as LoRA's B does, would hide an error in other gradients: draw it."""
    model = prepare(tiny, Plan(model=str(tiny), method=method, precision="fp32", **fields))
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():
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


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full", "prompt_tuning"])
@pytest.mark.parametrize("setting", [{}, {"micro_batch": 2}, {"share": False}, {"everywhere": True}])
def test_loss_and_gradients_equal_the_plain_loop(tiny, rows, method, setting):
    if method == "prompt_tuning":
        setting = {**setting, "share": False}
    model = a_model(tiny, method)
    agree(ours(model, rows, **setting), plain(model, rows))


def agree(got, expected):
    """(loss, gradients by name) of two ways through the same step."""
    torch.testing.assert_close(got[0], expected[0], rtol=1e-5, atol=1e-6)
    assert got[1].keys() == expected[1].keys()
    for name in expected[1]:
        torch.testing.assert_close(got[1][name], expected[1][name], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_savings_are_exact_for_every_method(tiny, case):
    """Shared and not, with checkpointing and without. Behind virtual tokens `train` shares nothing: there it would differ."""
    virtual = METHODS[CASES[case]["method"]].virtual
    few = encode_rows(load_tokenizer(tiny), ROWS[:4], 256)
    assert collate(few, 2, share=True)["prefix_ids"].shape[1] > 30
    model = a_model(tiny, **CASES[case], rank=4)
    expected = plain(model, few)
    agree(ours(model, few, share=False), expected)
    if virtual:
        assert abs(shared_loss(model, few) - expected[0]) > 1e-4
    else:
        agree(ours(model, few), expected)
    if case != "prefix_tuning":  # refused
        model.enable_input_require_grads()
        model.activation_checkpointing_enable()
        model.train()
        agree(ours(model, few, share=False), expected)


def shared_loss(model, rows):
    try:
        return ours(model, rows)[0]
    except (RuntimeError, ValueError):
        return float("inf")


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
