"""`course hosted`: a plan for a service prepared, submitted, watched and tried, from a terminal."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course_lib.errors import CourseError
from course_lib.plan import Plan

if TYPE_CHECKING:
    from course_lib.run.hosted import Hosted
    from course_lib.run.hosted_job import Job

hosted = typer.Typer(help="Fine-tune at a service, which charges for it.", no_args_is_help=True)
SERVICES = {  # address, and where its key is looked for
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "together": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
}


class Provider(StrEnum):
    """Whose protocol is spoken."""

    OPENAI = "openai"
    TOGETHER = "together"


Folder = Annotated[Path, typer.Argument(help="where `prepare` wrote the files")]
Service = Annotated[Provider, typer.Option(help="whose protocol is spoken")]
BaseUrl = Annotated[str | None, typer.Option(help="address of the service, where it is not the provider's own")]
KeyEnv = Annotated[str | None, typer.Option(help="environment variable with the key, where it is not the usual one")]
Again = Annotated[bool, typer.Option("--again", help="submit files anew, and pay again")]


@hosted.command()
def prepare(
    plan: Annotated[Path, typer.Argument(help="a plan, such as `course recommend --save` writes")],
    folder: Annotated[Path, typer.Argument(help="where the files go")],
    provider: Service = Provider.TOGETHER,
    model: Annotated[str | None, typer.Option(help="the service's model, for the price; default: the plan's")] = None,
    price_per_million: Annotated[float | None, typer.Option(help="US dollars, from the service's own page")] = None,
) -> None:
    """Write the files of a plan, check them, and say about what training will cost. Nothing is sent."""
    from course_lib.run.hosted_plan import prepare as prepare_files
    from course_lib.run.hosted_price import price

    wanted = Plan.from_yaml(plan)
    for files in prepare_files(wanted, folder, provider=provider.value):
        print(files)
        print(price(files, wanted.epochs, price_per_million, model or wanted.model))
    print(f"Next: course hosted submit {folder} MODEL, with the service's name of a model that it fine-tunes.")


@hosted.command()
def submit(
    folder: Folder,
    model: Annotated[str, typer.Argument(help="the service's name of the model to begin with")],
    base_url: BaseUrl = None,
    key_env: KeyEnv = None,
    again: Again = False,
) -> None:
    """Upload the next part of a prepared plan and start its job, which the service charges for."""
    from course_lib.run.hosted_files import read_files
    from course_lib.run.hosted_plan import parts_in, submit_next

    provider = read_files(parts_in(folder)[0].folder).provider
    submit_next(_service(provider, base_url, key_env), folder, model, again)


@hosted.command()
def status(
    folder: Folder,
    base_url: BaseUrl = None,
    key_env: KeyEnv = None,
    wait: Annotated[bool, typer.Option("--wait", help="until the job is done")] = False,
) -> None:
    """Say where each job of a prepared plan stands."""
    for name, job in _jobs(folder, base_url, key_env):
        if job is None:
            print(f"{name} was not submitted yet.")
        elif wait:
            job.wait()
        else:
            print(job.poll())


@hosted.command()
def cancel(folder: Folder, base_url: BaseUrl = None, key_env: KeyEnv = None) -> None:
    """Stop the job that was submitted last; what was trained until then may be charged."""
    jobs = [job for _, job in _jobs(folder, base_url, key_env) if job]
    if not jobs:
        raise CourseError(f"No job was submitted from {folder}: there is nothing to stop.")
    print(jobs[-1].cancel())


@hosted.command()
def ask(
    model: Annotated[str, typer.Argument(help="as `status` names it, or any other of the service")],
    text: Annotated[str, typer.Argument(help="what to say to it")],
    provider: Service = Provider.TOGETHER,
    base_url: BaseUrl = None,
    key_env: KeyEnv = None,
) -> None:
    """Put one message to a model of the service, which charges for it."""
    print(_service(provider.value, base_url, key_env).answer(model, text))


def _service(provider: str, base_url: str | None, key_env: str | None) -> "Hosted":
    from course_lib.run.hosted import Hosted

    usual_url, usual_key = SERVICES[provider]
    return Hosted(base_url or usual_url, key_env or usual_key, provider=provider)


def _jobs(folder: Path, base_url: str | None, key_env: str | None) -> list[tuple[str, "Job | None"]]:
    """(name, job) of each part; None where it was not submitted. A key goes to the reader's address, never to a file's."""
    from course_lib.run.hosted_plan import parts_in
    from course_lib.run.hosted_record import read

    found = []
    for part in parts_in(folder):
        record = read(part.folder)
        job = _service(record["provider"], base_url, key_env).job(part.folder) if record else None
        found.append((f"{part.objective} ({part.folder})", job))
    return found


def add_to(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(hosted, name="hosted")
