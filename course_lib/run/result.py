"""A training run on disk: what was recorded, and the model that came out."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run.assets import model_folder
from course_lib.run.merge import merge
from course_lib.run.objectives import stage_plans
from course_lib.run.trained import reload


@dataclass(frozen=True)
class Run:
    """A training run on disk.

    history: one dict per optimizer step: stage, step, loss (nats per trained token; dpo: per pair; classification: per
    row), grad_norm, learning_rate, tokens, seconds.
    tokens_per_s: real tokens of the rows, never padding; a prompt that rows share counts for each row.
    peak_gib: see `meter.Meter`. finished: False after Ctrl-C.
    """

    folder: Path
    plan: Plan
    record: dict

    @classmethod
    def from_folder(cls, folder: str | Path) -> "Run":
        """The finished run that a folder holds.

        Raises:
            CourseError: there is none, or what it says of itself cannot be read.
        """
        folder = Path(folder)
        plan = Plan.from_yaml(folder / "plan.yaml")
        stages = stage_folders(folder, plan)
        try:
            records = [json.loads((stage / "final" / "run.json").read_text(encoding="utf-8")) for stage in stages]
        except (OSError, ValueError):
            raise CourseError(
                f"The run in {folder} is not finished: call train with the same plan and folder to go on."
            ) from None
        return cls(folder, plan, joined(plan, records))

    @property
    def history(self) -> list[dict]:
        return self.record["history"]

    @property
    def finished(self) -> bool:
        return self.record["finished"]

    @property
    def seconds(self) -> float:
        return sum(step["seconds"] for step in self.history)

    @property
    def tokens_per_s(self) -> float:
        return sum(step["tokens"] for step in self.history) / self.seconds

    @property
    def peak_gib(self) -> float:
        return self.record["peak_gib"]

    @property
    def weights(self) -> Path:
        """Folder with the adapter, or with the whole model after full fine-tuning."""
        return stage_folders(self.folder, self.plan)[-1] / "final"

    def model(self):
        """The trained model, in eval mode."""
        return reload(self._base(), self.plan, self.weights)

    def merged(self, dtype: torch.dtype | None = None):
        """The trained model as one ordinary model with no adapter beside it, in eval mode; see `merge.merge`."""
        return merge(self._base(), self.plan, self.weights, dtype)

    def _base(self) -> Path:
        if not self.finished:
            raise CourseError(
                f"The run in {self.folder} is not finished: call train with the same plan and folder to go on."
            )
        return model_folder(self.plan.model, self.plan.revision)

    def _objective(self) -> str:
        return "" if self.plan.objective == "sft" else f", {self.plan.objective}"

    def __str__(self) -> str:
        trained, everything = self.record["trainable"], self.record["parameters"]
        return (
            f"{self.plan.method}{self._objective()}: {len(self.history)} steps in {self.seconds:.0f} s, {self.tokens_per_s:.0f} tokens/s, "
            f"peak {self.peak_gib:.2f} GiB ({self.record['memory_of']}), "
            f"{trained:,} of {everything:,} parameters trained ({trained / everything:.2%})"
        )


def stage_folders(folder: Path, plan: Plan) -> list[Path]:
    """Where each stage of a plan is kept: the run's own folder if there is one stage only."""
    stages = stage_plans(plan)
    if len(stages) == 1:
        return [folder]
    return [folder / f"{number}-{stage.objective}" for number, stage in enumerate(stages, 1)]


def joined(plan: Plan, records: list[dict]) -> dict:
    """The records of a plan's stages as one: the last one's, with everybody's history and the highest peak."""
    if len(records) == 1:
        return records[0]
    return records[-1] | {
        "plan": plan.id,
        "finished": all(record["finished"] for record in records) and len(records) == len(stage_plans(plan)),
        "history": [step for record in records for step in record["history"]],
        "peak_gib": max(record["peak_gib"] for record in records),
        "joules": None if None in (spent := [record["joules"] for record in records]) else sum(spent),
    }
