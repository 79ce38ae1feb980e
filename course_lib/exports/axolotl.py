"""A plan as the file that `axolotl train` reads."""

from course_lib.errors import CourseError
from course_lib.exports.common import LORA, how_to_write, hub_name, refuse_pissa, targets, variant
from course_lib.exports.options import TWICE, USED, as_file, elsewhere, lora, refuse_in_a_file, when

TOOL = "axolotl"
LIGER = "axolotl.integrations.liger.LigerPlugin"
FSDP = {
    "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "reshard_after_forward": True,
    "state_dict_type": "FULL_STATE_DICT",
}
BLOCKS = (
    "axolotl puts whole texts, cut every sequence_len tokens and with an end token each, side by side into rows where none "
    "sees another; in the course a block runs on from one text into the next. It cuts a text off at 64 x sequence_len tokens."
)


def to_axolotl(plan) -> str:
    """What `axolotl train` reads; axolotl 0.19.

    Raises:
        CourseError: axolotl has no option for something in the plan; says what to do instead.
    """
    refuse_in_a_file(plan, TOOL)
    refuse_pissa(plan, TOOL)
    _refuse(plan)
    dpo = plan.objective == "dpo"
    options = {
        "base_model": hub_name(plan),
        **when(plan.revision, revision_of_model=plan.revision),
        "attn_implementation": plan.attention,
        **when(plan.method in LORA, adapter=plan.method, **lora(plan, "lora_r"), **_targets(plan)),
        **when(variant(plan) in USED, **{f"peft_use_{variant(plan)}": True}),
        **when(plan.method == "qlora", load_in_4bit=True),
        **when(dpo, rl="dpo", rl_beta=plan.beta),
        **when(plan.objective != "cpt", chat_template="tokenizer_default"),
        "datasets": [_rows(plan)],
        "val_set_size": 0.0,
        "sequence_len": plan.max_len,
        "excess_length_strategy": "raise",
        "sample_packing": plan.objective == "cpt" or plan.packing,
        "pad_to_sequence_len": False,
        "output_dir": "out",
        "micro_batch_size": plan.micro_batch,
        "gradient_accumulation_steps": plan.grad_accum,
        "num_epochs": plan.epochs,
        "learning_rate": plan.lr,
        "lr_scheduler": plan.schedule,
        "warmup_ratio": plan.warmup_ratio,
        "weight_decay": plan.weight_decay,
        "optimizer": plan.optimizer,
        **_precision(plan),
        "gradient_checkpointing": plan.gradient_checkpointing,
        **_loss(plan),
        "save_steps": plan.save_steps,
        "logging_steps": 1,
        "seed": plan.seed,
        **when(plan.sharding == "zero2", deepspeed="deepspeed_configs/zero2.json"),
        **when(plan.sharding == "fsdp", fsdp_version=2, fsdp_config=dict(FSDP)),
    }
    return as_file(_head(plan), options)


def _refuse(plan) -> None:
    if plan.method == "full" and plan.sharding != "zero2":
        if plan.precision in ("bf16", "fp16"):
            raise CourseError(
                f"{TOOL} holds the weights of full fine-tuning in {plan.precision} too, and an update is often smaller than "
                f"that can add: set precision to auto, sharding to zero2, or {elsewhere(plan)}."
            )
        if plan.attention == "flash_attention_2":
            raise CourseError(
                f"{TOOL} trains all weights in fp32, and flash_attention_2 computes in 16 bits only: set attention to sdpa."
            )
    if plan.sharding == "fsdp" and plan.method == "qlora" and plan.objective == "dpo":
        raise CourseError(f"{TOOL} has no DPO on a 4-bit base with sharding fsdp: set sharding to zero2.")
    if plan.sharding == "fsdp" and plan.optimizer == "adamw_8bit":
        raise CourseError(f"{TOOL} has no adamw_8bit with sharding fsdp: set optimizer to adamw_torch.")
    if plan.objective == "dpo" and plan.method in LORA and plan.dropout:
        raise CourseError(f"{TOOL} switches dropout off in DPO: set dropout to 0, or {elsewhere(plan)}.")


def _targets(plan) -> dict:
    if targets(plan) == ["all-linear"]:
        return {"lora_target_linear": True}
    return {"lora_target_modules": targets(plan)}


def _rows(plan) -> dict:
    split = f"train[:{plan.n_train}]" if plan.n_train else "train"
    if plan.objective == "dpo":
        return {
            "path": "pairs.jsonl",
            "split": split,
            "type": "chat_template.default",
            "field_messages": "prompt",
            "field_chosen": "chosen",
            "field_rejected": "rejected",
        }
    if plan.objective == "cpt":
        return {"path": "texts.jsonl", "ds_type": "json", "split": split, "type": "completion", "field": "text"}
    return {
        "path": "train.jsonl",
        "ds_type": "json",
        "split": split,
        "type": "chat_template",
        "field_messages": "messages",
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }


def _precision(plan) -> dict:
    """axolotl has no 16-bit arithmetic on fp32 weights, but for DeepSpeed's, which keeps an fp32 copy of what it trains."""
    if plan.method == "full" and plan.sharding != "zero2":
        return {"bf16": False, "fp16": False}
    return {
        "bf16": "auto" if plan.precision == "auto" else plan.precision == "bf16",
        "fp16": plan.precision == "fp16",
    }


def _loss(plan) -> dict:
    if plan.loss != "fused_linear":
        return {}
    if plan.objective == "dpo":
        return {"dpo_use_liger_kernel": True}
    return {"plugins": [LIGER], "liger_fused_linear_cross_entropy": True}


def _head(plan) -> list[str]:
    run = f" --launcher accelerate -- --num_processes={plan.n_gpus}" if plan.n_gpus > 1 else ""
    form = {"dpo": "pairs.jsonl", "cpt": "texts.jsonl"}.get(plan.objective, "train.jsonl")
    head = [
        f"Run: axolotl train plan.yaml{run}    (axolotl 0.19; it needs a GPU)",
        f"{form}: {how_to_write(plan, stage=plan.objective)}",
    ]
    if plan.objective == "cpt":
        head.append(BLOCKS)
    if plan.objective == "dpo" and plan.method == "full":
        head.append(TWICE)
    if plan.sharding == "zero2":
        head.append("deepspeed_configs: written by `axolotl fetch deepspeed_configs`")
    if plan.method == "full" and plan.precision == "auto" and plan.sharding != "zero2":
        head.append("precision auto was written as fp32: with bf16 axolotl would hold the weights themselves in bf16.")
    return head
