"""What a run costs: tokens a second, hours, dollars, and the size of what it leaves behind. Pure arithmetic, no torch."""

from dataclasses import dataclass, replace

from course_lib.choose.gpus import Gpu, prices
from course_lib.choose.gpus import gpu as device_of
from course_lib.choose.setup import Setup, precision_of, setup_of, trained_parameters
from course_lib.choose.shapes import ModelShape
from course_lib.choose.step_time import FITTED, flops_per_token, seconds, slow_seconds, work
from course_lib.errors import CourseError
from course_lib.plan import Plan

__all__ = [
    "Duration",
    "Speed",
    "adapter_gib",
    "flops_per_token",
    "hosted_price",
    "price",
    "speed",
    "speed_of",
    "training_time",
]

GIB = 2**30
# 95 % bands: real speed may be the point divided by the first factor, or times the second. From the errors that are left on
# published runs (`speed_fit.validate`), held-out sources and unfitted rows included.
BANDS = {
    "server": (1.6, 1.5),  # one data-centre card
    "several": (2.5, 1.6),  # several cards: short rows between cards came out up to three times slower
    "desktop": (3.0, 1.7),  # a card with a desktop beside it
    "slow": (3.0, 3.0),  # a processor, an Apple chip
}
UNMEASURED = 1.3  # both factors more, on cards that no published speed was fitted for
MEASURED = ("A100-40GB", "A100-80GB", "H100-80GB", "L40S", "RTX 3090", "RTX 4090")


@dataclass(frozen=True)
class Speed:
    """Training speed of all devices of a run together, tokens a second, padding not counted.

    low, high: 95 % band. utilisation: share of the devices' peak that the counted operations make up. step_s: seconds per
    micro-batch. assumes: what was taken for granted, in words.
    """

    tokens_per_s: float
    low: float
    high: float
    utilisation: float
    step_s: float
    n_gpus: int
    assumes: tuple[str, ...]

    @property
    def per_gpu(self) -> float:
        """Tokens a second of one device."""
        return self.tokens_per_s / self.n_gpus

    def __str__(self) -> str:
        point, low, high = (
            f"{value:,.0f}" if value >= 10 else f"{value:.2g}" for value in (self.tokens_per_s, self.low, self.high)
        )
        return f"{point} tokens/s, 95 % between {low} and {high}"


@dataclass(frozen=True)
class Duration:
    """Hours of a run, start to end of training; low and high are its 95 % band. Loading and evaluation not counted."""

    hours: float
    low: float
    high: float
    n_gpus: int
    speed: Speed

    def __str__(self) -> str:
        return f"{_time(self.hours)}, 95 % between {_time(self.low)} and {_time(self.high)}"


def speed(
    plan: Plan, shape: ModelShape | None = None, gpu: str | Gpu = "A100-80GB", seq_len: float | None = None
) -> Speed:
    """How fast a plan trains on devices of that name.

    shape: sizes of the model, None = those of `plan.model`. seq_len: mean tokens of a row, None = `plan.max_len`, which
    flatters: long rows keep a device busier.

    Raises:
        CourseError: unknown model or device, or a length that is not positive.
    """
    card = gpu if isinstance(gpu, Gpu) else device_of(gpu)
    shape = shape or ModelShape.of(plan.model)
    if seq_len is not None and not 0 < seq_len < float("inf"):
        raise CourseError(f"A mean length of {seq_len} tokens is none: give a positive number, or leave seq_len out.")
    words = []
    if seq_len is None:
        words.append(
            f"rows of {plan.max_len} tokens, the longest that the plan allows: shorter ones take longer per token"
        )
    precision = precision_of(plan, "cpu" if card.kind == "cpu" else "nvidia", card.has_bf16)
    low_precision = card.fp16_tflops > 0 if precision == "fp16" else card.has_bf16
    if plan.precision == "auto":
        words.append(f"{precision}, as `auto` takes on {card.name}")
    elif precision == "bf16" and not card.has_bf16:
        words.append(f"fp32's speed, as {card.name} has no bf16: set precision to fp16 or fp32")
    compute = 2 if precision != "fp32" and low_precision else 4
    setup, _ = setup_of(plan, shape, "cpu" if card.kind == "cpu" else "nvidia")
    if setup.method == "dora":
        setup = replace(setup, method="lora")
        words.append("counted as plain LoRA; DoRA works out each matrix anew at every pass, which takes longer")
    setup = replace(setup, seq=seq_len or plan.max_len, compute=compute)
    return speed_of(setup, card, plan.grad_accum, tuple(words))


