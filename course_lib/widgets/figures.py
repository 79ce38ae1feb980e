"""Two pictures as inline SVG, each with the same in words: the path through the five questions, memory by method."""

from collections.abc import Callable
from dataclasses import dataclass

from course_lib.choose.fitting import USED_GPUS, nearest, wants_encoder
from course_lib.choose.hyperparameters import hyperparameters
from course_lib.choose.memory import estimate
from course_lib.choose.rules import CPU_GIB
from course_lib.choose.selector import HOSTED_MODEL_B, Recommendation
from course_lib.choose.shapes import ModelShape
from course_lib.choose.situation import Situation
from course_lib.plan import Plan
from course_lib.widgets.markup import BLUE, ORANGE, Html, table, tag
from course_lib.widgets.words import METHODS

BARS = ("full", "lora", "qlora", "adapters", "prompt_tuning")


@dataclass(frozen=True)
class Bar:
    """Memory of one method on one GPU, GiB: point, 95 % interval, and whether it fits, in words."""

    method: str
    low: float
    point: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Memory:
    """What each method needs at least for the reader's model; `assumed` says with which settings."""

    model: ModelShape
    room: float
    bars: tuple[Bar, ...]
    assumed: str

    def __str__(self) -> str:
        lines = [f"Memory for {self.model.name} ({self.model.params / 1e9:.2g} billion parameters), {self.assumed}:"]
        lines += [
            f"  {METHODS[b.method][0]:<18} {b.point:6.1f} GiB  (95 %: {b.low:.1f} to {b.high:.1f})  {b.verdict}"
            for b in self.bars
        ]
        return "\n".join(lines)


def memory_by_method(rec: Recommendation) -> Memory:
    """Each method on the model asked for (or recommended), one row at a time, activations recomputed."""
    s, cpu = rec.situation, rec.situation.gpu_gib == 0
    size = s.model_b or (rec.plan and not wants_encoder(s) and ModelShape.of(rec.plan.model).params / 1e9)
    model = nearest(size or (0.15 if wants_encoder(s) else HOSTED_MODEL_B), wants_encoder(s))
    if rec.plan and s.model_b is None:
        model = ModelShape.of(rec.plan.model)
    objective = rec.objective if rec.objective != "none" else "sft"
    n_gpus = 1 if cpu else min(s.n_gpus, USED_GPUS)
    room, bars = CPU_GIB if cpu else s.gpu_gib, []
    for method in BARS:
        plan = Plan(
            model=model.name, method=method, objective=objective, **hyperparameters(s, method, objective), micro_batch=1,
            gradient_checkpointing=True, n_gpus=n_gpus, sharding="none" if n_gpus == 1 else "fsdp",
        )  # fmt: skip
        guess = estimate(plan, gpu="cpu" if cpu else None)
        low, high = guess.interval("device")
        verdict = (
            "needs a GPU" if cpu and method == "qlora"
            else "fits" if high <= room
            else "does not fit" if low > room
            else "too close to say"
        )  # fmt: skip
        bars.append(Bar(method, low, guess.device_gib, high, verdict))
    shared = f" on each of {n_gpus} GPUs that share the model (FSDP)" if n_gpus > 1 else ""
    assumed = f"rows of {plan.max_len:,} tokens, one at a time, activations recomputed{shared}"
    return Memory(model, room, tuple(bars), assumed)


def memory_table(rec: Recommendation) -> Html:
    """A bar, the number, its interval and the verdict for each method."""
    memory = memory_by_method(rec)
    full = max(memory.room, *(b.high for b in memory.bars)) * 1.05
    whose = "8 GiB of a computer without a GPU" if rec.situation.gpu_gib == 0 else f"your {memory.room:g} GiB"
    rows = [
        (
            METHODS[b.method][0] + (" (recommended)" if b.method == rec.method else ""),
            memory_picture(b.low, b.point, b.high, memory.room, full),
            f"{b.point:.1f} GiB",
            f"{b.low:.1f} to {b.high:.1f}",
            tag("strong", b.verdict),
        )
        for b in memory.bars
    ]
    size = f"{memory.model.params / 1e9:.2g} billion parameters"
    return tag(
        "div",
        table(
            f"Memory to train {memory.model.name} ({size})",
            ("Method", f"Bar; the upright line is {whose}", "Needs", "95 % between", "Verdict"),
            rows,
        ),
        tag(
            "p",
            f"The least that each method needs: {memory.assumed}. Whiskers are 95 % intervals; a dashed bar does not surely "
            "fit.",
            class_="cs-small",
        ),
    )


