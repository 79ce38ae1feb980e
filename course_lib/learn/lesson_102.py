"""Checks of lesson 102: a QLoRA run's memory by hand, the situation for full fine-tuning, a contradiction settled.

Recommendations and statements are taken as the reader made them, by their attributes: this package knows nothing of models.
"""

import math
from itertools import product

from course_lib.learn.checks import Exercise, NotYet
from course_lib.learn.given import number

GIB = 2**30
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
# Likely slips, each with what to say of it; the first of each kind is right.
PER_WEIGHT = {
    NF4: "",
    0.5: "the frozen weights count as exactly half a byte: add the scales, one byte for 64 weights, four for 64 x 256",
    0.5 + 1 / 64: "the scales of the scales are missing: four bytes for each 64 x 256 weights",
    0.5
    + 4
    / 64: "that is without double quantisation: a scale takes one byte, not four, and four bytes more for 256 scales",
    1.0: "the frozen weights count one byte each: four bits are half a byte",
    2.0: "the frozen weights count two bytes each, which is LoRA's 16 bits: QLoRA holds them in 4",
    4.0: "the frozen weights count four bytes each, which is fp32: QLoRA holds them in 4 bits, which is half a byte",
    4 + 1 / 8 + 32 / (64 * 256): "the frozen weights are counted in bits: divide by 8 for bytes",
}
PER_TRAINED = {
    16: "",
    0: "what is trained is missing: weight, gradient and two values of Adam, in fp32",
    4: "of what is trained only the weights are counted: it also has a gradient and two values of Adam",
    8: "two numbers for each trained weight are not enough: there are its weight, its gradient and two values of Adam",
    12: "three numbers for each trained weight are not enough: there are its weight, its gradient and two values of Adam",
}
UNITS = {
    GIB: "",
    1e9: "that is in GB: a GiB is 2**30 bytes",
    1: "that is in bytes: divide by 2**30",
    2**20: "that is in MiB: divide by 2**30",
}


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-5)


def _gib(per_weight: float, per_trained: float, unit: float, params: float, trained: float) -> float:
    return (params * per_weight + trained * per_trained) / unit


def _by_hand(qlora_gib) -> None:
    params, trained = 7.6e9, 40e6
    given = qlora_gib(params, trained)
    if (got := number(given)) is None:
        raise NotYet(f"it should give a number of GiB, but gave {type(given).__name__}: return the number itself.")
    slips = sorted(product(PER_WEIGHT, PER_TRAINED, UNITS), key=lambda s: sum(map(bool, _words(*s))))
    for slip in slips:  # the fewest faults that explain the number
        if _close(got, _gib(*slip, params, trained)):
            if faults := [word for word in _words(*slip) if word]:
                raise NotYet(f"{'; and '.join(faults)}.")
            break
    else:
        if _close(got, (params + trained) * NF4 / GIB) or _close(got, ((params + trained) * NF4 + trained * 12) / GIB):
            raise NotYet("the trained matrices are counted in 4 bits: they are not quantised, they stay in fp32.")
        if _close(got, (params * NF4 + (params + trained) * 12) / GIB) or _close(got, params * (NF4 + 16) / GIB):
            raise NotYet(
                "the frozen weights get gradients or values of Adam: only what is trained has them, that is `trained`."
            )
        raise NotYet(
            f"for 7.6e9 weights and 40e6 trained ones it gave {got:.4g}: write down bytes for a frozen weight and bytes for a "
            "trained one, each as a sum, and compare with the task."
        )
    if not _close(number(qlora_gib(1e9, 5e6)) or 0.0, _gib(NF4, 16, GIB, 1e9, 5e6)):
        raise NotYet("it is right for 7.6e9 weights but not for 1e9: use the arguments, no fixed numbers.")


def _words(per_weight: float, per_trained: float, unit: float) -> tuple[str, str, str]:
    return PER_WEIGHT[per_weight], PER_TRAINED[per_trained], UNITS[unit]


