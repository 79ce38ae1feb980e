"""The guide "Lesson 4: Choosing Your Approach": a decision tree on memory, tables on hardware, goal and data, quick starts.

Its tree and its hardware table disagree, and rows share their edges (a 16 GB GPU is in two rows of the tree, 1,000
examples in two rows of the data table): every row that names the situation's number counts. Of the hardware table counts
the largest row that is not above the GPU. Memory is that of one GPU.
"""

from math import inf

from course_lib.choose.guides.advice import (
    NAMED,
    Advice,
    Rule,
    Section,
    Statement,
    advice,
    applying,
    narrow,
    option,
    with_size,
)
from course_lib.choose.guides.lesson4_tables import (
    CHECKLIST,
    DATA,
    EPOCHS,
    GOAL,
    GUIDE,
    HARDWARE,
    MISTAKES,
    PIPELINE,
    QUICK,
    SAFE,
    SAFE_DEFAULT,
    TABLES,
    TREE,
)
from course_lib.choose.guides.readings import CONSUMER_GIB, LIMITED_GIB
from course_lib.choose.situation import Situation

__all__ = ["SAFE_DEFAULT", "TABLES", "advise"]

_LORA = ("lora", "qlora")  # "SFT with LoRA" is read as either: the guide's own default is "QLoRA + SFT"
_NOTE_4_BIT = "70B parameters in 4 bits are about 33 GiB of weights alone"
_NOTE_16_BIT = "70B parameters in 16 bits are about 130 GiB of weights alone"
_NOTE_8B = "there is no Llama 3.2 8B; Llama 3.1 has an 8B"


def _tree(low: float, high: float):
    """A branch of the tree, both edges in it; the tree asks first whether a good prompt is enough."""
    return lambda s: s.prompting_tried and low <= s.gpu_gib <= high


def _row(low: float, high: float):
    return lambda s: low <= s.gpu_gib < high


def _goal(goal: str):
    return lambda s: s.goal == goal


def _examples(low: float, high: float):
    return lambda s: low <= s.n_examples <= high


def _always(_: Situation) -> bool:
    return True


def _best(s: Situation) -> bool:
    return s.quality == "best"


MEMORY: tuple[Rule, ...] = (
    (
        lambda s: s.prompting_tried and s.gpu_gib < 8,
        TREE.says("<8GB → Use API fine-tuning (OpenAI, Together AI)", methods=("hosted",)),
    ),
    *with_size(_tree(8, 16), TREE, "8-16GB → QLoRA on 7-8B models", ("qlora",), (7, 8), "7-8B"),
    *with_size(_tree(16, 24), TREE, "16-24GB → QLoRA on 7-70B models", ("qlora",), (7, 70), "7-70B", note=_NOTE_4_BIT),
    *with_size(_tree(24, inf), TREE, "24GB+ → LoRA or QLoRA on any model", _LORA, (0, inf), "any model"),
    *with_size(_row(8, 16), HARDWARE, "8GB QLoRA + Unsloth 7B", ("qlora",), (0, 7), "7B"),
    *with_size(_row(16, 24), HARDWARE, "16GB QLoRA + Unsloth 13B", ("qlora",), (0, 13), "13B"),
    *with_size(
        _row(24, 48),
        HARDWARE,
        "24GB QLoRA or LoRA 70B (QLoRA)",
        ("qlora", "lora"),
        (0, 70),
        "70B",
        sized=("qlora",),
        note=_NOTE_4_BIT,
    ),
    *with_size(
        _row(48, inf),
        HARDWARE,
        "48GB+ LoRA or Full FT 70B (LoRA)",
        ("lora", "full"),
        (0, 70),
        "70B",
        sized=("lora",),
        note=_NOTE_16_BIT,
    ),
)
STOP: tuple[Rule, ...] = (
    (
        lambda s: not s.prompting_tried,
        TREE.says("NO → Use the base model with good prompting", methods=("prompting",)),
    ),
    (
        lambda s: s.n_examples < 100,
        DATA.says("<100 examples Use few-shot prompting instead", methods=("prompting",)),
    ),
)
WISHES: tuple[Rule, ...] = (
    (
        _goal("max_customization"),
        GOAL.says("Maximum customization Full fine-tuning Updates all parameters", methods=("full",)),
    ),
    *with_size(
        _best,
        QUICK,
        "Need best possible quality LoRA on 70B or full fine-tune",
        ("lora", "full"),
        (70, 70),
        "70B",
        sized=("lora",),
        setting=NAMED,
        note=_NOTE_16_BIT,
    ),
    *with_size(
        lambda s: s.first_time,
        QUICK,
        "First time fine-tuning QLoRA + Unsloth on Llama 3.2 3B",
        ("qlora",),
        (3, 3),
        "3B",
        setting=NAMED,
    ),
    (
        lambda s: 0 < s.gpu_gib < LIMITED_GIB,
        QUICK.says("Limited VRAM QLoRA + Unsloth, gradient checkpointing", methods=("qlora",)),
    ),
    (_examples(100, 1_000), DATA.says("100-1,000 SFT with LoRA, watch for overfitting", methods=_LORA)),
    (_examples(1_000, 10_000), DATA.says("1,000-10,000 SFT with LoRA, optimal range", methods=_LORA)),
    (
        _examples(10_000, inf),
        option(DATA.says("10,000+ SFT + DPO, or consider full fine-tuning", methods=("full",))),
    ),
    *(
        (holds, option(statement))
        for holds, statement in with_size(
            lambda s: s.quality == "good" and not s.first_time,
            QUICK,
            "Need production quality QLoRA on Llama 3.2 8B or Mistral 7B",
            ("qlora",),
            (7, 8),
            "7-8B",
            setting=NAMED,
            note=_NOTE_8B,
        )
    ),
    (
        lambda s: CONSUMER_GIB[0] <= s.gpu_gib <= CONSUMER_GIB[1],
        option(SAFE.says("For Most Users: QLoRA + SFT", methods=("qlora",))),
    ),
)


