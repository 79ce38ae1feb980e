"""A plan as one TRL + PEFT script that needs nothing of ours: pieces of text, of which a plan takes those it needs."""

import ast

from course_lib.errors import CourseError
from course_lib.exports import method_pieces, pieces
from course_lib.exports.common import how_to_write, hub_name, text, variant
from course_lib.exports.script_method import own_save, start
from course_lib.exports.script_stage import FILES, STAGES, options, select, stage_text

WIDTH = 120  # of a line of the script
# What a script may import; it imports what it uses.
PACKAGES = {
    "datasets": ("Dataset", "load_dataset"),
    "peft": (
        "IA3Config",
        "LoraConfig",
        "PrefixTuningConfig",
        "PromptEncoderConfig",
        "PromptTuningConfig",
        "PromptTuningInit",
        "get_peft_model",
        "get_peft_model_state_dict",
    ),
    "peft.tuners.cartridge.utils": ("initialize_kv_prefix_from_past_key_values",),
    "peft.tuners.lora": ("LoraLayer",),
    "safetensors.torch": ("load_file", "save_file"),
    "transformers": (
        "AutoModelForCausalLM",
        "AutoModelForSequenceClassification",
        "AutoTokenizer",
        "BitsAndBytesConfig",
        "DataCollatorWithPadding",
        "Trainer",
        "TrainingArguments",
        "set_seed",
    ),
    "transformers.models.auto.modeling_auto": ("MODEL_FOR_MASKED_LM_MAPPING_NAMES",),
    "transformers.pytorch_utils": ("Conv1D",),
    "trl": ("DPOConfig", "DPOTrainer", "SFTConfig", "SFTTrainer"),
    "trl.trainer.dpo_trainer": ("DataCollatorForPreference",),
}


def to_script(plan) -> str:
    """The plan as a script for TRL 1.16 and PEFT 0.21; `python script.py --help` names its options.

    Raises:
        CourseError: something in the plan that the script cannot do as `train` does it.
    """
    _refuse(plan)
    stages = STAGES[plan.objective]
    blocks = [_constants(plan, stages), _precision(plan), _training(plan), *_model(plan, stages)]
    if plan.layer_decay < 1:
        blocks.append(method_pieces.RATES.format(decay=plan.layer_decay))
    blocks += [stage_text(plan, stage) for stage in stages]
    body = _joined(blocks)
    return "\n\n".join([_docstring(plan, stages), _imports(body), body]) + "\n"


def _refuse(plan) -> None:
    for field in ("replay", "kl", "early_stop"):
        if getattr(plan, field):
            raise CourseError(f"No trainer of TRL has {field}: use `train`, or leave {field} out for a script.")
    if plan.method == "prefix_tuning" and plan.gradient_checkpointing:
        raise CourseError("PEFT's prefix tuning works only without gradient checkpointing: set it to false.")
    if plan.sharding == "fsdp" and own_save(plan):
        raise CourseError(
            "The script writes these weights itself, and sharding fsdp leaves no process with the whole of them: set sharding "
            "to ddp."
        )
    if plan.sharding == "fsdp" and "dpo" in plan.objective:
        raise CourseError(
            "TRL computes DPO's reference before fsdp has put the model on the GPUs, or from another copy of it: set sharding "
            "to ddp, or use `train`."
        )
    if plan.layer_decay < 1 and plan.sharding in ("zero2", "fsdp"):
        raise CourseError(
            f"With sharding {plan.sharding} the optimizer takes one learning rate from a script: set sharding to ddp, or "
            "layer_decay to 1."
        )


def _joined(blocks: list[str]) -> str:
    """Pieces with a blank line between them, and another one where a definition begins or ends."""
    body, ended = "", False
    for block in (block.strip("\n") for block in blocks):
        parts = ast.parse(block).body
        began = isinstance(parts[0], ast.FunctionDef | ast.ClassDef)
        body += "\n" * (3 if ended or began else 2) + block
        ended = isinstance(parts[-1], ast.FunctionDef | ast.ClassDef)
    return body.strip("\n")


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
        lines.append(f"    The course writes it with {how_to_write(plan, stage=stage)}")
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


def _imports(body: str) -> str:
    """Import lines for the names that the rest of the script uses."""
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    lines = [f"import {name}" for name in ("argparse", "copy", "os", "re") if name in used] + ["", "import torch"]
    for package, names in PACKAGES.items():
        if here := [name for name in names if name in used]:
            lines.append(_import_line(package, here))
    return "\n".join(lines)


def _import_line(package: str, names: list[str]) -> str:
    line = f"from {package} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"from {package} import (", *(f"    {name}," for name in names), ")"])


def _constants(plan, stages) -> str:
    files = {option: FILES[stage][0] for stage, option in options(stages).items()}
    lines = [f"MODEL = {text(hub_name(plan))}  # a hub id or a local folder"]
    lines += [f"{option.upper()} = {text(name)}" for option, name in files.items()]
    lines += ['OUTPUT = "out"', ""]
    lines += [
        "parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)"
    ]
    lines += [f'parser.add_argument("--{o}", default={o.upper()})' for o in ("model", *files, "output")]
    lines += ['parser.add_argument("--max-steps", type=int, default=-1, help="stop after so many optimizer steps")']
    return "\n".join([*lines, "args = parser.parse_args()"])


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


def _model(plan, stages) -> list[str]:
    """The tokenizer, the pretrained model and what is trained of it, in that order: new weights are drawn from the seed."""
    labels = "classification" in stages
    lines = [f"tokenizer = AutoTokenizer.from_pretrained(args.model{_revision(plan)})"]
    lines += ['tokenizer.padding_side = "right"', "if tokenizer.pad_token is None:"]
    blocks = ["\n".join([*lines, "    tokenizer.pad_token = tokenizer.eos_token"])]
    if labels:
        blocks.append(pieces.LABELS.format(file="args.data", select=select(plan, "rows")))
    kind = "AutoModelForSequenceClassification" if labels else "AutoModelForCausalLM"
    lines = [f"set_seed({plan.seed})"]
    if plan.method == "full":
        lines.append("# The weights stay fp32, also under bf16: an update is often smaller than bf16 can add.")
    lines += [f"model = {kind}.from_pretrained(", "    args.model,"]
    lines += [f"    revision={text(plan.revision)},"] if plan.revision else []
    lines.append(f"    dtype={'torch.float32' if plan.method == 'full' else 'COMPUTE'},")
    lines.append(f'    attn_implementation="{plan.attention}",')
    if labels:
        lines += ["    id2label=dict(enumerate(labels)),", "    pad_token_id=tokenizer.pad_token_id,"]
    if plan.method == "qlora":
        lines.append(pieces.QUANTIZED.format(skip=pieces.SKIP_HEAD if labels else ""))
    if plan.method in ("qlora", "prefix_tuning") or variant(plan) == "pissa":  # computed with before a trainer moves it
        lines.append(pieces.DEVICE.format(n='int(os.environ.get("LOCAL_RANK", 0))' if plan.n_gpus > 1 else "0"))
    lines.append(")" + (pieces.UNPACKED if plan.method == "qlora" else ""))
    blocks.append("\n".join(lines))
    if plan.method != "full":
        blocks.append(start(plan, labels))
    return blocks


def _revision(plan) -> str:
    return f", revision={text(plan.revision)}" if plan.revision else ""
