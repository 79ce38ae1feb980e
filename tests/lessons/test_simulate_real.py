"""The simulation against the real 135M model, every optimizer, and how long it takes for large models."""

import subprocess
import sys
import textwrap

import pytest

from course_lib import Plan
from course_lib.run.methods import METHODS
from course_lib.run.simulate import measure, simulate

OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd")


@pytest.mark.parametrize("method", METHODS)
def test_fake_equals_the_real_model(method):
    plan = Plan(method=method, precision="fp32", micro_batch=1, max_len=64, gradient_checkpointing=method == "qlora")
    plan = plan.but(first_layer=20)  # few layers with LoRA make it quick
    fake, real = simulate(plan, device="cpu"), measure(plan)
    assert fake.allocated_gib == pytest.approx(real.allocated_gib, rel=0.01)
    for name, value in real.parts.items():
        assert fake.parts[name] == pytest.approx(value, abs=0.01 * real.allocated_gib), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_fake_equals_real_on_a_tiny_model(tiny, method, checkpointing, optimizer):
    if method == "prefix_tuning" and checkpointing:
        return  # refused
    plan = Plan(
        model=str(tiny), method=method, gradient_checkpointing=checkpointing, optimizer=optimizer, precision="fp32"
    ).but(micro_batch=2, max_len=48)
    assert simulate(plan, device="cpu").allocated_gib == pytest.approx(measure(plan).allocated_gib, rel=0.01)


@pytest.mark.parametrize(
    ("model", "seconds"), [("meta-llama/Llama-2-7b-hf", 30), ("meta-llama/Meta-Llama-3-70B", 90)], ids=["7B", "70B"]
)
def test_large_models_take_seconds_and_little_memory(model, seconds):
    """From the start of Python: LoRA with checkpointing, the longest of the methods."""
    code = f"""
        from pathlib import Path
        from course_lib import Plan
        from course_lib.run.simulate import simulate
        estimate = simulate(Plan(model={model!r}, gradient_checkpointing=True, micro_batch=1))
        most = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
        print(estimate.allocated_gib, int(most) / 2**20)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=seconds, check=True
    )
    allocated, resident = map(float, ran.stdout.split())
    assert allocated > 13
    assert resident < 2
