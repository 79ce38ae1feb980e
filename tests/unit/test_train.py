"""A run can be repeated, stopped and found again, says what it cost, and refuses early what cannot run. Of each method: test_methods.py."""

import dataclasses
import gc
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from course_lib import Plan, train
from course_lib.errors import CourseError
from course_lib.run import check as check_module
from course_lib.run import train as train_module
from course_lib.run.mails import mails

METHODS = ("full", "lora", "prompt_tuning")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr(train_module, "busy_neighbours", lambda: 0.0)


@pytest.fixture(autouse=True, scope="module")
def quick_garbage_collection():
    """Each run searches for garbage, a third of a second long unless the imported libraries are left out."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "mails.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in mails(16, "train")))
    return file


@pytest.fixture(scope="module")
def plan_of(tiny, data):
    def of(method, **fields):
        small = {
            "micro_batch": 4,
            "epochs": 2,
            "warmup_ratio": 0,
            "save_steps": 2,
            "precision": "fp32",
            "max_len": 2048,
        }
        return Plan(**{**small, "model": str(tiny), "data": str(data), "method": method, "lr": 1e-2, **fields})

    return of


@pytest.fixture(scope="module", params=METHODS)
def run(request, plan_of, tmp_path_factory):
    return train(plan_of(request.param), folder=tmp_path_factory.mktemp(request.param) / "run")


def losses(run):
    return [step["loss"] for step in run.history]


def weights(run):
    return load_file(next(run.weights.glob("*.safetensors")))


def same(run, other):
    first, second = weights(run), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_says_what_it_cost(run):
    assert run.finished
    assert run.seconds > 0
    assert run.tokens_per_s > 0
    assert 0.05 < run.peak_gib < 50
    assert f"{run.plan.method}: {len(run.history)} steps" in str(run)


@pytest.mark.slow
def test_the_same_plan_gives_the_same_weights_and_another_seed_others(run, tmp_path):
    assert same(run, train(run.plan, folder=tmp_path / "again"))
    assert not same(run, train(run.plan.but(seed=1), folder=tmp_path / "other"))


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_loss(run, tmp_path):
    checkpointed = train(run.plan.but(gradient_checkpointing=True), folder=tmp_path / "run")
    assert losses(checkpointed) == pytest.approx(losses(run), abs=1e-4)


@pytest.mark.slow
def test_two_passes_of_two_rows_equal_one_of_four(run, tmp_path):
    halves = train(run.plan.but(micro_batch=2, grad_accum=2), folder=tmp_path / "run")
    assert losses(halves) == pytest.approx(losses(run), abs=1e-4)


@pytest.fixture(scope="module")
def original(plan_of, tmp_path_factory):
    return train(plan_of("lora", epochs=1), folder=tmp_path_factory.mktemp("original") / "run")


@pytest.fixture
def finished(original, tmp_path):
    return dataclasses.replace(original, folder=shutil.copytree(original.folder, tmp_path / "run"))


def never(*_, **__):
    raise AssertionError("model weights were loaded")


@pytest.fixture
def no_weights(monkeypatch):
    monkeypatch.setattr(train_module, "prepare", never)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", never)


def test_a_finished_run_is_returned_without_training(finished, no_weights, capsys):
    again = train(finished.plan, folder=finished.folder)
    assert again.history == finished.history
    assert "This plan was trained before" in capsys.readouterr().out


def test_another_plan_in_the_same_folder_is_refused(finished, no_weights):
    with pytest.raises(CourseError, match="holds a run of another plan"):
        train(finished.plan.but(rank=8), folder=finished.folder)


def test_resume_false_trains_anew_even_another_plan_and_leaves_other_files_alone(finished):
    mine = finished.folder / "notes.txt"
    mine.write_text("mine")
    stale = finished.folder / "checkpoint-99"
    stale.mkdir()
    run = train(finished.plan.but(rank=8), folder=finished.folder, resume=False)
    assert run.record["date"] >= finished.record["date"]
    assert Plan.from_yaml(run.folder / "plan.yaml").rank == 8
    assert mine.read_text() == "mine"
    assert not stale.exists()


def test_a_refused_plan_throws_nothing_away(finished):
    with pytest.raises(CourseError):
        train(finished.plan.but(data="no_such_data"), folder=finished.folder, resume=False)
    assert train(finished.plan, folder=finished.folder).history == finished.history


def test_a_kill_while_the_plan_is_written_leaves_no_half_plan(plan_of, tmp_path, monkeypatch):
    write, fdopen = Path.write_text, os.fdopen

    def killed(path, text, **more):
        if not path.name.startswith("plan.yaml"):
            return write(path, text, **more)
        write(path, text[: len(text) // 2], **more)
        raise SystemExit

    def opened(handle, *how, **more):
        file = fdopen(handle, *how, **more)
        whole = file.write

        def half(text):
            if "method:" not in text:  # not the plan
                return whole(text)
            whole(text[: len(text) // 2])
            raise SystemExit

        file.write = half
        return file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", killed)
        patch.setattr(os, "fdopen", opened)
        with pytest.raises(SystemExit):
            train(plan_of("lora"), folder=tmp_path / "run")
    assert train(plan_of("lora", epochs=1), folder=tmp_path / "run").finished


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"data": "mials"}, "There is no data set and no file"),
        ({"model": "smollm3-1b"}, "There is no model named 'smollm3-1b'"),
        ({"targets": ("q_porj",)}, "no linear module named q_porj (did you mean q_proj?)"),
        ({"max_len": 100}, "longer than max_len = 100"),
        ({"n_gpus": 2}, "The plan wants 2 processes and this is one"),
    ],
)
def test_a_plan_that_cannot_run_is_refused_in_a_sentence_before_weights_are_loaded(
    plan_of, no_weights, tmp_path, fields, says
):
    with pytest.raises(CourseError) as told:
        train(plan_of("lora", **fields), folder=tmp_path / "run")
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_a_full_disk_is_told_before_weights_are_loaded(plan_of, no_weights, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(CourseError, match="Not enough disk for checkpoints"):
        train(plan_of("lora"), folder=tmp_path / "run")


def test_control_other_steps_give_other_losses(finished, tmp_path):
    smaller = train(finished.plan.but(micro_batch=2), folder=tmp_path / "other")
    assert losses(smaller)[:3] != pytest.approx(losses(finished)[:3], abs=1e-4)


def test_rank_zero_is_no_plan(plan_of):
    with pytest.raises(CourseError, match="Plan field rank = 0"):
        plan_of("lora", rank=0)


def test_control_a_plan_that_can_run_does_load_weights(plan_of, no_weights, tmp_path):
    with pytest.raises(AssertionError, match="model weights were loaded"):
        train(plan_of("lora"), folder=tmp_path / "run")


def test_rows_that_changed_since_a_run_began_are_noticed(plan_of, tmp_path):
    plan = plan_of("lora")
    train(plan, folder=tmp_path / "run")
    path = Path(plan.data)
    text = path.read_text()
    try:
        path.write_text(text.replace("JSON", "YAML", 1))
        with pytest.raises(CourseError, match="have changed since the run"):
            train(plan, folder=tmp_path / "run")
        assert train(plan, folder=tmp_path / "run", resume=False).finished
    finally:
        path.write_text(text)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"loss": "fused_linear"}, "which `train` does not call"),
        ({"precision": "bf16"}, "This GPU does not compute in bf16"),
    ],
)
@pytest.mark.parametrize("model", ["smollm2-135m", "organisation/name"])
def test_what_a_gpu_cannot_do_is_refused_for_any_model_and_on_a_gpu_alone(monkeypatch, model, fields, says):
    plan = Plan(model=model, **fields)
    monkeypatch.setattr(check_module, "bf16_in_hardware", lambda: False)
    if "precision" in fields:
        check_module.check_plan(plan)  # a processor computes in bf16, slowly
    monkeypatch.setattr(check_module.torch.cuda, "is_available", lambda: True)
    with pytest.raises(CourseError, match=says):
        check_module.check_plan(plan)
    monkeypatch.setattr(check_module, "bf16_in_hardware", lambda: True)
    check_module.check_plan(Plan(model=model, precision="bf16"))
