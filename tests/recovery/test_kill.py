"""A run killed at any moment goes on to the same weights, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kills import result

KILLS = int(os.environ.get("COURSE_KILLS", "20"))
QUIET = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "HF_HUB_OFFLINE": "1"}

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked, and killed with SIGKILL"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def plan_file(plan, tmp_path_factory):
    changed = plan.but(micro_batch=1, save_steps=2)
    return changed.to_yaml(tmp_path_factory.mktemp("kill") / "plan.yaml")


@pytest.fixture(scope="module")
def outcome(plan_file):
    script = Path(__file__).with_name("kills.py")
    done = subprocess.run(
        [sys.executable, script, plan_file, plan_file.parent, str(KILLS)],
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((plan_file.parent / "outcome.json").read_text())


def test_every_killed_run_goes_on_to_the_same_weights_and_losses(outcome):
    assert len(outcome["trials"]) == KILLS
    assert len(outcome["unbroken"]["history"]) == 24
    assert [trial for trial in outcome["trials"] if not trial["same"]] == []


def test_kills_hit_checkpoints_and_the_result_while_they_were_written(outcome):
    trials = outcome["trials"]
    assert sum(bool(trial["partial"]) for trial in trials) >= min(3, KILLS)
    assert sum(bool(trial["partial_final"]) for trial in trials) >= min(1, KILLS // 10)
    assert all(trial["valid"] not in trial["partial"] for trial in trials)


def test_kills_are_spread_over_the_life_of_the_run(outcome):
    starts = {trial["valid"] for trial in outcome["trials"]}
    assert len(starts) >= min(5, KILLS // 2), f"they all went on from {starts}"


def test_control_the_stock_chooser_takes_a_partial_checkpoint_and_fails(outcome):
    fates = [trial["stock"] for trial in outcome["trials"] if "stock" in trial]
    assert "fails" in fates


def test_the_command_killed_with_minus_nine_goes_on_when_called_again(plan_file, outcome):
    folder = plan_file.parent / "command"
    command = [sys.executable, "-m", "course_lib.run", plan_file, "--folder", folder]
    running = subprocess.Popen(command, env=os.environ | QUIET, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint-8").exists():
        assert running.poll() is None, running.stdout.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    running.stdout.close()

    again = subprocess.run(command, env=os.environ | QUIET, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "Going on from checkpoint-" in again.stdout
    got = result(folder)
    assert got["weights"] == outcome["unbroken"]["weights"]
    assert [list(step) for step in got["history"]] == outcome["unbroken"]["history"]
