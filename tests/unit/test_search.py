"""A search draws from what was asked, loses and repeats no trial, gives up early, keeps the best, and reads no test row."""

import dataclasses
import json
import math

import pytest
from cases import ROWS
from filelock import FileLock
from typer.testing import CliRunner

from course_lib import Plan, cli
from course_lib.errors import CourseError
from course_lib.prove import search as search_module
from course_lib.prove import validation as validation_module
from course_lib.prove.search import search
from course_lib.prove.search_space import Choice, choices, combinations
from course_lib.prove.validation import Validation
from course_lib.run import train as train_module
from course_lib.run.data import load
from course_lib.run.methods import load_base

FIELDS = {"lr": "1e-4..1e-1", "rank": "2,4,8"}


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ({"lr": "1e-4..1e-2"}, Choice("lr", (), 1e-4, 1e-2, log=True)),
        ({"lr": "1e-3..5e-3"}, Choice("lr", (), 1e-3, 5e-3, log=False)),
        ({"dropout": "0..0.5"}, Choice("dropout", (), 0.0, 0.5, log=False)),
        ({"rank": "4..64"}, Choice("rank", (), 4, 64, log=True)),
        ({"rank": "4, 8,16"}, Choice("rank", (4, 8, 16))),
        ({"rank": [4, 8, 8]}, Choice("rank", (4, 8))),
        ({"schedule": "cosine,linear"}, Choice("schedule", ("cosine", "linear"))),
        ({"gradient_checkpointing": "true,false"}, Choice("gradient_checkpointing", (True, False))),
    ],
    ids=str,
)
def test_words_become_choices(said, choice):
    assert choices(Plan(), said) == [choice]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "nothing to search over"),
        ({"rnak": "4,8"}, "no field rnak: did you mean rank"),
        ({"lr": "0..1"}, "lr = '0': it must be greater than 0"),
        ({"rank": "4,0"}, "rank = '0': it must be greater than or equal to 1"),
        ({"rank": "4,"}, "rank = ''"),
        ({"rank": "8..4"}, "range 8..4 of rank is empty"),
        ({"rank": "8"}, "rank has one value only"),
        ({"method": "full..lora"}, "method has no range"),
        ({"data": "mails,dates"}, "decides what the loss is measured on"),
        ({"seed": "0..9"}, "a lucky seed is no better setting"),
        ({"save_steps": "5,10"}, "changes nothing that the model learns"),
        ({"bottleneck": "8,16"}, "bottleneck is not read by lora"),
        ({"method": "full,ia3", "rank": "4,8"}, "rank is not read by full or ia3"),
        ({"beta": "0.1,0.5"}, "beta is not read by lora with objective sft"),
        ({"dpo_lr": "1e-5,1e-4"}, "dpo_lr is not read"),
    ],
    ids=str,
)
def test_bad_fields_get_one_sentence(fields, says):
    with pytest.raises(CourseError, match=says) as told:
        choices(Plan(), fields)
    assert one_sentence(told)


def test_a_field_is_searched_where_one_of_the_methods_reads_it():
    fields = {"rank": "4,8", "bottleneck": "8,16", "lr": "1e-3,1e-2", "method": "lora,full,adapters"}
    found = choices(Plan(), fields)
    assert found[0].name == "method"
    assert combinations(found, Plan()) == 2 * 2 + 2 + 2 * 2
    assert combinations(choices(Plan(), FIELDS), Plan()) == math.inf
    assert combinations(choices(Plan(), {"rank": "4..8"}), Plan()) == 5


def test_bad_calls_get_one_sentence(tmp_path):
    refused(lambda: search(Plan(), FIELDS, trials=0, folder=tmp_path), "trials is 0")
    refused(lambda: search("nowhere.yaml", FIELDS, folder=tmp_path), "There is no plan file")
    refused(lambda: search(Plan(data="no-such-data"), FIELDS, folder=tmp_path), "There is no")
    (tmp_path / "file").write_text("")
    refused(lambda: search(Plan(), FIELDS, folder=tmp_path / "file" / "search"), "cannot be made")
    with FileLock(tmp_path / "lock"):
        refused(lambda: search(Plan(), FIELDS, folder=tmp_path), "Another process is searching")


def test_the_command_takes_a_field_at_a_time_and_refuses_one_without_values(tmp_path):
    Plan().to_yaml(tmp_path / "plan.yaml")
    told = CliRunner().invoke(cli.app, ["search", str(tmp_path / "plan.yaml"), "--field", "lr"])
    assert str(told.exception) == "--field lr names no values: write it as lr=1e-4..1e-2 or rank=4,8,16."


