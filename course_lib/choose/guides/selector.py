"""The guide "Fine-Tuning Strategy Selector": full fine-tuning or LoRA/PEFT, by five questions, a table and six scenarios.

Of the decision tree the page shows "Question 1 of 5" and no question, so its rules are the table's row "Best For" and the
six scenarios. A scenario speaks for a situation that is like it: every field that its text tells is equal, numbers within
a factor of two (`Scenario.told` names the fields). Elsewhere the guide is silent.
"""

from course_lib.choose.guides.advice import (
    Advice,
    Rule,
    Section,
    Statement,
    Table,
    advice,
    applying,
    most_reasons,
    narrow,
    spoken_against,
    without,
)
from course_lib.choose.guides.readings import LARGE_DATASET, MULTIPLE_TASKS, limited_compute
from course_lib.choose.guides.scenarios import SCENARIOS, Scenario
from course_lib.choose.situation import Situation

GUIDE = "selector"
COMPARISON = Section(GUIDE, "Full Fine-Tuning vs LoRA: Side by Side", "comparison")
EXAMPLE = Section(GUIDE, "LoRA Configuration Example", "configuration example")
STORIES = "Real-World Decision Scenarios"

LORA_EXAMPLE = {"rank": 8, "alpha": 16, "dropout": 0.05, "bias": "none", "task_type": "SEQ_CLS"}
TABLES = {
    "comparison": Table.of(
        COMPARISON.where,
        """
Aspect | Full Fine-Tune | LoRA/PEFT
Trainable Parameters | All parameters (~100%) | ~0.1-1% of parameters
GPU Memory | High (full model + optimizer states) | Lower (base frozen, small adapters)
Training Speed | Slower (more params to update) | Faster (fewer params)
Storage per Task | Full model copy per task | Small adapter weights (~10-50MB)
Task Switching | Load different models | Swap adapter weights
Performance Ceiling | Higher (full flexibility) | Near full fine-tune for most tasks
Risk of Catastrophic Forgetting | Higher | Lower (base weights frozen)
Best For | Maximum performance, large datasets | Limited compute, multi-task, iteration
""",
    ),
}
_PEFT = ("lora", "qlora")  # the table's column is headed "LoRA/PEFT", and QLoRA is LoRA on a 4-bit base

NAMES = ("full", "lora")  # the methods that the page names: its answer is one of these

RULES: tuple[Rule, ...] = (
    (lambda s: s.quality == "best", COMPARISON.says("Maximum performance", methods=("full",))),
    (lambda s: s.n_examples >= LARGE_DATASET, COMPARISON.says("large datasets", methods=("full",))),
    (limited_compute, COMPARISON.says("Limited compute", methods=_PEFT)),
    (limited_compute, COMPARISON.says("High (full model + optimizer states)", against=("full",))),
    (lambda s: s.n_tasks >= MULTIPLE_TASKS, COMPARISON.says("multi-task", methods=_PEFT)),
    (lambda s: s.rapid_iteration, COMPARISON.says("iteration", methods=_PEFT)),
)
SETTINGS = (
    EXAMPLE.says("r=8", "hyperparameters", setting="the rank of LoRA", value=(8, 8), gist="8"),
    EXAMPLE.says(
        "lora_alpha=16", "hyperparameters", setting="alpha over rank", value=(2, 2), gist="2 (alpha 16, rank 8)"
    ),
    EXAMPLE.says(
        "lora_dropout=0.05", "hyperparameters", setting="the dropout of LoRA", value=(0.05, 0.05), gist="0.05"
    ),
)


def alike(scenario: Scenario, situation: Situation) -> bool:
    """Every field that the scenario's text tells is equal, or a number within a factor of two."""
    return all(_near(getattr(scenario.situation, name), getattr(situation, name)) for name in scenario.told)


def _near(told, given) -> bool:
    if isinstance(told, bool | str) or given is None:
        return told == given
    return told / 2 <= given <= told * 2


def _told_by(scenario: Scenario) -> Statement:
    section = Section(GUIDE, STORIES, f'scenario "{scenario.name}"')
    return section.says(scenario.reasoning, methods=(scenario.method,))


def advise(situation: Situation) -> Advice:
    """The first scenario like this one decides; else the method with most reasons in the row "Best For"."""
    scenarios = [scenario for scenario in SCENARIOS if alike(scenario, situation)]
    stories = tuple(_told_by(scenario) for scenario in scenarios)
    said = stories + applying(RULES, situation)
    if not said:
        return Advice(GUIDE)
    methods = stories[0].methods if stories else narrow(without(most_reasons(said), spoken_against(said)), NAMES)
    return advice(GUIDE, methods, said + (SETTINGS if "lora" in methods else ()))
