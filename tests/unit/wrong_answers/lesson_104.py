import numpy as np


def changes_w(W, A, B, alpha, rank):
    W += alpha / rank * B @ A
    return W


COUNTS = [
    (lambda i, o, r: i * o, "frozen matrix"),
    (lambda i, o, r: i * o + r * (i + o), "adds the frozen matrix"),
    (lambda i, o, r: r * i, "only A"),
    (lambda i, o, r: r * o, "only B"),
    (lambda i, o, r: r * i * o, "multiplies all three"),
    (lambda i, o, r: 2 * r * (i + o), "draw A and B"),
    (lambda i, o, r: 10**5000, "more than 15 digits"),
    (lambda i, o, r: 16_896, "no fixed numbers"),
    (lambda i, o, r: 8.5, "whole number"),
]
RANKS = [
    (10, "round down, not up"),
    (8, "a larger one fits"),
    (0, "at least 1"),
    (9.83, "whole number"),
    (float("nan"), "whole number"),
    (float("inf"), "whole number"),
    (292, "all 30"),
    (12, "every layer"),
]
MERGES = [
    (lambda W, A, B, alpha, rank: W + B @ A, "scale is missing"),
    (lambda W, A, B, alpha, rank: W + alpha * B @ A, "divide by the rank"),
    (lambda W, A, B, alpha, rank: W + rank / alpha * B @ A, "upside down"),
    (lambda W, A, B, alpha, rank: W - alpha / rank * B @ A, "subtracted"),
    (lambda W, A, B, alpha, rank: alpha / rank * B @ A, "update alone"),
    (lambda W, A, B, alpha, rank: W.copy(), "unchanged"),
    (lambda W, A, B, alpha, rank: A @ A.T, "shape"),
    (lambda W, A, B, alpha, rank: np.zeros_like(W), "B before A"),
    (changes_w, "changes W itself"),
]
WRONG = {
    "104.1": [({"lora_parameters": f}, word) for f, word in COUNTS],
    "104.2": [({"best_rank": rank}, word) for rank, word in RANKS],
    "104.3": [({"merge": f}, word) for f, word in MERGES],
}
ALSO_RIGHT = {"104.2": [{"best_rank": 9.0}, {"best_rank": np.int64(9)}]}
