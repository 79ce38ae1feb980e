"""The memory of a training step, from first principles.

A step has four moments at which memory can peak, and `allocated` is the largest of them:

    loss      every stored activation, and the logits with what the loss makes of them
    backward  the stored activations, and one layer's working set (with checkpointing: that layer computed again)
    last      the gradients of all layers, and the first layer's working set
    step      the gradients, and what the optimizer needs to work

What is stored follows from what PyTorch keeps for the backward pass of each operation of a transformer block: a product
with a frozen matrix keeps nothing of its input, a norm in fp32 keeps an fp32 copy, LoRA keeps the input of A, and so on
(Korthikanti et al. 2022 count the same way, for GPT-3's block trained whole). Only the numbers in `Fitted` are fitted.
"""

from dataclasses import dataclass

from course_lib.choose.held import held_by
from course_lib.choose.setup import Setup

GIB = 2**30

# Bytes per logit at the loss, where 16-bit logits are made whole. In fp32: the logits' copy, the log-probabilities, and
# their gradient twice (the loss's and the softmax's). Counted, and seen: 14 (Mistral-7B 14.0, Qwen2.5 14.2).
LOSS = {
    "full": 14,
    "own": 12,  # this course's step: the 16-bit logits are gone before the gradients come (weighed by `simulate`)
    "own_kl": 28,  # and with the base model's logits beside them: four more in fp32 (weighed too)
    "full_fp32_head": 16,  # the head computes in fp32 (after prepare_model_for_kbit_training): the logits themselves are fp32
    "native": 8,  # the loss in 16 bits: older model classes, plain PyTorch on bf16 logits
    "native_autocast": 18,  # the same under autocast: 16-bit logits and their shifted copy, then all of fp32's
    "fp32": 16,  # all in fp32: logits, log-probabilities, two gradients
    "fused": 6,  # fused cross-entropy: 16-bit logits, and their gradient in fp32
    "fused_native": 6,
    "fused_native_autocast": 14,
    "fused_upcast": 10,  # the same where the model class makes fp32 logits first
    "chunked": 0,
    "fused_linear": 0,
    "none": 0,
}


QUERY_NORMS = ("qwen3", "qwen3_moe", "olmo2", "gemma3_text")
WORKSPACE = 0.05 * GIB  # cuBLAS and small tensors: a 4 MB model's step allocates that much (RTX 4080, canifinetune)


@dataclass(frozen=True)
class Fitted:
    """The fitted numbers; `calibrate.fit` finds them, `course estimate --score` says how well they do.

    litgpt_extra: bytes per token, layer and hidden unit that LitGPT's LoRA keeps beyond the count. idle_logits: bytes that
    the caching allocator holds idle for each logit that existed (large tensors leave large holes). idle_sharded: the share
    of what the backward pass allocates and frees that stays idle when FSDP gathers layers in between. context_sharded: GiB
    that communication between GPUs holds outside torch. spread_*: a factor's logarithm, down and up, that holds 95 % of
    the runs; spread_inferred widens the intervals of published rows of which one input had to be inferred.
    """

    litgpt_extra: float = 4.0
    idle_logits: float = 4.5
    idle_sharded: float = 0.14
    context_sharded: float = 2.5
    spread_allocated: tuple[float, float] = (0.08, 0.057)
    spread_reserved: tuple[float, float] = (0.377, 0.117)
    spread_device: tuple[float, float] = (0.2, 0.265)
    spread_inferred: tuple[float, float] = (0.03, 0.457)


FITTED = Fitted()


def block_saved(s: Setup, c: Fitted = FITTED) -> float:
    """Bytes per token that one block keeps for its backward pass, without checkpointing."""
    shape, e = s.shape, _attention_bytes(s)
    hidden, ffn = shape.hidden, shape.ffn * max(1, shape.active_experts)
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    norms = (2 * hidden + _more_normed(s)) * (e if s.fused_norms or shape.mlp == 2 else 4)
    held = keys if s.attention == "flash_attention_2" else queries  # other kernels repeat keys and values for each head
    attention = e * (2 * queries + 2 * held)
    if s.attention == "eager":
        attention += s.seq * shape.heads * _score_bytes(s, e)
    if s.litgpt:  # queries, keys and values stay views of one tensor, and a padded LoRA output of that size is kept
        attention = 2 * (4 * queries if keys != queries else 6 * queries)
        if not {"q_proj", "k_proj", "v_proj"} <= s.targets:
            attention += 2 * (queries + 2 * keys)
    mlp = _mlp_bytes(s) * ffn * (3 if shape.mlp == 3 else s.gelu_copies)
    dropped_out = 2 * e * hidden if _drops_out(s) else 0
    saved = norms + attention + mlp + dropped_out + _method_saved(s, e)
    if s.quantised and s.keeps_quantised_inputs:
        saved += s.keeps_quantised_inputs * (2 * hidden + queries + ffn)
    if s.litgpt:
        saved += c.litgpt_extra * hidden
    return saved


def _more_normed(s: Setup) -> int:
    """Numbers per token that a block normalises beyond its two inputs: queries and keys; in Gemma 3 both outputs too."""
    shape = s.shape
    if shape.model_type not in QUERY_NORMS:
        return 0
    return (shape.heads + shape.kv_heads) * shape.head_dim + 2 * shape.hidden * shape.model_type.startswith("gemma")


def _drops_out(s: Setup) -> bool:
    """Whether the model's class drops out by default: encoders do, up to ModernBERT."""
    return s.shape.kind == "encoder" and s.shape.model_type != "modernbert"


