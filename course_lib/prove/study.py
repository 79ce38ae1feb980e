"""An Optuna study in a file: opened again after a kill, its trials drawn the same way whether it was killed or not."""

import json
import warnings
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DatabaseError

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.prove.search_space import Choice, is_read

optuna.logging.set_verbosity(optuna.logging.ERROR)

STORE = "study.db"
ENOUGH = 10  # finished trials from which on it is said which field mattered most


def open_study(folder: Path, about: dict) -> optuna.Study:
    """The study of a folder, made where there is none; `about` says what is searched, as JSON values.

    Raises:
        CourseError: the folder holds a study of something else, or a store that cannot be read.
    """
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{(folder / STORE).absolute()}",
            study_name="search",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(),
        )
        known = study.user_attrs
    except (DatabaseError, RuntimeError) as error:
        raise CourseError(
            f"{folder / STORE} cannot be read as a study ({str(error).splitlines()[0]}): choose another folder, or delete that file."
        ) from None
    about = json.loads(json.dumps(about))
    for name, value in about.items():
        if name not in known and not study.trials:
            study.set_user_attr(name, value)
        elif known.get(name) != value:
            raise CourseError(
                f"{folder} holds a search with another {name}: choose another folder, or search with the same {name} as before."
            )
    return study


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have ended, without the repeats, which were never trained."""
    return [trial for trial in study.trials if trial.state.is_finished() and "repeat" not in trial.user_attrs]


def best_of(trials: list[FrozenTrial]) -> FrozenTrial | None:
    """The one with the lowest loss of those that were trained to the end."""
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return min(finished, key=lambda trial: trial.value, default=None)


def next_trial(study: optuna.Study, seed: int) -> Trial:
    """The trial that was under way when the search was killed, else a new one.

    Each trial has a sampler of its own, seeded by its number, so that a search goes on as if it had not been killed. After a
    repeat of an earlier trial chance takes over from TPE, which might propose the same again for long.
    """
    waiting = sum(trial.state == TrialState.WAITING for trial in study.trials)
    under_way = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
    number = under_way[0].number if under_way else len(study.trials) - waiting
    drawn_from = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    repeated = number and "repeat" in study.trials[number - 1].user_attrs
    if repeated:
        study.sampler = optuna.samplers.RandomSampler(seed=drawn_from)
    else:
        study.sampler = optuna.samplers.TPESampler(seed=drawn_from)
    return Trial(study, under_way[0]._trial_id) if under_way else study.ask()


def draw(trial: Trial, plan: Plan, found: list[Choice]) -> dict:
    """The trial's fields: what was drawn before, or drawn now. A field that the drawn method does not read is left out."""
    drawn = {}
    for choice in found:
        if is_read(choice.name, plan, drawn.get("method", plan.method)):
            drawn[choice.name] = choice.suggest(trial)
    return drawn


def importances(study: optuna.Study) -> dict[str, float]:
    """Field -> share of what sets good trials apart (PED-ANOVA, Watanabe et al. 2023); empty with fewer than `ENOUGH` trials."""
    if sum(trial.state == TrialState.COMPLETE for trial in study.trials) < ENOUGH:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.importance.get_param_importances(study)
