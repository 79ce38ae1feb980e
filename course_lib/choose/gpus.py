"""Devices that train a model, and what an hour of one costs. Two dated tables, no torch."""

import difflib
import os
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from course_lib.errors import CourseError

# Makers, lines and forms that some write and others leave out.
_DECORATION = re.compile("nvidia|geforce|tesla|quadro|rtx|amd|instinct|radeon|apple|gpu|assumed|v?ram|memory|laptop")
_FORM = re.compile(r"sxm\d?|pcie|hbm\d?e?|nvl|oam")


@dataclass(frozen=True)
class Gpu:
    """One device. Peaks are dense, in 10^12 operations a second; 0 = not in hardware.

    memory_gib: what torch prints as the total, GiB; printed: as public logs show it, not derived.
    bandwidth_gbs: of its memory, 10^9 bytes a second. kind: nvidia | amd | apple | cpu. link: to the next card of the same
    machine, nvlink | pcie | none. server: a data-centre card. watts: at full load; the whole machine for apple and cpu.
    """

    name: str
    memory_gib: float
    bf16_tflops: float
    fp16_tflops: float
    fp32_tflops: float
    bandwidth_gbs: float
    kind: str
    link: str
    server: bool
    watts: float
    source: str
    printed: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def has_bf16(self) -> bool:
        """Whether it multiplies bf16 in hardware."""
        return self.bf16_tflops > 0

    @property
    def fast(self) -> bool:
        """Whether the speed model's constants apply to it: a card for training, not a processor or a unified chip."""
        return self.kind in ("nvidia", "amd")


@dataclass(frozen=True)
class Prices:
    """US dollars. rental: device -> (low, high) per hour. hosted: (model, method) -> per million training tokens.

    electricity: (low, high) per kWh. as_of: when; note: how far to trust them; where: the file they were read from.
    """

    rental: dict[str, tuple[float, float]]
    hosted: dict[tuple[str, str], float]
    electricity: tuple[float, float]
    as_of: str
    checked: bool
    note: str
    where: str


@cache
def gpus() -> tuple[Gpu, ...]:
    """All devices of gpus.toml, in its order."""
    text = resources.files("course_lib.choose").joinpath("gpus.toml").read_text(encoding="utf-8")
    return tuple(
        Gpu(**{**{key: value for key, value in family.items() if key != "devices"}, **device, "aliases": names})
        for family in tomllib.loads(text)["family"]
        for device in family["devices"]
        for names in (tuple(device.get("aliases", ())),)
    )


@cache
def gpu(name: str) -> Gpu:
    """The device of that name; maker, form factor and count (`2x NVIDIA A100-SXM4-80GB`) do not matter.

    Raises:
        CourseError: no such device.
    """
    words = _words(name)
    without_form = tuple(word for word in words if not _FORM.fullmatch(word))
    without_memory = tuple(word for word in without_form if not re.fullmatch(r"\d+gb", word))
    for key in (words, without_form, without_memory):
        if key in _index():
            return _index()[key]
    spelled = {alias.lower(): device.name for device in gpus() for alias in (device.name, *device.aliases)}
    close = difflib.get_close_matches(" ".join(words) or name.lower(), spelled, n=12, cutoff=0.0)
    near = list(dict.fromkeys(spelled[match] for match in close))[:3]
    raise CourseError(
        f"There is no device {name} in the table: the nearest names are {', '.join(near)}; take one of them."
    )


def prices() -> Prices:
    """The price table: that of the file which COURSE_PRICES names, else prices.toml.

    Raises:
        CourseError: that file is missing, is not TOML, or has a price that is none.
    """
    path = os.environ.get("COURSE_PRICES")
    try:
        return _prices(path, os.stat(path).st_mtime_ns if path else 0)
    except OSError as error:
        raise CourseError(
            f"COURSE_PRICES names {path}, which cannot be read ({error.strerror}): give the path of a copy of prices.toml."
        ) from None


@cache
def _prices(path: str | None, _changed: int) -> Prices:
    where = path or "course_lib/choose/prices.toml"
    try:
        if path:
            text = Path(path).read_text(encoding="utf-8")
        else:
            text = resources.files("course_lib.choose").joinpath("prices.toml").read_text(encoding="utf-8")
        table = tomllib.loads(text)
        return Prices(
            rental={gpu(row["device"]).name: _range(row) for row in table["rental"]},
            hosted={(row["model"], row["method"]): float(row["per_million_tokens"]) for row in table.get("hosted", ())},
            electricity=_range(table["electricity"]),
            as_of=str(table.get("as_of", "not stated")),
            checked=table.get("checked", False) is True,
            note=str(table.get("note", "")),
            where=where,
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(
            f"{where} is not TOML ({error}): mend that line, or start from a copy of prices.toml."
        ) from None
    except KeyError as error:
        raise CourseError(f"{where} has no {error.args[0]}: add it as in prices.toml.") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise CourseError(f"{where} holds a price that cannot be read ({error}): write it as in prices.toml.") from None


def _range(row: dict) -> tuple[float, float]:
    low, high = float(row["low"]), float(row["high"])
    if not 0 <= low <= high < float("inf"):
        raise ValueError(f"from {row['low']} to {row['high']}")
    return low, high


def _words(name: str) -> tuple[str, ...]:
    """The parts of a name that tell devices apart."""
    text = re.sub(r"^\s*\d+\s*x\s+", "", name.lower())
    text = re.sub(r"\brtx(?=\d)", "rtx ", text)
    text = re.sub(r"(\d+)\s*(?:gb|gib|g)\b", r"\1gb", text)
    return tuple(word for word in re.findall(r"[a-z0-9]+", text) if not _DECORATION.fullmatch(word))


@cache
def _index() -> dict[tuple[str, ...], Gpu]:
    """Names and aliases, as words, to devices."""
    return {_words(alias): device for device in gpus() for alias in (device.name, *device.aliases)}
