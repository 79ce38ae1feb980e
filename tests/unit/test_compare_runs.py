"""Several runs in one table: clear differences and others told apart, kept scores read, and what cannot be compared refused."""

import json
import shutil

import numpy as np
import pytest
from cases import ROWS
from typer.testing import CliRunner

from course_lib import Plan, cli
from course_lib.errors import CourseError
from course_lib.prove import evaluated as evaluated_module
from course_lib.prove.compare import compare_runs
from course_lib.prove.evaluated import data_of, evaluated, evaluation_inputs, room_for
from course_lib.prove.kept import keep, to_json
from course_lib.prove.scores import Answer, scored
from course_lib.run.methods import load_tokenizer
from course_lib.run.result import Run
from course_lib.run.seal import seal

RECORD = {"finished": True, "peak_gib": 1.5, "trainable": 25, "parameters": 1000, "labels": []}
RECORD |= {"history": [{"step": 1, "loss": 1.0, "tokens": 300, "seconds": 2.0}]}


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "colours.jsonl"
    rows = [
        {"messages": [*row["messages"][:-1], {"role": "assistant", "content": f"{i}"}]}
        for i, row in enumerate(ROWS * 9)
    ]
    for i, row in enumerate(rows):
        row["messages"][1] = {"role": "user", "content": f"word{i} other{i} third{i}"}
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture
def a_run(tmp_path, data):
    """Makes a finished run with kept scores and no model, of which `right` of ten test rows are right."""

    def make(name, right, **fields):
        plan, folder = Plan(data=str(data), **fields), tmp_path / name
        (folder / "final").mkdir(parents=True)
        plan.to_yaml(folder / "plan.yaml")
        (folder / "final" / "run.json").write_text(json.dumps(RECORD | {"plan": plan.id}))
        (folder / "final" / "adapter_model.safetensors").write_bytes(name.encode() * 500_000)
        seal(folder / "final")
        run, rows = Run.from_folder(folder), data_of(plan)
        table = np.array([float(i % 10 < right) for i in range(len(rows.test))])
        answers = [Answer("", "", "", bool(value)) for value in table]
        found = scored({"exact_match": table, "rouge_l": table}, rows.test, answers)
        keep(folder / "evaluate.json", evaluation_inputs(run, rows, None), to_json(found))
        return folder

    return make


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    def never(*_, **__):
        raise AssertionError("a model answered")

    monkeypatch.setattr(evaluated_module, "evaluate", never)
    monkeypatch.setattr(evaluated_module, "load_tokenizer", never)


def test_runs_stand_side_by_side_with_intervals_and_costs(a_run):
    found = compare_runs([a_run("one", 4), a_run("two", 9), a_run("same", 4)])
    assert found.columns[:4] == ("run", "exact_match", "rouge_l", "exact_match, difference")
    one, two, same = (dict(zip(found.columns, row, strict=True)) for row in found.rows)
    assert (one["run"], two["run"]) == ("one", "two")
    assert one["exact_match"].startswith("0.")
    assert "[" in one["exact_match"]
    assert one["exact_match, difference"] == ""
    assert two["exact_match, difference"].startswith("+0.")
    assert "no clear difference" not in two["exact_match, difference"]
    assert same["exact_match, difference"].endswith("no clear difference")
    assert (two["tokens/s"], two["seconds"], two["peak GiB"]) == ("150", "2", "1.50")
    assert (two["trained"], two["MB"]) == ("2.50%", "1.5")
    assert "22 test rows" in found.caption


def test_the_command_prints_the_same_table(a_run):
    folders = [str(a_run("one", 4)), str(a_run("two", 9))]
    told = CliRunner().invoke(cli.app, ["compare-runs", *folders, "--metric", "exact_match"])
    assert told.output.strip() == str(compare_runs(folders, metric="exact_match"))


def test_one_metric_may_be_named(a_run):
    found = compare_runs([a_run("one", 4), a_run("two", 9)], metric="rouge_l")
    assert found.columns[1:3] == ("rouge_l", "rouge_l, difference")


def test_two_runs_of_the_same_name_are_told_apart(a_run, tmp_path):
    first = a_run("one", 4)
    second = shutil.copytree(first, tmp_path / "again" / "one")
    assert [row[0] for row in compare_runs([first, second]).rows] == [f"{tmp_path.name}/one", "again/one"]


def test_control_scores_of_other_weights_or_other_rows_are_not_read(a_run):
    folder = a_run("one", 4)
    data, run = data_of(Run.from_folder(folder).plan), Run.from_folder(folder)
    assert evaluated(run, data)["exact_match"].n == 22
    with pytest.raises(AssertionError, match="a model answered"):
        evaluated(run, data, n=5)
    (folder / "final" / "adapter_model.safetensors").write_bytes(b"other")
    seal(folder / "final")
    with pytest.raises(AssertionError, match="a model answered"):
        evaluated(run, data)


def test_what_cannot_be_compared_is_refused_in_a_sentence(a_run, tmp_path):
    one, two = a_run("one", 4), a_run("two", 5)
    head = a_run("head", 5, objective="classification")
    mails = a_run("mails", 5)
    Plan(data="mails").to_yaml(mails / "plan.yaml")
    unfinished = a_run("unfinished", 5)
    shutil.rmtree(unfinished / "final")
    refused(lambda: compare_runs([one]), "name two runs or more")
    refused(lambda: compare_runs([one, unfinished]), "is not finished")
    refused(lambda: compare_runs([one, mails]), r"has other test rows \(mails\)")
    refused(lambda: compare_runs([one, head]), "no metric in common")
    refused(lambda: compare_runs([one, two], metric="accuracy"), "accuracy does not fit all of these runs")
    refused(lambda: compare_runs([one, tmp_path / "nowhere"]), "There is no plan file")


def refused(call, says):
    with pytest.raises(CourseError, match=says) as told:
        call()
    said = str(told.value)
    assert said.endswith(".")
    assert ". " not in said


def test_an_answer_may_be_a_little_longer_than_the_longest_that_was_learned(tiny, data):
    longest = max(len(row["messages"][-1]["content"]) for row in data_of(Plan(data=str(data))).train)
    assert room_for(load_tokenizer(tiny), data_of(Plan(data=str(data)))) == longest + 16
