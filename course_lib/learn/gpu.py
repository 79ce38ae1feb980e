"""The GPU and whether PyTorch can use it, found without importing torch: from nvidia-smi and from torch's own files."""

import platform
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from course_lib.folders import on_colab
from course_lib.learn.examining import Line, aside, shown

SECONDS = 2.5
QUERY = ["--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits"]
OLDEST_DRIVER = {"11": 450, "12": 525, "13": 580}  # of each CUDA version: NVIDIA, "CUDA Compatibility", minor versions
PCI = Path("/sys/bus/pci/devices")
CPU_ONLY = "none: lessons run on the processor"


@dataclass(frozen=True)
class Card:
    """What nvidia-smi says of one GPU; memory in GiB, None where the GPU has none of its own."""

    name: str
    total: float | None
    free: float | None
    driver: str

    def __str__(self) -> str:
        unknown = self.total is None or self.free is None
        memory = "memory unknown" if unknown else f"{self.free:.1f} GiB free of {self.total:.1f}"
        return f"{shown(self.name, 40)}, {memory}"


def gpu() -> Line:
    """The GPU, its memory, its driver, and the build of PyTorch that is there for it."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Line("GPU", True, "Apple's, which PyTorch calls mps; it shares the machine's memory")
    build = torch_build()
    found = aside(nvidia_smi, SECONDS, f"nvidia-smi does not answer within {SECONDS} s")()
    if isinstance(found, list):
        return _with_cards(found, build)
    if build == "rocm":
        return Line("GPU", True, "PyTorch is its build for AMD, whose GPUs are not examined here")
    if on_colab():
        return Line("GPU", True, f"{CPU_ONLY} (Colab's menu Runtime, Change runtime type, offers one)")
    return _without_cards(found, build)


def _with_cards(cards: list[Card], build: str) -> Line:
    driver, cuda = cards[0].driver, build.split(".")[0]
    seen = f"{'; '.join(map(str, cards[:8]))}; driver {shown(driver, 20)}"
    if build == "cpu":
        return Line(
            "GPU",
            False,
            f"{seen}; but PyTorch is its CPU build",
            "install PyTorch's CUDA build: pytorch.org, 'Get started', says how",
        )
    oldest = OLDEST_DRIVER.get(cuda, 0)
    if re.match(r"\d+", driver) and int(driver.split(".")[0]) < oldest:
        return Line(
            "GPU",
            False,
            f"{seen}; too old for PyTorch's CUDA {build}",
            f"install NVIDIA driver {oldest} or newer, or a PyTorch built for an older CUDA",
        )
    free = [card.free for card in cards if card.free is not None]
    return Line(
        "GPU",
        not free or max(free) > 2,
        f"{seen}, PyTorch for CUDA {build}" if build else seen,
        "shut down other notebooks and programs that hold its memory",
    )


def _without_cards(trouble: Exception | str, build: str) -> Line:
    missing, there = isinstance(trouble, FileNotFoundError), has_nvidia_hardware()
    cuda = build not in ("cpu", "")
    if there is False or (there is None and missing and not cuda):
        more = " (PyTorch is its CUDA build: for a GPU it would need NVIDIA's driver)" if cuda else ""
        return Line("GPU", True, CPU_ONLY + more)
    why = "there is no nvidia-smi" if missing else shown(trouble)
    return Line(
        "GPU",
        False,
        f"{f'PyTorch is built for CUDA {build}, but ' if cuda else ''}no NVIDIA driver answers: {why}",
        "install NVIDIA's driver if this machine has such a GPU, or go on: lessons run on the processor as well",
    )


def nvidia_smi() -> list[Card]:
    """The GPUs that the driver knows.

    Raises:
        FileNotFoundError: there is no such program, so no NVIDIA driver either.
        OSError: it does not work; the driver is missing or broken.
    """
    call = subprocess.run(
        ["nvidia-smi", *QUERY], capture_output=True, timeout=SECONDS + 0.5, stdin=subprocess.DEVNULL, check=False
    )
    said = call.stdout.decode(errors="replace").strip()
    rows = [[field.strip() for field in line.rsplit(",", 3)] for line in said.splitlines()]
    if call.returncode or not rows or any(len(row) != 4 for row in rows):
        raise OSError(f"nvidia-smi says: {shown(said) or 'nothing'}")
    return [Card(name, _gib(total), _gib(free), driver) for name, total, free, driver in rows]


def torch_build() -> str:
    """The CUDA version that torch was built for, such as "12.8"; or "cpu", "rocm", or "" without torch."""
    try:
        local = version("torch").partition("+")[2]
    except PackageNotFoundError:
        return ""
    if match := re.match(r"(cpu|rocm)|cu(\d+)(\d)", local):
        return match[1] or f"{match[2]}.{match[3]}"
    spec = find_spec("torch")
    text = (Path(spec.origin).parent / "version.py").read_text("utf-8") if spec and spec.origin else ""
    found = dict(re.findall(r"(?m)^(cuda|hip)\b[^=\n]*= *'([^'\n]{1,20})'", text))
    return found.get("cuda", "rocm" if "hip" in found else "cpu")


def has_nvidia_hardware() -> bool | None:
    """Whether a display controller of NVIDIA's is on the PCI bus, driver or not; None where that cannot be told."""
    try:
        devices = [[(device / name).read_text().strip() for name in ("vendor", "class")] for device in PCI.iterdir()]
    except OSError:
        return None
    return any(vendor == "0x10de" and kind.startswith("0x03") for vendor, kind in devices) if devices else None


def _gib(mebibytes: str) -> float | None:
    return int(mebibytes) / 1024 if mebibytes.isdecimal() else None
