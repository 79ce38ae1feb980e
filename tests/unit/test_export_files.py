"""Plans as files for TRL, LLaMA-Factory and axolotl; tests/slow/test_export_parsers.py hands them to the tools' parsers."""

import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import yaml
from typer.testing import CliRunner

import course_lib
from course_lib.cli import app
from course_lib.errors import CourseError
from course_lib.exports import to_axolotl, to_llamafactory, to_script, to_trl_yaml, to_unsloth
from course_lib.plan import Plan

METHODS = get_args(Plan.model_fields["method"].annotation)
OBJECTIVES = get_args(Plan.model_fields["objective"].annotation)
OPTIONS = json.loads(Path(__file__).with_name("export_options.json").read_text())
FILES = (to_trl_yaml, to_llamafactory, to_axolotl)
FORMS = (*FILES, to_unsloth)
TRAINED = ("full", "lora", "qlora")


def refusal(form, plan: Plan) -> str:
    """The one sentence with which a form refuses a plan; it ends in advice that can be taken."""
    with pytest.raises(CourseError) as error:
        form(plan)
    said = str(error.value)
    assert said.endswith(".")
    assert ". " not in said
    assert "\n" not in said
    if "to_script()" in said:
        to_script(plan)
    return said


@pytest.mark.parametrize("form", FORMS)
def test_every_method_and_objective_is_written_or_refused(form):
    for method, objective in itertools.product(METHODS, OBJECTIVES):
        plan = Plan(method=method, objective=objective)
        two_stages = form is to_unsloth and "+" in objective
        if method in TRAINED and (objective in ("sft", "dpo", "cpt") or two_stages):
            form(plan)
        else:
            assert "use " in refusal(form, plan), plan


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"replay": 0.2}, "set replay to 0.0"),
        ({"kl": 0.1}, "set kl to 0.0"),
        ({"early_stop": 0.1}, "set early_stop to None"),
        ({"layer_decay": 0.9}, "set layer_decay to 1.0"),
        ({"precision": "fp32", "attention": "flash_attention_2"}, "attention to sdpa"),
        ({"method": "adapters", "replay": 0.2}, "use `train`, or set method to lora"),
    ],
)
def test_what_no_tool_can_do_is_refused_by_name(form, fields, advice):
    assert advice in refusal(form, Plan(**fields))


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("fields", [{"first_layer": 3}, {"alpha": 2.5}, {"objective": "sft+dpo"}])
def test_what_a_file_of_options_cannot_say_is_refused(form, fields):
    assert "use plan.to_script()" in refusal(form, Plan(**fields))
    to_unsloth(Plan(**fields))  # a script can


@pytest.mark.parametrize(
    ("form", "fields", "advice"),
    [
        (to_llamafactory, {"precision": "fp32"}, "set precision to auto"),
        (to_llamafactory, {"objective": "dpo", "variant": "pissa"}, "set variant to plain"),
        (to_llamafactory, {"objective": "dpo", "dropout": 0.1}, "set dropout to 0"),
        (to_llamafactory, {"objective": "dpo", "loss": "fused_linear"}, "set loss to targets"),
        (to_axolotl, {"objective": "dpo", "dropout": 0.1}, "set dropout to 0"),
        (to_axolotl, {"method": "full", "precision": "bf16"}, "set precision to auto"),
        (to_axolotl, {"method": "full", "attention": "flash_attention_2"}, "set attention to sdpa"),
        (to_axolotl, {"optimizer": "adamw_8bit", "n_gpus": 2, "sharding": "fsdp"}, "set optimizer to adamw_torch"),
        (
            to_axolotl,
            {"method": "qlora", "objective": "dpo", "n_gpus": 2, "sharding": "fsdp"},
            "set sharding to zero2",
        ),
        (to_unsloth, {"precision": "fp32"}, "set precision to auto"),
        (to_unsloth, {"n_gpus": 2, "sharding": "fsdp"}, "set sharding to ddp"),
        (to_unsloth, {"objective": "sft+dpo", "dropout": 0.1}, "set dropout to 0"),
        *((form, {"variant": "pissa"}, "set variant to plain") for form in (to_trl_yaml, to_axolotl, to_unsloth)),
    ],
)
def test_what_one_tool_cannot_do_is_refused(form, fields, advice):
    assert advice in refusal(form, Plan(**fields))


