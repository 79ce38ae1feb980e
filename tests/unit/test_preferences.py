"""Pairs from one's own model: the checker decides, ties give none, the same seed gives the same answers."""

import pytest

from course_lib.errors import CourseError
from course_lib.run import preferences
from course_lib.run.data import load, write_jsonl
from course_lib.run.preferences import sample_pairs


def chat(question, answer):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


ROWS = [chat(f"Question {i}?", f"wanted {i}") for i in range(12)]


@pytest.fixture
def said(monkeypatch):
    """Answers without a model; what `answers` was asked with is in the list."""
    asked = []

    def answers(model, tokenizer, rows, max_new_tokens, what, temperature):
        asked.append((model, len(rows), max_new_tokens, temperature))
        texts = ("wrong", "", "nearly", "wanted", "wrong", "wrong", "wrong", "a\0b")
        return [texts[i % 8] for i in range(len(rows))]

    monkeypatch.setattr(preferences, "answers", answers)
    return asked


def length_of_likeness(said, wanted):
    return {"wrong": 0.0, "nearly": 0.5, "wanted": 1.0}[said]


def test_best_and_worst_make_a_pair_and_ties_none(said):
    found = sample_pairs("model", None, ROWS, length_of_likeness, max_new_tokens=9, temperature=0.5)
    assert said == [("model", 48, 9, 0.5)]
    assert found.rows == [
        {
            "prompt": row["messages"][:1],
            "chosen": [{"role": "assistant", "content": "wanted"}],
            "rejected": [{"role": "assistant", "content": "wrong"}],
        }
        for row in ROWS[::2]
    ]
    assert (found.asked, found.n_samples, found.chosen_score, found.rejected_score) == (12, 4, 1.0, 0.0)
    assert str(found) == (
        "6 of 12 prompts gave a pair from 4 answers each (mean score 1.00 for the chosen, 0.00 for the rejected); "
        "for the others all answers scored the same. The judge is a program, not a person."
    )


def test_the_checker_decides(said):
    turned = sample_pairs("model", None, ROWS, lambda said, wanted: -length_of_likeness(said, wanted))
    assert {row["chosen"][0]["content"] for row in turned.rows} == {"wrong"}
    nothing = sample_pairs("model", None, ROWS, lambda said, wanted: 0.3)
    assert nothing.rows == []
    assert str(nothing).startswith("0 of 12 prompts gave a pair from 4 answers each; for the others")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rows": []}, "no chats"),
        ({"n_samples": 1}, "two answers or more"),
        ({"temperature": 0}, "above 0"),
        ({"temperature": float("nan")}, "above 0"),
        ({"checker": lambda said, wanted: float("nan")}, "the score nan"),
        ({"checker": lambda said, wanted: None}, "the score None"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, words, said):
    with pytest.raises(CourseError, match=words):
        sample_pairs("model", None, **{"rows": ROWS, "checker": length_of_likeness, **arguments})


@pytest.mark.slow
def test_a_real_model_draws_answers_that_are_written_and_read_again(tiny, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny).eval(), AutoTokenizer.from_pretrained(tiny)
    before = torch.random.get_rng_state()

    def draw(seed, temperature=1.0):
        return sample_pairs(
            model, tokenizer, ROWS, lambda said, wanted: len(said), 3, temperature, seed, max_new_tokens=6
        )

    one = draw(0)
    assert one.rows == draw(0).rows
    assert one.rows != draw(1).rows
    assert len(one.rows) > 6
    assert draw(0, temperature=1e-4).rows == [], "control: without chance all answers are the same"
    assert torch.random.get_rng_state().equal(before)
    assert all(len(row["chosen"][0]["content"]) > len(row["rejected"][0]["content"]) for row in one.rows)
    more = [row | {"prompt": [{"role": "user", "content": f"{i}: {i * 7}"}]} for i, row in enumerate(one.rows * 3)]
    found = load(write_jsonl(tmp_path / "pairs.jsonl", more), form="pair")
    assert len(found.train + found.valid + found.test) == len(more)
