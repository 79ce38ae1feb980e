"""A plan as a script in Unsloth's way; checked call by call against Unsloth's source, and never run: that takes a GPU."""

import json

from course_lib.errors import CourseError
from course_lib.exports import unsloth_pieces as pieces
from course_lib.exports.common import LORA, how_to_write, hub_name, number, refuse_pissa, targets, text, variant
from course_lib.exports.options import elsewhere, refuse
from course_lib.exports.script import launch
from course_lib.exports.script_stage import FILES, select

TOOL = "Unsloth"
STAGES = {"sft": ("sft",), "dpo": ("dpo",), "cpt": ("cpt",), "sft+dpo": ("sft", "dpo"), "cpt+sft": ("cpt", "sft")}
TEXT = {"sft": pieces.SFT, "dpo": pieces.DPO, "cpt": pieces.CPT}
ROWS = {"sft": "rows", "dpo": "pairs", "cpt": "texts"}


def to_unsloth(plan) -> str:
    """The plan as a script for Unsloth 2026.10.9, for one GPU, or several that each hold the whole model.

    Its calls were checked against the signatures in Unsloth's source; it was never run, since that takes a GPU.

    Raises:
        CourseError: Unsloth has no way to do something in the plan; says what to do instead.
    """
    refuse(plan, TOOL)
    refuse_pissa(plan, TOOL)
    _refuse(plan)
    stages = STAGES[plan.objective]
    blocks = [_head(plan, stages), _imports(stages), _model(plan), *_adapter(plan), _training(plan)]
    blocks += [_stage(plan, stage) for stage in stages]
    return "\n\n".join(blocks) + "\n"


def _refuse(plan) -> None:
    if plan.precision == "fp32":
        raise CourseError(f"{TOOL} computes in 16 bits wherever it can: set precision to auto, or {elsewhere(plan)}.")
    if "dpo" in plan.objective and plan.method in LORA and plan.dropout:
        raise CourseError(f"{TOOL} switches dropout off in DPO: set dropout to 0, or {elsewhere(plan)}.")
    if plan.sharding in ("zero2", "fsdp"):
        raise CourseError(
            f"A script for {TOOL} holds the whole model on each GPU: set sharding to ddp, or {elsewhere(plan)}."
        )


def _head(plan, stages) -> str:
    files = [f"{FILES[stage][0]}: {how_to_write(plan, stage=stage)}" for stage in stages]
    if "dpo" in stages and plan.method in LORA:
        files.append("out/ref, besides the result, is TRL's copy of the adapter as it was before DPO, and not needed.")
    words = {
        "model": hub_name(plan),
        "method": plan.method,
        "objective": plan.objective,
        "id": plan.id,
        "remark": f"brings its own attention and loss, whatever the plan says ({plan.attention}, {plan.loss}).",
        "run": launch(plan, "train.py"),
        "files": "\n".join(files),
    }
    return pieces.HEAD.format(**{name: _inside(word) for name, word in words.items()}).rstrip("\n")


def _inside(word: str) -> str:
    """A word as it stands in a docstring."""
    return word.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def _imports(stages) -> str:
    trainers = {
        "sft": ("SFTConfig", "SFTTrainer"),
        "cpt": ("SFTConfig", "SFTTrainer"),
        "dpo": ("DPOConfig", "DPOTrainer"),
    }
    names = sorted({name for stage in stages for name in trainers[stage]})
    return "\n".join(
        [
            "from unsloth import FastLanguageModel, is_bfloat16_supported  # before trl, which it changes",
            "",
            "import torch",
            f"from datasets import {'Dataset, ' if 'cpt' in stages else ''}load_dataset",
            f"from trl import {', '.join(names)}",
        ]
    )


def _model(plan) -> str:
    by_name = {"bf16": "torch.bfloat16", "fp16": "torch.float16"}
    auto = "torch.bfloat16 if is_bfloat16_supported() else torch.float16  # precision auto"
    return pieces.MODEL.format(
        model=text(hub_name(plan)),
        compute=by_name.get(plan.precision, auto),
        max_len=plan.max_len,
        four_bits=plan.base_bits == 4,
        full=plan.method == "full",
        mixed=pieces.MIXED if plan.method == "full" else "",
        revision=f"\n    revision={text(plan.revision)}," if plan.revision else "",
        checkpointing=plan.gradient_checkpointing,
        seed=plan.seed,
    )


def _adapter(plan) -> list[str]:
    if plan.method not in LORA:
        return []
    every = targets(plan) == ["all-linear"]
    named = every and plan.first_layer  # PEFT takes layers_to_transform with names only
    adapter = pieces.LORA.format(
        before=pieces.LINEAR if named else "",
        rank=plan.rank,
        alpha=number(plan.alpha),
        dropout=plan.dropout,
        targets="linear" if named else '"all-linear"' if every else json.dumps(targets(plan)),
        layers=pieces.LAYERS.format(first=plan.first_layer) if plan.first_layer else "",
        variant=f"\n    use_{variant(plan)}=True," if variant(plan) != "plain" else "",
        checkpointing=plan.gradient_checkpointing,
        seed=plan.seed,
    )
    return [adapter]


def _training(plan) -> str:
    return pieces.TRAINING.format(
        max_len=plan.max_len,
        epochs=plan.epochs,
        micro_batch=plan.micro_batch,
        grad_accum=plan.grad_accum,
        schedule=plan.schedule,
        warmup=plan.warmup_ratio,
        decay=plan.weight_decay,
        optimizer=plan.optimizer,
        checkpointing=plan.gradient_checkpointing,
        save_steps=plan.save_steps,
        seed=plan.seed,
    )


def _stage(plan, stage: str) -> str:
    """One stage: it goes on with `model` as the stage before left it; DPO's reference is the model at that point."""
    second_dpo = plan.objective == "sft+dpo" and stage == "dpo"
    return TEXT[stage].format(
        select=select(plan, ROWS[stage]),
        max_len=plan.max_len,
        packing=plan.packing,
        output="out" if stage == STAGES[plan.objective][-1] else f"out/{stage}",
        lr=plan.dpo_lr or float(f"{plan.lr / 20:.6g}") if second_dpo else plan.lr,
        beta=plan.beta,
        reference=pieces.REFERENCE if plan.method == "full" else "",
    )
