import numpy as np
from exercise_harness import assert_exercise

from course_lib.learn.lesson_104 import q1, q2, q3


def lora_parameters(d_in, d_out, rank):
    return rank * (d_in + d_out)


def merge(W, A, B, alpha, rank):
    return W + alpha / rank * B @ A


def changes_w(W, A, B, alpha, rank):
    W += alpha / rank * B @ A
    return W


def test_counting():
    wrongs = [
        (lambda i, o, r: i * o, "frozen matrix"),
        (lambda i, o, r: i * o + r * (i + o), "adds the frozen matrix"),
        (lambda i, o, r: r * i, "only A"),
        (lambda i, o, r: r * o, "only B"),
        (lambda i, o, r: r * i * o, "multiplies all three"),
        (lambda i, o, r: 2 * r * (i + o), "draw A and B"),
        (lambda i, o, r: 16_896, "no fixed numbers"),
        (lambda i, o, r: 8.5, "whole number"),
    ]
    assert_exercise(q1, {"lora_parameters": lora_parameters}, [({"lora_parameters": f}, w) for f, w in wrongs])


def test_rank_for_a_budget():
    wrongs = [
        (10, "round down, not up"),
        (8, "a larger one fits"),
        (0, "at least 1"),
        (9.83, "whole number"),
        (292, "all 30"),
        (12, "every layer"),
    ]
    assert_exercise(q2, {"best_rank": 9}, [({"best_rank": value}, word) for value, word in wrongs])


def test_merging():
    wrongs = [
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
    assert_exercise(q3, {"merge": merge}, [({"merge": f}, word) for f, word in wrongs])
