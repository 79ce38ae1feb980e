"""Plans as scripts for TRL + PEFT; what the scripts learn is in tests/slow/test_script_runs.py."""

import ast
import itertools
import json
import subprocess
import sys
from typing import get_args

import pytest

from course_lib.errors import CourseError
from course_lib.exports import method_pieces, to_script
from course_lib.plan import Plan
from course_lib.run import rows
from course_lib.run.data import load
from tests.cases import CASES

OBJECTIVES = get_args(Plan.model_fields["objective"].annotation)


def one_sentence(error: pytest.ExceptionInfo) -> bool:
    said = str(error.value)
    return said.endswith(".") and ". " not in said and "\n" not in said


@pytest.mark.parametrize(("case", "objective"), [*itertools.product(CASES, OBJECTIVES)])
def test_every_script_compiles_and_imports_only_public_packages(case, objective):
    script = to_script(Plan(**CASES[case], objective=objective))
    nodes = [*ast.walk(ast.parse(script))]
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    named = [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]
    roots = {name.split(".")[0] for name in [*named, *(node.module for node in imports if hasattr(node, "module"))]}
    assert roots - sys.stdlib_module_names <= {"torch", "datasets", "peft", "safetensors", "transformers", "trl"}
    imported = {alias.name for node in imports for alias in node.names}
    assert imported <= {node.id for node in nodes if isinstance(node, ast.Name)}
    assert ("peft" in roots) == (case not in ("full", "adapters", "pfeiffer"))
    assert all(len(line) <= 120 for line in script.splitlines()[8:])


@pytest.mark.slow
def test_scripts_name_only_what_they_define_or_import_and_look_like_ours(tmp_path):
    for number, (case, objective) in enumerate(itertools.product(CASES.values(), OBJECTIVES)):
        for more in (
            {},
            {"n_train": 5, "n_gpus": 2, "sharding": "ddp", "revision": "abc"},
            {"layer_decay": 0.9, "first_layer": 1},
        ):
            if not ("layer_decay" in more and case.get("method", "").endswith("_tuning")):
                script = to_script(Plan(**case, **more, objective=objective, precision="bf16"))
                (tmp_path / f"{number}-{len(more)}.py").write_text(script, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length", "120", str(tmp_path)]
    for command in (["check", "--select", "F,I", *options], ["format", "--check", *options]):
        said = subprocess.run([*ruff, *command], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"model": "org/name", "revision": "abc"}, ['MODEL = "org/name"', 'args.model, revision="abc"']),
        ({}, ['MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"  # a hub id or a local folder', "training = dict("]),
        ({"model": "minilm-l6"}, ['MODEL = "sentence-transformers/all-MiniLM-L6-v2"']),
        ({"rank": 7, "alpha": 11, "dropout": 0.15}, ["r=7,", "lora_alpha=11,", "lora_dropout=0.15,"]),
        ({"alpha": 2.5, "targets": ("q_proj", "v_proj")}, ["lora_alpha=2.5,", 'target_modules=["q_proj", "v_proj"]']),
        ({"targets": "q_proj"}, ['target_modules=["q_proj"]']),
        ({"variant": "dora"}, ["use_dora=True,"]),
        ({"variant": "rslora"}, ["use_rslora=True,"]),
        ({"variant": "pissa"}, ['pissa_init("default", "pissa_niter_16")', "save_as_plain(args.output)"]),
        ({"first_layer": 9}, ["range(9, model.config.num_hidden_layers)", "target_modules=linear,"]),
        ({"method": "adapters", "bottleneck": 19}, ["Linear(width, 19)", "places = attention + ", "save_adapters("]),
        ({"method": "adapters", "placement": "pfeiffer"}, ["places = last_of_blocks(AFTER_MLP, attention)"]),
        ({"method": "prompt_tuning", "virtual_tokens": 13}, ["num_virtual_tokens=13,", "SAMPLE_VOCAB"]),
        (
            {"method": "prefix_tuning", "virtual_tokens": 13},
            ["num_virtual_tokens=13,", "(-13 // len(ids))", "START = ("],
        ),
        ({"method": "p_tuning", "virtual_tokens": 13}, ["PromptEncoderConfig(", "num_virtual_tokens=13,"]),
        ({"method": "ia3"}, ["IA3Config("]),
        ({"method": "qlora"}, ['bnb_4bit_quant_type="nf4"', "bitsandbytes\n", "is_loaded_in_4bit = True"]),
        ({"method": "full"}, ["dtype=torch.float32,"]),
        ({"precision": "fp32"}, ["COMPUTE = torch.float32", "dtype=COMPUTE,"]),
        ({"precision": "fp16"}, ["COMPUTE = torch.float16"]),
        ({"optimizer": "paged_adamw_8bit"}, ['optim="paged_adamw_8bit"', "bitsandbytes\n"]),
        ({"lr": 1e-4, "schedule": "cosine"}, ["learning_rate=0.0001,", 'lr_scheduler_type="cosine"']),
        ({"warmup_ratio": 0.2, "weight_decay": 0.3}, ["warmup_steps=0.2,", "weight_decay=0.3,"]),
        ({"layer_decay": 0.75}, ['"lr": group["lr"] * 0.75**d', "slow_down(trainer.create_optimizer())"]),
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
        (
            {"objective": "dpo", "pairs": "x.jsonl"},
            ['DATA = "pairs.jsonl"', 'load("x.jsonl").write_jsonl("pairs.jsonl")'],
        ),
        ({"objective": "dpo", "beta": 0.3}, ["beta=0.3,", "precompute_ref_log_probs=True,"]),
        ({"objective": "sft+dpo", "lr": 3e-3}, ['"--pairs"', "SFTTrainer(", '"learning_rate": 0.00015}']),
        ({"objective": "sft+dpo", "dpo_lr": 1e-5}, ['(training | {"learning_rate": 1e-05})']),
        (
            {"objective": "cpt", "texts": "my.jsonl", "n_train": 9, "max_len": 256},
            ['load("my.jsonl", n_train=9).write_jsonl("texts.jsonl")', "min(9, len(texts))", "start + 256]"],
        ),
        ({"objective": "cpt+sft"}, ['"--texts"', "tokenizer.eos_token_id", 'write_jsonl("train.jsonl")']),
        ({"objective": "classification"}, ["AutoModelForSequenceClassification", 'task_type="SEQ_CLS"']),
        ({"objective": "classification", "method": "p_tuning"}, ['tokenizer.padding_side = "left"']),
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
    foreign = ("DPO", "BitsAndBytes", "get_capabilities", "select(", "LOCAL_RANK", "PromptTuning", "pairs", "re.search")
    for word in (*foreign, "slow_down", "Dataset.", "LoraLayer", "is_world_process_zero", "device_map", "START"):
        assert word not in script


