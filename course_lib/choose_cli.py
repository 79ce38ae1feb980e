"""`course recommend`, `course compare`, `course estimate`, `course methods`: choosing, from a terminal."""

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Annotated, get_args

import typer
from pydantic import BaseModel

from course_lib.choose.gpus import gpu as gpu_of
from course_lib.choose.guides import Comparison, compare_guides
from course_lib.choose.selector import Recommendation
from course_lib.choose.selector import recommend as recommend_for
from course_lib.choose.situation import Situation
from course_lib.errors import CourseError
from course_lib.folders import work_folder, write_whole
from course_lib.plan import Plan
from course_lib.widgets.card import costs, for_card
from course_lib.widgets.tables import memory_model_says

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
GpuName = Annotated[str | None, typer.Option("--gpu", help="a card by name, such as T4 or RTX 4090; cpu = none")]


def situation_options(command):
    """Give a command one option for each field of a situation, and --gpu; it is called with the situation and the card's name."""
    kept = [p for name, p in inspect.signature(command).parameters.items() if name not in ("situation", "gpu")]
    asked = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=typer.Option(field.default, help=field.description),
            annotation=_plain(field.annotation),
        )
        for name, field in Situation.model_fields.items()
    ]

    def run(gpu: GpuName = None, **given):
        own = {p.name: given.pop(p.name) for p in kept}
        if gpu:
            card = gpu_of(gpu)
            gpu, given["gpu_gib"] = card.name, 0.0 if card.kind == "cpu" else float(card.memory_gib)
        return command(Situation(**given), gpu, **own)

    named = inspect.Parameter("gpu", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=GpuName)
    run.__signature__ = inspect.Signature(
        [named, *asked, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in kept)]
    )
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _plain(annotation):
    """A field's type as a terminal knows it: a choice among words is a word, which the situation itself checks."""
    inner = get_args(annotation)
    if type(None) in inner:
        return float | None
    plain = annotation if annotation in (int, float, bool) else inner[0]
    return plain if plain in (int, float, bool) else str


@situation_options
def recommend(
    situation: Situation,
    gpu: str | None,
    json: Json = False,
    save: Annotated[bool, typer.Option("--save", help="keep the plan as yours")] = False,
):
    """Recommend a strategy for your situation, with reasons, memory, cost and what would change it."""
    found = for_card(recommend_for(situation), gpu)
    if json:
        _print_json(to_dict(found) | {"costs": costs(found, gpu)})
    else:
        print(found)
        print("\n".join(f"  {words}" for words in costs(found, gpu)))
        if found.plan:
            print("\nThe plan (fields that are not given keep their defaults):")
            print(
                "\n".join(f"  {name}: {value}" for name, value in found.plan.model_dump(exclude_defaults=True).items())
            )
    if save:
        print(save_plan(found))


def save_plan(found: Recommendation) -> str:
    """Keep a recommendation's plan where later lessons look for it; says where.

    Raises:
        CourseError: there is no plan, or it cannot be written.
    """
    if found.plan is None:
        raise CourseError("There is no plan to save: the advice is to write a good prompt first.")
    path = work_folder() / "my_plan.yaml"
    try:
        write_whole(path, found.plan.to_text())
    except OSError as error:
        raise CourseError(
            f"{path} could not be written ({error.strerror}): free space or write access is needed."
        ) from None
    return f"Saved as {path.name} in {path.parent.name}."


@situation_options
def compare(situation: Situation, gpu: str | None, json: Json = False):
    """What each of the five guides says of your situation, and where they contradict each other."""
    found = compare_guides(situation)
    if json:
        _print_json({"advice": [dataclasses.asdict(one) for one in found], "contradictions": _pairs(found)})
        return
    for one in found:
        print(f"{one.guide}: {', '.join(one.methods) if one.methods else 'silent'}")
        if one.says:
            print(f'  "{one.says}" ({one.where})')
    print(f"\n{len(found.contradictions)} contradictions")
    for pair in found.contradictions:
        print(f"  {pair.topic}: {pair.text}")
    if situation.gpu_gib:
        print(f"\nThe memory model: {memory_model_says(situation.gpu_gib)}")


def _pairs(found: Comparison) -> list[dict]:
    return [dataclasses.asdict(pair) for pair in found.contradictions]


def estimate(
    path: Annotated[
        Path | None, typer.Argument(help="a plan (default: your saved one); with --score a CSV file")
    ] = None,
    gpu: GpuName = None,
    score: Annotated[bool, typer.Option("--score", help="score the memory model on published runs")] = False,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="and on each source, fitted without it")
    ] = False,
    json: Json = False,
):
    """How much memory and time a plan takes; or, with --score, how far to trust the memory model."""
    if score:
        _score(path, leave_one_out, json)
        return
    from course_lib.choose.cost import adapter_gib, speed
    from course_lib.choose.memory import estimate as estimate_for

    path = path or work_folder() / "my_plan.yaml"
    plan = Plan.from_yaml(path)
    guess = estimate_for(plan, gpu=gpu)
    rate = speed(plan, gpu="cpu-2" if gpu == "cpu" else gpu) if gpu else None
    if json:
        times = dataclasses.asdict(rate) if rate else None
        _print_json({"memory": dataclasses.asdict(guess), "speed": times, "saved_gib": adapter_gib(plan)})
        return
    print(f"{plan.method} of {plan.model}, on each of {plan.n_gpus} device{'s' * (plan.n_gpus > 1)}")
    print(guess)
    if rate:
        print(f"speed      {rate}")
    print(f"saved      {adapter_gib(plan):.3f} GiB of weights")


def methods(model: Annotated[str, typer.Argument(help="a model by name")] = "smollm2-135m", gpu: GpuName = None):
    """Every method and every objective that `train` runs, side by side for one model: what each trains, its memory, its cost."""
    from course_lib.prove.methods_table import methods_table, objectives_table

    print(methods_table(model, gpu), objectives_table(model, gpu), sep="\n\n")


def _score(path: Path | None, leave_one_out: bool, as_json: bool) -> None:
    from course_lib.choose.calibrate import leave_one_source_out
    from course_lib.choose.published import read_rows
    from course_lib.choose.rivals import rivals, to_text
    from course_lib.choose.score import score

    table = score(path)
    found = rivals(table) if path is None else []
    held_out = {}
    if leave_one_out:
        from tqdm import tqdm

        print("Fitting anew without each source: about ten seconds for each.") if not as_json else None
        held_out = leave_one_source_out(read_rows(path), progress=lambda names: tqdm(names, disable=as_json))
    if as_json:
        scores = {source: scores for source, (_, scores) in held_out.items()}
        others = [dataclasses.asdict(rival) for rival in found]
        _print_json(table.to_dict() | {"others": others} | ({"left_out": scores} if held_out else {}))
        return
    print(table)
    if found:
        print("\n" + to_text(found))
    for source, (_, scores) in held_out.items():
        errors = ", ".join(
            f"{figure} {scores[f'{figure}_median_error']:.1%}"
            for figure in ("allocated", "reserved", "device")
            if scores[f"{figure}_median_error"] is not None
        )
        print(f"fitted without {source}: {errors}; {scores['coverage']:.1%} covered")


def to_dict(found: Recommendation) -> dict:
    """A recommendation as plain data."""
    plain = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    return plain | {"what_would_change": found.what_would_change}


def _print_json(value) -> None:
    print(json.dumps(value, indent=1, default=_plain_value))


def _plain_value(value):
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)


def add_to(app: typer.Typer) -> None:
    """Add the four commands."""
    for command in (recommend, compare, estimate, methods):
        app.command()(command)
