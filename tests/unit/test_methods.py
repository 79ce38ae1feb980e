"""Every method does what its name says: trains its own weights, can be stopped, saved, read back, switched off and merged."""

import gc
import json
import shutil
from contextlib import nullcontext
from typing import get_args

import pytest
import torch
from cases import CASES, ROWS, TRAINED
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM

from course_lib import ModelShape, Plan, train
from course_lib.choose.setup import trained_parameters
from course_lib.errors import CourseError
from course_lib.run import objectives, soft_prompts
from course_lib.run import train as train_module
from course_lib.run import trained as trained_module
from course_lib.run import trainer as trainer_module
from course_lib.run.chat import encode_rows
from course_lib.run.generate import answers
from course_lib.run.merge import merge
from course_lib.run.methods import METHODS, autocast, load_base, load_tokenizer, prepare
from course_lib.run.objectives import collator, encode
from course_lib.run.simulate import simulate
from course_lib.run.step import collate, target_loss
from course_lib.run.targets import weightless

# A random model heeds no prompt; with large steps even it learns a little.
RATES = {"prompt_tuning": 0.3, "prefix_tuning": 0.3, "ia3": 0.3, "rslora": 3e-3}
FALLS = {"full": 1.0, "prompt_tuning": 0.02, "prefix_tuning": 0.02, "p_tuning": 0.02}  # nats; 0.1 for the others
IDS = torch.arange(3, 100).reshape(1, -1)


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
def plan_of(tiny, tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "colours.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in ROWS))
    small = {"rank": 4, "alpha": 8, "bottleneck": 8, "virtual_tokens": 5, "micro_batch": 4, "save_steps": 2}
    small |= {"precision": "fp32", "warmup_ratio": 0, "schedule": "constant", "max_len": 256, "n_train": 16}

    def of(case, **fields):
        rate = RATES.get(case, 1e-2)
        return Plan(**{**small, "model": str(tiny), "data": str(file), "lr": rate, **CASES[case], **fields})

    return of


@pytest.fixture(scope="module", params=CASES)
def trained(request, plan_of, tmp_path_factory):
    """(case, run, the model as it was when training ended)."""
    models = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "prepare", lambda *args: models.append(prepare(*args)) or models[0])
        run = train(plan_of(request.param), folder=tmp_path_factory.mktemp(request.param) / "run")
    return request.param, run, models[0]


@torch.inference_mode()
def logits(model):
    return model.eval()(input_ids=IDS).logits


@torch.inference_mode()
def loss(model, tokenizer):
    """Over all rows."""
    rows = encode_rows(tokenizer, ROWS, 256)
    n = sum(label != -100 for row in rows for label in row.labels)
    return target_loss(model.eval(), collate(rows, 2, share=False), n).item()


def test_loss_falls(trained, tiny):
    case, run, model = trained
    tokenizer = load_tokenizer(tiny)
    before = loss(prepare(tiny, run.plan), tokenizer)
    assert loss(model, tokenizer) < before - FALLS.get(case, 0.1)


def test_the_methods_own_weights_move_and_no_others(trained, tiny):
    _, run, model = trained
    before, after = dict(prepare(tiny, run.plan).named_parameters()), dict(model.named_parameters())
    assert before.keys() == after.keys()
    moved = {name for name in after if not torch.equal(after[name].data, before[name].data)}
    assert moved == {name for name in after if TRAINED[run.plan.method] in name}


def test_what_is_trained_is_counted_as_estimate_counts_it(trained, tiny):
    _, run, _ = trained
    config = AutoConfig.from_pretrained(tiny)
    shape = ModelShape(
        name="tiny",
        params=run.record["parameters"] if run.plan.method == "full" else 0,
        layers=2,
        hidden=64,
        heads=4,
        kv_heads=2,
        head_dim=16,
        ffn=128,
        vocab=config.vocab_size,
        model_type="llama",
    )
    assert run.record["trainable"] == trained_parameters(run.plan, shape)


def test_saved_and_read_back_it_answers_the_same(trained):
    case, run, model = trained
    again = logits(run.model())
    if case == "pissa":  # the same sum in another order
        torch.testing.assert_close(again, logits(model), rtol=0, atol=2e-6)
    else:
        assert torch.equal(again, logits(model))


@pytest.mark.slow
def test_peft_alone_reads_it_back_too(trained, tiny):
    _, run, _ = trained
    if run.plan.method == "full":
        return
    model = PeftModel.from_pretrained(load_base(tiny, run.plan), run.weights)
    assert torch.equal(logits(model), logits(run.model()))


def test_control_untrained_it_answers_otherwise(trained, tiny):
    _, run, model = trained
    assert not torch.allclose(logits(prepare(tiny, run.plan)), logits(model), atol=1e-2)


