"""Every call of a script for Unsloth against the signature of what it calls.

Unsloth's functions are read from its source with `ast`, for importing it takes a GPU; those of trl, transformers,
datasets and torch are asked of the installed packages. A call that nothing is known of is a fault too.
"""

import ast
import builtins
import functools
import inspect
import zipfile
from pathlib import Path

import datasets
import torch
import transformers
import trl

MODULES = {
    "FastLanguageModel": "unsloth/models/loader.py",
    "FastLlamaModel": "unsloth/models/llama.py",
    "is_bfloat16_supported": "unsloth/models/_utils.py",
}
INSTALLED = {
    name: getattr(package, name)
    for package, names in (
        (trl, ("SFTConfig", "SFTTrainer", "DPOConfig", "DPOTrainer")),
        (datasets, ("Dataset", "load_dataset")),
    )
    for name in names
}
# What the script's variables are, so that a call of their methods can be looked up.
VARIABLES = {
    "rows": datasets.Dataset,
    "pairs": datasets.Dataset,
    "texts": datasets.Dataset,
    "tokenizer": transformers.PreTrainedTokenizerFast,
    "trainer": trl.SFTTrainer,
    "model": torch.nn.Module,
    "name": str,
}


def faults(script: str, wheel: Path) -> list[str]:
    """One line for each call that its function would not take, or that is unknown."""
    tree, (sources, offered) = ast.parse(script), _read(wheel)
    taken = {alias.name for node in _from(tree, "unsloth") for alias in node.names}
    found = [f"unsloth offers no {name}" for name in sorted(taken - offered)]
    shared = {
        node.targets[0].id: node.value.keywords
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(getattr(node.value, "func", node)) == "dict"
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        keywords = [word for given in call.keywords for word in ([given] if given.arg else shared[given.value.id])]
        fault = _fault(name, len(call.args), [word.arg for word in keywords], sources)
        found += [f"line {call.lineno}, {name}: {fault}"] if fault else []
    return found


def _from(tree: ast.Module, package: str) -> list[ast.ImportFrom]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == package]


@functools.cache
def _read(wheel: Path) -> tuple[dict[str, ast.Module], set[str]]:
    """The modules of `MODULES`, and what `unsloth.models` imports by name, all of which `unsloth` hands on."""
    with zipfile.ZipFile(wheel) as archive:
        sources = {name: ast.parse(archive.read(module)) for name, module in MODULES.items()}
        models = ast.parse(archive.read("unsloth/models/__init__.py"))
    imports = [node for node in ast.walk(models) if isinstance(node, ast.ImportFrom)]
    return sources, {alias.name for node in imports for alias in node.names}


def _fault(name: str, positional: int, keywords: list[str], sources: dict[str, ast.Module]) -> str:
    owner, _, method = name.partition(".")
    if owner in MODULES:
        return _fault_in_source(_function(sources, owner, method), positional, keywords, sources)
    if hasattr(builtins, name):
        return ""
    if name in INSTALLED:
        return _fault_of(INSTALLED[name], positional, keywords)
    if owner in INSTALLED:
        return _fault_of(getattr(INSTALLED[owner], method, None), positional, keywords)
    if owner in VARIABLES:
        return _fault_of(getattr(VARIABLES[owner], method or "__call__", None), positional + 1, keywords)
    return "nobody knows what it calls"


def _fault_of(called, positional: int, keywords: list[str]) -> str:
    """Like `inspect.Signature.bind`, but a name that only **kwargs would swallow is not taken."""
    if called is None:
        return "there is no such method"
    if called is str.split:
        return ""  # its signature cannot be asked
    signature = inspect.signature(called)
    try:
        signature.bind(*[None] * positional, **dict.fromkeys(keywords))
    except TypeError as error:
        return str(error)
    unknown = [word for word in keywords if word not in signature.parameters]
    return f"no argument {', '.join(unknown)}" if unknown else ""


def _function(sources: dict[str, ast.Module], owner: str, method: str) -> ast.FunctionDef:
    body = sources[owner].body
    if method:
        body = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == owner).body
    return next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == (method or owner))


def _fault_in_source(function: ast.FunctionDef, positional: int, keywords: list[str], sources) -> str:
    if wrapped := _wrapped(function):
        return _fault_in_source(_function(sources, *wrapped), positional, keywords, sources)
    plain = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    known = {*plain, *(argument.arg for argument in function.args.kwonlyargs)} | _consumed(function)
    if positional > len(plain) and not function.args.vararg:
        return f"takes {len(plain)} arguments, not {positional}"
    if twice := set(plain[:positional]) & set(keywords):
        return f"{', '.join(sorted(twice))} is given twice"
    if unknown := [word for word in keywords if word not in known]:
        return f"no argument {', '.join(unknown)}"
    needed = plain[: len(plain) - len(function.args.defaults)]
    missing = [name for name in needed[positional:] if name not in keywords]
    return f"lacks {', '.join(missing)}" if missing else ""


def _wrapped(function: ast.FunctionDef) -> list[str] | None:
    """[class, method] that a function only hands its arguments on to, by its own word: functools.wraps(Class.method)."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "functools.wraps":
            return ast.unparse(decorator.args[0]).split(".")
    return None


def _consumed(function: ast.FunctionDef) -> set[str]:
    """Names that a function takes out of its **kwargs: kwargs.get("x"), kwargs.pop("x") or kwargs["x"]."""
    kwargs = function.args.kwarg.arg if function.args.kwarg else None
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (f"{kwargs}.get", f"{kwargs}.pop"):
            found.add(node.args[0])
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == kwargs:
            found.add(node.slice)
    return {name.value for name in found if isinstance(name, ast.Constant)}
