"""A plan as the YAML that `trl sft`, LLaMA-Factory and axolotl read; what a tool cannot say is refused, not dropped."""

import yaml

from course_lib.errors import CourseError
from course_lib.exports.common import BETA, LORA, how_to_write, hub_name, number, refuse_pissa, targets, variant

TRL = "TRL's command line"
CUT = "A row longer than {length} is cut without a word; the course refuses it."
USED = ("dora", "rslora")  # variants of LoRA that each tool has an option for
AXOLOTL_LIGER = "axolotl.integrations.liger.LigerPlugin"


def to_trl_yaml(plan) -> str:
    """What `trl sft --config` reads (`trl dpo` for objective dpo); TRL 1.16.

    Raises:
        CourseError: the command line of TRL has no option for something in the plan; `to_script` may.
    """
    _refuse(plan, TRL)
    refuse_pissa(plan, TRL)
    dpo = plan.objective == "dpo"
    split = f"train[:{plan.n_train}]" if plan.n_train else "train"
    options = {
        "model_name_or_path": hub_name(plan),
        **_if(plan.revision, model_revision=plan.revision),
        "dtype": "float32" if plan.method == "full" else _dtype(plan),
        "attn_implementation": plan.attention,
        "datasets": [{"path": "json", "data_files": "pairs.jsonl" if dpo else "train.jsonl", "split": split}],
        "output_dir": "out",
        "max_length": plan.max_len,
        **({"beta": BETA} if dpo else {"completion_only_loss": True, "packing": plan.packing}),
        **_if(plan.method in LORA, use_peft=True, **_lora(plan, "lora_r"), lora_target_modules=_trl_targets(plan)),
        **_if(variant(plan) in USED, **{f"use_{variant(plan)}": True}),
        **_if(plan.method == "qlora", load_in_4bit=True, bnb_4bit_quant_type="nf4", use_bnb_nested_quant=True),
        **_training(plan),
        "warmup_steps": plan.warmup_ratio,
        "bf16": _dtype(plan) == "bfloat16",
        "fp16": _dtype(plan) == "float16",
        "activation_checkpointing": plan.gradient_checkpointing,
        "report_to": "none",
    }
    if plan.n_gpus > 1:
        presets = {"zero2": "zero2", "fsdp": "fsdp2"}
        options |= {"accelerate_config": presets.get(plan.sharding, "multi_gpu"), "num_processes": plan.n_gpus}
    head = [
        f"Run: trl {'dpo' if dpo else 'sft'} --config plan.yaml    (TRL 1.16; without a GPU add --use_cpu true)",
        _rows_of_pairs() if dpo else f"train.jsonl: {how_to_write(plan, 'prompt_completion')}",
        CUT.format(length="max_length"),
        f"loss {plan.loss}: TRL 1.16 computes the loss in chunks and never builds the logits of a whole batch.",
        *_auto(plan, "on a machine without bf16 set dtype: float32 and bf16: false"),
    ]
    return _file(head, options)


