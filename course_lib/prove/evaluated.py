"""A run's scores, kept in its folder: found once, read by whoever asks again."""

from pathlib import Path

from course_lib.plan import Plan
from course_lib.prove.evaluate import evaluate
from course_lib.prove.kept import digest, from_json, keep, kept, to_json, weights_digest
from course_lib.prove.metrics import METRICS_FOR
from course_lib.prove.scores import Scores
from course_lib.run.data import DataSet, load
from course_lib.run.methods import load_tokenizer
from course_lib.run.objectives import OBJECTIVES
from course_lib.run.result import Run

SPARE = 16  # tokens that an answer may be longer than the longest that was learned from


def data_of(plan: Plan) -> DataSet:
    """The data whose test rows say whether a plan's objective was reached."""
    objective = OBJECTIVES[plan.objective]
    return load(getattr(plan, objective.field), n_train=plan.n_train, form=objective.form)


def sets_read(plan: Plan) -> dict[str, DataSet]:
    """Field of the plan -> the data set that it names, for everything that the plan reads."""
    objectives = [OBJECTIVES[stage] for stage in OBJECTIVES[plan.objective].stages]
    forms = {objective.field: objective.form for objective in objectives}
    if plan.replay or plan.early_stop:
        forms["general"] = "plain"
    return {name: load(getattr(plan, name), n_train=plan.n_train, form=form) for name, form in forms.items()}


def digests(sets: dict[str, DataSet]) -> dict[str, str]:
    """Of each set's rows."""
    return {name: digest([data.train, data.valid, data.test]) for name, data in sets.items()}


def evaluated(run: Run, data: DataSet, n: int | None = None) -> Scores:
    """The run's scores on the first `n` test rows: read from its folder where they are kept, else found and kept there."""
    file, inputs = file_for(run.folder, "evaluate", n), evaluation_inputs(run, data, n)
    if (found := kept(file, inputs)) is None:
        longest = room_for(load_tokenizer(run.weights), data)
        found = to_json(evaluate(run, data, n=n, max_new_tokens=longest, name=f"{run.folder.name} answers"))
        keep(file, inputs, found)
    return from_json(found)


def file_for(folder: Path, what: str, n: int | None) -> Path:
    """Where what was found on the first `n` test rows is kept."""
    return folder / f"{what}{'' if n is None else f'-{n}'}.json"


def evaluation_inputs(run: Run, data: DataSet, n: int | None) -> dict:
    """What a run's scores are found from."""
    return {"weights": weights_digest(run.weights), "rows": digest(data.test[:n]), "answer": data.answer}


def metrics_of(plan: Plan, data: DataSet) -> tuple[str, ...]:
    """The metrics that `evaluate` takes for a run of this plan on this data; a classifier's head only ever names labels."""
    return METRICS_FOR["label" if plan.objective == "classification" else data.answer]


def room_for(tokenizer, data: DataSet) -> int:
    """How many tokens an answer may have: a little more than the longest training answer, so that none is cut off."""
    if data.answer not in ("json", "label", "text"):
        return SPARE
    answers = [row["messages"][-1]["content"] for row in data.train]
    return max(len(ids) for ids in tokenizer(answers, add_special_tokens=False)["input_ids"]) + SPARE
