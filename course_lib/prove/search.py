"""A search over fields of a plan: trials are trained, compared on the validation rows, and given up early where they lag."""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from course_lib.errors import CourseError
from course_lib.folders import work_folder
from course_lib.plan import Plan
from course_lib.prove.evaluated import digests, sets_read
from course_lib.prove.kept import digest, write
from course_lib.prove.search_space import Choice, choices, combinations
from course_lib.prove.tables import Table, table
from course_lib.prove.validation import Validation
from course_lib.run.check import check_plan
from course_lib.run.result import Run
from course_lib.run.train import train

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial


@dataclass(frozen=True)
class Search:
    """A search and what it found.

    trials: Optuna's. importances: field -> share of what sets good trials apart, with ten finished trials or more. rows: of
    validation.
    """

    folder: Path
    plan: Plan
    fields: list[Choice]
    trials: list["FrozenTrial"]
    importances: dict[str, float]
    rows: int

    @property
    def best_plan(self) -> Plan:
        """The plan with the lowest validation loss; it is also in `best.yaml`.

        Raises:
            CourseError: no trial was trained to its end.
        """
        return self.plan.but(**self._best().params)

    @property
    def best_run(self) -> Run:
        """The run of that plan, the only one that is kept."""
        return Run.from_folder(_place(self.folder, self._best()))

    def _best(self) -> "FrozenTrial":
        from course_lib.prove.study import best_of

        if (best := best_of(self.trials)) is None:
            raise CourseError("No trial was trained to its end: see why in the table, and search a smaller range.")
        return best

    def table(self) -> Table:
        """A row for each trial, those that were trained to the end first, the best of them on top."""
        ordered = sorted(self.trials, key=lambda trial: (trial.state.name != "COMPLETE", trial.value or math.inf))
        return table(map(self._row, ordered), f"mean loss on {self.rows} validation rows; no test row was used")

    def _row(self, trial: "FrozenTrial") -> dict[str, str]:
        fields = {one.name: shown(trial.params.get(one.name, "")) for one in self.fields}
        return {
            "trial": str(trial.number),
            **fields,
            "loss": "" if trial.value is None else f"{trial.value:.4f}",
            "how it ended": trial.user_attrs["said"].split(":")[0]
            if trial.value is not None
            else trial.user_attrs["said"],
        }

    def __str__(self) -> str:
        lines = [str(self.table())]
        if self.importances:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in self.importances.items())
            lines.append(f"What sets the good trials apart (PED-ANOVA): {shares}.")
        if any(trial.state.name == "COMPLETE" for trial in self.trials):
            lines.append(
                f"The best plan is in {self.folder / 'best.yaml'}. The lowest loss of {len(self.trials)} looks better than it is: "
                "score that plan on the test rows with `course pipeline`."
            )
        return "\n\n".join(lines)


def search(
    plan: Plan | str | Path,
    fields: Mapping[str, str | Sequence],
    trials: int = 20,
    folder: str | Path | None = None,
) -> Search:
    """Train variants of a plan and find the one with the lowest mean loss on the validation rows.

    The fields of a trial are drawn by TPE (Bergstra et al. 2011) in view of the trials before it; the first is the plan as it
    stands, where it lies within the ranges. At each `save_steps` a trial whose loss is above the median of what earlier ones had
    at that step is given up. Killed anywhere, the same call goes on with the trial under way and those that remain. Of the
    trained weights only the best are kept.

    Args:
        plan: a plan, or its YAML file. Its seed is the search's too.
        fields: name -> "low..high" (on a log scale where the ends are ten times apart), or values as "4,8,16" or a sequence.
        trials: how many in all, those before a kill included.
        folder: where the study is kept; default: one for each plan and fields, under `my_work/searches`.

    Raises:
        CourseError: as `choices` and `train`; fewer than one trial; a folder that holds another search, or one that is going on.
    """
    plan = plan if isinstance(plan, Plan) else Plan.from_yaml(plan)
    found = choices(plan, fields)
    if trials < 1:
        raise CourseError(f"trials is {trials}, which leaves nothing to try: give 1 or more.")
    check_plan(plan)
    about = {"plan": plan.model_dump(mode="json", exclude_defaults=True), "fields": sorted(map(str, found))}
    folder = Path(folder) if folder else work_folder() / "searches" / f"{plan.method}-{digest(about)[:8]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(f"The folder {folder} cannot be made ({error.strerror}): choose another.") from None
    try:
        with FileLock(folder / "lock", timeout=0):
            return _search(plan, found, trials, folder, about | {"data": digests(sets_read(plan))})
    except Timeout:
        raise CourseError(f"Another process is searching in {folder}: wait for it, or choose another folder.") from None


