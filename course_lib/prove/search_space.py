"""Fields of a plan to search over, from words such as `lr=1e-4..1e-2` and `rank=4,8,16`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run.methods import METHODS
from course_lib.run.objectives import OBJECTIVES

DECADE = 10  # a range whose ends are this many times apart is searched on a log scale
OF_METHODS = {field for method in METHODS.values() for field in method.reads}
NOT_TO_SEARCH = (
    dict.fromkeys(
        ("model", "revision", "objective", "data", "pairs", "texts"),
        "it decides what the loss is measured on, so that losses could not be compared",
    )
    | dict.fromkeys(("n_gpus", "sharding", "save_steps"), "it changes nothing that the model learns")
    | {"seed": "a lucky seed is no better setting"}
)


@dataclass(frozen=True)
class Choice:
    """A field and what it may be: one of `values`, or a number from `low` to `high`, on a log scale if `log`."""

    name: str
    values: tuple = ()
    low: float = 0
    high: float = 0
    log: bool = False

    def suggest(self, trial):
        """What an Optuna trial takes."""
        if self.values:
            return trial.suggest_categorical(self.name, list(self.values))
        ask = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return ask(self.name, self.low, self.high, log=self.log)

    def holds(self, value) -> bool:
        """Whether the field may be this."""
        return value in self.values if self.values else value is not None and self.low <= value <= self.high

    def size(self) -> float:
        """How many values there are."""
        if self.values:
            return len(self.values)
        return self.high - self.low + 1 if isinstance(self.low, int) else math.inf


def choices(plan: Plan, fields: Mapping[str, str | Sequence]) -> list[Choice]:
    """The fields to search over, `method` first, since it says which others are read.

    Args:
        plan: what all other fields are taken from.
        fields: name -> "low..high", or values as "4,8,16" or as a sequence.

    Raises:
        CourseError: nothing to search, an unknown field, a value that a plan refuses, or a field that nothing here reads.
    """
    if not fields:
        raise CourseError("There is nothing to search over: give a field such as lr=1e-4..1e-2 or rank=4,8,16.")
    found = sorted((_choice(plan, name, said) for name, said in fields.items()), key=lambda one: one.name != "method")
    methods = found[0].values if found[0].name == "method" else (plan.method,)
    for choice in found:
        if not any(is_read(choice.name, plan, method) for method in methods):
            raise CourseError(
                f"{choice.name} is not read by {' or '.join(methods)} with objective {plan.objective}: leave it out of the search."
            )
    return found


def is_read(field: str, plan: Plan, method: str) -> bool:
    """Whether a field changes what a method does under the plan's objective."""
    stages = OBJECTIVES[plan.objective].stages
    if field == "beta":
        return "dpo" in stages
    if field == "dpo_lr":
        return stages == ("sft", "dpo")
    return field not in OF_METHODS or field in METHODS[method].reads


def combinations(found: list[Choice], plan: Plan) -> float:
    """How many different plans there are to try; infinite with a range of real numbers."""
    methods = found[0].values if found[0].name == "method" else (plan.method,)
    return sum(
        math.prod(one.size() for one in found if one.name != "method" and is_read(one.name, plan, method))
        for method in methods
    )


def _choice(plan: Plan, name: str, said: str | Sequence) -> Choice:
    if name in NOT_TO_SEARCH:
        raise CourseError(f"{name} is not a field to search over: {NOT_TO_SEARCH[name]}.")
    if isinstance(said, str) and ".." in said:
        return _range(plan, name, said)
    texts = said.split(",") if isinstance(said, str) else said
    values = tuple(dict.fromkeys(_value(plan, name, text) for text in texts))
    if len(values) < 2:
        raise CourseError(f"{name} has one value only, which needs no search: give two or more, or set it in the plan.")
    return Choice(name, values)


def _range(plan: Plan, name: str, said: str) -> Choice:
    low, high = (_value(plan, name, text) for text in said.split("..", 1))
    if isinstance(low, bool) or not isinstance(low, int | float) or not isinstance(high, int | float):
        raise CourseError(
            f"{name} has no range, for it is no number: give its values as a list, such as {name}={low},{high}."
        )
    if low >= high:
        raise CourseError(f"The range {said} of {name} is empty: give the smaller end first.")
    return Choice(name, (), low, high, log=low > 0 and high >= DECADE * low)


def _value(plan: Plan, name: str, text):
    """A value as a plan has it."""
    return getattr(plan.but(**{name: text.strip() if isinstance(text, str) else text}), name)
