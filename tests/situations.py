"""Random situations, from the edges of every rule."""

import random

from course_lib import Situation

FIELDS = {
    "gpu_gib": (0, 4, 6, 8, 10, 12, 15, 16, 22, 24, 32, 40, 45, 48, 80, 141, 192, 1024),
    "n_gpus": (1, 1, 1, 2, 4, 8, 64, 1000),
    "model_b": (None, None, 0.02, 0.06, 0.1, 0.2, 0.35, 0.5, 1, 3, 7, 8, 13, 34, 70, 180),
    "n_examples": (0, 50, 99, 100, 500, 999, 1000, 5000, 9_999, 10_000, 100_000, 10**6),
    "preference_pairs": (0, 0, 99, 100, 5000),
    "n_tasks": (1, 1, 2, 10, 100),
    "goal": ("domain_knowledge", "response_quality", "output_format", "reduce_harm", "max_customization"),
    "task": ("instruction", "classification", "code", "domain_adaptation"),
    "quality": ("good", "best"),
    "domain_shift": ("small", "large"),
    "latency_critical": (True, False),
    "on_device": (False, False, False, True),
    "rapid_iteration": (False, False, False, True),
    "first_time": (False, False, False, True),
    "prompting_tried": (True, True, True, True, False),
    "has_eval_set": (True, False),
    "composable": (False, False, True),
    "simple_task": (False, True),
}


def random_situations(n: int, seed: int = 0):
    """n situations; the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(n):
        yield Situation(**{name: rng.choice(values) for name, values in FIELDS.items()})


def faults(recommendation) -> list[str]:
    """What is wrong with a recommendation, whatever the situation; empty when nothing is."""
    r, s = recommendation, recommendation.situation
    out = []
    if r.method not in ("prompting", "hosted", "full", "lora", "qlora", "adapters", "prompt_tuning"):
        out.append(f"method {r.method}")
    if (r.plan is None) != (r.method == "prompting"):
        out.append("a plan for prompting, or none for another method")
    if (r.estimate is None) != (r.method in ("prompting", "hosted")):
        out.append("an estimate where nothing is trained here, or none where something is")
    if r.estimate and r.estimate.interval("device")[1] > (s.gpu_gib or 8.0):
        out.append(f"needs up to {r.estimate.interval('device')[1]:.1f} GiB of {s.gpu_gib}")
    if r.plan and r.method != "hosted" and (r.plan.method != r.method or r.plan.n_gpus > s.n_gpus):
        out.append("the plan is not of the method, or takes more GPUs than there are")
    sources = {"module9", "lesson4", "overview", "practices", "selector", "memory model"}
    said = [*r.reasons, *r.warnings, *r.alternatives]
    if not r.reasons or any(not (x.source in sources or x.source.startswith("measured:")) for x in said):
        out.append("a reason without a source, or no reason")
    if any("{" in (getattr(x, "text", "") or getattr(x, "why_not", "")) for x in said):
        out.append("words with a hole")
    if {x.method for x in r.alternatives} != {
        "prompting",
        "hosted",
        "full",
        "lora",
        "qlora",
        "adapters",
        "prompt_tuning",
    } - {r.method}:
        out.append("not every other method is spoken of")
    return out
