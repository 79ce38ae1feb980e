"""The guide "Model Fine-Tuning Techniques - Overview": five techniques, each with a list "When to Use".

A technique's lines are read as reasons: the more of them hold, the earlier it stands in the answer. Two lines are read as
conditions and not as reasons: "You have sufficient compute resources" (without it full fine-tuning has its say among the
statements and is not in the answer) and "Inference latency is acceptable". "Most common starting point!" names no
condition, so LoRA stands last in every answer that has reasons for something else, and alone where nothing has a reason.
"Willing to trade some speed for efficiency" is nothing that a situation tells.
"""

from course_lib.choose.guides.advice import (
    Advice,
    Rule,
    advice,
    applying,
    most_reasons,
    option,
    spoken_against,
    without,
)
from course_lib.choose.guides.overview_tables import (
    ADAPTERS,
    COMPARISON,
    FULL,
    GUIDE,
    LORA,
    PROMPT,
    QLORA,
    TABLES,
    TECHNIQUES,
    WHEN,
)
from course_lib.choose.guides.readings import (
    MULTIPLE_TASKS,
    VERY_SMALL_DATASET,
    consumer_gpu,
    extremely_limited,
    limited_memory,
    sufficient_compute,
    very_limited_memory,
)
from course_lib.choose.situation import Situation

__all__ = ["COMPARISON", "TABLES", "TECHNIQUES", "advise"]


def _multiple_tasks(s: Situation) -> bool:
    return s.n_tasks >= MULTIPLE_TASKS


def _always(_: Situation) -> bool:
    return True


RULES: tuple[Rule, ...] = (
    (
        lambda s: s.quality == "best",
        FULL.says("You need maximum model quality", methods=("full",)),
    ),
    (
        lambda s: s.n_examples > 10_000,
        FULL.says("You have a large dataset (>10k examples)", methods=("full",)),
    ),
    (
        lambda s: s.n_examples < VERY_SMALL_DATASET,
        FULL.says("Higher risk of overfitting on small datasets", against=("full",)),
    ),
    (limited_memory, LORA.says("Limited GPU memory", methods=("lora",))),
    (_multiple_tasks, LORA.says("Need to train multiple task adaptations", methods=("lora",))),
    (lambda s: s.rapid_iteration, LORA.says("Want fast experimentation cycles", methods=("lora",))),
    (_always, option(LORA.says("Most common starting point!", methods=("lora",)))),
    (
        lambda s: s.domain_shift == "large",
        LORA.says("May not work well for drastic domain shifts", against=("lora",)),
    ),
    (very_limited_memory, QLORA.says("Very limited GPU memory", methods=("qlora",))),
    (
        lambda s: s.model_b is not None and s.model_b >= 30,
        QLORA.says("Want to fine-tune large models (30B+)", methods=("qlora",)),
    ),
    (extremely_limited, PROMPT.says("Extremely limited resources", methods=("prompt_tuning",))),
    (_multiple_tasks, PROMPT.says("Multi-task scenarios", methods=("prompt_tuning",))),
    (lambda s: s.simple_task, PROMPT.says("Simple classification/extraction tasks", methods=("prompt_tuning",))),
    (
        lambda s: s.composable and _multiple_tasks(s),
        ADAPTERS.says("Need to combine multiple task adaptations", methods=("adapters",)),
    ),
    (lambda s: s.composable, ADAPTERS.says("Want modular, swappable components", methods=("adapters",))),
    (lambda s: s.latency_critical, ADAPTERS.says("Increases inference latency", against=("adapters",))),
    (
        consumer_gpu,
        QLORA.says(
            "Fine-tune 65B+ models on consumer GPUs",
            "model size",
            methods=("qlora",),
            model_b=(65, float("inf")),
            gist="65B and more",
            note="65B parameters in 4 bits are about 30 GiB of weights alone",
        ),
    ),
    (
        lambda s: s.n_examples >= 100,
        WHEN.says("You have task-specific data (hundreds to thousands of examples)", "data size"),
    ),
    (
        _always,
        LORA.says(
            "99% of full fine-tuning quality",
            "quality",
            setting="the share of full fine-tuning's quality that LoRA reaches",
            value=(99, 99),
            gist="99%",
        ),
    ),
)


def advise(situation: Situation) -> Advice:
    """Techniques by the number of their reasons, less those spoken against; then LoRA, the common starting point."""
    said = applying(RULES, situation)
    ruled_out = spoken_against(said) | (set() if sufficient_compute(situation) else {"full"})
    return advice(GUIDE, without((*most_reasons(said), "lora"), ruled_out), said)
