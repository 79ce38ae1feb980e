"""The methods side by side: what each trains of a model, what memory that takes, and what it costs afterwards."""

from course_lib.choose.memory import estimate
from course_lib.choose.setup import trained_parameters
from course_lib.choose.shapes import ModelShape
from course_lib.plan import Plan
from course_lib.prove.tables import Table, table
from course_lib.run.methods import METHODS


def methods_table(model: str = "smollm2-135m", gpu: str | None = None) -> Table:
    """One row for each method that `train` runs: its default plan on one model.

    Args:
        model: a name that `ModelShape.of` knows.
        gpu: the card that the memory is estimated for, such as "T4"; None = as `estimate`.

    Raises:
        CourseError: there is no such model or card.
    """
    shape = ModelShape.of(model)
    return table(
        [_row(name, Plan(model=model, method=name), shape, gpu) for name in METHODS],
        f"{model}, {shape.params / 1e9:.3g}B parameters; plans as they are by default, memory by the memory model",
    )


def _row(name: str, plan: Plan, shape: ModelShape, gpu: str | None) -> dict[str, str]:
    method, guess = METHODS[name], estimate(plan, gpu=gpu)
    low, high = guess.interval("device")
    return {
        "method": name,
        "trains": f"{trained_parameters(plan, shape) / shape.params:.2%}",
        "GiB on the device (95 %)": f"{guess.device_gib:.2f} ({low:.2f} to {high:.2f})",
        "merges": "no" if method.merges_not else "yes" if method.config else "nothing to merge",
        "cost at each answer": method.latency,
        "lesson": str(method.lesson),
    }
