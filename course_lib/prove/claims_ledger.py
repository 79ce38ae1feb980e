"""What the five guides claim: `claims.toml`, checked when it is read."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from course_lib.choose.guides import GUIDES
from course_lib.errors import CourseError
from course_lib.learn.paths import LESSONS, spans
from course_lib.said import clip

LEDGER = Path(__file__).with_name("claims.toml")
Words = Annotated[str, Field(min_length=1)]


class Claim(BaseModel):
    """A sentence of a guide that could come out wrong.

    says: the guide's words, without its markdown; of a table "row: column: cell". place: the section, in the guide's words.
    lesson: the one that measures it. untestable: why no lesson can; empty where one can.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9_-]+(\.[a-z0-9_-]+)+$")]
    guide: str
    place: Words
    says: Words
    lesson: str
    untestable: str = ""

    @field_validator("guide")
    @classmethod
    def _is_a_guide(cls, guide: str) -> str:
        if guide not in GUIDES:
            raise ValueError(f"must be one of {', '.join(GUIDES)}")
        return guide

    @field_validator("lesson")
    @classmethod
    def _is_a_lesson(cls, lesson: str) -> str:
        if lesson not in LESSONS:
            raise ValueError(f"must be one of {spans(LESSONS)}")
        return lesson


@cache
def ledger(file: Path = LEDGER) -> tuple[Claim, ...]:
    """Every claim, in the order of the file.

    Raises:
        CourseError: the file is damaged, two claims have one id, or one names a guide or lesson that there is not.
    """
    try:
        found = tuple(Claim(**one) for one in tomllib.loads(file.read_text(encoding="utf-8"))["claim"])
        names = [one.id for one in found]
        twice = next((name for name in names if names.count(name) > 1), "")
        fault = f"two claims are called {twice}" if twice else ""
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"{'.'.join(map(str, first['loc']))} = {clip(repr(first['input']), 60)}: {first['msg']}"
    except (OSError, ValueError, LookupError, TypeError) as error:
        fault = str(error)
    if fault:
        raise CourseError(f"The ledger {file.name} is damaged ({fault}): install the course again, or mend the file.")
    return found


def chosen(lesson: str | None = None, guide: str | None = None) -> tuple[Claim, ...]:
    """The claims of one lesson, of one guide, or of both.

    Raises:
        CourseError: there are none.
    """
    lesson, guide = (None if asked is None else str(asked).strip() for asked in (lesson, guide))
    if guide not in (None, *GUIDES):
        raise CourseError(f"There is no guide {clip(guide, 60)!r}: choose from {', '.join(GUIDES)}.")
    of_guide = [one for one in ledger() if guide in (None, one.guide)]
    if found := tuple(one for one in of_guide if lesson in (None, one.lesson)):
        return found
    owners = {one.lesson for one in of_guide}
    raise CourseError(
        f"Lesson {clip(str(lesson), 60)!r} measures no claim{f' of {guide}' if guide else ''}: "
        f"choose from {spans(number for number in LESSONS if number in owners)}."
    )
