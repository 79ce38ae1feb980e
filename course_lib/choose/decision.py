"""What a recommendation is made of."""

from dataclasses import dataclass

from course_lib.choose.shapes import ModelShape


@dataclass(frozen=True)
class Reason:
    """Words, and where they come from: a guide's key, "memory model", or "measured:<lesson>"."""

    text: str
    source: str

    def __str__(self) -> str:
        return f"{self.text} [{self.source}]"


@dataclass(frozen=True)
class Alternative:
    """A method that was not taken."""

    method: str
    why_not: str
    source: str


@dataclass(frozen=True)
class Change:
    """The smallest change of one field that gives another method."""

    field: str
    value: object
    method: str

    def __str__(self) -> str:
        value = f"{self.value:,}" if isinstance(self.value, int) and not isinstance(self.value, bool) else self.value
        return f"{self.field} = {value} would make it {self.method}"


@dataclass(frozen=True)
class Decision:
    """What the rules and the memory model came to. too_big: method -> GiB per GPU that it would need at the least."""

    method: str
    objective: str = "none"
    model: ModelShape | None = None
    fields: dict | None = None
    reasons: tuple[Reason, ...] = ()
    too_big: dict[str, float] | None = None
