"""A plan for a service: its files written and priced part by part, and the parts submitted one after the other.

`recommend` gives such a plan for method `hosted`. Of it, a service is asked for the objective, the epochs and beta; its
learning rate and LoRA settings are left to the service, which knows its models. sft+dpo is two jobs: the second starts from
the model that came out of the first.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.plan import Plan
from course_lib.run.hosted import Hosted
from course_lib.run.hosted_files import HostedFiles, check_file, read_files, write_files
from course_lib.run.hosted_job import Job, State
from course_lib.run.hosted_record import read

PLAN = "plan.yaml"
DATA = {"sft": "data", "dpo": "pairs"}  # which field of the plan names the rows


@dataclass(frozen=True)
class Part:
    """One job of a plan: objective sft or dpo, and the folder of its files."""

    objective: Literal["sft", "dpo"]
    folder: Path


def parts(plan: Plan, folder: str | Path) -> list[Part]:
    """The jobs that a plan asks for, in order; two have a folder each, as the stages of a run have.

    Raises:
        CourseError: the objective is none that services offer.
    """
    folder, names = Path(folder).expanduser(), plan.objective.split("+")
    if not set(names) <= set(DATA):
        raise CourseError(
            f"Services train on chats and on preference pairs, and objective {plan.objective} asks for more: set objective to "
            "sft, dpo or sft+dpo, or train with a method of your own."
        )
    if len(names) == 1:
        return [Part(names[0], folder)]
    return [Part(name, folder / f"{number}-{name}") for number, name in enumerate(names, 1)]


def parts_in(folder: str | Path) -> list[Part]:
    """The jobs of the plan that was prepared in a folder. Raises CourseError when none was."""
    folder = Path(folder).expanduser()
    if not (folder / PLAN).exists():
        raise CourseError(f"No plan was prepared in {folder}: run course hosted prepare first.")
    return parts(Plan.from_yaml(folder / PLAN), folder)


def prepare(
    plan: Plan,
    folder: str | Path,
    *,
    provider: Literal["openai", "together"] = "openai",
    validation: bool = True,
    tokenizer=None,
) -> list[HostedFiles]:
    """Write the files of each part of a plan, check them, and put the plan beside them.

    Args:
        provider, validation, tokenizer: as in `write_files`.

    Raises:
        CourseError: as `write_files` and `parts`, data of another form than the objective needs, or a fault in what was written.
    """
    found = []
    for part in parts(plan, folder):
        name = getattr(plan, DATA[part.objective])
        files = write_files(
            name, part.folder, provider=provider, validation=validation, n_train=plan.n_train, tokenizer=tokenizer
        )
        if (files.form == "pair") != (part.objective == "dpo"):
            wanted = "preference pairs" if part.objective == "dpo" else "chats"
            raise CourseError(
                f"{name} does not hold {wanted}, which {part.objective} needs: set {DATA[part.objective]}."
            )
        for file in filter(None, (files.train, files.validation)):
            if faults := check_file(file, provider, training=file == files.train, form=files.form):
                raise CourseError(f"{provider} would refuse {file}: {faults[0]}")
        found.append(files)
    try:
        write_whole(Path(folder).expanduser() / PLAN, plan.to_text())
    except OSError as error:
        raise CourseError(
            f"The plan could not be written to {folder} ({error.strerror}): give another folder."
        ) from None
    return found


def submit_next(service: Hosted, folder: str | Path, model: str, again: bool = False) -> Job:
    """Submit the first part of a prepared plan that was not submitted yet; a second one goes on from the first one's model.

    Args:
        model: the service's name of the model to begin with.
        again: submit, and pay for, a part anew that has failed, was cancelled, or is the last.

    Raises:
        CourseError: as `Hosted.submit`, nothing was prepared there, or the part before is not done.
    """
    *before, part = parts_in(folder)
    plan = Plan.from_yaml(Path(folder).expanduser() / PLAN)
    tuned = False
    for earlier in before:
        state = _state(service, earlier)
        if state is None or (again and state.status in ("failed", "cancelled")):
            part = earlier
            break
        if state.status != "done":
            then = "it is done" if state.status in ("waiting", "running") else "its cause is mended, with again"
            raise CourseError(f"{state} The next part starts from its model: submit again when {then}.")
        model, tuned = state.model, True
    beta = plan.beta if part.objective == "dpo" else None
    return service.submit(read_files(part.folder), model, plan.epochs, again=again, beta=beta, tuned=tuned)


def _state(service: Hosted, part: Part) -> State | None:
    record = read(part.folder)
    return service.job(part.folder).poll() if record and record["job"] else None