PLANS = [
    Plan(),
    Plan(method="full", lr=1e-5),
    Plan(method="qlora", targets=("q_proj", "v_proj"), n_train=50, revision="abc"),
    Plan(objective="dpo", lr=1e-4, precision="bf16", beta=0.4),
    Plan(objective="cpt", method="qlora", max_len=700),
    Plan(precision="fp16", attention="flash_attention_2", loss="fused_linear", gradient_checkpointing=True),
    Plan(variant="dora"),
    Plan(method="qlora", variant="rslora"),
    Plan(n_gpus=2, sharding="zero2"),
    Plan(n_gpus=4, sharding="fsdp"),
]


@pytest.mark.parametrize("plan", PLANS, ids=range(len(PLANS)))
def test_option_names_are_those_of_the_tools(plan):
    factory, axolotl = yaml.safe_load(to_llamafactory(plan)), yaml.safe_load(to_axolotl(plan))
    assert set(factory) <= set(OPTIONS["llamafactory"]["names"].split())
    assert set(axolotl) <= set(OPTIONS["axolotl"]["names"].split())
    assert set(axolotl["datasets"][0]) <= set(OPTIONS["axolotl"]["dataset_names"].split())
    for options, lora in ((factory, "lora_rank"), (axolotl, "lora_r")):
        assert options["learning_rate"] == plan.lr
        assert isinstance(options["learning_rate"], float)
        assert options.get(lora) == (plan.rank if plan.method != "full" else None)
        assert options["seed"] == plan.seed
    assert factory["cutoff_len"] == axolotl["sequence_len"] == plan.max_len
    assert factory.get("quantization_bit") == (4 if plan.method == "qlora" else None)
    assert axolotl.get("load_in_4bit") == (True if plan.method == "qlora" else None)
    beta = plan.beta if plan.objective == "dpo" else None
    assert factory.get("pref_beta") == axolotl.get("rl_beta") == beta
    for name in ("dora", "rslora"):
        wanted = True if plan.variant == name else None
        assert factory.get(f"use_{name}") == axolotl.get(f"peft_use_{name}") == wanted


@pytest.mark.parametrize(
    ("form", "sft", "dpo", "cpt"),
    [
        (
            to_trl_yaml,
            {"completion_only_loss": True, "packing": False},
            {"beta": 0.1},
            {"packing": True, "packing_strategy": "wrapped"},
        ),
        (to_llamafactory, {"stage": "sft", "packing": False}, {"stage": "dpo", "pref_beta": 0.1}, {"stage": "pt"}),
        (to_axolotl, {"sample_packing": False}, {"rl": "dpo", "rl_beta": 0.1}, {"sample_packing": True}),
    ],
)
def test_each_objective_in_the_words_of_the_tool(form, sft, dpo, cpt):
    for objective, words in (("sft", sft), ("dpo", dpo), ("cpt", cpt)):
        text = form(Plan(objective=objective))
        assert words.items() <= yaml.safe_load(text).items()
        assert {"sft": "train.jsonl", "dpo": "pairs.jsonl", "cpt": "texts.jsonl"}[objective] in text
    assert "packing" not in yaml.safe_load(
        to_llamafactory(Plan(objective="cpt"))
    )  # it would cut blocks one token short


def test_only_llamafactory_turns_a_pissa_adapter_into_one_that_fits_the_untouched_model():
    factory = yaml.safe_load(to_llamafactory(Plan(variant="pissa")))
    assert factory["pissa_init"] is factory["pissa_convert"] is True
    assert set(factory) <= set(OPTIONS["llamafactory"]["names"].split())