def memory_picture(low: float, point: float, high: float, room: float, full: float, width: int = 240) -> Html:
    """One bar from 0 to `full` GiB with its interval, and the line of the reader's memory. Its numbers stand beside it."""

    def x(gib: float) -> float:
        return round(2 + (width - 4) * gib / full, 1)

    fits = high <= room
    colour = BLUE if fits else ORANGE
    bar = tag(
        "rect", x=2, y=6, width=max(x(point) - 2, 2), height=12, fill=colour, fill_opacity="0.6" if fits else "0.15",
        stroke=colour, stroke_width=1.5, stroke_dasharray=None if fits else "5 3",
    )  # fmt: skip
    whisker = tag(
        "path",
        d=f"M{x(low)} 12H{x(high)}M{x(low)} 8V16M{x(high)} 8V16",
        stroke="currentColor",
        stroke_width=1.3,
        fill="none",
    )
    line = tag("path", d=f"M{x(room)} 0V24", stroke="currentColor", stroke_width=2.5, fill="none")
    return tag(
        "svg",
        bar,
        whisker,
        line,
        viewBox=f"0 0 {width} 24",
        width=width,
        height=24,
        aria_hidden="true",
        focusable="false",
    )


@dataclass(frozen=True)
class Fork:
    """A question as a fork of the path: its branches in words, and which of them a situation takes."""

    title: str
    branches: tuple[str, ...]
    taken: Callable[[Situation], int]


def _bin(*edges: float) -> Callable[[float], int]:
    return lambda value: sum(value >= edge for edge in edges)


FORKS = (
    Fork("GPU memory", ("no GPU", "up to 16 GiB", "up to 48 GiB", "more"), lambda s: _bin(1e-9, 16.001, 48.001)(s.gpu_gib)),
    Fork("Performance", ("very good", "every last drop"), lambda s: int(s.quality == "best")),
    Fork("Tasks", ("one", "2 to 9", "10 or more"), lambda s: _bin(2, 10)(s.n_tasks)),
    Fork("Latency", ("not critical", "critical"), lambda s: int(s.latency_critical)),
    Fork("Examples", ("under 100", "100 to 999", "1,000 to 9,999", "10,000 or more"), lambda s: _bin(1e2, 1e3, 1e4)(s.n_examples)),
)  # fmt: skip
STEP, WIDE, HIGH = 152, 130, 26


def path_in_words(rec: Recommendation, answered: int = 5) -> str:
    """The path as one line."""
    steps = [f"{f.title}: {f.branches[f.taken(rec.situation)]}" for f in FORKS[:answered]]
    if answered == len(FORKS):
        steps.append(f"answer: {METHODS[rec.method][0]}")
    return " → ".join(steps) if steps else "No question answered yet."


SHORT = {"hosted": "At a service", "full": "Full"}  # what fits into a box


def path_picture(rec: Recommendation, answered: int = 5) -> Html:
    """The five questions side by side with the branches taken, joined by a line; then the answer."""
    boxes, lines, before = [], [], None
    for column, fork in enumerate(FORKS):
        left = 6 + column * STEP
        boxes.append(tag("text", f"{column + 1} {fork.title}", x=left, y=16, font_size=13, font_weight=600))
        for i, branch in enumerate(fork.branches):
            taken = column < answered and fork.taken(rec.situation) == i
            top = 30 + i * (HIGH + 8)
            boxes += _box(left, top, branch, taken)
            if taken:
                lines += [_join(before, (left, top + HIGH / 2))] if before else []
                before = (left + WIDE, top + HIGH / 2)
    left, done = 6 + len(FORKS) * STEP, answered == len(FORKS)
    boxes.append(tag("text", "Answer", x=left, y=16, font_size=13, font_weight=600))
    boxes += _box(left, 64, SHORT.get(rec.method, METHODS[rec.method][0].split(",")[0]) if done else "?", done)
    if done:
        lines.append(_join(before, (left, 64 + HIGH / 2)))
    words = path_in_words(rec, answered)
    return tag(
        "svg", tag("title", "Your path through the five questions"), tag("desc", words), lines, boxes, role="img",
        aria_label=f"Your path through the five questions. {words}", viewBox="0 0 900 170", width=900,
    )  # fmt: skip


def _box(left: float, top: float, words: str, taken: bool) -> list[Html]:
    look = {"stroke": BLUE, "stroke_width": 2.5, "fill": BLUE, "fill_opacity": 0.18} if taken else {
        "stroke": "currentColor", "stroke_opacity": 0.35, "fill": "none"
    }  # fmt: skip
    text = f"✓ {words}" if taken else words
    return [
        tag("rect", x=left, y=top, width=WIDE, height=HIGH, rx=5, **look),
        tag("text", text, x=left + 7, y=top + 17.5, font_size=12, font_weight=600 if taken else 400),
    ]


def _join(start: tuple[float, float], end: tuple[float, float]) -> Html:
    (x1, y1), (x2, y2) = start, end
    middle = (x1 + x2) / 2
    return tag(
        "path", d=f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}", stroke=BLUE, stroke_width=2.5, fill="none"
    )
