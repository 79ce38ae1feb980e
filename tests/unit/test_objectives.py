"""Every objective, with every method, trains towards its goal, and what it trains can be stopped, saved, read back and merged.

What keeps a model from forgetting (replay, KL, early stop, rates by block) is here too, each with its control.
"""

import gc
import json
import math
import shutil
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from cases import CASES, COLOURS, ROWS, TRAINED
from peft import PeftModel
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    Trainer,
)

from course_lib import ModelShape, Plan, evaluate, load, train
from course_lib.choose.setup import trained_parameters
from course_lib.errors import CourseError
from course_lib.prove.forgetting import forgetting
from course_lib.prove.log_likelihood import of_pairs
from course_lib.prove.metrics import METRICS_FOR, REWARDS
from course_lib.prove.scores import difference
from course_lib.run import general
from course_lib.run import train as train_module
from course_lib.run.data import DataSet
from course_lib.run.methods import METHODS, load_base, load_tokenizer, prepare
from course_lib.run.objectives import OBJECTIVES, count, loss
from course_lib.run.preference import REFERENCE_FILE
from course_lib.run.result import stage_folders

RATES = {"prompt_tuning": 0.3, "prefix_tuning": 0.3, "ia3": 0.3, "rslora": 3e-3, "full": 3e-3}  # 1e-2 for the others
IDS = torch.arange(3, 100).reshape(1, -1)
PAIRS = [
    {
        "prompt": row["messages"][:-1],
        "chosen": row["messages"][-1:],
        "rejected": [{"role": "assistant", "content": "no"}],
    }
    for row in ROWS
]  # "no" is the shorter answer, which an untrained model prefers
TEXTS = [
    {"text": f"{colour} and {other}, said {i}. " * 4}
    for i, (colour, other) in enumerate(zip(COLOURS * 3, COLOURS[::-1] * 3, strict=True))
]
LABELLED = [
    {
        "messages": [
            {"role": "user", "content": f"{i} {('aaaaaa', 'zzzzzz')[i % 2]} {COLOURS[i % 8]}"},
            {"role": "assistant", "content": ("early", "late")[i % 2]},
        ]
    }
    for i in range(24)
]
GENERAL = [{"text": f"{i} times {j} makes {i * j}."} for i in range(20) for j in range(6)]


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Without what takes a run's time here: looking for busy processes, PEFT's README, garbage among imported libraries."""
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "busy_neighbours", lambda: 0.0)
        patch.setattr(PeftModel, "create_or_update_model_card", lambda *_: None)
        yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def encoder(tiny, tmp_path_factory):
    """Folder of a two-layer BERT over the same bytes."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "initializer_range": 0.2,
    }
    BertModel(BertConfig(vocab_size=259, max_position_embeddings=256, pad_token_id=2, **sizes)).save_pretrained(folder)
    load_tokenizer(tiny).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each form of rows; two labels to classify."""
    folder, rows = tmp_path_factory.mktemp("data"), {"data": ROWS, "pairs": PAIRS, "texts": TEXTS, "general": GENERAL}
    rows["labels"] = LABELLED
    for name, kind in rows.items():
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in kind))
    return {name: str(folder / f"{name}.jsonl") for name in rows}


@pytest.fixture(scope="module")
def plan_of(tiny, encoder, files):
    small = {"rank": 4, "alpha": 8, "bottleneck": 8, "virtual_tokens": 5, "micro_batch": 4, "save_steps": 2}
    small |= {"precision": "fp32", "warmup_ratio": 0, "schedule": "constant", "max_len": 96, "n_train": 16}

    def of(objective, case="lora", model=None, **fields):
        rate = 3e-3 if objective == "classification" else RATES.get(case, 1e-2)
        data = {name: files[name] for name in ("pairs", "texts", "general")}
        data["data"] = files["labels" if objective == "classification" else "data"]
        made = {**small, **data, "model": str(model or tiny), "objective": objective, "lr": rate, "dpo_lr": rate / 3}
        return Plan(**{**made, **CASES[case], **fields})

    return of


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """`train`, and for each stage the model, its weights as its steps began, and the loss over all rows before and after."""

    def run(plan, folder=None):
        stages, real = [], Trainer.train

        def look(trainer, **arguments):
            start = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
            losses = [over_all(trainer)]
            stages.append(SimpleNamespace(plan=trainer.plan, model=trainer.model, start=start, losses=losses))
            made = real(trainer, **arguments)
            losses.append(over_all(trainer))
            return made

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "train", look)
            made = train(plan, folder=folder or tmp_path_factory.mktemp(plan.id) / "run")
        return made, stages

    return run


@torch.no_grad()
def over_all(trainer):
    batch = trainer.data_collator(trainer.train_dataset)
    value = loss(trainer.model.eval(), batch, trainer.plan, count(batch, trainer.plan)).item()
    trainer.model.train()
    return value


def cases():
    for objective in OBJECTIVES:
        for case in CASES:
            for model in ("tiny", "encoder") if objective == "classification" else ("tiny",):
                if model == "encoder" and case == "prefix_tuning":
                    continue
                quick = case == "lora" and objective not in ("sft", "cpt", "dpo")
                marks = [] if quick else [pytest.mark.slow]
                yield pytest.param((objective, case, model), id=f"{objective}-{case}-{model}", marks=marks)


@pytest.fixture(scope="module", params=cases())
def trained(request, plan_of, watched, encoder):
    """(run, its stages)."""
    objective, case, model = request.param
    if model == "tiny":
        return watched(plan_of(objective, case))
    return watched(plan_of(objective, case, encoder, epochs=3, save_steps=6, lr=1e-2))


@torch.inference_mode()
def logits(model):
    return model.eval()(input_ids=IDS).logits


def test_an_objective_is_reached(trained):
    """The loss falls in every stage; DPO's from log 2."""
    _, stages = trained
    for stage in stages:
        before, after = stage.losses
        assert after < before - 0.003
        if stage.plan.objective == "dpo":
            assert before == pytest.approx(math.log(2), abs=1e-5)


