"""Stored results: read whole or refused in a sentence, averaged with intervals that count seeds and rows, put into words."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from course_lib.errors import CourseError
from course_lib.prove import measured as module
from course_lib.prove.measured import crossed, measured
from course_lib.prove.measured_runs import OneRun, Setting, Training, read_runs
from course_lib.prove.scores import interval
from course_lib.run.methods import METHODS

STORE = Path(module.__file__).parent / "measurements" / "methods.jsonl"
HERE = Setting(
    model="tiny",
    data="mails",
    train_rows=8,
    step_rows=2,
    test_rows=4,
    max_new_tokens=40,
    machine="a machine, 2 cores",
    threads=2,
    precision="float32",
    versions={"torch": "2.13.0"},
    general="python-docs",
    general_texts=3,
)
COST = {
    "lr": 3e-3,
    "steps": 4,
    "tokens": 1000,
    "peak_gib": 1.5,
    "memory_of": "process, resident",
    "saved_bytes": 4_000_000,
    "trained": 1_000_000,
    "parameters": 100_000_000,
}


GENERAL = np.array([(30.0, 10.0), (60.0, 30.0), (90.0, 20.0)])


def run(case="lora", seed=0, values=(1.0, 0.8, 1.0, 0.6), seconds=10.0, setting=HERE, rise=0.0) -> OneRun:
    return OneRun(
        case=case,
        seed=seed,
        date=date(2026, 11, 22 + seed),
        setting=setting,
        values={"field_accuracy": list(values), "exact_match": [float(value == 1) for value in values]},
        general=[(float(nats + rise * tokens), float(tokens)) for nats, tokens in GENERAL],
        answer_seconds=3.0,
        busy_cores=0.1,
        training=Training(seconds=seconds, **COST) if "shot" not in case else None,
    )


@pytest.fixture
def store(tmp_path) -> Path:
    runs = [
        run("4-shot", values=(0.6, 0.4, 0.8, 0.6)),
        run(),
        run(seed=1, values=(0.8, 0.8, 0.6, 0.6), seconds=12),
        run(seed=2, values=(1.0, 1.0, 1.0, 0.8), seconds=14),
        run("ia3", values=(0.0, 0.0, 0.0, 0.0)),
    ]
    file = tmp_path / "own.jsonl"
    file.write_text("".join(one.model_dump_json() + "\n" for one in runs))
    return file


# Reading


def test_what_was_written_is_read_back(store):
    found = measured(store)
    assert found.cases == ["4-shot", "lora", "ia3"]
    assert found.of("lora")[2] == run(seed=2, values=(1.0, 1.0, 1.0, 0.8), seconds=14)
    assert found.score("lora").value == pytest.approx(np.mean([0.85, 0.7, 0.95]))
    assert found.cost("lora")["seconds"] == 12
    assert found.cost("lora")["tokens_per_s"] == pytest.approx(np.mean([100, 1000 / 12, 1000 / 14]))
    assert found.cost("4-shot") == {"answer_seconds": 3.0}


def test_a_last_line_that_was_cut_off_is_left_out_and_any_other_fault_is_named(store):
    lines = store.read_text().splitlines()
    store.write_text("\n".join(lines)[:-40])
    assert len(read_runs(store)) == len(lines) - 1
    store.write_text("\n".join([lines[0][:-40], *lines[1:]]))
    with pytest.raises(CourseError, match=r"own.jsonl, line 1, is no result of this bench \(Invalid JSON"):
        read_runs(store)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"form": "method-run-0"}, "form: Input should be 'method-run-1'"),
        ({"values": {"field_accuracy": [0.5, 1.5, 0, 0]}}, "values.field_accuracy.1"),
        ({"values": {"field_accuracy": [0.5]}}, "4 values, one for each test row"),
        ({"general": [[30.0, 10.0]]}, "nats and tokens of 3 texts"),
        ({"seed": "0"}, "seed: Input should be a valid integer"),
        ({"date": "yesterday"}, "date: "),
        ({"extra": 1}, "extra: Extra inputs"),
        ({"training": {**COST, "seconds": 0.0}}, "training.seconds"),
    ],
)
def test_a_line_of_another_form_is_refused_in_a_sentence(tmp_path, change, named):
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps(run().model_dump(mode="json") | change) + "\n")
    with pytest.raises(CourseError, match=r"own\.jsonl, line 1, is no result of this bench") as refused:
        measured(file)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_runs_that_cannot_be_compared_are_refused(store, tmp_path):
    other = HERE.model_copy(update={"machine": "another"})
    with store.open("a") as file:
        file.write(run("full", setting=other).model_dump_json() + "\n")
    with pytest.raises(CourseError, match="mixes runs of several tasks, budgets or machines"):
        measured(store)
    with pytest.raises(CourseError, match="holds no results: run the bench"):
        measured(tmp_path / "none.jsonl")


def test_what_was_not_measured_is_named(store):
    with pytest.raises(CourseError, match="full was not measured: choose from 4-shot, lora, ia3"):
        measured(store).score("full")
    with pytest.raises(CourseError, match="rouge_l was not measured"):
        measured(store).score("lora", "rouge_l")


# Intervals


def drawn(rng, seeds, rows, of_seeds, of_rows, of_rest):
    return (
        0.5
        + of_seeds * rng.standard_normal((seeds, 1))
        + of_rows * rng.standard_normal((1, rows))
        + of_rest * rng.standard_normal((seeds, rows))
    )


@pytest.mark.parametrize("spread", [(0.05, 0.02, 0.02), (0.01, 0.1, 0.02), (0.03, 0.1, 0.05), (0.0, 0.0, 0.1)])
def test_the_interval_covers_what_another_draw_of_seeds_and_rows_would_have(spread):
    rng = np.random.default_rng(0)
    found = [crossed(drawn(rng, 3, 16, *spread)) for _ in range(200)]
    assert sum(score.low <= 0.5 <= score.high for score in found) / len(found) > 0.92


def test_an_interval_over_rows_alone_would_cover_too_little():
    """Control: the bootstrap over rows, which other tables use, does not know that other seeds come out otherwise."""
    rng = np.random.default_rng(0)
    found = [interval(drawn(rng, 3, 16, 0.05, 0.02, 0.02).mean(0), resamples=200) for _ in range(100)]
    assert sum(low <= 0.5 <= high for low, high in found) / len(found) < 0.7


def test_few_seeds_that_disagree_give_a_wide_interval_and_edges_stay_shares():
    wide = crossed(np.array([[0.2] * 4, [0.5] * 4, [0.8] * 4]))
    assert (wide.low, wide.high) == (0.0, 1.0)
    none = crossed(np.zeros((3, 16)))
    assert none.value == none.low == 0
    assert 0.1 < none.high < 0.3
    one = crossed(np.array([[0.0, 1.0, 1.0, 0.0]]))
    assert one.low < one.value == 0.5 < one.high


def test_a_difference_is_taken_row_by_row(tmp_path):
    file = tmp_path / "own.jsonl"
    higher = [run("full", seed, [0.1 + 0.01 * seed + value for value in (0.0, 0.3, 0.6, 0.8)]) for seed in range(3)]
    lower = [run("lora", seed, (0.0, 0.3, 0.6, 0.8)) for seed in range(3)]
    file.write_text("".join(one.model_dump_json() + "\n" for one in [*higher, *lower, run("ia3")]))
    found = measured(file)
    gap = found.difference("full", "lora")
    assert gap.value == pytest.approx(0.11)
    assert 0 < gap.low < gap.value < gap.high
    assert found.score("full").low < found.score("lora").high, "apart, the two intervals overlap"
    assert found.difference("lora", "full").value == pytest.approx(-0.11)
    assert found.difference("lora", "full", share=0.5).value == pytest.approx(0.425 - 0.535 / 2)
    with pytest.raises(CourseError, match="full has 3 seeds and ia3 1"):
        found.difference("full", "ia3")


def test_forgetting_is_how_many_times_the_perplexity_on_general_texts_rose(tmp_path):
    file = tmp_path / "own.jsonl"
    runs = [run("0-shot"), *(run(seed=seed, rise=rise) for seed, rise in enumerate((0.1, 0.2, 0.3)))]
    file.write_text("".join(one.model_dump_json() + "\n" for one in [*runs, run("ia3")]))
    lost, none = measured(file).forgetting("lora"), measured(file).forgetting("ia3")
    assert lost.value == pytest.approx(np.exp(0.2))
    assert lost.low < 1 < lost.high, "three seeds that disagree so much leave it open"
    assert (none.value, none.low, none.high) == (1, 1, 1)


# Words, table and picture


def test_sentences_and_the_table_say_what_was_measured_where_and_when(store):
    found = measured(store)
    assert found.say("lora").startswith("lora reached 0.83 [")
    assert found.say("lora").endswith("of the records right after 12 s of training (mean of 3 seeds).")
    assert found.say("4-shot").startswith("4-shot without training reached 0.60 [")
    for words in ("a machine, 2 cores", "2 threads", "torch 2.13.0", "22 November 2026 to 24 November 2026", "8 rows"):
        assert words in found.where()
    assert "beside other programs" not in found.where()
    shown = str(found)
    assert "1,000,000" in shown
    assert "peak GiB (process, resident)" in shown
    assert found.where() in found._repr_html_()


def test_other_programs_beside_the_bench_are_said(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text(run().model_copy(update={"busy_cores": 1.3}).model_dump_json() + "\n")
    assert "beside other programs on up to 1.3 cores" in measured(file).where()


@pytest.mark.parametrize("against", ["trained", "seconds"])
def test_the_picture_says_the_same_in_words(store, capsys, against):
    from matplotlib import pyplot as plt

    found = measured(store)
    found.plot(against=against)
    axes = plt.gca()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["4-shot", "lora", "ia3"]
    assert axes.get_xscale() == ("log" if against == "trained" else "linear")
    plt.close("all")
    said = capsys.readouterr().out
    assert said.startswith("Figure: share of the fields right, 95 % interval; 4-shot 0.60 [")
    assert str(found.score("lora")) in said
    assert ("with 12 s" if against == "seconds" else "with 1,000,000 trained weights") in said


# What comes with the course


def test_the_results_of_the_course_are_whole():
    found = measured()
    methods = [case for case in found.cases if "shot" not in case]
    assert set(METHODS) | {"dora", "rslora", "pissa", "pfeiffer"} <= set(methods)
    assert {"0-shot", "4-shot"} <= set(found.cases)
    for case in methods:
        assert [one.seed for one in found.of(case)] == [0, 1, 2], case
        assert found.of(case)[0].training.memory_of == "process, resident"
    for case in found.cases:
        for metric in found.runs[0].values:
            score = found.score(case, metric)
            assert 0 <= score.low <= score.value <= score.high <= 1, (case, metric)
    assert len({one.training.tokens for one in found.runs if one.training}) == 1
    assert found.setting.model == "smollm2-135m"
    assert date(2026, 11, 1) <= min(one.date for one in found.runs) <= max(one.date for one in found.runs)
    assert found.score("lora").low > found.score("0-shot").high