def _search(plan: Plan, found: list[Choice], trials: int, folder: Path, about: dict) -> Search:
    from optuna.trial import TrialState

    from course_lib.prove.study import best_of, counted, draw, importances, next_trial, open_study

    study = open_study(folder, about)
    validation = Validation(plan, folder)
    if (possible := combinations(found, plan)) < trials:
        print(f"These values can be combined in {possible} ways, and each is tried once.")
        trials = possible
    if not study.trials and all(one.holds(getattr(plan, one.name)) for one in found):
        study.enqueue_trial({one.name: getattr(plan, one.name) for one in found})
    while len(before := counted(study)) < trials:
        _tidy(plan, best_of(before), before, folder)
        trial = next_trial(study, plan.seed)
        drawn = draw(trial, plan, found)
        if any(drawn == other.params for other in before):
            trial.set_user_attr("repeat", True)
            study.tell(trial, state=TrialState.FAIL)
            continue
        print(f"Trial {len(before) + 1} of {trials}: {', '.join(f'{name} {shown(drawn[name])}' for name in drawn)}")
        state, value, said = _outcome(trial, plan, drawn, _place(folder, trial), validation)
        print(f"  {said}" if value is None else f"  {said}, loss {value:.4f}")
        trial.set_user_attr("said", said)
        study.tell(trial, value, state)
    _tidy(plan, best_of(before), before, folder)
    return Search(folder, plan, found, before, importances(study), validation.n)


def _outcome(trial: "Trial", plan: Plan, drawn: dict, place: Path, validation: Validation) -> tuple:
    """(state, loss or None, how it ended) of a trial. What a plan refuses, or fails at twice in the same words, has failed."""
    from optuna.exceptions import TrialPruned
    from optuna.trial import TrialState

    def watch(step: int, model) -> None:
        value = validation.loss(model, candidate)
        if step not in trial.study.trials[trial.number].intermediate_values:  # a resumed run comes to it again
            trial.report(value, step)
        if math.isnan(value) or trial.should_prune():
            raise TrialPruned(f"given up after step {step}")

    try:
        candidate = plan.but(**drawn)
        check_plan(candidate)
    except CourseError as error:
        return TrialState.FAIL, None, str(error)
    try:
        run = train(candidate, folder=place, watch=watch)
    except TrialPruned as pruned:
        return TrialState.PRUNED, None, str(pruned)
    except CourseError as error:
        if trial.user_attrs.get("said") == str(error):
            return TrialState.FAIL, None, str(error)
        trial.set_user_attr("said", str(error))
        raise
    if not run.finished:
        raise CourseError("The search stopped within a trial: start it again to go on from there.")
    value = validation.loss(run.model(), candidate)
    if math.isnan(value):
        return TrialState.FAIL, None, "the loss is not a number: the learning rate is too high"
    return TrialState.COMPLETE, value, "finished"


def _place(folder: Path, trial) -> Path:
    """Where a trial is trained."""
    return folder / f"trial-{trial.number:04}"


def _tidy(plan: Plan, best: "FrozenTrial | None", ended: list["FrozenTrial"], folder: Path) -> None:
    """Write down the best plan so far, and delete the weights of all other trials, and every checkpoint of its run."""
    for trial in ended:
        if best is None or trial.number != best.number:
            shutil.rmtree(_place(folder, trial), ignore_errors=True)
    if best is None:
        return
    for checkpoint in _place(folder, best).rglob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
    write(folder / "best.yaml", plan.but(**best.params).to_text())


def shown(value) -> str:
    """A field's value in a table."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
