"""The closed form against the weighed step: two ways to the same number, which share no code."""

import pytest

from course_lib import Plan, estimate, simulate

PLANS = {
    "full": {"method": "full"},
    "full, checkpointing": {"method": "full", "gradient_checkpointing": True},
    "full, fused optimizer": {"method": "full", "gradient_checkpointing": True, "optimizer": "adamw_torch_fused"},
    "lora": {"method": "lora"},
    "lora on queries and values": {"method": "lora", "targets": ("q_proj", "v_proj")},
    "lora, checkpointing": {"method": "lora", "gradient_checkpointing": True},
    "lora in the upper half": {"method": "lora", "first_layer": 12},
    "lora, eager attention": {"method": "lora", "attention": "eager"},
    "lora, fused loss": {"method": "lora", "gradient_checkpointing": True, "loss": "fused_linear"},
    "qlora": {"method": "qlora"},
    "qlora, checkpointing": {"method": "qlora", "gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"},
    "dora": {"method": "lora", "variant": "dora"},
    "qlora, dora, checkpointing": {"method": "qlora", "variant": "dora", "gradient_checkpointing": True},
    "adapters": {"method": "adapters"},
    "adapters, checkpointing": {"method": "adapters", "gradient_checkpointing": True},
    "adapters after the MLP": {"method": "adapters", "placement": "pfeiffer"},
    "prompt tuning": {"method": "prompt_tuning"},
    "prefix tuning": {"method": "prefix_tuning"},
    "p-tuning": {"method": "p_tuning"},
    "ia3": {"method": "ia3"},
}


@pytest.mark.parametrize("name", PLANS)
def test_the_weighed_step_lies_in_the_estimates_band(name):
    plan = Plan(model="Qwen/Qwen2.5-0.5B", max_len=1024, micro_batch=2, **PLANS[name])
    weighed, estimated = simulate(plan), estimate(plan)
    low, high = estimated.interval("allocated")
    assert low <= weighed.allocated_gib <= high, (weighed, estimated)
