"""Kills runs with SIGKILL and lets them go on: `python kills.py PLAN FOLDER KILLS` prints what happened as JSON.

Importing the libraries takes many times longer than a tiny run. This process imports them once and forks a child for
each run; the child is an ordinary run of `python -m course_lib.run`, from its arguments to its exit status.
"""

import gc
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from unittest import mock

from transformers.trainer_utils import get_last_checkpoint

import course_lib.run.train as train_module
from course_lib.run.__main__ import main
from course_lib.run.checkpoints import newest_valid

STOCK_TRIES = 3


def start(plan: Path, folder: Path, stock: bool = False) -> int:
    """Fork a child that trains; its id. stock: it resumes from what transformers takes for the newest checkpoint."""
    if child := os.fork():
        return child
    status = 99
    try:
        with open(folder.with_suffix(".log"), "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        if stock:
            train_module.newest_valid = lambda folder: Path(get_last_checkpoint(folder))
        with mock.patch.object(train_module, "busy_neighbours", return_value=0.0):
            status = main([str(plan), "--folder", str(folder)])
    finally:
        os._exit(status)


def finish(child: int) -> int:
    """Wait for a child: its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def result(folder: Path) -> dict:
    """What must not depend on a kill: the weights, and each step's loss and gradient norm, to the last bit."""
    weights = (folder / "final" / "adapter_model.safetensors").read_bytes()
    history = json.loads((folder / "final" / "run.json").read_text())["history"]
    return {
        "weights": hashlib.sha256(weights).hexdigest(),
        "history": [(step["step"], step["loss"].hex(), step["grad_norm"].hex()) for step in history],
    }


def unsealed(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern) if not (path / "manifest.json").exists()]


def kill_at(plan: Path, folder: Path, when, limit: float = 60) -> bool:
    """Start a run and kill it as soon as `when(seconds since the start)` says so; False when it ended before."""
    child, begin = start(plan, folder), time.perf_counter()
    while not when(time.perf_counter() - begin):
        done, _ = os.waitpid(child, os.WNOHANG)
        if done or time.perf_counter() - begin > limit:
            return False
        time.sleep(0.0002)
    os.kill(child, signal.SIGKILL)
    return finish(child) == -signal.SIGKILL


def kinds(kills: int) -> list[tuple[str, float]]:
    """How each kill is aimed: two fifths at a checkpoint being written, a tenth at the result being written, the rest at
    moments spread evenly over the run's life (as shares of it)."""
    at_save, at_end = max(3, 2 * kills // 5), kills // 10
    spread = max(0, kills - at_save - at_end)
    aims = [("checkpoint", 0.0)] * at_save + [("final", 0.0)] * at_end + [("time", i / spread) for i in range(spread)]
    return aims[:kills]


def moment(rng: random.Random, kind: str, folder: Path, seconds: float, steps: int):
    """When to kill: after so many seconds, or when a folder that is not sealed yet has been there for a while."""
    if kind == "time":
        return lambda now: now > seconds
    place = "final" if kind == "final" else f"checkpoint-{2 * rng.randint(2, steps // 2)}"
    wait, seen = rng.uniform(0, 0.02), []

    def when(now):
        if not seen and (folder / place).is_dir():
            seen.append(now)
        return bool(seen) and now > seen[0] + wait

    return when


def stock_resume(plan: Path, folder: Path, expected: dict) -> str:
    """What the stock chooser makes of a killed run: "fails", "differs" or "same"."""
    copy = folder.with_name(f"{folder.name}-stock")
    shutil.copytree(folder, copy)
    if finish(start(plan, copy, stock=True)) != 0:
        return "fails"
    return "same" if result(copy) == expected else "differs"


def run(plan: Path, folder: Path, kills: int) -> dict:
    unbroken = folder / "unbroken"
    begin = time.perf_counter()
    if finish(start(plan, unbroken)) != 0:
        raise SystemExit(unbroken.with_suffix(".log").read_text())
    life, expected = time.perf_counter() - begin, result(unbroken)
    aims, trials, misses, stock = kinds(kills), [], 0, 0
    while len(trials) < kills:
        number = len(trials)
        kind, share = aims[number]
        rng = random.Random(f"{number}:{misses}")
        place = folder / f"run-{number}-{misses}"
        share = (share + rng.random() / kills) * 0.9**misses
        if not kill_at(plan, place, moment(rng, kind, place, share * life, len(expected["history"]))):
            misses += 1
            if misses > 20 + kills:
                raise SystemExit("The runs end before they can be killed.")
            continue
        trial = {
            "kind": kind,
            "share": round(share, 3),
            "partial": unsealed(place, "checkpoint-*"),
            "partial_final": unsealed(place, "final"),
            "valid": getattr(newest_valid(place), "name", None) if place.exists() else None,
        }
        if stock < STOCK_TRIES and trial["partial"] and get_last_checkpoint(place).endswith(trial["partial"][0]):
            trial["stock"], stock = stock_resume(plan, place, expected), stock + 1
        trial["status"] = finish(start(plan, place))
        trial["same"] = trial["status"] == 0 and result(place) == expected
        if not trial["same"]:
            trial["log"] = place.with_suffix(".log").read_text()[-2000:]
        trials.append(trial)
    return {"unbroken": expected, "life": life, "misses": misses, "trials": trials}


if __name__ == "__main__":
    gc.freeze()  # what is imported is not searched for garbage again in every child
    outcome = run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    Path(sys.argv[2], "outcome.json").write_text(json.dumps(outcome, indent=1))
