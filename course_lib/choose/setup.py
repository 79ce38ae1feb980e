"""Everything about a training step that moves its memory: what a plan, or a published run, comes down to."""

from dataclasses import dataclass

from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError
from course_lib.plan import Plan

NF4 = 0.5 + 4 / 64  # bytes per weight: four bits, and an fp32 scale per block of 64 (Dettmers et al. 2023)
NF4_DOUBLE = 0.5 + 1 / 64 + 4 / (64 * 256)  # the scales themselves held in 8 bits, in blocks of 256

# GELU written as several operations, each of which saves its input; other classes have it as one.
COMPOSED_GELU = {"gpt2": 5, "gptj": 5, "gpt_neo": 5, "codegen": 5}


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


def trained_parameters(plan: Plan, shape: ModelShape) -> int:
    """Parameters that the plan trains: the whole model's for full fine-tuning, else the adapter's."""
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
            return shape.ia3_params
    raise CourseError(f"There is no formula for method {plan.method}.")


def setup_of(plan: Plan, shape: ModelShape, device: str = "nvidia", bf16: bool = True) -> tuple[Setup, list[str]]:
    """The step that `train(plan)` takes, and what was assumed where the plan leaves it open, in words.

    bf16: the device computes in it, so that precision `auto` takes it.
    """
    assumes = [f"rows of {plan.max_len} tokens: the longest that the plan allows"]
    precision = plan.precision
    if precision == "auto":
        precision = "bf16" if bf16 and device != "cpu" else "fp32"
        assumes.append(f"{precision}, as `auto` takes on this device")
    low = precision != "fp32"
    if plan.loss == "targets":
        assumes.append("a target at every position: with shorter answers less is needed")
    preferences = plan.objective in ("dpo", "sft+dpo")
    if preferences:
        reference = "a copy of the whole model" if plan.method == "full" else "the model without its adapter"
        assumes.append(f"the DPO step: a chosen and a rejected answer per row; the reference is {reference}")
    lora = plan.method in ("lora", "qlora")
    return (
        Setup(
            shape=shape,
            method="dora" if lora and plan.variant == "dora" else plan.method,
            rows=plan.micro_batch,
            seq=plan.max_len,
            trained=0 if plan.method == "full" else trained_parameters(plan, shape),
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
            reference=preferences and plan.method == "full",
            sequences=2 if preferences else 1,
            checkpointing="full" if plan.gradient_checkpointing else "none",
            attention=plan.attention,
            loss="none"
            if plan.objective == "classification"
            else {"targets": "own", "full": "own"}.get(plan.loss, plan.loss),
            sharding="ddp" if plan.n_gpus > 1 and plan.sharding == "none" else plan.sharding,
            n_gpus=plan.n_gpus,
            gelu_copies=COMPOSED_GELU.get(shape.model_type, 1),
        ),
        assumes,
    )
