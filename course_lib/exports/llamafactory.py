"""A plan as the file that `llamafactory-cli train` reads."""

import json

from course_lib.errors import CourseError
from course_lib.exports.common import LORA, how_to_write, hub_name, targets, text, variant
from course_lib.exports.options import (
    CUT,
    TWICE,
    USED,
    about_auto,
    as_file,
    elsewhere,
    lora,
    refuse_in_a_file,
    training,
    when,
)

TOOL = "LLaMA-Factory"
STAGES = {"sft": "sft", "dpo": "dpo", "cpt": "pt"}
BLOCKS = (
    "LLaMA-Factory joins the texts, an end token after each, and cuts blocks of cutoff_len tokens; it drops the last, "
    "shorter one of every 1,000 texts, and where the tokenizer has a begin token, each block's first token gives way to it."
)
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
INFO = {
    "sft": {"file_name": "train.jsonl", "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": _TAGS},
    "dpo": {
        "file_name": "pairs.jsonl",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "prompt", "chosen": "chosen", "rejected": "rejected"},
        "tags": _TAGS,
    },
    "cpt": {"file_name": "texts.jsonl", "columns": {"prompt": "text"}},
}


def to_llamafactory(plan) -> str:
    """What `llamafactory-cli train` reads; LLaMA-Factory 0.9.5.

    Raises:
        CourseError: LLaMA-Factory has no option for something in the plan; says what to do instead.
    """
    refuse_in_a_file(plan, TOOL)
    _refuse(plan)
    dpo = plan.objective == "dpo"
    known = [] if targets(plan) == ["all-linear"] else targets(plan)
    options = {
        "model_name_or_path": hub_name(plan),
        **when(plan.revision, model_revision=plan.revision),
        **when(plan.model == "smollm2-135m", template="smollm2"),
        "flash_attn": {"sdpa": "sdpa", "eager": "disabled", "flash_attention_2": "fa2"}[plan.attention],
        "stage": STAGES[plan.objective],
        "do_train": True,
        "finetuning_type": "full" if plan.method == "full" else "lora",
        **when(plan.method in LORA, **lora(plan, "lora_rank"), lora_target=",".join(known) or "all"),
        **when(variant(plan) in USED, **{f"use_{variant(plan)}": True}),
        **when(variant(plan) == "pissa", pissa_init=True, pissa_iter=16, pissa_convert=True),
        **when(plan.method == "qlora", quantization_bit=4, quantization_type="nf4", double_quantization=True),
        **when(dpo, pref_beta=plan.beta, pref_loss="sigmoid"),
        "dataset": "train",
        "dataset_dir": ".",
        "cutoff_len": plan.max_len,
        **when(plan.n_train, max_samples=plan.n_train),
        **when(
            plan.objective != "cpt", packing=plan.packing
        ),  # left out, it is on for texts, with blocks of cutoff_len
        "output_dir": "out",
        **training(plan),
        "warmup_ratio": plan.warmup_ratio,
        "bf16": plan.precision in ("auto", "bf16"),
        "fp16": plan.precision == "fp16",
        "disable_gradient_checkpointing": not plan.gradient_checkpointing,
        **when(plan.loss == "fused_linear", enable_liger_kernel=True),
        **when(plan.sharding == "zero2", deepspeed="ds_z2_config.json"),
        **when(plan.sharding == "fsdp", fsdp="full_shard auto_wrap"),
        "report_to": "none",
    }
    return as_file(_head(plan), options)


def _refuse(plan) -> None:
    if plan.precision == "fp32":
        raise CourseError(
            f"{TOOL} trains in bf16 or fp16 wherever it can: set precision to auto, or {elsewhere(plan)}."
        )
    if plan.objective == "dpo" and variant(plan) == "pissa":
        raise CourseError(f"{TOOL} has no DPO with PiSSA: set variant to plain, or use `train`.")
    if plan.objective == "dpo" and plan.method in LORA and plan.dropout:
        raise CourseError(f"{TOOL} switches dropout off in DPO: set dropout to 0, or {elsewhere(plan)}.")
    if plan.objective == "dpo" and plan.loss == "fused_linear":
        raise CourseError(f"{TOOL} builds all logits in DPO: set loss to targets, or {elsewhere(plan)}.")


def _head(plan) -> list[str]:
    run = f"FORCE_TORCHRUN=1 NPROC_PER_NODE={plan.n_gpus} " if plan.n_gpus > 1 else ""
    head = [f"Run: {run}llamafactory-cli train plan.yaml    (LLaMA-Factory 0.9.5)"]
    if plan.sharding == "zero2":
        head.append("ds_z2_config.json: from examples/deepspeed of LLaMA-Factory's repository")
    if plan.objective == "dpo":
        head += ["pairs.jsonl, in which an answer is a message, not a list of one:", *_pairs(plan)]
        head += [TWICE] if plan.method == "full" else []
    else:
        head.append(f"{INFO[plan.objective]['file_name']}: {how_to_write(plan, stage=plan.objective)}")
    if variant(plan) == "pissa":
        head.append("out/pissa_converted holds the adapter that fits the untouched model.")
    return [
        *head,
        "dataset_info.json, beside it:",
        json.dumps({"train": INFO[plan.objective]}),
        BLOCKS if plan.objective == "cpt" else CUT.format(length="cutoff_len"),
        *about_auto(plan, "on a machine without bf16 set bf16: false and fp16: true"),
    ]


def _pairs(plan) -> list[str]:
    """Lines of Python that write the plan's pairs in LLaMA-Factory's form."""
    rows = f", n_train={plan.n_train}" if plan.n_train else ""
    return [
        "    import course_lib, json",
        '    with open("pairs.jsonl", "w", encoding="utf-8") as file:',
        f"        for row in course_lib.load({text(plan.pairs)}{rows}).train:",
        '            answers = {"chosen": row["chosen"][0], "rejected": row["rejected"][0]}',
        "            print(json.dumps(row | answers), file=file)",
    ]
