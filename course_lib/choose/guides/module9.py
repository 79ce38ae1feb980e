"""The guide "Module 9: Choosing a Fine-Tuning Strategy": question 1 is the GPU's memory, question 2 everything else.

Question 1 speaks of 8 to 16 GB, of 24 to 48 GB and of more than 80 GB, and of nothing between or below.
It asks for the memory of one GPU, so the number of GPUs plays no part in our reading of it.
Remarks that name no condition of their own ("for 95% of users ...") are counted only where question 1 speaks,
and are not stretched over its gaps. "Want to avoid potential (minor) quantization errors" is read as best quality.
"""

from course_lib.choose.guides.advice import NAMED, Advice, Section, Table, advice, applying, narrow, option
from course_lib.choose.guides.readings import LARGE_DATASET, MANY_TASKS, VERY_SMALL_DATASET, holds_in_16_bit
from course_lib.choose.situation import Situation

GUIDE = "module9"
Q1 = Section(GUIDE, "3. Question 1", "question 1")
Q2 = Section(GUIDE, "3. Question 2", "question 2")
SUMMARY = Section(GUIDE, "4. Summary Table and General Recommendations", "summary table")
FINAL = Section(GUIDE, "4. Summary Table and General Recommendations", "final recommendation")

TABLES = {
    "factors": Table.of(
        "2. Key Decision Factors",
        """
Factor | Question
GPU Resources (VRAM) | This is often the most significant constraint. How much GPU memory do you have access to?
Task Performance | Is it critical to squeeze out every last drop of performance, or is "very good" performance acceptable?
Number of Tasks | Are you adapting a model for a single, primary task, or do you need to create dozens of different task-specific models?
Inference Latency | Is the speed of the final, deployed model a critical concern?
Dataset Size | How large and high-quality is your task-specific dataset?
""",
    ),
    "summary": Table.of(
        SUMMARY.where,
        """
Method | Key Characteristic | When to Use It
Full Fine-Tuning | Trains all 100% of parameters. | Rarely. Only if you have massive GPU resources and PEFT methods have proven insufficient for performance.
QLoRA | Trains LoRA adapters on a 4-bit quantized base model. | The default choice for most users. Maximizes memory efficiency, enabling large models on single GPUs.
LoRA | Trains low-rank adapters on a 16-bit base model. | When you have enough VRAM to hold the 16-bit model and want to avoid potential (minor) quantization errors.
Adapters | Inserts small, trainable layers into the model. | When inference latency is not a concern and you prefer the modularity of separate adapter layers.
Prompt Tuning | Freezes the entire model, only trains input "soft prompts". | When you have a very large model (10B+) and a relatively simple task. Good for extreme parameter efficiency.
""",  # noqa: E501
    ),
}


def _cluster(s: Situation) -> bool:
    return s.gpu_gib > 80


def _single(s: Situation) -> bool:
    return 24 <= s.gpu_gib <= 48


def _consumer(s: Situation) -> bool:
    return 8 <= s.gpu_gib <= 16


def _tier(s: Situation) -> bool:
    return _cluster(s) or _single(s) or _consumer(s)


def _may_go_full(s: Situation) -> bool:
    """Its conditions for full fine-tuning on a cluster, as far as a situation can tell: much data, highest demands."""
    return _cluster(s) and s.n_examples >= LARGE_DATASET and s.quality == "best"


def _small_model(s: Situation) -> bool:
    return s.model_b is not None and s.model_b <= 7


