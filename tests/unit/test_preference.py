"""DPO's loss is the paper's, computed from the answers alone; what the reference thinks is kept and never mixed up."""

import json
import math

import pytest
import torch
from cases import ROWS
from torch.nn import functional as F

from course_lib import CourseError, Plan
from course_lib.run.chat import IGNORED
from course_lib.run.methods import load_base, load_tokenizer
from course_lib.run.objectives import collator, count
from course_lib.run.preference import (
    REFERENCE_FILE,
    answer_log_probabilities,
    collate_pairs,
    dpo_loss,
    encode_pairs,
    with_reference,
)

PAIRS = [
    {
        "prompt": row["messages"][:-1],
        "chosen": row["messages"][-1:],
        "rejected": [{"role": "assistant", "content": "mauve" * (1 + i % 3)}],
    }
    for i, row in enumerate(ROWS[:6])
]


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return load_tokenizer(tiny)


@pytest.fixture(scope="module")
def model(tiny):
    return load_base(tiny, Plan(precision="fp32")).eval()


@pytest.fixture(scope="module")
def pairs(tokenizer):
    return encode_pairs(tokenizer, PAIRS, 256)


def log_probability(model, row):
    """Of a row's answer, one row alone, every logit computed."""
    logits = model(torch.tensor([row.input_ids])).logits[0, :-1].log_softmax(-1)
    return sum(logits[i, label] for i, label in enumerate(row.labels[1:]) if label != IGNORED)


@pytest.mark.parametrize("share", [False, True])
def test_the_loss_and_its_gradient_are_the_formula(model, pairs, share):
    batch = collate_pairs(pairs, 2, share)
    batch["reference"] = torch.linspace(-30, -20, 12).view(2, 6)
    assert (batch["prefix_ids"].shape[1] > 0) == share
    margins = [log_probability(model, p.chosen) - log_probability(model, p.rejected) for p in pairs]
    reference = batch["reference"][0] - batch["reference"][1]
    expected = -F.logsigmoid(0.3 * (torch.stack(margins) - reference)).mean()
    loss = dpo_loss(model, batch, 6, beta=0.3)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-5)
    weights = [p for p in model.parameters() if p.requires_grad]
    ours, theirs = torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_only_the_last_answer_counts(tokenizer):
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    (pair,) = encode_pairs(
        tokenizer,
        [
            {
                "prompt": talk,
                "chosen": [{"role": "assistant", "content": "yes"}],
                "rejected": [{"role": "assistant", "content": "no"}],
            }
        ],
        256,
    )
    trained = tokenizer.decode([label for label in pair.chosen.labels if label != IGNORED])
    assert trained == "yes<|im_end|>"


def test_while_the_model_is_its_own_reference_the_loss_is_log_2(model, pairs, tmp_path):
    together = collator(Plan(objective="dpo"), 2, model.config)
    known = with_reference(model, pairs, tmp_path, "rows", together, 4)
    batch = together(known)
    assert count(batch, Plan(objective="dpo")) == 6
    assert dpo_loss(model, batch, 6, beta=0.1).item() == pytest.approx(math.log(2), abs=1e-5)


def test_the_reference_is_read_back_and_not_computed_again(model, pairs, tmp_path):
    together = collator(Plan(objective="dpo"), 2, model.config)
    first = with_reference(model, pairs, tmp_path, "rows", together, 4)
    assert with_reference(None, pairs, tmp_path, "rows", together, 4) == first
    with torch.no_grad():
        expected = answer_log_probabilities(model, together(pairs))
    torch.testing.assert_close(torch.tensor([p.reference for p in first]).T, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("damage", ["{", "[]", '{"rows": "rows", "log_probabilities": [[1, 2]]}', "other rows"])
def test_a_damaged_or_foreign_reference_is_computed_anew(model, pairs, tmp_path, damage):
    together = collator(Plan(objective="dpo"), 2, model.config)
    first = with_reference(model, pairs, tmp_path, "rows", together, 4)
    file = tmp_path / REFERENCE_FILE
    file.write_text(damage if damage != "other rows" else json.dumps(json.loads(file.read_text()) | {"rows": "x"}))
    assert with_reference(model, pairs, tmp_path, "rows", together, 4) == first


def test_rows_that_only_fill_up_a_step_count_for_nothing(model, pairs):
    empty = [type(p)(*(type(r)(r.input_ids, [IGNORED] * len(r)) for r in (p.chosen, p.rejected))) for p in pairs[:2]]
    alone, filled = collate_pairs(pairs[:4], 2, False), collate_pairs(pairs[:4] + empty, 2, False)
    assert count(filled, Plan(objective="dpo")) == 4
    torch.testing.assert_close(dpo_loss(model, filled, 4, 0.1), dpo_loss(model, alone, 4, 0.1), rtol=0, atol=1e-6)


def test_no_pairs_and_too_long_pairs_are_refused(tokenizer):
    with pytest.raises(CourseError, match="no preference pairs"):
        encode_pairs(tokenizer, [], 256)
    with pytest.raises(CourseError, match="longer than max_len = 20"):
        encode_pairs(tokenizer, PAIRS, 20)
