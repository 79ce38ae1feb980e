"""The methods and the objectives side by side: what each trains of a model, on what, and what memory that takes."""

from course_lib.choose.memory import estimate
from course_lib.choose.setup import LABELS, trained_parameters
from course_lib.choose.shapes import ModelShape
from course_lib.plan import Plan
from course_lib.prove.tables import Table, table
from course_lib.run.forms import FORMS
from course_lib.run.methods import METHODS
from course_lib.run.objectives import OBJECTIVES

LOSSES = {  # of a stage: what it is, and what it is at the first step, in nats
    "sft": "cross-entropy of the answers' tokens; starts where the model stands",
    "dpo": "-log sigmoid(beta x margin) of each pair; starts at log 2 = 0.693",
    "cpt": "cross-entropy of every token; starts where the model stands",
    "classification": "cross-entropy of the labels; starts near the log of their number",
}


def methods_table(model: str = "smollm2-135m", gpu: str | None = None) -> Table:
    """One row for each method that `train` runs: its default plan on one model; on an encoder, as a classifier of two labels.

    Args:
        model: a name that `ModelShape.of` knows.
        gpu: the card that the memory is estimated for, such as "T4"; None = as `estimate`.

    Raises:
        CourseError: there is no such model or card.
    """
    shape = ModelShape.of(model)
    encoder = shape.kind == "encoder"
    plans = [Plan(model=model, method=name, objective="classification" if encoder else "sft") for name in METHODS]
    return table(
        [_row(plan, shape, gpu) for plan in plans if not (encoder and plan.method == "prefix_tuning")],
        f"Methods on {model}, {shape.params / 1e9:.3g}B parameters; plans as they are by default, memory by the memory model",
    )


def objectives_table(model: str = "smollm2-135m", gpu: str | None = None, method: str = "lora") -> Table:
    """One row for each objective that `train` runs, with one method; arguments and errors as of `methods_table`."""
    names = ["classification"] if ModelShape.of(model).kind == "encoder" else OBJECTIVES
    return table(
        [_objective_row(name, Plan(model=model, method=method, objective=name), gpu) for name in names],
        f"Objectives with {method} on {model}; of two stages the memory is that of the larger one",
    )


def _row(plan: Plan, shape: ModelShape, gpu: str | None) -> dict[str, str]:
    method, labels = METHODS[plan.method], LABELS if plan.objective == "classification" else 0
    return {
        "method": plan.method,
        "trains": f"{min(1, trained_parameters(plan, shape, labels) / shape.params):.2%}",
        **_memory(plan, gpu),
        "merges": "no" if method.merges_not else "yes" if method.config else "nothing to merge",
        "cost at each answer": method.latency,
        "lesson": str(method.lesson),
    }


def _objective_row(name: str, plan: Plan, gpu: str | None) -> dict[str, str]:
    objective = OBJECTIVES[name]
    stages = [OBJECTIVES[stage] for stage in objective.stages]
    return {
        "objective": name,
        "rows (field of the plan)": ", then ".join(f"{FORMS[stage.form].rows} ({stage.field})" for stage in stages),
        "loss, nats": LOSSES.get(name) or f"that of {' and then that of '.join(objective.stages)}",
        **_memory(plan, gpu),
        "scores": ", ".join(objective.scores),
        "lesson": str(objective.lesson),
    }


def _memory(plan: Plan, gpu: str | None) -> dict[str, str]:
    guess = estimate(plan, gpu=gpu)
    low, high = guess.interval("device")
    return {"GiB on the device (95 %)": f"{guess.device_gib:.2f} ({low:.2f} to {high:.2f})"}
