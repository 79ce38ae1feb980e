"""`course methods`: each method of the table, with figures that its own plan and PEFT give too."""

import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import CourseError, Plan, estimate
from course_lib.prove.methods_table import methods_table
from course_lib.run.methods import METHODS


def rows(**arguments) -> dict[str, dict[str, str]]:
    found = methods_table(**arguments)
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


def test_an_unknown_model_is_one_sentence():
    with pytest.raises(CourseError, match="nowhere/none"):
        methods_table("nowhere/none")


def test_in_a_terminal():
    said = subprocess.run(
        [Path(sys.executable).with_name("course"), "methods"], capture_output=True, text=True, check=True
    ).stdout
    assert all(f"\n{name} " in said for name in METHODS)
