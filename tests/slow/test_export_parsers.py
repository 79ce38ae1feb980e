"""Exported files through the parsers of the tools that read them: TRL's, LLaMA-Factory's and axolotl's own."""

import copy
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cases import ROWS
from wheels import wheel

from course_lib.errors import CourseError
from course_lib.exports import to_axolotl, to_llamafactory, to_trl_yaml
from course_lib.plan import Plan

TRAINED = [(method, objective) for method in ("full", "lora", "qlora") for objective in ("sft", "dpo", "cpt")]
CHOICES = {
    "targets": ("all-linear", ("q_proj", "v_proj"), "q_proj"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "optimizer": ("adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"),
    "schedule": ("linear", "cosine", "constant", "constant_with_warmup"),
    "attention": ("sdpa", "eager", "flash_attention_2"),
    "loss": ("targets", "full", "fused_linear"),
    "gradient_checkpointing": (False, True),
    "variant": ("plain", "dora", "rslora"),
    "sharding": ("none", "ddp", "zero2", "fsdp"),
    "dropout": (0.0, 0.1),
    "revision": (None, "abc"),
    "n_train": (None, 50),
    "lr": (2e-5, 3e-3),
    "beta": (0.1, 0.4),
    "seed": (0, 11),
    "rank": (8, 64),
    "max_len": (256, 700),
    "warmup_ratio": (0.0, 0.1),
    "weight_decay": (0.0, 0.01),
}


def plans() -> list[Plan]:
    """Each method with each objective as the plan's defaults have it, then drawn plans, the same ones every time."""
    drawn, found = random.Random(5), [Plan(method=method, objective=objective) for method, objective in TRAINED]
    while len(found) < 54:
        method, objective = TRAINED[len(found) % len(TRAINED)]
        fields = {name: drawn.choice(values) for name, values in CHOICES.items()}
        gpus = 1 if fields["sharding"] == "none" else 2
        found.append(Plan(method=method, objective=objective, n_gpus=gpus, **fields))
    return [*found, Plan(variant="pissa")]


def exported(write) -> list[tuple[Plan, dict]]:
    """What the tool is given, for each plan that it is not too poor for; every method with every objective is among them."""
    given = []
    for plan in plans():
        try:
            given.append((plan, yaml.safe_load(write(plan))))
        except CourseError:
            continue
    assert {(plan.method, plan.objective) for plan, _ in given} == set(TRAINED)
    return given


def spoiled(options: dict) -> list[dict]:
    """The same options, each time with one mistake: a name that is not there, a word for a number, an unknown choice."""
    mistakes = ({"lerning_rate": 1e-4}, {"learning_rate": "fast"}, {"seed": "first"}, {"attn": "sdpa"})
    return [{**copy.deepcopy(options), **mistake} for mistake in mistakes]


def parsed(tool: str, rows: list[dict]) -> list[dict]:
    """Each row as the tool's parser reads it, in a process of its own with the tool's wheel on the path."""
    script = Path(__file__).with_name(f"parse_{tool}.py")
    env = {**os.environ, "PYTHONPATH": str(wheel(tool)), "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(
        [sys.executable, script], input=json.dumps(rows), env=env, capture_output=True, text=True, timeout=200
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


NAMES = {
    "llamafactory": {
        "learning_rate": "lr",
        "lr_scheduler_type": "schedule",
        "warmup_ratio": "warmup_ratio",
        "weight_decay": "weight_decay",
        "num_train_epochs": "epochs",
        "per_device_train_batch_size": "micro_batch",
        "gradient_accumulation_steps": "grad_accum",
        "lora_rank": "rank",
        "lora_alpha": "alpha",
        "lora_dropout": "dropout",
        "pref_beta": "beta",
        "optim": "optimizer",
        "seed": "seed",
        "cutoff_len": "max_len",
        "max_samples": "n_train",
        "model_revision": "revision",
    },
    "axolotl": {
        "learning_rate": "lr",
        "lr_scheduler": "schedule",
        "warmup_ratio": "warmup_ratio",
        "weight_decay": "weight_decay",
        "num_epochs": "epochs",
        "micro_batch_size": "micro_batch",
        "gradient_accumulation_steps": "grad_accum",
        "lora_r": "rank",
        "lora_alpha": "alpha",
        "lora_dropout": "dropout",
        "rl_beta": "beta",
        "optimizer": "optimizer",
        "seed": "seed",
        "sequence_len": "max_len",
        "attn_implementation": "attention",
        "revision_of_model": "revision",
    },
}


@pytest.mark.parametrize(("tool", "write"), [("llamafactory", to_llamafactory), ("axolotl", to_axolotl)])
def test_the_tool_reads_the_plan_and_finds_a_mistake(tool, write):
    given = exported(write)
    wrong = spoiled(given[0][1])
    answers = parsed(tool, [options for _, options in given] + wrong)
    for (plan, options), answer in zip(given, answers, strict=False):
        assert "fault" not in answer, (plan, answer)
        assert {"learning_rate", "seed"} <= set(answer["read"])
        for name, field in NAMES[tool].items():
            if name in answer["read"]:
                assert answer["read"][name] == getattr(plan, field), (name, plan)
            else:
                assert name not in options, (name, plan)
    for options, answer in zip(wrong, answers[len(given) :], strict=True):
        assert "fault" in answer, options


def parsed_by_trl(text: str, objective: str, folder: Path):
    """(script, training, model, datasets, what is left for `accelerate launch`) as TRL's own parser reads them."""
    from trl.scripts import dpo, sft

    (folder / "plan.yaml").write_text(text)
    parser = (dpo if objective == "dpo" else sft).make_parser()
    arguments = ["--config", str(folder / "plan.yaml"), "--use_cpu", "true"]
    return parser.parse_args_and_config(arguments, return_remaining_strings=True)


def test_trl_reads_the_plan_and_finds_a_mistake(tmp_path):
    given = exported(to_trl_yaml)
    for plan, options in given:
        _, training, model, datasets, left = parsed_by_trl(yaml.safe_dump(options), plan.objective, tmp_path)
        read = {
            "lr": training.learning_rate,
            "schedule": training.lr_scheduler_type,
            "warmup_ratio": training.warmup_steps,
            "weight_decay": training.weight_decay,
            "max_len": training.max_length,
            "gradient_checkpointing": training.activation_checkpointing,
            "optimizer": training.optim,
            "attention": model.attn_implementation,
            "seed": training.seed,
        }
        assert read == {name: getattr(plan, name) for name in read}
        launch = {"--accelerate_config", "--num_processes", "--mixed_precision"}
        assert set(left[::2]) == (launch if plan.n_gpus > 1 else set())
        assert datasets.datasets[0].data_files == options["datasets"][0]["data_files"]
        if plan.objective == "dpo":
            assert training.beta == plan.beta
        else:
            assert (training.packing, training.packing_strategy == "wrapped") == (plan.objective == "cpt",) * 2
        assert model.use_peft == (plan.method != "full")
        assert model.load_in_4bit == (plan.method == "qlora")
    plan, options = given[0]
    for wrong in spoiled(options):
        try:
            *_, left = parsed_by_trl(yaml.safe_dump(wrong), plan.objective, tmp_path)
        except (Exception, SystemExit):
            continue
        assert left, wrong  # `trl` hands it on to `accelerate launch`, which knows no such option


def test_a_single_target_finds_its_modules_through_trl(tiny, tmp_path):
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM
    from trl import get_peft_config

    for targets in ("q_proj", ("q_proj", "v_proj"), "all-linear"):
        _, _, model, *_ = parsed_by_trl(Plan(targets=targets).to_trl_yaml(), "sft", tmp_path)
        tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), get_peft_config(model))
        found = {name.split(".")[-1] for name in tuned.targeted_module_names}
        assert len(found) == (7 if targets == "all-linear" else len(targets) if isinstance(targets, tuple) else 1)


