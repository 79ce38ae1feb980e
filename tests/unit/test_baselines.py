"""What others predict: the rules of thumb by hand, and the table of the tools' answers."""

import csv
from importlib import resources
from types import SimpleNamespace

import pytest

from course_lib.choose.baselines import RULES, predictions
from course_lib.choose.published import read_rows
from course_lib.choose.setup import NF4, Setup
from course_lib.choose.shapes import ModelShape

MISTRAL = ModelShape.of("mistralai/Mistral-7B-v0.1")  # 7.241732096 billion parameters
PUBLISHED = resources.files("course_lib.choose.published")
ANSWERS = list(csv.DictReader(PUBLISHED.joinpath("baselines.csv").read_text(encoding="utf-8").splitlines()))
TOOLS = ("fitscout", "canifinetune")


def rule(name, **settings):
    return RULES[name](SimpleNamespace(setup=Setup(shape=MISTRAL, rows=1, seq=1024, **settings)))


@pytest.mark.parametrize(
    ("settings", "gib"),
    [
        ({"method": "full", "weight": 4}, 124.14),  # 120 / 7 * 7.2417
        ({"method": "full", "master": True}, 124.14),
        ({"method": "full"}, 62.07),  # 60 / 7 * 7.2417
        ({"method": "lora"}, 16.55),  # 16 / 7 * 7.2417
        ({"method": "dora"}, 16.55),
        ({"method": "qlora", "quantised": 1.0}, 10.35),  # 10 / 7 * 7.2417
        ({"method": "qlora", "quantised": NF4}, 6.21),  # 6 / 7 * 7.2417
        ({"method": "lora", "weight": 4}, None),
        ({"method": "ia3"}, None),
        ({"method": "full", "sharding": "fsdp", "n_gpus": 2}, None),
    ],
)
def test_llama_factorys_table_by_hand(settings, gib):
    assert rule("LLaMA-Factory rule", **settings) == (gib and pytest.approx(gib, abs=0.005))


@pytest.mark.parametrize(
    ("settings", "gib"),
    [
        ({"method": "full"}, 53.96),  # 4 * 2 bytes * 7.2417e9 / 2**30
        ({"method": "lora"}, 53.96),
        ({"method": "full", "weight": 4}, 107.91),
        ({"method": "qlora", "quantised": NF4}, None),
        ({"method": "full", "optimizer": "sgd"}, None),
        ({"method": "full", "sharding": "zero3", "n_gpus": 4}, None),
    ],
)
def test_four_times_the_weights_by_hand(settings, gib):
    assert rule("accelerate's 4x", **settings) == (gib and pytest.approx(gib, abs=0.005))


def test_the_rule_for_adam_is_accelerates_own():
    estimate = pytest.importorskip("accelerate.commands.estimate")
    in_fp32 = 4 * MISTRAL.params
    for weight, dtype in ((2, "bfloat16"), (4, "float32")):
        theirs = max(estimate.estimate_training_usage(in_fp32, dtype).values()) / 2**30
        assert rule("accelerate's 4x", method="full", weight=weight) == pytest.approx(theirs)
    assert max(estimate.estimate_training_usage(in_fp32, "int4").values()) < 0  # printed as N/A


def test_every_answer_belongs_to_a_published_row_of_quality_a_or_b_with_a_peak():
    rows = {cells["id"]: cells for cells in read_rows()}
    for line in ANSWERS:
        cells = rows[line["id"]]
        assert cells["config_quality"] in ("A", "B")
        assert float(cells["peak_gib_per_gpu"]) > 0


def test_both_tools_were_asked_about_the_same_rows_once_and_in_one_version():
    asked = {tool: [line["id"] for line in ANSWERS if line["tool"] == tool] for tool in TOOLS}
    assert asked["fitscout"] == asked["canifinetune"]
    assert len(asked["fitscout"]) == len(set(asked["fitscout"])) > 300
    assert len(ANSWERS) == 2 * len(asked["fitscout"])
    assert len({(line["tool"], line["version"]) for line in ANSWERS}) == 2


def test_there_is_either_a_prediction_or_a_reason():
    for line in ANSWERS:
        assert bool(line["predicted_gib"]) != bool(line["why_not"]), line
        if line["predicted_gib"]:
            assert 0 < float(line["predicted_gib"]) < 10_000


def test_predictions_are_the_lines_of_the_table():
    for line in ANSWERS:
        expected = float(line["predicted_gib"]) if line["predicted_gib"] else None
        assert predictions(line["id"])[line["tool"]] == expected
    assert predictions("no such row") == {}


def test_a_caller_cannot_change_the_table():
    name = ANSWERS[0]["id"]
    predictions(name).clear()
    assert set(predictions(name)) == set(TOOLS)
