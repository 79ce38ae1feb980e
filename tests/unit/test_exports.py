"""Plans for other tools: the script, and the files that TRL, LLaMA-Factory and axolotl read."""

import ast
import itertools
import json
import math
from pathlib import Path
from typing import get_args

import pytest
import yaml
from typer.testing import CliRunner

from course_lib.cli import app
from course_lib.errors import CourseError
from course_lib.exports import to_axolotl, to_llamafactory, to_script, to_trl_yaml
from course_lib.plan import Plan
from course_lib.run import rows
from course_lib.run.data import load

METHODS = get_args(Plan.model_fields["method"].annotation)
OBJECTIVES = get_args(Plan.model_fields["objective"].annotation)
OPTIONS = json.loads(Path(__file__).with_name("export_options.json").read_text())
YAML_FORMS = (to_trl_yaml, to_llamafactory, to_axolotl)


def one_sentence(error: pytest.ExceptionInfo) -> bool:
    said = str(error.value)
    return said.endswith(".") and ". " not in said and "\n" not in said


@pytest.mark.parametrize(("method", "objective"), [*itertools.product(METHODS, OBJECTIVES)])
def test_every_script_compiles_and_imports_only_public_packages(method, objective):
    plan = Plan(method=method, objective=objective)
    if method == "adapters":
        with pytest.raises(CourseError) as error:
            plan.to_script()
        assert one_sentence(error)
        return
    script = plan.to_script()
    tree = ast.parse(script)
    roots = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    roots |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert roots <= {"argparse", "os", "torch", "datasets", "peft", "transformers", "trl"}
    imported = {
        name.asname or name.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported <= used
    assert ("peft" in roots) == (method != "full")
    assert all(len(line) <= 120 for line in script.splitlines()[8:])


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"model": "org/name", "revision": "abc"}, ['MODEL = "org/name"', 'args.model, revision="abc"']),
        ({}, ['MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"  # a hub id or a local folder', "training = dict("]),
        ({"rank": 7, "alpha": 11, "dropout": 0.15}, ["r=7,", "lora_alpha=11,", "lora_dropout=0.15,"]),
        ({"alpha": 2.5, "targets": ("q_proj", "v_proj")}, ["lora_alpha=2.5,", 'target_modules=["q_proj", "v_proj"]']),
        ({"targets": "q_proj"}, ['target_modules=["q_proj"]']),
        ({"variant": "dora"}, ["use_dora=True,"]),
        ({"variant": "rslora"}, ["use_rslora=True,"]),
        ({"first_layer": 9}, ["range(9, model.config.num_hidden_layers)", "target_modules=linear,"]),
        ({"method": "prompt_tuning", "virtual_tokens": 13}, ["num_virtual_tokens=13,", "SAMPLE_VOCAB"]),
        (
            {"method": "prefix_tuning", "virtual_tokens": 13},
            ["PrefixTuningConfig(", "num_virtual_tokens=13,", 'init_weights="zero",'],
        ),
        ({"method": "p_tuning", "virtual_tokens": 13}, ["PromptEncoderConfig(", "num_virtual_tokens=13,"]),
        ({"method": "ia3"}, ["IA3Config("]),
        ({"method": "qlora"}, ['bnb_4bit_quant_type="nf4"', "bitsandbytes\n"]),
        ({"method": "full"}, ["dtype=torch.float32,"]),
        ({"precision": "fp32"}, ["COMPUTE = torch.float32", "dtype=COMPUTE,"]),
        ({"precision": "fp16"}, ["COMPUTE = torch.float16"]),
        ({"optimizer": "paged_adamw_8bit"}, ['optim="paged_adamw_8bit"', "bitsandbytes\n"]),
        ({"lr": 1e-4, "schedule": "cosine"}, ["learning_rate=0.0001,", 'lr_scheduler_type="cosine"']),
        ({"warmup_ratio": 0.2, "weight_decay": 0.3}, ["warmup_steps=0.2,", "weight_decay=0.3,"]),
        ({"epochs": 5, "micro_batch": 3, "grad_accum": 6}, ["num_train_epochs=5,", "batch_size=3,", "steps=6,"]),
        ({"max_len": 777}, ["max_length=777,", "longest > 777"]),
        ({"gradient_checkpointing": True}, ["activation_checkpointing=True,"]),
        ({"attention": "eager"}, ['attn_implementation="eager"']),
        ({"loss": "fused_linear"}, ["loss fused_linear:"]),
        ({"save_steps": 17, "seed": 23}, ["save_steps=17,", "seed=23,", "set_seed(23)"]),
        (
            {"data": "dates", "n_train": 40},
            ['load("dates", n_train=40).write_jsonl("train.jsonl")', "min(40, len(rows))"],
        ),
        ({"objective": "dpo"}, ['DATA = "pairs.jsonl"', "DPOTrainer("]),
        ({"objective": "sft+dpo"}, ['"--pairs"', "SFTTrainer(", "DPOTrainer("]),
        ({"objective": "cpt+sft"}, ['"--texts"', 'packing_strategy="wrapped"']),
        ({"objective": "classification"}, ["AutoModelForSequenceClassification", 'task_type="SEQ_CLS"']),
    ],
)
def test_what_the_plan_says_stands_in_the_script(fields, shown):
    script = to_script(Plan(**fields))
    compile(script, "script", "exec")
    for piece in shown:
        assert piece in script
    if fields:
        assert script != to_script(Plan())


