"""Checks of lesson 103: labels that leave the prompt out, the loss over them, the memory of training all weights."""

from itertools import product
from numbers import Integral

import numpy as np

from course_lib.learn.checks import Exercise, NotYet
from course_lib.learn.given import asked_number, close

OUT = -100  # the label of a place that does not count
IDS = [1, 40, 7, 12, 52, 9, 40, 7, 31, 2]  # 40 and 7 stand in the prompt and in the answer; 2 ends the answer
PROMPT = 6
RIGHT = [OUT] * PROMPT + IDS[PROMPT:]
LABELS = (  # each with what to say of it
    (IDS, "nothing is left out: the first `prompt_length` labels are to be -100"),
    ([OUT] * len(IDS), "everything is left out, so that nothing would be learned: keep the ids of the answer"),
    (IDS[:PROMPT] + [OUT] * (len(IDS) - PROMPT), "it is the other way round: the prompt is left out, the answer kept"),
    (
        [*RIGHT[:-1], OUT],
        "the last id is left out: it ends the answer, and untrained the model would never learn to stop",
    ),
    (
        [*RIGHT[1:], OUT],
        "the labels are shifted by one: transformers does that itself, so a label has the place of its id",
    ),
    ([OUT, *RIGHT[:-1]], "the labels are shifted by one, to the right: a label has the place of its id"),
    (
        [OUT if token in IDS[:PROMPT] else token for token in IDS],
        "a token of the answer is left out because the prompt has it too: go by the place, not by the token",
    ),
    (
        [OUT] * (PROMPT - 1) + IDS[PROMPT - 1 :],
        "the last token of the prompt is kept: leave out `prompt_length` places",
    ),
    (
        [OUT] * (PROMPT + 1) + IDS[PROMPT + 1 :],
        "the first token of the answer is left out: only `prompt_length` places are",
    ),
)


def _whole_numbers(labels: object) -> list:
    """The labels as a list of whole numbers."""
    if isinstance(labels, np.ndarray) and labels.ndim == 1:
        labels = labels.tolist()
    if not isinstance(labels, (list, tuple)):
        raise NotYet(f"it should give a list of labels, one for each id, but gave {type(labels).__name__}.")
    if not all(isinstance(label, Integral) and not isinstance(label, bool) for label in labels):
        raise NotYet("each label is a whole number: the id of a token, or -100.")
    return list(labels)


def _labels(make_labels) -> None:
    ids = list(IDS)
    given = make_labels(ids, PROMPT)
    if ids != IDS:
        raise NotYet("it changes `ids` itself, which the model still needs as its input: make a new list.")
    labels = _whole_numbers(given)
    if len(labels) != len(IDS):
        why = (
            "the prompt is cut off; keep its places, with -100 in them" if labels == IDS[PROMPT:] else "one for each id"
        )
        raise NotYet(f"there are {len(labels)} labels for {len(IDS)} ids: {why}.")
    for wrong, why in LABELS:
        if labels == wrong:
            raise NotYet(f"{why}.")
    if labels[PROMPT:] == IDS[PROMPT:] and OUT not in labels:
        raise NotYet(
            "the places of the prompt have another number than -100, which is the one that the loss leaves out."
        )
    if labels != RIGHT:
        raise NotYet(f"for the ids {IDS} and a prompt of {PROMPT}, write down the ten labels by hand and compare.")
    if _whole_numbers(make_labels([5, 6, 7, 8], 1)) != [OUT, 6, 7, 8]:
        raise NotYet("it is right for a prompt of 6 tokens but not for one of 1: use the arguments, no fixed numbers.")


q1 = Exercise(
    id="103.1",
    wants=("make_labels",),
    test=_labels,
    hints=(
        "The labels are two lists, one after the other: the places of the prompt, and the answer as it is.",
        "`5 * [0]` is a list of five zeros; `ids[5:]` is what comes after the first five.",
        "return prompt_length * [...] + ids[...:]",
    ),
    answer="def make_labels(ids, prompt_length):\n    return prompt_length * [-100] + ids[prompt_length:]",
)


def _chances(places: int, seed: int) -> np.ndarray:
    """Chances (places, 120 tokens); more than 100 tokens, so that a place left out can be looked up by mistake."""
    scores = np.exp(2 * np.random.default_rng(seed).normal(size=(places, 120)))
    return scores / scores.sum(axis=1, keepdims=True)


def _slips(p: np.ndarray, labels: np.ndarray) -> list[tuple[float, str]]:
    """Losses that a likely slip gives, each with what to say of it."""
    kept = labels != OUT
    q = p[kept, labels[kept]]
    nats = -np.log(q)
    every = -np.log(p[np.arange(len(labels)), labels])
    return [
        (-nats.mean(), "the sign is wrong: a log of a chance is below 0, and the loss is minus that"),
        (nats.sum(), "that is the sum: divide by the number of places that count"),
        (nats.sum() / len(labels), "it is divided by all places: only those whose label is not -100 count"),
        (every.mean(), "the places with -100 count too: in Python p[i, -100] is a number, but not one that was meant"),
        (every.sum(), "the places with -100 count too, and it is the sum: leave them out, then take the mean"),
        (-np.log(q.mean()), "that is the log of the mean: take the log of each chance first, then the mean"),
        (np.log2(1 / q).mean(), "that is in bits, with log2: take the natural logarithm, `np.log`"),
        (np.log10(1 / q).mean(), "that is with log10: take the natural logarithm, `np.log`"),
        (np.exp(nats.mean()), "that is exp(loss), which is called perplexity: return the loss itself"),
        (q.mean(), "that is the mean chance: take minus its logarithm at each place"),
        (1 - q.mean(), "that is 1 minus the mean chance: take minus its logarithm at each place"),
        (
            -np.log(p).mean(),
            "all tokens of the vocabulary count: at each place take the chance of the wanted one alone",
        ),
        (
            -np.log(p[kept]).mean(),
            "all tokens of the vocabulary count: at each place take the chance of the wanted one alone",
        ),
        (-np.log(p[kept].max(axis=1)).mean(), "that is the likeliest token's chance: take the wanted token's"),
    ]


