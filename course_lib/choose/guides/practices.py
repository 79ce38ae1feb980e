"""The guide "Fine-Tuning Strategies & Best Practices": five strategies with hyper-parameters, advice for each kind of task.

The ticked lines under "When to use" are read as reasons: the more of them hold, the earlier a strategy stands in the
answer. "Have compute budget" is read as a condition of full fine-tuning: without it that has its say among the statements
and is not in the answer. "Start with LoRA" names no condition, so LoRA is in every answer, last where it has no other
reason.
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
    option,
    without,
)
from course_lib.choose.guides.readings import (
    MULTIPLE_TASKS,
    limited_compute,
    sufficient_compute,
    very_limited_memory,
)
from course_lib.choose.situation import Situation

GUIDE = "practices"
FULL = Section(GUIDE, "1. Full fine-tuning", "full fine-tuning section")
LORA = Section(GUIDE, "2. LoRA (Low-Rank Adaptation)", "LoRA section")
QLORA = Section(GUIDE, "3. QLoRA (Quantized LoRA)", "QLoRA section")
PREFIX = Section(GUIDE, "4. Prefix tuning / P-tuning", "prefix tuning section")
ADAPTERS = Section(GUIDE, "5. Adapter layers", "adapters section")
INSTRUCTION = Section(GUIDE, "Instruction following", "instruction section")
CLASSIFICATION = Section(GUIDE, "Classification", "classification section")
CODE = Section(GUIDE, "Code generation", "code section")
DOMAIN = Section(GUIDE, "Domain adaptation", "domain section")
DATA = Section(GUIDE, "Quality > quantity", "data section")
BEST = Section(GUIDE, "Best practices", "list of best practices")

# Learning rate: peak; epochs: passes over the data; batch: examples a step; warmup: share of the steps.
HYPERPARAMETERS = {
    "full": {
        "where": FULL.where,
        "lr": (1e-5, 5e-5),
        "epochs": (2, 5),
        "batch": (8, 32),
        "warmup": (0.05, 0.10),
        "weight_decay": 0.01,
    },
    "lora": {
        "where": LORA.where,
        "rank": (8, 64),
        "rank_sweet_spot": 16,
        "alpha": (16, 32),
        "alpha_over_rank": 2,
        "targets": (("q", "v"), ("q", "k", "v", "o")),
        "lr": (1e-4, 3e-4),
    },
}
EPOCHS = (2, 3)  # "Few epochs", whatever the method
REPLAY = {"where": "Replay", "task": 0.80, "general": 0.20}
BY_TASK = {
    "instruction": {
        "where": INSTRUCTION.where,
        "data": "(instruction, output) pairs",
        "objective": "Cross-entropy on output tokens",
        "n_examples": (10_000, 100_000),
    },
    "classification": {
        "where": CLASSIFICATION.where,
        "options": ("Generate class name", "Add classification head"),
    },
    "code": {"where": CODE.where, "data": "(docstring, code) or (test, code)", "rank": (32, 64)},
    "domain_adaptation": {
        "where": DOMAIN.where,
        "steps": ("Continue pretraining on domain corpus", "Then fine-tune on task"),
    },
}
TABLES = {
    "strategies": Table.of(
        "Main strategies",
        """
Strategy | What | When to use
Full fine-tuning | Update all parameters; Highest quality, most expensive | Large dataset (10K+ examples); Very different domain (medical, legal); Have compute budget
LoRA (Low-Rank Adaptation) | Freeze base model, add trainable adapters; 1% of parameters, 90-95% of quality | Limited compute; Multiple tasks (swap adapters); Medium dataset (1K-10K examples)
QLoRA (Quantized LoRA) | LoRA + 4-bit quantization of base model; Fine-tune 70B on single GPU! | Very limited GPU memory; Large models (70B+)
Prefix tuning / P-tuning | Freeze model, train soft prompt embeddings | Less effective than LoRA; Rarely used now
Adapter layers | Insert small trainable layers between frozen layers | Similar to LoRA but older approach; LoRA generally preferred
""",  # noqa: E501
    ),
    "best practices": Table.of(
        BEST.where,
        """