def _score_bytes(s: Setup, e: float) -> float:
    """Bytes kept per attention score that is written out. What is dropped out keeps a mask and a product more."""
    if s.shape.model_type == "deberta-v2":
        return 11  # scores of places beside those of contents (weighed)
    if _drops_out(s):
        return (12 if e == 4 else 10) if s.full else 2 * e + 1
    return 2 * e if e == 4 else 2 * e + 1


def _attention_bytes(s: Setup) -> float:
    """Bytes per number in attention: autocast brings an fp32 stream down to 16 bits there."""
    return 4 if s.upcast_rest and not s.autocast else s.compute


def _mlp_bytes(s: Setup) -> float:
    """Bytes per number in the MLP: a 4-bit product gives back the dtype it was given, also under autocast."""
    return 4 if s.upcast_rest else s.compute


def _method_saved(s: Setup, e: float) -> float:
    """Bytes per token and block that the method itself keeps: inputs of what is trained."""
    shape = s.shape
    hidden, ffn = shape.hidden, shape.ffn
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    if s.full:
        return e * (2 * hidden + ffn + (0 if s.fused_norms else 2 * hidden + _more_normed(s)))
    if s.method == "adapters":
        widths = s.trained / (2 * hidden * shape.layers)  # of a block's bottlenecks, added up
        return e * (s.bottlenecks * hidden + widths)
    if s.method == "ia3":
        return 4 * (2 * keys + ffn)
    if not s.targets:
        return 0
    # PEFT casts the input for each LoRA anew: to fp32, or under autocast to 16 bits; where the residual stream is fp32 there
    # is nothing to cast. LitGPT casts nothing, but keeps a dropout mask.
    copy = 3 if s.litgpt else 2 if s.autocast else 4
    shared = s.litgpt or (s.upcast_rest and not s.autocast)
    read = queries * ("o_proj" in s.targets) + ffn * ("down_proj" in s.targets)
    for readers in (s.targets & {"q_proj", "k_proj", "v_proj"}, s.targets & {"gate_proj", "up_proj"}):
        read += hidden * (bool(readers) if shared else len(readers))
    # DoRA keeps both products for the gradient of the magnitude.
    both = 2 * e * sum(shape.linear_shapes[name][1] for name in s.targets) if s.method == "dora" else 0
    return copy * read + both


@dataclass(frozen=True)
class Peak:
    """The peak of allocated memory, bytes: parts, and which of the four moments it was.

    passing: bytes that the backward pass allocates and frees, whichever moment is the peak. logit_count: logits that exist
    at once. sharded: weights are gathered and freed layer by layer.
    """

    moment: str
    parts: dict[str, float]
    passing: float
    logit_count: float
    sharded: bool

    @property
    def allocated(self) -> float:
        """Bytes in tensors at the peak."""
        return sum(self.parts.values())


def peak(s: Setup, c: Fitted = FITTED) -> Peak:
    """The largest of the four moments of a step, on one GPU of `s.n_gpus`."""
    shape, held, tokens = s.shape, held_by(s), s.tokens
    saved = block_saved(s, c)
    e = _mlp_bytes(s)
    working = e * ((3 if shape.mlp == 3 else 2) * shape.ffn * max(1, shape.active_experts) + 2 * shape.hidden)
    layers = shape.layers - s.first_layer
    if s.checkpointing == "none":
        stored, layer = tokens * layers * saved, tokens * working
    else:
        inputs = tokens * layers * shape.hidden * (4 if s.upcast_rest else s.compute)
        stored = inputs * (s.checkpointing == "full")
        layer = tokens * (saved + working)
    if s.quantised:
        layer += 2 * max(i * o for i, o in shape.linear_shapes.values())
    # Under the first FSDP with a frozen base the layers' inputs are held twice in the backward pass (seen, not explained).
    twice = s.sharding == "fsdp" and not s.fsdp2 and not s.full and s.checkpointing == "full"
    doubled = stored if twice else 0
    # Each row attends to its own copy of the learned keys and values.
    learned = (
        2
        * _attention_bytes(s)
        * shape.heads
        * shape.head_dim
        * layers
        * s.virtual_tokens
        * s.rows
        * (s.method == "prefix_tuning")
    )

    per_logit = LOSS[_loss_path(s)]
    logits = tokens * (per_logit * shape.vocab + 6 * shape.hidden)
    if s.loss == "chunked" and s.litgpt:
        logits = s.rows * 128 * shape.vocab * 8 + (2 * shape.head_params if s.quantised_head else 0)
    head_gradient = held.per_weight * shape.vocab * shape.hidden / held.shared if s.full else 0
    waiting = held.gradients if s.accumulates else 0

    def moment(gradients, activations, logits=0.0, temporary=0.0):
        return {
            "gradients": gradients + held.buckets,
            "optimizer": held.optimizer + temporary,
            "activations": activations,
            "logits": logits,
        }

    around = held.gathered + held.casts
    moments = {
        "loss": moment(waiting, stored + learned + around, logits),
        "backward": moment(max(waiting, head_gradient), stored + doubled + learned + layer + around),
        "last": moment(held.gradients, tokens * (saved + working) + held.gathered),
        "step": moment(held.gradients, 0.0, temporary=held.temporary),
    }
    name, parts = max(moments.items(), key=lambda item: sum(item[1].values()))
    fixed = {"weights": held.weights + WORKSPACE, "adapter": held.adapter}
    return Peak(name, fixed | parts, stored + doubled + layer, tokens * shape.vocab * (per_logit > 0), held.shared > 1)


def _loss_path(s: Setup) -> str:
    if s.loss == "full" and s.compute == 4:
        return "fp32"
    if s.loss == "full" and s.upcast_rest and not s.autocast:
        return "full_fp32_head"
    if s.loss == "native" and s.compute == 4:
        return "fp32"
    if s.loss in ("native", "fused_native") and s.autocast:
        return f"{s.loss}_autocast"
    return s.loss