def _aims(holds, section: Section, words: str, objective: str) -> Rule:
    return holds, section.says(words, "objective", objectives=(objective,))


def _size(section: Section, words: str, setting: str, value: tuple, gist: str) -> Statement:
    return section.says(words, "data size", setting=setting, value=value, gist=gist)


FEWEST = "the fewest examples for fine-tuning"
OTHER: tuple[Rule, ...] = (
    (
        _always,
        MISTAKES.says(
            "Start small, scale up only if needed",
            "model size",
            setting="how large a model to start with",
            value=("small",),
            gist="a small one",
        ),
    ),
    _aims(_goal("domain_knowledge"), GOAL, "Teach domain knowledge SFT Trains on instruction-response pairs", "sft"),
    _aims(
        _goal("response_quality"),
        GOAL,
        "Improve response quality SFT + DPO DPO aligns outputs to preferences",
        "sft+dpo",
    ),
    _aims(_goal("output_format"), GOAL, "Change output format SFT Easy to learn structured outputs", "sft"),
    _aims(_goal("reduce_harm"), GOAL, "Reduce harmful outputs DPO Preference learning is ideal", "dpo"),
    _aims(_examples(0, 99), DATA, "<100 examples Use few-shot prompting instead", "none"),
    _aims(_examples(100, 1_000), DATA, "100-1,000 SFT with LoRA, watch for overfitting", "sft"),
    _aims(_examples(1_000, 10_000), DATA, "1,000-10,000 SFT with LoRA, optimal range", "sft"),
    _aims(_examples(10_000, inf), DATA, "10,000+ SFT + DPO, or consider full fine-tuning", "sft+dpo"),
    _aims(_best, PIPELINE, "For Quality: SFT + DPO Pipeline", "sft+dpo"),
    (
        _examples(100, 499),
        _size(DATA, "100-1,000 SFT with LoRA, watch for overfitting", FEWEST, (100, 100), "100"),
    ),
    (
        _examples(0, 499),
        _size(CHECKLIST, "Collected 500+ high-quality training examples", FEWEST, (500, 500), "500"),
    ),
    (
        _examples(1_000, 10_000),
        _size(
            DATA,
            "1,000-10,000 SFT with LoRA, optimal range",
            "the best number of examples",
            (1_000, 10_000),
            "1,000-10,000",
        ),
    ),
    (_always, MISTAKES.says("1,000 high-quality examples beat 50,000 noisy ones", "data size")),
    (lambda s: not s.has_eval_set, CHECKLIST.says("Prepared validation set (10-20% of data)", "data size")),
)
SETTINGS = (
    MISTAKES.says(
        "1-3 epochs, use validation set, monitor loss", "hyperparameters", setting="epochs", value=EPOCHS, gist="1-3"
    ),
    SAFE.says("r=16", "hyperparameters", setting="the rank of LoRA", value=(16, 16), gist="16"),
    SAFE.says(
        "lora_alpha=16", "hyperparameters", setting="alpha over rank", value=(1, 1), gist="1 (alpha 16, rank 16)"
    ),
    SAFE.says(
        'target_modules="all-linear"',
        "hyperparameters",
        setting="the target modules of LoRA",
        value=("all-linear",),
        gist="all linear layers",
    ),
    SAFE.says("lora_dropout=0.0", "hyperparameters", setting="the dropout of LoRA", value=(0.0, 0.0), gist="0"),
)


def advise(situation: Situation) -> Advice:
    """Too little data or a prompt not yet tried ends it; else memory decides, and goal, quick start and data narrow it."""
    stop, memory = applying(STOP, situation), applying(MEMORY, situation)
    wishes, other = applying(WISHES, situation), applying(OTHER, situation)
    if stop:
        return advice(GUIDE, ("prompting",), (*stop, *memory, *wishes, *other))
    allowed = dict.fromkeys(method for said in memory if said.topic == "method" for method in said.methods)
    methods = narrow(allowed, *(said.methods for said in wishes if said.topic == "method" and not said.yields))
    return advice(GUIDE, methods, (*memory, *wishes, *other, *_settings(methods)))


def _settings(methods: tuple[str, ...]) -> tuple[Statement, ...]:
    return tuple(s for s in SETTINGS if s.setting == "epochs" or set(methods) & set(_LORA))
