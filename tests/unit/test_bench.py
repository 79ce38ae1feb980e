"""The bench over all methods, on a tiny model: what it keeps, goes on from, and measures anew."""

import os
import signal
import subprocess
import sys
import time

import pytest
from test_measured import HERE, run

from course_lib.prove.measured import measured
from course_lib.prove.measured_runs import read_runs
from course_lib.run.methods import METHODS
from tests.bench import methods
from tests.cases import CASES


def test_every_method_is_in_the_bench_with_a_rate_and_a_reason():
    assert set(METHODS) <= set(methods.RATES)
    assert set(methods.RATES) <= set(CASES)
    assert all(0 < rate <= 1 and reason for rate, reason in methods.RATES.values())
    for case in methods.RATES:
        plan = methods.plan_for(case, 1, "smollm2-135m", 32)
        assert (plan.n_train, plan.micro_batch * plan.grad_accum, plan.epochs, plan.seed) == (32, 2, 1, 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_it_goes_on_with_what_is_missing_and_another_budget_is_measured_anew(tiny, tmp_path, capsys):
    out = tmp_path / "own.jsonl"
    words = ["--model", str(tiny), "--rows", "4", "--test-rows", "2", "--methods", "lora", "ia3", "--out", str(out)]
    command = [sys.executable, "-m", "tests.bench.methods", *words, "--seeds", "0", "1"]
    own_place = os.environ | {"TMPDIR": str(tmp_path)}  # for what a killed run leaves behind
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, env=own_place)
    while len(read_runs(out)) < 3 and killed.poll() is None:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    kept = read_runs(out)
    assert 3 <= len(kept) < 6, "it failed, or was killed too late to tell"
    with out.open("a") as file:
        file.write('{"form": "method-run-1", "case": "lo')

    def bench(*cases, rows=4) -> str:
        assert methods.bench(list(cases), [0, 1], str(tiny), rows, 2, out) == []
        return capsys.readouterr().out

    said = bench("lora", "ia3")
    assert f"{len(kept)} of 6 runs are there already." in said
    assert "about 0 min left" in said
    found = measured(out)
    assert list(found.runs[: len(kept)]) == kept
    assert sorted((one.case, one.seed) for one in found.runs) == [
        *(("0-shot", 0), ("4-shot", 0)),
        *(("ia3", 0), ("ia3", 1), ("lora", 0), ("lora", 1)),
    ]
    costs = [one.training for one in found.runs if one.training]
    assert len({cost.tokens for cost in costs}) == 1
    assert {cost.steps for cost in costs} == {2}
    assert found.cost("lora")["trained"] > found.cost("ia3")["trained"] > 0
    assert found.cost("lora")["saved_bytes"] > 4 * found.cost("lora")["trained"]

    untouched = out.read_bytes()
    assert "6 of 6 runs are there already." in bench("lora", "ia3")
    assert out.read_bytes() == untouched
    assert "6 results in own.jsonl are of another setting or learning rate" in bench(rows=6)
    assert {one.setting.train_rows for one in read_runs(out)} == {6}


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_are_made(tiny, tmp_path, capsys):
    out = tmp_path / "own.jsonl"
    assert methods.bench(["no such method", "ia3"], [0], str(tiny), 4, 2, out) == [
        "no such method, seed 0: KeyError: 'no such method'"
    ]
    assert {one.case for one in read_runs(out)} == {"0-shot", "4-shot", "ia3"}
    assert "no such method, seed 0: failed" in capsys.readouterr().out


def test_a_result_of_another_learning_rate_is_not_taken(monkeypatch):
    assert methods.still_valid(run(), HERE)
    monkeypatch.setitem(methods.RATES, "lora", (1e-3, "tuned"))
    assert not methods.still_valid(run(), HERE)
    assert not methods.still_valid(run("4-shot"), HERE.model_copy(update={"threads": 1}))
