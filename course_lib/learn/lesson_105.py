"""Checks of lesson 105: the size of a soft prompt, a soft prompt put before a batch by hand, macro-F1."""

import math

import numpy as np

from course_lib.learn.checks import Exercise, NotYet
from course_lib.learn.given import close, number, numbers


def _size(soft_prompt) -> None:
    tokens, width, parameters = 20, 576, 134_515_008
    both = numbers(soft_prompt(tokens, width, parameters), 2)
    if both is None:
        raise NotYet("it should return two numbers: how many are trained, and which share of `parameters` that is.")
    count, share = both
    right = tokens * width
    for wrong, why in (
        (tokens, "that counts the virtual tokens; each of them is a row of `width` numbers."),
        (width, "that is one virtual token; there are `n_tokens` of them."),
        (tokens + width, "that adds the two; the soft prompt has `n_tokens` rows of `width` numbers each."),
        (width**2, "that is a square matrix; the soft prompt has `n_tokens` rows of `width` numbers."),
        (parameters, "that counts the frozen model; only the soft prompt is trained."),
        (parameters - right, "that subtracts the soft prompt from the model; the soft prompt alone is trained."),
        (parameters + right, "that adds the frozen model; the soft prompt alone is trained."),
    ):
        if count == wrong:
            raise NotYet(why)
    if count != right:
        raise NotYet(f"of 20 tokens of width 576 it counts {count:,.6g}: draw the rows, and count their numbers.")
    _share(share, right / parameters, right, parameters)
    again = numbers(soft_prompt(3, 10, 10_000), 2)
    if again is None or again[0] != 30 or not math.isclose(again[1], 0.003, rel_tol=0.01):
        raise NotYet(
            "it is right for one model but not for 3 tokens of width 10 and 10,000 parameters: use the arguments."
        )


def _share(share: float, right: float, trained: int, parameters: int) -> None:
    if math.isclose(share, right, rel_tol=0.01):  # also of model and prompt together
        return
    if math.isclose(share, 100 * right, rel_tol=0.01):
        raise NotYet("the count is right; the share is in per cent, and 0.01 should stand for one per cent.")
    if math.isclose(share, parameters / trained, rel_tol=0.01):
        raise NotYet("the count is right; the share is upside down: divide what is trained by `parameters`.")
    if share == 0:
        raise NotYet("the count is right; the share is rounded to 0: divide with /, and do not round.")
    if math.isclose(share, 1 - right, rel_tol=1e-9):
        raise NotYet("the count is right; that share is what stays frozen.")
    raise NotYet(f"the count is right; the share is {share:.3g}: divide what is trained by `parameters`.")


q1 = Exercise(
    id="105.1",
    wants=("soft_prompt",),
    test=_size,
    hints=(
        "A virtual token takes the place of a token's embedding. How many numbers is that?",
        "The soft prompt is a matrix of n_tokens rows, each as wide as the embeddings. The share is a number below 1.",
        "trained = n_tokens * ...; return trained, trained / ...",
    ),
    answer="def soft_prompt(n_tokens, width, parameters):\n    trained = n_tokens * width\n    return trained, trained / parameters",
)


def _before(put_before) -> None:
    rng = np.random.default_rng(0)
    prompt, text = rng.normal(size=(3, 4)), rng.normal(size=(2, 5, 4))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    both = put_before(prompt.copy(), text.copy(), mask.copy())
    if not isinstance(both, (tuple, list)) or len(both) != 2:
        raise NotYet("it should return two arrays: the longer embeddings, and the longer mask.")
    embedded, longer = both
    _embedded(embedded, prompt, text)
    if not _is_numeric(longer):
        raise NotYet(f"the second thing that it returns should be the mask, an array, not {type(longer).__name__}.")
    if longer.shape == mask.shape:
        raise NotYet(
            "the embeddings are right; the mask is still as long as the text: it needs an entry for each virtual token."
        )
    if longer.shape != (2, 8):
        raise NotYet(f"the embeddings are right; the mask has shape {longer.shape}, and (batch, n + seq) is (2, 8).")
    ones = np.ones((2, 3))
    for wrong, why in (
        (np.hstack([0 * ones, mask]), "the virtual tokens get 0, so the model would not look at them: give them 1."),
        (np.hstack([mask, ones]), "the ones stand after the text's mask: they belong before it, as the prompt does."),
        (np.ones((2, 8)), "it says 1 for the padding as well: keep the text's own mask behind the ones."),
    ):
        if np.array_equal(longer, wrong):
            raise NotYet(f"the embeddings are right; in the mask {why}")
    if not np.array_equal(longer, np.hstack([ones, mask])):
        raise NotYet(
            "the embeddings are right; the mask should be a 1 for each virtual token, then the mask of the text."
        )


