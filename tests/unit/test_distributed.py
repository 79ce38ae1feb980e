"""What processes agree on before any is started: who takes which rows, what is refused, and how a plan is launched."""

import shlex
from dataclasses import replace

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, SequentialSampler

from course_lib import CourseError, Plan, estimate, train
from course_lib.run import launching
from course_lib.run.chat import IGNORED, Encoded
from course_lib.run.check import check_plan, same_steps
from course_lib.run.classification import Labelled, collate_labelled
from course_lib.run.distributed import check_processes, check_rows, check_shared, first_to_say, part
from course_lib.run.launching import CONFIGS, launch_commands
from course_lib.run.objectives import collator, count, silent
from course_lib.run.preference import Pair
from course_lib.run.sharded import PARTS, load_states


def as_process(monkeypatch, rank, of):
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(of))


def shares(monkeypatch, rows, step_rows, of, nothing):
    out = []
    for rank in range(of):
        as_process(monkeypatch, rank, of)
        out.append(part(rows, step_rows, nothing))
    return out


@pytest.mark.parametrize("of", [2, 3, 4])
@pytest.mark.parametrize("n", [24, 25, 26, 29, 31])
def test_each_row_is_given_to_one_process_and_all_have_as_many(monkeypatch, n, of):
    mine = shares(monkeypatch, range(n), 12, of, lambda row: None)
    assert len({len(share) for share in mine}) == 1
    assert sorted(row for share in mine for row in share if row is not None) == list(range(n))
    for step in range(0, n, 12):  # together they do the step that one process would
        here = [row for share in mine for row in share[step // of : (step + 12) // of] if row is not None]
        assert sorted(here) == list(range(step, min(step + 12, n)))


def test_accelerate_would_count_rows_twice(monkeypatch):
    """The control: this is what `part` is for."""
    given = []
    for rank in range(2):
        batches = BatchSampler(SequentialSampler(range(19)), 2, drop_last=False)
        given += [row for batch in BatchSamplerShard(batches, 2, rank, even_batches=True) for row in batch]
    assert len(given) > 19


def test_a_silent_row_counts_for_nothing():
    row, plan = Encoded([1, 2, 3], [IGNORED, 2, 3]), Plan(objective="sft")
    together = collator(plan, 0, None)
    assert count(together([row, silent(row)]), plan) == count(together([row]), plan) == 2
    pair, dpo = Pair(row, replace(row, input_ids=[1, 4, 5])), Plan(objective="dpo")
    together = collator(dpo, 0, None)
    assert count(together([pair, silent(pair)]), dpo) == count(together([pair]), dpo) == 1
    label, labels = Labelled([1, 2], 1), Plan(objective="classification")
    assert count(collate_labelled([label, silent(label)], 0), labels) == 1


@pytest.mark.parametrize(
    ("plan", "env", "words"),
    [
        ({"n_gpus": 2, "sharding": "ddp"}, {}, "The plan wants 2 processes and this is one"),
        ({"n_gpus": 2, "sharding": "ddp"}, {"WORLD_SIZE": "3"}, "3 processes were started and the plan says n_gpus 2"),
        ({}, {"WORLD_SIZE": "2"}, "2 processes were started and the plan says n_gpus 1"),
        (
            {"n_gpus": 2, "sharding": "ddp"},
            {"WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"},
            "launch config says FSDP",
        ),
    ],
)
def test_a_plan_started_otherwise_than_it_says_is_refused(monkeypatch, plan, env, words):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CourseError, match=words):
        train(Plan(**plan), folder="never")


def test_a_plan_started_as_it_says_is_accepted(monkeypatch):
    as_process(monkeypatch, 0, 2)
    check_processes(Plan(n_gpus=2, sharding="fsdp"))


def test_more_processes_than_rows_are_refused():
    check_rows(Plan(n_gpus=4, sharding="ddp"), 4)
    with pytest.raises(CourseError, match="3 training rows for 4 processes"):
        check_rows(Plan(n_gpus=4, sharding="ddp"), 3)


def test_adafactor_cannot_be_divided():
    with pytest.raises(CourseError, match="averages over whole matrices"):
        check_plan(Plan(n_gpus=2, sharding="fsdp", optimizer="adafactor"))
    check_plan(Plan(n_gpus=2, sharding="ddp", optimizer="adafactor"))


def test_states_of_8_bits_are_not_divided_anew(tmp_path):
    (tmp_path / PARTS).mkdir()
    for rank in range(2):
        (tmp_path / PARTS / f"own-{rank}-of-2.pt").touch()
    model = torch.nn.Linear(2, 2)
    with pytest.raises(CourseError, match="divided over 2 processes and cannot be divided anew"):
        load_states(model, torch.optim.SGD(model.parameters()), tmp_path)


def test_a_folder_that_is_another_one_on_this_machine_is_refused(tmp_path):
    (tmp_path / "plan.yaml").write_text("mine")
    check_shared(tmp_path / "plan.yaml", "mine")
    with pytest.raises(CourseError, match="a disk that all machines share"):
        check_shared(tmp_path / "plan.yaml", "theirs")


def test_before_the_processes_meet_the_first_one_speaks(monkeypatch):
    as_process(monkeypatch, 0, 2)
    assert first_to_say(CourseError("No."))
    as_process(monkeypatch, 1, 2)
    assert not first_to_say(CourseError("No."))


def test_a_run_may_go_on_with_another_number_of_processes_if_its_steps_stay_the_same():
    plan = Plan(micro_batch=4, grad_accum=4)
    assert same_steps(plan, plan.but(n_gpus=2, sharding="fsdp", grad_accum=2))
    assert same_steps(plan, plan.but(micro_batch=2, grad_accum=8))
    assert not same_steps(plan, plan.but(n_gpus=2, sharding="fsdp"))
    assert not same_steps(plan, plan.but(rank=8))


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_launch_configs_are_accelerates(file):
    config = load_config_from_file(str(file))
    processes, machines = {"cpu2": (2, 1), "gpu2": (2, 1), "gpu8": (8, 1), "2x8": (16, 2)}[file.stem.split("-")[0]]
    assert (config.num_processes, config.num_machines) == (processes, machines)
    assert bool(config.use_cpu) == file.stem.startswith("cpu")
    if file.stem.endswith("fsdp"):
        assert config.distributed_type == "FSDP"
        assert config.fsdp_config["fsdp_version"] == 2
    else:
        assert config.distributed_type == "MULTI_GPU"
        assert not config.fsdp_config


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize(("n", "lines"), [(1, 1), (2, 1), (4, 1), (8, 1), (16, 2)])
@pytest.mark.parametrize("sharding", ["ddp", "zero2", "fsdp"])
def test_the_command_is_one_that_accelerate_takes(monkeypatch, gpu, n, lines, sharding):
    monkeypatch.setattr(launching.torch.cuda, "is_available", lambda: gpu)
    plan = Plan(n_gpus=n, sharding="none" if n == 1 else sharding)
    commands = launch_commands(plan, "plan.yaml")
    assert len(commands) == (lines if gpu else 1)
    if n == 1:
        assert commands == ["python -m course_lib.run plan.yaml"]
        return
    for machine, command in enumerate(commands):
        chosen = launch_command_parser().parse_args(shlex.split(command)[2:])
        assert (chosen.num_processes, chosen.module, chosen.training_script) == (n, True, "course_lib.run")
        assert chosen.training_script_args == ["plan.yaml"]
        assert ("fsdp" in chosen.config_file) == (sharding == "fsdp")
        assert load_config_from_file(chosen.config_file)
        assert (chosen.machine_rank or 0) == machine


@pytest.mark.parametrize(
    ("model", "fields", "n_gpus", "gib"),
    [
        ("Qwen/Qwen2.5-7B", {"method": "lora", "sharding": "ddp"}, 2, 40),
        ("meta-llama/Llama-3.1-70B", {"method": "qlora", "sharding": "fsdp"}, 2, 48),
        ("meta-llama/Llama-3.1-8B", {"method": "full", "sharding": "fsdp"}, 8, 40),
        ("meta-llama/Llama-3.1-70B", {"method": "lora", "sharding": "fsdp"}, 8, 80),
        ("meta-llama/Llama-3.1-70B", {"method": "lora", "sharding": "fsdp"}, 16, 80),
    ],
)
def test_the_plans_that_the_configs_are_for_fit_their_gpus(model, fields, n_gpus, gib):
    plan = Plan(model=model, n_gpus=n_gpus, micro_batch=1, gradient_checkpointing=True, max_len=1024, **fields)
    assert estimate(plan).interval("device")[1] <= gib
    if plan.sharding == "fsdp":  # and would not without being divided
        assert estimate(plan.but(sharding="ddp")).interval("device")[1] > gib


def test_twice_the_machines_take_less_of_each_gpu():
    plan = Plan(model="meta-llama/Llama-3.1-8B", method="full", n_gpus=2, sharding="fsdp", gradient_checkpointing=True)
    two, eight, sixteen = (estimate(plan.but(n_gpus=n)).peak_gib for n in (2, 8, 16))
    assert two > eight > sixteen
