"""Is this machine ready for the course? One line a part, each with one remedy."""

import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

GIB = 1024**3
PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "jupyterlab")


@dataclass(frozen=True)
class Line:
    """One part of the machine: fine or not, what was seen, and what to do if it is not fine."""

    part: str
    fine: bool
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"  -> {self.remedy}" if self.remedy and not self.fine else ""
        return f"{'ok ' if self.fine else 'fix'}  {self.part:<15} {self.seen}{remedy}"


def locked_versions(lock: Path) -> dict[str, str]:
    """Package -> version of a requirements lock file; empty when there is no such file."""
    if not lock.exists():
        return {}
    return dict(re.findall(r"(?m)^([A-Za-z0-9_.-]+)==([^\s;]+)", lock.read_text()))


def examine(work: Path, lock: Path) -> list[Line]:
    """Python, packages against the lock, processor, memory and disk, without importing torch.

    Args:
        work: the reader's folder, whose disk is checked.
        lock: requirements lock file; packages are only listed when it is not there.
    """
    locked = locked_versions(lock)
    lines = [
        Line("Python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer"),
    ]
    for package in PACKAGES:
        try:
            seen = version(package)
        except PackageNotFoundError:
            lines.append(Line(package, False, "not installed", "run `make learn` again"))
            continue
        wanted = locked.get(package)
        same = wanted is None or seen.split("+")[0] == wanted
        lines.append(Line(package, same, seen, f"the course was tested with {wanted}: run `make learn` again"))
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(next(p for p in (work, *work.parents) if p.exists()))
    threads = os.environ.get("OMP_NUM_THREADS", "as many as cores")
    return [
        *lines,
        Line("processor", True, f"{os.cpu_count()} cores, {platform.machine()}, threads: {threads}"),
        Line(
            "memory",
            memory.available > 4 * GIB,
            f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f}",
            "close other programs: lessons need 4 GiB",
        ),
        Line(
            "disk",
            disk.free > 3 * GIB,
            f"{disk.free / GIB:.1f} GiB free for {work.name}",
            "free some space: models and runs need 3 GiB",
        ),
    ]