@pytest.mark.parametrize("form", FORMS)
def test_a_variant_of_lora_means_nothing_to_full_fine_tuning(form):
    assert "pissa" not in form(Plan(method="full", variant="pissa"))


def test_axolotl_never_trains_weights_that_it_holds_in_16_bits():
    for gpus, sharding, bf16 in ((1, "none", False), (2, "ddp", False), (2, "fsdp", False), (2, "zero2", "auto")):
        plan = Plan(method="full", n_gpus=gpus, sharding=sharding)
        assert yaml.safe_load(to_axolotl(plan))["bf16"] == bf16
        assert ("written as fp32" in to_axolotl(plan)) == (bf16 is False)


def test_accelerate_is_told_the_precision_that_trls_presets_say_otherwise():
    for precision, told in (("auto", "bf16"), ("fp16", "fp16"), ("fp32", "no")):
        options = yaml.safe_load(to_trl_yaml(Plan(precision=precision, n_gpus=2, sharding="ddp")))
        assert options["mixed_precision"] == told
    assert "mixed_precision" not in yaml.safe_load(to_trl_yaml(Plan()))


def test_the_reference_of_dpo_is_said_where_it_takes_memory():
    for method, twice in (("lora", False), ("full", True)):
        plan = Plan(method=method, objective="dpo")
        for form in (to_llamafactory, to_axolotl):
            assert ("a second copy of the model" in form(plan)) == twice
        assert yaml.safe_load(to_trl_yaml(plan)).get("precompute_ref_log_probs", False) == twice


def test_the_dataset_info_for_llamafactory_is_json():
    for objective, columns in (
        ("sft", {"messages": "messages"}),
        ("dpo", {"messages": "prompt", "chosen": "chosen", "rejected": "rejected"}),
        ("cpt", {"prompt": "text"}),
    ):
        text = to_llamafactory(Plan(objective=objective))
        (line,) = [line for line in text.splitlines() if line.startswith('# {"train"')]
        info = json.loads(line[2:])["train"]
        assert info["columns"] == columns
        assert info.get("ranking", False) == (objective == "dpo")


def test_the_pairs_for_llamafactory_are_written_by_the_lines_in_its_file(tmp_path, monkeypatch):
    pair = {"prompt": [{"role": "user", "content": "é"}]} | {
        name: [{"role": "assistant", "content": name}] for name in ("chosen", "rejected")
    }
    monkeypatch.setitem(vars(course_lib), "load", lambda name, n_train: SimpleNamespace(train=[pair] * n_train))
    monkeypatch.chdir(tmp_path)
    text = to_llamafactory(Plan(objective="dpo", n_train=7))
    lines = [line.removeprefix("#     ") for line in text.splitlines() if line.startswith("#     ")]
    exec("\n".join(lines), {})
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 7
    assert rows[0] == {**pair, "chosen": pair["chosen"][0], "rejected": pair["rejected"][0]}


@pytest.mark.parametrize(
    ("form", "write"),
    [
        ("trl-script", to_script),
        ("trl-yaml", to_trl_yaml),
        ("llamafactory", to_llamafactory),
        ("axolotl", to_axolotl),
        ("unsloth", to_unsloth),
    ],
)
def test_the_command_prints_the_form(form, write, tmp_path):
    plan = Plan(rank=9)
    path = plan.to_yaml(tmp_path / "plan.yaml")
    said = CliRunner().invoke(app, ["script", str(path), "--form", form])
    assert said.exit_code == 0
    assert said.stdout == write(plan) == getattr(plan, write.__name__)()
    if form == "trl-script":
        assert CliRunner().invoke(app, ["script", str(path)]).stdout == said.stdout


def test_small_numbers_stay_numbers():
    for form in FILES:
        for lr in (1e-4, 2e-5, 1e-10):
            assert math.isclose(yaml.safe_load(form(Plan(lr=lr)))["learning_rate"], lr)
