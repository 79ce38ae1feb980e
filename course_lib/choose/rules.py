"""The rules of our own advice, as data: each with its condition, its words and its source.

A source is a guide's key, "memory model", or "measured:<lesson>". Conditions see the situation alone; whether a method
also fits the hardware is for the memory model to say (`fitting.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from course_lib.choose.guides.readings import LARGE_DATASET
from course_lib.choose.situation import Situation

FEW_SHOT_BELOW = 100  # examples: lesson4's data table
ENOUGH_PAIRS = 100  # preference pairs: no guide says; the number at which lesson4 lets training begin
MUCH_DATA = 10_000  # examples: overview and practices, for full fine-tuning
MANY_TASKS_FOR_PROMPTS = 10  # tasks from which on a megabyte per adapter and a kilobyte per prompt differ; our reading
LARGE_FOR_PROMPTS_B = 10  # billions: module9
OLDER_CARDS_GIB = 32  # GiB: cards without bf16 have at most that
CPU_GIB = 8.0  # memory that we take a computer without a GPU to have free
CPU_LARGEST_B = 0.5  # billions: above, a small run takes a day on a laptop (cost model)
WORTH_TRAINING_B = 1.0  # billions: below, a service's larger model is the better base unless a small one is wanted


@dataclass(frozen=True)
class Rule:
    """What holds where `when` is true: `text` may name fields of the situation in braces.

    name: the method or objective that the rule is for, where it decides one.
    """

    when: Callable[[Situation], bool]
    text: str
    source: str
    name: str = ""

    def say(self, s: Situation) -> str:
        """The rule's words for this situation."""
        return self.text.format(**s.model_dump())


def single_purpose(s: Situation) -> bool:
    """One model for one task, trained once and kept whole."""
    return s.n_tasks == 1 and not s.rapid_iteration and not s.on_device


def data(s: Situation) -> int:
    """Rows of any kind that the goal can be trained on."""
    return max(s.n_examples, s.preference_pairs if s.goal in ("reduce_harm", "response_quality") else 0)


# No training at all. The first that holds decides.
NOT_YET = (
    Rule(
        lambda s: not s.prompting_tried,
        "Try a good prompt with a few examples first: it costs minutes, and is the mark that training has to beat.",
        "lesson4",
        name="prompting",
    ),
    Rule(
        lambda s: data(s) < FEW_SHOT_BELOW,
        'With {n_examples:,} examples: "Use few-shot prompting instead"; put the best of them into the prompt.',
        "lesson4",
        name="prompting",
    ),
)

# Methods in the order in which they are considered; the first whose condition holds and which fits is taken.
METHODS = (
    Rule(
        lambda s: (
            s.n_examples >= MUCH_DATA
            and single_purpose(s)
            and (s.quality == "best" or s.domain_shift == "large" or s.goal == "max_customization")
        ),
        "{n_examples:,} examples for one task, and every last drop or a far domain to reach: updating all weights can pay.",
        "practices",
        name="full",
    ),
    Rule(
        lambda s: s.composable and s.n_tasks > 1 and not s.latency_critical,
        "Separate adapter layers can be combined and swapped, which your {n_tasks} tasks ask for.",
        "overview",
        name="adapters",
    ),
    Rule(
        lambda s: (
            s.simple_task
            and s.n_tasks >= MANY_TASKS_FOR_PROMPTS
            and s.quality == "good"
            and s.model_b is not None
            and s.model_b >= LARGE_FOR_PROMPTS_B
        ),
        "A very large model and {n_tasks} simple tasks: a learned prompt of some kilobytes for each may do.",
        "module9",
        name="prompt_tuning",
    ),
    Rule(
        lambda s: True,
        "Start with LoRA: it trains under one weight in a hundred, iterates fast, and merges into the model.",
        "practices",
        name="lora",
    ),
    Rule(
        lambda s: True,
        "A frozen base in 4 bits leaves room for a model that does not fit in 16.",
        "module9",
        name="qlora",
    ),
)

# More reasons for the method that was taken, by method.
SUPPORT = {
    "full": (
        Rule(lambda s: s.quality == "best", "Maximum performance with a large dataset is its place.", "selector"),
        Rule(
            lambda s: s.domain_shift == "large",
            '"Very different domain (medical, legal)" is a case for it.',
            "practices",
        ),
        Rule(
            lambda s: s.n_examples >= LARGE_DATASET,
            "Even so, start with a LoRA run as the mark to beat: full fine-tuning only if that is not enough.",
            "module9",
        ),
    ),
    "lora": (
        Rule(
            lambda s: s.n_tasks > 1,
            "One small file for each of {n_tasks} tasks, swapped without reloading the base.",
            "selector",
        ),
        Rule(lambda s: s.rapid_iteration, "Faster runs mean more experiments a day.", "selector"),
        Rule(lambda s: s.on_device, "A small adapter can be downloaded and swapped on a device.", "selector"),
        Rule(lambda s: s.latency_critical, "Merged into the weights it adds no latency.", "module9"),
        Rule(
            lambda s: s.n_examples < 1_000,
            "Few trained weights hold out better against overfitting on little data.",
            "module9",
        ),
        Rule(
            lambda s: s.task == "instruction" and s.n_tasks == 1,
            "In lesson 104 a LoRA of a 135-million-parameter model got far more fields right than four examples in the prompt.",
            "measured:104",
        ),
    ),
    "qlora": (
        Rule(lambda s: s.n_tasks > 1, "One small file for each of {n_tasks} tasks.", "module9"),
        Rule(lambda s: s.latency_critical, "Merged into a 16-bit model afterwards it adds no latency.", "module9"),
    ),
    "adapters": (Rule(lambda s: True, "The added layers cost latency, which is acceptable here.", "overview"),),
    "prompt_tuning": (
        Rule(lambda s: True, "Expect less than from LoRA: keep a LoRA run as the mark to beat.", "practices"),
    ),
}

