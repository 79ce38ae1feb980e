"""Perplexity, bits per byte and preferences are what a plain loop over the model's own probabilities gives."""

import math

import numpy as np
import pytest
import torch

from course_lib import Plan, evaluate
from course_lib.prove import log_likelihood
from course_lib.prove.log_likelihood import of_pairs, of_texts, preferences, rewards, text_windows
from course_lib.run.methods import load_base, load_tokenizer, prepare

TEXTS = [{"text": "The sea is wide, and the sky is ñot."}, {"text": "Ja."}]
PAIRS = [
    {
        "prompt": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": f"Hello {i}?"}],
        "chosen": [{"role": "assistant", "content": "Hello to you, and a good day."}],
        "rejected": [{"role": "assistant", "content": "No" + "!" * i}],
    }
    for i in range(3)
]


@pytest.fixture(scope="module", params=["full", "lora", "prompt_tuning"])
def model(request, tiny):
    model = prepare(tiny, Plan(model=str(tiny), method=request.param, precision="fp32")).eval()
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if "proj" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return model


@torch.inference_mode()
def log_probability(model, ids: list[int], first: int) -> float:
    """Of the tokens from position `first` on."""
    logp = model(input_ids=torch.tensor([ids])).logits[0, -len(ids) :].log_softmax(-1)
    return sum(float(logp[i - 1, ids[i]]) for i in range(first, len(ids)))


def test_every_token_of_a_text_is_predicted_once(model, tiny):
    tokenizer, eos = load_tokenizer(tiny), load_tokenizer(tiny).eos_token_id
    tables = of_texts(model, tokenizer, TEXTS)
    for row, (nats, tokens), (same, octets) in zip(TEXTS, *tables.values(), strict=True):
        ids = tokenizer(row["text"])["input_ids"]
        assert nats == same == pytest.approx(-log_probability(model, [eos, *ids], 1), rel=1e-4)
        assert (tokens, octets) == (len(ids), len(row["text"].encode()))


def test_a_long_text_is_cut_into_windows_that_see_one_token_before(tiny):
    tokenizer = load_tokenizer(tiny)
    windows = text_windows(tokenizer, "abcdefg", 3)
    ids = [tokenizer.eos_token_id, *tokenizer("abcdefg")["input_ids"]]
    assert [window.input_ids for window in windows] == [ids[0:4], ids[3:7], ids[6:8]]
    assert [token for window in windows for token in window.labels[1:]] == ids[1:]


def test_a_byte_of_a_byte_tokenizer_is_a_token(tiny):
    scores = evaluate(load_base(tiny, Plan(model=str(tiny), precision="fp32")).eval(), TEXTS)
    assert scores["bits_per_byte"].value == pytest.approx(math.log2(scores["perplexity"].value))
    assert 7 < scores["bits_per_byte"].value < 9  # a random model
    assert scores["perplexity"].low < scores["perplexity"].value < scores["perplexity"].high


def test_a_pair_is_judged_by_its_answers_tokens(model, tiny):
    tokenizer = load_tokenizer(tiny)
    logp, tokens = of_pairs(model, tokenizer, PAIRS)
    for pair, sums, counts in zip(PAIRS, logp, tokens, strict=True):
        prompt = tokenizer.apply_chat_template(pair["prompt"], add_generation_prompt=True, return_dict=True)[
            "input_ids"
        ]
        for which, total, n in zip(("chosen", "rejected"), sums, counts, strict=True):
            said = pair[which][0]["content"] + "<|im_end|>"
            ids = [*prompt, *tokenizer(said)["input_ids"]]
            assert total == pytest.approx(log_probability(model, ids, len(prompt)), rel=1e-4)
            assert n == len(ids) - len(prompt)


def test_the_sum_prefers_short_answers_and_the_mean_does_not():
    logp, tokens = np.array([[-10.0, -3.0], [-4, -9]]), np.array([[10, 2], [8, 9]])
    found = preferences(logp, tokens)
    assert found["preference_accuracy"].tolist() == [0, 1]
    assert found["preference_accuracy_per_token"].tolist() == [1, 1]


def test_rewards_are_those_of_the_paper():
    found = rewards(np.array([[-10.0, -3.0], [-4, -9]]), np.array([[-12.0, -3.5], [-4, -9]]), beta=0.1)
    assert found["reward_margin"].tolist() == pytest.approx([0.1 * (2 - 0.5), 0])
    assert found["reward_accuracy"].tolist() == [1, 0]  # where nothing moved, nothing was learned


def test_a_pairs_answers_are_kept_for_reading(tiny):
    model = load_base(tiny, Plan(model=str(tiny), precision="fp32")).eval()
    scores = evaluate(model, PAIRS)
    logp, _ = of_pairs(model, load_tokenizer(tiny), PAIRS)
    assert [answer.right for answer in scores.answers] == [bool(chosen > rejected) for chosen, rejected in logp]
    assert not any(answer.right for answer in scores.answers), "a random model prefers the shorter answer"
    assert [answer.said for answer in scores.failures()] == [pair["rejected"][0]["content"] for pair in PAIRS]
    assert scores.answers[0].asked == "Hello 0?"
    assert scores["preference_accuracy"].n == 3


def test_control_a_chosen_answer_judged_with_its_prompt_is_another_number(tiny, monkeypatch):
    model, tokenizer = load_base(tiny, Plan(model=str(tiny), precision="fp32")).eval(), load_tokenizer(tiny)
    right, _ = of_pairs(model, tokenizer, PAIRS)
    whole = log_likelihood.encode_pairs

    def everything(*args):
        pairs = whole(*args)
        for pair in pairs:
            pair.chosen.labels[:] = pair.chosen.input_ids
        return pairs

    monkeypatch.setattr(log_likelihood, "encode_pairs", everything)
    assert not np.allclose(right, of_pairs(model, tokenizer, PAIRS)[0])
