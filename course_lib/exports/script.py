"""A plan as one TRL + PEFT script that needs nothing of ours: pieces of text, of which a plan takes those it needs."""

import json

from course_lib.errors import CourseError
from course_lib.exports import pieces
from course_lib.exports.common import BETA, LORA, how_to_write, hub_name, number, refuse_pissa, targets, text, variant

WIDTH = 120  # of a line of the script
PROMPTS = ("prompt_tuning", "prefix_tuning", "p_tuning")
STAGES = {
    "sft": ("sft",),
    "dpo": ("dpo",),
    "sft+dpo": ("sft", "dpo"),
    "cpt+sft": ("cpt", "sft"),
    "classification": ("classification",),
}
# Of each stage: the file that it reads, and what a line of it looks like.
FILES = {
    "sft": ("train.jsonl", '{"messages": [{"role": "user", "content": "..."}, ...]}, the answer last'),
    "classification": ("train.jsonl", '{"messages": [..., {"role": "assistant", "content": "the label"}]}'),
    "dpo": ("pairs.jsonl", '{"prompt": [messages], "chosen": [message], "rejected": [message]}'),
    "cpt": ("texts.jsonl", '{"text": "..."}'),
}


def to_script(plan) -> str:
    """The plan as a script for TRL 1.16 and PEFT 0.21; `python script.py --help` names its options.

    Raises:
        CourseError: PEFT has no such method, or the method cannot be trained that way.
    """
    _refuse(plan)
    stages = STAGES[plan.objective]
    blocks = [_docstring(plan, stages), _imports(plan, stages), _constants(plan, stages), _precision(plan)]
    blocks += [_training(plan), _model(plan, stages)]
    if plan.method != "full":
        blocks.append(_peft_config(plan, stages))
    blocks += [_STAGE_TEXT[stage](plan, last=stage == stages[-1], first=stage == stages[0]) for stage in stages]
    return "\n\n".join(("\n" if block.startswith("def ") else "") + block.strip("\n") for block in blocks) + "\n"


def _refuse(plan) -> None:
    refuse_pissa(plan, "The script")
    if plan.method == "adapters":
        raise CourseError(
            "PEFT has no bottleneck adapters, so there is no script of it for this plan: set method to lora, or use `train`."
        )
    if plan.method == "prefix_tuning" and plan.gradient_checkpointing:
        raise CourseError("PEFT's prefix tuning works only without gradient checkpointing: set it to false.")


def _docstring(plan, stages) -> str:
    packages = ['"torch>=2.10"', '"transformers>=5.20,<6"', '"peft>=0.21"', '"trl>=1.16,<2"', "datasets"]
    if plan.method == "qlora" or "8bit" in plan.optimizer:
        packages.append("bitsandbytes")
    if plan.sharding == "zero2":
        packages.append("deepspeed")
    lines = [
        f"Fine-tune {hub_name(plan)}: method {plan.method}, objective {plan.objective} (course plan {plan.id}).",
        "",
    ]
    lines += [f"Install: pip install {' '.join(packages)}", f"Run:     {launch(plan, 'train.py')}", ""]
    for stage in stages:
        name, example = FILES[stage]
        lines.append(f"{name} holds one JSON object a line: {example}.")
        if stage in ("sft", "classification"):
            lines.append(f"    The course writes it with {how_to_write(plan)}")
    body = "\n".join(lines).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""{body}\n"""'


def launch(plan, script: str) -> str:
    """The command line that starts a script on the plan's devices."""
    if plan.n_gpus == 1:
        return f"python {script}"
    flags = {
        "zero2": f"--use_deepspeed --zero_stage 2 --gradient_accumulation_steps {plan.grad_accum}",
        "fsdp": "--use_fsdp --fsdp_version 2 --fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP",
    }.get(plan.sharding, "--multi_gpu")
    return f"accelerate launch --num_processes {plan.n_gpus} {flags} {script}"


def _imports(plan, stages) -> str:
    peft, plain, trl = [], ["AutoTokenizer", "set_seed"], []
    if plan.method != "full":
        peft.append(_PEFT_CLASS[plan.method])
    if plan.method == "prompt_tuning":
        peft.append("PromptTuningInit")
    if plan.method == "qlora":
        plain.append("BitsAndBytesConfig")
    if "classification" in stages:
        plain += ["AutoModelForSequenceClassification", "DataCollatorWithPadding", "Trainer", "TrainingArguments"]
        peft += ["get_peft_model"] if peft else []
    else:
        plain.append("AutoModelForCausalLM")
    if {"sft", "cpt"} & set(stages):
        trl += ["SFTConfig", "SFTTrainer"]
    if "dpo" in stages:
        trl += ["DPOConfig", "DPOTrainer"]
    lines = ["import argparse", *(["import os"] if plan.method == "qlora" and plan.n_gpus > 1 else []), ""]
    lines += ["import torch", "from datasets import load_dataset"]
    for package, names in (("peft", peft), ("transformers", plain), ("trl", trl)):
        if names:
            lines.append(_import_line(package, sorted(names, key=lambda name: (name[0].islower(), name))))
    return "\n".join(lines)