q1 = Exercise(
    id="102.1",
    wants=("qlora_gib",),
    test=_by_hand,
    hints=(
        "Two sums: bytes for each frozen weight, and bytes for each trained one. Then one division for GiB.",
        "A frozen weight takes half a byte, a 64th of a byte for its scale, and a 64 x 256th of four bytes for the scale's "
        "scale. A trained one takes four numbers of four bytes.",
        "return (params * (0.5 + 1 / 64 + ...) + trained * ...) / 2**30",
    ),
    answer="def qlora_gib(params, trained):\n    return (params * (0.5 + 1 / 64 + 4 / (64 * 256)) + trained * 16) / 2**30",
)

BASE = {"gpu_gib": 24.0, "model_b": 3.0, "n_examples": 2000}
MOST_CHANGES = 3
MUCH_DATA = 10_000
SINGLE = {"n_tasks": 1, "rapid_iteration": False, "on_device": False}


def _asks_for_all(s) -> bool:
    return s.quality == "best" or s.domain_shift == "large" or s.goal == "max_customization"


def _full(mine) -> None:
    if not hasattr(mine, "method") or not hasattr(type(getattr(mine, "situation", None)), "model_fields"):
        more = ": pass it to `recommend` and keep what that returns" if hasattr(mine, "gpu_gib") else ""
        raise NotYet(f"`mine` should be what `recommend(...)` returns, not {type(mine).__name__}{more}.")
    s = mine.situation
    base = type(s)(**BASE)
    changed = [name for name in type(s).model_fields if getattr(s, name) != getattr(base, name)]
    if not changed:
        raise NotYet(f"that is what you started from, and it gives {mine.method}: change something in `but(...)`.")
    if mine.method == "full":
        if len(changed) > MOST_CHANGES:
            raise NotYet(
                f"it says full, but you changed {len(changed)} fields ({', '.join(changed)}): {MOST_CHANGES} are enough. Take "
                "them back one by one, and see which are needed."
            )
        return
    said = f"with {', '.join(f'{name} = {getattr(s, name)!r}' for name in changed)} it says {mine.method}"
    if mine.method == "prompting":
        raise NotYet(f"{said}: with so little data, or before a prompt was tried, nothing is trained at all.")
    if spoiled := [name for name, value in SINGLE.items() if getattr(s, name) != value]:
        raise NotYet(f"{said}: {' and '.join(spoiled)} speak against it; full fine-tuning is for one model kept whole.")
    if s.n_examples < MUCH_DATA:
        raise NotYet(f"{said}: {s.n_examples:,} examples are too few. Which number do overview and practices name?")
    if not _asks_for_all(s):
        raise NotYet(f"{said}: there is data enough, but nothing asks for more than LoRA gives. What would?")
    raise NotYet(
        f"{said}: the wish is there, and the model does not fit when all weights are trained. See what `print(mine)` says "
        "against full, and give it a larger GPU, more of them, or a smaller model."
    )


q2 = Exercise(
    id="102.2",
    wants=("mine",),
    test=_full,
    hints=(
        "print(recommend(base)) says why full fine-tuning was not taken. Each time you change a field, read that line again.",
        "Three things must come together: data enough, a wish for more than LoRA gives, and memory for all weights.",
        'mine = recommend(base.but(n_examples=..., quality="...", gpu_gib=...))',
    ),
    answer='mine = recommend(base.but(n_examples=10_000, quality="best", gpu_gib=80))',
)

CARD_GIB = 23.6  # what torch sees of an RTX 4090's 24 GB
# Billions; wide, so that a better fit of the memory model breaks no check. RIGHT: QLoRA with the lesson's settings.
RIGHT = (13.0, 26.0)
LORAS = (5.0, 11.0)
UNSAVED = (0.5, 5.0)
SIDES = ("first", "second", "neither")
KEYS = ("first", "second", "supported")


