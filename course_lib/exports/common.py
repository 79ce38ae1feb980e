"""What all exports share: the model's hub name, and how a plan's rows are written for other tools."""

import json

from course_lib.errors import CourseError

HUB_NAMES = {
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "minilm-l6": "sentence-transformers/all-MiniLM-L6-v2",
}
LORA = ("lora", "qlora")


def hub_name(plan) -> str:
    """The model as other tools know it: a hub id or a local folder."""
    return HUB_NAMES.get(plan.model, plan.model)


def how_to_write(plan, form: str = "messages", stage: str = "sft") -> str:
    """The line of Python that writes the training rows of a stage as JSON lines; `form` as in `DataSet.write_jsonl`."""
    name, file = {"dpo": (plan.pairs, "pairs.jsonl"), "cpt": (plan.texts, "texts.jsonl")}.get(
        stage, (plan.data, "train.jsonl")
    )
    rows = f", n_train={plan.n_train}" if plan.n_train else ""
    chosen = "" if form == "messages" else f', form="{form}"'
    return f'course_lib.load({text(name)}{rows}).write_jsonl("{file}"{chosen})'


def text(value) -> str:
    """A string as Python source, on one line."""
    return json.dumps(str(value), ensure_ascii=False)


def targets(plan) -> list[str]:
    """The plan's LoRA targets as a list; ["all-linear"] for all of them."""
    return [plan.targets] if isinstance(plan.targets, str) else list(plan.targets)


def variant(plan) -> str:
    """The variant of LoRA that the plan trains; plain where it trains no LoRA."""
    return plan.variant if plan.method in LORA else "plain"


def refuse_pissa(plan, tool: str) -> None:
    """A PiSSA adapter fits weights that PiSSA itself changed, and these are not saved with it."""
    if variant(plan) == "pissa":
        raise CourseError(
            f"{tool} would save a PiSSA adapter without the changed weights that it fits: set variant to plain, or use "
            "plan.to_script(), which turns it into a plain LoRA."
        )


def number(value: float) -> int | float:
    """A whole number without its decimal point: alpha 32.0 is 32."""
    return int(value) if float(value).is_integer() else value