# Why a method was passed over, where its own condition failed: (words, source).
AGAINST = {
    "prompting": ("You have tried it, and have the data to go further.", "lesson4"),
    "full": (
        "It pays from 10,000 examples of one task on, where every last drop counts or the domain is far; it costs most.",
        "practices",
    ),
    "adapters": (
        "They add layers that every call must pass; LoRA is generally preferred unless modules must be combined.",
        "practices",
    ),
    "prompt_tuning": (
        "It is for models of 10 billion and more with many simple tasks; elsewhere it reaches less than LoRA.",
        "module9",
    ),
    "lora": ("A frozen 16-bit base does not leave room enough here.", "memory model"),
    "qlora": ("The 16-bit base fits, so that 4 bits would only add a (minor) quantisation error.", "module9"),
    "hosted": ("Your own hardware holds the model, so data and weights can stay with you.", "memory model"),
}
# The same, after the method that was taken.
AGAINST_AFTER = {
    ("full", "lora"): ("Run it first all the same: it is the mark that full fine-tuning has to beat.", "module9"),
    ("full", "qlora"): (
        "Your hardware does not need it; on a larger base it may still beat full fine-tuning of a smaller one.",
        "module9",
    ),
    ("qlora", "lora"): ("A frozen 16-bit base leaves room only for a much smaller model.", "memory model"),
    ("adapters", "lora"): ("It would be faster to call, but whole files are swapped, not layers combined.", "overview"),
    ("adapters", "qlora"): (
        "It would be faster to call, but whole files are swapped, not layers combined.",
        "overview",
    ),
    ("prompt_tuning", "lora"): (
        "A file of megabytes for each task instead of kilobytes; take it if the prompt falls short.",
        "module9",
    ),
    ("prompt_tuning", "qlora"): (
        "A file of megabytes for each task instead of kilobytes; take it if the prompt falls short.",
        "module9",
    ),
    ("hosted", "lora"): ("Your hardware does not hold a model worth it.", "memory model"),
    ("hosted", "qlora"): ("Your hardware does not hold a model worth it.", "memory model"),
    ("hosted", "adapters"): ("Your hardware does not hold a model worth it.", "memory model"),
    ("hosted", "prompt_tuning"): ("Your hardware does not hold a model worth it.", "memory model"),
}
# A service fine-tunes chat models on examples or preferences.
HOSTED_OBJECTIVE = {"classification": "sft", "cpt+sft": "sft"}

# What to train towards. The first that holds decides.
OBJECTIVES = (
    Rule(
        lambda s: s.task == "classification",
        "A label per text: a head on the model learns it directly.",
        "practices",
        name="classification",
    ),
    Rule(
        lambda s: s.task == "domain_adaptation" and s.domain_shift == "large" and s.n_examples >= MUCH_DATA,
        "Continue pretraining on the domain's texts, then fine-tune on the task.",
        "practices",
        name="cpt+sft",
    ),
    Rule(
        lambda s: s.goal == "reduce_harm" and s.preference_pairs >= ENOUGH_PAIRS,
        "Preference learning is the tool against harmful answers.",
        "lesson4",
        name="dpo",
    ),
    Rule(
        lambda s: (
            s.goal == "response_quality" and s.preference_pairs >= ENOUGH_PAIRS and s.n_examples >= FEW_SHOT_BELOW
        ),
        "First the skill by examples, then the taste by preferences.",
        "lesson4",
        name="sft+dpo",
    ),
    Rule(
        lambda s: s.goal == "response_quality" and s.preference_pairs >= ENOUGH_PAIRS,
        "Preferences align answers; there are too few examples for a step of SFT before.",
        "lesson4",
        name="dpo",
    ),
    Rule(lambda s: True, "Examples of good answers are the data for supervised fine-tuning.", "lesson4", name="sft"),
)

WARNINGS = (
    Rule(
        lambda s: s.n_examples < 1_000,
        "{n_examples:,} examples are few: one to three epochs, and stop when the loss on held-out rows rises.",
        "lesson4",
    ),
    Rule(
        lambda s: not s.has_eval_set,
        "Set aside 10 to 20 % of the data before anything else: without it no result can be believed.",
        "lesson4",
    ),
    Rule(
        lambda s: s.goal == "reduce_harm" and s.preference_pairs < ENOUGH_PAIRS,
        "Reducing harm is a matter for preferences, and {preference_pairs:,} pairs are not enough: collect more.",
        "lesson4",
    ),
    Rule(
        lambda s: s.goal == "response_quality" and s.preference_pairs < ENOUGH_PAIRS,
        "SFT + DPO would suit the goal, but {preference_pairs:,} preference pairs are not enough: SFT alone for now.",
        "lesson4",
    ),
    Rule(
        lambda s: s.domain_shift == "large" and s.n_examples < MUCH_DATA,
        "LoRA may not reach a far domain, and the data are few for more: measure before you trust it.",
        "overview",
    ),
    Rule(
        lambda s: s.task == "instruction" and s.n_examples < 10_000,
        "For instruction following at large practices asks for 10,000 to 100,000 examples; a narrow task needs fewer.",
        "practices",
    ),
)
NO_BF16 = Rule(
    lambda s: 0 < s.gpu_gib <= OLDER_CARDS_GIB,
    "If the card has no bf16 (T4, V100, RTX 20 series), precision `auto` is fp16 with loss scaling there.",
    "memory model",
)
FORGETTING = Rule(
    lambda s: True,
    "Updating all weights can cost general skills: mix in general data (80 : 20) and test on tasks besides your own.",
    "practices",
)
