"""What lessons found on the guides' claims, stored by the page build and shown as stored: one JSON file for each lesson."""

import datetime
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from course_lib.errors import CourseError
from course_lib.prove.kept import write
from course_lib.prove.measured_runs import Kept

FOLDER = Path(__file__).parent / "measurements" / "claims"
Verdict = Literal["holds", "partly", "not here"]
Number = Annotated[float, Field(allow_inf_nan=False)]


class KeptFinding(Kept):
    """What one claim met. measured: in words; value, low, high: of a score with its 95 % interval; n: rows or runs."""

    measured: Annotated[str, Field(min_length=1)]
    verdict: Verdict
    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    n: Annotated[int, Field(ge=1)] | None = None


class KeptLesson(Kept):
    """One file: what a lesson's page found, by claim, and where. profile: of `course_lib.profile`; versions: by package."""

    form: Literal["claims-1"] = "claims-1"
    lesson: str
    date: Annotated[datetime.date, Field(strict=False)]
    machine: str
    profile: str
    versions: dict[str, str]
    seed: Annotated[int, Field(ge=0)] | None = None
    findings: dict[str, KeptFinding]


def store(lesson: str, findings: dict[str, KeptFinding], folder: Path, seed: int | None = None) -> None:
    """Write a lesson's findings into `folder`, whole or not at all, in place of those that are there.

    Raises:
        CourseError: the folder cannot be written.
    """
    from course_lib.profile import current_profile
    from course_lib.run.here import machine, versions

    found = KeptLesson(
        lesson=lesson,
        date=datetime.datetime.now(datetime.UTC).date(),
        machine=machine(),
        profile=current_profile().name,
        versions=versions(),
        seed=seed,
        findings=findings,
    )
    plain = found.model_dump(mode="json", exclude_none=True)
    write(folder / f"{lesson}.json", json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def stored() -> dict[str, KeptLesson]:
    """Lesson -> what its page found; lessons that have stored nothing are left out.

    Raises:
        CourseError: a file cannot be read, or is not what `store` wrote.
    """
    return {file.stem: _read(file) for file in sorted(FOLDER.glob("[0-9]*.json"))}


def _read(file: Path) -> KeptLesson:
    try:
        found = KeptLesson.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        fault = ": ".join([*filter(None, [".".join(map(str, first["loc"]))]), first["msg"]])
    except OSError as error:
        fault = error.strerror
    else:
        if found.lesson == file.stem:
            return found
        fault = f"it is of lesson {found.lesson}"
    raise CourseError(
        f"The stored findings {file.name} are damaged ({fault}): install the course again, or build that lesson's page."
    )
