"""How big a lesson is on this machine: frozen tables of numbers, each with its reason."""

import os
from dataclasses import dataclass

from course_lib.errors import CourseError


@dataclass(frozen=True)
class Profile:
    """Numbers that lessons read, so that no lesson branches on the machine.

    gpu: the smallest card of its kind, a name of gpus.toml; "cpu" = none. model: name of a model; lesson 104 holds it twice,
    in fp32. full_model: the one that is trained whole, which takes several times the memory. n_train, n_test: rows.
    micro_batch: rows per forward pass. first_layer, lr: as in `Plan`, lr for LoRA. full_...: of lesson 103, all weights;
    soft_...: of lesson 105, soft prompts.
    """

    name: str
    gpu: str
    model: str
    full_model: str
    n_train: int
    n_test: int
    micro_batch: int
    first_layer: int
    lr: float
    full_rows: int
    full_lr: float
    full_test: int
    soft_rows: int
    soft_lr: float
    soft_test: int
    why: str


DRY = "dry-run only: checked on fake tensors, not yet run on such a card"
PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="cpu",
            gpu="cpu",
            model="smollm2-135m",
            full_model="smollm2-135m",
            n_train=112,
            n_test=20,
            micro_batch=4,
            first_layer=15,
            lr=3e-3,
            full_rows=24,
            full_lr=1e-4,
            full_test=12,
            soft_rows=120,
            soft_lr=3e-2,
            soft_test=40,
            why="about a minute of LoRA on 2 cores without bf16 (AVX2)",
        ),
        Profile(
            name="t4",
            gpu="T4",
            model="HuggingFaceTB/SmolLM2-360M-Instruct",
            full_model="HuggingFaceTB/SmolLM2-360M-Instruct",
            n_train=480,
            n_test=100,
            micro_batch=4,
            first_layer=0,
            lr=1e-3,
            full_rows=480,
            full_lr=5e-5,
            full_test=100,
            soft_rows=960,
            soft_lr=3e-2,
            soft_test=100,
            why=f"16 GB; fp16 with loss scaling, since it has no bf16; {DRY}",
        ),
        Profile(
            name="gpu24",
            gpu="A10G",
            model="HuggingFaceTB/SmolLM2-1.7B-Instruct",
            full_model="HuggingFaceTB/SmolLM2-360M-Instruct",
            n_train=960,
            n_test=200,
            micro_batch=4,
            first_layer=0,
            lr=5e-4,
            full_rows=960,
            full_lr=5e-5,
            full_test=200,
            soft_rows=960,
            soft_lr=3e-2,
            soft_test=200,
            why=f"24 GB, bf16; {DRY}",
        ),
        Profile(
            name="gpu80",
            gpu="A100-80GB",
            model="Qwen/Qwen3-4B-Instruct-2507",
            full_model="HuggingFaceTB/SmolLM2-1.7B-Instruct",
            n_train=1920,
            n_test=400,
            micro_batch=8,
            first_layer=0,
            lr=3e-4,
            full_rows=960,
            full_lr=3e-5,
            full_test=200,
            soft_rows=960,
            soft_lr=3e-2,
            soft_test=200,
            why=f"80 GB, bf16; {DRY}",
        ),
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
