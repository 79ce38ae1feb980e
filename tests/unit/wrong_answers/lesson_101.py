from math import comb


def share(right):
    """An accuracy whose idea of a right answer is `right(said, wanted)`."""
    return lambda said, wanted: sum(map(right, said, wanted)) / len(wanted)


def trimmed(said, wanted):
    return sum(s.strip() == w.strip() for s, w in zip(said, wanted, strict=True))


ACCURACIES = [
    (share(lambda s, w: s == w), "trim both texts"),
    (share(lambda s, w: s.strip() == w), "trim what was wanted too"),
    (share(lambda s, w: s == w.strip()), "trim what was said too"),
    (share(lambda s, w: w.strip() in s), "the date inside it"),
    (share(lambda s, w: s.strip() in w), "even an empty answer"),
    (share(lambda s, w: s.strip().lower() == w.strip().lower()), "change nothing else"),
    (lambda s, w: sum(one.strip() in [o.strip() for o in w] for one in s) / len(s), "right for another row"),
    (lambda s, w: len({one.strip() for one in s} & {one.strip() for one in w}) / len(s), "right for another row"),
    (lambda s, w: trimmed(s, w), "divide by the number of answers"),
    (lambda s, w: 100 * trimmed(s, w) / len(w), "in per cent"),
    (lambda s, w: 1 - trimmed(s, w) / len(w), "share of wrong"),
    (lambda s, w: trimmed(s, w) / len([one for one in s if one]), "empty answer was left out"),
    (lambda s, w: trimmed(s, w) / (len(w) - trimmed(s, w)), "for each wrong one"),
    (lambda s, w: round(trimmed(s, w) / len(w), 2), "rounded"),
    (lambda s, w: 5 / 14, "no fixed numbers"),
    (lambda s, w: 0.9, "count the pairs"),
    (lambda s, w: 10**5000, "count the pairs"),
    (lambda s, w: "5 of 14", "a share"),
]


def counts(before, after):
    """Rows won by `before` and by `after`."""
    pairs = list(zip(before, after, strict=True))
    return pairs.count((True, False)), pairs.count((False, True))


def tail(n, k, first=0):
    return sum(comb(n, i) for i in range(first, k + 1)) / 2**n


def of(function):
    """A `luck` that computes `function(n, k)` from the right counts."""
    return lambda before, after: function(sum(counts(before, after)), min(counts(before, after)))


def larger(before, after):
    return min(1, 2 * tail(sum(counts(before, after)), max(counts(before, after))))


LUCKS = [
    (of(tail), "double it"),
    (of(lambda n, k: 2 * comb(n, k) / 2**n), "exactly 3 alone"),
    (of(lambda n, k: 2 * tail(n, k - 1)), "ends at k - 1"),
    (of(lambda n, k: 2 * tail(n, k, 1)), "begins at 0"),
    (of(lambda n, k: 1 - min(1, 2 * tail(n, k))), "1 minus"),
    (of(lambda n, k: 2 * tail(n, k) * 2**n), "divide by all there are"),
    (of(lambda n, k: min(1, 2 * tail(n, k) * 2**n)), "divide by 2**n"),
    (of(lambda n, k: 2 * tail(n, k)), "`min(1, ...)`"),
    (of(lambda n, k: min(1, 2 * tail(n, k)) if n else 0.0), "no row in which"),
    (of(lambda n, k: 0.5), "n and k first"),
    (of(lambda n, k: float("nan")), "n and k first"),
    (of(lambda n, k: "small"), "a chance"),
    (lambda b, a: 2 * tail(len(b), min(counts(b, a))), "leave out those"),
    (lambda b, a: 2 * tail(len(b), min(sum(b), sum(a))), "compares the totals"),
    (lambda b, a: (sum(a) - sum(b)) / len(a), "how far"),
    (lambda b, a: min(1, 2 * tail(sum(counts(b, a)), counts(b, a)[0])), "exchanged"),
    (lambda b, a: 2 * tail(sum(counts(b, a)), counts(b, a)[1]), "k is the smaller"),
    (larger, "take the smaller"),
]

BEST = {"orders": "rule", "prices": "search", "titles": "prompt", "records": "fine-tune", "handbook": "search"}
SLIPS = [
    ("orders", "prompt", "may misread it"),
    ("orders", "search", "stands in the mail"),
    ("orders", "fine-tune", "nothing has to be learned"),
    ("prices", "rule", "in any words"),
    ("prices", "prompt", "old by tomorrow"),
    ("prices", "fine-tune", "after one night"),
    ("titles", "rule", "no pattern does that"),
    ("titles", "search", "the examples show it"),
    ("titles", "fine-tune", "few to train on"),
    ("records", "rule", "ways that you thought of"),
    ("records", "prompt", "half of the fields"),
    ("records", "search", "a skill that is missing"),
    ("handbook", "rule", "to the page"),
    ("handbook", "prompt", "400 pages"),
    ("handbook", "fine-tune", "cannot show the page"),
    ("records", "train", "one of these words"),
    ("records", None, "one of these words"),
    ("records", ["fine-tune"], "one of these words"),
]
CHOICES = [
    *((BEST | {name: choice}, word) for name, choice, word in SLIPS),
    (BEST | {"orders": "fine-tune", "handbook": "rule"}, "3 of 5"),
    ({"orders": "rule"}, "nothing for prices and titles"),
    (list(BEST.values()), "should be a dict"),
]
WRONG = {
    "101.1": [({"accuracy": f}, word) for f, word in ACCURACIES],
    "101.2": [({"luck": f}, word) for f, word in LUCKS],
    "101.3": [({"choices": choices}, word) for choices, word in CHOICES],
}
ALSO_RIGHT = {"101.3": [{"choices": BEST | {"more": 1}}]}
