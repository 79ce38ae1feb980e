import time

import pytest
from exercise_harness import assert_exercise

from course_lib import Situation, compare_guides, largest_model, recommend
from course_lib.choose.guides import lesson4
from course_lib.learn.lesson_102 import BASE, CARD_GIB, q1, q2, q3
from course_lib.prove.tables import table

THRIFTY = {"max_len": 1024, "micro_batch": 1, "gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"}
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
GIB = 2**30


def qlora_gib(params, trained):
    return (params * NF4 + trained * 16) / GIB


def test_by_hand():
    wrongs = [
        (lambda p, t: (p * 0.5 + t * 16) / GIB, "exactly half a byte"),
        (lambda p, t: (p * (0.5 + 1 / 64) + t * 16) / GIB, "scales of the scales"),
        (lambda p, t: (p * (0.5 + 4 / 64) + t * 16) / GIB, "double quantisation"),
        (lambda p, t: (p * 1 + t * 16) / GIB, "one byte each"),
        (lambda p, t: (p * 2 + t * 16) / GIB, "two bytes each"),
        (lambda p, t: (p * 4 + t * 16) / GIB, "four bytes each"),
        (lambda p, t: (p * NF4 * 8 + t * 16) / GIB, "in bits"),
        (lambda p, t: p * NF4 / GIB, "what is trained is missing"),
        (lambda p, t: (p * NF4 + t * 4) / GIB, "only the weights"),
        (lambda p, t: (p * NF4 + t * 8) / GIB, "two numbers"),
        (lambda p, t: (p * NF4 + t * 12) / GIB, "three numbers"),
        (lambda p, t: (p * NF4 + t * 16) / 1e9, "in GB"),
        (lambda p, t: p * NF4 + t * 16, "in bytes"),
        (lambda p, t: (p * NF4 + t * 16) / 2**20, "in MiB"),
        (lambda p, t: (p * 0.5 + t * 4) / 1e9, "exactly half a byte"),
        (lambda p, t: (p * 0.5 + t * 4) / 1e9, "only the weights"),
        (lambda p, t: (p * 0.5 + t * 4) / 1e9, "in GB"),
        (lambda p, t: (p + t) * NF4 / GIB, "not quantised"),
        (lambda p, t: p * (NF4 + 16) / GIB, "only what is trained"),
        (lambda p, t: (7.6e9 * NF4 + 40e6 * 16) / GIB, "no fixed numbers"),
        (lambda p, t: 12.0, "bytes for a frozen weight"),
        (lambda p, t: True, "bool"),
    ]
    assert_exercise(q1, {"qlora_gib": qlora_gib}, [({"qlora_gib": f}, word) for f, word in wrongs])


def changed(**fields):
    return recommend(Situation(**BASE).but(**fields))


def test_the_situation_for_full_fine_tuning():
    right = changed(n_examples=10_000, quality="best", gpu_gib=80.0)
    wrongs = [
        (Situation(**BASE), "pass it to `recommend`"),
        ("full", "not str"),
        (changed(), "you started from"),
        (changed(n_examples=50), "nothing is trained"),
        (changed(quality="best", gpu_gib=80.0), "too few"),
        (changed(n_examples=10_000, gpu_gib=80.0), "nothing asks for more"),
        (changed(n_examples=10_000, quality="best"), "does not fit"),
        (changed(n_examples=10_000, quality="best", n_tasks=2), "n_tasks speak"),
        (changed(n_examples=10_000, quality="best", gpu_gib=80.0, domain_shift="large"), "3 are enough"),
    ]
    assert_exercise(q2, {"mine": right}, [({"mine": mine}, word) for mine, word in wrongs])


@pytest.mark.parametrize(
    "fields",
    [
        {"n_examples": 10_000, "domain_shift": "large", "gpu_gib": 80.0},
        {"n_examples": 50_000, "goal": "max_customization", "model_b": 0.5},
        {"n_examples": 10_000, "quality": "best", "n_gpus": 8},
    ],
)
def test_there_is_more_than_one_way_to_full_fine_tuning(fields):
    assert q2.judge({"mine": changed(**fields)})[0] == "Correct"


def test_the_base_does_not_get_it_and_no_two_changes_do():
    assert changed().method != "full"
    assert changed(n_examples=10**6, quality="best").method != "full"


