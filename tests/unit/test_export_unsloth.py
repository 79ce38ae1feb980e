"""Plans as scripts for Unsloth; tests/slow/test_unsloth_script.py checks their calls against Unsloth's source."""

import ast

import pytest

from course_lib.exports import to_unsloth
from course_lib.plan import Plan


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, ["Never run:", "load_in_4bit=False", "full_finetuning=False", 'target_modules="all-linear"']),
        ({"method": "qlora"}, ["load_in_4bit=True"]),
        ({"method": "full"}, ["full_finetuning=True", "float32_mixed_precision=True"]),
        ({"method": "full", "objective": "dpo"}, ["precompute_ref_log_probs=True"]),
        ({"variant": "dora", "first_layer": 9}, ["use_dora=True", "range(9, model.config.num_hidden_layers)"]),
        ({"objective": "dpo", "beta": 0.4}, ["beta=0.4"]),
        ({"objective": "sft+dpo", "lr": 2e-3}, ["learning_rate=0.002", "learning_rate=0.0001,", '"out/sft"', '"out"']),
        ({"objective": "sft+dpo", "dpo_lr": 7e-6}, ["learning_rate=7e-06,"]),
        ({"objective": "cpt+sft"}, ['"out/cpt"', "add_special_tokens=False"]),
        ({"n_gpus": 2, "sharding": "ddp"}, ["accelerate launch --num_processes 2 --multi_gpu train.py"]),
    ],
)
def test_what_the_plan_says_stands_in_the_script_for_unsloth(fields, shown):
    script = to_unsloth(Plan(**fields))
    for piece in shown:
        assert piece in script
    assert all(len(line) <= 120 for line in script.splitlines())
    assert next(node.module for node in ast.walk(ast.parse(script)) if isinstance(node, ast.ImportFrom)) == "unsloth"
    if not fields:
        for foreign in ("DPO", "Dataset,", "cpt", "select(", "revision", "precompute"):
            assert foreign not in script


def test_names_with_quotes_and_backslashes_stay_inside_their_strings_for_unsloth():
    tree = ast.parse(to_unsloth(Plan(model='C:\\m"""\\n', data='x"""; import os #.csv')))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import) and node.names[0].name == "os"]
    model = next(node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "MODEL")
    assert ast.literal_eval(model.value) == 'C:\\m"""\\n'
