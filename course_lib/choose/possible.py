"""What a device lacks, as rules: plans that could not run there, refused before anything is loaded."""

from course_lib.choose.gpus import Gpu
from course_lib.errors import CourseError
from course_lib.plan import Plan


def check_card(plan: Plan, card: Gpu) -> None:
    """Refuse what a device lacks: bf16 and FlashAttention before NVIDIA's Ampere generation, fp16 and GPU kernels on a CPU.

    Raises:
        CourseError: says what to set instead.
    """
    if card.kind == "cpu" and plan.precision == "fp16":
        raise CourseError("fp16 training needs a GPU: set precision to auto.")
    if card.kind == "cpu" and plan.loss == "fused_linear":
        raise CourseError("loss fused_linear is a GPU kernel: set loss to targets.")
    if card.kind != "cpu" and plan.precision == "bf16" and not card.has_bf16:
        raise CourseError(
            f"{card.name} does not compute in bf16: set precision to auto, which is fp16 with loss scaling there."
        )
    if plan.attention == "flash_attention_2" and (card.kind != "nvidia" or not card.has_bf16):
        raise CourseError(
            f"flash_attention_2 needs an NVIDIA GPU of the Ampere generation or newer, and {card.name} is none: set attention to sdpa."
        )