def _embedded(embedded, prompt: np.ndarray, text: np.ndarray) -> None:
    if not _is_numeric(embedded):
        raise NotYet(
            f"the first thing that it returns should be the embeddings, an array, not {type(embedded).__name__}."
        )
    if embedded.shape == (2, 5, 4):
        raise NotYet("the result is as long as the text alone: the soft prompt's rows come on top of the text's.")
    if embedded.shape == (2, 8):
        raise NotYet("the first thing that it returns looks like the mask: return the embeddings first.")
    if embedded.shape != (2, 8, 4):
        raise NotYet(f"the embeddings have shape {embedded.shape}; (batch, n + seq, width) is (2, 8, 4) here.")
    batch = np.stack([prompt, prompt])
    for wrong, why in (
        (np.concatenate([text, batch], axis=1), "the prompt stands after the text: put it first."),
        (
            np.concatenate([np.zeros_like(batch), text], axis=1),
            "zeros stand before the text: put the prompt's numbers there.",
        ),
        (np.concatenate([batch[:, ::-1], text], axis=1), "the prompt's rows stand in reverse: keep their order."),
        (
            np.concatenate([np.repeat(prompt, 2, axis=0).reshape(2, 3, 4), text], axis=1),
            "the prompt's rows are shared out among the texts: each text gets the whole prompt.",
        ),
    ):
        if np.allclose(embedded, wrong):
            raise NotYet(why)
    if not np.allclose(embedded[0], np.concatenate([prompt, text[0]])):
        raise NotYet("the numbers differ: for each text the rows of the prompt come first, then the rows of the text.")
    if not np.allclose(embedded[1], np.concatenate([prompt, text[1]])):
        raise NotYet("the first text is right, the second is not: every text of the batch gets the same prompt.")


def _is_numeric(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


q2 = Exercise(
    id="105.2",
    wants=("put_before",),
    test=_before,
    hints=(
        "Every text of the batch gets the same prompt. How do you make one (batch, n, width) array of the (n, width) one?",
        "np.broadcast_to(prompt, (batch, n, width)) repeats it for each text, np.concatenate([...], axis=1) joins along the "
        "positions. In the mask a 1 says: look here.",
        "np.concatenate([np.broadcast_to(...), embeddings], axis=1), np.concatenate([np.ones(...), mask], axis=1)",
    ),
    answer=(
        "def put_before(prompt, embeddings, mask):\n"
        "    batch, n = len(embeddings), len(prompt)\n"
        "    prompts = np.broadcast_to(prompt, (batch, *prompt.shape))\n"
        "    longer = np.concatenate([prompts, embeddings], axis=1)\n"
        "    return longer, np.concatenate([np.ones((batch, n), dtype=int), mask], axis=1)"
    ),
)

# Rows: the wanted label, columns: the label that was said. B has the most right, C serves the rare labels best.
CONFUSIONS = {
    "A": [[90, 0, 0], [6, 0, 0], [4, 0, 0]],
    "B": [[88, 1, 1], [3, 3, 0], [3, 0, 1]],
    "C": [[80, 6, 4], [1, 5, 0], [0, 0, 4]],
}


def _macro(macro_f1, best) -> None:
    table = np.array(CONFUSIONS["B"])
    right, wanted, said = table.diagonal(), table.sum(1), table.sum(0)
    f1, recall, precision = 2 * right / (wanted + said), (right / wanted).mean(), (right / said).mean()
    got = number(macro_f1(table.copy()))
    if got is None:
        raise NotYet("`macro_f1` should return one number, the mean of the labels' F1.")
    for wrong, why in (
        (right.sum() / wanted.sum(), "that is accuracy: find the F1 of each label first, then their mean."),
        ((f1 @ wanted) / wanted.sum(), "that weights each label by how often it is wanted; here all weigh the same."),
        (recall, "that is the mean of the recalls: what was said too often has to count as well."),
        (precision, "that is the mean of the precisions: what was overlooked has to count as well."),
        (2 * recall * precision / (recall + precision), "that is the F1 of two means: take the mean of the F1s."),
        (f1.sum(), "that is the sum of the F1s: divide by the number of labels."),
        (100 * f1.mean(), "that is in per cent: give a number between 0 and 1."),
        (f1.mean() / 2, "that lacks the factor 2: F1 is 2 x right / (wanted + said)."),
        (f1[0], "that is the F1 of the first label alone: take the mean over all labels."),
    ):
        if close(got, wrong):
            raise NotYet(why)
    if not close(got, f1.mean()):
        raise NotYet(
            f"for B it gives {got:.4g}: F1 of a label is 2 x right / (wanted + said), and macro-F1 is their mean."
        )
    _never_said(number(macro_f1(np.array([[9, 0], [1, 0]]))))
    if not isinstance(best, str) or best.strip().upper() not in CONFUSIONS:
        raise NotYet('`macro_f1` is right; `best` should be "A", "B" or "C".')
    if best.strip().upper() == "A":
        raise NotYet(
            "`macro_f1` is right; A says one label whatever is asked, and its macro-F1 is the lowest: print all three."
        )
    if best.strip().upper() == "B":
        raise NotYet("`macro_f1` is right; B is the best by accuracy: print the three by macro-F1.")


def _never_said(got: float | None) -> None:
    right = 2 * 9 / (10 + 9) / 2
    if got is not None and math.isnan(got):
        raise NotYet(
            "when a label is never said it gives nan: 2 x right / (wanted + said) needs no precision, and gives 0."
        )
    if got is not None and close(got, 2 * right):
        raise NotYet("a label that is never said is left out: its F1 is 0, and it counts in the mean.")
    if got is None or not close(got, right):
        raise NotYet(
            f"it is right for B, but not for two labels of which one is never said: there it should give {right:.3f}."
        )


q3 = Exercise(
    id="105.3",
    wants=("macro_f1", "best"),
    test=_macro,
    hints=(
        "Three numbers make up the F1 of a label: how often it was rightly said, how often it was wanted, how often it was said.",
        "They are the diagonal, the sums of the rows and the sums of the columns. F1 is 2 x right / (wanted + said).",
        "return (2 * confusion.diagonal() / (confusion.sum(axis=1) + ...)).mean()",
    ),
    answer=(
        "def macro_f1(confusion):\n"
        "    right, wanted, said = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)\n"
        "    return (2 * right / (wanted + said)).mean()\n\n"
        "best = max(answers, key=lambda name: macro_f1(answers[name]))"
    ),
)
