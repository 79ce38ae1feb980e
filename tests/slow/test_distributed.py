"""Two processes learn what one does: copies and parts, killed and gone on with, on one machine and on two."""

import json
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from course_lib import Plan, train
from course_lib.run import train as train_module
from course_lib.run.launching import CONFIGS
from course_lib.run.methods import prepare
from course_lib.run.sharded import PARTS
from tests.cases import ROWS

HERE, BIN = Path(__file__).parent, Path(sys.executable).parent
SECONDS = 150  # for any launch; one takes 10 to 20 alone
METHODS = {"full": {"method": "full"}, "lora": {"method": "lora"}, "qlora": {"method": "qlora"}}


@pytest.fixture(autouse=True, scope="module")
def alone():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "busy_neighbours", lambda: 0.0)
        yield


@pytest.fixture(scope="module")
def plan_of(tiny, tmp_path_factory):
    data = tmp_path_factory.mktemp("data") / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, ROWS)))

    def of(processes, **fields):
        """Four steps of eight rows and a last one of seven, in four forward passes of one process or two of each of two."""
        small = {
            "model": str(tiny), "data": str(data), "n_train": 13, "epochs": 3, "max_len": 400, "micro_batch": 2,
            "grad_accum": 4 // processes, "n_gpus": processes, "lr": 1e-2, "warmup_ratio": 0, "save_steps": 2, "precision": "fp32",
        }  # fmt: skip
        if processes == 1:
            fields["sharding"] = "none"
        return Plan(**{**small, **fields})

    return of


def quiet(**more):
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent.parent), **more}


