"""The exported script trains the 135M model without our package, and begins with the loss that `train` begins with."""

from types import SimpleNamespace

import pytest

from course_lib.plan import Plan
from course_lib.run.assets import model_folder
from course_lib.run.chat import encode_rows
from course_lib.run.data import load
from course_lib.run.methods import load_tokenizer
from course_lib.run.train import train
from course_lib.run.trainer import StageTrainer
from tests.scripts import run_scripts, unmarked, write_lines

# All rows in one batch, so that their order does not matter.
BASE = Plan(precision="fp32", n_train=2, micro_batch=2, warmup_ratio=0.0)
PLANS = {"lora": BASE.but(epochs=3), "full": BASE.but(method="full", lr=1e-5, epochs=2)}


def _small_model(target, tokenizer) -> None:
    """A model of a few thousand weights with the vocabulary of a tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(target)
    tokenizer.save_pretrained(target)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """All scripts written and run once in a process without our package."""
    here = tmp_path_factory.mktemp("exports")
    base, data = model_folder("smollm2-135m"), load("mails", n_train=2)
    data.write_jsonl(here / "train.jsonl")
    talk = [{"role": "user", "content": "and now?"}, {"role": "assistant", "content": "It is on its way."}]
    chats = [*load("mails", n_train=12).train, {"messages": data.train[0]["messages"] + talk}]
    write_lines(here / "chats.jsonl", chats)
    _small_model(here / "marked", load_tokenizer(base))
    _small_model(here / "unmarked", unmarked(load_tokenizer(base)))
    jobs = {}

    def job(name, plan, model, rows):
        (here / f"{name}.py").write_text(plan.to_script(), encoding="utf-8")
        jobs[name] = [f"{name}.py", "--model", str(model), "--data", rows, "--output", f"out-{name}"]

    for name, plan in PLANS.items():
        job(name, plan, base, "train.jsonl")
    for name in ("marked", "unmarked"):
        job(name, BASE.but(n_train=None), here / name, "chats.jsonl")
    return SimpleNamespace(said=run_scripts(here, jobs), chats=chats, here=here)


@pytest.mark.parametrize("method", PLANS)
def test_the_script_learns_what_train_learns(method, world, tmp_path, monkeypatch):
    (losses,) = world.said[method]["losses"]
    assert losses[-1] < losses[0]
    monkeypatch.setattr(StageTrainer, "_save_checkpoint", lambda *_: None)
    monkeypatch.setattr("course_lib.run.train._save_final", lambda *_: None)
    ours = [step["loss"] for step in train(PLANS[method], folder=tmp_path).history]
    assert losses[0] == pytest.approx(ours[0], rel=1e-3)
    assert losses == pytest.approx(ours, rel=5e-3)


@pytest.mark.parametrize("template", ["marked", "unmarked"])
def test_the_same_tokens_are_trained_on(template, world):
    tokenizer = load_tokenizer(world.here / template)
    ours = encode_rows(tokenizer, world.chats, 512)
    theirs = world.said[template]["columns"]
    assert theirs["input_ids"] == [row.input_ids for row in ours]
    assert theirs["labels"] == [row.labels for row in ours]
    other = world.said["unmarked" if template == "marked" else "marked"]["columns"]
    assert theirs["labels"] != other["labels"]  # without marks: the last answer only, and the newline after it