@pytest.mark.slow
def test_the_command_prints_the_table(toy, tmp_path):
    Plan().to_yaml(tmp_path / "plan.yaml")
    command = [
        "search",
        str(tmp_path / "plan.yaml"),
        "--field",
        "lr=1e-4..1e-2",
        "--field",
        "rank=4,8",
        "--trials",
        "2",
    ]
    told = CliRunner().invoke(cli.app, [*command, "--folder", str(tmp_path / "search")])
    assert told.exit_code == 0
    assert "no test row was used" in told.output
    assert (tmp_path / "search" / "best.yaml").exists()


class Killed(BaseException):
    pass


class ToyRun:
    finished = True

    def __init__(self, plan):
        self.plan = plan

    def model(self):
        return None


class ToyValidation:
    """A loss that a formula gives; a trial has four looks at it."""

    n = 2

    def __init__(self, plan, folder):
        pass

    def loss(self, step, plan):
        return abs(math.log10(plan.lr) + 2) + 1 / plan.rank + (0 if step is None else 1 / step)


@pytest.fixture
def toy(monkeypatch):
    """A search whose trials take no time. Its list has an entry (plan id, step) for each look; `die_at` is the look to die at."""
    looks = []

    class Toy:
        die_at = None
        seen = looks

    def train(plan, folder, watch):
        begun = folder / "step"
        folder.mkdir(parents=True, exist_ok=True)
        for step in range(int(begun.read_text()) if begun.exists() else 1, 5):
            looks.append((plan.id, step))
            if Toy.die_at == len(looks):
                raise Killed
            watch(step, step)
            begun.write_text(str(step + 1))
        (folder / "checkpoint-4").mkdir(exist_ok=True)
        return ToyRun(plan)

    monkeypatch.setattr(search_module, "train", train)
    monkeypatch.setattr(search_module, "Validation", ToyValidation)
    return Toy


def seen(found):
    return [(trial.params, trial.value, trial.state, trial.intermediate_values) for trial in found.trials]


@pytest.mark.slow
def test_killed_at_any_look_no_trial_is_lost_or_repeated_and_the_result_is_the_same(toy, tmp_path):
    whole = search(Plan(), FIELDS, trials=8, folder=tmp_path / "whole")
    looks = list(toy.seen)
    toy.seen.clear()
    deaths = 0
    for death in range(2, 3 * len(looks), 3):
        toy.die_at = death
        try:
            again = search(Plan(), FIELDS, trials=8, folder=tmp_path / "killed")
            break
        except Killed:
            deaths += 1
    assert deaths > 4
    assert seen(again) == seen(whole)
    assert again.best_plan == whole.best_plan
    assert list(dict.fromkeys(toy.seen)) == looks
    assert search(Plan(), FIELDS, trials=8, folder=tmp_path / "killed").best_plan == whole.best_plan


@pytest.mark.slow
def test_control_with_one_seed_for_all_trials_chance_repeats_itself(toy, tmp_path, monkeypatch):
    import optuna

    from course_lib.prove.study import open_study

    sampler = optuna.samplers.TPESampler
    monkeypatch.setattr(optuna.samplers, "TPESampler", lambda seed=0: sampler(seed=0))
    search(Plan(), FIELDS, trials=5, folder=tmp_path)
    study = open_study(tmp_path, {})
    assert any("repeat" in trial.user_attrs for trial in study.trials)


@pytest.mark.slow
def test_a_search_begins_with_the_plan_gives_up_early_and_keeps_the_best_only(toy, tmp_path):
    found = search(Plan(lr=1e-2, rank=2), FIELDS, trials=12, folder=tmp_path)
    assert found.trials[0].params == {"lr": 1e-2, "rank": 2}
    assert any(trial.state.name == "PRUNED" for trial in found.trials)
    best = min((trial for trial in found.trials if trial.state.name == "COMPLETE"), key=lambda trial: trial.value)
    assert [path.name for path in tmp_path.glob("trial-*")] == [f"trial-{best.number:04}"]
    assert not list(tmp_path.rglob("checkpoint-*"))
    assert Plan.from_yaml(tmp_path / "best.yaml") == found.best_plan == Plan(lr=1e-2, rank=2).but(**best.params)
    said = str(found)
    assert said.splitlines()[2].split()[0] == str(best.number)
    assert "2 validation rows; no test row was used" in said
    assert "given up after step" in said
    assert "best.yaml" in said


@pytest.mark.slow
def test_more_trials_go_on_from_those_there_are(toy, tmp_path):
    first = search(Plan(), FIELDS, trials=3, folder=tmp_path)
    n = len(toy.seen)
    more = search(Plan(), FIELDS, trials=5, folder=tmp_path)
    assert seen(more)[:3] == seen(first)
    assert len(more.trials) == 5
    assert len(toy.seen) > n


