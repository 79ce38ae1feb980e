"""What a training step holds whatever its rows: weights, gradients, optimizer states, and how sharding divides them."""

from dataclasses import dataclass

from course_lib.choose.setup import Setup


@dataclass(frozen=True)
class Held:
    """Bytes that do not depend on the rows, on one GPU. casts: 16-bit copies of fp32 weights that autocast keeps.

    temporary: what the optimizer's step needs beside its states. buckets: what DDP sends gradients in. gathered: whole
    layers of sharded weights. shared: GPUs that weights are shared among. per_weight: bytes of one trained weight.
    """

    weights: float
    adapter: float
    gradients: float
    optimizer: float
    temporary: float
    buckets: float
    gathered: float
    casts: float
    shared: int
    per_weight: float


def held_by(s: Setup) -> Held:
    """The bytes of a setup; see Held."""
    shape = s.shape
    shared = s.n_gpus if s.sharding in ("fsdp", "zero3") else 1
    in_blocks = shape.layers * shape.block_linear_params + (shape.head_params if s.quantised_head else 0)
    rest = shape.params - in_blocks
    # accelerate holds FSDP's shards in fp32 when the mixed_precision flag is set.
    weight = 4 if s.full and s.sharding == "fsdp" and s.autocast else s.weight
    weights = shape.params * weight
    if s.quantised:
        weights = in_blocks * s.quantised + rest * (4 if s.upcast_rest else weight)
    if s.reference:
        weights *= 2

    trained, per_weight = (shape.params, weight) if s.full else (s.trained, s.adapter)
    whole = s.whole_matrices * s.weight
    gradients = trained * per_weight + whole
    optimizer = trained * _state_bytes(s.optimizer, per_weight) + s.whole_matrices * _state_bytes(s.optimizer, s.weight)
    # torch's default on a GPU works on all weights at once.
    temporary = gradients if s.optimizer == "adamw_torch" else 0
    if s.in_backward:  # each gradient is used and dropped as it comes
        gradients, temporary = gradients / shape.layers, 0
    if s.master:  # DeepSpeed and Megatron: 16-bit weights and gradients; fp32 master weights and both moments
        gradients, optimizer, temporary = trained * 2, trained * 12, trained * 2
    states_shared = s.n_gpus if s.sharding == "zero2" else shared

    gathered = 0.0
    if shared > 1:  # the root unit (embeddings, head) and two layers stand whole; training them adds a layer's gradient
        gathered = rest * 2 + shape.block_linear_params * (s.quantised or 2) * (3 if s.full else 2)
        if s.litgpt:  # its wrapping never frees what it gathered: the whole model stands on each GPU
            gathered = shape.params * 2
    return Held(
        weights=weights / shared,
        adapter=0 if s.full else (trained * per_weight + whole) / shared,
        gradients=gradients / states_shared,
        optimizer=optimizer / states_shared,
        temporary=temporary / states_shared,
        buckets=gradients if s.sharding == "ddp" else 0,
        gathered=gathered,
        casts=_casts(s, weight) if shared == 1 else 0,
        shared=shared,
        per_weight=per_weight,
    )


def _casts(s: Setup, weight: float) -> float:
    """Bytes of the 16-bit copies that autocast keeps of fp32 weights until the backward pass: all, or an upcast head."""
    if not s.autocast:
        return 0
    if s.full:
        return s.shape.params * 2 if weight == 4 else 0
    return s.shape.vocab * s.shape.hidden * 2 if s.upcast_rest else 0


def _state_bytes(optimizer: str, per_weight: float) -> float:
    """Bytes of optimizer state per trained weight."""
    if optimizer.startswith("paged"):
        return 0  # they wait in the host's memory
    if "8bit" in optimizer:
        return 2
    if optimizer in ("sgd", "adafactor"):
        return 0  # adafactor's rows and columns are negligible
    return 2 * per_weight
