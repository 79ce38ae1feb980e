"""Everything about a training step that moves its memory: what a plan, or a published run, comes down to."""

from dataclasses import dataclass, replace

from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError
from course_lib.plan import Plan

NF4 = 0.5 + 4 / 64  # bytes per weight: four bits, and an fp32 scale per block of 64 (Dettmers et al. 2023)
NF4_DOUBLE = 0.5 + 1 / 64 + 4 / (64 * 256)  # the scales themselves held in 8 bits, in blocks of 256

# GELU written as several operations, each of which saves its input; other classes have it as one.
COMPOSED_GELU = {"gpt2": 5, "gptj": 5, "gpt_neo": 5, "codegen": 5}

LABELS = 2  # of a classifier whose data is not looked at; one more is a row of `hidden` numbers more
# Encoders differ in the square layer before a classifier's output layer: which bare models lack it (in RoBERTa it takes the
# pooler's place), where PEFT trains it whole with the output layer, and where all-linear puts LoRA on it.
NEW_SQUARE = ("distilbert", "deberta-v2", "modernbert")
WHOLE_SQUARE = ("distilbert", "roberta", "xlm-roberta")
LORA_SQUARE = ("bert", "deberta-v2", "modernbert")
OUTPUT_TWICE = ("bert", "roberta", "xlm-roberta", "deberta-v2")  # PEFT's IA3 goes into the attention's output as well
DROPS_SCORES = ("bert", "distilbert", "roberta", "xlm-roberta")  # on a CPU, sdpa writes out scores that are dropped out


@dataclass(frozen=True)
class Setup:
    """One training step on one GPU. Sizes in bytes per number, lengths in tokens.

    trained: parameters of the adapter (0 for full fine-tuning). whole_matrices: parameters of embeddings or heads that are
    trained whole beside an adapter. reference: a frozen copy of the model stands beside the trained one. targets: matrices
    of a block that have LoRA. bottlenecks: adapters of a block. quantised: bytes per weight of the frozen matrices inside
    the blocks, None = as `weight`. upcast_rest: what is not quantised is held, and the residual stream runs, in fp32
    (`prepare_model_for_kbit_training`).
    rows, seq: of one micro-batch. sequences: what one row holds (DPO: 2). accumulates: gradients wait for further
    micro-batches. in_backward: the optimizer steps inside the backward pass. checkpointing: none | full | offload. loss: a
    key of LOSS in peak.py. sharding: none | ddp | zero2 | zero3 | fsdp; fsdp2: in its second version. The last five say
    how a framework writes its kernels.
    """

    shape: ModelShape
    method: str
    rows: int
    seq: float
    trained: int = 0
    whole_matrices: int = 0
    targets: frozenset[str] = frozenset()
    first_layer: int = 0
    virtual_tokens: int = 0
    bottlenecks: int = 2
    weight: float = 2
    adapter: float = 4
    quantised: float | None = None
    upcast_rest: bool = False
    compute: float = 2
    autocast: bool = False
    master: bool = False
    reference: bool = False
    optimizer: str = "adamw_torch"
    accumulates: bool = False
    in_backward: bool = False
    sequences: int = 1
    checkpointing: str = "none"
    attention: str = "sdpa"
    loss: str = "full"
    sharding: str = "none"
    fsdp2: bool = False
    n_gpus: int = 1
    gelu_copies: int = 1
    quantised_head: bool = False
    fused_norms: bool = False
    keeps_quantised_inputs: float = 0
    litgpt: bool = False

    @property
    def tokens(self) -> float:
        """Tokens of one micro-batch, learned virtual ones included where they go through the blocks."""
        learned = self.virtual_tokens if self.method in ("prompt_tuning", "p_tuning") else 0
        return self.rows * self.sequences * (self.seq + learned)

    @property
    def full(self) -> bool:
        """Whether all weights are trained."""
        return self.method == "full"


def trained_parameters(plan: Plan, shape: ModelShape, labels: int = 0) -> int:
    """Parameters that the plan trains: the whole model's for full fine-tuning, else the adapter's.

    labels: of a classifier. Its new output layer is trained whole, whatever the method, and an output layer over the
    vocabulary is gone.
    """
    if labels:
        if plan.method == "full":
            return classifier(shape, labels).params
        return trained_parameters(plan, shape) + head_parameters(shape, labels) + _square_lora(plan, shape)
    match plan.method:
        case "full":
            return shape.params
        case "lora" | "qlora":
            return shape.lora_params(plan.rank, plan.targets, plan.first_layer, dora=plan.variant == "dora")
        case "adapters":
            return shape.adapter_params(plan.bottleneck, plan.placement)
        case "prompt_tuning":
            return shape.prompt_params(plan.virtual_tokens)
        case "prefix_tuning":
            return shape.prefix_params(plan.virtual_tokens)
        case "p_tuning":
            return shape.ptuning_params(plan.virtual_tokens)
        case "ia3":
            return shape.ia3_params + (shape.layers * shape.hidden if shape.model_type in OUTPUT_TWICE else 0)
    raise CourseError(f"There is no formula for method {plan.method}.")


