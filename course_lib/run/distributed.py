"""A run of several processes: who takes part, who does what, and what they agree on.

The launcher (`accelerate launch`, `torchrun`) tells each process its number and how many there are; alone, a process is
number 0 of 1 and nothing here does anything. All processes see the run's folder.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch import distributed as dist

from course_lib.errors import CourseError
from course_lib.plan import Plan

T = TypeVar("T")
# What torch says when a process that it waits for is gone (gloo over TCP; the launcher ends an NCCL run by itself).
GONE = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Connection refused",
    "Timed out waiting",
)


class Lost(CourseError):
    """Another process has ended."""


def processes() -> int:
    """How many processes the launcher started, 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK", "0")) if processes() > 1 else 0


def is_main() -> bool:
    """Whether this process is the one that writes files and speaks."""
    return rank() == 0


def is_sharded(plan: Plan) -> bool:
    """Whether the processes of a plan hold parts of the weights, and not copies."""
    return plan.sharding in ("fsdp", "zero2")


def say(text: str) -> None:
    """Print, once for all processes."""
    if is_main():
        print(text)


def check_processes(plan: Plan) -> None:
    """Refuse a plan that was started with another number of processes than it says, before anything is loaded.

    Raises:
        CourseError: with the command that fits.
    """
    if processes() == plan.n_gpus:
        fsdp = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
        if fsdp and plan.sharding != "fsdp":
            raise CourseError(
                f"The launch config says FSDP and the plan says sharding {plan.sharding}: take a config that does not, or set "
                "sharding to fsdp."
            )
        here, devices = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
        if plan.n_gpus > 1 and 0 < devices < here:
            raise CourseError(
                f"{here} processes were started on a machine with {devices} GPU{'s' * (devices > 1)}: start one for each GPU."
            )
        return
    if processes() == 1:
        raise CourseError(
            f"The plan wants {plan.n_gpus} processes and this is one: start it with the command that `course launch PLAN.yaml` "
            "prints, or set n_gpus to 1 and sharding to none."
        )
    raise CourseError(
        f"{processes()} processes were started and the plan says n_gpus {plan.n_gpus}: start {plan.n_gpus}, or set n_gpus to "
        f"{processes()}."
    )


def check_sharding(plan: Plan) -> None:
    """Refuse an optimizer that cannot work on parts of a matrix.

    Raises:
        CourseError: says which ones can.
    """
    if is_sharded(plan) and plan.optimizer == "adafactor":
        raise CourseError(
            f"Adafactor takes averages over whole matrices, which sharding {plan.sharding} divides: set optimizer to adamw_torch or "
            "adamw_8bit, or sharding to ddp."
        )


def check_rows(plan: Plan, rows: int) -> None:
    """Refuse more processes than rows to give them.

    Raises:
        CourseError: says how many there are.
    """
    if rows < plan.n_gpus:
        raise CourseError(
            f"There are {rows} training rows for {plan.n_gpus} processes, so that some would have nothing to do: set n_gpus to "
            f"{rows} at most, or give more rows."
        )


def check_shared(file: Path, text: str) -> None:
    """Refuse a folder that this process does not see as the main process does, which has just written `file` there.

    Raises:
        CourseError: the machines have each a folder of that name.
    """
    if not (file.exists() and file.read_text(encoding="utf-8") == text):
        raise CourseError(
            f"Process {rank()} does not see what process 0 wrote in {file.parent}: choose a folder on a disk that all machines share."
        )


@contextmanager
def group(minutes: float = 10):
    """Meet the other processes, and part from them at the end; alone, or once met, nothing happens.

    minutes: how long to wait for a process that is silent.

    Raises:
        Lost: another process has ended, or never came.
    """
    meet = processes() > 1 and not dist.is_initialized()
    try:
        if meet and torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        if meet:
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, timeout=timedelta(minutes=minutes))
        yield
    except RuntimeError as error:
        if processes() == 1 or not any(words in str(error) for words in GONE):
            raise
        raise Lost(
            f"Process {rank()} of {processes()} lost another one, which ended or cannot be reached, and stops: start the same "
            "command again, and the run goes on from its newest checkpoint."
        ) from None
    finally:
        if meet and dist.is_initialized():
            dist.destroy_process_group()


def divide_alone() -> None:
    """The plan says how weights are divided, and this package divides them: accelerate does not see what a launch config says.

    It would divide them once more.
    """
    for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"):
        os.environ.pop(name, None)


def first_to_say(error: CourseError) -> bool:
    """Whether no other process has said yet why the run ends."""
    if not dist.is_initialized():
        return is_main()
    try:
        return dist.distributed_c10d._get_default_store().add("said", 1) == 1
    except RuntimeError:  # the process that kept the count has ended, and has said why unless it was killed
        return isinstance(error, Lost)


def wait() -> None:
    """Until every process has come here."""
    if dist.is_initialized():
        dist.barrier()


def from_main(make: Callable[[], T]) -> T:
    """What the main process makes, in every process."""
    made = [make() if is_main() else None]
    if dist.is_initialized():
        dist.broadcast_object_list(made)
    return made[0]


def everyone(value: T) -> list[T]:
    """The value that each process brings, by its number."""
    if not dist.is_initialized():
        return [value]
    values = [None] * processes()
    dist.all_gather_object(values, value)
    return values


def total(count: torch.Tensor) -> torch.Tensor:
    """The sum over the processes."""
    if dist.is_initialized():
        dist.all_reduce(count)
    return count


def part(rows: Sequence[T], step_rows: int, nothing: Callable[[T], T]) -> list[T]:
    """The rows of this process: of each step's `step_rows` every n-th one.

    Neighbours are near-equal in length, so that all processes have about the same work. In a last short step some would have
    one row less than others and wait for ever: they get `nothing(row)`, a row that teaches nothing, where accelerate would
    take a row of another process once more and count it twice.
    """
    mine = []
    for start in range(0, len(rows), step_rows):
        step = rows[start : start + step_rows]
        share = list(step[rank() :: processes()])
        each = -(-len(step) // processes())
        mine += share + [nothing(step[0])] * (each - len(share))
    return mine
