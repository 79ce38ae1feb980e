"""Choosing from a terminal: the same answers as the functions, in words and as JSON."""

import json

import pytest
from typer.testing import CliRunner

from course_lib import CourseError, Plan, Situation, compare_guides, estimate, recommend, score
from course_lib.cli import app

SITUATION = ["--gpu-gib", "16", "--n-examples", "2000", "--model-b", "7"]


def run(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(autouse=True)
def my_work(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "my_work"))
    return tmp_path / "my_work"


def test_recommend_prints_what_recommend_says():
    found = recommend(gpu_gib=16, n_examples=2000, model_b=7)
    assert str(found) in run("recommend", *SITUATION)


def test_recommend_as_json():
    found = recommend(gpu_gib=16, n_examples=2000, model_b=7)
    plain = json.loads(run("recommend", *SITUATION, "--json"))
    assert plain["method"] == found.method == "qlora"
    assert Plan(**plain["plan"]) == found.plan
    assert plain["reasons"][0] == {"text": found.reasons[0].text, "source": found.reasons[0].source}
    assert plain["what_would_change"]["field"] == "gpu_gib"


def test_a_saved_plan_is_the_one_that_estimate_takes(my_work):
    assert "Saved as my_plan.yaml" in run("recommend", *SITUATION, "--save")
    plan = Plan.from_yaml(my_work / "my_plan.yaml")
    assert plan == recommend(gpu_gib=16, n_examples=2000, model_b=7).plan
    assert str(estimate(plan)) in run("estimate")
    plain = json.loads(run("estimate", str(my_work / "my_plan.yaml"), "--gpu", "RTX 4090", "--json"))
    assert plain["memory"]["device_gib"] == estimate(plan, gpu="RTX 4090").device_gib
    assert plain["speed"]["tokens_per_s"] > 0


def test_compare_prints_each_guide_and_each_contradiction():
    said = run("compare", "--gpu-gib", "16")
    found = compare_guides(Situation(gpu_gib=16))
    assert all(f"{one.guide}:" in said for one in found)
    assert all(pair.text in said for pair in found.contradictions)
    plain = json.loads(run("compare", "--gpu-gib", "16", "--json"))
    assert len(plain["advice"]) == 5
    assert len(plain["contradictions"]) == len(found.contradictions)


def test_the_score_of_the_carried_rows():
    said = run("estimate", "--score")
    assert str(score()) in said
    assert "fitscout" in said
    assert "canifinetune" in said
    plain = json.loads(run("estimate", "--score", "--json"))
    assert plain["overall"] == score().overall("A")
    assert {"by_source", "by_method", "not_represented", "overall_ab"} <= set(plain)


def test_a_card_by_name_sets_its_memory():
    assert json.loads(run("recommend", "--gpu", "T4", "--json"))["situation"]["gpu_gib"] == pytest.approx(
        14.75, abs=0.1
    )


def test_a_card_by_name_gives_time_and_price_and_its_own_precision():
    said = run("recommend", "--gpu", "T4", "--model-b", "7")
    assert "Time: " in said
    assert "US dollars" in said
    plain = json.loads(run("recommend", "--gpu", "T4", "--model-b", "7", "--json"))
    assert plain["plan"]["precision"] == "fp16"  # a T4 has no bf16
    assert json.loads(run("recommend", "--gpu", "RTX 4090", "--model-b", "7", "--json"))["plan"]["precision"] == "auto"
    assert "give your GPU by name" in run("recommend", "--gpu-gib", "16", "--model-b", "7")


def test_compare_ends_with_the_memory_models_word():
    assert "The memory model: with QLoRA the largest model" in run("compare", "--gpu-gib", "16")
    assert "The memory model" not in run("compare")


def test_a_folder_that_cannot_be_written_gets_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "file" / "my_work"))
    with pytest.raises(CourseError, match="could not be written"):
        run("recommend", *SITUATION, "--save")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["recommend", "--gpu-gib", "-3"], "gpu_gib = -3.0: it must be greater"),
        (["recommend", "--gpu", "RTX 4091"], "nearest names are"),
        (["compare", "--goal", "win"], "goal = 'win': it must be"),
        (["recommend", "--n-examples", "5", "--save"], "There is no plan to save"),
        (["estimate"], "There is no plan file"),
        (["estimate", "--score", "no-such.csv"], "cannot be read"),
    ],
)
def test_a_wrong_call_gets_one_sentence(arguments, says):
    with pytest.raises(CourseError, match=says):
        run(*arguments)