def classifier(shape: ModelShape, labels: int) -> ModelShape:
    """The model as a classifier: without an output layer over the vocabulary, with one over the labels."""
    new = _output(shape, labels) + _square(shape, NEW_SQUARE)
    return replace(shape, params=shape.params - shape.head_params + new, tied=True)


def head_parameters(shape: ModelShape, labels: int) -> int:
    """Parameters of the new layers that PEFT trains whole beside an adapter."""
    return _output(shape, labels) + _square(shape, WHOLE_SQUARE)


def _output(shape: ModelShape, labels: int) -> int:
    """Parameters of the output layer over the labels; causal models have it without a bias."""
    return shape.hidden * labels + (labels if shape.kind == "encoder" else 0)


def _square(shape: ModelShape, where: tuple[str, ...]) -> int:
    return shape.hidden * (shape.hidden + 1) if shape.model_type in where else 0


def _square_lora(plan: Plan, shape: ModelShape) -> int:
    """Parameters of LoRA on an encoder's square layer after its blocks."""
    if plan.method not in ("lora", "qlora") or plan.targets != "all-linear" or shape.model_type not in LORA_SQUARE:
        return 0
    return shape.hidden * (2 * plan.rank + (plan.variant == "dora"))


def stages(plan: Plan) -> list[Plan]:
    """The plan as plans of one stage each: a+b is first a, then b, and the KL term is none of DPO's."""
    parts = plan.objective.split("+")
    return [plan] if len(parts) == 1 else [_alone(plan, part) for part in parts]


def _alone(plan: Plan, objective: str) -> Plan:
    return plan.but(objective=objective, **({"kl": 0.0, "replay": 0.0} if objective == "dpo" else {}))


def precision_of(plan: Plan, device: str = "nvidia", bf16: bool = True) -> str:
    """What `auto` comes to: bf16 on a card that computes in it, fp16 with loss scaling on an older one, fp32 on a CPU."""
    if plan.precision != "auto":
        return plan.precision
    return "fp32" if device == "cpu" else "bf16" if bf16 else "fp16"


def setup_of(plan: Plan, shape: ModelShape, device: str = "nvidia", bf16: bool = True) -> tuple[Setup, list[str]]:
    """The step that `train(plan)` takes, and what was assumed where the plan leaves it open, in words.

    Of a plan of two stages it is the second's. bf16: the device computes in it, so that precision `auto` takes it.
    """
    assumes = [f"rows of {plan.max_len} tokens: the longest that the plan allows"]
    precision = precision_of(plan, device, bf16)
    if plan.precision == "auto":
        assumes.append(f"{precision}, as `auto` takes on this device")
    low = precision != "fp32"
    labelled, preferences = plan.objective == "classification", plan.objective in ("dpo", "sft+dpo")
    if labelled:
        shape = classifier(shape, LABELS)
    elif plan.loss == "targets":
        assumes.append("a target at every position: with shorter answers less is needed")
    if preferences:
        assumes.append(
            "the DPO step: a chosen and a rejected answer per row; the reference's log-probabilities are computed once, "
            "before training, so that no second model is held"
        )
    if plan.kl:
        base = "a frozen copy of the whole model" if plan.method == "full" else "the model without its adapter"
        assumes.append(f"the KL term: the logits of {base} beside the model's own")
    lora = plan.method in ("lora", "qlora")
    return (
        Setup(
            shape=shape,
            method="dora" if lora and plan.variant == "dora" else plan.method,
            rows=plan.micro_batch,
            seq=plan.max_len,
            trained=0 if plan.method == "full" else trained_parameters(plan, shape),
            whole_matrices=head_parameters(shape, LABELS) if labelled and plan.method != "full" else 0,
            targets=shape.target_parts(plan.targets) if lora else frozenset(),
            first_layer=plan.first_layer if lora else 0,
            virtual_tokens=plan.virtual_tokens if plan.method in ("prompt_tuning", "p_tuning", "prefix_tuning") else 0,
            bottlenecks=2 if plan.placement == "houlsby" else 1,
            weight=4 if plan.method == "full" or not low else 2,
            quantised=NF4_DOUBLE if plan.base_bits == 4 else None,
            compute=2 if low else 4,
            autocast=low,
            optimizer=plan.optimizer if device != "cpu" or plan.optimizer != "adamw_torch" else "adamw_loop",
            accumulates=plan.grad_accum > 1,
            reference=plan.kl > 0 and plan.method == "full",
            sequences=2 if preferences else 1,
            checkpointing="full" if plan.gradient_checkpointing else "none",
            attention="eager" if device == "cpu" and shape.model_type in DROPS_SCORES else plan.attention,
            loss=_loss(plan),
            sharding="ddp" if plan.n_gpus > 1 and plan.sharding == "none" else plan.sharding,
            n_gpus=plan.n_gpus,
            gelu_copies=COMPOSED_GELU.get(shape.model_type, 1),
        ),
        assumes,
    )


def _loss(plan: Plan) -> str:
    """The plan's key of LOSS in peak.py."""
    if plan.objective == "classification":
        return "none"
    if plan.kl:
        return "own_kl"
    return plan.loss if plan.loss == "fused_linear" and plan.objective != "dpo" else "own"
