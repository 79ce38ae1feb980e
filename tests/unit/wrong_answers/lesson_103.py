import numpy as np

GIB = 2**30


def changes_ids(ids, n):
    ids[:n] = n * [-100]
    return ids


def by_token(ids, n):
    return [-100 if token in ids[:n] else token for token in ids]


LABELS = [
    (lambda ids, n: list(ids), "nothing is left out"),
    (lambda ids, n: len(ids) * [-100], "everything is left out"),
    (lambda ids, n: ids[:n] + (len(ids) - n) * [-100], "other way round"),
    (lambda ids, n: ids[n:], "the prompt is cut off"),
    (lambda ids, n: ids[:n], "one for each id"),
    (lambda ids, n: n * [-100] + ids[n:-1] + [-100], "learn to stop"),
    (lambda ids, n: (n - 1) * [-100] + ids[n - 1 :], "last token of the prompt"),
    (lambda ids, n: (n + 1) * [-100] + ids[n + 1 :], "first token of the answer"),
    (lambda ids, n: (n - 1) * [-100] + ids[n:] + [-100], "transformers does that itself"),
    (lambda ids, n: (n + 1) * [-100] + ids[n:-1], "to the right"),
    (lambda ids, n: n * [0] + ids[n:], "another number than -100"),
    (lambda ids, n: n * [-1] + ids[n:], "another number than -100"),
    (lambda ids, n: 6 * [-100] + ids[6:], "no fixed numbers"),
    (lambda ids, n: n * [None] + ids[n:], "whole number"),
    (lambda ids, n: n * [-100.0] + ids[n:], "whole number"),
    (lambda ids, n: " ".join(map(str, ids)), "a list of labels"),
    (lambda ids, n: sorted(n * [-100] + ids[n:]), "by hand"),
    (by_token, "not by the token"),
    (changes_ids, "changes `ids` itself"),
]


def wanted(p, labels):
    kept = labels != -100
    return p[kept, labels[kept]]


def of(function):
    """A loss that computes `function` of the wanted tokens' chances."""
    return lambda p, labels: function(wanted(p, labels))


def all_places(p, labels):
    return -np.log(p[np.arange(len(labels)), labels])


def changes_labels(p, labels):
    found = -np.log(wanted(p, labels)).mean()
    labels[labels == -100] = 0
    return found


def after_the_prompt(p, labels):
    start = int(np.argmax(labels != -100))
    return -np.log(p[np.arange(start, len(labels)), labels[start:]]).mean()


LOSSES = [
    (of(lambda q: np.log(q).mean()), "the sign is wrong"),
    (of(lambda q: -np.log(q).sum()), "the sum"),
    (lambda p, labels: -np.log(wanted(p, labels)).sum() / len(labels), "divided by all places"),
    (lambda p, labels: all_places(p, labels).mean(), "places with -100 count too"),
    (lambda p, labels: all_places(p, labels).sum(), "and it is the sum"),
    (of(lambda q: -np.log(q.mean())), "log of the mean"),
    (of(lambda q: -np.log2(q).mean()), "in bits"),
    (of(lambda q: -np.log10(q).mean()), "log10"),
    (of(lambda q: np.exp(-np.log(q).mean())), "perplexity"),
    (of(lambda q: q.mean()), "the mean chance"),
    (of(lambda q: 1 - q.mean()), "1 minus the mean"),
    (lambda p, labels: -np.log(p).mean(), "all tokens of the vocabulary"),
    (lambda p, labels: -np.log(p[labels != -100]).mean(), "all tokens of the vocabulary"),
    (lambda p, labels: -np.log(p[labels != -100].max(axis=1)).mean(), "likeliest"),
    (of(lambda q: -np.log(q)), "one number"),
    (of(lambda q: 3.7), "print the chances"),
    (of(lambda q: float("nan")), "print the chances"),
    (after_the_prompt, "with -100 between"),
    (changes_labels, "changes `p` or `labels`"),
]


def loop(p, labels):
    losses = [-np.log(p[place, token]) for place, token in enumerate(labels) if token != -100]
    return sum(losses) / len(losses)


SIZES = [
    (lambda n, k: 4 * n / GIB, "only the weights"),
    (lambda n, k: 8 * n / GIB, "optimizer's values are missing"),
    (lambda n, k: 12 * n / GIB, "counted once"),
    (lambda n, k: 16 * n / GIB, "whatever the argument is"),
    (lambda n, k: 4 * k * n / GIB, "only the optimizer's values"),
    (lambda n, k: 4 * (1 + k) * n / GIB, "weights or the gradients"),
    (lambda n, k: 2 * (2 + k) * n / GIB, "two bytes"),
    (lambda n, k: 8 * (2 + k) * n / GIB, "eight bytes"),
    (lambda n, k: 32 * (2 + k) * n / GIB, "in bits"),
    (lambda n, k: (2 + k) * n / GIB, "not bytes"),
    (lambda n, k: 4 * 2 * k * n / GIB, "add how many"),
    (lambda n, k: 4 * (2 + k) * n / 1e9, "in GB"),
    (lambda n, k: 4 * (2 + k) * n, "in bytes"),
    (lambda n, k: 4 * (2 + k) * n / 2**20, "in MiB"),
    (lambda n, k: 8 * n / 1e9, "in GB"),
    (lambda n, k: 4 * 7 * 1_500_000_000 / GIB, "no fixed numbers"),
    (lambda n, k: 40.0, "how many bytes are these"),
    (lambda n, k: 10**5000, "how many bytes are these"),
    (lambda n, k: "39 GiB", "a number of GiB"),
]
WRONG = {
    "103.1": [({"make_labels": f}, word) for f, word in LABELS],
    "103.2": [({"loss": f}, word) for f, word in LOSSES],
    "103.3": [({"training_gib": f}, word) for f, word in SIZES],
}
ALSO_RIGHT = {
    "103.1": [{"make_labels": lambda ids, n: np.where(np.arange(len(ids)) < n, -100, ids)}],
    "103.2": [{"loss": loop}],
}
