"""The mean loss on the rows that settings are chosen by, the same measure for every plan of a search."""

from pathlib import Path

import torch

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.prove.kept import digest
from course_lib.run.assets import model_folder
from course_lib.run.classification import labels_in
from course_lib.run.data import load
from course_lib.run.methods import autocast, load_base, load_tokenizer
from course_lib.run.objectives import OBJECTIVES, collator, count, encode, loss, stage_plans
from course_lib.run.preference import with_reference


class Validation:
    """The validation rows of a plan's last stage; test rows are never read.

    dpo: the loss compares with the untrained model, and with the beta of the plan that the search began with.
    """

    def __init__(self, plan: Plan, folder: Path):
        """Encode the rows; `folder` keeps what the untrained model thinks of preference pairs.

        Raises:
            CourseError: no validation rows, or rows that cannot be used.
        """
        self.stage = stage_plans(plan)[-1]
        objective = OBJECTIVES[self.stage.objective]
        data = load(getattr(plan, objective.field), n_train=plan.n_train, form=objective.form)
        if not data.valid:
            raise CourseError(f"{data.name} has no validation rows to choose settings by: add more varied rows.")
        self.n = len(data.valid)
        base = model_folder(plan.model, plan.revision)
        tokenizer = load_tokenizer(base)
        self.pad_id = tokenizer.pad_token_id
        labels = labels_in(data.train) if self.stage.objective == "classification" else []
        self.rows = encode(tokenizer, data.valid, self.stage, labels)
        if self.stage.objective == "dpo":
            model = load_base(base, Plan(model=plan.model, precision=plan.precision)).eval()
            together = collator(self.stage, self.pad_id, model.config)
            with autocast(plan):
                self.rows = with_reference(
                    model, self.rows, folder, digest(data.valid), together, self.stage.micro_batch
                )

    @torch.no_grad()
    def loss(self, model, plan: Plan) -> float:
        """Mean loss of a model that `plan` trains: nats per token; classification: per row; dpo: per pair."""
        together = collator(stage_plans(plan)[-1], self.pad_id, model.config)
        size, training = self.stage.micro_batch, model.training
        total, n = 0.0, 0
        model.eval()
        with autocast(plan):
            for start in range(0, len(self.rows), size):
                batch = together(self.rows[start : start + size])
                batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
                total += loss(model, batch, self.stage, 1).item()
                n += int(count(batch, self.stage))
        model.train(training)
        return total / n
