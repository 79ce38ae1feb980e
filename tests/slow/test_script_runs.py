"""Exported scripts run without our package, each one learning step by step what `train` learns from the same plan."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from course_lib.plan import Plan
from course_lib.run.data import load
from course_lib.run.methods import load_tokenizer
from course_lib.run.train import train
from tests.cases import CASES, COLOURS, ROWS
from tests.scripts import run_scripts, unmarked, write_lines

# All rows in one batch, so that their order does not matter; two steps, so that the second tells whether the first was equal.
BASE = {"precision": "fp32", "micro_batch": 8, "n_train": 8, "max_len": 120, "epochs": 2, "warmup_ratio": 0.0}
BASE |= {"rank": 4, "bottleneck": 8, "virtual_tokens": 6}
LATER = ("dpo", "cpt", "sft+dpo", "cpt+sft", "classification")
CROSSED = [
    ("prompt_tuning", "dpo"),
    ("prefix_tuning", "cpt+sft"),
    ("p_tuning", "sft+dpo"),
    ("adapters", "sft+dpo"),
    ("ia3", "sft+dpo"),
    ("pissa", "sft+dpo"),
    ("qlora", "cpt+sft"),
    ("qlora", "dpo"),
    ("prompt_tuning", "classification"),
    ("prefix_tuning", "classification"),
    ("adapters", "classification"),
    ("pissa", "classification"),
    ("qlora", "classification"),
]
ENCODED = ("full", "lora", "adapters", "prompt_tuning", "ia3")
RUNS = {f"{name}-sft": fields for name, fields in CASES.items()}
RUNS |= {f"{name}-{what}": CASES[name] | {"objective": what} for what in LATER for name in ("full", "lora")}
RUNS |= {f"{name}-{what}": CASES[name] | {"objective": what} for name, what in CROSSED}
RUNS |= {f"encoder-{name}": CASES[name] | {"objective": "classification"} for name in ENCODED}
RUNS |= {f"slower-{name}": CASES[name] | {"layer_decay": 0.5} for name in ("full", "lora", "adapters")}
RUNS |= {
    "unmarked-sft": {},
    "unmarked-dpo": {"objective": "dpo"},
    "blocks": {"first_layer": 1},
    "checkpointing": {"method": "adapters", "gradient_checkpointing": True},
    "second-rate": {"objective": "sft+dpo", "dpo_lr": 2e-3, "beta": 0.5},
    "bf16-lora": {"objective": "classification", "precision": "bf16"},
    "bf16-adapters": {"method": "adapters", "precision": "bf16"},
}


def _encoder(target, tokenizer) -> None:
    """A tiny BERT for a tokenizer."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_attention_heads=2)
    config.num_hidden_layers, config.hidden_dropout_prob, config.attention_probs_dropout_prob = 2, 0.0, 0.0
    BertModel(config).save_pretrained(target)
    tokenizer.save_pretrained(target)


@pytest.fixture(scope="module")
def world(tiny, tmp_path_factory):
    """All scripts written and run once in a process without our package, on the rows that `train` reads."""
    here = tmp_path_factory.mktemp("scripts")
    _encoder(here / "encoder", load_tokenizer(tiny))
    shutil.copytree(tiny, here / "unmarked")
    unmarked(load_tokenizer(tiny)).save_pretrained(here / "unmarked")
    pairs = [
        {
            "prompt": row["messages"][:-1],
            "chosen": row["messages"][-1:],
            "rejected": [{"role": "assistant", "content": COLOURS[(i + 3) % 8]}],
        }
        for i, row in enumerate(ROWS)
    ]
    texts = [{"text": 7 * (row["messages"][1]["content"] + ". ")} for row in ROWS]  # eight make eight blocks
    own = {"data": ROWS, "pairs": pairs, "texts": texts}
    files = {field: write_lines(here / f"own-{field}.jsonl", rows) for field, rows in own.items()}
    for field, file in files.items():
        load(file, n_train=BASE["n_train"]).write_jsonl(here / f"{field}.jsonl")
    plans, jobs = {}, {}
    for name, fields in RUNS.items():
        folder = name.partition("-")[0]
        model = here / folder if folder in ("encoder", "unmarked") else tiny
        plan = Plan(**(BASE | {"lr": 1e-3 if "full" in name else 1e-2} | fields | files), model=str(model))
        plans[name], script = plan, plan.to_script()
        (here / f"{name}.py").write_text(script, encoding="utf-8")
        first = {"dpo": "pairs", "cpt": "texts"}.get(plan.objective, "data")
        jobs[name] = [f"{name}.py", "--output", f"out-{name}", "--data", f"{first}.jsonl"]
        for field in ("pairs", "texts"):
            jobs[name] += [f"--{field}", f"{field}.jsonl"] if f'"--{field}"' in script else []
        if name == "prompt_tuning-sft":
            (here / "other-seed.py").write_text(script.replace("set_seed(0)", "set_seed(1)"), encoding="utf-8")
            jobs["other-seed"] = ["other-seed.py", "--output", "out-other-seed", "--data", "data.jsonl"]
    return SimpleNamespace(said=run_scripts(here, jobs), plans=plans, here=here)


@pytest.mark.parametrize("name", RUNS)
def test_the_script_learns_what_train_learns(name, world, tmp_path):
    plan, exact = world.plans[name], world.plans[name].precision == "fp32"
    assert "error" not in world.said[name], world.said[name]
    run = train(plan, folder=tmp_path)
    ours = [step["loss"] for step in run.history]
    theirs = [loss for stage in world.said[name]["losses"] for loss in stage]
    assert len(ours) == len(theirs) == 2 * len(plan.objective.split("+"))
    assert theirs == pytest.approx(ours, rel=1e-4 if exact else 2e-2)
    # What it saves is what `train` saves: the same tensors, with the same numbers in them.
    file = "model.safetensors" if plan.method == "full" else "adapter_model.safetensors"
    saved, wanted = load_file(world.here / f"out-{name}" / file), load_file(run.weights / file)
    assert {key: tensor.shape for key, tensor in saved.items()} == {key: tensor.shape for key, tensor in wanted.items()}
    for key, tensor in wanted.items() if exact else []:
        assert (saved[key] - tensor).norm() <= 1e-2 * tensor.norm() + 1e-6, key


def test_weights_drawn_from_another_seed_are_noticed(world):
    (ours,), (others,) = world.said["prompt_tuning-sft"]["losses"], world.said["other-seed"]["losses"]
    assert others[0] != pytest.approx(ours[0], rel=1e-4)


def test_a_pair_begins_at_log_2_and_pulls_apart(world):
    for name, fields in RUNS.items():
        if "dpo" in fields.get("objective", ""):
            *_, (first, second) = world.said[name]["losses"]
            assert first == pytest.approx(0.693147, abs=1e-5)
            assert second < first
