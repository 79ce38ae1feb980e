"""From a plan to a described model: data, checks, baselines, training, scores, report, model card; each step kept in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.errors import CourseError
from course_lib.folders import work_folder
from course_lib.plan import Plan
from course_lib.prove.evaluated import file_for
from course_lib.prove.kept import keep, kept
from course_lib.prove.pipeline_steps import STEPS, Step, Work, entries
from course_lib.prove.report import Report
from course_lib.prove.scores import Scores
from course_lib.prove.verdict import TUNED
from course_lib.run.result import Run


@dataclass(frozen=True)
class Pipeline:
    """What a pipeline made. base: name of each way to do without fine-tuning -> its scores. verdict: what beat what."""

    run: Run
    base: dict[str, Scores]
    tuned: Scores
    verdict: list[str]

    @property
    def report(self) -> Report:
        """Scores side by side; `report.html` and `report.md` in the run's folder say more."""
        return Report(self.base | {TUNED: self.tuned})

    @property
    def card(self) -> Path:
        """The model card."""
        return self.run.weights / "README.md"

    def __str__(self) -> str:
        where = f"Report: {self.run.folder / 'report.html'}\nModel card: {self.card}"
        return "\n".join([str(self.report), "", *self.verdict, "", where])


def run_pipeline(plan: Plan | str | Path, folder: str | Path | None = None, n: int | None = None) -> Pipeline:
    """Check the data and the plan, score the base model, train, score the result, write a report and a model card.

    Each step keeps its result in a file of the run's folder. A step that is done and whose inputs are the same is not done
    again, so that a pipeline that was killed goes on where it was; a changed plan or changed data does again what depends on it.

    Args:
        plan: a plan, or its YAML file.
        folder: where the run is kept; default: where `train` keeps it.
        n: how many of the test rows are scored, from the first; default all.

    Raises:
        CourseError: as `load`, `train` and `evaluate`, each before anything long has begun.
    """
    plan = plan if isinstance(plan, Plan) else Plan.from_yaml(plan)
    if n is not None and n < 1:
        raise CourseError(f"n is {n}, which leaves no rows to score: set it to 1 or more.")
    work = Work(plan, Path(folder) if folder else work_folder() / "runs" / f"{plan.method}-{plan.id}", n)
    for number, step in enumerate(STEPS, 1):
        work.found[step.name] = _done(work, step, f"Step {number} of {len(STEPS)}, {step.says}")
    base, tuned = entries(work)
    return Pipeline(work.run, base, tuned, work.found["report"])


def _done(work: Work, step: Step, says: str) -> Any:
    """The result of a step, from its file or from doing it."""
    n = work.n if step.name in ("base", "evaluate") else None
    file, inputs = file_for(work.folder, step.name, n), step.inputs(work)
    result = kept(file, inputs)
    if result is not None and step.whole(work):
        print(f"{says}: done before.")
        return result
    print(f"{says}{': a long step, with a bar of its own' if step.long else ''} ...")
    result = step.do(work)
    keep(file, inputs, result)
    return result