@pytest.mark.parametrize("objective", ["sft", "dpo", "cpt"])
def test_trl_trains_from_its_file(objective, tiny, tmp_path, monkeypatch):
    from trl.scripts import dpo, sft

    messages = ROWS[0]["messages"]
    rows = {
        "sft": {"prompt": messages[:-1], "completion": messages[-1:]},
        "dpo": {"prompt": messages[:-1], "chosen": messages[-1:], "rejected": [{"role": "assistant", "content": "no"}]},
        "cpt": {"text": "one two three four five six"},
    }
    file = {"sft": "train.jsonl", "dpo": "pairs.jsonl", "cpt": "texts.jsonl"}[objective]
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text((json.dumps(rows[objective]) + "\n") * 8)
    plan = Plan(
        model=str(tiny), objective=objective, precision="fp32", max_len=120, dropout=0.1, n_train=6, micro_batch=3
    )
    *arguments, _ = parsed_by_trl(plan.to_trl_yaml(), objective, tmp_path)
    (dpo if objective == "dpo" else sft).main(*arguments)
    (state,) = tmp_path.glob("out/checkpoint-*/trainer_state.json")
    steps = json.loads(state.read_text())["max_steps"]
    assert steps == (1 if objective == "cpt" else 2)  # six texts of 28 tokens are two blocks of at most 120
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
