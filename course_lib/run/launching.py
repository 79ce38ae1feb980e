"""How a plan of several processes is started: the launch configs that we ship, and the command line."""

import shlex
from pathlib import Path

import torch

from course_lib.plan import Plan

CONFIGS = Path(__file__).parent / "launch"
PORT = 29500


def launch_config(plan: Plan, gpus_each: int = 8) -> Path:
    """The accelerate config file for a plan; gpus_each: GPUs of one machine.

    A config says machines, processes and whether accelerate's FSDP is wanted, and our runs take the last from the plan: any
    other script that is started with the file has it from there.
    """
    if not torch.cuda.is_available():
        machine = "cpu2"
    elif plan.n_gpus > gpus_each:
        machine = "2x8"
    else:
        machine = "gpu2" if plan.n_gpus == 2 else "gpu8"
    return CONFIGS / f"{machine}-{'fsdp' if plan.sharding == 'fsdp' else 'ddp'}.yaml"


def launch_commands(plan: Plan, file: str | Path, gpus_each: int = 8) -> list[str]:
    """What to type, one line for each machine, to train the plan in `file`; MAIN_ADDRESS stands for the first machine's address.

    gpus_each: GPUs of one machine.
    """
    run = ["-m", "course_lib.run", str(file)]
    if plan.n_gpus == 1:
        return [shlex.join(["python", *run])]
    machines = -(-plan.n_gpus // gpus_each) if torch.cuda.is_available() else 1
    start = [
        "accelerate",
        "launch",
        "--config_file",
        str(launch_config(plan, gpus_each)),
        "--num_processes",
        str(plan.n_gpus),
    ]
    if machines == 1:
        return [shlex.join([*start, *run])]
    meet = ["--main_process_ip", "MAIN_ADDRESS", "--main_process_port", str(PORT), "--num_machines", str(machines)]
    return [shlex.join([*start, *meet, "--machine_rank", str(machine), *run]) for machine in range(machines)]
