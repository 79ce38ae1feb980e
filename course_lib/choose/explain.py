"""The words beside a decision: reasons for it, reasons against the other methods, warnings."""

import math

from course_lib.choose import rules
from course_lib.choose.decision import Alternative, Decision, Reason
from course_lib.choose.fitting import cap, wants_encoder
from course_lib.choose.memory_estimate import MemoryEstimate
from course_lib.choose.situation import Situation

MEMORY = "memory model"


def does_not_fit(s: Situation, needs: dict[str, float]) -> Reason:
    """What was asked for does not fit, and what would help. needs: method -> GiB per GPU that it would need at the least."""
    method, least = min(needs.items(), key=lambda item: item[1])
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


def support(s: Situation, d: Decision) -> tuple[Reason, ...]:
    """Further reasons for the method that was taken."""
    return tuple(Reason(rule.say(s), rule.source) for rule in rules.SUPPORT.get(d.method, ()) if rule.when(s))


def fits(s: Situation, d: Decision, guess: MemoryEstimate | None) -> tuple[Reason, ...]:
    """That the plan fits, and why a model of that size."""
    if guess is None:
        return ()
    high = guess.interval("device")[1]
    where = f"your {rules.CPU_GIB:g} GiB of memory (taken to be free)" if s.gpu_gib == 0 else f"your {s.gpu_gib:g} GiB"
    size = f"{d.model.params / 1e9:.3g} billion parameters"
    text = f"{d.model.chat or d.model.name} ({size}) needs {guess.device_gib:.1f} GiB, surely under {high:.1f}: it fits {where}."
    out = [Reason(text, MEMORY)]
    if s.model_b is None and not wants_encoder(s):
        _, why, source = cap(s)
        out.append(Reason(f"Size: {why}.", source))
    return tuple(out)


def alternatives(s: Situation, d: Decision) -> tuple[Alternative, ...]:
    """For each other method, why not."""
    out = []
    for method, (text, source) in rules.AGAINST.items():
        if method == d.method:
            continue
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


def warnings(s: Situation, d: Decision) -> tuple[Reason, ...]:
    """What to beware of in this situation."""
    if d.method == "prompting":
        return ()
    found = [rule for rule in rules.WARNINGS if rule.when(s)]
    if d.method == "full":
        found.append(rules.FORGETTING)
    if d.method != "hosted" and rules.NO_BF16.when(s):
        found.append(rules.NO_BF16)
    return tuple(Reason(rule.say(s), rule.source) for rule in found)