@pytest.fixture(scope="module")
def clashes():
    return compare_guides(Situation(gpu_gib=CARD_GIB)).contradictions


@pytest.fixture(scope="module")
def sizes(clashes):
    return [c for c in clashes if c.topic == "model size" and c.a.model_b]


def of(pair, supported):
    return {"first": pair.a, "second": pair.b, "supported": supported}


def test_a_contradiction_is_settled(clashes, sizes):
    largest = largest_model(CARD_GIB, "qlora", **THRIFTY)
    pair = next(c for c in sizes if c.a.model_b == (7, 70) and c.b.model_b == (0, 13))
    large = {"first": pair.a, "second": next(c for c in sizes if c.b.model_b[0] == 65).b}
    lora = compare_guides(Situation(gpu_gib=48)).contradictions
    lora = next(c for c in lora if c.topic == "model size" and c.a.model_b and "qlora" not in c.a.methods)
    start = compare_guides(Situation(gpu_gib=16)).contradictions
    start = next(c for c in start if c.topic == "model size" and c.a.model_b is None)
    other = next(c for c in clashes if c.topic == "method")
    wrongs = [
        ({"largest": largest * 1e9}, "billions are asked for"),
        ({"largest": largest_model(CARD_GIB, "lora", **THRIFTY)}, "LoRA can hold"),
        ({"largest": largest_model(CARD_GIB, "qlora")}, "settings that save memory"),
        ({"largest": largest_model(48, "qlora", **THRIFTY)}, "too much"),
        ({"largest": "8"}, "number of billions"),
        ({"verdict": "first"}, "should be a dict"),
        ({"verdict": {"first": pair.a, "second": pair.b}}, "no supported"),
        ({"verdict": {"first": pair, "second": pair.b, "supported": "first"}}, "`.a` and `.b`"),
        ({"verdict": {"first": "7-8B", "second": "13B", "supported": "first"}}, "no statement"),
        ({"verdict": of(other, "first")}, "about method"),
        ({"verdict": of(start, "first")}, "with which model to start"),
        ({"verdict": {"first": pair.a, "second": pair.a, "supported": "first"}}, "same statement"),
        ({"verdict": of(lora, "first")}, "not about QLoRA"),
        ({"verdict": of(pair, "first")}, "other way round"),
        ({"verdict": of(pair, "neither")}, "that one is supported"),
        ({"verdict": of(pair, pair.a)}, '"first", "second" and "neither"'),
        ({"verdict": large | {"supported": "second"}}, "too large too"),
    ]
    assert_exercise(q3, {"largest": largest, "verdict": of(pair, "second")}, wrongs)


def test_every_pair_on_size_can_be_the_answer(sizes):
    largest = largest_model(CARD_GIB, "qlora", **THRIFTY)
    for pair in sizes:
        found = [
            s
            for s in ("first", "second", "neither")
            if q3.judge({"largest": largest, "verdict": of(pair, s)})[0] == "Correct"
        ]
        assert len(found) == 1, pair.text


def test_the_answers_that_are_shown_are_right():
    names = {"recommend": recommend, "largest_model": largest_model, "base": Situation(**BASE), "thrifty": THRIFTY}
    names["clashes"] = compare_guides(Situation(gpu_gib=CARD_GIB)).contradictions
    for exercise in (q1, q2, q3):
        exec(exercise.answer, names)
        start = time.perf_counter()
        outcome, message = exercise.judge(names)
        assert outcome == "Correct", message
        assert time.perf_counter() - start < 1


def test_a_table_of_the_page_in_a_terminal_and_in_a_notebook():
    shown = table([{"claim": "<8GB", "verdict": "partly"}, {"claim": "word " * 12, "verdict": "holds"}], "memory")
    assert str(shown).splitlines()[:2] == ["memory", f"{'claim':<39}  verdict"]
    assert len(str(shown).splitlines()) == 5  # the long cell takes two lines
    assert '<th scope="row"' in shown._repr_html_()
    assert "&lt;8GB" in shown._repr_html_()
    assert "<8GB" not in shown._repr_html_()


def test_a_table_of_a_guide_says_where_it_stands():
    shown = table(lesson4.TABLES["goal"], "lesson4")
    assert shown.caption == "lesson4: 2. What's Your Goal?"
    assert len(shown.rows) == 5
