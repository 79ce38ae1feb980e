"""How a measured run is stored: one line of JSON, exact in every field, with the setting that it was measured in."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from course_lib.errors import CourseError

Share = Annotated[float, Field(ge=0, le=1)]
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Kept(BaseModel):
    """A part of a stored line, exactly as it must be."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Setting(Kept):
    """What all runs of a bench share: task, budget and machine.

    step_rows: rows of each optimizer step. precision: what is computed in. versions: package -> version. general: name of the
    plain texts that say what was forgotten.
    """

    model: str
    data: str
    train_rows: Count
    step_rows: Count
    test_rows: Count
    max_new_tokens: Count
    machine: str
    threads: Count
    precision: str
    versions: dict[str, str]
    general: str
    general_texts: Count


class Training(Kept):
    """What one training cost.

    tokens: of the rows, all steps counted, never padding. seconds: of the steps alone. peak_gib: see `meter.Meter`;
    memory_of says what it is of. saved_bytes: of the trained weights on disk. trained, parameters: numbers of weights.
    """

    lr: Above0
    steps: Count
    tokens: Count
    seconds: Above0
    peak_gib: Above0
    memory_of: str
    saved_bytes: Count
    trained: Count
    parameters: Count


class OneRun(Kept):
    """One line of the store: one method and seed, or one prompt without training.

    values: metric -> score of each test row, in their order. general: nats and tokens of each general text, in their order.
    answer_seconds: for all test rows. busy_cores: what other programs took of the machine as the run began.
    """

    form: Literal["method-run-1"] = "method-run-1"
    case: str
    seed: Annotated[int, Field(ge=0)]
    date: Annotated[date, Field(strict=False)]
    setting: Setting
    values: dict[str, list[Share]]
    general: list[tuple[Above0, Above0]]
    answer_seconds: Above0
    busy_cores: Annotated[float, Field(ge=0)]
    training: Training | None

    @model_validator(mode="after")
    def _every_row_is_scored(self):
        if not self.values or any(len(row) != self.setting.test_rows for row in self.values.values()):
            raise ValueError(f"each metric needs {self.setting.test_rows} values, one for each test row")
        if len(self.general) != self.setting.general_texts:
            raise ValueError(f"general needs nats and tokens of {self.setting.general_texts} texts")
        return self


def read_runs(path: Path) -> list[OneRun]:
    """The runs in a file; none where it is missing. A last line that was cut off is left out.

    Raises:
        CourseError: another line cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    runs = []
    for number, line in enumerate(lines, 1):
        try:
            runs.append(OneRun.model_validate_json(line))
        except ValidationError as error:
            fault = error.errors()[0]
            if number == len(lines) and fault["type"] == "json_invalid":
                break
            place = ".".join(map(str, fault["loc"]))
            raise CourseError(
                f"{path.name}, line {number}, is no result of this bench ({f'{place}: ' if place else ''}{fault['msg']}): "
                "run the bench anew into another file."
            ) from None
    return runs