def speed_of(setup: Setup, card: Gpu, grad_accum: float = 1, assumes: tuple[str, ...] = ()) -> Speed:
    """As `speed`, for a setup whose `seq` is the mean tokens of a row and whose `compute` the device can do."""
    load = work(setup, card, grad_accum)
    step = seconds(load, FITTED) if card.fast else slow_seconds(load)
    n_gpus = setup.n_gpus
    tokens = n_gpus * setup.rows * setup.sequences * setup.seq
    down, up, words = _band(card, n_gpus)
    point = tokens / step
    used = (load.matmul + load.attention) / step
    if setup.attention == "eager":
        words += ("attention written out, its operations not among those counted as used",)
    return Speed(point, point / down, point * up, used, step, n_gpus, (*assumes, *words))


def training_time(
    plan: Plan,
    tokens: float,
    gpu: str | Gpu = "A100-80GB",
    shape: ModelShape | None = None,
    seq_len: float | None = None,
) -> Duration:
    """How long a plan trains on so many tokens (tokens of the rows x epochs; the plan's own epochs are not multiplied in).

    Raises:
        CourseError: as `speed`, or a number of tokens that is not positive.
    """
    if not 0 < tokens < float("inf"):
        raise CourseError(f"{tokens} tokens cannot be trained on: give tokens of all rows times epochs, above 0.")
    rate = speed(plan, shape, gpu, seq_len)
    hours = tokens / 3600
    return Duration(hours / rate.tokens_per_s, hours / rate.high, hours / rate.low, rate.n_gpus, rate)


def price(time: Duration | float, gpu: str | Gpu, n_gpus: int = 1) -> tuple[float, float]:
    """US dollars for a run, from and to: rented devices, or electricity where the price table has no rental for the device.

    time: a Duration (its band and its number of devices count), or hours.

    Raises:
        CourseError: unknown device, hours below 0, or a price table that cannot be read.
    """
    card, table = gpu if isinstance(gpu, Gpu) else device_of(gpu), prices()
    low, high = (time.low, time.high) if isinstance(time, Duration) else (time, time)
    n_gpus = time.n_gpus if isinstance(time, Duration) else n_gpus
    if not 0 <= low < float("inf") or n_gpus < 1:
        raise CourseError(
            f"{low} hours on {n_gpus} devices have no price: give hours of 0 or more and 1 device or more."
        )
    per_kwh = tuple(card.watts / 1000 * usd for usd in table.electricity)
    cheap, dear = table.rental.get(card.name, per_kwh)
    return low * n_gpus * cheap, high * n_gpus * dear


def hosted_price(tokens: float, model: str, method: str = "sft") -> float:
    """US dollars for fine-tuning at a provider, for training tokens (rows x epochs).

    Raises:
        CourseError: the price table has no such offer.
    """
    offers = prices().hosted
    if (model, method) not in offers:
        known = "; ".join(f"{name} ({how})" for name, how in offers)
        raise CourseError(f"{model} ({method}) is not in the price table: it has {known or 'no hosted offers'}.")
    return tokens / 1e6 * offers[model, method]


def adapter_gib(plan: Plan, shape: ModelShape | None = None) -> float:
    """Size of the weights that a run saves, GiB: adapters and prompts in fp32, as PEFT does; a whole model in 16 bits.

    A plan with precision fp32 saves a whole model in fp32. P-tuning saves what its small network puts out, not the network;
    PiSSA saves what its matrices have become and what they were.
    """
    shape = shape or ModelShape.of(plan.model)
    if plan.method == "full":
        return shape.params * (4 if plan.precision == "fp32" else 2) / GIB
    saved = shape.prompt_params(plan.virtual_tokens) if plan.method == "p_tuning" else trained_parameters(plan, shape)
    if plan.method == "lora" and plan.variant == "pissa":
        saved *= 2
    return saved * 4 / GIB


def _band(card: Gpu, n_gpus: int) -> tuple[float, float, tuple[str, ...]]:
    """How far the real speed may lie below and above, as factors, and why."""
    if not card.fast:
        return *BANDS["slow"], (
            f"a class of machines, not {card.name} measured: three times slower or faster is possible",
        )
    kind = "desktop" if not card.server else "several" if n_gpus > 1 else "server"
    down, up = BANDS[kind]
    words = []
    if kind == "desktop":
        words.append("a card beside a desktop: published runs on such were up to three times slower than on a server")
    if n_gpus > 1:
        words.append(
            f"{n_gpus} cards of one machine" + (" over NVLink or the like" if card.link == "nvlink" else " over PCIe")
        )
    if card.name not in MEASURED:
        down, up = down * UNMEASURED, up * UNMEASURED
        words.append(
            f"no published speed of {card.name} was at hand: its datasheet, at the shares that other cards reach"
        )
    return down, up, tuple(words)


def _time(hours: float) -> str:
    """Hours in the unit that reads best."""
    if hours < 1 / 30:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
