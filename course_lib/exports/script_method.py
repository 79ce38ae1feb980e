"""What of an exported script depends on the method: where the trained weights come from, and how they are saved."""

import json

from course_lib.exports import method_pieces as pieces
from course_lib.exports.common import LORA, number, targets, text, variant

PROMPTS = ("prompt_tuning", "prefix_tuning", "p_tuning")
_PEFT_CLASS = {
    "lora": "LoraConfig",
    "qlora": "LoraConfig",
    "prompt_tuning": "PromptTuningConfig",
    "prefix_tuning": "PrefixTuningConfig",
    "p_tuning": "PromptEncoderConfig",
    "ia3": "IA3Config",
}


def start(plan, labels: bool) -> str:
    """The piece that gives the model something to train; `labels`: the model is a classifier."""
    if plan.method == "adapters":
        return pieces.ADAPTERS.format(
            bottleneck=plan.bottleneck,
            after_attention=_lines(pieces.AFTER_ATTENTION),
            after_mlp=_lines(pieces.AFTER_MLP),
            places=pieces.HOULSBY if plan.placement == "houlsby" else pieces.PFEIFFER,
            head=pieces.NEW_HEAD if labels else "",
            inputs=pieces.INPUTS if plan.gradient_checkpointing else "",
        )
    fields = {"task_type": text("SEQ_CLS" if labels else "CAUSAL_LM")}
    if plan.method in LORA:
        fields |= _lora(plan, labels)
    if plan.method in PROMPTS:
        fields["num_virtual_tokens"] = plan.virtual_tokens
    if plan.method == "prompt_tuning":
        fields["prompt_tuning_init"] = "PromptTuningInit.SAMPLE_VOCAB"
    block = pieces.PEFT.format(
        before=pieces.LINEAR if fields.get("target_modules") == "linear" else "",
        kind=_PEFT_CLASS[plan.method],
        fields="\n".join(f"    {name}={value}," for name, value in fields.items()),
    )
    if plan.method == "prefix_tuning":
        block += pieces.PREFIX.format(start=text(pieces.START), n=plan.virtual_tokens)
    return block + (pieces.PISSA if variant(plan) == "pissa" else "")


def _lines(names: tuple[str, ...]) -> str:
    return "\n".join(f'    "{name}",' for name in names)


def _lora(plan, labels: bool) -> dict:
    """Fields of LoraConfig as Python source.

    PEFT takes layers_to_transform with names only, and by all-linear means parts of some classifiers' new output layers too.
    """
    fields = {"r": plan.rank, "lora_alpha": number(plan.alpha), "lora_dropout": repr(plan.dropout)}
    names = targets(plan)
    if names == ["all-linear"]:
        fields["target_modules"] = "linear" if plan.first_layer or labels else '"all-linear"'
    else:
        fields["target_modules"] = json.dumps(names)
    if variant(plan) in ("dora", "rslora"):
        fields[f"use_{variant(plan)}"] = True
    if plan.first_layer:
        fields["layers_to_transform"] = f"list(range({plan.first_layer}, model.config.num_hidden_layers))"
    return fields


def own_save(plan) -> str:
    """The script's own function that saves: PEFT has no adapters, and saves PiSSA for a model that it changed; else ""."""
    return "save_adapters" if plan.method == "adapters" else "save_as_plain" if variant(plan) == "pissa" else ""


def saving(plan, folder: str) -> str:
    """The lines that save what was trained in `folder`, Python source."""
    lines = [] if plan.method == "adapters" else [f"trainer.save_model({folder})"]
    if write := own_save(plan):
        one = "if trainer.is_world_process_zero():\n    " if plan.n_gpus > 1 else ""
        lines.append(f"{one}{write}({folder})")
    return "\n".join(lines)
