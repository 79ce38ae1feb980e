"""Situations that differ from one in a single field, nearest first."""

import math
from collections.abc import Iterator

from course_lib.choose.situation import Situation

GRIDS = {
    "gpu_gib": (0.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 32.0, 40.0, 48.0, 80.0, 141.0, 192.0),
    "model_b": (0.135, 0.5, 1.0, 1.7, 3.0, 4.0, 7.0, 8.0, 13.0, 14.0, 24.0, 32.0, 70.0),
    "n_examples": (99, 100, 1_000, 10_000, 100_000),
    "n_gpus": (1, 2, 4, 8),
    "n_tasks": (1, 2, 10),
}
FLIPS = (
    "composable",
    "latency_critical",
    "on_device",
    "prompting_tried",
    "rapid_iteration",
    "simple_task",
    "first_time",
)
CHOICES = {
    "quality": ("good", "best"),
    "domain_shift": ("small", "large"),
    "goal": ("output_format", "max_customization"),
    "task": ("instruction", "classification"),
}


def neighbours(s: Situation) -> Iterator[tuple[str, object]]:
    """Changes of one field, nearest first: numbers by their ratio, a flip counting as a factor of two."""
    steps = []
    for name, grid in GRIDS.items():
        now = getattr(s, name)
        if now is None or (name == "n_gpus" and s.gpu_gib == 0):
            continue
        steps += [(abs(math.log(max(value, 0.5) / max(now, 0.5))), name, value) for value in grid if value != now]
    steps += [(math.log(2), name, not getattr(s, name)) for name in FLIPS]
    for name, values in CHOICES.items():
        steps += [(math.log(2), name, value) for value in values if value != getattr(s, name)]
    for _, name, value in sorted(steps, key=lambda step: step[:2]):
        yield name, value
