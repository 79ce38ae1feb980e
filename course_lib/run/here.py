"""What a stored result says of where it was found: the machine and the versions of what computed it."""

import contextlib
import os
import platform
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    """The GPU if there is one, else the processor and its number of cores."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name = platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores"


def versions(*more: str) -> dict[str, str]:
    """Package -> version, of the packages that train here and of `more`."""
    return {name: version(name) for name in ("torch", "transformers", "peft", "accelerate", *more)}
