"""Our own recommendation: the scenarios, each rule at its edge, and what must hold in any situation."""

import pytest
from situations import faults, random_situations

from course_lib import SCENARIOS, CourseError, Plan, Situation, recommend
from course_lib.choose import fitting, rules


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_the_six_scenarios_come_out_as_published(scenario):
    assert recommend(scenario.situation).method == scenario.method


CASES = [
    ({"n_examples": 99}, "prompting", "none"),
    ({"n_examples": 5000, "prompting_tried": False, "gpu_gib": 24}, "prompting", "none"),
    ({}, "hosted", "sft"),
    ({"gpu_gib": 4}, "hosted", "sft"),
    ({"gpu_gib": 0, "first_time": True}, "lora", "sft"),
    ({"gpu_gib": 0, "model_b": 0.135}, "lora", "sft"),
    ({"gpu_gib": 16, "n_examples": 2000, "model_b": 7}, "qlora", "sft"),
    ({"gpu_gib": 24, "model_b": 7}, "lora", "sft"),
    ({"gpu_gib": 24, "model_b": 70}, "hosted", "sft"),
    ({"gpu_gib": 80, "model_b": 70}, "qlora", "sft"),
    ({"gpu_gib": 80, "n_gpus": 8, "model_b": 7, "n_examples": 10_000, "quality": "best"}, "full", "sft"),
    ({"gpu_gib": 80, "n_gpus": 8, "model_b": 7, "n_examples": 9_999, "quality": "best"}, "lora", "sft"),
    ({"gpu_gib": 80, "n_gpus": 8, "model_b": 7, "n_examples": 10_000, "quality": "best", "n_tasks": 2}, "lora", "sft"),
    ({"gpu_gib": 24, "model_b": 3, "n_tasks": 3, "composable": True}, "adapters", "sft"),
    ({"gpu_gib": 24, "model_b": 3, "n_tasks": 3, "composable": True, "latency_critical": True}, "lora", "sft"),
    ({"gpu_gib": 80, "model_b": 14, "n_tasks": 10, "simple_task": True}, "prompt_tuning", "sft"),
    ({"gpu_gib": 80, "model_b": 14, "n_tasks": 9, "simple_task": True}, "lora", "sft"),
    ({"gpu_gib": 24, "goal": "reduce_harm", "preference_pairs": 500}, "lora", "dpo"),
    ({"gpu_gib": 24, "goal": "reduce_harm", "preference_pairs": 99}, "lora", "sft"),
    ({"gpu_gib": 24, "goal": "response_quality", "preference_pairs": 500}, "lora", "sft+dpo"),
    ({"gpu_gib": 24, "goal": "response_quality", "preference_pairs": 500, "n_examples": 50}, "lora", "dpo"),
    ({"gpu_gib": 24, "task": "classification"}, "lora", "classification"),
]


@pytest.mark.parametrize(("fields", "method", "objective"), CASES)
def test_each_rule_at_its_edge(fields, method, objective):
    found = recommend(**fields)
    assert (found.method, found.objective) == (method, objective)
    assert faults(found) == []


def test_what_does_not_fit_is_said_with_what_would_help():
    found = recommend(gpu_gib=40, model_b=70)
    assert found.method == "qlora"
    assert found.estimate.interval("device")[1] <= 40
    words = " ".join(str(reason) for reason in found.reasons)
    assert "does not fit" in words
    assert "smaller model" in words
    assert "GPUs with sharding" in words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n_examples": 500}, "few"),
        ({"has_eval_set": False}, "Set aside 10 to 20 %"),
        ({"goal": "reduce_harm"}, "pairs are not enough"),
        ({"goal": "response_quality"}, "preference pairs are not enough"),
        ({"domain_shift": "large"}, "far domain"),
        ({"n_examples": 50_000, "n_gpus": 8, "gpu_gib": 80, "quality": "best", "model_b": 7}, "cost general skills"),
    ],
)
def test_warnings(fields, words):
    with_it = recommend(**{"gpu_gib": 24, **fields})
    assert any(words in warning.text for warning in with_it.warnings)
    without = recommend(gpu_gib=24, n_examples=50_000)
    assert not any(words in warning.text for warning in without.warnings)


def test_numbers_follow_the_amount_of_data():
    def plan(n, **more):
        return recommend(gpu_gib=24, model_b=3, n_examples=n, **more).plan

    assert plan(200).rank < plan(5_000).rank < plan(5_000, task="code").rank < plan(50_000, task="code").rank
    assert plan(200).epochs > plan(5_000).epochs > plan(50_000).epochs == 1
    assert plan(200).lr > plan(5_000).lr
    assert plan(200).alpha == 2 * plan(200).rank
    assert plan(5_000).micro_batch * plan(5_000).grad_accum == fitting.ROWS_PER_STEP
    full = recommend(gpu_gib=80, n_gpus=8, model_b=7, n_examples=20_000, quality="best").plan
    assert 1e-5 <= full.lr <= 5e-5 < plan(5_000).lr


def test_the_plan_survives_yaml(tmp_path):
    plan = recommend(gpu_gib=16).plan
    assert Plan.from_yaml(plan.to_yaml(tmp_path / "plan.yaml")) == plan


def test_the_nearest_change_does_change_the_method():
    found = recommend(gpu_gib=16, model_b=7)
    change = found.what_would_change
    assert (change.field, change.method) == ("gpu_gib", "lora")
    assert recommend(found.situation.but(**{change.field: change.value})).method == change.method != found.method


def test_in_any_situation_one_answer_that_fits():
    for situation in random_situations(400, seed=1):
        found = recommend(situation)
        assert faults(found) == [], situation
        change = found.what_would_change
        assert change is None or recommend(situation.but(**{change.field: change.value})).method != found.method


def test_the_faults_are_found_when_they_are_there(monkeypatch):
    """Control: a model that forgets what a step needs recommends what does not fit."""
    monkeypatch.setattr(fitting, "need", lambda *_: 0.0)
    assert any("needs up to" in fault for s in random_situations(200, seed=2) for fault in faults(recommend(s)))


def test_every_rule_can_hold():
    situations = list(random_situations(4000, seed=3))
    groups = [rules.NOT_YET, rules.METHODS, rules.OBJECTIVES, rules.WARNINGS, *rules.SUPPORT.values()]
    for rule in (rule for group in groups for rule in group):
        assert any(rule.when(s) for s in situations), rule.text


@pytest.mark.parametrize(("fields", "says"), [({"gpu_gib": -1}, "gpu_gib = -1"), ({"gpu": 16}, "did you mean")])
def test_bad_input_gets_one_sentence(fields, says):
    with pytest.raises(CourseError, match=says):
        recommend(**fields)


def test_a_situation_or_its_fields_are_the_same():
    assert recommend(Situation(gpu_gib=16)).plan == recommend(gpu_gib=16).plan
    assert recommend(Situation(gpu_gib=16), model_b=7).situation == Situation(gpu_gib=16, model_b=7)


def test_the_text_says_what_the_fields_say():
    found = recommend(gpu_gib=16)
    text = str(found)
    assert text.startswith("qlora, objective sft, on ")
    assert all(reason.text in text for reason in found.reasons)
