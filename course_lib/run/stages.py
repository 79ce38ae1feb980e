"""The stages of a plan, each with its data loaded and encoded: whatever is wrong with it is found before anything is trained."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run import data as data_module
from course_lib.run import general
from course_lib.run.chat import Encoded, TooLong
from course_lib.run.classification import labels_in
from course_lib.run.distributed import check_rows
from course_lib.run.methods import load_tokenizer
from course_lib.run.objectives import OBJECTIVES, encode, stage_plans
from course_lib.run.result import stage_folders
from course_lib.run.rows import place_of

ALL = 10**9  # rows: as many as a data set has


@dataclass(frozen=True)
class Stage:
    """One stage of a plan with all that it reads. before: the weights that the stage before it left. goes_on: another follows."""

    plan: Plan
    folder: Path
    tokenizer: object
    rows: list
    labels: list[str]
    digest: str
    notice: str
    held_out: list[Encoded]
    goes_on: bool
    before: Path | None = None


def data_fields(plan: Plan) -> list[tuple[str, str]]:
    """Fields of the plan that name data, with the form of its rows."""
    stages = [OBJECTIVES[stage] for stage in OBJECTIVES[plan.objective].stages]
    fields = [(stage.field, stage.form) for stage in stages]
    return fields + ([("general", "plain")] if plan.replay or plan.early_stop else [])


def load_stages(plan: Plan, folder: Path, base: Path) -> list[Stage]:
    """The stages of a plan on the model in `base`; raises CourseError for data that cannot be learned from."""
    tokenizer = load_tokenizer(base)
    plans = stage_plans(plan)
    kept = data_module.load(plan.general, n_train=ALL, form="plain") if plan.replay or plan.early_stop else None
    stages = []
    for number, (stage, place) in enumerate(zip(plans, stage_folders(folder, plan), strict=True), 1):
        objective = OBJECTIVES[stage.objective]
        name = getattr(stage, objective.field)
        data = data_module.load(name, n_train=stage.n_train, form=objective.form)
        labels = labels_in(data.train) if stage.objective == "classification" else []
        try:
            rows, read = encode(tokenizer, data.train, stage, labels), [data.train]
        except TooLong as error:
            longest = data.train[error.lengths.index(error.most)]
            raise TooLong(error.lengths, error.max_len, place_of(name, longest, objective.form)) from None
        if stage.replay:
            rows = general.replay(tokenizer, rows, kept, stage)
            read.append(kept.train)
        held_out = general.held_out(tokenizer, kept) if stage.early_stop else []
        digest = hashlib.sha256(json.dumps(read).encode()).hexdigest()
        goes_on = number < len(plans)
        check_rows(plan, len(rows))
        stages.append(Stage(stage, place, tokenizer, rows, labels, digest, data.notice, held_out, goes_on))
    return stages


def check_data(stage: Stage) -> None:
    """Refuse to go on with a run whose rows have changed."""
    kept = stage.folder / "data.sha256"
    if kept.exists() and kept.read_text() != stage.digest:
        raise CourseError(
            f"The training rows of {getattr(stage.plan, OBJECTIVES[stage.plan.objective].field)} have changed since the run in "
            f"{stage.folder} began: choose another folder, or pass resume=False to train anew."
        )
