"""What a guide says, as data: sections, statements, tables, and the advice that they add up to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from course_lib.choose.situation import Situation

METHODS = {
    "prompting": "prompting",
    "hosted": "fine-tuning over an API",
    "full": "full fine-tuning",
    "lora": "LoRA",
    "qlora": "QLoRA",
    "adapters": "adapters",
    "prompt_tuning": "prompt tuning",
}
OBJECTIVES = {
    "none": "no training",
    "sft": "SFT",
    "dpo": "DPO",
    "sft+dpo": "SFT + DPO",
    "cpt+sft": "continued pretraining, then SFT",
    "classification": "a classification head",
}
NAMED = "a model named as an example"  # the setting of a model size that is an example, not the largest
TOPICS = ("method", "model size", "objective", "data size", "hyperparameters", "quality")


@dataclass(frozen=True)
class Statement:
    """One thing that a guide says and that applies to a situation."""

    guide: str
    where: str  # heading of the section in the guide
    place: str  # the section's name inside a sentence of ours
    says: str  # the guide's own words, its markdown included
    topic: str = "method"  # one of TOPICS
    methods: tuple[str, ...] = ()  # speaks for these
    against: tuple[str, ...] = ()  # speaks against these
    model_b: tuple[float, float] | None = None  # size range, billions of parameters
    objectives: tuple[str, ...] = ()
    setting: str = ""  # what `value` is a value of
    value: tuple = ()  # (low, high), or words
    gist: str = ""  # the value in a few words
    yields: bool = False  # a default, option or aside: the guide's other words go before it
    note: str = ""  # our remark where the guide is wrong or unclear


@dataclass(frozen=True)
class Section:
    """A section of a guide; `section.says(words, ...)` makes a statement of it."""

    guide: str
    where: str
    place: str

    def says(self, words: str, topic: str = "method", **rest) -> Statement:
        """A statement of this section, in these words."""
        return Statement(self.guide, self.where, self.place, words, topic, **rest)


@dataclass(frozen=True)
class Table:
    """A table of a guide, cell by cell, in its words."""

    where: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, where: str, text: str) -> "Table":
        """A table written out: a line for each row, ` | ` between cells, the column names first."""
        columns, *rows = (tuple(cell.strip() for cell in line.split(" | ")) for line in text.strip().splitlines())
        return cls(where, columns, tuple(rows))

    def row(self, first: str) -> dict[str, str]:
        """The row whose first cell is `first`, by column."""
        return next(dict(zip(self.columns, row, strict=True)) for row in self.rows if row[0] == first)


@dataclass(frozen=True)
class Advice:
    """A guide's answer to one situation."""

    guide: str
    methods: tuple[str, ...] = ()  # best first
    says: str = ""  # the words that decided
    where: str = ""  # their section
    statements: tuple[Statement, ...] = field(default=(), repr=False)

    @property
    def silent(self) -> bool:
        """True where nothing in the guide applies to the situation."""
        return not self.statements


Rule = tuple[Callable[[Situation], bool], Statement]


def with_size(holds, section: Section, words: str, methods, size, gist: str, sized=None, **rest) -> tuple[Rule, Rule]:
    """Two rules of one sentence: the methods it names, and the model size that it says for them (or for `sized`)."""
    about_size = {"methods": sized or methods, "model_b": size, "gist": gist, **rest}
    return (
        (holds, section.says(words, methods=methods, note=rest.get("note", ""))),
        (holds, section.says(words, "model size", **about_size)),
    )


def applying(rules: Iterable[Rule], situation: Situation) -> tuple[Statement, ...]:
    """The statements of those rules whose condition holds, in the guide's order."""
    return tuple(statement for holds, statement in rules if holds(situation))


def narrow(methods: Iterable[str], *wishes: Iterable[str]) -> tuple[str, ...]:
    """What is left of `methods` after each wish that names one of them; a wish that names none changes nothing."""
    left = tuple(methods)
    for wish in wishes:
        left = tuple(method for method in left if method in wish) or left
    return left


def without(methods: Iterable[str], against: Iterable[str]) -> tuple[str, ...]:
    """`methods`, once each, less those spoken against; all of them where none would be left."""
    methods, against = tuple(dict.fromkeys(methods)), set(against)
    return tuple(method for method in methods if method not in against) or methods


def spoken_against(statements: Iterable[Statement]) -> set[str]:
    """The methods that firm statements speak against."""
    return {method for s in statements if not s.yields for method in s.against}


def most_reasons(statements: Iterable[Statement]) -> tuple[str, ...]:
    """Methods by the number of firm statements that speak for them, most first; ties in the guide's order."""
    reasons: dict[str, int] = {}
    for statement in statements:
        for method in statement.methods if statement.topic == "method" and not statement.yields else ():
            reasons[method] = reasons.get(method, 0) + 1
    return tuple(sorted(reasons, key=reasons.__getitem__, reverse=True))


def advice(guide: str, methods: tuple[str, ...], statements: tuple[Statement, ...]) -> Advice:
    """Advice whose deciding words are the first on method that speak for the best one, firm words before asides."""
    speaking = [s for s in statements if s.topic == "method" and methods[0] in s.methods]
    decisive = min(speaking, key=lambda s: s.yields)
    return Advice(guide, methods, decisive.says, decisive.where, statements)


def option(statement: Statement) -> Statement:
    """The same statement as a default, option or aside."""
    return replace(statement, yields=True)
