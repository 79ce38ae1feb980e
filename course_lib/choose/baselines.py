"""What others predict for the published runs: two rules of thumb, computed here, and two tools, asked beforehand.

The tools' answers are in published/baselines.csv (`tests/bench/baselines.py` writes it). All are GiB on one GPU, for runs
on one GPU: none of the four says how sharding divides its figure.
"""

import csv
from collections.abc import Callable
from functools import cache
from importlib import resources

from course_lib.choose.published import Row, number

GIB = 2**30

# LLaMA-Factory's README (2025), "Hardware Requirement", estimated: GB of card memory for a model of 7 billion, per method
# and bits. Its column "x" (18, 8, 2, 1 and 1/2 GB per billion) lies 5 % above to 42 % below these; the table has no lengths.
LLAMA_FACTORY_7B = {("full", 32): 120, ("full", 16): 60, ("lora", 16): 16, ("qlora", 8): 10, ("qlora", 4): 6}


def llama_factory(row: Row) -> float | None:
    """The table's figure for 7 billion, in proportion to the parameters. Its GB are read as a card's, which are GiB."""
    setup = row.setup
    if setup.n_gpus > 1:
        return None
    method = "lora" if setup.method == "dora" else setup.method  # there an option of LoRA
    match method:
        case "full":
            bits = 32 if setup.weight == 4 or setup.master else 16  # 32: weights in fp32, or mirrored in it
        case "qlora":
            bits = 8 if (setup.quantised or 0) > 0.75 else 4
        case _:
            bits = round(8 * setup.weight)
    cell = LLAMA_FACTORY_7B.get((method, bits))
    return cell and cell / 7 * setup.shape.params / 1e9


def accelerate_adam(row: Row) -> float | None:
    """`accelerate estimate-memory`, "training using Adam": 4 times the weights in their dtype, activations left out.

    It knows no adapters, so LoRA and the rest get the same figure as full fine-tuning; for 4 and 8 bits it prints none.
    """
    setup = row.setup
    if setup.n_gpus > 1 or setup.quantised is not None or "adam" not in setup.optimizer:
        return None
    return 4 * setup.weight * setup.shape.params / GIB


RULES: dict[str, Callable[[Row], float | None]] = {
    "LLaMA-Factory rule": llama_factory,
    "accelerate's 4x": accelerate_adam,
}


def predictions(row_id: str) -> dict[str, float | None]:
    """Tool -> its GiB for that published row, None where it cannot express the run; empty for a row that was not asked."""
    return dict(_answers().get(row_id, {}))


@cache
def _answers() -> dict[str, dict[str, float | None]]:
    text = resources.files("course_lib.choose.published").joinpath("baselines.csv").read_text(encoding="utf-8")
    answers = {}
    for line in csv.DictReader(text.splitlines()):
        answers.setdefault(line["id"], {})[line["tool"]] = number(line["predicted_gib"])
    return answers
