"""How much memory a plan needs, and what is the largest model that fits: closed form, per GPU, in GiB.

`peak.py` counts what is allocated. What the allocator reserves and what the whole process takes on the card lie above it;
both are measured quantities with a spread, so each figure has an interval.
"""

import bisect
import math
from functools import cache

from course_lib.choose.gpus import gpu as gpu_of
from course_lib.choose.memory_estimate import MemoryEstimate
from course_lib.choose.peak import FITTED, GIB, Fitted, Peak, peak
from course_lib.choose.setup import Setup, setup_of, stages
from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError
from course_lib.plan import Plan

# Not fitted: measured by others, or seen in every run of a source.
CONTEXT = 1343 / 1024  # GiB of CUDA context and libraries; V100, Hugging Face's performance guide
SEGMENTS = 0.03  # GiB: the allocator takes memory in segments of 2 to 20 MiB
PYTHON = 0.45  # GiB of interpreter and libraries in a process that trains on the CPU (measured here)
CPU_SLACK = 1.3  # what a process holds on a CPU over what tensors take: 1.07 to 1.67 in three runs here


def figures(p: Peak, device: str = "nvidia", card: float | None = None, c: Fitted = FITTED) -> tuple[float, float]:
    """(reserved, device), GiB: what the allocator holds for that peak, and what the whole process takes on the card.

    `card`: GiB of the card. Near its end the allocator gives idle memory back before it fails, so that the device figure
    stays within the card as long as what is allocated does.
    """
    allocated = p.allocated / GIB
    if device == "cpu":
        return allocated * CPU_SLACK, allocated * CPU_SLACK + PYTHON
    idle = c.idle_logits * p.logit_count + c.idle_sharded * p.passing * p.sharded
    reserved = allocated + idle / GIB + SEGMENTS
    context = CONTEXT + c.context_sharded * p.sharded
    if card and reserved + context > card >= allocated + context:
        return card - context, card
    return reserved, reserved + context


def estimate_setup(
    s: Setup, device: str = "nvidia", card: float | None = None, assumes: tuple[str, ...] = (), c: Fitted = FITTED
) -> MemoryEstimate:
    """The estimate for a setup; see `estimate`."""
    p = peak(s, c)
    return around(p, device, card, assumes, c)


def around(
    p: Peak, device: str = "nvidia", card: float | None = None, assumes: tuple[str, ...] = (), c: Fitted = FITTED
) -> MemoryEstimate:
    """Reserved, device and intervals around a peak of allocated memory, counted by formula or by simulation."""
    allocated = p.allocated / GIB
    reserved, whole = figures(p, device, card, c)
    context = PYTHON if device == "cpu" else CONTEXT + c.context_sharded * p.sharded
    slack = 1.3 if device == "cpu" else 1.0
    spreads = {
        "allocated": (allocated, c.spread_allocated),
        "reserved": (reserved, c.spread_reserved),
        "device": (whole, c.spread_device),
    }
    intervals = {
        name: (max(value * math.exp(-down) / slack, _floor(p)), value * math.exp(up) * slack)
        for name, (value, (down, up)) in spreads.items()
    }
    parts = {name: size / GIB for name, size in p.parts.items()} | {"context": context}
    return MemoryEstimate(allocated, reserved, whole, parts, intervals, assumes)


def _floor(p: Peak) -> float:
    """GiB that no step can do without: weights, adapter and optimizer states."""
    return (p.parts["weights"] + p.parts["adapter"]) / GIB


def estimate(plan: Plan, shape: ModelShape | None = None, gpu: str | None = None) -> MemoryEstimate:
    """Peak memory of `train(plan)` on each GPU, GiB, in closed form; of a plan of two stages, that of the larger one.

    shape: sizes of the model (default: `ModelShape.of(plan.model)`). gpu: a name of gpus.toml, or "cpu"; it says how large
    the card is and, for "cpu", that there is none.

    Raises:
        CourseError: the model's sizes or the device are not known.
    """
    shape = shape or ModelShape.of(plan.model)
    card = gpu_of(gpu) if gpu and gpu != "cpu" else None
    device = "cpu" if gpu == "cpu" or (card and card.kind == "cpu") else "nvidia"
    bf16, gib = card is None or card.has_bf16, card.memory_gib if card and device != "cpu" else None
    found = []
    for stage in stages(plan):
        setup, assumes = setup_of(stage, shape, device, bf16)
        found.append(estimate_setup(setup, device, gib, tuple(assumes)))
    return max(found, key=lambda estimate: estimate.allocated_gib)


# Billions of parameters that `largest_model` tries: steps of 3 %.
SIZES = tuple(round(0.05 * 1.03**step, 4) for step in range(int(math.log(1000 / 0.05) / math.log(1.03)) + 1))


def largest_model(gpu_gib: float, method: str, **plan_fields) -> float:
    """Billions of parameters of the largest Llama-like model that surely fits (upper end of the device interval).

    0.0 when none does. The other fields of the plan keep their defaults unless given.
    """
    if not 0 <= gpu_gib <= 10_000:
        raise CourseError(f"gpu_gib = {gpu_gib}: give the memory of one GPU in GiB, between 0 and 10000.")
    plan = Plan(method=method, **plan_fields)
    fitting = bisect.bisect_right(SIZES, gpu_gib, key=lambda size: _need(plan, size))
    return SIZES[fitting - 1] if fitting else 0.0


@cache
def _need(plan: Plan, size: float) -> float:
    """Upper end of the device interval, GiB. It rises with the size (tests/slow walks all sizes)."""
    return estimate(plan, ModelShape.generic(size)).interval("device")[1]
