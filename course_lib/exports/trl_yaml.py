"""A plan as the file that TRL's command line reads."""

from course_lib.exports.common import LORA, how_to_write, hub_name, refuse_pissa, targets, variant
from course_lib.exports.options import CUT, USED, about_auto, as_file, dtype, lora, refuse_in_a_file, training, when

TRL = "TRL's command line"
FILES = {"sft": "train.jsonl", "dpo": "pairs.jsonl", "cpt": "texts.jsonl"}
BLOCKS = (
    "TRL joins the texts, an end token after each, and cuts blocks of max_length tokens; where the tokenizer has a begin "
    "token, TRL puts it before each text, the course does not."
)


def to_trl_yaml(plan) -> str:
    """What `trl sft --config` reads (`trl dpo` for objective dpo); TRL 1.16.

    Raises:
        CourseError: the command line of TRL has no option for something in the plan; says what to do instead.
    """
    refuse_in_a_file(plan, TRL)
    refuse_pissa(plan, TRL)
    full, dpo = plan.method == "full", plan.objective == "dpo"
    split = f"train[:{plan.n_train}]" if plan.n_train else "train"
    options = {
        "model_name_or_path": hub_name(plan),
        **when(plan.revision, model_revision=plan.revision),
        "dtype": "float32" if full else dtype(plan),
        "attn_implementation": plan.attention,
        "datasets": [{"path": "json", "data_files": FILES[plan.objective], "split": split}],
        "output_dir": "out",
        "max_length": plan.max_len,
        **_objective(plan),
        **when(not full, use_peft=True, **lora(plan, "lora_r"), lora_target_modules=_targets(plan)),
        **when(variant(plan) in USED, **{f"use_{variant(plan)}": True}),
        **when(plan.method == "qlora", load_in_4bit=True, bnb_4bit_quant_type="nf4", use_bnb_nested_quant=True),
        **training(plan),
        "warmup_steps": plan.warmup_ratio,
        "bf16": dtype(plan) == "bfloat16",
        "fp16": dtype(plan) == "float16",
        "activation_checkpointing": plan.gradient_checkpointing,
        "report_to": "none",
        **_launch(plan),
    }
    form = "prompt_completion" if plan.objective == "sft" else "messages"
    head = [
        f"Run: trl {'dpo' if dpo else 'sft'} --config plan.yaml    (TRL 1.16; without a GPU add --use_cpu true)",
        f"{FILES[plan.objective]}: {how_to_write(plan, form, plan.objective)}",
        BLOCKS if plan.objective == "cpt" else CUT.format(length="max_length"),
        f"loss {plan.loss}: TRL 1.16 computes the loss in chunks and never builds the logits of a whole batch.",
        *about_auto(plan, "on a machine without bf16 set dtype: float32 and bf16: false"),
    ]
    return as_file(head, options)


def _objective(plan) -> dict:
    if plan.objective == "dpo":
        # TRL would switch dropout off; its reference is computed with the adapter off, so dropout does not touch it.
        return {
            "beta": plan.beta,
            **when(plan.method == "full", precompute_ref_log_probs=True),  # else it holds a second model as reference
            **when(plan.method in LORA and plan.dropout, disable_dropout=False),
        }
    if plan.objective == "cpt":
        return {"packing": True, "packing_strategy": "wrapped"}
    return {"completion_only_loss": True, "packing": plan.packing}


def _launch(plan) -> dict:
    """Options that TRL hands on to `accelerate launch`; its presets ask for bf16, so the precision is said again."""
    if plan.n_gpus == 1:
        return {}
    return {
        "accelerate_config": {"zero2": "zero2", "fsdp": "fsdp2"}.get(plan.sharding, "multi_gpu"),
        "num_processes": plan.n_gpus,
        "mixed_precision": {"bfloat16": "bf16", "float16": "fp16", "float32": "no"}[dtype(plan)],
    }


def _targets(plan) -> list[str]:
    """One name alone becomes a pattern: TRL turns a list of one into a string, which PEFT matches as a pattern."""
    names = targets(plan)
    if names == ["all-linear"] or len(names) > 1:
        return names
    return [rf".*\.{names[0]}"]