def test_a_script_holds_nothing_that_its_plan_does_not_need():
    script = to_script(Plan(precision="fp32"))
    for foreign in ("DPO", "BitsAndBytes", "get_capabilities", "select(", "LOCAL_RANK", "PromptTuning", "pairs"):
        assert foreign not in script


def test_names_with_quotes_and_backslashes_stay_inside_their_strings():
    script = to_script(Plan(model='C:\\m"""\\n', data='x"; import os #.csv'))
    tree = ast.parse(script)
    assert "os" not in {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    model = next(node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "MODEL")
    assert ast.literal_eval(model.value) == 'C:\\m"""\\n'


def test_prefix_tuning_with_checkpointing_is_refused():
    with pytest.raises(CourseError, match="without gradient checkpointing") as error:
        to_script(Plan(method="prefix_tuning", gradient_checkpointing=True))
    assert one_sentence(error)


def test_precision_auto_means_the_same_as_in_train():
    from course_lib.exports.pieces import AUTO
    from course_lib.run.methods import compute_dtype

    names = {"torch": __import__("torch")}
    exec(AUTO, names)
    assert names["COMPUTE"] is compute_dtype("auto")


@pytest.mark.parametrize("sharding", ["ddp", "zero2", "fsdp"])
def test_the_launch_line_is_one_that_accelerate_takes(sharding):
    from accelerate.commands.launch import launch_command_parser

    script = to_script(Plan(n_gpus=4, sharding=sharding, grad_accum=2))
    line = next(line for line in script.splitlines() if "accelerate launch" in line)
    taken = launch_command_parser().parse_args(line.split("accelerate launch ")[1].split())
    assert taken.num_processes == 4
    assert taken.training_script == "train.py"
    assert (taken.multi_gpu, taken.use_deepspeed, taken.use_fsdp) == tuple(
        sharding == s for s in ("ddp", "zero2", "fsdp")
    )


def parsed_by_trl(plan: Plan, folder: Path):
    """(script, training, model, datasets, what is left for `accelerate launch`) as TRL's own parser reads them."""
    from trl.scripts import dpo, sft

    (folder / "plan.yaml").write_text(plan.to_trl_yaml())
    parser = (dpo if plan.objective == "dpo" else sft).make_parser()
    arguments = ["--config", str(folder / "plan.yaml"), "--use_cpu", "true"]
    return parser.parse_args_and_config(arguments, return_remaining_strings=True)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(),
        Plan(method="full", precision="fp32", lr=2e-5, schedule="cosine", weight_decay=0.01),
        Plan(method="qlora", rank=8, alpha=24, dropout=0.1, targets=("q_proj", "v_proj"), n_train=50),
        Plan(objective="dpo", lr=5e-6, micro_batch=2, grad_accum=8, epochs=3, precision="bf16"),
        Plan(variant="dora"),
        Plan(variant="rslora"),
        Plan(attention="eager", gradient_checkpointing=True, max_len=700, save_steps=7, seed=11, warmup_ratio=0.1),
        Plan(optimizer="adafactor", revision="abc", n_gpus=2, sharding="fsdp"),
    ],
)
def test_trl_reads_the_same_numbers_from_its_file(plan, tmp_path):
    _, training, model, datasets, left = parsed_by_trl(plan, tmp_path)
    read = {
        "lr": training.learning_rate,
        "schedule": training.lr_scheduler_type,
        "warmup_ratio": training.warmup_steps,
        "weight_decay": training.weight_decay,
        "epochs": training.num_train_epochs,
        "micro_batch": training.per_device_train_batch_size,
        "grad_accum": training.gradient_accumulation_steps,
        "max_len": training.max_length,
        "gradient_checkpointing": training.activation_checkpointing,
        "save_steps": training.save_steps,
        "seed": training.seed,
        "optimizer": training.optim,
        "attention": model.attn_implementation,
    }
    if plan.method != "full":
        read |= {"rank": model.lora_r, "alpha": model.lora_alpha, "dropout": model.lora_dropout}
    assert read == {name: getattr(plan, name) for name in read}
    assert model.use_peft == (plan.method != "full")
    assert model.load_in_4bit == (plan.method == "qlora")
    assert (model.use_dora, model.use_rslora) == (plan.variant == "dora", plan.variant == "rslora")
    assert training.bf16 == (plan.precision in ("auto", "bf16"))
    assert model.dtype == ("float32" if plan.method == "full" else "bfloat16")
    assert model.model_revision == (plan.revision or "main")
    (data,) = datasets.datasets
    assert data.split == (f"train[:{plan.n_train}]" if plan.n_train else "train")
    if plan.objective == "sft":
        assert training.completion_only_loss is True
    assert left == (["--accelerate_config", "fsdp2", "--num_processes", "2"] if plan.n_gpus == 2 else [])


