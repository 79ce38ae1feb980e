"""The machine: GPU, processor, memory and disk, without importing torch. Control groups are what containers are made of."""

import os
import platform
import re
import shutil
from collections.abc import Iterator
from errno import ENOENT
from itertools import chain
from pathlib import Path, PurePosixPath

import psutil

from course_lib.learn.examining import Line, shown

GIB = 1024**3
PROC, SYS = Path("/proc"), Path("/sys")


def processor() -> Line:
    """Cores that this process may use, and the threads that PyTorch will start on them."""
    cores, threads = allowed_cores(), os.environ.get("OMP_NUM_THREADS", "")
    whole = max(1, int(cores))
    seen = f"{_short(cores)} {'core' if cores == 1 else 'cores'}, {platform.machine()}, "
    remedy = f"set OMP_NUM_THREADS={whole} before you start: threads that share a core wait for each other busily"
    if not threads:
        visible = _visible_cores()
        if visible > cores:
            return Line("processor", False, f"{seen}but {visible} are visible and get a thread each", remedy)
        return Line("processor", True, f"{seen}threads: as many as cores")
    if not re.fullmatch(r" *[1-9]\d{0,5} *(,.*)?", threads):
        return Line("processor", False, f"{seen}OMP_NUM_THREADS is {shown(threads, 40)}, which is no number", remedy)
    seen += f"threads: {shown(threads.strip(), 40)} (OMP_NUM_THREADS)"
    return Line("processor", int(threads.split(",")[0]) <= max(whole, cores), seen, remedy)


def allowed_cores() -> float:
    """How many cores this process may use at a time; a container may allow a part of one."""
    cores = float(_visible_cores())
    for group in _groups("cpu"):
        quota = _numbers(group / "cpu.max") or [
            *_numbers(group / "cpu.cfs_quota_us"),
            *_numbers(group / "cpu.cfs_period_us"),
        ]
        if len(quota) == 2 and min(quota) > 0:
            cores = min(cores, quota[0] / quota[1])
    return cores


def memory() -> Line:
    """Free memory: of the machine, or of the container if that allows less."""
    machine = psutil.virtual_memory()
    free, total, within = machine.available, machine.total, ""
    for group in _groups("memory"):
        limit = _numbers(group / "memory.max") or _numbers(group / "memory.limit_in_bytes")
        used = _numbers(group / "memory.current") or _numbers(group / "memory.usage_in_bytes")
        if limit and used and 0 < limit[0] < total:
            free, total = min(free, limit[0] - used[0] + _given_back(group)), limit[0]
            within = ", as much as this container may use"
    return Line(
        "memory",
        free > 4 * GIB,
        f"{max(free, 0) / GIB:.1f} GiB free of {total / GIB:.1f}{within}",
        "close other programs and notebooks: lessons need 4 GiB",
    )


def disk(folder: Path) -> Line:
    """Room for what is made in `folder`."""
    free = shutil.disk_usage(nearest(folder)).free
    return Line(
        "disk",
        free > 3 * GIB,
        f"{free / GIB:.1f} GiB free for {shown(folder.name)}",
        "free some space: models and runs need 3 GiB",
    )


def nearest(folder: Path) -> Path:
    """The folder, or what is there of the way to it.

    Raises:
        OSError: its name is too long, or it may not be looked at.
    """
    for place in chain([folder.absolute()], folder.absolute().parents):
        try:
            os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        return place
    raise FileNotFoundError(ENOENT, "its disk is not there", folder)


def _visible_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(controller: str) -> Iterator[Path]:
    """The folders of the control groups that this process is in, its own first; none where there are none."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = SYS / "fs" / "cgroup" / (controller if controllers else "")
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            yield top / group.relative_to("/")


def _numbers(path: Path) -> list[int]:
    try:
        return [int(number) for number in re.findall(r"-?\d+", path.read_text())]
    except OSError:
        return []


def _given_back(group: Path) -> int:
    """Bytes of files that the system drops from memory as soon as a program needs the room."""
    try:
        return max(map(int, re.findall(r"inactive_file (\d+)", (group / "memory.stat").read_text())), default=0)
    except OSError:
        return 0


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