def _import_line(package: str, names: list[str]) -> str:
    line = f"from {package} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"from {package} import (", *(f"    {name}," for name in names), ")"])


def _options(stages) -> dict[str, str]:
    """The command line option that names each stage's file: --data, and --pairs or --texts where there are two."""
    extra = {"dpo": "pairs", "cpt": "texts"} if len(stages) > 1 else {}
    return {stage: extra.get(stage, "data") for stage in stages}


def _constants(plan, stages) -> str:
    files = {option: FILES[stage][0] for stage, option in _options(stages).items()}
    lines = [f"MODEL = {text(hub_name(plan))}  # a hub id or a local folder"]
    lines += [f"{option.upper()} = {text(name)}" for option, name in files.items()]
    lines += ['OUTPUT = "out"', ""]
    lines += [
        "parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)"
    ]
    lines += [f'parser.add_argument("--{o}", default={o.upper()})' for o in ("model", *files, "output")]
    lines += ['parser.add_argument("--max-steps", type=int, default=-1, help="stop after so many optimizer steps")']
    return "\n".join([*lines, "args = parser.parse_args()", "", f"set_seed({plan.seed})"])


def _precision(plan) -> str:
    if plan.precision == "auto":
        return pieces.AUTO
    dtype = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}[plan.precision]
    return f"COMPUTE = torch.{dtype}  # precision {plan.precision}"


def _training(plan) -> str:
    return f"""\
training = dict(
    num_train_epochs={plan.epochs},
    max_steps=args.max_steps,
    per_device_train_batch_size={plan.micro_batch},
    gradient_accumulation_steps={plan.grad_accum},
    learning_rate={plan.lr!r},
    lr_scheduler_type="{plan.schedule}",
    warmup_steps={plan.warmup_ratio!r},  # below 1: a share of all steps
    weight_decay={plan.weight_decay!r},
    optim="{plan.optimizer}",
    bf16=COMPUTE is torch.bfloat16,
    fp16=COMPUTE is torch.float16,
    activation_checkpointing={plan.gradient_checkpointing},
    save_steps={plan.save_steps},
    logging_steps=1,
    seed={plan.seed},
    use_cpu=not torch.cuda.is_available(),
    report_to="none",
)"""


def _model(plan, stages) -> str:
    labels = "classification" in stages
    lines = [f"tokenizer = AutoTokenizer.from_pretrained(args.model{_revision(plan)})"]
    lines += ['tokenizer.padding_side = "right"', "if tokenizer.pad_token is None:"]
    lines += ["    tokenizer.pad_token = tokenizer.eos_token", ""]
    if labels:
        lines += [pieces.LABELS.format(select=_select(plan, "rows")), ""]
    kind = "AutoModelForSequenceClassification" if labels else "AutoModelForCausalLM"
    if plan.method == "full":
        lines.append("# The weights stay fp32, also under bf16: an update is often smaller than bf16 can add.")
    lines += [f"model = {kind}.from_pretrained(", f"    args.model{_revision(plan)},"]
    lines.append(f"    dtype={'torch.float32' if plan.method == 'full' else 'COMPUTE'},")
    lines.append(f'    attn_implementation="{plan.attention}",')
    if labels:
        lines.append("    num_labels=len(labels),")
        lines.append("    id2label=dict(enumerate(labels)),")
        lines.append("    pad_token_id=tokenizer.pad_token_id,")
    lines += pieces.QUANTIZED.format(**_quantized(plan, labels)).splitlines() if plan.method == "qlora" else []
    lines.append(")")
    return "\n".join(lines)


def _quantized(plan, labels: bool) -> dict:
    return {
        "skip": '\n        llm_int8_skip_modules=["score"],  # the new output layer' if labels else "",
        "device": 'int(os.environ.get("LOCAL_RANK", 0))' if plan.n_gpus > 1 else "0",
    }


def _revision(plan) -> str:
    return f", revision={text(plan.revision)}" if plan.revision else ""


