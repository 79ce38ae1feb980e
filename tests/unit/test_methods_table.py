"""`course methods`: each method and objective of the tables, with figures that its own plan gives too."""

import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import CourseError, Plan, estimate
from course_lib.choose_cli import methods
from course_lib.prove.methods_table import LOSSES, methods_table, objectives_table
from course_lib.prove.metrics import FITTING
from course_lib.run.methods import METHODS
from course_lib.run.objectives import OBJECTIVES


def rows(made=methods_table, **arguments) -> dict[str, dict[str, str]]:
    found = made(**arguments)
    return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}


def test_each_method_has_its_row_with_the_figures_of_its_plan():
    found = rows(gpu="T4")
    assert list(found) == list(METHODS)
    assert found["full"]["trains"] == "100.00%"
    assert found["full"]["merges"] == "nothing to merge"
    assert [name for name in found if found[name]["merges"] == "no"] == [
        "adapters", "prompt_tuning", "prefix_tuning", "p_tuning",
    ]  # fmt: skip
    lora = estimate(Plan(model="smollm2-135m", method="lora"), gpu="T4").device_gib
    assert found["lora"]["GiB on the device (95 %)"].startswith(f"{lora:.2f} (")
    assert found["qlora"]["lesson"] == "205"


def test_another_model_gives_other_figures():
    small, large = rows(), rows(model="Qwen/Qwen2.5-7B-Instruct")
    assert all(small[name]["GiB on the device (95 %)"] != large[name]["GiB on the device (95 %)"] for name in METHODS)
    assert float(large["lora"]["trains"].rstrip("%")) < float(small["lora"]["trains"].rstrip("%"))


def test_each_objective_has_its_row_with_the_figures_of_its_plan():
    found = rows(objectives_table, gpu="T4")
    assert list(found) == list(OBJECTIVES)
    dpo = estimate(Plan(model="smollm2-135m", objective="dpo"), gpu="T4").device_gib
    assert found["dpo"]["GiB on the device (95 %)"].startswith(f"{dpo:.2f} (")
    assert found["cpt+sft"]["rows (field of the plan)"] == "plain texts (texts), then chats (data)"
    assert found["sft+dpo"]["loss, nats"] == "that of sft and then that of dpo"
    assert found["sft+dpo"]["lesson"] == "208"


def test_every_stage_says_what_its_loss_is_and_every_score_can_be_had():
    assert set(LOSSES) == {stage for objective in OBJECTIVES.values() for stage in objective.stages}
    known = {metric for metrics in FITTING.values() for metric in metrics}
    assert all(set(objective.scores) <= known for objective in OBJECTIVES.values())


def test_of_an_encoder_only_what_it_can_do_is_told():
    assert list(rows(objectives_table, model="minilm-l6")) == ["classification"]
    assert "prefix_tuning" not in rows(model="minilm-l6")


@pytest.mark.parametrize("made", [methods_table, objectives_table])
def test_an_unknown_model_is_one_sentence(made):
    with pytest.raises(CourseError, match="nowhere/none"):
        made("nowhere/none")


def test_both_tables_are_printed(capsys):
    methods()
    said = capsys.readouterr().out
    assert all(f"\n{name} " in said for name in (*METHODS, *OBJECTIVES))


@pytest.mark.slow
def test_in_a_terminal():
    said = subprocess.run(
        [Path(sys.executable).with_name("course"), "methods"], capture_output=True, text=True, check=True
    ).stdout
    assert all(f"\n{name} " in said for name in (*METHODS, *OBJECTIVES))
