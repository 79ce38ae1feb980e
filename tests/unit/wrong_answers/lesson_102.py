from fractions import Fraction

import numpy as np

from course_lib import Situation, compare_guides, largest_model, recommend
from course_lib.learn.lesson_102 import BASE, CARD_GIB

NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
GIB = 2**30
THRIFTY = {"max_len": 1024, "micro_batch": 1, "gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"}

BY_HAND = [
    (lambda p, t: (p * 0.5 + t * 16) / GIB, "exactly half a byte"),
    (lambda p, t: (p * (0.5 + 1 / 64) + t * 16) / GIB, "scales of the scales"),
    (lambda p, t: (p * (0.5 + 4 / 64) + t * 16) / GIB, "double quantisation"),
    (lambda p, t: (p * 1 + t * 16) / GIB, "one byte each"),
    (lambda p, t: (p * 2 + t * 16) / GIB, "two bytes each"),
    (lambda p, t: (p * 4 + t * 16) / GIB, "four bytes each"),
    (lambda p, t: (p * NF4 * 8 + t * 16) / GIB, "in bits"),
    (lambda p, t: p * NF4 / GIB, "what is trained is missing"),
    (lambda p, t: (p * NF4 + t * 4) / GIB, "only the weights"),
    (lambda p, t: (p * NF4 + t * 8) / GIB, "two numbers"),
    (lambda p, t: (p * NF4 + t * 12) / GIB, "three numbers"),
    (lambda p, t: (p * NF4 + t * 16) / 1e9, "in GB"),
    (lambda p, t: p * NF4 + t * 16, "in bytes"),
    (lambda p, t: (p * NF4 + t * 16) / 2**20, "in MiB"),
    (lambda p, t: (p * 0.5 + t * 4) / 1e9, "exactly half a byte"),
    (lambda p, t: (p * 0.5 + t * 4) / 1e9, "only the weights"),
    (lambda p, t: (p * 0.5 + t * 4) / 1e9, "in GB"),
    (lambda p, t: (p + t) * NF4 / GIB, "not quantised"),
    (lambda p, t: p * (NF4 + 16) / GIB, "only what is trained"),
    (lambda p, t: (7.6e9 * NF4 + 40e6 * 16) / GIB, "no fixed numbers"),
    (lambda p, t: 12.0, "bytes for a frozen weight"),
    (lambda p, t: 10**5000, "bytes for a frozen weight"),
    (lambda p, t: True, "bool"),
]


def changed(**fields):
    return recommend(Situation(**BASE).but(**fields))


FULL = [
    (Situation(**BASE), "pass it to `recommend`"),
    ("full", "not str"),
    (changed(), "you started from"),
    (changed(n_examples=50), "nothing is trained"),
    (changed(quality="best", gpu_gib=80.0), "too few"),
    (changed(n_examples=10_000, gpu_gib=80.0), "nothing asks for more"),
    (changed(n_examples=10_000, quality="best"), "does not fit"),
    (changed(n_examples=10_000, quality="best", n_tasks=2), "n_tasks speak"),
    (changed(n_examples=10_000, quality="best", gpu_gib=80.0, domain_shift="large"), "3 are enough"),
]
ALSO_FULL = [
    changed(n_examples=10_000, domain_shift="large", gpu_gib=80.0),
    changed(n_examples=50_000, goal="max_customization", model_b=0.5),
    changed(n_examples=10_000, quality="best", n_gpus=8),
]

CLASHES = compare_guides(Situation(gpu_gib=CARD_GIB)).contradictions
SIZES = [clash for clash in CLASHES if clash.topic == "model size" and clash.a.model_b]
PAIR = next(c for c in SIZES if c.a.model_b == (7, 70) and c.b.model_b == (0, 13))
LARGE = {"first": PAIR.a, "second": next(c for c in SIZES if c.b.model_b[0] == 65).b, "supported": "second"}
METHOD = next(c for c in CLASHES if c.topic == "method")


def sizes(gpu_gib):
    return [c for c in compare_guides(Situation(gpu_gib=gpu_gib)).contradictions if c.topic == "model size"]


LORA = next(c for c in sizes(48) if c.a.model_b and "qlora" not in c.a.methods)
START = next(c for c in sizes(16) if c.a.model_b is None)


def of(pair, supported):
    return {"first": pair.a, "second": pair.b, "supported": supported}


SETTLED = [
    ({"largest": 8e9}, "billions are asked for"),
    ({"largest": largest_model(CARD_GIB, "lora", **THRIFTY)}, "LoRA can hold"),
    ({"largest": largest_model(CARD_GIB, "qlora")}, "settings that save memory"),
    ({"largest": largest_model(48, "qlora", **THRIFTY)}, "too much"),
    ({"largest": "8"}, "number of billions"),
    ({"largest": Fraction(1, 3)}, "memory model says"),
    ({"verdict": "first"}, "should be a dict"),
    ({"verdict": {"first": PAIR.a, "second": PAIR.b}}, "no supported"),
    ({"verdict": {"first": PAIR, "second": PAIR.b, "supported": "first"}}, "`.a` and `.b`"),
    ({"verdict": {"first": "7-8B", "second": "13B", "supported": "first"}}, "no statement"),
    ({"verdict": {"first": np.zeros(2), "second": np.zeros(2), "supported": "first"}}, "no statement"),
    ({"verdict": of(METHOD, "first")}, "about method"),
    ({"verdict": of(START, "first")}, "with which model to start"),
    ({"verdict": {"first": PAIR.a, "second": PAIR.a, "supported": "first"}}, "same statement"),
    ({"verdict": of(LORA, "first")}, "not about QLoRA"),
    ({"verdict": of(PAIR, "first")}, "other way round"),
    ({"verdict": of(PAIR, "neither")}, "that one is supported"),
    ({"verdict": of(PAIR, PAIR.a)}, '"first", "second" and "neither"'),
    ({"verdict": of(PAIR, np.array(["first"]))}, '"first", "second" and "neither"'),
    ({"verdict": LARGE}, "too large too"),
]
WRONG = {
    "102.1": [({"qlora_gib": f}, word) for f, word in BY_HAND],
    "102.2": [({"mine": mine}, word) for mine, word in FULL],
    "102.3": SETTLED,
}
ALSO_RIGHT = {"102.2": [{"mine": mine} for mine in ALSO_FULL]}
