"""What a reader has answered, kept in a small file: a page reload or a new kernel finds it again."""

import json
from dataclasses import asdict, dataclass, field, fields
from dataclasses import replace as but
from pathlib import Path

from course_lib.choose.gpus import gpu
from course_lib.choose.situation import Situation
from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.widgets.words import FIELDS, VIEWS, read_number

LONGEST_NAME = 60
FORM = 1  # of the file; another one is not read


@dataclass(frozen=True)
class Answers:
    """The situation, and where in the selector the reader is. question: 0 to 4, 5 = all five answered."""

    situation: Situation = field(default_factory=Situation)
    gpu: str = ""  # a name of gpus.toml; empty where only its memory was given
    view: str = "tree"
    question: int = 0
    scenario: str = ""
    everything: bool = False  # in the view of the guides

    def __post_init__(self):
        kinds = {"gpu": str, "view": str, "question": int, "scenario": str, "everything": bool}
        wrong = [name for name, kind in kinds.items() if type(getattr(self, name)) is not kind]
        if wrong or self.view not in VIEWS or not 0 <= self.question <= 5:
            raise CourseError(f"{', '.join(wrong) or 'view or question'} cannot be right.")
        if self.gpu:
            gpu(self.gpu)


def changed(answers: Answers, name: str, value) -> Answers:
    """The answers after a control's value: a field of the situation, or `gpu`, a card's name.

    Raises:
        CourseError: no number, no such card, or a value out of range.
    """
    card_name = answers.gpu
    if name == "gpu":
        if len(value) > LONGEST_NAME:
            raise CourseError("GPU by name: that is too long for the name of a card. Type one such as RTX 4090.")
        card = gpu(value) if value.strip() else None
        card_name, name = card.name if card else "", "gpu_gib"
        value = answers.situation.gpu_gib if card is None else 0.0 if card.kind == "cpu" else float(card.memory_gib)
    elif FIELDS[name].kind == "number":
        value = read_number(name, value)
        card_name = "" if name == "gpu_gib" else card_name
    return but(answers, situation=answers.situation.but(**{name: value}), gpu=card_name)


def read(path: Path) -> tuple[Answers, str]:
    """The answers of a file and no words; the defaults, and why in words, where it is damaged. Never raises."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(kept, dict) or kept.pop("form", None) != FORM:
            return Answers(), f"{path.name} was written by another version: the questions start afresh."
        known = {f.name for f in fields(Answers)}
        return Answers(
            **{**{k: v for k, v in kept.items() if k in known}, "situation": Situation(**kept["situation"])}
        ), ""
    except FileNotFoundError:
        return Answers(), ""
    except (OSError, ValueError, TypeError, KeyError, RecursionError, CourseError):
        return Answers(), f"Your earlier answers in {path.name} cannot be read: the questions start afresh."


def write(answers: Answers, path: Path) -> str:
    """Keep the answers, whole or not at all; why not, in words. Never raises."""
    kept = {"form": FORM, **asdict(answers), "situation": answers.situation.model_dump()}
    return replace(path, json.dumps(kept, indent=1) + "\n")


def replace(path: Path, text: str) -> str:
    """Write a file whole or not at all; empty, or why it could not be written, in words."""
    try:
        write_whole(path, text)
    except OSError as error:
        return f"{path.name} could not be written ({error.strerror}): free space or write access in {path.parent} is needed."
    return ""
