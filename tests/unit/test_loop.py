"""The training loop of lesson 103 computes what runs compute, and the memory of its step is counted to the byte."""

import pytest
import torch

from course_lib import Plan
from course_lib.prove.step_memory import GIB, plot_step, weigh_step
from course_lib.run.chat import IGNORED, encode_rows
from course_lib.run.data import load
from course_lib.run.loop import answer_loss, pad
from course_lib.run.methods import load_base, load_tokenizer
from course_lib.run.step import collate, target_loss


@pytest.fixture(scope="module")
def rows(tiny):
    tokenizer = load_tokenizer(tiny)
    return encode_rows(tokenizer, load("mails").train[:3], 4096), tokenizer.pad_token_id


@pytest.fixture
def model(tiny):
    return load_base(tiny, Plan(model=str(tiny), method="full", precision="fp32")).train()


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_the_loop_by_hand_has_the_loss_and_gradients_of_a_run(model, rows):
    encoded, pad_id = rows
    by_hand = answer_loss(model, pad(encoded, pad_id))
    targets = sum(label != IGNORED for row in encoded for label in row.labels[1:])
    of_run = target_loss(model, collate(encoded, pad_id, share=True), targets)
    assert by_hand.item() == pytest.approx(of_run.item(), rel=1e-5)
    ours, theirs = gradients(model, by_hand), gradients(model, of_run)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-3, atol=1e-6, msg=name)


def test_control_without_the_mask_the_loss_is_another(model, rows):
    encoded, pad_id = rows
    batch = pad(encoded, pad_id)
    everything = batch | {"labels": batch["input_ids"]}
    assert abs(answer_loss(model, everything).item() - answer_loss(model, batch).item()) > 1e-3


def test_a_step_is_weighed_to_the_byte(model, rows):
    batch = pad(*rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    size = sum(parameter.nbytes for parameter in model.parameters())
    first = weigh_step(model, optimizer, lambda: answer_loss(model, batch))
    second = weigh_step(model, optimizer, lambda: answer_loss(model, batch))
    assert [moment.name for moment in second] == [
        "before",
        "after forward",
        "after backward",
        "after step",
        "after zero_grad",
    ]
    before, forward, backward, step, end = (
        {part: round(gib * GIB) for part, gib in moment.parts.items()} for moment in second
    )
    steps = 4 * len(list(model.parameters()))  # AdamW counts its steps, in four bytes for each tensor
    assert before["optimizer"] == step["optimizer"] == 2 * size + steps
    assert first[0].parts["optimizer"] == 0
    assert before["gradients"] == end["gradients"] == 0
    assert backward["gradients"] == step["gradients"] == size
    assert forward["activations"] > 0
    assert backward["activations"] < forward["activations"] / 10
    assert size <= before["weights"] < 1.1 * size


def test_a_frozen_weight_has_no_gradient_and_no_averages(model, rows):
    """Control: the ledger sees what is left out."""
    batch = pad(*rows)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    head = model.get_input_embeddings().weight.requires_grad_(True)
    moments = weigh_step(model, torch.optim.AdamW([head], lr=1e-3), lambda: answer_loss(model, batch))
    assert round(moments[3].parts["gradients"] * GIB) == head.nbytes
    assert round(moments[3].parts["optimizer"] * GIB) == 2 * head.nbytes + 4


def test_the_picture_says_the_same_in_words(model, rows, capsys):
    from matplotlib import pyplot as plt

    batch = pad(*rows)
    moments = weigh_step(model, torch.optim.SGD(model.parameters(), lr=0.1), lambda: answer_loss(model, batch))
    plot_step(moments)
    plt.close("all")
    said = capsys.readouterr().out
    assert said.startswith("Figure: GiB of tensors; before: ")
    assert str(moments[2]) in said