@pytest.mark.slow
def test_switched_off_it_is_the_base_model(trained, tiny):
    _, run, _ = trained
    if run.plan.method == "full":
        return
    model = run.model()
    with model.disable_adapter():
        assert torch.equal(logits(model), logits(load_base(tiny, run.plan)))


@pytest.mark.slow
def test_merged_it_answers_the_same_or_refuses_in_a_sentence(trained):
    _, run, _ = trained
    refuses = METHODS[run.plan.method].merges_not
    with pytest.raises(CourseError, match="cannot be merged") if refuses else nullcontext() as told:
        merged = run.merged()
        torch.testing.assert_close(logits(merged), logits(run.model()), rtol=0, atol=1e-3)
        assert not hasattr(merged, "peft_config")
        assert not any("lora" in name or "ia3" in name for name, _ in merged.named_modules())
    if refuses:
        assert one_sentence(told)


@pytest.mark.slow
def test_stopped_and_gone_on_it_ends_at_the_same_weights_to_the_bit(trained, tmp_path, capsys):
    _, run, _ = trained
    folder = shutil.copytree(run.folder, tmp_path / "run")
    shutil.rmtree(folder / "final")
    shutil.rmtree(folder / "checkpoint-4")
    again = train(run.plan, folder=folder)
    assert "Going on from checkpoint-2 of 4 steps." in capsys.readouterr().out
    assert same_file(run, again)
    assert [step["loss"] for step in again.history] == [step["loss"] for step in run.history]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_seed_gives_the_same_weights_and_another_seed_others(case, plan_of, tiny):
    """Those that start at fixed values, and those of whole runs: test_train.py."""
    plan = plan_of(case)
    first, again, other = (dict(prepare(tiny, p).named_parameters()) for p in (plan, plan, plan.but(seed=1)))
    assert all(torch.equal(first[name].data, again[name].data) for name in first)
    fixed = plan.method in ("full", "prefix_tuning", "ia3")
    assert fixed == all(torch.equal(first[name].data, other[name].data) for name in first)


@pytest.mark.parametrize("case", CASES)
def test_a_new_method_starts_where_the_model_stands(case, plan_of, tiny):
    """Soft prompts cannot: prompt tuning and P-tuning put chance before the text, prefix tuning a text of ours."""
    plan, base = plan_of(case), load_base(tiny, plan_of(case))
    got = logits(prepare(tiny, plan))
    if case == "prefix_tuning":
        start = load_tokenizer(tiny)(soft_prompts.START)["input_ids"][: plan.virtual_tokens]
        expected = base.eval()(input_ids=torch.cat([torch.tensor([start]), IDS], 1)).logits[:, len(start) :]
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
        assert not torch.allclose(got, logits(base), atol=1e-2)
    elif not METHODS[plan.method].virtual:
        torch.testing.assert_close(got, logits(base), rtol=0, atol=1e-5)
    else:
        assert got.shape[1] == IDS.shape[1] + plan.virtual_tokens


def test_control_a_p_tuning_run_that_keeps_its_prompt_only_does_not_go_on_to_the_same_weights(
    plan_of, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainer_module, "save_to_go_on", lambda *_: None)
    run = train(plan_of("p_tuning"), folder=tmp_path / "run")
    folder = shutil.copytree(run.folder, tmp_path / "again")
    shutil.rmtree(folder / "final")
    shutil.rmtree(folder / "checkpoint-4")
    assert not same_file(run, train(run.plan, folder=folder))


def test_a_pissa_run_goes_on_where_another_machine_takes_other_parts_out_of_the_weights(plan_of, tiny, tmp_path):
    plan = plan_of("pissa")
    before, after = prepare(tiny, plan), prepare(tiny, plan.but(seed=7))
    with torch.no_grad():
        for name, weight in before.named_parameters():
            if "lora_" in name:
                weight.add_(0.1)
    assert not torch.allclose(pissa_part(before), pissa_part(after)), "control: chance decides what is taken out"
    trained_module.save_to_go_on(before, plan, tmp_path)
    trained_module.go_on(after, plan, tmp_path / trained_module.TRAINED_FILE)
    torch.testing.assert_close(logits(after), logits(before), rtol=0, atol=1e-5)


def pissa_part(model):
    return next(layer.pissa_start[0] for layer in model.modules() if hasattr(layer, "pissa_start"))


@pytest.fixture(scope="module")
def loud(tiny, tmp_path_factory):
    """The tiny model with larger weights: as it is, it only repeats the prompt's last token."""
    folder = shutil.copytree(tiny, tmp_path_factory.mktemp("loud") / "model")
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if "proj" in name:
            torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("case", ["adapters", "prefix_tuning", "p_tuning"])
