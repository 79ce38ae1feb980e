"""The situation in words: what each field asks, what its values are called, and how typed numbers are read."""

import re
from dataclasses import dataclass

from course_lib.choose.guides import module9
from course_lib.choose.situation import Situation
from course_lib.errors import CourseError

METHODS = {
    "prompting": ("Prompting, no training yet", "a good prompt with a few examples in it; nothing is trained"),
    "hosted": ("Fine-tuning at a service", "you send the data, and a provider trains the model on its machines"),
    "full": ("Full fine-tuning", "every weight of the model is trained"),
    "lora": ("LoRA", "the model stays frozen; two small matrices beside each layer are trained"),
    "qlora": ("QLoRA", "LoRA on a model whose frozen weights are held in 4 bits"),
    "adapters": ("Adapters", "the model stays frozen; small new layers between its own are trained"),
    "prompt_tuning": ("Prompt tuning", "the model stays frozen; only a short learned prompt is trained"),
}
OBJECTIVES = {
    "none": "nothing is trained",
    "sft": "SFT: it learns to answer like your examples",
    "dpo": "DPO: it learns from pairs which of two answers is preferred",
    "sft+dpo": "SFT, then DPO: first from your examples, then from preference pairs",
    "cpt+sft": "continued pretraining on your texts, then SFT on examples of the task",
    "classification": "classification: a layer on top of the model learns your labels",
}


@dataclass(frozen=True)
class Field:
    """One field of the situation as a control. choices: (words, value), for a list; kind: number, list or yes_no."""

    name: str
    label: str
    kind: str
    hint: str = ""
    choices: tuple[tuple[str, object], ...] = ()
    unit: str = ""


FIELDS = {
    field.name: field
    for field in (
        Field("gpu_gib", "Memory of one GPU, GiB", "number", unit="GiB of GPU memory"),
        Field("n_gpus", "Number of such GPUs", "number", unit="GPUs"),
        Field("quality", "Performance", "list", choices=(("very good will do", "good"), ("every last drop", "best"))),
        Field("n_tasks", "Number of tasks", "number", unit="tasks"),
        Field("latency_critical", "Speed of the deployed model is critical", "yes_no"),
        Field("n_examples", "Training examples per task", "number", unit="examples"),
        Field("preference_pairs", "Preference pairs", "number", unit="preference pairs"),
        Field(
            "goal", "Training should change", "list",
            choices=(
                ("the form of the output", "output_format"), ("what the model knows of a domain", "domain_knowledge"),
                ("the quality of its answers", "response_quality"), ("harmful answers", "reduce_harm"),
                ("as much as possible", "max_customization"),
            ),
        ),
        Field(
            "task", "Kind of task", "list",
            choices=(
                ("following instructions", "instruction"), ("classification", "classification"), ("code", "code"),
                ("adapting to a domain", "domain_adaptation"),
            ),
        ),
        Field(
            "domain_shift", "Your texts are", "list",
            choices=(("like those that the model has seen", "small"), ("far from them (medicine, law)", "large")),
        ),
        Field("model_b", "Model size, billions", "number", "empty = the largest that fits", unit="billion parameters"),
        Field("simple_task", "The task is short and simple (sentiment, extraction)", "yes_no"),
        Field("composable", "Several tasks' modules must be combined as layers", "yes_no"),
        Field("on_device", "The model must run on a phone or another small device", "yes_no"),
        Field("rapid_iteration", "Many runs in a short time", "yes_no"),
        Field("first_time", "This is my first fine-tuning", "yes_no"),
        Field("prompting_tried", "A good prompt was tried and was not enough", "yes_no"),
        Field("has_eval_set", "Examples are set aside to measure with", "yes_no"),
    )
}  # fmt: skip
VIEWS = {
    "tree": "Decision tree",
    "more": "More about your situation",
    "comparison": "Comparison",
    "scenarios": "Scenarios",
    "guides": "Guides",
}
FACTORS = ("GPU Resources (VRAM)", "Task Performance", "Number of Tasks", "Inference Latency", "Dataset Size")


@dataclass(frozen=True)
class Question:
    """One of the five questions: module9's decision factors, in its words."""

    title: str
    text: str
    fields: tuple[str, ...]
    explain: str