def test_an_objective_moves_its_methods_own_weights_and_no_others(trained):
    """A classifier's new output layer moves beside them."""
    run, stages = trained
    for stage in stages:
        after = {name: weight.detach() for name, weight in stage.model.named_parameters()}
        assert after.keys() == stage.start.keys()
        moved = {name for name in after if not torch.equal(after[name], stage.start[name])}
        assert moved == {name for name in after if TRAINED[run.plan.method] in name or "modules_to_save" in name}


def test_what_an_objective_trains_is_counted_as_estimate_counts_it(trained):
    run, stages = trained
    config, plan = stages[-1].model.config, run.plan
    labels = 2 if plan.objective == "classification" else 0
    shape = ModelShape(
        name="tiny",
        params=sum(weight.numel() for weight in AutoModel.from_pretrained(plan.model).parameters()),
        layers=2,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=getattr(config, "num_key_value_heads", config.num_attention_heads),
        head_dim=config.hidden_size // config.num_attention_heads,
        ffn=config.intermediate_size,
        vocab=config.vocab_size,
        mlp=2 if config.model_type == "bert" else 3,
        kind="encoder" if config.model_type == "bert" else "causal",
        tied=True,
        model_type=config.model_type,
    )
    assert run.record["trainable"] == trained_parameters(plan, shape, labels)


def test_an_objectives_result_saved_and_read_back_answers_the_same(trained):
    run, stages = trained
    torch.testing.assert_close(logits(run.model()), logits(stages[-1].model), rtol=0, atol=4e-6)
    assert not torch.allclose(logits(run.model()), logits_before(stages[0]), atol=1e-3)


@contextmanager
def weights_before(stage):
    """The stage's model with the weights that it began with."""
    named = dict(stage.model.named_parameters())
    after = {name: weight.detach().clone() for name, weight in named.items()}
    with torch.no_grad():
        for name, weight in named.items():
            weight.copy_(stage.start[name])
        yield stage.model
        for name, weight in named.items():
            weight.copy_(after[name])


