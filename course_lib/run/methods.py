"""Methods: how each one turns a pretrained model into one with some weights to train."""

import difflib
import warnings

import torch
from peft import (
    LoraConfig,
    PeftModel,
    PromptTuningConfig,
    PromptTuningInit,
    get_peft_model,
)
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel, set_seed

from course_lib.errors import CourseError
from course_lib.plan import Plan

# transformers 5.23 renamed a property that PEFT 0.21 still asks for: not the reader's concern.
warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
# With learned virtual tokens PEFT drops position ids; `generate.answers` sees to it that none are needed.
warnings.filterwarnings("ignore", "Position ids are not supported for parameter efficient tuning")


def bf16_in_hardware() -> bool:
    """Whether this machine computes in bfloat16: a GPU that says so, or a processor with such instructions.

    Without them a bf16 product is several times slower than fp32, not faster (8 times on an AVX2 processor, measured).
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(on for name, on in torch.cpu.get_capabilities().items() if name.endswith("bf16"))


def compute_dtype(precision: str) -> torch.dtype:
    """The dtype that `Plan.precision` means on this machine."""
    if precision == "auto":
        precision = "bf16" if bf16_in_hardware() else "fp32"
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


def load_base(folder, plan: Plan) -> PreTrainedModel:
    """The pretrained model of a local folder, on the CPU or the GPU, in the dtype and attention of the plan.

    Full fine-tuning keeps fp32 weights, also under bf16 (mixed precision): an update is often smaller than bf16 can add.
    """
    dtype = torch.float32 if plan.method == "full" else compute_dtype(plan.precision)
    quantization = None
    if plan.base_bits == 4:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    return AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation=plan.attention,
        quantization_config=quantization,
        device_map={"": "cuda" if torch.cuda.is_available() else "cpu"},
        trust_remote_code=False,
    )


def _full(model: PreTrainedModel, plan: Plan) -> PreTrainedModel:
    return model.requires_grad_(True)


def _lora(model: PreTrainedModel, plan: Plan) -> PeftModel:
    targets = [plan.targets] if isinstance(plan.targets, str) else list(plan.targets)
    if targets == ["all-linear"]:
        targets = linear_names(model)
    config = LoraConfig(
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=plan.dropout,
        target_modules=targets,
        layers_to_transform=list(range(plan.first_layer, model.config.num_hidden_layers)) if plan.first_layer else None,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _prompt_tuning(model: PreTrainedModel, plan: Plan) -> PeftModel:
    config = PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=plan.virtual_tokens, prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB
    )
    return get_peft_model(model, config)


# QLoRA is LoRA on a base that `load_base` holds in 4 bits. Its other weights stay in 16 bits, as TRL leaves them: PEFT's
# prepare_model_for_kbit_training would hold these, and run the residual stream, in fp32 (`simulate`, Qwen2.5-1.5B: 1 to 4 GiB more).
METHODS = {"full": _full, "lora": _lora, "qlora": _lora, "prompt_tuning": _prompt_tuning}


def prepare(folder, plan: Plan) -> PreTrainedModel | PeftModel:
    """The plan's model, ready to train; new weights are drawn from `plan.seed`."""
    set_seed(plan.seed)
    model = METHODS[plan.method](load_base(folder, plan), plan)
    if plan.gradient_checkpointing and plan.method != "full":
        model.enable_input_require_grads()
    return model


def reload(folder, plan: Plan, weights) -> PreTrainedModel | PeftModel:
    """A trained model in eval mode: the weights of a finished run, on the base model of its plan."""
    if plan.method == "full":
        return load_base(weights, plan).eval()
    return PeftModel.from_pretrained(load_base(folder, plan), weights).eval()


def load_tokenizer(folder):
    """The tokenizer of a model folder, padding on the right, with a padding token."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def linear_names(model: nn.Module) -> list[str]:
    """Names of a model's linear layers inside its blocks: q_proj, up_proj, ... The output layer is none of them."""
    names = {name.split(".")[-1] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return sorted(names - {"lm_head"})


def check_targets(folder, plan: Plan) -> None:
    """Refuse target modules that the model lacks, from its configuration alone: no weights are loaded.

    Raises:
        CourseError: names the module, its nearest match and what the model has.
    """
    if plan.method not in ("lora", "qlora") or (plan.targets == "all-linear" and not plan.first_layer):
        return
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    known = linear_names(model)
    if plan.first_layer >= model.config.num_hidden_layers:
        raise CourseError(
            f"{plan.model} has {model.config.num_hidden_layers} blocks, numbered from 0: set first_layer below that."
        )
    if plan.targets == "all-linear":
        return
    for target in [plan.targets] if isinstance(plan.targets, str) else plan.targets:
        if target not in known:
            near = difflib.get_close_matches(target, known, n=1)
            raise CourseError(
                f"{plan.model} has no linear module named {target}{f' (did you mean {near[0]}?)' if near else ''}: "
                f"set targets to all-linear, or to some of {', '.join(known)}."
            )


def trainable_parameters(model: nn.Module) -> tuple[int, int]:
    """(trained, all) parameters. A 4-bit weight counts as the parameters that it stands for."""
    trained = everything = 0
    for parameter in model.parameters():
        n = parameter.numel() * (2 if parameter.__class__.__name__ == "Params4bit" else 1)
        everything += n
        trained += n if parameter.requires_grad else 0
    return trained, everything
