"""Every method on one task and one budget: `make bench`, or `python -m tests.bench.methods`.

Each method and seed trains on the same mails, in a process of its own (so that its peak memory is its own), answers the same
held-out mails and foresees the same general texts; so do two prompts without training. A result is kept as soon as it is
there: stopped or killed anywhere, the same command goes on. `course_lib.prove.measured` reads the file.

One budget means the same rows as often, hence the same tokens; seconds and memory differ, and are part of the result. A seed
decides the new weights and the order of the rows, not which rows. So few steps want larger learning rates than a long run:
RATES says which and why.
"""

import argparse
import contextlib
import io
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import torch

from course_lib import Plan, Run, train
from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.prove.evaluate import evaluate
from course_lib.prove.measured import Measured
from course_lib.prove.measured_runs import OneRun, Setting, Training, read_runs
from course_lib.run.assets import model_folder
from course_lib.run.data import load
from course_lib.run.here import machine, versions
from course_lib.run.meter import busy_neighbours
from course_lib.run.methods import compute_dtype, load_base
from tests.cases import CASES

OUT = Path(__file__).parents[2] / "build" / "bench" / "methods.jsonl"
TASK, STEP_ROWS, NEW_TOKENS = "mails", 2, 40
GENERAL, GENERAL_TEXTS = "python-docs", 16
SHOTS = {"0-shot": 0, "4-shot": 4}
# Peak learning rates for sixteen steps. The guides' and papers' are for hundreds.
RATES = {
    "full": (3e-4, "six times the upper end of `practices` for whole models, 5e-5"),
    "lora": (3e-3, "the plan's default, which has its reason there"),
    "dora": (3e-3, "as lora: its direction is learned the same way"),
    "rslora": (1e-3, "its update is scaled by 8, where lora's is by 2"),
    "pissa": (1e-3, "both its matrices start away from zero, so that a step of the same size moves more"),
    "qlora": (3e-3, "as lora: 4 bits change the frozen base alone"),
    "adapters": (3e-3, "ten times Houlsby et al. (2019), as lora's is ten times the guide's"),
    "pfeiffer": (3e-3, "as adapters"),
    "prompt_tuning": (3e-2, "PEFT's examples; Lester et al. (2021) take 0.3, with Adafactor"),
    "prefix_tuning": (1e-2, "as the selector's plans"),
    "p_tuning": (1e-2, "as the selector's plans"),
    "ia3": (3e-2, "vectors that start at 1 must move by tenths"),
}


def plan_for(case: str, seed: int, model: str, rows: int) -> Plan:
    """The plan of one run: the method's defaults, but for the learning rate."""
    return Plan(
        **CASES[case],
        model=model,
        data=TASK,
        n_train=rows,
        micro_batch=STEP_ROWS,
        lr=RATES[case][0],
        seed=seed,
        max_len=2048,
        save_steps=1000,
    )


def setting(model: str, rows: int, test_rows: int) -> Setting:
    """What all runs of this bench share."""
    return Setting(
        model=model,
        data=TASK,
        train_rows=rows,
        step_rows=STEP_ROWS,
        test_rows=test_rows,
        max_new_tokens=NEW_TOKENS,
        machine=machine(),
        threads=torch.get_num_threads(),
        precision=str(compute_dtype("auto")).removeprefix("torch."),
        general=GENERAL,
        general_texts=GENERAL_TEXTS,
        versions=versions("bitsandbytes"),
    )


def one_run(case: str, seed: int, model: str, rows: int, test_rows: int) -> OneRun:
    """Train one method with one seed and answer the test mails; or answer them with a prompt alone."""
    busy, training, silence = busy_neighbours(), None, io.StringIO()
    data = load(TASK, n_train=rows)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
    ):
        if case in SHOTS:
            model_here = load_base(model_folder(model), Plan(model=model)).eval()
        else:
            run = train(plan_for(case, seed, model, rows), folder=folder)
            training, model_here = _training(run), run.model()
        start = time.perf_counter()
        scores = evaluate(model_here, data, shots=SHOTS.get(case, 0), n=test_rows, max_new_tokens=NEW_TOKENS)
        answer_seconds = time.perf_counter() - start
        general = evaluate(model_here, load(GENERAL), ("perplexity",), n=GENERAL_TEXTS)
    return OneRun(
        case=case,
        seed=seed,
        date=datetime.now(UTC).date(),
        setting=setting(model, rows, test_rows),
        values={metric: table.tolist() for metric, table in scores.rows.items()},
        general=[(float(nats), float(tokens)) for nats, tokens in general.rows["perplexity"]],
        answer_seconds=answer_seconds,
        busy_cores=round(busy, 2),
        training=training,
    )