def test_batched_answers_are_those_of_one_at_a_time(case, plan_of, loud):
    """Of the rest: test_evaluate.py."""
    model, tokenizer = prepare(loud, plan_of(case, model=str(loud))).eval(), load_tokenizer(loud)
    torch.manual_seed(1)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.05 * torch.randn_like(weight)
    expected = [greedy(model, tokenizer, row, 8) for row in ROWS[:4]]
    assert answers(model, tokenizer, ROWS[:4], 8, batch=3) == expected
    assert len(set(expected)) > 1


@torch.inference_mode()
def greedy(model, tokenizer, row, n):
    ids = tokenizer.apply_chat_template(row["messages"][:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
    new = []
    while len(new) < n and tokenizer.eos_token_id not in new:
        new.append(int(model(input_ids=torch.tensor([ids + new])).logits[0, -1].argmax()))
    return tokenizer.decode(new, skip_special_tokens=True).strip()


def test_the_table_holds_every_method_of_a_plan():
    assert set(METHODS) == set(get_args(Plan.model_fields["method"].annotation))
    for method in METHODS.values():
        assert method.latency
        assert 103 <= method.lesson <= 312
        assert set(method.reads) <= set(Plan.model_fields)


CHANGED = {
    "rank": 3,
    "alpha": 5,
    "dropout": 0.5,
    "targets": "q_proj",
    "first_layer": 1,
    "variant": "dora",
    "virtual_tokens": 7,
    "bottleneck": 9,
    "placement": "pfeiffer",
}


@pytest.mark.parametrize("method", [name for name in METHODS if name != "full"])
def test_a_method_reads_the_fields_that_the_table_says_and_no_others(method, tiny):
    model, plan = weightless(tiny, Plan()), Plan(method=method)
    configure = METHODS[method].config
    moved = {
        field
        for field, value in CHANGED.items()
        if configure(model, plan.but(**{field: value})) != configure(model, plan)
    }
    assert moved == set(METHODS[method].reads)


@pytest.fixture
def no_weights(monkeypatch):
    def never(*_, **__):
        raise AssertionError("model weights were loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", never)


@pytest.mark.parametrize("run_it", [train, simulate])
def test_prefix_tuning_with_gradient_checkpointing_is_refused_early(run_it, plan_of, no_weights):
    with pytest.raises(CourseError, match="set gradient_checkpointing to false") as told:
        run_it(plan_of("prefix_tuning", gradient_checkpointing=True))
    assert one_sentence(told)


@pytest.fixture
def mixture(tiny, tmp_path):
    """Folder of a mixture of experts: its blocks end in no single matrix."""
    folder = shutil.copytree(tiny, tmp_path / "mixture")
    AutoConfig.for_model(
        "mixtral",
        vocab_size=259,
        hidden_size=64,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=2,
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("run_it", [train, simulate])
def test_an_adapter_without_a_place_is_refused_early(run_it, mixture, plan_of, no_weights):
    with pytest.raises(CourseError, match="no place for an adapter after the MLP in models of type mixtral") as told:
        run_it(plan_of("adapters", model=str(mixture)))
    assert one_sentence(told)


def test_pissa_on_a_four_bit_base_is_no_plan():
    with pytest.raises(CourseError, match="set variant to plain, dora or rslora"):
        Plan(method="qlora", variant="pissa")


@pytest.mark.parametrize("case", [name for name in CASES if METHODS[CASES[name]["method"]].merges_not])
def test_what_cannot_be_merged_is_refused_before_anything_is_loaded(case, plan_of, no_weights, tmp_path):
    with pytest.raises(CourseError, match="cannot be merged") as told:
        merge(tmp_path, plan_of(case), tmp_path)
    assert one_sentence(told)


def test_peft_itself_does_not_merge_an_adapter(plan_of, tiny):
    with pytest.raises(CourseError, match="cannot be merged"):
        prepare(tiny, plan_of("adapters")).merge_and_unload()


def same_file(run, other) -> bool:
    first, second = (next(one.weights.glob("*.safetensors")).read_bytes() for one in (run, other))
    return first == second


def one_sentence(told) -> bool:
    said = str(told.value)
    return said.endswith(".") and ". " not in said and "\n" not in said


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sft", "classification"])
@pytest.mark.parametrize("case", CASES)
def test_under_bf16_what_is_trained_is_held_in_fp32_and_computes(plan_of, tiny, case, objective):
    plan = plan_of(case, precision="bf16", objective=objective)
    labels = ["red", "blue"] if objective == "classification" else []
    model, tokenizer = prepare(tiny, plan, labels), load_tokenizer(tiny)
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}
    rows = [row for row in ROWS if objective == "sft" or row["messages"][-1]["content"] in labels]
    batch = collator(plan, tokenizer.pad_token_id, model.config)(encode(tokenizer, rows, plan, labels))
    with autocast(plan):
        value = objectives.loss(model, batch, plan, objectives.count(batch, plan))
    value.backward()
    assert value.isfinite()
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)
