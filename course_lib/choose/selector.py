"""Our own recommendation: rules decide what suits, the memory model what fits, and both say why."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from course_lib.choose import rules
from course_lib.choose.fitting import candidates, cap, fit, least_need, nearest, wants_encoder
from course_lib.choose.hyperparameters import hyperparameters
from course_lib.choose.memory import estimate
from course_lib.choose.memory_estimate import MemoryEstimate
from course_lib.choose.shapes import ModelShape
from course_lib.choose.situation import Situation
from course_lib.plan import Plan

MEMORY = "memory model"
HOSTED_MODEL_B = 8.0  # billions: what services of the kind offer for small sums
MUCH_LARGER = 0.6  # below this share of QLoRA's largest model, LoRA's is given up for it
TOO_SMALL = 0.25  # of the size asked for: a smaller one is another model, and a service the better answer


@dataclass(frozen=True)
class Reason:
    """Words, and where they come from: a guide's key, "memory model", or "measured:<lesson>"."""

    text: str
    source: str

    def __str__(self) -> str:
        return f"{self.text} [{self.source}]"


@dataclass(frozen=True)
class Alternative:
    """A method that was not taken."""

    method: str
    why_not: str
    source: str


@dataclass(frozen=True)
class Change:
    """The smallest change of one field that gives another method."""

    field: str
    value: object
    method: str

    def __str__(self) -> str:
        value = f"{self.value:,}" if isinstance(self.value, int) and not isinstance(self.value, bool) else self.value
        return f"{self.field} = {value} would make it {self.method}"