def _training(run: Run) -> Training:
    return Training(
        lr=run.plan.lr,
        steps=len(run.history),
        tokens=sum(step["tokens"] for step in run.history),
        seconds=run.seconds,
        peak_gib=run.peak_gib,
        memory_of=run.record["memory_of"],
        saved_bytes=sum(file.stat().st_size for file in run.weights.glob("*.safetensors")),
        trained=run.record["trainable"],
        parameters=run.record["parameters"],
    )


def still_valid(run: OneRun, here: Setting) -> bool:
    """Whether a kept result is of this setting, and of the learning rate that the method has now."""
    return run.setting == here and (run.training is None or run.training.lr == RATES[run.case][0])


def bench(cases: list[str], seeds: list[int], model: str, rows: int, test_rows: int, out: Path) -> list[str]:
    """Make the runs that `out` does not hold yet, one after the other; returns what went wrong, one line a run."""
    wanted = [(case, seed) for seed in seeds for case in (*SHOTS, *cases) if case in cases or seed == seeds[0]]
    here = apart(setting, model, rows, test_rows)
    kept = [run for run in read_runs(out) if run.case in RATES | SHOTS]
    runs = [run for run in kept if still_valid(run, here)]
    if dropped := len(kept) - len(runs):
        print(f"{dropped} results in {out.name} are of another setting or learning rate, and are measured anew.")
    done = {(run.case, run.seed) for run in runs}
    todo, faults, start = [key for key in wanted if key not in done], [], time.perf_counter()
    print(f"{len(wanted) - len(todo)} of {len(wanted)} runs are there already.")
    for number, (case, seed) in enumerate(todo, 1):
        try:
            runs.append(apart(one_run, case, seed, model, rows, test_rows))
        except Exception as error:
            faults.append(f"{case}, seed {seed}: {type(error).__name__}: {error}")
            said = f"failed: {error}"
        else:
            write_whole(out, "".join(run.model_dump_json() + "\n" for run in runs))
            said = _say(runs[-1])
        left = (time.perf_counter() - start) / number * (len(todo) - number)
        print(f"{number} of {len(todo)}  {case}, seed {seed}: {said}; about {left / 60:.0f} min left", flush=True)
    return faults


def apart(function, *args):
    """What a function returns, called in a process of its own, copied from one that has computed nothing.

    So each run's peak memory is its own, and one that the system kills for memory takes no other with it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["course_lib.prove.evaluate"])  # what takes seconds to import
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args).result()


def _say(run: OneRun) -> str:
    score = Measured((run,)).score(run.case)
    cost = f"{run.training.seconds:.0f} s training, " if run.training else ""
    return f"{score} of the fields right, {cost}{run.answer_seconds:.0f} s answering"


def main() -> None:
    """Run the bench and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=list(RATES), choices=list(RATES), metavar="METHOD")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=32, help="mails that each run trains on, once: the budget")
    parser.add_argument("--test-rows", type=int, default=16, help="mails that each run answers, at most 48")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--out", type=Path, default=OUT, help="file of results; those that it holds are not run again")
    args = parser.parse_args()
    try:
        faults = bench(args.methods, args.seeds, args.model, args.rows, args.test_rows, args.out)
    except CourseError as error:
        parser.exit(1, f"{error}\n")
    if runs := read_runs(args.out):
        print(f"\n{Measured(tuple(runs))}\n\nKept in {args.out}.")
    if faults:
        parser.exit(1, "\nThese runs failed:\n" + "\n".join(faults) + "\n")


if __name__ == "__main__":
    main()