Practice | Why or how
Start with LoRA | Cheaper, iterate faster
Small LR | 10× smaller than pretraining
Few epochs | 2-3 usually enough
Monitor overfitting | Validation loss
Mix data | Prevent catastrophic forgetting
Use chat template | Consistent formatting
Evaluate broadly | Task + general performance
""",
    ),
}


def _task(task: str):
    return lambda s: s.task == task


def _always(_: Situation) -> bool:
    return True


def _setting(section: Section, words: str, setting: str, value: tuple, gist: str, topic="hyperparameters") -> Statement:
    return section.says(words, topic, setting=setting, value=value, gist=gist)


RULES: tuple[Rule, ...] = (
    (
        lambda s: s.n_examples >= 10_000,
        FULL.says("Large dataset (10K+ examples)", methods=("full",)),
    ),
    (
        lambda s: s.domain_shift == "large",
        FULL.says("Very different domain (medical, legal)", methods=("full",)),
    ),
    (limited_compute, LORA.says("Limited compute", methods=("lora",))),
    (lambda s: s.n_tasks >= MULTIPLE_TASKS, LORA.says("Multiple tasks (swap adapters)", methods=("lora",))),
    (
        lambda s: 1_000 <= s.n_examples <= 10_000,
        LORA.says("Medium dataset (1K-10K examples)", methods=("lora",)),
    ),
    (very_limited_memory, QLORA.says("Very limited GPU memory", methods=("qlora",))),
    (
        lambda s: s.model_b is not None and s.model_b >= 70,
        QLORA.says("Large models (70B+)", methods=("qlora",)),
    ),
    (_always, option(BEST.says("Start with LoRA", methods=("lora",)))),
    (_always, option(PREFIX.says("Rarely used now", against=("prompt_tuning",)))),
    (_always, option(ADAPTERS.says("LoRA generally preferred", methods=("lora",), against=("adapters",)))),
    (
        lambda s: s.n_gpus == 1 and s.gpu_gib > 0,
        QLORA.says(
            "Fine-tune 70B on single GPU!",
            "model size",
            methods=("qlora",),
            model_b=(70, 70),
            gist="70B",
            note="70B parameters in 4 bits are about 33 GiB of weights alone",
        ),
    ),
    (
        _task("instruction"),
        INSTRUCTION.says("Objective: Cross-entropy on output tokens", "objective", objectives=("sft",)),
    ),
    (
        _task("classification"),
        CLASSIFICATION.says(
            "Option 1: Generate class name",
            "objective",
            objectives=("sft", "classification"),
            note="one of two options",
        ),
    ),
    (
        _task("classification"),
        CLASSIFICATION.says(
            "Option 2: Add classification head",
            "objective",
            objectives=("sft", "classification"),
            note='one of two options; it adds "train linear layer on [CLS]", a token that most LLMs do not have',
        ),
    ),
    (
        _task("domain_adaptation"),
        DOMAIN.says("Continue pretraining on domain corpus", "objective", objectives=("cpt+sft",)),
    ),
    (
        _task("instruction"),
        _setting(
            INSTRUCTION,
            "Dataset size: 10K-100K examples",
            "the best number of examples",
            (10_000, 100_000),
            "10,000-100,000",
            "data size",
        ),
    ),
    (_always, DATA.says("1K high-quality examples > 10K noisy examples", "data size")),
    (
        _always,
        _setting(
            LORA,
            "1% of parameters, 90-95% of quality",
            "the share of full fine-tuning's quality that LoRA reaches",
            (90, 95),
            "90-95%",
            "quality",
        ),
    ),
    (_always, _setting(BEST, "2-3 usually enough", "epochs", EPOCHS, "2-3")),
)
OF_FULL: tuple[Rule, ...] = (
    (
        _always,
        _setting(
            FULL, "Learning rate: 1e-5 to 5e-5", "the learning rate of full fine-tuning", (1e-5, 5e-5), "1e-5 to 5e-5"
        ),
    ),
    (_always, _setting(FULL, "Epochs: 2-5 (avoid overfitting)", "epochs", (2, 5), "2-5")),
)
OF_LORA: tuple[Rule, ...] = (
    (
        lambda s: s.task != "code",
        _setting(LORA, "Rank (r): 8-64 (16 is sweet spot)", "the rank of LoRA", (16, 16), "16"),
    ),
    (
        _task("code"),
        _setting(CODE, "Often benefits from larger rank LoRA (32-64)", "the rank of LoRA", (32, 64), "32-64"),
    ),
    (_always, _setting(LORA, "Alpha: 16-32 (often 2*r)", "alpha over rank", (2, 2), "2")),
    (
        _always,
        _setting(
            LORA, "Target modules: Q,V or Q,K,V,O", "the target modules of LoRA", ("q,v", "q,k,v,o"), "Q,V or Q,K,V,O"
        ),
    ),
    (_always, _setting(LORA, "Learning rate: 1e-4 to 3e-4", "the learning rate of LoRA", (1e-4, 3e-4), "1e-4 to 3e-4")),
)


def advise(situation: Situation) -> Advice:
    """Strategies by the number of their reasons, then LoRA, with which the guide says to start."""
    said = applying(RULES, situation)
    ruled_out = () if sufficient_compute(situation) else ("full",)
    methods = without((*most_reasons(said), "lora"), ruled_out)
    settings = applying(OF_FULL if "full" in methods else (), situation) + applying(OF_LORA, situation)
    return advice(GUIDE, methods, said + settings)
