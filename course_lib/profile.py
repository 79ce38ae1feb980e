"""How big a lesson is on this machine: frozen tables of numbers, each with its reason."""

import os
from dataclasses import dataclass

from course_lib.errors import CourseError


@dataclass(frozen=True)
class Profile:
    """Numbers that lessons read, so that no lesson branches on the machine.

    n_train, n_test: rows. micro_batch: rows per forward pass. first_layer, lr: as in `Plan`. model: name of a model.
    """

    name: str
    model: str
    n_train: int
    n_test: int
    micro_batch: int
    first_layer: int
    lr: float
    why: str


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("cpu", "smollm2-135m", 112, 20, 4, 15, 3e-3, "about a minute of LoRA on 2 cores without bf16 (AVX2)"),
        Profile("t4", "HuggingFaceTB/SmolLM2-360M-Instruct", 960, 200, 16, 0, 1e-3, "16 GB, no bf16; not yet tried"),
        Profile("gpu24", "HuggingFaceTB/SmolLM2-1.7B-Instruct", 960, 200, 16, 0, 5e-4, "24 GB, bf16; not yet tried"),
        Profile("gpu80", "HuggingFaceTB/SmolLM2-1.7B-Instruct", 4800, 400, 64, 0, 5e-4, "80 GB, bf16; not yet tried"),
    )
}


def current_profile(name: str | None = None) -> Profile:
    """The profile by name, else the one that `COURSE_PROFILE` names, else `cpu`.

    Raises:
        CourseError: no profile has that name.
    """
    name = name or os.environ.get("COURSE_PROFILE", "cpu")
    if name not in PROFILES:
        raise CourseError(f"There is no profile {name}: set COURSE_PROFILE to one of {', '.join(PROFILES)}.")
    return PROFILES[name]