def _select(plan, rows: str) -> str:
    """The line that keeps the plan's number of training rows."""
    return f"\n{rows} = {rows}.select(range(min({plan.n_train}, len({rows}))))" if plan.n_train else ""


_PEFT_CLASS = {
    "lora": "LoraConfig",
    "qlora": "LoraConfig",
    "prompt_tuning": "PromptTuningConfig",
    "prefix_tuning": "PrefixTuningConfig",
    "p_tuning": "PromptEncoderConfig",
    "ia3": "IA3Config",
}


def _peft_config(plan, stages) -> str:
    task = "SEQ_CLS" if "classification" in stages else "CAUSAL_LM"
    fields, before = {"task_type": text(task)}, ""
    if plan.method in LORA:
        names, before = _targets(plan)
        fields |= {"r": plan.rank, "lora_alpha": number(plan.alpha), "lora_dropout": repr(plan.dropout)}
        fields["target_modules"] = names
        if variant(plan) != "plain":
            fields[f"use_{variant(plan)}"] = True
        if plan.first_layer:
            fields["layers_to_transform"] = f"list(range({plan.first_layer}, model.config.num_hidden_layers))"
    if plan.method in PROMPTS:
        fields["num_virtual_tokens"] = plan.virtual_tokens
    if plan.method == "prompt_tuning":
        fields["prompt_tuning_init"] = "PromptTuningInit.SAMPLE_VOCAB"
    if plan.method == "prefix_tuning":
        before = "# Zeros hardly change what the model says; a random prefix, PEFT's default, drowns it."
        fields["init_weights"] = text("zero")
    if plan.method == "p_tuning":
        fields["encoder_hidden_size"] = "model.config.hidden_size"
    lines = [before, f"peft_config = {_PEFT_CLASS[plan.method]}("]
    lines += [f"    {name}={value}," for name, value in fields.items()] + [")"]
    if "classification" in stages:
        lines.append("model = get_peft_model(model, peft_config)")
    return "\n".join(lines)


def _targets(plan) -> tuple[str, str]:
    """`target_modules` as Python source, and what has to be computed before it."""
    names = targets(plan)
    if names != ["all-linear"]:
        return json.dumps(names), ""
    if not plan.first_layer:
        return '"all-linear"', ""
    return "linear", (  # PEFT takes layers_to_transform with names only
        "linear = {name.split('.')[-1] for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}\n"
        "linear = sorted(linear - {'lm_head', 'score'})"
    ).replace("'", '"')


def _fields(plan, rows: str, last: bool, first: bool, folder: str) -> dict:
    """What every stage's text fills in."""
    return {
        "select": _select(plan, rows),
        "too_long": pieces.TOO_LONG.format(max_len=plan.max_len),
        "max_len": plan.max_len,
        "packing": plan.packing,
        "output": "args.output" if last else f'args.output + "/{folder}"',
        "file": "args.data" if first and last else "args.pairs" if rows == "pairs" else "args.texts",
        "loss": pieces.LOSS.format(loss=plan.loss),
        "peft": "\n    peft_config=peft_config," if plan.method != "full" and (first or _merged(plan)) else "",
        "then": "" if last else pieces.MERGED if _merged(plan) else pieces.GOES_ON,
    }


def _merged(plan) -> bool:
    """Whether the first stage's adapter is merged: TRL's frozen copy of an adapter, DPO's reference, misses IA3's."""
    return plan.method == "ia3" and plan.objective == "sft+dpo"


def _sft(plan, last: bool, first: bool) -> str:
    return pieces.SFT.format(**_fields(plan, "rows", last, first, "sft"))


def _cpt(plan, last: bool, first: bool) -> str:
    return pieces.CPT.format(**_fields(plan, "texts", last, first, "texts"))


def _dpo(plan, last: bool, first: bool) -> str:
    fields = _fields(plan, "pairs", last, first, "dpo")
    copy = plan.method == "full" and not first
    reference = f"""
    ref_model=AutoModelForCausalLM.from_pretrained(
        args.output + "/sft", dtype=torch.float32, attn_implementation="{plan.attention}"
    ),"""
    rate = "" if first else pieces.ONE_RATE
    return pieces.DPO.format(**fields, beta=BETA, reference=reference if copy else "", rate=rate)


def _classification(plan, last: bool, first: bool) -> str:
    return pieces.CLASSIFY.format(**_fields(plan, "rows", last, first, "labels"))


_STAGE_TEXT = {"sft": _sft, "dpo": _dpo, "cpt": _cpt, "classification": _classification}
