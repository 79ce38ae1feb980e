"""A pipeline does each step once, goes on after a kill, does again what has changed, and says what beat what."""

import contextlib
import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
import torch
from cases import CASES, ROWS
from peft import PeftModel
from typer.testing import CliRunner

from course_lib import Plan, cli, train
from course_lib.errors import CourseError
from course_lib.prove import pipeline as pipeline_module
from course_lib.prove import pipeline_steps
from course_lib.prove import untrained as untrained_module
from course_lib.prove.kept import from_json, keep, kept, to_json
from course_lib.prove.model_card import snippet, write_card
from course_lib.prove.pipeline import _done, run_pipeline
from course_lib.prove.pipeline_steps import STEPS, Step, Work
from course_lib.prove.scores import Answer, scored
from course_lib.prove.untrained import untrained
from course_lib.prove.verdict import TUNED, verdict
from course_lib.run import train as train_module
from course_lib.run.data import load
from course_lib.run.seal import fault, seal

NAMES = [step.name for step in STEPS]
IDS = torch.arange(3, 60).reshape(1, -1)


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "busy_neighbours", lambda: 0.0)
        patch.setattr(PeftModel, "create_or_update_model_card", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def plan_of(tiny, tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "colours.jsonl"
    write(file, ROWS)
    small = {"rank": 4, "alpha": 8, "bottleneck": 8, "virtual_tokens": 5, "micro_batch": 4, "lr": 1e-2, "max_len": 256}
    small |= {"precision": "fp32", "warmup_ratio": 0, "save_steps": 2}
    return lambda **fields: Plan(**{**small, "model": str(tiny), "data": str(file), **fields})


def write(file, rows):
    file.write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture
def doing(monkeypatch):
    """Names of the steps that are really done."""
    done = []

    def counted(step):
        return dataclasses.replace(step, do=lambda work: done.append(step.name) or step.do(work))

    monkeypatch.setattr(pipeline_module, "STEPS", [counted(step) for step in STEPS])
    return done


@pytest.fixture(scope="module")
def made(plan_of, tmp_path_factory):
    return run_pipeline(plan_of(), tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made.run.folder, tmp_path / "run")


@pytest.mark.slow
def test_a_pipeline_leaves_a_report_and_a_card_that_say_the_same_as_it(made):
    assert list(made.report.entries) == ["0-shot prompt", "4-shot prompt", TUNED]
    for file in (made.run.folder / "report.html", made.run.folder / "report.md", made.card):
        text = file.read_text().replace("&#x27;", "'")
        assert all(words in text for words in made.verdict)
        assert str(made.tuned["exact_match"]) in text
        assert "Source and licence: yours to know" in text
    card = made.card.read_text()
    assert f"of {made.run.record['parameters']:,} parameters" in card
    assert "rank: 4" in card
    assert made.run.record["versions"]["peft"] in card
    assert "colours.jsonl" in card
    assert str(made.run.plan.data) not in card  # where a reader keeps a file is nobody's business


@pytest.mark.slow
def test_the_command_says_the_same(made, copy, plan_of, tmp_path):
    plan_of().to_yaml(tmp_path / "plan.yaml")
    told = CliRunner().invoke(cli.app, ["pipeline", str(tmp_path / "plan.yaml"), "--folder", str(copy)])
    assert told.output.count("done before") == len(NAMES)
    assert str(made.report) in told.output


@pytest.mark.slow
def test_a_plan_that_learns_preferences_second_is_scored_on_pairs_too(made, plan_of, tmp_path):
    two = run_pipeline(plan_of(objective="sft+dpo", n_train=4, micro_batch=2, max_len=2048), tmp_path / "run", n=4)
    assert two.verdict[-1].startswith("preference_accuracy: the fine-tuned model prefers the chosen answer of ")
    assert two.verdict[-1].endswith(" of 4 test pairs.")
    assert two.verdict[-1] in two.card.read_text()
    assert not any("preference_accuracy" in words for words in made.verdict)


class Killed(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("last", NAMES)
def test_killed_after_any_step_it_goes_on_and_does_none_twice(last, made, plan_of, tmp_path, doing, monkeypatch):
    def keep_and_die(file, inputs, result):
        keep(file, inputs, result)
        if file.stem == last:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(pipeline_module, "keep", keep_and_die)
        with pytest.raises(Killed):
            run_pipeline(plan_of(), tmp_path / "run")
    again = run_pipeline(plan_of(), tmp_path / "run")
    assert doing == NAMES
    assert (again.tuned, again.base, again.verdict) == (made.tuned, made.base, made.verdict)


@pytest.mark.slow
def test_killed_within_training_it_goes_on_from_the_checkpoint(made, plan_of, tmp_path, monkeypatch, capsys):
    def die(step, model):
        if step == 4:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(pipeline_steps, "train", lambda plan, folder: train(plan, folder=folder, watch=die))
        with pytest.raises(Killed):
            run_pipeline(plan_of(), tmp_path / "run")
    again = run_pipeline(plan_of(), tmp_path / "run")
    assert "Going on from checkpoint-2" in capsys.readouterr().out
    assert again.tuned == made.tuned


@pytest.mark.slow
def test_control_what_has_changed_is_done_again_with_what_depends_on_it_and_nothing_else(
    plan_of, copy, doing, tmp_path, capsys
):
    assert run_pipeline(plan_of(), copy).verdict
    assert doing == []

    run_pipeline(plan_of(lr=2e-2), copy)
    assert doing == ["check", "train", "evaluate", "report", "card"]
    assert "it is trained anew" in capsys.readouterr().out
    doing.clear()

    run_pipeline(plan_of(lr=2e-2), copy, n=1)
    assert doing == ["base", "evaluate", "report", "card"]
    doing.clear()

    (copy / "report.html").unlink()
    next((copy / "final").glob("*.safetensors")).write_bytes(b"")
    run_pipeline(plan_of(lr=2e-2), copy, n=1)
    assert doing == ["train", "report", "card"]
    doing.clear()

    file = tmp_path / "colours.jsonl"
    write(file, ROWS[:-1])
    run_pipeline(plan_of(lr=2e-2, data=str(file)), copy, n=1)
    first = list(doing)
    doing.clear()
    write(file, ROWS[:-2])
    run_pipeline(plan_of(lr=2e-2, data=str(file)), copy, n=1)
    assert first == ["data", "check", "base", "train", "evaluate", "report", "card"]
    assert doing == ["data", "base", "train", "evaluate", "report", "card"]


def test_a_step_file_that_is_damaged_is_made_again(tmp_path):
    done = []
    step = Step("data", "counting", lambda work: work.n, lambda work: done.append(work.n) or len(done))
    work = Work(Plan(), tmp_path, 7)
    assert [_done(work, step, "counting") for _ in range(2)] == [1, 1]
    (tmp_path / "data.json").write_text('{"inputs": 7')
    assert _done(work, step, "counting") == 2


@pytest.mark.slow
def test_a_folder_that_holds_another_run_is_refused_before_anything_long(plan_of, tmp_path, doing):
    run = train(plan_of(), folder=tmp_path / "run")
    with pytest.raises(CourseError, match="holds a run of another plan"):
        run_pipeline(plan_of(lr=2e-2), tmp_path / "run")
    assert doing == ["data", "check"]
    assert fault(run.weights) is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"plan": "nowhere.yaml"}, "There is no plan file nowhere.yaml"),
        ({"plan": Plan(), "n": 0}, "n is 0, which leaves no rows"),
        ({"plan": Plan(data="no-such-data")}, "There is no"),
    ],
)
def test_bad_calls_get_one_sentence(arguments, says, tmp_path):
    with pytest.raises(CourseError, match=says) as told:
        run_pipeline(folder=tmp_path, **arguments)
    assert one_sentence(told)