QUESTIONS = tuple(
    Question(factor, module9.TABLES["factors"].row(factor)["Question"], fields, explain)
    for factor, fields, explain in zip(
        FACTORS,
        (("gpu_gib", "n_gpus"), ("quality",), ("n_tasks",), ("latency_critical",), ("n_examples", "preference_pairs")),
        (
            "It decides which methods and which size of model fit at all. Press a common card, name yours, or type its memory.",
            "The last few per cent can cost many times the memory and time.",
            "With several tasks, small files that are swapped on one shared model pay off.",
            "Layers that stay in the model cost time at every call; LoRA is merged into the weights and costs none.",
            "Very few examples are better put into the prompt. A preference pair is a better and a worse answer to one question; "
            "pairs allow DPO. 10k and 1M are understood.",
        ),
        strict=True,
    )
)
MORE = (
    "model_b", "goal", "task", "domain_shift", "simple_task", "composable", "on_device", "rapid_iteration", "first_time",
    "prompting_tried", "has_eval_set",
)  # fmt: skip

_NUMBER = re.compile(r"([+-]?(?:\d[\d_ ',]*)?\.?\d*(?:e[+-]?\d{1,3})?)\s*([a-z]*)")
_SCALES = {
    "gpu_gib": {"": 1, "g": 1, "gb": 1, "gib": 1},
    "model_b": {"": 1, "b": 1, "m": 1e-3},
}
_COUNT_SCALES = {"": 1, "k": 1e3, "m": 1e6}


def read_number(name: str, text: str) -> float | int | None:
    """The number that a reader typed for a field: `2,000`, `10k`, `16 GB`, `7B`; None where model_b is left empty.

    Raises:
        CourseError: it is no number.
    """
    text, label = text.strip(), FIELDS[name].label
    if not text:
        if name == "model_b":
            return None
        raise CourseError(f"{label}: the box is empty. Type a number.")
    scales = _SCALES.get(name, _COUNT_SCALES)
    match = _NUMBER.fullmatch(text.lower())
    digits = re.sub(r"[_ ']|,(?=\d{3}(?!\d))", "", match[1]) if match else ""
    if not re.search(r"\d", digits) or "," in digits or match[2] not in scales:
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        raise CourseError(f"{label}: {shown!r} is no number that I can read. Type one such as {_example(name)}.")
    number = float(digits) * scales[match[2]]
    whole = name not in ("gpu_gib", "model_b") and number.is_integer()
    return int(number) if whole else number


def _example(name: str) -> str:
    return {"gpu_gib": "16 or 23.6", "model_b": "7 or 0.5", "n_gpus": "1 or 8"}.get(name, "1,000 or 10k")


def write_number(value: float | int | None) -> str:
    """A number as its box shows it."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:g}"


def value_in_words(name: str, value) -> str:
    """A field's value in words, as part of a sentence."""
    field = FIELDS[name]
    if name == "model_b" and value is None:
        return "the largest model that fits"
    if name == "gpu_gib" and value == 0:
        return "no GPU"
    if field.kind == "number":
        unit = field.unit if value != 1 or not field.unit.endswith("s") else field.unit[:-1]
        return f"{write_number(value)} {unit}"
    if field.kind == "yes_no":
        return "yes" if value else "no"
    return next(words for words, v in field.choices if v == value)


def says(name: str, value) -> str:
    """A field and its value in words, as part of a list."""
    label, words = FIELDS[name].label, value_in_words(name, value)
    return (
        words if FIELDS[name].kind == "number" else f"{label[0].lower()}{label[1:]}: {words}".replace(" my ", " your ")
    )


def situation_in_words(s: Situation) -> str:
    """The five answers, and what else differs from the usual."""
    usual = Situation()
    names = ["gpu_gib", *(["n_gpus"] if s.gpu_gib and s.n_gpus > 1 else []), "model_b", "n_examples"]
    names += ["n_tasks", "quality", "latency_critical"]
    names += [n for n in FIELDS if n not in names and n != "n_gpus" and getattr(s, n) != getattr(usual, n)]
    return "; ".join(says(name, getattr(s, name)) for name in names) + "."


def source_in_words(source: str) -> str:
    """`measured:104` -> `measured in lesson 104`; a guide's key as it is."""
    return f"measured in lesson {source.removeprefix('measured:')}" if source.startswith("measured:") else source