def logits_before(stage):
    with weights_before(stage) as model:
        return logits(model)


@pytest.mark.slow
def test_an_objectives_adapter_switched_off_is_the_base_model(trained):
    """Of a classifier, up to its output layer, which was drawn by chance."""
    run, _ = trained
    if run.plan.method == "full":
        return
    model = run.model()
    base = load_base(run.plan.model, run.plan, run.record["labels"])
    if run.plan.objective == "classification":
        head = next(layer for name, layer in base.named_modules() if name in ("score", "classifier"))
        ours = next(layer for name, layer in model.named_modules() if name.endswith((".score", ".classifier")))
        if METHODS[run.plan.method].virtual:  # PEFT 0.21 fails to switch off virtual tokens of a classifier
            head.load_state_dict(ours.modules_to_save["default"].state_dict())
            model = model.get_base_model()
        else:
            head.load_state_dict(ours.original_module.state_dict())
    with model.disable_adapter() if isinstance(model, PeftModel) else nullcontext():
        torch.testing.assert_close(logits(model), logits(base), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_an_objectives_result_merged_answers_the_same_or_refuses_in_a_sentence(trained):
    run, _ = trained
    refuses = METHODS[run.plan.method].merges_not
    with pytest.raises(CourseError, match="cannot be merged") if refuses else nullcontext() as told:
        merged = run.merged()
        torch.testing.assert_close(logits(merged), logits(run.model()), rtol=0, atol=1e-3)
        assert not hasattr(merged, "peft_config")
    if refuses:
        assert one_sentence(told)


@pytest.mark.slow
def test_an_objective_stopped_in_any_stage_ends_at_the_same_weights_to_the_bit(trained, tmp_path, capsys):
    run, _ = trained
    folders = [folder.name for folder in stage_folders(run.folder, run.plan)]
    for number, name in enumerate(folders):
        copy = shutil.copytree(run.folder, tmp_path / str(number) / "run")
        here = copy / name if len(folders) > 1 else copy
        for later in folders[number + 1 :]:
            shutil.rmtree(copy / later)
        steps = sorted(int(path.name.split("-")[1]) for path in here.glob("checkpoint-*"))
        shutil.rmtree(here / "final")
        shutil.rmtree(here / f"checkpoint-{steps[-1]}")
        again = train(run.plan, folder=copy)
        assert f"Going on from checkpoint-{steps[-2]} of" in capsys.readouterr().out
        assert same_file(run, again)
        assert [step["loss"] for step in run.history] == [step["loss"] for step in again.history]


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objective_gives_the_same_weights_from_a_seed_and_others_from_another(objective, plan_of, tmp_path):
    plan = plan_of(objective)
    first, again = (train(plan, folder=tmp_path / name) for name in ("first", "again"))
    assert same_file(first, again)
    assert not same_file(first, train(plan.but(seed=1), folder=tmp_path / "other"))


def continues(stages) -> bool:
    """Whether the second stage begins with the model that the first one ended with."""
    return torch.allclose(logits_before(stages[1]), logits(stages[0].model), rtol=0, atol=4e-6)


def test_the_second_stage_of_an_objective_starts_from_the_first(trained):
    run, stages = trained
    assert len(stages) == len(OBJECTIVES[run.plan.objective].stages)
    if len(stages) == 2:
        assert continues(stages)
        assert not torch.allclose(logits_before(stages[0]), logits(stages[0].model), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sft+dpo", "cpt+sft"])
def test_control_an_objective_whose_stages_know_nothing_of_each_other(objective, plan_of, watched, monkeypatch, tiny):
    monkeypatch.setattr(train_module, "start_from", lambda *_: None)
    assert not continues(watched(plan_of(objective))[1])
    monkeypatch.setattr(train_module, "prepare", lambda _, plan, labels: prepare(tiny, plan, labels))
    assert not continues(watched(plan_of(objective, "full"))[1])


def reference_of(run):
    return torch.tensor(
        json.loads((stage_folders(run.folder, run.plan)[-1] / REFERENCE_FILE).read_text())["log_probabilities"]
    )


@pytest.mark.slow
def test_the_reference_of_objective_dpo_is_the_model_as_it_began(trained, tiny):
    run, stages = trained
    if "dpo" not in run.plan.objective:
        return
    tokenizer = load_tokenizer(tiny)
    rows = load(run.plan.pairs, n_train=16).train
    kept = reference_of(run)
    now = torch.tensor(of_pairs(stages[-1].model, tokenizer, rows)[0])
    with weights_before(stages[-1]) as model:
        began = torch.tensor(of_pairs(model, tokenizer, rows)[0])
    torch.testing.assert_close(kept, began, rtol=0, atol=1e-3)
    assert not torch.allclose(kept, now, atol=0.1)
    margins = [(log[:, 0] - log[:, 1]) for log in (now, began)]
    assert (margins[0] > margins[1]).float().mean() > 0.9, "the chosen answers are preferred more than they were"
    assert (margins[0] > 0).sum() >= (margins[1] > 0).sum()


@pytest.mark.slow
def test_control_objective_sft_dpo_measured_against_the_base_model(plan_of, watched, tiny, monkeypatch):
    """The loss of the first step says so: it is not log 2."""
    real = train_module.with_reference
    monkeypatch.setattr(
        train_module, "with_reference", lambda _, *rest: real(load_base(tiny, Plan(precision="fp32")), *rest)
    )
    run, _ = watched(plan_of("sft+dpo"))
    first = next(step["loss"] for step in run.history if step["stage"] == "dpo")
    assert abs(first - math.log(2)) > 0.01


@pytest.mark.slow
def test_an_objective_is_scored_by_what_it_is_for(trained, tiny):
    """As a plain loop says, or better than the model that it began with, on the rows that it learned from."""
    run, stages = trained
    last = stages[-1].plan
    rows = load(getattr(last, OBJECTIVES[last.objective].field), n_train=16).train
    scores = evaluate(run, rows, max_new_tokens=8, metrics=("perplexity",) if last.objective == "sft" else None)
    if last.objective == "classification":
        model, tokenizer = run.model(), load_tokenizer(tiny)
        said = [label_of(model, tokenizer, row) for row in rows]
        assert [answer.said for answer in scores.answers] == said
        right = [label == row["messages"][-1]["content"] for label, row in zip(said, rows, strict=True)]
        assert scores["accuracy"].value == sum(right) / 16
        assert [answer.right for answer in scores.answers] == right
        assert evaluate(run, [unknown(row) for row in rows[:4]])["accuracy"].value == 0
        with pytest.raises(CourseError, match="head names labels") as told:
            evaluate(run, PAIRS)
        assert one_sentence(told)
    elif last.objective == "dpo":
        assert set(scores.scores) == {*METRICS_FOR["pair"], *REWARDS}
        assert scores["reward_accuracy"].value > 0.9
        first = next(step["loss"] for step in run.history if step["stage"] == "dpo")
        assert math.log1p(math.exp(-scores["reward_margin"].value)) < first
    else:
        base = evaluate(load_base(tiny, run.plan).eval(), rows, ("perplexity",))
        gap = difference(scores, base, "perplexity")
        assert gap.high < 0
        lost = forgetting(run, DataSet("general", [], [], GENERAL[:8], "", "plain"))
        assert lost["ratio"].value == pytest.approx(lost["tuned"].value / lost["base"].value)
        assert lost["ratio"].low < lost["ratio"].value < lost["ratio"].high


@torch.inference_mode()
def label_of(model, tokenizer, row):
    ids = tokenizer(row["messages"][0]["content"], return_tensors="pt")["input_ids"]
    return ("early", "late")[int(model(input_ids=ids).logits.argmax())]


def unknown(row):
    return {"messages": [row["messages"][0], {"role": "assistant", "content": "never seen"}]}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_kl_of_an_objective_is_zero_at_the_start_and_holds_the_model_back(method, plan_of, watched):
    """Control: without it the model goes further."""
    with_kl, without = (watched(plan_of("sft", method, kl=kl))[0] for kl in (50.0, 0.0))
    losses, free = ([step["loss"] for step in run.history] for run in (with_kl, without))
    assert losses[0] == pytest.approx(free[0], abs=1e-5)
    assert losses[1] != free[1]
    base = logits(load_base(with_kl.plan.model, with_kl.plan)).log_softmax(-1)
    assert divergence(with_kl, base) < 0.7 * divergence(without, base)


def divergence(run, base):
    ours = logits(run.model()).log_softmax(-1)
    return float((ours.exp() * (ours - base)).sum(-1).mean())


@pytest.mark.slow
def test_replay_of_an_objective_is_that_share_of_the_rows(plan_of, watched):
    half, _ = watched(plan_of("sft", replay=0.5, n_train=8))
    none, _ = watched(plan_of("sft", n_train=8))
    assert (half.record["rows"], none.record["rows"]) == (16, 8)
    assert (len(half.history), len(none.history)) == (4, 2)
    assert not same_file(half, none)


@pytest.fixture
def looks(monkeypatch):
    """`train` looks at general texts and sees these losses, nats per token: before training, then after each two steps."""

    def say(*losses):
        seen = iter(losses)
        monkeypatch.setattr(train_module.general, "general_loss", lambda *_: next(seen))

    return say


def test_an_objective_stopped_early_is_the_newest_model_within_bounds(plan_of, watched, looks, capsys):
    looks(5.0, 5.5, 6.5)
    run, stages = watched(plan_of("sft", early_stop=1.0))
    assert run.finished
    assert run.record["stopped_early"] == {"at_step": 4, "weights_of_step": 2}
    assert "the result is the model after step 2" in capsys.readouterr().out
    assert torch.equal(logits(run.model()), logits(stages[0].model))
    files = [folder / "adapter_model.safetensors" for folder in (run.folder / "checkpoint-2", run.weights)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not (run.folder / "checkpoint-4").exists()


@pytest.mark.slow
def test_control_an_objective_within_bounds_is_not_stopped(plan_of, watched, looks):
    looks(5.0, 5.5, 5.99)
    run, _ = watched(plan_of("sft", early_stop=1.0))
    assert run.record["stopped_early"] is None
    assert (run.folder / "checkpoint-4").exists()
    assert same_file(run, watched(plan_of("sft"))[0]), "looking changes nothing"


@pytest.mark.slow
def test_an_objective_out_of_bounds_at_the_first_look_is_a_sentence(plan_of, watched, looks):
    looks(5.0, 6.5)
    with pytest.raises(CourseError, match="at the first look, step 2") as told:
        watched(plan_of("sft", early_stop=1.0))
    assert one_sentence(told)


@pytest.mark.slow
def test_an_objective_that_forgets_is_stopped_by_what_it_reads(plan_of, watched, tiny):
    run, _ = watched(plan_of("sft", "full", early_stop=0.5, epochs=4, save_steps=1, lr=1e-2))
    losses, stopped = run.record["general_loss"], run.record["stopped_early"]
    kept = losses[stopped["weights_of_step"]]
    assert kept - losses[0] < 0.5 <= losses[stopped["at_step"]] - losses[0]
    texts = general.held_out(load_tokenizer(tiny), load(run.plan.general, form="plain"))
    assert general.general_loss(run.model(), texts, 2) == pytest.approx(kept, abs=1e-4)


@pytest.mark.slow
def test_an_objective_with_layer_decay_moves_lower_blocks_less(plan_of, watched):
    def moves(decay):
        _, (stage,) = watched(plan_of("sft", "full", layer_decay=decay, optimizer="sgd", lr=0.1, n_train=4))
        far = {}
        for name, weight in stage.model.named_parameters():
            part = "0" if ".layers.0." in name else "1" if ".layers.1." in name else "rest"
            far[part] = far.get(part, 0) + float((weight.detach() - stage.start[name]).norm() ** 2)
        return far["0"] / far["1"]

    assert moves(0.1) == pytest.approx(0.01 * moves(1.0), rel=1e-3)


@pytest.fixture
def no_weights(monkeypatch):
    def never(*_, **__):
        raise AssertionError("model weights were loaded")

    for kind in (AutoModelForCausalLM, AutoModelForSequenceClassification):
        monkeypatch.setattr(kind, "from_pretrained", never)


@pytest.mark.parametrize(
    ("objective", "fields", "says"),
    [
        ("dpo", {"pairs": "data"}, "pairs"),
        ("dpo", {"pairs": "nowhere.jsonl"}, "no data set and no file"),
        ("sft", {"data": "pairs"}, "chats"),
        ("sft+dpo", {"pairs": "texts"}, "pairs"),
        ("cpt", {"texts": "data"}, "texts"),
        ("cpt+sft", {"texts": "pairs"}, "texts"),
        ("sft", {"replay": 0.2, "general": "data"}, "texts"),
        ("sft", {"early_stop": 0.2, "general": "pairs"}, "texts"),
        ("classification", {"n_train": 1}, "have the same label"),
        ("sft", {"data": "one label"}, "have the same answer"),
        ("classification", {"data": "texts"}, "chats"),
        ("sft", {"model": "encoder"}, "is an encoder"),
        ("dpo", {"model": "encoder"}, "is an encoder"),
        ("cpt+sft", {"model": "encoder"}, "is an encoder"),
        ("classification", {"model": "encoder", "case": "prefix_tuning"}, "needs a causal model"),
    ],
)
def test_what_an_objective_cannot_learn_from_is_a_sentence(
    objective, fields, says, plan_of, files, encoder, no_weights, tmp_path
):
    one_label = tmp_path / "one.jsonl"
    one_label.write_text("\n".join(json.dumps(unknown(row)) for row in LABELLED))
    named = {**files, "encoder": str(encoder), "one label": str(one_label)}
    with pytest.raises(CourseError, match=says) as told:
        train(
            plan_of(objective, **{name: named.get(value, value) for name, value in fields.items()}),
            folder=tmp_path / "run",
        )
    assert one_sentence(told)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rows", [ROWS, PAIRS, GENERAL], ids=["chats", "pairs", "texts"])
def test_an_encoder_without_an_objective_of_its_own_is_not_scored(rows, encoder, no_weights):
    with pytest.raises(CourseError, match="is an encoder") as told:
        evaluate(str(encoder), rows)
    assert one_sentence(told)


@pytest.mark.parametrize("fields", [{"kl": 0.1}, {"replay": 0.1}, {"early_stop": 0.1}])
def test_an_objective_that_learns_no_text_takes_none_to_keep(fields):
    with pytest.raises(CourseError, match="leave it out"):
        Plan(objective="classification", **fields)


@pytest.mark.slow
def test_objective_classification_of_an_encoder_with_more_new_layers_than_its_head_is_full_or_nothing(
    plan_of, encoder, tmp_path, watched
):
    """They would be drawn anew each time that an adapter is read back."""
    folder = shutil.copytree(encoder, tmp_path / "model")
    BertForMaskedLM.from_pretrained(encoder).save_pretrained(folder)  # without the layer before the head
    with pytest.raises(CourseError, match="set method to full") as told:
        watched(plan_of("classification", model=folder))
    assert one_sentence(told)
    run, stages = watched(plan_of("classification", "full", model=folder))
    torch.testing.assert_close(logits(run.model()), logits(stages[0].model), rtol=0, atol=1e-6)


def same_file(run, other) -> bool:
    first, second = (next(one.weights.glob("*model.safetensors")).read_bytes() for one in (run, other))
    return first == second


def one_sentence(told) -> bool:
    said = str(told.value)
    return said.endswith(".") and ". " not in said and "\n" not in said