def to_llamafactory(plan) -> str:
    """What `llamafactory-cli train` reads; LLaMA-Factory 0.9.5.

    Raises:
        CourseError: LLaMA-Factory has no option for something in the plan.
    """
    _refuse(plan, "LLaMA-Factory")
    if plan.precision == "fp32":
        raise CourseError(
            "LLaMA-Factory trains in bf16 or fp16 wherever it can: set precision to auto, or use plan.to_script()."
        )
    dpo = plan.objective == "dpo"
    known = [] if targets(plan) == ["all-linear"] else targets(plan)
    options = {
        "model_name_or_path": hub_name(plan),
        **_if(plan.revision, model_revision=plan.revision),
        **_if(plan.model == "smollm2-135m", template="smollm2"),
        "flash_attn": {"sdpa": "sdpa", "eager": "disabled", "flash_attention_2": "fa2"}[plan.attention],
        "stage": plan.objective,
        "do_train": True,
        "finetuning_type": "full" if plan.method == "full" else "lora",
        **_if(plan.method in LORA, **_lora(plan, "lora_rank"), lora_target=",".join(known) or "all"),
        **_if(variant(plan) in USED, **{f"use_{variant(plan)}": True}),
        **_if(variant(plan) == "pissa", pissa_init=True, pissa_iter=16, pissa_convert=True),
        **_if(plan.method == "qlora", quantization_bit=4, quantization_type="nf4", double_quantization=True),
        **_if(dpo, pref_beta=BETA, pref_loss="sigmoid"),
        "dataset": "train",
        "dataset_dir": ".",
        "cutoff_len": plan.max_len,
        **_if(plan.n_train, max_samples=plan.n_train),
        "packing": plan.packing,
        "output_dir": "out",
        **_training(plan),
        "warmup_ratio": plan.warmup_ratio,
        "bf16": plan.precision in ("auto", "bf16"),
        "fp16": plan.precision == "fp16",
        "disable_gradient_checkpointing": not plan.gradient_checkpointing,
        **_if(plan.loss == "fused_linear", enable_liger_kernel=True),
        "report_to": "none",
    }
    run = f"FORCE_TORCHRUN=1 NPROC_PER_NODE={plan.n_gpus} " if plan.n_gpus > 1 else ""
    head = [f"Run: {run}llamafactory-cli train plan.yaml    (LLaMA-Factory 0.9.5)"]
    if plan.sharding == "zero2":
        options["deepspeed"] = "ds_z2_config.json"
        head.append("ds_z2_config.json: from examples/deepspeed of LLaMA-Factory's repository")
    if plan.sharding == "fsdp":
        options["fsdp"] = "full_shard auto_wrap"
    head += [
        f"train.jsonl: {how_to_write(plan)}" if not dpo else _rows_of_pairs("messages", "message"),
        "dataset_info.json, beside it:",
        _DPO_INFO if dpo else _SFT_INFO,
        CUT.format(length="cutoff_len"),
        *_auto(plan, "on a machine without bf16 set bf16: false and fp16: true"),
    ]
    return _file(head, options)


def to_axolotl(plan) -> str:
    """What `axolotl train` reads; axolotl 0.19.

    Raises:
        CourseError: axolotl has no option for something in the plan.
    """
    _refuse(plan, "axolotl")
    refuse_pissa(plan, "axolotl")
    dpo = plan.objective == "dpo"
    split = f"train[:{plan.n_train}]" if plan.n_train else "train"
    rows = {"path": "pairs.jsonl" if dpo else "train.jsonl", "ds_type": "json", "split": split}
    if dpo:
        rows |= {"type": "chat_template.default", "field_messages": "prompt"}
        rows |= {"field_chosen": "chosen", "field_rejected": "rejected"}
    else:
        rows |= {"type": "chat_template", "field_messages": "messages"}
        rows |= {"roles_to_train": ["assistant"], "train_on_eos": "turn"}
    all_linear = targets(plan) == ["all-linear"]
    names = {"lora_target_linear": True} if all_linear else {"lora_target_modules": targets(plan)}
    options = {
        "base_model": hub_name(plan),
        **_if(plan.revision, revision_of_model=plan.revision),
        "attn_implementation": plan.attention,
        **_if(plan.method in LORA, adapter=plan.method, **_lora(plan, "lora_r"), **names),
        **_if(variant(plan) in USED, **{f"peft_use_{variant(plan)}": True}),
        **_if(plan.method == "qlora", load_in_4bit=True),
        **_if(dpo, rl="dpo", rl_beta=BETA),
        "chat_template": "tokenizer_default",
        "datasets": [rows],
        "val_set_size": 0.0,
        "sequence_len": plan.max_len,
        "excess_length_strategy": "raise",
        "sample_packing": plan.packing,
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
        "bf16": "auto" if plan.precision == "auto" else plan.precision == "bf16",
        "fp16": plan.precision == "fp16",
        "gradient_checkpointing": plan.gradient_checkpointing,
        **_if(plan.loss == "fused_linear", plugins=[AXOLOTL_LIGER], liger_fused_linear_cross_entropy=True),
        "save_steps": plan.save_steps,
        "logging_steps": 1,
        "seed": plan.seed,
    }
    run = f" --launcher accelerate -- --num_processes={plan.n_gpus}" if plan.n_gpus > 1 else ""
    head = [
        f"Run: axolotl train plan.yaml{run}    (axolotl 0.19; it needs a GPU)",
        _rows_of_pairs() if dpo else f"train.jsonl: {how_to_write(plan)}",
    ]
    if plan.sharding == "zero2":
        options["deepspeed"] = "deepspeed_configs/zero2.json"
        head.append("deepspeed_configs: written by `axolotl fetch deepspeed_configs`")
    if plan.sharding == "fsdp":
        options |= {"fsdp_version": 2, "fsdp_config": dict(_AXOLOTL_FSDP)}
    return _file(head, options)