@pytest.mark.slow
def test_few_combinations_are_each_tried_once_and_a_method_draws_only_what_it_reads(toy, tmp_path, capsys):
    found = search(Plan(), {"method": "lora,full", "rank": "4,8,16"}, trials=20, folder=tmp_path)
    drawn = sorted(str(trial.params) for trial in found.trials)
    assert drawn == ["{'method': 'full'}", *(f"{{'method': 'lora', 'rank': {rank}}}" for rank in (16, 4, 8))]
    assert "can be combined in 4 ways" in capsys.readouterr().out


@pytest.mark.slow
def test_a_store_of_another_search_or_none_at_all_is_refused(toy, tmp_path):
    search(Plan(), FIELDS, trials=1, folder=tmp_path)
    refused(lambda: search(Plan(epochs=2), FIELDS, folder=tmp_path), "another plan")
    refused(lambda: search(Plan(), {"rank": "2,4"}, folder=tmp_path), "another fields")
    (tmp_path / "study.db").write_bytes(b"no store" * 1000)
    refused(lambda: search(Plan(), FIELDS, folder=tmp_path), "cannot be read as a study")


@pytest.mark.slow
def test_changed_rows_are_another_search(toy, tmp_path, monkeypatch):
    search(Plan(), FIELDS, trials=1, folder=tmp_path)
    monkeypatch.setattr(search_module, "digests", lambda sets: {"data": "other"})
    refused(lambda: search(Plan(), FIELDS, trials=1, folder=tmp_path), "another data")


@pytest.mark.slow
def test_what_a_plan_refuses_or_fails_at_twice_has_failed_and_the_others_go_on(toy, tmp_path, monkeypatch):
    found = search(Plan(), {"method": "lora,qlora", "variant": "plain,pissa"}, trials=4, folder=tmp_path / "one")
    assert [trial.user_attrs["said"][:14] for trial in found.trials if trial.state.name == "FAIL"] == ["This plan cont"]

    train = search_module.train

    def fails(plan, **more):
        if plan.rank == 4:
            raise CourseError("Out of memory with one row at a time.")
        return train(plan, **more)

    monkeypatch.setattr(search_module, "train", fails)
    with pytest.raises(CourseError, match="Out of memory"):
        search(Plan(rank=4), {"rank": "2,4,8"}, trials=3, folder=tmp_path / "two")
    found = search(Plan(rank=4), {"rank": "2,4,8"}, trials=3, folder=tmp_path / "two")
    assert sorted(trial.state.name for trial in found.trials) == ["COMPLETE", "COMPLETE", "FAIL"]


@pytest.fixture
def plan(tiny, tmp_path):
    file = tmp_path / "colours.jsonl"
    file.write_text("\n".join(map(json.dumps, ROWS)))
    small = {"rank": 4, "alpha": 8, "micro_batch": 4, "lr": 1e-2, "max_len": 256, "precision": "fp32", "save_steps": 2}
    return Plan(model=str(tiny), data=str(file), warmup_ratio=0, **small)


@pytest.mark.slow
def test_on_a_model_the_best_run_has_the_loss_that_the_table_says(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(train_module, "busy_neighbours", lambda: 0.0)
    found = search(plan, {"lr": "1e-3..1e-1"}, trials=3, folder=tmp_path / "search")
    best = min(trial.value for trial in found.trials if trial.value is not None)
    assert Validation(plan, tmp_path).loss(found.best_run.model(), found.best_plan) == pytest.approx(best, abs=1e-6)
    assert found.best_run.plan == found.best_plan
    last = max(found.trials[0].intermediate_values)
    assert found.trials[0].intermediate_values[last] == pytest.approx(found.trials[0].value, abs=1e-5)


class Poison(list):
    def __iter__(self):
        raise AssertionError("a test row was read")

    __getitem__ = __iter__


@pytest.mark.slow
def test_a_loss_is_that_of_validation_rows_whatever_the_batch(plan, tmp_path, monkeypatch):
    data = load(plan.data)
    model = load_base(plan.model, plan)

    def loss(plan, **parts):
        monkeypatch.setattr(validation_module, "load", lambda *_, **__: dataclasses.replace(data, **parts))
        return Validation(plan, tmp_path).loss(model, plan)

    one = loss(plan, valid=data.train, test=Poison())
    assert loss(plan.but(micro_batch=3), valid=data.train, test=Poison()) == pytest.approx(one, abs=1e-5)
    assert loss(plan, valid=data.train[:5]) != pytest.approx(one, abs=1e-5), "control"
    refused(lambda: loss(plan, valid=[]), "no validation rows")


def refused(call, says):
    with pytest.raises(CourseError, match=says) as told:
        call()
    assert one_sentence(told)


def one_sentence(told) -> bool:
    said = str(told.value)
    return said[-1] in ".?" and ". " not in said and "\n" not in said
