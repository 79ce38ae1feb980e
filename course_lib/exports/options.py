"""What the files of options for TRL, LLaMA-Factory and axolotl share: what none of them can say, and how one is written."""

import yaml

from course_lib.errors import CourseError
from course_lib.exports.common import LORA, number
from course_lib.exports.script import to_script

CUT = "A row longer than {length} is cut without a word; the course refuses it."
TWICE = "DPO's reference is a second copy of the model in memory; the course computes it beforehand and holds none."
USED = ("dora", "rslora")  # variants of LoRA that each tool has an option for
KEEPING = {"replay": 0.0, "kl": 0.0, "early_stop": None, "layer_decay": 1.0}  # and what leaves each out


def refuse(plan, tool: str) -> None:
    """What no other trainer than the course's own, or the script, can do.

    Raises:
        CourseError: says what to do instead.
    """
    if plan.method not in ("full", *LORA):
        raise CourseError(f"{tool} has no options for {plan.method}: {elsewhere(plan)}, or set method to lora.")
    if plan.objective == "classification":
        raise CourseError(f"{tool} trains no classifier from a plan: {elsewhere(plan)}.")
    for field, out in KEEPING.items():
        if getattr(plan, field) != out:
            raise CourseError(f"{tool} has no option for {field}: {elsewhere(plan)}, or set {field} to {out}.")
    if plan.attention == "flash_attention_2" and plan.precision == "fp32":
        raise CourseError(
            "flash_attention_2 computes in 16 bits only: set precision to bf16 or fp16, or attention to sdpa."
        )


def refuse_in_a_file(plan, tool: str) -> None:
    """What a file of options cannot say, besides what `refuse` refuses.

    Raises:
        CourseError: says what to do instead.
    """
    refuse(plan, tool)
    if "+" in plan.objective:
        first, second = plan.objective.split("+")
        raise CourseError(
            f"{tool} runs one objective at a time, and {plan.objective} is {first}, then {second}: {elsewhere(plan)}."
        )
    if plan.method in LORA and plan.first_layer:
        raise CourseError(
            f"{tool} cannot be told first_layer without the model's number of blocks: {elsewhere(plan)}, or set it to 0."
        )
    if plan.method in LORA and not float(plan.alpha).is_integer():
        raise CourseError(f"{tool} takes a whole number for alpha, not {plan.alpha}: round it, or {elsewhere(plan)}.")


def elsewhere(plan) -> str:
    """What to do about a plan that a tool cannot be told: the script where it can be written, else our own trainer."""
    try:
        to_script(plan)
    except CourseError:
        return "use `train`"
    return "use plan.to_script()"


def when(condition, **options) -> dict:
    """These options, or none."""
    return options if condition else {}


def dtype(plan) -> str:
    """The plan's precision as a name of torch; auto is bfloat16."""
    return {"auto": "bfloat16", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}[plan.precision]


def about_auto(plan, advice: str) -> list[str]:
    """The comment on what precision auto became, where the plan says auto."""
    return [f"precision auto was written as bf16: {advice}."] if plan.precision == "auto" else []


def lora(plan, rank: str) -> dict:
    """LoRA's numbers; `rank` is the tool's name for the rank."""
    return {rank: plan.rank, "lora_alpha": number(plan.alpha), "lora_dropout": plan.dropout}


def training(plan) -> dict:
    """Options that TRL and LLaMA-Factory both take over from transformers' TrainingArguments."""
    return {
        "num_train_epochs": plan.epochs,
        "per_device_train_batch_size": plan.micro_batch,
        "gradient_accumulation_steps": plan.grad_accum,
        "learning_rate": plan.lr,
        "lr_scheduler_type": plan.schedule,
        "weight_decay": plan.weight_decay,
        "optim": plan.optimizer,
        "save_steps": plan.save_steps,
        "logging_steps": 1,
        "seed": plan.seed,
    }


def as_file(head: list[str], options: dict) -> str:
    """Comments, then the options; a float is written with a point, so that every YAML reader takes it for one."""
    return "".join(f"# {line}\n" for line in head) + yaml.safe_dump(options, sort_keys=False, allow_unicode=True)
