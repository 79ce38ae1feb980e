"""How long a training step takes: a few kinds of work, each at a rate fitted to published speeds."""

from dataclasses import dataclass
from typing import NamedTuple

from course_lib.choose.gpus import Gpu
from course_lib.choose.setup import Setup
from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError

METHODS = ("full", "lora", "qlora", "adapters", "prompt_tuning", "prefix_tuning", "p_tuning", "ia3")


@dataclass(frozen=True)
class Rates:
    """The fitted constants. `speed_fit.fit` finds them anew from the carried table.

    matmul, attention: share of the peak that matrix products and (fused) attention reach when there is enough to do. The
    attention counted is the whole square, of which a causal kernel computes half.
    block_bytes: memory traffic of norms, activations, residual sums ..., bytes per token, layer pass and unit of width.
    lora_bytes: the same for LoRA, per token, pass and unit of its matrices' inputs and outputs (casts, scaling, the sum).
    logit_bytes: the same per logit. square_bytes: the same per entry of the attention square, where it is written out.
    dequant_bytes: traffic for unpacking one 4-bit weight once. optimizer_bytes: for updating one parameter.
    launch_s: seconds that Python and the driver take to launch one layer pass; fsdp_launch_s: what sharding adds to it.
    nvlink_bps, pcie_bps: bytes a second between cards of one machine, as reached.
    """

    matmul: float = 0.810
    attention: float = 0.500
    block_bytes: float = 69.0
    lora_bytes: float = 7.97
    logit_bytes: float = 64.9
    square_bytes: float = 57.4
    dequant_bytes: float = 18.7
    optimizer_bytes: float = 57.5
    launch_s: float = 1.35e-3
    fsdp_launch_s: float = 1.11e-3
    nvlink_bps: float = 1.16e11
    pcie_bps: float = 3.41e9


FITTED = Rates()
SLOW_SHARE = (
    0.4  # share of a processor's or an Apple chip's fp32 peak in training (measured: 0.38, tests/bench/README.md)
)


class Work(NamedTuple):
    """What a micro-batch asks of one device, in the order of Rates: what `seconds` divides by a rate, or multiplies with one."""

    matmul: float
    attention: float
    block: float
    lora: float
    logits: float
    square: float
    dequant: float
    optimizer: float
    launches: float
    fsdp_launches: float
    nvlink: float
    pcie: float


def flops_per_token(
    shape: ModelShape,
    method: str,
    seq_len: float,
    checkpointing: bool = False,
    first_layer: int = 0,
) -> float:
    """Floating-point operations to train on one token of a row of `seq_len` tokens.

    With N the parameters that multiply a token (active experts and the output head; not the embedding, a lookup): forward
    2N, gradients with respect to activations 2N and, for full fine-tuning, to the weights 2N; checkpointing repeats the
    forward pass. Attention adds 12 x layers x width x seq_len, a third more with checkpointing. Blocks below `first_layer`
    are only run forward.

    Raises:
        CourseError: a method that is not among METHODS.
    """
    matmul, attention = _flops(shape, method, seq_len, checkpointing, first_layer)
    return matmul + attention


def peak_tflops(card: Gpu, compute: float) -> float:
    """Peak of the device for numbers of so many bytes (2 or 4), 10^12 operations a second."""
    half = card.bf16_tflops or card.fp16_tflops
    return half if compute == 2 and half else card.fp32_tflops


