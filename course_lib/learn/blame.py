"""Whose error stopped a check, the reader's or ours; where it came from, in words. Trusts nothing that it is handed."""

import dis
import inspect
import linecache
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from traceback import FrameSummary, StackSummary, walk_tb
from types import BuiltinFunctionType, FunctionType, MethodType

LONGEST = 700  # characters of a message; of a longer one the beginning and the end are kept
LONGEST_NAME = 80
LONGEST_TRACE = 4000
UNCALLABLE = "' object is not callable"
IDLE = ("RESUME", "NOP", "CACHE", "COPY_FREE_VARS", "RETURN_VALUE")


@dataclass(frozen=True)
class Blame:
    """An error in words. theirs: it came from the reader's code; trace: the lines of it, outermost first."""

    theirs: bool
    words: str
    trace: str = ""


def blame(error: BaseException, objects: Mapping[str, object], names: Mapping[str, object]) -> Blame:
    """Tell the reader's error from ours: theirs if it passed through their code or came of how we had to call it.

    Args:
        error: what stopped the test.
        objects: the reader's objects, by name.
        names: the reader's globals.
    """
    own = [f for value in objects.values() for f in functions(value)]
    codes = {f.__code__ for f in own}
    said = shorten(f"{name_of(type(error))}: {text_of(error)}")
    lines = [
        _line(frame, line)
        for frame, line in walk_tb(error.__traceback__)
        if frame.f_code in codes or frame.f_globals is names or _is_main(frame.f_globals)
    ]
    if lines:
        name, line, code = lines[-1].name, lines[-1].lineno, lines[-1].line
        where = f"In `{name}`, line {line}" + (f": `{code}`." if code else ".")
        words = f"{said}\n{where} Try it in a cell of its own, with a small input, and print what it gets."
        trace = "".join(StackSummary.from_list(lines).format()) + said
        return Blame(True, words, shorten(trace, LONGEST_TRACE))
    if isinstance(error, TypeError) and _called_wrongly(text_of(error), list(objects.values()), own):
        return Blame(True, f"{said}\nThe check could not call it: compare its name and arguments with the task's.")
    return Blame(False, said)


def functions(value: object) -> list[FunctionType]:
    """The functions that the reader wrote: `value` itself, the methods of a class, or what is called; unwrapped."""
    kind = type(value)
    try:
        if kind is partial:
            return functions(value.func)
        if kind is MethodType:
            return functions(value.__func__)
        found = vars(value).values() if issubclass(kind, type) else [value, vars(kind).get("__call__")]
        return [_unwrapped(f) for f in found if type(f) is FunctionType]
    except Exception:  # a class whose own dictionary cannot be had
        return []


def is_empty(value: object) -> bool:
    """Whether `value` is None, `...`, or a function that does nothing: `...`, `pass`, a docstring, `return None`."""
    if value is None or value is ...:
        return True
    return type(value) is FunctionType and all(
        step.opname in IDLE or (step.opname in ("LOAD_CONST", "RETURN_CONST") and step.argval in (None, ...))
        for step in dis.get_instructions(_unwrapped(value))
    )


def source(function: FunctionType) -> str:
    """The text of a function; empty where it cannot be had."""
    try:
        return inspect.getsource(function)
    except Exception:  # also what the tokenizer raises over a cell that has changed since
        return ""


def text_of(value: object) -> str:
    """`str(value)`, whatever its class does."""
    try:
        return str.__str__(str(value))
    except KeyboardInterrupt:
        raise
    except BaseException:
        return "(cannot be shown)"


def name_of(kind: type) -> str:
    """The name of a class, short enough to show."""
    return shorten(_name(kind), LONGEST_NAME)


def shorten(text: str, longest: int = LONGEST) -> str:
    """Text that can be read: its beginning and its end, control characters spelled out."""
    if len(text) > longest:
        text = f"{text[: longest * 2 // 3]} ... ({len(text):,} characters) ... {text[-longest // 4 :]}"
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _called_wrongly(words: str, values: list[object], own: list[FunctionType]) -> bool:
    """Whether a TypeError's words say that one of the reader's objects cannot be called, or not with these arguments."""
    if words.endswith(UNCALLABLE):
        name = words.removesuffix(UNCALLABLE)[1:].rpartition(".")[2]
        return any(_name(type(value)).startswith(name) for value in values)
    named = [f.__qualname__ for f in own] + [_name(value) for value in values if issubclass(type(value), type)]
    for value in values:
        if type(value) is BuiltinFunctionType:
            named += [value.__name__, f"{value.__module__}.{value.__name__}"]
    return words.startswith(tuple(f"{name}()" for name in named))


def _name(kind: type) -> str:
    return type.__dict__["__name__"].__get__(kind)


def _unwrapped(function: FunctionType) -> FunctionType:
    try:
        inner = inspect.unwrap(function)
    except Exception:
        return function
    return inner if type(inner) is FunctionType else function


def _is_main(names: Mapping[str, object]) -> bool:
    name = names.get("__name__")
    return type(name) is str and name == "__main__"


def _line(frame, line: int) -> FrameSummary:
    code = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
    name = shorten(frame.f_code.co_name, LONGEST_NAME)
    return FrameSummary("your code", line, name, lookup_line=False, line=shorten(code, 200))
