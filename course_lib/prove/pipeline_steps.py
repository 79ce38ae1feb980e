"""The steps of a pipeline: what each does, what it depends on, and what it leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from course_lib.choose.memory import estimate
from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.prove.evaluate import evaluate
from course_lib.prove.evaluated import digests, evaluated, evaluation_inputs, metrics_of, sets_read
from course_lib.prove.kept import digest, from_json, keep, kept, to_json
from course_lib.prove.model_card import write_card
from course_lib.prove.scores import Scores
from course_lib.prove.untrained import untrained
from course_lib.prove.verdict import TUNED, verdict
from course_lib.prove.written_report import write_report
from course_lib.run.assets import model_folder
from course_lib.run.check import check_plan
from course_lib.run.checkpoints import throw_away
from course_lib.run.data import DataSet
from course_lib.run.objectives import OBJECTIVES
from course_lib.run.result import Run
from course_lib.run.seal import fault
from course_lib.run.train import train
from course_lib.run.trained import base_digest

FEW = 30  # test rows


@dataclass
class Work:
    """What the steps share. found: what earlier steps found."""

    plan: Plan
    folder: Path
    n: int | None
    found: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def sets(self) -> dict[str, DataSet]:
        return sets_read(self.plan)

    @property
    def data(self) -> DataSet:
        """What the scores are of."""
        return self.sets[OBJECTIVES[self.plan.objective].field]

    @cached_property
    def rows(self) -> dict[str, str]:
        return digests(self.sets)

    @cached_property
    def model(self) -> Path:
        return model_folder(self.plan.model, self.plan.revision)

    @property
    def run(self) -> Run:
        return Run.from_folder(self.folder)

    @property
    def begun(self) -> Path:
        """The file that says from what the run in the folder was begun."""
        return self.folder / "begun.json"

    @property
    def settings(self) -> dict:
        """The plan without its defaults, so that a field that a later version adds changes nothing."""
        return self.plan.model_dump(mode="json", exclude_defaults=True)


def _check_data(work: Work) -> dict:
    for name, data in work.sets.items():
        print(
            f"{name}: {len(data.train):,} training rows, {len(data.valid):,} validation rows, {len(data.test):,} test rows, "
            "none rejected"
        )
        print(data.notice)
    if (rows := len(work.data.test[: work.n])) < FEW:
        print(f"With {rows} test rows only large differences will be clear.")
    return {"notice": "\n".join(data.notice for data in work.sets.values())}


def _check_plan(work: Work) -> dict:
    check_plan(work.plan, None if work.begun.exists() else work.folder)
    try:
        memory = str(estimate(work.plan, gpu=None if torch.cuda.is_available() else "cpu"))
    except CourseError as error:  # a model whose sizes are not in the catalogue
        memory = f"Its memory is not estimated: {error}"
    print(memory)
    return {"memory": memory}


def _base_inputs(work: Work) -> dict:
    plan, data = work.plan, work.data
    return {
        "base": base_digest(work.model),
        "precision": plan.precision,
        "test": digest(data.test[: work.n]),
        "train": digest(data.train),
        "metrics": metrics_of(plan, data),
    }


def _score_base(work: Work) -> dict:
    found = untrained(work.plan, work.model, work.data, work.n)
    return {name: to_json(scores) for name, scores in found.items()}


def _train(work: Work) -> dict:
    """Train, or go on. A run that was begun from another plan or other data is thrown away."""
    inputs = _train_inputs(work)
    if work.begun.exists() and not kept(work.begun, inputs):
        print("The plan or its data have changed since the run in this folder began: it is trained anew.")
        throw_away(work.folder)
    keep(work.begun, inputs, True)
    run = train(work.plan, folder=work.folder)
    if not run.finished:
        raise CourseError("The pipeline stopped in training: start it again to go on from there.")
    return {"run": str(run), "date": run.record["date"]}


def _train_inputs(work: Work) -> dict:
    return {"plan": work.settings, "rows": work.rows}


def _is_trained(work: Work) -> bool:
    try:
        return fault(work.run.weights) is None
    except CourseError:
        return False


def _score_tuned(work: Work) -> dict:
    return to_json(evaluated(work.run, work.data, work.n))


def _told(work: Work) -> dict:
    """What the report and the card are written from."""
    return {"plan": work.settings, **{step: digest(work.found[step]) for step in ("data", "base", "train", "evaluate")}}


def entries(work: Work) -> tuple[dict[str, Scores], Scores]:
    """Scores without fine-tuning by name, and those with it."""
    return {name: from_json(scores) for name, scores in work.found["base"].items()}, from_json(work.found["evaluate"])


def _preferences(work: Work) -> list[str]:
    """What a plan that learns chats and then preferences reached in the second: the scores are of the chats."""
    if OBJECTIVES[work.plan.objective].field == "pairs" or "pairs" not in work.sets:
        return []
    score = evaluate(work.run, work.sets["pairs"], ("preference_accuracy",), n=work.n)["preference_accuracy"]
    return [f"preference_accuracy: the fine-tuned model prefers the chosen answer of {score} of {score.n} test pairs."]


def _report(work: Work) -> list[str]:
    base, tuned = entries(work)
    words = verdict(tuned, base) + _preferences(work)
    write_report(work.run, base | {TUNED: tuned}, words, work.found["data"]["notice"])
    return words


def _card(work: Work) -> bool:
    base, tuned = entries(work)
    write_card(work.run, base | {TUNED: tuned}, work.found["report"], work.found["data"]["notice"])
    return True


@dataclass(frozen=True)
class Step:
    """One step. inputs: what its result depends on. whole: whether what it left beside its file is still there."""

    name: str
    says: str
    inputs: Callable[[Work], Any]
    do: Callable[[Work], Any]
    whole: Callable[[Work], bool] = lambda work: True
    long: bool = False


STEPS = (
    Step("data", "reading the data", lambda work: work.rows, _check_data),
    Step("check", "checking the plan", lambda work: work.settings, _check_plan),
    Step("base", "scoring the base model without training", _base_inputs, _score_base, long=True),
    Step("train", "training", _train_inputs, _train, _is_trained, long=True),
    Step(
        "evaluate",
        "scoring the fine-tuned model",
        lambda work: evaluation_inputs(work.run, work.data, work.n),
        _score_tuned,
        long=True,
    ),
    Step("report", "writing the report", _told, _report, lambda work: (work.folder / "report.html").exists()),
    Step("card", "writing the model card", _told, _card, lambda work: (work.run.weights / "README.md").exists()),
)