def work(setup: Setup, card: Gpu, grad_accum: float = 1) -> Work:
    """The work of one micro-batch on one device; the optimizer step counts by its share.

    setup: as in memory estimates; its `seq` is the mean length of a row here, tokens.
    """
    shape, full = setup.shape, setup.full
    recompute = setup.checkpointing != "none"
    tokens, length = setup.tokens, setup.tokens / (setup.rows * setup.sequences)
    matmul, attention = _flops(shape, setup.method, length, recompute, setup.first_layer)
    upper = shape.layers - min(setup.first_layer, shape.layers)
    passes = shape.layers + upper * (2 + recompute)
    if setup.sequences > 1:  # DPO: the reference model's forward pass
        matmul += 2 * multiplying_params(shape)
        attention += 4 * shape.layers * shape.hidden * length
        passes += shape.layers
    width = setup.compute / 2
    bandwidth = card.bandwidth_gbs * 1e9
    peak = peak_tflops(card, setup.compute) * 1e12
    eager = setup.attention == "eager"
    lora = sum(sum(shape.linear_shapes[part]) for part in setup.targets if part in shape.linear_shapes)
    sharded = setup.n_gpus > 1 and setup.sharding in ("fsdp", "zero3")
    trained = shape.params if full else setup.trained + setup.whole_matrices
    states_on = setup.n_gpus if setup.n_gpus > 1 and setup.sharding in ("fsdp", "zero3", "zero2") else 1
    sent = _sent(setup, trained, sharded, grad_accum)
    return Work(
        matmul=tokens * matmul / peak,
        attention=0.0 if eager else tokens * attention / peak,
        block=passes * tokens * shape.hidden * width / bandwidth,
        lora=(passes - shape.layers + upper) * tokens * lora / bandwidth,
        logits=0.0 if shape.kind == "encoder" else tokens * shape.vocab / bandwidth,
        square=passes * shape.heads * length * tokens * width / bandwidth if eager else 0.0,
        dequant=shape.block_linear_params * (passes - upper) / bandwidth if setup.quantised else 0.0,
        optimizer=trained / states_on / grad_accum / bandwidth,
        launches=passes,
        fsdp_launches=passes * sharded,
        nvlink=sent * (card.link == "nvlink"),
        pcie=sent * (card.link != "nvlink"),
    )


def seconds(w: Work, rates: Rates = FITTED) -> float:
    """Seconds that the work takes. Computing and launching overlap (root of squares); optimizer and transfers are added."""
    computing = (
        w.matmul / rates.matmul
        + w.attention / rates.attention
        + w.block * rates.block_bytes
        + w.lora * rates.lora_bytes
        + w.logits * rates.logit_bytes
        + w.square * rates.square_bytes
        + w.dequant * rates.dequant_bytes
    )
    launching = w.launches * rates.launch_s + w.fsdp_launches * rates.fsdp_launch_s
    return (
        (computing**2 + launching**2) ** 0.5
        + w.optimizer * rates.optimizer_bytes
        + w.nvlink / rates.nvlink_bps
        + w.pcie / rates.pcie_bps
    )


def slow_seconds(w: Work) -> float:
    """Seconds on a processor or an Apple chip: a share of its peak, and nothing finer, as little is published."""
    return (w.matmul + w.attention) / SLOW_SHARE


def multiplying_params(shape: ModelShape) -> int:
    """Parameters that a token is multiplied with: the active ones, less an embedding that is only looked up."""
    return shape.active_params - (0 if shape.tied and shape.kind != "encoder" else shape.embedding_params)


def _flops(shape, method, seq_len, checkpointing, first_layer) -> tuple[float, float]:
    """Operations per token in matrix products, and in attention."""
    if method not in METHODS:
        raise CourseError(f"There is no count of operations for method {method}: take one of {', '.join(METHODS)}.")
    head = 0 if shape.kind == "encoder" else shape.embedding_params
    blocks = multiplying_params(shape) - head
    share = max(0, shape.layers - first_layer) / shape.layers
    back = (4 if method == "full" else 2) + (2 if checkpointing else 0)
    attention = 4 * shape.layers * shape.hidden * seq_len
    return (2 + back) * head + (2 + back * share) * blocks, attention * (1 + share * (3 if checkpointing else 2))


def _sent(setup: Setup, trained: int, sharded: bool, grad_accum: float) -> float:
    """Bytes that one card exchanges per micro-batch: gathered weights, and gradients (fully sharded: each time)."""
    if setup.n_gpus == 1:
        return 0.0
    others = (setup.n_gpus - 1) / setup.n_gpus
    if sharded:
        weight = setup.quantised or setup.compute
        return others * (2 * weight * setup.shape.params + setup.compute * trained)
    return others * 2 * setup.compute * trained / grad_accum
