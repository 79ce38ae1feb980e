"""The first fault that pydantic found, as one plain sentence for the reader."""

import difflib
import re

from pydantic import BaseModel, ValidationError

LONGEST_SHOWN = 60  # characters of a wrong value that a sentence repeats


def first_fault(error: ValidationError, model: type[BaseModel], kind: str) -> str:
    """What is wrong with the first field at fault and what it must be; `kind` names the model to the reader ("plan")."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        near = _nearest(name, model.model_fields)
        hint = f"did you mean {near}?" if near else f"the fields are {', '.join(model.model_fields)}."
        return f"A {kind} has no field {name}: {hint}"
    if first["type"] == "value_error":
        return f"This {kind} contradicts itself: {first['ctx']['error']}."
    meaning = model.model_fields[name].description
    sentence = f"{kind.capitalize()} field {name} = {_shown(first['input'])}: it {_must(first)}"
    if meaning:
        sentence += f" ({meaning})"
    if first["type"] == "literal_error" and (near := _nearest(first["input"], _allowed(first))):
        return f"{sentence}; did you mean {near}?"
    return f"{sentence}."


def _must(fault: dict) -> str:
    if fault["type"] == "bool_type":
        return "must be True or False"
    return fault["msg"].removeprefix("Input ").replace("should be", "must be")


def _allowed(fault: dict) -> list[str]:
    return re.findall(r"'([^']*)'", fault["ctx"]["expected"])


def _nearest(word, words) -> str | None:
    near = difflib.get_close_matches(str(word).lower(), list(words), n=1)
    return near[0] if near else None


def _shown(value) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a value that cannot even be shown, such as an integer of 5,000 digits
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
