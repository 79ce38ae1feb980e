"""Merging: an adapter becomes part of the model's own weights, and what comes out is an ordinary model.

In fp32, then cast: sums in bf16 move logits of size 30 by 1 (measured), in fp32 by 0.0001. After training on a 4-bit base
the weights are unpacked first, by a model that has answered nothing yet (`load_base` says why that matters).
"""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run.methods import METHODS, compute_dtype, load_base
from course_lib.run.trained import check, labels_of, on_base


def merge(folder: str | Path, plan: Plan, weights: str | Path, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The base model of `folder` with the trained weights added in: one ordinary model, in eval mode.

    dtype: of the result; None = that in which the plan computes. After full fine-tuning there is nothing to add.

    Raises:
        CourseError: before any model is loaded, for a method that cannot be merged, and as `trained.check`.
    """
    if METHODS[plan.method].merges_not:
        raise CourseError(METHODS[plan.method].merges_not)
    check(folder, plan, weights)
    dtype = dtype or compute_dtype(plan.precision)
    if plan.method == "full":
        return load_base(weights, plan).to(dtype).eval()
    base = load_base(folder, plan, labels_of(weights))
    if plan.base_bits == 4:
        base = base.dequantize()
    return on_base(base.to(torch.float32), plan, weights).merge_and_unload().to(dtype).eval()
