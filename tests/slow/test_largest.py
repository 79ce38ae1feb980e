"""`largest_model` looks for the largest size by halving, which is right only if larger models never need less."""

import itertools

import pytest

from course_lib import ModelShape, Plan, estimate
from course_lib.choose.memory import SIZES

METHODS = ("full", "lora", "qlora", "adapters", "prompt_tuning", "prefix_tuning", "p_tuning", "ia3")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fields", [{}, {"max_len": 4096, "gradient_checkpointing": True, "micro_batch": 1}])
def test_a_larger_model_never_needs_less(method, fields):
    plan = Plan(method=method, **fields)
    needs = [estimate(plan, ModelShape.generic(size)).interval("device")[1] for size in SIZES]
    for (smaller, less), (larger, more) in itertools.pairwise(zip(SIZES, needs, strict=True)):
        assert more >= less, (smaller, larger)