def test_a_folder_that_cannot_be_written_gets_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="could not be written") as told:
        run_pipeline(Plan(), tmp_path / "file" / "run")
    assert one_sentence(told)


def of(values, metric="accuracy"):
    rows = [{"text": str(i)} for i in range(len(values))]
    answers = [Answer("asked", "wanted", "said", bool(value)) for value in values]
    return scored({metric: np.array(values, dtype=float)}, rows, answers)


def test_the_verdict_says_so_when_fine_tuning_does_not_win():
    many, few = of([1] * 36 + [0] * 4), of([1] * 12 + [0] * 28)
    assert verdict(many, {"4-shot prompt": few})[0].startswith(
        "accuracy: fine-tuning beat the 4-shot prompt: 0.90 against 0.30"
    )
    lost = "accuracy: fine-tuning did not beat the 4-shot prompt, which is clearly better: 0.30 against 0.90"
    assert verdict(few, {"4-shot prompt": many})[0].startswith(lost)
    same = of([1] * 35 + [0] * 5)
    assert verdict(same, {"0-shot prompt": many})[0].endswith("no clear difference.")


def test_a_lower_perplexity_beats_a_higher_one():
    low, high = (of([[nats + i % 3, 10] for i in range(40)], "perplexity") for nats in (20, 40))
    assert "fine-tuning beat the base model" in verdict(low, {"base model": high})[0]
    assert "which is clearly better" in verdict(high, {"base model": low})[0]


