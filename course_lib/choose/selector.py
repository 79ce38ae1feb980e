"""Our own recommendation: rules decide what suits, the memory model what fits, and both say why."""

from dataclasses import dataclass
from functools import cached_property

from course_lib.choose import explain, rules
from course_lib.choose.decision import Alternative, Change, Decision, Reason
from course_lib.choose.fitting import candidates, fit, least_need, nearest, wants_encoder
from course_lib.choose.hyperparameters import hyperparameters
from course_lib.choose.memory import estimate
from course_lib.choose.memory_estimate import MemoryEstimate
from course_lib.choose.neighbours import neighbours
from course_lib.choose.situation import Situation
from course_lib.plan import Plan

HOSTED_MODEL_B = 8.0  # billions: what services of the kind offer for small sums
MUCH_LARGER = 0.6  # below this share of QLoRA's largest model, LoRA's is given up for it
TOO_SMALL = 0.4  # of the size asked for: a smaller one is another model, and a service the better answer


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
        for name, value in neighbours(self.situation):
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
            model=d.model.chat or d.model.name,
            method=d.method if d.method != "hosted" else "lora",
            objective=d.objective,
            **d.fields,
        )
        if d.method != "hosted":
            guess = estimate(plan, gpu="cpu" if s.gpu_gib == 0 else None)
    return Recommendation(
        situation=s,
        method=d.method,
        objective=d.objective,
        model=plan.model if plan else None,
        plan=plan,
        estimate=guess,
        reasons=(*d.reasons, *explain.support(s, d), *explain.fits(s, d, guess)),
        alternatives=explain.alternatives(s, d),
        warnings=explain.warnings(s, d),
    )


def _decide(s: Situation) -> Decision:
    for rule in rules.NOT_YET:
        if rule.when(s):
            return Decision(rule.name, reasons=(Reason(rule.say(s), rule.source),))
    aim = next(rule for rule in rules.OBJECTIVES if rule.when(s))
    why = (Reason(aim.say(s), aim.source),)
    if s.gpu_gib == 0 and not _small_enough_for_a_cpu(s):
        text = f"Without a GPU a model above {rules.CPU_LARGEST_B} billion parameters is trained at a service."
        return _hosted(s, aim.name, (*why, Reason(text, "lesson4")), {})
    too_big, found = {}, {}
    for rule in rules.METHODS:
        if not rule.when(s):
            continue
        best = _largest(s, rule.name, aim.name, (Reason(rule.say(s), rule.source), *why), too_big)
        if best is None:
            continue
        found[rule.name] = best
        if _worth_it(s, best) and not (rule.name == "lora" and _quantising_pays(s, best, aim.name)):
            return best
    if not found:
        does_not_fit = explain.does_not_fit(s, too_big)
        return _smaller(s, aim.name, (does_not_fit, *why), too_big) or _hosted(
            s, aim.name, (*why, does_not_fit), too_big
        )
    best = next(iter(found.values()))
    if _worth_it(s, best):
        return best
    text = f"What fits, {best.model.name}, is a very small model: a service tunes a far larger one for little money."
    return _hosted(s, aim.name, (*why, Reason(text, explain.MEMORY)), too_big)


def _largest(s: Situation, method: str, objective: str, why: tuple[Reason, ...], too_big: dict) -> Decision | None:
    """The method on the most wanted model that fits; None, and a note in `too_big`, where none does."""
    fields = hyperparameters(s, method, objective)
    models = [m for m in candidates(s) if method != "prompt_tuning" or m.params >= rules.LARGE_FOR_PROMPTS_B * 1e9]
    for model in models:
        if layout := fit(s, model, method, objective, fields):
            return Decision(method, objective, model, fields | layout, why, too_big)
    if models:
        too_big[method] = least_need(s, models[-1], method, objective, fields)
    return None


def _small_enough_for_a_cpu(s: Situation) -> bool:
    if s.model_b is not None:
        return s.model_b <= rules.CPU_LARGEST_B
    return s.first_time or s.on_device or wants_encoder(s)


def _worth_it(s: Situation, d: Decision) -> bool:
    """Whether a model of that size was asked for, or is large enough to be suggested."""
    if s.model_b is not None or d.model.params >= rules.WORTH_TRAINING_B * 1e9:
        return True
    return _small_enough_for_a_cpu(s)


def _quantising_pays(s: Situation, lora: Decision, objective: str) -> bool:
    """Whether QLoRA would hold a model so much larger that it goes before LoRA."""
    if s.model_b is not None or s.gpu_gib == 0:
        return False
    fields = hyperparameters(s, "qlora", objective)
    largest = next((m for m in candidates(s) if fit(s, m, "qlora", objective, fields)), None)
    return largest is not None and lora.model.params < MUCH_LARGER * largest.params


def _smaller(s: Situation, objective: str, why: tuple[Reason, ...], too_big: dict[str, float]) -> Decision | None:
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
                return Decision(method, objective, model, fields | layout, why, too_big)
    return None


def _hosted(s: Situation, objective: str, reasons: tuple[Reason, ...], too_big: dict[str, float]) -> Decision:
    model = nearest(s.model_b or HOSTED_MODEL_B, False)
    objective = rules.HOSTED_OBJECTIVE.get(objective, objective)
    fields = hyperparameters(s, "lora", objective)
    return Decision("hosted", objective, model, fields, reasons, too_big)
