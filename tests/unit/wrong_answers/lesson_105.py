import math
from fractions import Fraction

import numpy as np

SIZES = [
    (lambda n, w, p: n * w, "two numbers"),
    (lambda n, w, p: (n * w, n * w / p, p), "two numbers"),
    (lambda n, w, p: (n, n / p), "counts the virtual tokens"),
    (lambda n, w, p: (w, w / p), "one virtual token"),
    (lambda n, w, p: (n + w, (n + w) / p), "adds the two"),
    (lambda n, w, p: (w * w, w * w / p), "square matrix"),
    (lambda n, w, p: (p, 1.0), "counts the frozen model"),
    (lambda n, w, p: (p - n * w, 1.0), "subtracts the soft prompt"),
    (lambda n, w, p: (p + n * w, 1.0), "adds the frozen model"),
    (lambda n, w, p: (30 * n * w, 30 * n * w / p), "draw the rows"),
    (lambda n, w, p: (10**5000, 0.1), "draw the rows"),
    (lambda n, w, p: (n * w, 100 * n * w / p), "per cent"),
    (lambda n, w, p: (n * w, p / (n * w)), "upside down"),
    (lambda n, w, p: (n * w, n * w // p), "rounded to 0"),
    (lambda n, w, p: (n * w, 1 - n * w / p), "stays frozen"),
    (lambda n, w, p: (n * w, n / p), "divide what is trained"),
    (lambda n, w, p: (n * w, math.nan), "divide what is trained"),
    (lambda n, w, p: (11_520, 11_520 / 134_515_008), "use the arguments"),
]
ALSO_SIZES = [
    lambda n, w, p: [n * w, n * w / (p + n * w)],
    lambda n, w, p: np.array([n * w, n * w / p]),
    lambda n, w, p: (n * w, Fraction(n * w, p)),
]


def joined(*parts):
    return np.concatenate([np.asarray(part, dtype=float) for part in parts], axis=1)


def prompts(prompt, text):
    return np.broadcast_to(prompt, (len(text), *prompt.shape))


def ones(prompt, text):
    return np.ones((len(text), len(prompt)))


def shared_out(p, t, m):
    return joined(np.repeat(p, len(t), axis=0).reshape(len(t), *p.shape), t), joined(ones(p, t), m)


def only_the_first(p, t, m):
    front = np.zeros((len(t), *p.shape))
    front[0] = p
    return joined(front, t), joined(ones(p, t), m)


def tiled_along_positions(p, t, m):
    return joined(np.tile(prompts(p, t), (1, 2, 1)), t), joined(ones(p, t), m)


BEFORE = [
    (lambda p, t, m: joined(prompts(p, t), t), "two arrays"),
    (lambda p, t, m: (joined(ones(p, t), m), joined(prompts(p, t), t)), "embeddings first"),
    (lambda p, t, m: (t, m), "as long as the text alone"),
    (lambda p, t, m: (p, m), "shape"),
    (tiled_along_positions, "(2, 8, 4)"),
    (lambda p, t, m: (joined(t, prompts(p, t)), joined(ones(p, t), m)), "stands after the text"),
    (lambda p, t, m: (joined(0 * prompts(p, t), t), joined(ones(p, t), m)), "zeros stand before"),
    (lambda p, t, m: (joined(prompts(p[::-1], t), t), joined(ones(p, t), m)), "in reverse"),
    (shared_out, "shared out"),
    (only_the_first, "every text of the batch"),
    (lambda p, t, m: (joined(2 * prompts(p, t), t), joined(ones(p, t), m)), "the numbers differ"),
    (lambda p, t, m: (joined(prompts(p, t), t), "mask"), "should be the mask"),
    (lambda p, t, m: (joined(prompts(p, t), t).tolist(), m), "an array"),
    (lambda p, t, m: (joined(prompts(p, t), t), m), "still as long as the text"),
    (lambda p, t, m: (joined(prompts(p, t), t), np.ones(8)), "(batch, n + seq)"),
    (lambda p, t, m: (joined(prompts(p, t), t), joined(0 * ones(p, t), m)), "get 0"),
    (lambda p, t, m: (joined(prompts(p, t), t), joined(m, ones(p, t))), "after the text's mask"),
    (lambda p, t, m: (joined(prompts(p, t), t), np.ones((2, 8))), "the padding as well"),
    (lambda p, t, m: (joined(prompts(p, t), t), joined(2 * ones(p, t), m)), "a 1 for each virtual token"),
]


def rates(c):
    return c.diagonal(), c.sum(axis=1), c.sum(axis=0)


def f1(c):
    right, wanted, said = rates(c)
    return 2 * right / (wanted + said)


def recall(c):
    return (c.diagonal() / c.sum(axis=1)).mean()


def precision(c):
    return (c.diagonal() / c.sum(axis=0)).mean()


def by_precision(c):
    with np.errstate(invalid="ignore"):
        p, r = c.diagonal() / c.sum(axis=0), c.diagonal() / c.sum(axis=1)
        return (2 * p * r / (p + r)).mean()


def of_those_said(c):
    return f1(c)[c.sum(axis=0) > 0].mean()


def of_three(c):
    return f1(c).sum() / 3


MACROS = [
    (lambda c: c.trace() / c.sum(), "accuracy"),
    (lambda c: (f1(c) * c.sum(axis=1)).sum() / c.sum(), "weights each label"),
    (recall, "mean of the recalls"),
    (precision, "mean of the precisions"),
    (lambda c: 2 * recall(c) * precision(c) / (recall(c) + precision(c)), "F1 of two means"),
    (lambda c: f1(c).sum(), "sum of the F1s"),
    (lambda c: 100 * f1(c).mean(), "per cent"),
    (lambda c: f1(c).mean() / 2, "factor 2"),
    (lambda c: f1(c)[0], "first label alone"),
    (f1, "one number"),
    (lambda c: 0.5, "for B it gives 0.5"),
    (by_precision, "nan"),
    (of_those_said, "left out"),
    (of_three, "not for two labels"),
]
BESTS = [
    ("A", "one label whatever is asked"),
    ("B", "best by accuracy"),
    ("model", '"A", "B" or "C"'),
    (0.63, "should be"),
]
WRONG = {
    "105.1": [({"soft_prompt": f}, word) for f, word in SIZES],
    "105.2": [({"put_before": f}, word) for f, word in BEFORE],
    "105.3": [({"macro_f1": f}, word) for f, word in MACROS] + [({"best": best}, word) for best, word in BESTS],
}
ALSO_RIGHT = {
    "105.1": [{"soft_prompt": f} for f in ALSO_SIZES],
    "105.2": [{"put_before": lambda p, t, m: [joined(prompts(p, t), t), joined(ones(p, t), m).astype(bool)]}],
    "105.3": [{"best": " c "}],
}