def test_kept_scores_are_read_back_whole(tmp_path):
    scores = of([1, 0, 1])
    keep(tmp_path / "scores.json", {"n": (1, 2)}, to_json(scores))
    again = from_json(kept(tmp_path / "scores.json", {"n": (1, 2)}))
    assert again == scores
    assert np.array_equal(again.rows["accuracy"], scores.rows["accuracy"])
    assert kept(tmp_path / "scores.json", {"n": (1, 3)}) is None


HEADS = [{"objective": "classification", "method": method} for method in ("lora", "full", "qlora")]


@pytest.mark.slow
@pytest.mark.parametrize("fields", [*CASES.values(), *HEADS], ids=str)
def test_the_snippet_of_a_card_loads_the_model(fields, plan_of, tmp_path, monkeypatch):
    run = train(plan_of(**fields), folder=tmp_path / "run")
    monkeypatch.chdir(run.weights)
    found = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed, torch.inference_mode():
        exec(snippet(run), found)
        got, expected = found["model"](input_ids=IDS).logits, run.model()(input_ids=IDS).logits
    assert torch.equal(got, expected)
    if run.record["labels"]:
        assert printed.getvalue().strip() in run.record["labels"]


@pytest.mark.slow
def test_control_the_base_model_alone_answers_otherwise(made, monkeypatch):
    monkeypatch.chdir(made.run.weights)
    found = {}
    with contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        exec(snippet(made.run).replace("PeftModel.from_pretrained(base, weights)", "base"), found)
        assert not torch.allclose(
            found["model"](input_ids=IDS).logits, made.run.model()(input_ids=IDS).logits, atol=1e-2
        )


@pytest.mark.slow
def test_a_card_may_be_edited_and_the_weights_are_still_whole(made, plan_of, tmp_path):
    run = dataclasses.replace(made.run, folder=shutil.copytree(made.run.folder, tmp_path / "run"))
    card = run.weights / "README.md"
    card.write_text(card.read_text() + "\nMy own line.\n")
    assert fault(run.weights) is None

    (run.weights / "run.json").write_text("{}")
    assert fault(run.weights), "control: other files are sealed"


@pytest.mark.slow
def test_a_card_takes_the_place_of_one_that_is_sealed(made, tmp_path):
    run = dataclasses.replace(made.run, folder=shutil.copytree(made.run.folder, tmp_path / "run"))
    (run.weights / "README.md").write_text("PEFT's own")
    seal(run.weights)
    write_card(run, made.report.entries, made.verdict, "notice")
    assert fault(run.weights) is None
    assert "How to load it" in (run.weights / "README.md").read_text()


@pytest.mark.slow
def test_solved_examples_that_the_model_cannot_read_are_left_out_and_said_so(plan_of, tiny, monkeypatch, capsys):
    plan = plan_of()
    monkeypatch.setattr(untrained_module, "longest", lambda model: 150)
    found = untrained(plan, tiny, load(plan.data), 1)
    assert list(found) == ["0-shot prompt"]
    assert "4 solved examples and a question are longer than the model reads" in capsys.readouterr().out


@pytest.mark.slow
def test_stopped_in_training_it_says_how_to_go_on(plan_of, tmp_path, monkeypatch):
    def stopped(plan, folder):
        run = train(plan, folder=folder)
        return dataclasses.replace(run, record=run.record | {"finished": False})

    monkeypatch.setattr(pipeline_steps, "train", stopped)
    with pytest.raises(CourseError, match="start it again to go on") as told:
        run_pipeline(plan_of(), tmp_path / "run")
    assert one_sentence(told)


def one_sentence(told) -> bool:
    said = str(told.value)
    return said.endswith(".") and ". " not in said and "\n" not in said