def test_a_single_target_finds_its_modules_through_trl(tiny, tmp_path):
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM
    from trl import get_peft_config

    for targets in ("q_proj", ("q_proj", "v_proj"), "all-linear"):
        _, _, model, *_ = parsed_by_trl(Plan(targets=targets), tmp_path)
        tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), get_peft_config(model))
        found = {name.split(".")[-1] for name in tuned.targeted_module_names}
        assert len(found) == (7 if targets == "all-linear" else len(targets) if isinstance(targets, tuple) else 1)


PLANS = [
    Plan(),
    Plan(method="full", lr=1e-5),
    Plan(method="qlora", targets=("q_proj", "v_proj"), n_train=50, revision="abc"),
    Plan(objective="dpo", lr=1e-4, precision="bf16"),
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
    assert factory["per_device_train_batch_size"] == axolotl["micro_batch_size"] == plan.micro_batch
    assert factory.get("quantization_bit") == (4 if plan.method == "qlora" else None)
    assert axolotl.get("load_in_4bit") == (True if plan.method == "qlora" else None)
    assert factory["stage"] == plan.objective
    assert axolotl.get("rl") == ("dpo" if plan.objective == "dpo" else None)
    for name in ("dora", "rslora"):
        wanted = True if plan.variant == name else None
        assert factory.get(f"use_{name}") == axolotl.get(f"peft_use_{name}") == wanted


def test_only_llamafactory_turns_a_pissa_adapter_into_one_that_fits_the_untouched_model():
    plan = Plan(variant="pissa")
    factory = yaml.safe_load(to_llamafactory(plan))
    assert factory["pissa_init"] is factory["pissa_convert"] is True
    assert set(factory) <= set(OPTIONS["llamafactory"]["names"].split())
    for form in (to_script, to_trl_yaml, to_axolotl):
        with pytest.raises(CourseError, match="set variant to plain") as error:
            form(plan)
        assert one_sentence(error)


@pytest.mark.parametrize("form", [to_script, *YAML_FORMS])
def test_a_variant_of_lora_means_nothing_to_full_fine_tuning(form):
    shown = form(Plan(method="full", variant="pissa"))
    assert "pissa" not in shown


def test_the_dataset_info_for_llamafactory_is_json():
    for plan in (Plan(), Plan(objective="dpo")):
        (line,) = [line for line in to_llamafactory(plan).splitlines() if line.startswith('# {"train"')]
        info = json.loads(line[2:])["train"]
        assert info["columns"]["messages"] == "messages"
        assert info.get("ranking", False) == (plan.objective == "dpo")


@pytest.mark.parametrize("form", YAML_FORMS)
@pytest.mark.parametrize(
    "fields",
    [
        *({"method": name} for name in ("adapters", "prompt_tuning", "prefix_tuning", "p_tuning", "ia3")),
        *({"objective": name} for name in ("sft+dpo", "cpt+sft", "classification")),
        {"first_layer": 3},
        {"alpha": 2.5},
    ],
)
def test_what_a_file_of_options_cannot_say_is_refused(form, fields):
    plan = Plan(**fields)
    with pytest.raises(CourseError) as error:
        form(plan)
    assert one_sentence(error)
    if plan.method == "adapters":
        assert "to_script" not in str(error.value)  # it cannot write them either
    else:
        assert "to_script" in str(error.value)
        to_script(plan)


def test_llamafactory_cannot_be_told_fp32():
    with pytest.raises(CourseError, match="set precision to auto") as error:
        to_llamafactory(Plan(precision="fp32"))
    assert one_sentence(error)


def test_the_written_rows_read_back_and_split_for_trl(tmp_path):
    data = load("dates", n_train=12)
    assert rows.read(data.write_jsonl(tmp_path / "train.jsonl")).rows == data.train
    assert rows.read(data.write_jsonl(tmp_path / "test.jsonl", part="test")).rows == data.test
    path = data.write_jsonl(tmp_path / "pairs.jsonl", form="prompt_completion")
    for line, row in zip(path.read_text(encoding="utf-8").splitlines(), data.train, strict=True):
        pair = json.loads(line)
        assert pair["prompt"] + pair["completion"] == row["messages"]
        assert len(pair["completion"]) == 1


@pytest.mark.parametrize(
    ("form", "write"),
    [("trl-script", to_script), ("trl-yaml", to_trl_yaml), ("llamafactory", to_llamafactory), ("axolotl", to_axolotl)],
)
def test_the_command_prints_the_form(form, write, tmp_path):
    plan = Plan(rank=9)
    path = plan.to_yaml(tmp_path / "plan.yaml")
    said = CliRunner().invoke(app, ["script", str(path), "--form", form])
    assert said.exit_code == 0
    assert said.stdout == write(plan)
    if form == "trl-script":
        assert CliRunner().invoke(app, ["script", str(path)]).stdout == said.stdout


def test_small_numbers_stay_numbers():
    for form in YAML_FORMS:
        for lr in (1e-4, 2e-5, 1e-10):
            assert math.isclose(yaml.safe_load(form(Plan(lr=lr)))["learning_rate"], lr)