def _settled(largest, verdict) -> None:
    largest = _largest(largest)
    if not isinstance(verdict, dict):
        raise NotYet(f"`verdict` should be a dict with the keys {', '.join(KEYS)}, not {type(verdict).__name__}.")
    if missing := [key for key in KEYS if verdict.get(key) is None or verdict[key] is ...]:
        raise NotYet(f"`verdict` has no {' and no '.join(missing)}: it needs {', '.join(KEYS)}.")
    pair = verdict["first"], verdict["second"]
    for statement in pair:
        if hasattr(statement, "a") and hasattr(statement, "b"):
            raise NotYet("that is the whole contradiction: its two statements are `.a` and `.b`; give one to each key.")
        if not all(hasattr(statement, name) for name in ("says", "topic", "methods", "model_b")):
            raise NotYet(f"{statement!r} is no statement: take `.a` and `.b` of one of the contradictions.")
    for s in pair:
        if s.topic != "model size":
            raise NotYet(f"{s.says!r} is about {s.topic}: the topic asked for is model size.")
        if s.model_b is None:
            raise NotYet(f"{s.says!r} says with which model to start, not what fits: take a pair with a `.model_b`.")
    if pair[0] == pair[1]:
        raise NotYet("both are the same statement: take `.a` and `.b` of one contradiction.")
    for s in pair:
        if "qlora" not in s.methods:
            raise NotYet(f"{s.says!r} is not about QLoRA, and `largest` is QLoRA's: take a pair of which both are.")
    sizes = [_size(s) for s in pair]
    if sizes[0] == sizes[1]:
        raise NotYet(f"both go up to {sizes[0]:g} billion, so they do not contradict each other: take another pair.")
    _supported(verdict["supported"], largest, sizes)


def _size(statement) -> float:
    """The largest size that a statement promises; of "65B+" the size that it names."""
    low, high = statement.model_b
    return low if math.isinf(high) else high


def _largest(largest) -> float:
    call = f'largest_model({CARD_GIB}, "qlora", **thrifty)'
    if (size := number(largest)) is None:
        raise NotYet(f"`largest` should be a number of billions, not {type(largest).__name__}: {call} gives it.")
    if RIGHT[0] <= size <= RIGHT[1]:
        return size
    why = "that is not what the memory model says for this card"
    if size > 1e6:
        why = "that is a number of parameters, and billions are asked for"
    elif LORAS[0] <= size <= LORAS[1]:
        why = "that is about what LoRA can hold, whose frozen weights are in 16 bits"
    elif UNSAVED[0] <= size <= UNSAVED[1]:
        why = "that is without the settings that save memory, or with full fine-tuning"
    elif size > RIGHT[1]:
        why = f"that is too much for {CARD_GIB:g} GiB"
    raise NotYet(f"`largest` = {size:.4g}: {why}. Compare with {call}.")


def _supported(side, largest: float, sizes: list[float]) -> None:
    if not isinstance(side, str) or side not in SIDES:
        raise NotYet(f'"supported" should be one of "first", "second" and "neither", not {side!r}.')
    fits = [size <= largest for size in sizes]
    right = "neither" if not any(fits) else "first" if fits[0] else "second"
    if all(fits):
        raise NotYet(f"up to {largest:.1f} billion fit, so both may be true: take a pair of which at most one fits.")
    if side == right:
        return
    if right == "neither":
        raise NotYet(f"only {largest:.1f} billion surely fit, and the {side} goes up to more: that is too large too.")
    if side == "neither":
        raise NotYet(f"the {right} asks for at most {min(sizes):g} billion, {largest:.1f} fit: that one is supported.")
    raise NotYet(
        f"it is the other way round: up to {largest:.1f} billion surely fit, and the {side} goes up to "
        f"{sizes[SIDES.index(side)]:g}."
    )


q3 = Exercise(
    id="102.3",
    wants=("largest", "verdict"),
    test=_settled,
    hints=(
        'Look at the pairs first: [c.text for c in clashes if c.topic == "model size"].',
        "Each contradiction has two statements, `.a` and `.b`, and each statement a range `.model_b` in billions. A statement "
        "is supported if the upper end of its range is not above `largest`.",
        f'largest = largest_model({CARD_GIB}, "qlora", **thrifty); verdict = {{"first": pair.a, "second": ..., "supported": ...}}',
    ),
    answer=(
        f'largest = largest_model({CARD_GIB}, "qlora", **thrifty)\n'
        'pair = next(c for c in clashes if c.topic == "model size" and c.a.model_b == (7, 70) and c.b.model_b == (0, 13))\n'
        'verdict = {"first": pair.a, "second": pair.b, "supported": "second"}'
    ),
)
