"""The six scenarios of the guide "Fine-Tuning Strategy Selector", each as a situation with the guide's answer."""

from dataclasses import dataclass

from course_lib.choose.situation import Situation


@dataclass(frozen=True)
class Scenario:
    """A story of the guide; `reading` says what its text leaves open and we filled in."""

    name: str
    text: str
    situation: Situation
    method: str
    published: str  # the guide's answer in its words
    reasoning: str
    told: tuple[str, ...]  # the fields of `situation` that the text states
    reading: str


SCENARIOS = (
    Scenario(
        "Capstone Project Demo",
        "Student project with access to Google Colab free tier (T4 GPU). Need to fine-tune BERT for sentiment analysis "
        "on 10k examples.",
        Situation(gpu_gib=15, model_b=0.11, n_examples=10_000, task="classification", simple_task=True),
        "lora",
        "LoRA",
        "Limited GPU memory on Colab. LoRA allows fine-tuning on free tier hardware.",
        ("gpu_gib", "n_gpus", "model_b", "n_examples", "task"),
        "A T4's 16 GB show as about 15 GiB; BERT is BERT base, 0.11 billion parameters; sentiment is a simple task; the "
        "goal is the default, output_format, since a label is a fixed form of answer.",
    ),
    Scenario(
        "Production Classifier",
        "Company deploying a spam classifier with 1M training examples. Have dedicated A100 cluster. Need maximum accuracy.",
        Situation(
            gpu_gib=80,
            n_gpus=8,
            model_b=0.11,
            n_examples=1_000_000,
            task="classification",
            quality="best",
            simple_task=True,
        ),
        "full",
        "Full Fine-Tune",
        "Ample compute + large dataset + maximum performance requirement = full fine-tune.",
        ("gpu_gib", "n_gpus", "n_examples", "task", "quality"),
        "The cluster is eight A100s of 80 GiB; no model is named, so it is BERT base as in the scenario before; spam is a "
        "simple task; the goal is the default.",
    ),
    Scenario(
        "Multi-Language Adapters",
        "Need to support 10 different languages with the same base model. Each language has ~5k labeled examples.",
        Situation(gpu_gib=24, n_examples=5_000, n_tasks=10, task="classification"),
        "lora",
        "LoRA",
        "LoRA adapters can be swapped without reloading the base model. Storage-efficient multi-task setup.",
        ("n_examples", "n_tasks"),
        "Each language is a task; labelled examples mean classification; no GPU is named, so it has 24 GiB; no model is "
        "named, so it is the largest that fits; whole adapters are swapped, none are combined, so composable is off.",
    ),
    Scenario(
        "Rapid Iteration",
        "Research team experimenting with 50 different hyperparameter combinations. Need fast turnaround.",
        Situation(gpu_gib=24, rapid_iteration=True),
        "lora",
        "LoRA",
        "LoRA trains faster and uses less memory, enabling more experiments per day.",
        ("rapid_iteration",),
        "No GPU is named, so it has 24 GiB; model, data, task and goal are the defaults.",
    ),
    Scenario(
        "Domain-Specific LLM",
        "Legal tech startup adapting Llama 2 for contract analysis. 500k document corpus. Running on H100 cluster.",
        Situation(
            gpu_gib=80,
            n_gpus=8,
            model_b=7,
            n_examples=500_000,
            goal="domain_knowledge",
            task="domain_adaptation",
            quality="best",
            domain_shift="large",
        ),
        "full",
        "Full Fine-Tune",
        "Deep domain adaptation benefits from updating all parameters. Sufficient compute available.",
        ("gpu_gib", "n_gpus", "n_examples", "task", "domain_shift"),
        "The cluster is eight H100s of 80 GiB; Llama 2 is the smallest, 7 billion parameters; each document is an example; "
        'law is far from everyday text; "deep" adaptation is read as best quality.',
    ),
    Scenario(
        "Consumer Device",
        "Personalized model for mobile app. Users can customize on their phone. Need to run on 8GB device.",
        Situation(gpu_gib=8, on_device=True),
        "lora",
        "LoRA",
        "LoRA adapters are small enough to download and swap on-device. Base model stays frozen.",
        ("on_device",),
        "The device's 8 GB count as the memory of its GPU; model, data, task and goal are the defaults.",
    ),
)
