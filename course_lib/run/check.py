"""What can be refused before a run begins: a plan that cannot run here, another plan's folder, a disk that is too small."""

import shutil
from pathlib import Path

import torch
from transformers.utils import is_flash_attn_2_available

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run import data as data_module
from course_lib.run.assets import check_model, known_config
from course_lib.run.distributed import check_sharding
from course_lib.run.meter import GIB
from course_lib.run.methods import bf16_in_hardware, check_method, check_targets
from course_lib.run.stages import data_fields


def check_plan(plan: Plan, folder: Path | None = None) -> None:
    """Refuse what can be refused without downloading or loading anything.

    Raises:
        CourseError: says what to change; also when `folder` holds the run of another plan.
    """
    check_method(plan)
    check_sharding(plan)
    if not torch.cuda.is_available():
        if plan.precision == "fp16":
            raise CourseError("fp16 training needs a GPU: set precision to auto.")
        if plan.loss == "fused_linear":
            raise CourseError("loss fused_linear is a GPU kernel: set loss to targets.")
    elif plan.loss == "fused_linear":
        raise CourseError(
            "loss fused_linear needs Liger's kernel, which `train` does not call: set loss to targets, or export the plan with "
            "plan.to_script()."
        )
    elif plan.precision == "bf16" and not bf16_in_hardware():
        raise CourseError(
            "This GPU does not compute in bf16: set precision to auto, which is fp16 with loss scaling here."
        )
    for field, form in data_fields(plan):
        data_module.check_name(getattr(plan, field), form)
    check_model(plan.model)
    if config := known_config(plan.model):
        check_targets(config, plan)
    if plan.attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise CourseError(
            "flash_attention_2 needs an NVIDIA GPU of the Ampere generation or newer and the package flash-attn: set attention to sdpa."
        )
    if folder and (folder / "plan.yaml").exists() and not same_steps(Plan.from_yaml(folder / "plan.yaml"), plan):
        raise CourseError(
            f"{folder} holds a run of another plan: choose another folder, or pass resume=False to throw that run away."
        )


def same_steps(a: Plan, b: Plan) -> bool:
    """Whether two plans differ at most in how the rows of each step are divided over processes and forward passes."""

    def in_one(plan: Plan) -> Plan:
        return plan.but(micro_batch=step_rows_of(plan), grad_accum=1, n_gpus=1, sharding="none")

    return in_one(a) == in_one(b)


def step_rows_of(plan: Plan) -> int:
    """Rows of each optimizer step."""
    return plan.micro_batch * plan.grad_accum * plan.n_gpus


def check_disk(folder: Path, base: Path, plan: Plan, checkpoints: int) -> None:
    """The coming checkpoints must fit (two are kept while one is written): weights and two Adam moments of what is trained."""
    weights = sum(file.stat().st_size for file in base.glob("*.safetensors"))
    share = 2 if plan.method == "full" else 0.1
    need = checkpoints * 3 * weights * share
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"The folder {folder} cannot be made ({error.strerror}): choose another with folder=..."
        ) from None
    free = shutil.disk_usage(folder).free
    if free < need:
        raise CourseError(
            f"Not enough disk for checkpoints in {folder}: about {need / GIB:.1f} GiB needed, {free / GIB:.1f} GiB free. "
            "Free some, or choose a folder on another disk."
        )
