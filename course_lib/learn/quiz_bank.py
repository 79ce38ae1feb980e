"""What a quiz's file holds: jupyterquiz's questions with our `id`, `after` and the type `ordering`, checked when read."""

import tomllib
from functools import cache
from pathlib import Path
from string import ascii_lowercase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from course_lib.errors import CourseError

Finite = Annotated[float, Field(allow_inf_nan=False)]
Listed = Field(strict=False, min_length=1, max_length=len(ascii_lowercase))  # a TOML list where a tuple is wanted


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Option(_Part):
    """An answer to choose. feedback: why it is right, or why not and what would be."""

    answer: str
    correct: bool
    feedback: str


class Step(_Part):
    """One of the things to put in order. feedback: why it stands where it does."""

    answer: str
    feedback: str


class Value(_Part):
    """A number, right or a known slip."""

    type: Literal["value"]
    value: Finite
    correct: bool
    feedback: str


class Range(_Part):
    """Numbers from the first to the second, both included."""

    type: Literal["range"]
    range: Annotated[tuple[Finite, Finite], Field(strict=False)]
    correct: bool
    feedback: str


class Default(_Part):
    """What is said to any other number."""

    type: Literal["default"]
    feedback: str


class Question(_Part):
    """What all types have. after: why it matters, said with a right answer. id: progress is kept under it, for good."""

    id: Annotated[str, Field(pattern="^[a-z0-9-]{1,40}$")]
    question: str
    after: str = ""


class Choice(Question):
    """One right answer (multiple_choice) or several (many_choice)."""

    type: Literal["multiple_choice", "many_choice"]
    answers: Annotated[tuple[Option, ...], Listed]

    @property
    def options(self) -> tuple[str, ...]:
        """The words of a), b), ..."""
        return tuple(option.answer for option in self.answers)


class Numeric(Question):
    """A number; the first of the answers that it meets is the one that counts. precision: significant digits compared."""

    type: Literal["numeric"]
    answers: Annotated[tuple[Annotated[Value | Range | Default, Field(discriminator="type")], ...], Listed]
    precision: Annotated[int, Field(ge=1, le=15)] | None = None
    unit: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """None to choose from."""
        return ()


class Ordering(Question):
    """Steps in their right order; `shown` says which one is a), b), ...: `[3, 1, 2]` shows the third first."""

    type: Literal["ordering"]
    answers: Annotated[tuple[Step, ...], Listed]
    shown: Annotated[tuple[int, ...], Listed]

    @model_validator(mode="after")
    def _is_permutation(self):
        if sorted(self.shown) != [*range(1, len(self.answers) + 1)]:
            raise ValueError(f"shown must hold each of 1 to {len(self.answers)} once")
        return self

    @property
    def options(self) -> tuple[str, ...]:
        """The words of a), b), ..."""
        return tuple(self.answers[place - 1].answer for place in self.shown)


class Bank(_Part):
    """A file."""

    questions: Annotated[tuple[Annotated[Choice | Numeric | Ordering, Field(discriminator="type")], ...], Listed]


@cache
def read(path: Path) -> tuple[Choice | Numeric | Ordering, ...]:
    """The questions of a file.

    Raises:
        CourseError: it cannot be read, or is no bank of questions.
    """
    try:
        return Bank.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).questions
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        fault = f"{where}: {first['msg']}"
    except (OSError, ValueError, RecursionError) as error:
        fault = getattr(error, "strerror", None) or str(error)
    raise CourseError(f"The quiz {path.name} is damaged ({fault}): install the course again, or mend the file.")