def launch(*command, check=True, **env):
    """What a launcher and its processes said; nothing of them is left behind."""
    process = subprocess.Popen(
        [str(part) for part in command], env=quiet(**env), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        said = process.communicate(timeout=SECONDS)[0]
    finally:
        process.terminate()  # a launcher ends its processes first
        process.wait(40)
    assert not check or process.returncode == 0, said[-3000:]
    return said


def torchrun(*command, **env):
    return launch(BIN / "torchrun", "--standalone", "--nproc-per-node", 2, *command, **env)


def losses(history):
    return torch.tensor([step["loss"] for step in history])


def close(one, other):
    return len(one) == len(other) and torch.allclose(losses(one), losses(other), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def expected(plan_of, tmp_path_factory):
    """The runs of one process."""
    folder = tmp_path_factory.mktemp("alone")
    return {
        name: train(plan_of(1, **fields), folder=folder / name)
        for name, fields in METHODS.items()
    } | {"dpo": train(plan_of(1, **DPO), folder=folder / "dpo")}  # fmt: skip


DPO = {"method": "lora", "objective": "dpo", "n_train": 11, "max_len": 2048, "epochs": 1}


@pytest.fixture(scope="module")
def together(plan_of, tmp_path_factory):
    """What each of two processes saw of a number of runs."""
    folder = tmp_path_factory.mktemp("together")

    def job(name, fields, **how):
        return {"plan": plan_of(2, **fields).model_dump(), "folder": str(folder / name), **how}

    jobs = [job(f"{name}-fsdp", fields | {"sharding": "fsdp"}) for name, fields in METHODS.items()]
    jobs += [job(f"{name}-ddp", METHODS[name] | {"sharding": "ddp"}) for name in ("full", "lora")]
    jobs += [job("full-zero2", METHODS["full"] | {"sharding": "zero2"}), job("dpo-fsdp", DPO | {"sharding": "fsdp"})]
    jobs += [job("repeated", METHODS["full"] | {"sharding": "ddp"}, repeat=True)]
    for name, fields in METHODS.items():
        jobs.append(job(f"{name}-broken-off", fields | {"sharding": "fsdp"}, stop_at=4))
        with pytest.raises(BreakOff):
            train(plan_of(1, **fields), folder=folder / f"{name}-grown", watch=break_off)
        jobs.append(job(f"{name}-grown", fields | {"sharding": "fsdp"}))
    jobs.append(job("accelerate", METHODS["full"] | {"sharding": "ddp"}, accelerate=True))
    (folder / "jobs.json").write_text(json.dumps(jobs))
    torchrun(HERE / "in_processes.py", folder / "jobs.json")
    return {Path(job["folder"]).name: json.loads(Path(f"{job['folder']}.json").read_text()) for job in jobs} | {
        "in": folder
    }


class BreakOff(Exception):
    """Ends a run before its second checkpoint."""


def break_off(step, model):
    if step == 4:
        raise BreakOff


@pytest.mark.parametrize(
    "run", ["full-ddp", "lora-ddp", "full-fsdp", "lora-fsdp", "qlora-fsdp", "full-zero2", "dpo-fsdp"]
)
def test_two_processes_learn_what_one_does(expected, together, run):
    for process in together[run]:
        assert close(process["history"], expected[run.split("-")[0]].history)


def test_rows_that_count_twice_would_be_seen(expected, together):
    """The control: a short step filled up with rows that count."""
    assert not close(together["repeated"][0]["history"], expected["full"].history)


@pytest.mark.parametrize("run", ["full-fsdp", "lora-fsdp", "qlora-fsdp", "full-zero2"])
def test_each_process_holds_half_of_every_weight(together, run):
    for process in together[run]:
        assert list(process["held"]) == ["DTensor"]
        here, of = process["held"]["DTensor"]
        assert 0.49 < here / of < 0.51


@pytest.mark.parametrize("run", ["full-ddp", "accelerate"])
def test_copies_are_whole_and_so_is_what_accelerates_fsdp_makes_of_a_model_on_a_cpu(together, run):
    """The control: with accelerate's own FSDP nothing would be divided here, and nothing would say so."""
    for process in together[run]:
        assert "DTensor" not in process["held"]
        here, of = process["held"]["Parameter"]
        assert here == of


@pytest.mark.parametrize("method", METHODS)
def test_the_saved_result_is_whole_and_the_same(expected, together, plan_of, method):
    plan = plan_of(1, **METHODS[method])
    run = train(plan, folder=together["in"] / f"{method}-fsdp")  # finished: it is returned as it is
    assert run.record["processes"] == 2
    start, ours, theirs = (
        dict(model.named_parameters()) for model in (prepare(plan.model, plan), run.model(), expected[method].model())
    )
    trained = [name for name, weight in start.items() if weight.requires_grad]

    def apart(one, other):
        return sum((one[name] - other[name]).square().sum() for name in trained).sqrt()

    assert apart(ours, theirs) < 0.02 * apart(theirs, start)


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_in_parts_goes_on_in_one_process(expected, together, plan_of, method):
    folder = together["in"] / f"{method}-broken-off"
    assert len(list((folder / "checkpoint-2" / PARTS).glob("*.distcp"))) == 2
    run = train(plan_of(1, **METHODS[method]), folder=folder)
    assert close(run.history, expected[method].history)


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_of_one_process_goes_on_in_two(expected, together, method):
    assert close(together[f"{method}-grown"][0]["history"], expected[method].history)


def history(folder):
    return json.loads((folder / "final" / "run.json").read_text())["history"]


def test_a_killed_process_starts_again_and_the_run_goes_on_as_if_nothing_had_been(together, plan_of, tmp_path):
    plan = plan_of(2, method="lora", sharding="fsdp").to_yaml(tmp_path / "plan.yaml")
    said = torchrun(
        "--max-restarts", 2, HERE / "killed.py", plan, "--folder", tmp_path / "run", TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1"
    )  # fmt: skip
    assert said.count("lost another one, which ended or cannot be reached") == 1
    assert said.count("Going on from checkpoint-2") == 1
    assert losses(history(tmp_path / "run")).equal(losses(together["lora-fsdp"][0]["history"]))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accelerate(config, plan, folder, *options, before=(), **how):
    return launch(
        *before, BIN / "accelerate", "launch", "--config_file", CONFIGS / config, "--main_process_port", free_port(), *options,
        "-m", "course_lib.run", plan, "--folder", folder, **how,
    )  # fmt: skip


def test_a_plan_file_is_trained_by_the_shipped_command(expected, plan_of, tmp_path):
    plan = plan_of(2, method="full", sharding="ddp").to_yaml(tmp_path / "plan.yaml")
    said = accelerate("cpu2-ddp.yaml", plan, tmp_path / "run")
    assert said.count(f"Saved in {tmp_path / 'run'}") == 1
    assert close(history(tmp_path / "run"), expected["full"].history)


def test_a_refusal_is_said_once_for_all_processes(plan_of, tmp_path):
    plan = plan_of(2, method="full", sharding="ddp").but(n_gpus=4).to_yaml(tmp_path / "plan.yaml")
    started = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}

    def start(rank):
        run = (sys.executable, "-m", "course_lib.run", plan, "--folder", tmp_path / "run")
        return launch(*run, check=False, RANK=rank, LOCAL_RANK=rank, **started)

    with ThreadPoolExecutor(2) as pool:
        said = "".join(pool.map(start, "01"))
    assert said == "2 processes were started and the plan says n_gpus 4: start 4, or set n_gpus to 2.\n"
    assert not (tmp_path / "run").exists()


@contextmanager
def two_hosts():
    """Two network namespaces with a cable between them, as far as this machine lets us; removed at the end."""

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True, text=True)

    names = [f"course{os.getpid()}{end}" for end in "ab"]
    if not shutil.which("ip") or os.geteuid() != 0 or ip("netns", "add", names[0]).returncode:
        pytest.skip("two machines need root, iproute2 and network namespaces, and this machine lacks one of them")
    try:
        ip("netns", "add", names[1])
        made = [
            ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        ]
        for number, name in enumerate(names, 1):
            made.append(ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "cable"))
            made += [ip("-n", name, "link", "set", device, "up") for device in ("lo", "cable")]
        assert not any(step.returncode for step in made), [step.stderr for step in made]
        yield names
    finally:
        for name in names:
            ip("netns", "delete", name)


def test_two_machines_learn_what_one_does(together, plan_of, tmp_path):
    plan = plan_of(2, method="lora", sharding="fsdp").to_yaml(tmp_path / "plan.yaml")
    with two_hosts() as hosts, ThreadPoolExecutor(2) as pool:
        options = ["--num_machines", 2, "--main_process_ip", "10.77.0.1", "--main_process_port", 29500]
        running = [
            pool.submit(
                accelerate, "cpu2-fsdp.yaml", plan, tmp_path / "run", *options, "--machine_rank", number,
                before=("ip", "netns", "exec", host), GLOO_SOCKET_IFNAME="cable",
            )
            for number, host in enumerate(hosts)
        ]  # fmt: skip
        said = [launched.result() for launched in running]
    assert [text.count("Saved in") for text in said] == [1, 0]
    assert losses(history(tmp_path / "run")).equal(losses(together["lora-fsdp"][0]["history"]))
