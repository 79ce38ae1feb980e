"""The reader's situation: what they have, and what they want from a model."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from course_lib.errors import CourseError
from course_lib.sentences import first_fault


def _whole(value):
    """1e4 counts as 10,000; True and "10" are slips, not counts."""
    if isinstance(value, bool | str | bytes):
        raise PydanticCustomError("count", "Input should be a whole number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole)]
Amount = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]


class Situation(BaseModel):
    """What you have and what you want. Frozen; `situation.but(n_tasks=5)` gives a changed copy.

    Raises:
        CourseError: an unknown field, or a value of the wrong kind or out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    gpu_gib: Amount = Field(0.0, ge=0, le=1024, description="memory of one GPU in GiB; 0 = no GPU")
    n_gpus: Count = Field(1, ge=1, le=100_000, description="number of such GPUs; with gpu_gib = 0 it means nothing")
    model_b: Amount | None = Field(
        None, gt=0, le=10_000, description="parameters wanted, in billions; None = the largest that fits"
    )
    n_examples: Count = Field(1000, ge=0, le=10**12, description="training examples for each task")
    preference_pairs: Count = Field(0, ge=0, le=10**12, description="pairs of a chosen and a rejected answer")
    n_tasks: Count = Field(1, ge=1, le=10**6, description="number of tasks the model must serve")
    goal: Literal["domain_knowledge", "response_quality", "output_format", "reduce_harm", "max_customization"] = Field(
        "output_format", description="what training should change most"
    )
    task: Literal["instruction", "classification", "code", "domain_adaptation"] = Field(
        "instruction", description="kind of task"
    )
    quality: Literal["good", "best"] = Field("good", description="good = very good will do; best = every last drop")
    domain_shift: Literal["small", "large"] = Field(
        "small", description="distance from the texts that the base model has seen; medicine and law are large"
    )
    latency_critical: Flag = Field(
        False, description="yes or no: the speed of the deployed model is a critical concern"
    )
    on_device: Flag = Field(False, description="yes or no: the model must run on a phone or another small device")
    rapid_iteration: Flag = Field(False, description="yes or no: many runs in a short time, such as a search")
    first_time: Flag = Field(False, description="yes or no: this is your first fine-tuning")
    prompting_tried: Flag = Field(
        True, description="yes or no: a good prompt with a few examples has been tried and was not enough"
    )
    has_eval_set: Flag = Field(True, description="yes or no: examples are set aside to measure with")
    composable: Flag = Field(
        False, description="yes or no: several tasks' modules must be combined or swapped as separate layers"
    )
    simple_task: Flag = Field(False, description="yes or no: a short, simple task such as sentiment or extraction")

    def __init__(self, **fields):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise CourseError(first_fault(error, Situation, "situation")) from None

    def but(self, **fields) -> "Situation":
        """A copy with some fields changed, checked like a new situation."""
        return Situation(**{**self.model_dump(), **fields})
