"""Which plans fit the hardware: sizes of model, rows and sharding, by the upper end of the memory model's interval."""

from functools import cache

from course_lib.choose.memory import estimate
from course_lib.choose.rules import CPU_GIB, CPU_LARGEST_B
from course_lib.choose.shapes import ModelShape, suggestions
from course_lib.choose.situation import Situation
from course_lib.plan import Plan

ROWS_PER_STEP = 16  # within `practices`' 8 to 32
MICRO_BATCHES = (8, 4, 2, 1)
USED_GPUS = 8  # one machine's; more are used only where fewer do not hold the model
MOST_GPUS = 64  # eight such machines
# The largest model to suggest when none is asked for: (when, billions, why, source). The numbers are our readings.
CAPS = (
    (lambda s: s.gpu_gib == 0, 0.2, "without a GPU, a model whose training takes minutes", "measured:104"),
    (lambda s: s.on_device, 2.0, "at most 2 billion parameters, since a small device must run it", "selector"),
    (lambda s: s.first_time, 3.3, 'at most 3 billion parameters: "First time fine-tuning" begins there', "lesson4"),
    (lambda s: s.rapid_iteration, 4.1, "at most 4 billion parameters, for many runs in a short time", "selector"),
    (lambda s: s.quality == "best", 100.0, "the largest that fits, since every last drop counts", "module9"),
    (
        lambda s: True,
        8.3,
        "at most 8 billion parameters: enough for production quality; scale up only if needed",
        "lesson4",
    ),
)
# What transformers 5.23 lacks, by the type of model: a classifier, or attention by PyTorch's own kernels.
NO_CLASSIFIER = ("granite",)
NO_SDPA = ("gemma2", "deberta-v2")
ENCODER_BELOW_B = 0.45  # billions: below, a classifier is better built on an encoder
DEFAULT_ENCODER_B = 0.15


@cache
def models(encoders: bool, labels: bool = False) -> tuple[ModelShape, ...]:
    """Models to suggest, largest first, those that need no acceptance before others of their size.

    labels: only those that there is a classifier of.
    """
    kind, without = "encoder" if encoders else "causal", NO_CLASSIFIER if labels else ()
    found = (m for m in suggestions() if m.kind == kind and m.model_type not in without)
    return tuple(sorted(found, key=lambda m: (-m.params, m.gated)))


def cap(s: Situation) -> tuple[float, str, str]:
    """(billions, why, source): the largest model to suggest when the situation names none."""
    return next((size, why, source) for holds, size, why, source in CAPS if holds(s))


@cache
def nearest(model_b: float, encoders: bool, labels: bool = False) -> ModelShape:
    """The suggested model nearest to a size, as `models`; of two near ones, that which needs no acceptance, then the newer one."""

    def distance(m: ModelShape) -> tuple:
        ratio = max(m.params / 1e9 / model_b, model_b / (m.params / 1e9))
        return round(ratio, 1), m.gated, -m.year, ratio

    return min(models(encoders, labels), key=distance)


def wants_encoder(s: Situation) -> bool:
    """Whether a classifier is wanted that is small enough to be built on an encoder."""
    return s.task == "classification" and (s.model_b or DEFAULT_ENCODER_B) <= ENCODER_BELOW_B


def candidates(s: Situation) -> tuple[ModelShape, ...]:
    """Models to try, most wanted first: the size asked for, or else from the largest under the cap down."""
    labels = s.task == "classification"
    if wants_encoder(s):
        size = s.model_b or (0.4 if s.quality == "best" else DEFAULT_ENCODER_B)
        return (nearest(size, True, labels),)
    if s.model_b is not None:
        return (nearest(s.model_b, False, labels),)
    largest = cap(s)[0]
    return tuple(m for m in models(False, labels) if m.params <= largest * 1e9)


@cache
def need(
    model: str, method: str, objective: str, rank: int, max_len: int, optimizer: str, micro_batch: int, checkpointing: bool,
    n_gpus: int, sharding: str, cpu: bool,
) -> float:  # fmt: skip
    """Upper end of the device interval, GiB per GPU."""
    shape = ModelShape.of(model)
    plan = Plan(
        model=model, method=method, objective=objective, rank=rank, max_len=max_len, optimizer=optimizer,
        micro_batch=micro_batch, grad_accum=accumulation(micro_batch, n_gpus), gradient_checkpointing=checkpointing,
        attention=attention(shape), n_gpus=n_gpus, sharding=sharding,
    )  # fmt: skip
    return estimate(plan, shape, gpu="cpu" if cpu else None).interval("device")[1]


def attention(model: ModelShape) -> str:
    """How the model's class computes attention: by PyTorch's kernels, or written out where it does not know these."""
    return "eager" if model.model_type in NO_SDPA else "sdpa"


def accumulation(micro_batch: int, n_gpus: int) -> int:
    """Forward passes per optimizer step, so that a step sees ROWS_PER_STEP rows where the GPUs allow."""
    return max(1, ROWS_PER_STEP // (micro_batch * n_gpus))


def fit(s: Situation, model: ModelShape, method: str, objective: str, fields: dict) -> dict | None:
    """Plan fields (rows, checkpointing, GPUs, sharding, attention) with which this model fits; None where nothing does.

    What costs least is given up first: rows per forward pass, then memory for recomputing, then plain data parallelism.
    """
    cpu = s.gpu_gib == 0
    if cpu and (method == "qlora" or model.params > CPU_LARGEST_B * 1e9):
        return None
    room = CPU_GIB if cpu else s.gpu_gib

    def needed(micro_batch, checkpointing, n_gpus, sharding):
        return need(
            model.name, method, objective, fields.get("rank", 16), fields["max_len"], fields["optimizer"], micro_batch,
            checkpointing, n_gpus, sharding, cpu,
        )  # fmt: skip

    for n_gpus, sharding in _layouts(s):
        if needed(1, True, n_gpus, sharding) > room:
            continue
        checkpointing = model.params > 5e8 or needed(1, False, n_gpus, sharding) > room
        micro_batch = next(b for b in MICRO_BATCHES if b == 1 or needed(b, checkpointing, n_gpus, sharding) <= room)
        return {
            "micro_batch": micro_batch,
            "grad_accum": accumulation(micro_batch, n_gpus),
            "gradient_checkpointing": checkpointing,
            "n_gpus": n_gpus,
            "sharding": sharding,
            "attention": attention(model),
        }
    return None


def _layouts(s: Situation):
    """(GPUs, sharding) to try, plainest first."""
    if s.gpu_gib == 0 or s.n_gpus == 1:
        yield 1, "none"
        return
    used = min(s.n_gpus, USED_GPUS)
    yield used, "ddp"
    while True:
        yield used, "fsdp"
        if used == min(s.n_gpus, MOST_GPUS):
            return
        used = min(used * 2, s.n_gpus, MOST_GPUS)


def least_need(s: Situation, model: ModelShape, method: str, objective: str, fields: dict) -> float:
    """GiB per GPU with one row at a time and checkpointing: the least that this method needs, on the GPUs there are."""
    n_gpus, sharding = (1, "none") if s.n_gpus == 1 else (min(s.n_gpus, USED_GPUS), "fsdp")
    return need(
        model.name, method, objective, fields.get("rank", 16), fields["max_len"], fields["optimizer"], 1, True, n_gpus,
        sharding, s.gpu_gib == 0,
    )  # fmt: skip
