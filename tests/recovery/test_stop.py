"""A run that is asked to stop stops cleanly, a run out of memory takes smaller bites; neither changes what is learned."""

import gc
import os
import signal
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from kills import result

from course_lib import train
from course_lib.errors import CourseError
from course_lib.run import train as train_module
from course_lib.run import trainer as trainer_module
from course_lib.run.__main__ import main
from course_lib.run.checkpoints import newest_valid

SIGNALS = [signal.SIGINT, signal.SIGTERM]
real_loss = trainer_module.loss


def during_step(monkeypatch, step, action):
    """Call `action` in the first forward pass of a step; a step has one row of each of its two passes."""
    passes = iter(range(1, 1000))

    def loss(*args):
        if next(passes) == 2 * step - 1:
            action()
        return real_loss(*args)

    monkeypatch.setattr(trainer_module, "loss", loss)


@pytest.fixture(scope="module")
def plan(plan):
    return plan.but(micro_batch=1, grad_accum=2)


@pytest.fixture(scope="module")
def expected(plan, tmp_path_factory):
    """The unbroken run of this plan."""
    return result(train(plan, folder=tmp_path_factory.mktemp("two_passes") / "run").folder)


@pytest.mark.parametrize(
    ("step", "signum"),
    [(1, signal.SIGINT), (4, signal.SIGTERM), (5, signal.SIGINT), (5, signal.SIGTERM), (11, signal.SIGINT)],
)
def test_the_step_under_way_is_finished_and_saved_and_nothing_is_lost(
    plan, expected, tmp_path, monkeypatch, step, signum
):
    before = [signal.getsignal(each) for each in SIGNALS]
    with monkeypatch.context() as patch:
        during_step(patch, step, lambda: os.kill(os.getpid(), signum))
        run = train(plan, folder=tmp_path / "run")
    assert not run.finished
    assert [entry["step"] for entry in run.history] == list(range(1, step + 1))
    assert newest_valid(run.folder).name == f"checkpoint-{step}"
    assert [signal.getsignal(each) for each in SIGNALS] == before
    with pytest.raises(CourseError, match="is not finished"):
        run.model()

    run = train(plan, folder=run.folder)
    assert run.finished
    assert result(run.folder) == expected