@dataclass(frozen=True)
class Recommendation:
    """What to do in a situation. plan: None for prompting; for `hosted`, what to ask the service for, and no estimate."""

    situation: Situation
    method: str
    objective: str
    model: str | None
    plan: Plan | None
    estimate: MemoryEstimate | None
    reasons: tuple[Reason, ...]
    alternatives: tuple[Alternative, ...]
    warnings: tuple[Reason, ...]

    @cached_property
    def what_would_change(self) -> Change | None:
        """The nearest change of one field that changes the method; None where no single one does."""
        for name, value in _neighbours(self.situation):
            method = _decide(self.situation.but(**{name: value})).method
            if method != self.method:
                return Change(name, value, method)
        return None

    def __str__(self) -> str:
        lines = [f"{self.method}, objective {self.objective}" + (f", on {self.model}" if self.model else "")]
        lines += [f"  because  {reason}" for reason in self.reasons]
        lines += [f"  beware   {warning}" for warning in self.warnings]
        if self.estimate:
            low, high = self.estimate.interval("device")
            lines.append(
                f"  memory   {self.estimate.device_gib:.1f} GiB per GPU, 95 % between {low:.1f} and {high:.1f}"
            )
        lines += [f"  not {other.method}: {other.why_not} [{other.source}]" for other in self.alternatives]
        if self.what_would_change:
            lines.append(f"  {self.what_would_change}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Decision:
    method: str
    objective: str = "none"
    model: ModelShape | None = None
    fields: dict | None = None
    reasons: tuple[Reason, ...] = ()
    too_big: dict[str, float] | None = None  # method -> GiB per GPU that it would need at least
    smaller_than_asked: bool = False


def recommend(situation: Situation | None = None, **fields) -> Recommendation:
    """The strategy for a situation: `recommend(Situation(gpu_gib=16))`, or `recommend(gpu_gib=16)`.

    A plan that it returns fits by the memory model: the upper end of the device interval is within `gpu_gib` (without a
    GPU: within 8 GiB of the computer's memory). Where what was asked for does not fit, a reason says so, and how it could.

    Raises:
        CourseError: fields that are no situation.
    """
    s = situation or Situation()
    if fields:
        s = s.but(**fields)
    d = _decide(s)
    plan = None
    guess = None
    if d.model:
        plan = Plan(
            model=d.model.name, method=d.method if d.method != "hosted" else "lora", objective=d.objective, **d.fields
        )
        if d.method != "hosted":
            guess = estimate(plan, gpu="cpu" if s.gpu_gib == 0 else None)
    return Recommendation(
        situation=s,
        method=d.method,
        objective=d.objective,
        model=d.model.name if d.model else None,
        plan=plan,
        estimate=guess,
        reasons=(*d.reasons, *_support(s, d), *_fits(s, d, guess)),
        alternatives=_alternatives(s, d),
        warnings=_warnings(s, d),
    )


def _decide(s: Situation) -> _Decision:
    for rule in rules.NOT_YET:
        if rule.when(s):
            return _Decision(rule.name, reasons=(Reason(rule.say(s), rule.source),))
    aim = next(rule for rule in rules.OBJECTIVES if rule.when(s))
    why = (Reason(aim.say(s), aim.source),)
    if s.gpu_gib == 0 and not _small_enough_for_a_cpu(s):
        text = f"Without a GPU a model above {rules.CPU_LARGEST_B} billion parameters is trained at a service."
        return _hosted(s, aim.name, (*why, Reason(text, "lesson4")), {})
    too_big, found = {}, {}
    for rule in rules.METHODS:
        if not rule.when(s):
            continue
        fields = hyperparameters(s, rule.name, aim.name)
        for model in candidates(s):
            if rule.name == "prompt_tuning" and model.params < rules.LARGE_FOR_PROMPTS_B * 1e9:
                break
            if layout := fit(s, model, rule.name, aim.name, fields):
                found[rule.name] = _Decision(
                    rule.name, aim.name, model, fields | layout, (Reason(rule.say(s), rule.source), *why), too_big
                )
                break
        else:
            too_big[rule.name] = least_need(s, candidates(s)[0], rule.name, aim.name, fields)
        best = found.get(rule.name)
        if best and _worth_it(s, best) and not (rule.name == "lora" and _quantising_pays(s, best, aim.name)):
            return best
    if found:
        best = next(iter(found.values()))
        if _worth_it(s, best):
            return best
        text = (
            f"What fits, {best.model.name}, is a very small model: a service tunes a far larger one for little money."
        )
        return _hosted(s, aim.name, (*why, Reason(text, MEMORY)), too_big)
    return _smaller(s, aim.name, why, too_big) or _hosted(s, aim.name, (*why, _too_big(s, too_big)), too_big)


def _small_enough_for_a_cpu(s: Situation) -> bool:
    if s.model_b is not None:
        return s.model_b <= rules.CPU_LARGEST_B
    return s.first_time or s.on_device or wants_encoder(s)


def _worth_it(s: Situation, d: _Decision) -> bool:
    """Whether a model of that size was asked for, or is large enough to be suggested."""
    if s.model_b is not None or d.model.params >= rules.WORTH_TRAINING_B * 1e9:
        return True
    return _small_enough_for_a_cpu(s)


def _quantising_pays(s: Situation, lora: _Decision, objective: str) -> bool:
    """Whether QLoRA would hold a model so much larger that it goes before LoRA."""
    if s.model_b is not None or s.gpu_gib == 0:
        return False
    fields = hyperparameters(s, "qlora", objective)
    largest = next((m for m in candidates(s) if fit(s, m, "qlora", objective, fields)), None)
    return largest is not None and lora.model.params < MUCH_LARGER * largest.params


def _smaller(s: Situation, objective: str, why: tuple[Reason, ...], too_big: dict[str, float]) -> _Decision | None:
    """QLoRA (or LoRA) on the largest model that fits, where the one asked for does not."""
    anything = s.but(model_b=None, quality="best", first_time=False, rapid_iteration=False, on_device=False)
    for method in ("qlora", "lora"):
        fields = hyperparameters(s, method, objective)
        for model in candidates(anything):
            if s.model_b and model.params > s.model_b * 1e9:
                continue
            if layout := fit(s, model, method, objective, fields):
                if s.model_b and model.params < TOO_SMALL * s.model_b * 1e9:
                    return None
                if not s.model_b and model.params < rules.WORTH_TRAINING_B * 1e9:
                    return None
                reasons = (_too_big(s, too_big), *why)
                return _Decision(method, objective, model, fields | layout, reasons, too_big, smaller_than_asked=True)
    return None


def _hosted(s: Situation, objective: str, reasons: tuple[Reason, ...], too_big: dict[str, float]) -> _Decision:
    model = nearest(s.model_b or HOSTED_MODEL_B, False)
    objective = rules.HOSTED_OBJECTIVE.get(objective, objective)
    fields = hyperparameters(s, "lora", objective)
    return _Decision("hosted", objective, model, fields, reasons, too_big)


def _too_big(s: Situation, too_big: dict[str, float]) -> Reason:
    method, least = min(too_big.items(), key=lambda item: item[1])
    asked = f"a model of {s.model_b:g} billion parameters" if s.model_b else "the smallest model worth it"
    more = math.ceil(least / s.gpu_gib) * s.n_gpus if s.gpu_gib else 0
    how = (
        f"a smaller model, about {more} such GPUs with sharding, or offloading to the host's memory"
        if more
        else "a GPU"
    )
    return Reason(
        f"{asked[0].upper()}{asked[1:]} does not fit: even with {method}, one row at a time, it may need {least:.0f} GiB per "
        f"GPU, and you have {s.gpu_gib:g}. What would help: {how}.",
        MEMORY,
    )


def _support(s: Situation, d: _Decision) -> tuple[Reason, ...]:
    return tuple(Reason(rule.say(s), rule.source) for rule in rules.SUPPORT.get(d.method, ()) if rule.when(s))


def _fits(s: Situation, d: _Decision, guess: MemoryEstimate | None) -> tuple[Reason, ...]:
    if guess is None:
        return ()
    high = guess.interval("device")[1]
    where = f"your {rules.CPU_GIB:g} GiB of memory (taken to be free)" if s.gpu_gib == 0 else f"your {s.gpu_gib:g} GiB"
    size = f"{d.model.params / 1e9:.3g} billion parameters"
    text = f"{d.model.name} ({size}) needs {guess.device_gib:.1f} GiB, surely under {high:.1f}: it fits {where}."
    out = [Reason(text, MEMORY)]
    if s.model_b is None and not wants_encoder(s):
        _, why, source = cap(s)
        out.append(Reason(f"Size: {why}.", source))
    return tuple(out)


def _alternatives(s: Situation, d: _Decision) -> tuple[Alternative, ...]:
    out = []
    for method, text in rules.AGAINST.items():
        if method == d.method:
            continue
        source = rules.AGAINST_SOURCE[method]
        if d.too_big and method in d.too_big:
            text, source = (
                f"Even one row at a time it may need {d.too_big[method]:.0f} GiB per GPU, and you have {s.gpu_gib:g}.",
                MEMORY,
            )
        elif d.method == "prompting":
            text, source = "First the prompt: what it cannot do says what to train.", "lesson4"
        else:
            text, source = rules.AGAINST_AFTER.get((d.method, method), (text, source))
            text = text.format(**s.model_dump())
        out.append(Alternative(method, text, source))
    return tuple(out)


def _warnings(s: Situation, d: _Decision) -> tuple[Reason, ...]:
    if d.method == "prompting":
        return ()
    found = [rule for rule in rules.WARNINGS if rule.when(s)]
    if d.method == "full":
        found.append(rules.FORGETTING)
    if d.method != "hosted" and rules.NO_BF16.when(s):
        found.append(rules.NO_BF16)
    return tuple(Reason(rule.say(s), rule.source) for rule in found)


_GRIDS = {
    "gpu_gib": (0.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 32.0, 40.0, 48.0, 80.0, 141.0, 192.0),
    "model_b": (0.135, 0.5, 1.0, 1.7, 3.0, 4.0, 7.0, 8.0, 13.0, 14.0, 24.0, 32.0, 70.0),
    "n_examples": (99, 100, 1_000, 10_000, 100_000),
    "n_gpus": (1, 2, 4, 8),
    "n_tasks": (1, 2, 10),
}
_FLIPS = (
    "composable",
    "latency_critical",
    "on_device",
    "prompting_tried",
    "rapid_iteration",
    "simple_task",
    "first_time",
)
_CHOICES = {
    "quality": ("good", "best"),
    "domain_shift": ("small", "large"),
    "goal": ("output_format", "max_customization"),
    "task": ("instruction", "classification"),
}


def _neighbours(s: Situation) -> Iterator[tuple[str, object]]:
    """Changes of one field, nearest first: numbers by their ratio, a flip counting as a factor of two."""
    steps = []
    for name, grid in _GRIDS.items():
        now = getattr(s, name)
        if now is None or (name == "n_gpus" and s.gpu_gib == 0):
            continue
        steps += [(abs(math.log(max(value, 0.5) / max(now, 0.5))), name, value) for value in grid if value != now]
    steps += [(math.log(2), name, not getattr(s, name)) for name in _FLIPS]
    for name, values in _CHOICES.items():
        steps += [(math.log(2), name, value) for value in values if value != getattr(s, name)]
    for _, name, value in sorted(steps, key=lambda step: step[:2]):
        yield name, value
