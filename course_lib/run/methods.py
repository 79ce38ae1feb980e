"""Methods: how each one turns a pretrained model into one with some weights to train."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import IA3Config, PeftConfig, PeftModel, get_peft_model
from peft.utils.constants import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING as IA3_TARGETS
from torch import nn
from transformers import AutoConfig, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel, set_seed

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run import adapters, soft_prompts, variants
from course_lib.run.distributed import is_sharded
from course_lib.run.targets import HEADS, check_lora, is_encoder, model_class, weightless

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
    """The dtype that `Plan.precision` means on this machine; for `auto`, that of a GPU without bf16 is fp16."""
    if precision == "auto":
        precision = "bf16" if bf16_in_hardware() else "fp16" if torch.cuda.is_available() else "fp32"
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


def autocast(plan: Plan) -> torch.autocast:
    """The context in which the plan's model computes, as `train` has it: mixed precision, unless it is fp32."""
    dtype = compute_dtype(plan.precision)
    return torch.autocast("cuda" if torch.cuda.is_available() else "cpu", dtype, enabled=dtype is not torch.float32)


def load_base(folder, plan: Plan, labels: Sequence[str] = (), to_shard: bool = False) -> PreTrainedModel:
    """The pretrained model of a local folder, on the CPU or the GPU, in the dtype and attention of the plan.

    labels: a classifier of these, with a new output layer drawn by chance, instead of a model that writes text.
    to_shard: `sharded.shard` comes next: the model stays on the CPU, its 4-bit weights in a container that can be divided.
    Full fine-tuning keeps fp32 weights, also under bf16 (mixed precision): an update is often smaller than bf16 can add.
    """
    dtype = torch.float32 if plan.method == "full" else compute_dtype(plan.precision)
    quantization = None
    if plan.base_bits == 4:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_quant_storage=dtype if to_shard else torch.uint8,
            llm_int8_skip_modules=list(HEADS) if plan.objective == "classification" else None,
        )
    try:
        model, found = model_class(plan).from_pretrained(
            folder,
            **_label_names(folder, labels),
            output_loading_info=True,
            dtype=dtype,
            attn_implementation=plan.attention,
            quantization_config=quantization,
            device_map={"": "cuda" if torch.cuda.is_available() and not to_shard else "cpu"},
            trust_remote_code=False,
            use_safetensors=True,
        )
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
        raise CourseError(f"transformers has no sdpa attention for {plan.model}: set attention to eager.") from None
    if labels and plan.method != "full":
        _check_new_layers(plan, found["missing_keys"])
    for layer in model.modules():
        # On some processors (AVX512 with bf16) bitsandbytes 0.50 packs 4-bit weights anew at the first answer, and what reads
        # them afterwards (merging, DoRA, further training) is not told: it computes with scrambled weights, without a word.
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return model


def _label_names(folder, labels: Sequence[str]) -> dict:
    """Fields of a classifier's configuration. Where rows are padded, it has to know by what."""
    if not labels:
        return {}
    return {"id2label": dict(enumerate(labels)), "pad_token_id": load_tokenizer(folder).pad_token_id}


def _check_new_layers(plan: Plan, drawn: Sequence[str]) -> None:
    """Refuse a classifier that has more new weights than those of its output layer, which PEFT trains and saves whole.

    Frozen, the others would not be saved, and drawn anew each time that the adapter is read back.
    """
    if lost := [name for name in drawn if not any(part.endswith(HEADS) for part in name.split("."))]:
        raise CourseError(
            f"{plan.model} comes without {min(lost)}, which a classifier of its kind needs below its output layer, and method "
            f"{plan.method} would not save it: set method to full, or take another encoder."
        )


@dataclass(frozen=True)
class Method:
    """One way to train. `METHODS` holds them all; whatever runs, checks or compares methods walks it.

    config: PEFT's configuration for a plan on a model; None = the model's own weights are trained. start: gives new weights
    a better start than PEFT's. merges_not: why the result cannot become part of the model's own weights; "" where it can.
    reads: fields of the plan that this method alone decides by. latency: what it costs at each answer. lesson: the page
    that teaches it.
    """

    config: Callable[[PreTrainedModel, Plan], PeftConfig] | None
    reads: tuple[str, ...]
    latency: str
    lesson: int
    merges_not: str = ""
    start: Callable[[PeftModel, Plan, Path], None] | None = None

    @property
    def virtual(self) -> bool:
        """Whether learned virtual tokens stand before the text."""
        return "virtual_tokens" in self.reads

    def build(self, model: PreTrainedModel, plan: Plan, trains: bool = True) -> PreTrainedModel | PeftModel:
        """The model with the method's weights in place; `trains=False`: as they are loaded, all of them frozen.

        Raises:
            CourseError: the method does not fit this class of model.
        """
        if self.config is None:
            return model.requires_grad_(trains)
        config = self.config(model, plan)
        config.inference_mode = not trains
        if plan.objective == "classification":
            config.task_type = "SEQ_CLS"
        try:
            model = get_peft_model(model, config)
        except ValueError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:150]
            raise CourseError(
                f"Method {plan.method} does not go onto {plan.model} ({reason}): set method to lora, or take another model."
            ) from None
        for weight in model.parameters():
            if weight.requires_grad:  # in fp32, as its updates need; PEFT leaves heads and virtual tokens in 16 bits
                weight.data = weight.data.float()
        return model


