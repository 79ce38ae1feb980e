"""Checks of lesson 104: counting LoRA's parameters, a rank for a budget, merging by hand."""

from numbers import Integral

import numpy as np

from course_lib.learn.checks import Exercise, NotYet


def _count(lora_parameters) -> None:
    got = lora_parameters(1536, 576, 8)
    if not isinstance(got, Integral):
        raise NotYet(f"it should give a whole number, but gave {type(got).__name__}: return the count itself.")
    if got == 1536 * 576:
        raise NotYet("that counts the frozen matrix W; count only A and B.")
    if got == 1536 * 576 + 8 * (1536 + 576):
        raise NotYet("that adds the frozen matrix W to A and B; W is not trained, so leave it out.")
    if got == 8 * 1536:
        raise NotYet("that counts only A; B, which is (d_out, rank), is trained as well.")
    if got == 8 * 576:
        raise NotYet("that counts only B; A, which is (rank, d_in), is trained as well.")
    if got == 8 * 1536 * 576:
        raise NotYet("that multiplies all three numbers; A and B are two matrices: add their sizes.")
    if got != 8 * (1536 + 576):
        gave = f"{got:,}" if abs(got) < 10**15 else "a number of more than 15 digits"
        raise NotYet(f"for d_in 1536, d_out 576, rank 8 it gave {gave}: draw A and B and count their cells.")
    again = lora_parameters(10, 20, 3)
    if not isinstance(again, Integral) or again != 90:
        raise NotYet(
            "it is right for one layer but not for d_in 10, d_out 20, rank 3: use the arguments, no fixed numbers."
        )


q1 = Exercise(
    id="104.1",
    wants=("lora_parameters",),
    test=_count,
    hints=(
        "Two matrices are trained. What are their shapes?",
        "A is (rank, d_in), B is (d_out, rank). A matrix of shape (m, n) has m times n cells.",
        "Add the two: rank * d_in + ... ",
    ),
    answer="def lora_parameters(d_in, d_out, rank):\n    return rank * (d_in + d_out)",
)

BUDGET = 3_000_000
LAYERS = 30 * [(576, 576), (576, 192), (576, 192), (576, 576), (576, 1536), (576, 1536), (1536, 576)]


def _rank(best_rank) -> None:
    per_rank = sum(d_in + d_out for d_in, d_out in LAYERS)
    right = BUDGET // per_rank
    if isinstance(best_rank, float) and best_rank.is_integer():
        best_rank = int(best_rank)
    if isinstance(best_rank, bool) or not isinstance(best_rank, Integral):
        raise NotYet(f"a rank is a whole number of columns, not {best_rank!r}: round down.")
    if best_rank == right + 1:
        raise NotYet(
            f"rank {best_rank} needs {best_rank * per_rank:,} parameters, more than {BUDGET:,}: round down, not up."
        )
    if best_rank > 30 * right // 2:
        raise NotYet("that budget would hold for one layer or one block: count all 30 blocks, each with seven layers.")
    if best_rank > right:
        raise NotYet(
            f"rank {best_rank} needs {best_rank * per_rank:,} parameters, more than {BUDGET:,}: count every layer in `layers`."
        )
    if best_rank < 1:
        raise NotYet("a rank is at least 1: divide the budget by what one rank costs in all layers together.")
    if best_rank < right:
        raise NotYet(
            f"rank {best_rank} fits, but a larger one fits too: it uses only {best_rank * per_rank:,} of {BUDGET:,}."
        )


q2 = Exercise(
    id="104.2",
    wants=("best_rank",),
    test=_rank,
    hints=(
        "What does one rank more cost, over all layers?",
        "Rank 1 costs d_in + d_out in each layer. Add that up over `layers`, then see how often it goes into the budget.",
        "best_rank = budget // sum(d_in + d_out for ...)",
    ),
    answer="best_rank = budget // sum(d_in + d_out for d_in, d_out in layers)",
)


def _merge(merge) -> None:
    rng = np.random.default_rng(0)
    w, a, b = rng.normal(size=(5, 4)), rng.normal(size=(2, 4)), rng.normal(size=(5, 2))
    kept = w.copy()
    got = merge(w, a, b, 6.0, 2)
    if not isinstance(got, np.ndarray):
        raise NotYet(f"it should return an array of W's shape, but gave {type(got).__name__}.")
    if not np.array_equal(w, kept):
        raise NotYet("it changes W itself: return a new array (W + ...), so that the frozen weights stay as they were.")
    if got.shape != w.shape:
        raise NotYet(f"the result has shape {got.shape}, W has {w.shape}: B times A gives W's shape.")
    right = w + 6.0 / 2 * b @ a
    for wrong, why in (
        (w, "it gives W unchanged: add the update."),
        (w + b @ a, "the scale is missing: multiply the update by alpha / rank."),
        (w + 6.0 * b @ a, "the update is multiplied by alpha alone: divide by the rank too."),
        (w + 2 / 6.0 * b @ a, "the scale is upside down: it is alpha / rank."),
        (w - 6.0 / 2 * b @ a, "the update is subtracted: add it."),
        (6.0 / 2 * b @ a, "that is the update alone: add it to W."),
    ):
        if np.allclose(got, wrong):
            raise NotYet(why)
    if not np.allclose(got, right):
        raise NotYet("the numbers differ from W x + (alpha / rank) B A x: check the order of the product, B before A.")


q3 = Exercise(
    id="104.3",
    wants=("merge",),
    test=_merge,
    hints=(
        "The merged layer must give W x + (alpha / rank) B A x for each x.",
        "Both parts multiply the same x, so their matrices can be added. `@` multiplies matrices.",
        "return W + ... * B @ A",
    ),
    answer="def merge(W, A, B, alpha, rank):\n    return W + alpha / rank * B @ A",
)