RULES = (
    (
        lambda s: _cluster(s) and not _may_go_full(s),
        Q1.says(
            "Start with QLoRA. Only consider FFT if absolutely necessary.",
            methods=("qlora",),
            against=("full",),
        ),
    ),
    (
        _may_go_full,
        Q1.says("Start with QLoRA. Only consider FFT if absolutely necessary.", methods=("qlora", "full")),
    ),
    (_single, Q1.says("Default to **QLoRA**.", methods=("qlora",))),
    (_consumer, Q1.says("Use **QLoRA**.", methods=("qlora",))),
    (
        lambda s: s.n_tasks >= MANY_TASKS,
        Q2.says(
            "Any **PEFT** method (QLoRA, LoRA, Adapters) is vastly superior to FFT.",
            methods=("qlora", "lora", "adapters"),
            against=("full",),
        ),
    ),
    (lambda s: s.latency_critical, Q2.says("**LoRA and QLoRA are superior.**", methods=("lora", "qlora"))),
    (lambda s: s.latency_critical, Q2.says("**Adapters** will introduce latency", against=("adapters",))),
    (
        lambda s: s.n_examples < VERY_SMALL_DATASET,
        Q2.says(
            "PEFT methods, especially those with very few trainable parameters like **LoRA with a small rank (r)** or "
            "**Prompt Tuning**, can be more robust against overfitting compared to FFT.",
            methods=("lora", "prompt_tuning", "qlora", "adapters"),
            against=("full",),
        ),
    ),
    (
        lambda s: _single(s) and _small_model(s),
        option(
            Q1.says(
                "**LoRA** (without quantization) is a great option for smaller models (e.g., <= 7B)", methods=("lora",)
            )
        ),
    ),
    (
        lambda s: holds_in_16_bit(s) and s.quality == "best",
        option(
            SUMMARY.says(
                "When you have enough VRAM to hold the 16-bit model and want to avoid potential (minor) quantization errors.",
                methods=("lora",),
            )
        ),
    ),
    (
        lambda s: s.composable and not s.latency_critical,
        option(
            SUMMARY.says(
                "When inference latency is not a concern and you prefer the modularity of separate adapter layers.",
                methods=("adapters",),
            )
        ),
    ),
    (
        lambda s: s.simple_task and s.model_b is not None and s.model_b >= 10,
        option(
            SUMMARY.says(
                "When you have a very large model (10B+) and a relatively simple task.", methods=("prompt_tuning",)
            )
        ),
    ),
    (
        lambda s: _tier(s) and not _may_go_full(s),
        option(
            SUMMARY.says(
                "**Rarely.** Only if you have massive GPU resources and PEFT methods have proven insufficient for performance.",
                against=("full",),
            )
        ),
    ),
    (
        _tier,
        option(
            FINAL.says(
                "pick the largest, best-performing base model you can fit on your GPU using QLoRA, and fine-tune it.",
                methods=("qlora",),
            )
        ),
    ),
    (
        _tier,
        FINAL.says(
            "pick the largest, best-performing base model you can fit on your GPU using QLoRA, and fine-tune it.",
            "model size",
            setting="how large a model to start with",
            value=("largest",),
            gist="the largest that fits",
        ),
    ),
    (
        _single,
        Q1.says(
            "**QLoRA** is your best choice for fine-tuning large models (13B to 70B, depending on the exact GPU).",
            "model size",
            methods=("qlora",),
            model_b=(13, 70),
            gist="13-70B",
        ),
    ),
    (
        _single,
        Q1.says(
            "**LoRA** (without quantization) is a great option for smaller models (e.g., <= 7B)",
            "model size",
            methods=("lora",),
            model_b=(0, 7),
            gist="7B or less",
        ),
    ),
    (
        _consumer,
        Q1.says(
            "**QLoRA** is essentially your only option for fine-tuning modern, powerful language models "
            "(e.g., 7B parameter models).",
            "model size",
            methods=("qlora",),
            model_b=(7, 7),
            setting=NAMED,
            gist="7B",
        ),
    ),
)


def advise(situation: Situation) -> Advice:
    """Question 1 decides, question 2 narrows it; where question 1 is silent, question 2 decides; options come last."""
    said = applying(RULES, situation)
    if not said:
        return Advice(GUIDE)
    on_method = [s for s in said if s.topic == "method" and s.methods]
    firm = [s.methods for s in on_method if not s.yields]
    options = [m for s in on_method if s.yields for m in s.methods]
    methods = tuple(dict.fromkeys((*(narrow(*firm) if firm else ()), *options)))
    return advice(GUIDE, methods, said)