_SFT_INFO = (
    '{"train": {"file_name": "train.jsonl", "formatting": "sharegpt", "columns": {"messages": "messages"}, '
    '"tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", '
    '"system_tag": "system"}}}'
)
_DPO_INFO = _SFT_INFO.replace("train.jsonl", "pairs.jsonl").replace(
    '"columns": {"messages": "messages"}',
    '"ranking": true, "columns": {"messages": "messages", "chosen": "chosen", "rejected": "rejected"}',
)
_AXOLOTL_FSDP = {
    "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "reshard_after_forward": True,
    "state_dict_type": "FULL_STATE_DICT",
}


def _refuse(plan, tool: str) -> None:
    """What none of the three tools can be told by a file of options."""
    if plan.method not in ("full", *LORA):
        script = "" if plan.method == "adapters" else "use plan.to_script(), or "
        raise CourseError(f"{tool} has no options for {plan.method}: {script}set method to lora.")
    if plan.objective == "classification":
        raise CourseError(f"{tool} trains no classifier from a plan: use plan.to_script().")
    if "+" in plan.objective:
        first, second = plan.objective.split("+")
        raise CourseError(
            f"{tool} runs one objective at a time, and {plan.objective} is {first}, then {second}: use plan.to_script()."
        )
    if plan.method in LORA and plan.first_layer:
        raise CourseError(
            f"{tool} cannot be told first_layer without the model's number of blocks: use plan.to_script(), or set it to 0."
        )
    if plan.method in LORA and not float(plan.alpha).is_integer():
        raise CourseError(
            f"{tool} takes a whole number for alpha, not {plan.alpha}: round it, or use plan.to_script()."
        )


def _if(condition, **options) -> dict:
    return options if condition else {}


def _dtype(plan) -> str:
    return {"auto": "bfloat16", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}[plan.precision]


def _auto(plan, advice: str) -> list[str]:
    return [f"precision auto was written as bf16: {advice}."] if plan.precision == "auto" else []


def _lora(plan, rank: str) -> dict:
    return {rank: plan.rank, "lora_alpha": number(plan.alpha), "lora_dropout": plan.dropout}


def _trl_targets(plan) -> list[str]:
    """One name alone becomes a pattern: TRL turns a list of one into a string, which PEFT matches as a pattern."""
    names = targets(plan)
    if names == ["all-linear"] or len(names) > 1:
        return names
    return [rf".*\.{names[0]}"]


def _training(plan) -> dict:
    """Options that TRL and LLaMA-Factory both take over from transformers' TrainingArguments."""
    return {
        "num_train_epochs": plan.epochs,
        "per_device_train_batch_size": plan.micro_batch,
        "gradient_accumulation_steps": plan.grad_accum,
        "learning_rate": plan.lr,
        "lr_scheduler_type": plan.schedule,
        "weight_decay": plan.weight_decay,
        "optim": plan.optimizer,
        "save_steps": plan.save_steps,
        "logging_steps": 1,
        "seed": plan.seed,
    }


def _rows_of_pairs(prompt: str = "prompt", answer: str = "[message]") -> str:
    return f'pairs.jsonl, one object a line: {{"{prompt}": [messages], "chosen": {answer}, "rejected": {answer}}}'


def _file(head: list[str], options: dict) -> str:
    """Comments, then the options; a float is written with a point, so that every YAML reader takes it for one."""
    return "".join(f"# {line}\n" for line in head) + yaml.safe_dump(options, sort_keys=False, allow_unicode=True)