def _ia3(model: PreTrainedModel, plan: Plan) -> IA3Config:
    if model.config.model_type not in IA3_TARGETS:
        raise CourseError(
            f"PEFT does not know where IA3 belongs in models of type {model.config.model_type}: set method to lora."
        )
    return IA3Config(task_type="CAUSAL_LM")


def _start_lora(model: PeftModel, plan: Plan, folder: Path) -> None:
    if plan.variant == "pissa":
        variants.start_pissa(model)


def _start_prefix(model: PeftModel, plan: Plan, folder: Path) -> None:
    with autocast(plan):
        soft_prompts.prefix_from_text(model, load_tokenizer(folder), plan.virtual_tokens)


LORA_FIELDS = ("rank", "alpha", "dropout", "targets", "first_layer", "variant")
MERGED = "none once merged; beside the model, "
# QLoRA is LoRA on a base that `load_base` holds in 4 bits. Its other weights stay in 16 bits, as TRL leaves them: PEFT's
# prepare_model_for_kbit_training would hold these, and run the residual stream, in fp32 (`simulate`, Qwen2.5-1.5B: 1 to 4 GiB more).
METHODS = {
    "full": Method(None, (), "none", 103),
    "lora": Method(
        variants.lora, LORA_FIELDS, MERGED + "two thin products more in each adapted matrix", 104, start=_start_lora
    ),
    "qlora": Method(
        variants.lora, LORA_FIELDS, MERGED + "each matrix is unpacked from 4 bits whenever it is used", 205
    ),
    "adapters": Method(
        adapters.adapters,
        ("bottleneck", "placement"),
        "one or two thin layers more in each block, one after the other",
        206,
        merges_not=adapters.MERGES_NOT,
    ),
    "prompt_tuning": Method(
        soft_prompts.prompt_tuning,
        ("virtual_tokens",),
        "each prompt is longer by the virtual tokens",
        105,
        merges_not=soft_prompts.MERGES_NOT.format(method="Prompt tuning"),
    ),
    "prefix_tuning": Method(
        soft_prompts.prefix_tuning,
        ("virtual_tokens",),
        "each token attends to the virtual ones too, which are computed once and for all",
        207,
        merges_not=soft_prompts.MERGES_NOT.format(method="Prefix tuning"),
        start=_start_prefix,
    ),
    "p_tuning": Method(
        soft_prompts.p_tuning,
        ("virtual_tokens",),
        "each prompt is longer by the virtual tokens; what wrote them is not needed any more",
        207,
        merges_not=soft_prompts.MERGES_NOT.format(method="P-tuning"),
    ),
    "ia3": Method(_ia3, (), MERGED + "one multiplication more in each adapted matrix", 302),
}


def prepare(folder, plan: Plan, labels: Sequence[str] = ()) -> PreTrainedModel | PeftModel:
    """The plan's model, ready to train; new weights are drawn from `plan.seed`. labels: as `load_base`."""
    set_seed(plan.seed)
    method = METHODS[plan.method]
    model = method.build(load_base(folder, plan, labels, is_sharded(plan)), plan)
    if method.start:
        method.start(model, plan, folder)
    if plan.gradient_checkpointing and plan.method != "full":
        model.enable_input_require_grads()
    return model


def load_tokenizer(folder):
    """The tokenizer of a model folder, padding on the right, with a padding token."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def check_targets(folder, plan: Plan) -> None:
    """Refuse layers that the model lacks, from its configuration alone: no weights are loaded.

    Raises:
        CourseError: says what the model has instead.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if is_encoder(config) and plan.objective != "classification":
        raise CourseError(
            f"{plan.model} is an encoder, which reads text and writes none: set objective to classification, or take a "
            "causal model."
        )
    if is_encoder(config) and plan.method == "prefix_tuning":
        raise CourseError(f"Prefix tuning needs a causal model, and {plan.model} is an encoder: set method to lora.")
    if plan.method in ("adapters", "ia3"):
        METHODS[plan.method].config(weightless(folder, plan), plan)
    elif plan.method in ("lora", "qlora") and (plan.targets != "all-linear" or plan.first_layer):
        check_lora(weightless(folder, plan), plan)


def check_method(plan: Plan) -> None:
    """Refuse what a method cannot be combined with.

    Raises:
        CourseError: says what to set instead.
    """
    if plan.method == "prefix_tuning" and plan.gradient_checkpointing:
        raise CourseError(
            "Prefix tuning hands each block its keys and values in a cache, and gradient checkpointing does without one: "
            "set gradient_checkpointing to false, or method to prompt_tuning."
        )


def trainable_parameters(model: nn.Module) -> tuple[int, int]:
    """(trained, all) parameters. A 4-bit weight counts as the parameters that it stands for."""
    trained = everything = 0
    for parameter in model.parameters():
        n = parameter.numel() * (2 if parameter.__class__.__name__ == "Params4bit" else 1)
        everything += n
        trained += n if parameter.requires_grad else 0
    return trained, everything