def _loss(loss) -> None:
    p, labels = _chances(8, seed=0), np.array([OUT, OUT, OUT, 17, 63, 17, 108, 2])
    kept = p.copy(), labels.copy()
    got = asked_number(loss(p, labels), "one number, the mean")
    if not (np.array_equal(p, kept[0]) and np.array_equal(labels, kept[1])):
        raise NotYet("it changes `p` or `labels` itself: pick out what counts, as in `labels[labels != -100]`.")
    for wrong, why in _slips(p, labels):
        if close(got, float(wrong)):
            raise NotYet(f"{why}.")
    if not close(got, _right(p, labels)):
        raise NotYet(
            f"for {len(labels)} places, of which {sum(labels != OUT)} count, it gave {got:.4g}: print the chances that you "
            "take the logarithm of, and see whether they are those of the wanted tokens."
        )
    p, labels = _chances(4, seed=1), np.array([OUT, 5, OUT, 99])
    if not close(asked_number(loss(p, labels), "one number, the mean"), _right(p, labels)):
        raise NotYet("it is right for one row but not for another, with -100 between: look at each label by itself.")


def _right(p: np.ndarray, labels: np.ndarray) -> float:
    kept = labels != OUT
    return float(-np.log(p[kept, labels[kept]]).mean())


q2 = Exercise(
    id="103.2",
    wants=("loss",),
    test=_loss,
    hints=(
        "Three steps: which places count, which chance the wanted token got at each, and the mean of minus its logarithm.",
        "`kept = labels != -100` is True where a place counts, and `labels[kept]` are the wanted tokens there.",
        "return -np.log(p[kept, ...]).mean()",
    ),
    answer="def loss(p, labels):\n    kept = labels != -100\n    return -np.log(p[kept, labels[kept]]).mean()",
)

GIB = 2**30
VALUES = 5  # no optimizer that anybody uses; with it each slip gives bytes of its own
PER_PARAMETER = {
    4 * (2 + VALUES): "",
    4: "only the weights are counted: each has a gradient and the optimizer's values besides",
    8: "the optimizer's values are missing",
    12: "the optimizer's values are counted once: there are `optimizer_values` for each parameter",
    16: "it counts two optimizer values whatever the argument is: use `optimizer_values`",
    4 * VALUES: "only the optimizer's values are counted: weights and gradients take room too",
    4 * (1 + VALUES): "either the weights or the gradients are missing: each parameter has one of both",
    2 * (2 + VALUES): "a number counts two bytes: fp32 has 32 bits, which are four",
    8 * (2 + VALUES): "a number counts eight bytes: fp32 has 32 bits, which are four",
    32 * (2 + VALUES): "that is in bits: a byte has eight",
    2 + VALUES: "numbers are counted, not bytes: each takes four in fp32",
    8 * VALUES: "gradient, weight and optimizer values are not multiplied with each other: add how many there are",
}
UNITS = {
    GIB: "",
    1e9: "that is in GB: a GiB is 2**30 bytes",
    1: "that is in bytes: divide by 2**30",
    2**20: "that is in MiB: divide by 2**30",
}


def _gib(training_gib) -> None:
    parameters = 1_500_000_000
    got = asked_number(training_gib(parameters, VALUES), "a number of GiB")
    pairs = sorted(product(PER_PARAMETER, UNITS), key=lambda pair: sum(map(bool, _words(*pair))))
    for size, unit in pairs:  # the fewest faults that explain the number
        if close(got, parameters * size / unit):
            if faults := [word for word in _words(size, unit) if word]:
                raise NotYet(f"{'; and '.join(faults)}.")
            break
    else:
        raise NotYet(
            f"for {parameters:,} parameters and {VALUES} optimizer values each, it gave {got:.4g}: how many numbers does one "
            "parameter have, and how many bytes are these?"
        )
    again = 134_515_008
    if not close(asked_number(training_gib(again, 2), "a number of GiB"), again * 16 / GIB):
        raise NotYet(
            f"it is right for {parameters:,} parameters and {VALUES} values, not for {again:,} and 2: use both arguments, no fixed numbers."
        )


def _words(size: int, unit: float) -> tuple[str, str]:
    return PER_PARAMETER[size], UNITS[unit]


q3 = Exercise(
    id="103.3",
    wants=("training_gib",),
    test=_gib,
    hints=(
        "How many numbers does training keep for one parameter? The parameter itself is the first of them.",
        "Its weight, its gradient and the optimizer's values; each number in fp32 has 4 bytes; a GiB is 2**30 bytes.",
        "return parameters * 4 * (... + optimizer_values) / 2**30",
    ),
    answer="def training_gib(parameters, optimizer_values):\n    return parameters * 4 * (2 + optimizer_values) / 2**30",
)
