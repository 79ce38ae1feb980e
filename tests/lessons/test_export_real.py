"""The exported script trains the 135M model without our package, and begins with the loss that `train` begins with."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from course_lib.plan import Plan
from course_lib.run.assets import model_folder
from course_lib.run.chat import encode_rows
from course_lib.run.data import load
from course_lib.run.methods import load_tokenizer
from course_lib.run.train import _StepTrainer, train

# All rows in one batch, so that their order does not matter.
BASE = Plan(precision="fp32", n_train=2, micro_batch=2, warmup_ratio=0.0)
PLANS = {"lora": BASE, "full": BASE.but(method="full", lr=1e-5, epochs=2)}
STEPS = {"lora": 3, "full": 2}
TOY = Plan(precision="fp32", micro_batch=4, max_len=2000, warmup_ratio=0.0)
OTHERS = {
    "dpo": TOY.but(objective="dpo"),
    "ia3-sft+dpo": TOY.but(method="ia3", objective="sft+dpo"),
    "full-sft+dpo": TOY.but(method="full", objective="sft+dpo", lr=1e-4),
    "qlora-cpt+sft": TOY.but(method="qlora", objective="cpt+sft"),
    "classification": TOY.but(objective="classification", first_layer=1),
    "prompt": TOY.but(method="prompt_tuning"),
}

# Runs scripts one after the other in one process that cannot import our package; writes what their trainers held.
HARNESS = """
import json, runpy, sys, time
from transformers import Trainer

Trainer._save_checkpoint = lambda *_, **__: None  # 1.6 GB for the whole model, and of no use here

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "course_lib":
            raise ImportError("course_lib is blocked")

sys.meta_path.insert(0, Blocked())
jobs, said = json.load(open(sys.argv[1])), {}
for name, arguments in jobs.items():
    sys.argv, start = arguments, time.time()
    try:
        trainer = runpy.run_path(arguments[0], run_name="__main__")["trainer"]
        rows = trainer.train_dataset
        said[name] = {
            "seconds": round(time.time() - start, 1),
            "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
            "labels": rows["labels"][:] if "labels" in rows.column_names else [],
            "ids": rows["input_ids"][:] if "input_ids" in rows.column_names else [],
        }
    except ImportError as error:
        said[name] = {"refused": str(error)}
json.dump(said, open(sys.argv[0] + ".json", "w"))
"""


def _lines(path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _unmarked(folder, target):
    """The tokenizer of a model with its chat template as published: without marks around the answer."""
    tokenizer = load_tokenizer(folder)
    for mark in ("{% generation %}", "{% endgeneration %}"):
        tokenizer.chat_template = tokenizer.chat_template.replace(mark, "")
    tokenizer.save_pretrained(target)
    return target


def _small_model(target) -> None:
    """A model of a few thousand weights with the 135M model's vocabulary."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=49152, **sizes)).save_pretrained(target)


@pytest.fixture(scope="module")
def world(tiny, tmp_path_factory):
    """All scripts written and run once in a process without our package."""
    here = tmp_path_factory.mktemp("exports")
    base, data = model_folder("smollm2-135m"), load("mails", n_train=12)
    data.write_jsonl(here / "train.jsonl")
    talk = [{"role": "user", "content": "and now?"}, {"role": "assistant", "content": "It is on its way."}]
    chats = [*data.train, {"messages": data.train[0]["messages"] + talk}]
    _lines(here / "chats.jsonl", chats)
    no = [{"role": "assistant", "content": "no"}]
    pairs = [{"prompt": r["messages"][:-1], "chosen": r["messages"][-1:], "rejected": no} for r in data.train]
    _lines(here / "pairs.jsonl", pairs)
    _lines(here / "texts.jsonl", [{"text": row["messages"][1]["content"]} for row in data.train])
    sort = [
        {"messages": [{"role": "user", "content": f"{i}"}, {"role": "assistant", "content": "ab"[i % 2]}]}
        for i in range(8)
    ]
    _lines(here / "labels.jsonl", sort)
    _small_model(here / "unmarked")
    _unmarked(base, here / "unmarked")
    _small_model(here / "marked")
    load_tokenizer(base).save_pretrained(here / "marked")

    jobs = {}

    def job(name, plan, model, rows, steps, before=""):
        script = plan.to_script()
        (here / f"{name}.py").write_text(before + script)
        jobs[name] = [f"{name}.py", "--model", str(model), "--data", rows, "--output", f"out-{name}"]
        jobs[name] += ["--max-steps", str(steps)]

    job("ours", PLANS["lora"], base, "train.jsonl", 1, before="import course_lib\n")
    for name, plan in PLANS.items():
        job(name, plan, base, "train.jsonl", STEPS[name])
    for name in ("marked", "unmarked"):
        job(name, BASE.but(n_train=None), here / name, "chats.jsonl", 1)
    for name, plan in OTHERS.items():
        rows = {"dpo": "pairs.jsonl", "classification": "labels.jsonl"}.get(plan.objective, "train.jsonl")
        job(name, plan, tiny, rows, 3)
    (here / "harness.py").write_text(HARNESS)
    (here / "jobs.json").write_text(json.dumps(jobs))
    done = subprocess.run(
        [sys.executable, "-I", "harness.py", "jobs.json"],
        cwd=here,
        capture_output=True,
        text=True,
        env=_environment(here),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = here.glob("*.py.json")
    return SimpleNamespace(said=json.loads(result.read_text()), chats=chats, here=here)


def _environment(here) -> dict:
    return os.environ | {"HF_DATASETS_CACHE": str(here / "cache"), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}


def test_a_script_that_needs_our_package_fails_here(world):
    assert world.said["ours"] == {"refused": "course_lib is blocked"}


@pytest.mark.parametrize("method", PLANS)
def test_the_script_learns_and_begins_with_our_loss(method, world, tmp_path, monkeypatch):
    losses = world.said[method]["losses"]
    assert len(losses) == STEPS[method]
    assert losses[-1] < losses[0]
    monkeypatch.setattr(_StepTrainer, "_save_checkpoint", lambda *_: None)
    monkeypatch.setattr("course_lib.run.train._save_final", lambda *_: None)
    ours = [step["loss"] for step in train(PLANS[method], folder=tmp_path).history]
    assert losses[0] == pytest.approx(ours[0], rel=1e-3)
    if method == "full":  # no weights are drawn, so that the next step agrees too
        assert losses == pytest.approx(ours, rel=5e-3)


@pytest.mark.parametrize("template", ["marked", "unmarked"])
def test_the_same_tokens_are_trained_on(template, world):
    tokenizer = load_tokenizer(world.here / template)
    ours = encode_rows(tokenizer, world.chats, 512)
    theirs = world.said[template]
    assert theirs["ids"] == [row.input_ids for row in ours]
    assert theirs["labels"] == [row.labels for row in ours]
    other = world.said["unmarked" if template == "marked" else "marked"]
    assert theirs["labels"] != other["labels"]  # without marks: the last answer only, and the newline after it


@pytest.mark.parametrize("name", OTHERS)
def test_other_objectives_and_methods_run(name, world):
    losses = world.said[name]["losses"]
    assert len(losses) == 3
    assert losses[2] < losses[0]
    if "dpo" in name:  # the reference is the model as it stood: neither answer is preferred yet
        assert losses[0] == pytest.approx(0.6931, abs=1e-4)