def test_names_with_quotes_and_backslashes_stay_inside_their_strings():
    script = to_script(Plan(model='C:\\m"""\\n', data='x"; import os #.csv'))
    tree = ast.parse(script)
    assert "os" not in {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    model = next(node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "MODEL")
    assert ast.literal_eval(model.value) == 'C:\\m"""\\n'


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"method": "prefix_tuning", "gradient_checkpointing": True}, "without gradient checkpointing"),
        ({"replay": 0.2}, "use `train`, or leave replay out"),
        ({"kl": 0.1}, "use `train`, or leave kl out"),
        ({"early_stop": 0.1}, "use `train`, or leave early_stop out"),
        ({"method": "adapters", "n_gpus": 2, "sharding": "fsdp"}, "set sharding to ddp"),
        ({"variant": "pissa", "n_gpus": 2, "sharding": "fsdp"}, "set sharding to ddp"),
        ({"objective": "sft+dpo", "n_gpus": 2, "sharding": "fsdp"}, "set sharding to ddp"),
        ({"layer_decay": 0.5, "n_gpus": 2, "sharding": "zero2"}, "layer_decay to 1"),
    ],
)
def test_what_a_script_cannot_do_is_refused(fields, said):
    with pytest.raises(CourseError, match=said) as error:
        to_script(Plan(**fields))
    assert one_sentence(error)


def test_what_the_script_repeats_of_our_code_is_what_our_code_says():
    from course_lib.exports.pieces import AUTO, SKIP_HEAD
    from course_lib.run import adapters, soft_prompts, variants
    from course_lib.run.methods import compute_dtype
    from course_lib.run.targets import HEADS
    from course_lib.run.trainer import BLOCK

    names = {"torch": __import__("torch")}
    exec(AUTO, names)
    assert names["COMPUTE"] is compute_dtype("auto")
    assert method_pieces.START == soft_prompts.START
    assert method_pieces.AFTER_ATTENTION == adapters.AFTER_ATTENTION
    assert method_pieces.AFTER_MLP == adapters.AFTER_MLP
    assert f"pissa_niter_{variants.PISSA_ROUNDS}" in method_pieces.PISSA
    assert BLOCK.pattern in method_pieces.RATES.format(decay=0.5)
    for head in HEADS:
        assert f'"{head}"' in method_pieces.LINEAR
        assert f'"{head}"' in SKIP_HEAD


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


def test_the_written_rows_read_back_and_split_for_trl(tmp_path):
    data = load("dates", n_train=12)
    assert rows.read(data.write_jsonl(tmp_path / "train.jsonl")).rows == data.train
    assert rows.read(data.write_jsonl(tmp_path / "test.jsonl", part="test")).rows == data.test
    path = data.write_jsonl(tmp_path / "pairs.jsonl", form="prompt_completion")
    for line, row in zip(path.read_text(encoding="utf-8").splitlines(), data.train, strict=True):
        pair = json.loads(line)
        assert pair["prompt"] + pair["completion"] == row["messages"]
        assert len(pair["completion"]) == 1
