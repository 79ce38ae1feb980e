"""A plan tried without training it: data, model, method and machine are looked at, and no weights are loaded."""

import torch
from transformers import PretrainedConfig
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION
from transformers.training_args import OptimizerNames

from course_lib.choose.gpus import Gpu
from course_lib.choose.gpus import gpu as gpu_of
from course_lib.choose.possible import check_card
from course_lib.choose.setup import precision_of
from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run import data as data_module
from course_lib.run.assets import known_config
from course_lib.run.check import check_plan
from course_lib.run.classification import labels_in
from course_lib.run.distributed import check_rows
from course_lib.run.forms import FORMS
from course_lib.run.methods import load_tokenizer, trainable_parameters
from course_lib.run.objectives import OBJECTIVES, encode, stage_plans
from course_lib.run.skeleton import config_of, skeleton

BLOCKS = 2  # of a model of the catalogue that are built: all of its blocks are alike


def dry_run(plan: Plan, gpu: str | None = None) -> list[str]:
    """Check all that `train` would refuse, without weights and without training; returns what was checked, in words.

    A plan for several devices is checked on one. A built-in data set may be fetched at its first use, a model never.

    gpu: the device that the plan is meant for, a name of gpus.toml; None = this machine.

    Raises:
        CourseError: what `train` would say, or that the model's sizes are not known here.
    """
    card = gpu_of(gpu) if gpu else None
    words = [_machine(plan, card)]
    words += [_model(stage) for stage in stage_plans(plan)[-1:]]
    words += [_data(stage) for stage in stage_plans(plan)]
    words.append(_update(plan))
    if plan.n_gpus > 1:
        words.append(
            f"{plan.n_gpus} processes, sharding {plan.sharding}: started with the command that `course launch PLAN.yaml` prints"
        )
    return words


def _machine(plan: Plan, card: Gpu | None) -> str:
    if card:
        check_card(plan, card)
        check_plan(plan.but(precision="auto", loss="targets", attention="sdpa"))
        on = card.name
    else:
        check_plan(plan)
        on = "this machine"
    return f"{on}: precision {_precision(plan, card)}, attention {plan.attention}, loss {plan.loss}"


def _precision(plan: Plan, card: Gpu | None) -> str:
    if card is None:
        return plan.precision
    found = precision_of(plan, "cpu" if card.kind == "cpu" else "nvidia", card.has_bf16)
    return f"{found} with loss scaling" if found == "fp16" else found


def _data(stage: Plan) -> str:
    """The rows of a stage, encoded where the model's tokenizer is at hand."""
    objective = OBJECTIVES[stage.objective]
    name = getattr(stage, objective.field)
    rows = data_module.load(name, n_train=stage.n_train, form=objective.form).train
    check_rows(stage, len(rows))
    labels = labels_in(rows) if stage.objective == "classification" else []
    words = f"{stage.objective}: {len(rows)} {FORMS[objective.form].rows} of {name}"
    if labels:
        words += f" with {len(labels)} labels"
    folder = known_config(stage.model)
    if folder is None or not (folder / "tokenizer.json").exists():
        return words + "; their tokens are counted when the model's tokenizer is there"
    longest = max(map(len, encode(load_tokenizer(folder), rows, stage, labels)))
    return words + f", the longest of {longest} tokens"


def _model(stage: Plan) -> str:
    """The model's class with the method on it, from its configuration alone."""
    config, from_sizes = _config(stage)
    try:
        model = skeleton(stage, config, torch.bfloat16)
    except (ValueError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:150]
        raise CourseError(
            f"Method {stage.method} does not go onto {stage.model} ({reason}): set method to lora, or take a model of another family."
        ) from None
    trained, _ = trainable_parameters(model)
    if trained == 0:
        raise CourseError(f"Method {stage.method} finds nothing to train in {stage.model}: set method to lora.")
    kind = type(model.get_base_model() if hasattr(model, "get_base_model") else model).__name__
    places = f"{BLOCKS} of its blocks, which are all alike" if from_sizes else "all of its blocks"
    return f"{stage.model}: {kind}, {stage.method} goes onto {places}"


def _config(stage: Plan) -> tuple[PretrainedConfig, bool]:
    """The model's configuration, and whether it was made of the sizes in the catalogue; such a one has few blocks."""
    if known_config(stage.model):
        return config_of(stage), False
    shape = ModelShape.of(stage.model)
    if stage.first_layer >= shape.layers:
        raise CourseError(f"{stage.model} has {shape.layers} blocks, numbered from 0: set first_layer below that.")
    return config_of(stage, layers=max(BLOCKS, stage.first_layer + 1)), True


def _update(plan: Plan) -> str:
    if plan.optimizer not in set(OptimizerNames) or plan.schedule not in TYPE_TO_SCHEDULER_FUNCTION:
        raise CourseError(
            f"transformers does not know optimizer {plan.optimizer} with schedule {plan.schedule}: take adamw_torch and linear."
        )
    return f"optimizer {plan.optimizer}, schedule {plan.schedule}"