def test_the_command_says_by_its_status_that_it_was_stopped(plan, expected, tmp_path, monkeypatch, capsys):
    arguments = [str(plan.to_yaml(tmp_path / "plan.yaml")), "--folder", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        during_step(patch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert main(arguments) == 3
    assert "Stopped after step 7 of 12: train the same plan again to go on from here." in capsys.readouterr().out
    assert main(arguments) == 0
    assert result(tmp_path / "run") == expected


def test_a_signal_during_a_save_stops_after_the_next_step(plan, expected, tmp_path, monkeypatch):
    save = train_module.StageTrainer._save_checkpoint

    def saves(trainer, *args):
        if trainer.state.global_step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        save(trainer, *args)

    with monkeypatch.context() as patch:
        patch.setattr(train_module.StageTrainer, "_save_checkpoint", saves)
        run = train(plan, folder=tmp_path / "run")
    assert newest_valid(run.folder).name == "checkpoint-5"
    assert result(train(plan, folder=run.folder).folder) == expected


def test_a_signal_in_the_last_step_is_a_finished_run(plan, expected, tmp_path, monkeypatch):
    during_step(monkeypatch, 12, lambda: os.kill(os.getpid(), signal.SIGINT))
    run = train(plan, folder=tmp_path / "run")
    assert run.finished
    assert result(run.folder) == expected


def test_a_second_ctrl_c_interrupts_at_once(plan, expected, tmp_path, monkeypatch):
    before = [signal.getsignal(each) for each in SIGNALS]

    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        during_step(patch, 6, twice)
        with pytest.raises(KeyboardInterrupt):
            train(plan, folder=tmp_path / "run")
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert newest_valid(tmp_path / "run").name == "checkpoint-4"
    assert result(train(plan, folder=tmp_path / "run").folder) == expected


def test_a_run_in_a_thread_leaves_signals_alone(plan, expected, tmp_path):
    with ThreadPoolExecutor() as threads:
        run = threads.submit(train, plan, folder=tmp_path / "run").result()
    assert result(run.folder) == expected


def test_control_without_our_handler_ctrl_c_breaks_the_step_and_loses_it(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(train_module, "clean_end", lambda progress: nullcontext())
    during_step(monkeypatch, 7, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell inherits "ignore"
    try:
        with pytest.raises(KeyboardInterrupt):
            train(plan, folder=tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert newest_valid(tmp_path / "run").name == "checkpoint-4"


OUT_OF_MEMORY = (
    "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
)


@pytest.fixture(scope="module")
def wide(plan):
    """Steps of eight rows, without dropout: how rows are cut into passes may then change nothing but rounding."""
    return plan.but(micro_batch=8, grad_accum=1, dropout=0.0)


def fits(monkeypatch, rows, says=OUT_OF_MEMORY):
    """Out of memory for passes of more than so many rows; returns the sizes of the passes that were tried."""
    tried = []

    def loss(model, batch, *args):
        tried.append(len(batch["input_ids"]))
        if tried[-1] > rows:
            raise RuntimeError(says)
        return real_loss(model, batch, *args)

    monkeypatch.setattr(trainer_module, "loss", loss)
    return tried


def losses(run):
    return [step["loss"] for step in run.history]


@pytest.fixture(scope="module")
def roomy(wide, tmp_path_factory):
    return {
        size: losses(train(wide.but(micro_batch=size), folder=tmp_path_factory.mktemp("roomy") / "run"))
        for size in (6, 8)
    }


@pytest.mark.parametrize(
    ("rows", "micro_batch", "tries"),
    [
        (4, 8, [(4, 2)]),
        (2, 8, [(4, 2), (2, 4)]),
        (1, 8, [(4, 2), (2, 4), (1, 8)]),
        (4, 6, [(3, 2)]),
        (2, 6, [(3, 2), (1, 6)]),
    ],
)
def test_the_micro_batch_is_halved_until_it_fits(wide, roomy, tmp_path, monkeypatch, capsys, rows, micro_batch, tries):
    tried = fits(monkeypatch, rows)
    run = train(wide.but(micro_batch=micro_batch), folder=tmp_path / "run")
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Out of memory")]
    assert said == [
        f"Out of memory: going on with micro_batch {size} and grad_accum {passes}; "
        f"each step keeps its {micro_batch} rows."
        for size, passes in tries
    ]
    assert sorted({size for size in tried if size > rows}, reverse=True) == [micro_batch, *[a for a, _ in tries[:-1]]]
    assert run.record["micro_batch"] == tries[-1][0]
    assert losses(run) == pytest.approx(roomy[micro_batch], abs=1e-5)


def test_out_of_memory_in_mid_run_goes_on_from_the_newest_checkpoint(plan, expected, tmp_path, monkeypatch, capsys):
    plan = plan.but(micro_batch=2, grad_accum=1, dropout=0.0)
    whole = losses(train(plan, folder=tmp_path / "whole"))
    passes = iter(range(1, 1000))

    def loss(model, batch, *args):
        if next(passes) >= 7 and len(batch["input_ids"]) == 2:
            raise RuntimeError(OUT_OF_MEMORY)
        return real_loss(model, batch, *args)

    monkeypatch.setattr(trainer_module, "loss", loss)
    run = train(plan, folder=tmp_path / "run")
    assert "Going on from checkpoint-4 of 12 steps." in capsys.readouterr().out
    assert losses(run) == pytest.approx(whole, abs=1e-5)


def test_a_resumed_run_keeps_the_micro_batch_that_fitted(plan, tmp_path, monkeypatch):
    plan = plan.but(micro_batch=2, grad_accum=1, dropout=0.0)
    tried = []

    def loss(model, batch, *args):
        tried.append(len(batch["input_ids"]))
        if tried[-1] == 2:
            raise RuntimeError(OUT_OF_MEMORY)
        if len(tried) == 16 and 2 in tried:
            raise KeyboardInterrupt
        return real_loss(model, batch, *args)

    monkeypatch.setattr(trainer_module, "loss", loss)
    with pytest.raises(KeyboardInterrupt):
        train(plan, folder=tmp_path / "run")
    assert set(tried) == {1, 2}
    del tried[:]
    assert train(plan, folder=tmp_path / "run").finished
    assert set(tried) == {1}


def test_one_row_too_large_is_told_with_remedies(wide, tmp_path, monkeypatch):
    tried = fits(monkeypatch, 0)
    with pytest.raises(CourseError) as told:
        train(wide, folder=tmp_path / "run")
    assert tried == [8, 4, 2, 1]
    for remedy in ("gradient_checkpointing", "max_len", "smaller model"):
        assert remedy in str(told.value)


def test_the_model_that_did_not_fit_is_freed_before_the_next_is_loaded(wide, tmp_path, monkeypatch):
    fits(monkeypatch, 2)
    prepare, models, alive = train_module.prepare, [], []

    def prepares(*args):
        alive.append(sum(model() is not None for model in models))
        model = prepare(*args)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(train_module, "prepare", prepares)
    gc.disable()  # chance shall not do it
    try:
        train(wide, folder=tmp_path / "run")
    finally:
        gc.enable()
    assert alive == [0, 0, 0]


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied (8x64 and 32x64)"), ValueError(OUT_OF_MEMORY)]
)
def test_another_error_is_raised_at_once(wide, tmp_path, monkeypatch, error):
    tried = []

    def loss(*_):
        tried.append(1)
        raise error

    monkeypatch.setattr(trainer_module, "loss", loss)
    with pytest.raises(type(error)) as raised:
        train(wide, folder=tmp_path / "run")
    assert raised.value is error
    assert tried == [1]


def test_control_a_step_that_loses_half_its_rows_is_seen(wide, roomy, tmp_path):
    run = train(wide.but(micro_batch=4), folder=tmp_path / "run")
    assert losses(run)[:3] != pytest.approx(roomy[8], abs=1e-5)
