"""Checks of lesson 101: accuracy by hand, what luck alone would do, what a situation calls for."""

from math import comb

from course_lib.learn.checks import Exercise, NotYet
from course_lib.learn.given import asked_number, close

# What was said, what was wanted: five right, three that only contain the date, two that are a part of it, one that is
# right for another row, three that are plainly wrong. So each likely slip gives a share of its own.
DATES = (
    ("2024-03-05", "2024-03-05"),
    (" 1999-12-31\n", "1999-12-31"),
    ("The date is 2010-07-04.", "2010-07-04"),
    ("1965-05-17", "1987-01-20"),
    ("2031-10-09", "2031-10-09\n"),
    ("1965-05", "1965-05-17"),
    ("", "2003-08-22"),
    ("2018-02-11", "2018-02-11"),
    ("2018-2-12", "2018-02-12"),
    ("1972-11-30", " 1972-11-30"),
    ("2044-06-01 (a Wednesday)", "2044-06-01"),
    ("Answer: 1990-04-23", "1990-04-23"),
    ("01/09/1958", "1958-09-01"),
    ("I do not know.", "1977-12-08"),
)
RIGHT, ALL = 5, len(DATES)
TOWNS = (("Berlin", "Berlin"), ("paris", "Paris"), (" Rome", "Rome"), ("Oslo ", "Bern"))
SHARES = {
    RIGHT: "that is how many are right: divide by the number of answers",
    100 * RIGHT / ALL: "that is in per cent: a share lies between 0 and 1",
    1 - RIGHT / ALL: "that is the share of wrong answers",
    2 / ALL: "space and line ends around an answer make it wrong: trim both texts with `.strip()`",
    3 / ALL: "only what was said is trimmed: trim what was wanted too",
    4 / ALL: "only what was wanted is trimmed: trim what was said too",
    6 / ALL: "an answer that is right for another row was counted: compare each with the one wanted in its own place",
    7 / ALL: "a part of the date was counted as right, even an empty answer: the two texts must be equal",
    8 / ALL: "an answer with the date inside it was counted as right: a program that reads it needs the date alone",
    RIGHT / (ALL - 1): "the empty answer was left out: it is an answer too, and a wrong one",
    RIGHT / (ALL - RIGHT): "that is right ones for each wrong one: divide by the number of all answers",
}


def _accuracy(accuracy) -> None:
    got = asked_number(accuracy([said for said, _ in DATES], [wanted for _, wanted in DATES]), "a share")
    for wrong, why in SHARES.items():
        if close(got, wrong):
            raise NotYet(f"{why}.")
    if not close(got, RIGHT / ALL):
        if abs(got - RIGHT / ALL) < 0.006:
            raise NotYet("that is rounded: return the share as it is, and round only what is printed.")
        raise NotYet(f"for {ALL} answers, {RIGHT} of them right, it gave {got:.4g}: count the pairs that are equal.")
    got = asked_number(accuracy([said for said, _ in TOWNS], [wanted for _, wanted in TOWNS]), "a share")
    if close(got, 3 / 4):
        raise NotYet('"paris" was counted as "Paris": trim the space around a text, and change nothing else.')
    if not close(got, 2 / 4):
        raise NotYet("it is right for dates but not for four names of towns: use the arguments, no fixed numbers.")


q1 = Exercise(
    id="101.1",
    wants=("accuracy",),
    test=_accuracy,
    hints=(
        "Take the two lists side by side: `zip(said, wanted)` gives one pair at a time.",
        "A pair is right if `one.strip() == other.strip()`. Python counts True as 1, so `sum` can add such comparisons.",
        "return sum(... for one, other in zip(said, wanted)) / len(...)",
    ),
    answer="def accuracy(said, wanted):\n"
    "    return sum(one.strip() == other.strip() for one, other in zip(said, wanted, strict=True)) / len(wanted)",
)

AGREE = [(True, True)] * 9 + [(False, False)] * 4
BEFORE_ONLY, AFTER_ONLY = 3, 10
PAIRS = AGREE + [(True, False)] * BEFORE_ONLY + [(False, True)] * AFTER_ONLY
LEVEL = [(True, False)] * 2 + [(False, True)] * 2 + AGREE


def _tosses(n: int, ways: range) -> float:
    """The chance that of `n` tosses of a coin the heads are one of the numbers in `ways`."""
    return sum(comb(n, i) for i in ways) / 2**n


def _luck_of(pairs: list[tuple[bool, bool]]) -> float:
    """Two-sided exact sign test (McNemar's exact test) over pairs of right or wrong."""
    won, lost = pairs.count((True, False)), pairs.count((False, True))
    return min(1.0, 2 * _tosses(won + lost, range(min(won, lost) + 1)))


N, K, HELD_OUT = BEFORE_ONLY + AFTER_ONLY, BEFORE_ONLY, len(PAIRS)
BEFORE, AFTER = AGREE.count((True, True)) + BEFORE_ONLY, AGREE.count((True, True)) + AFTER_ONLY
LUCKS = (  # what a likely slip gives, and what to say of it
    (_tosses(N, range(K + 1)), "that is one way only, the after model ahead: double it, luck may favour either"),
    (2 * comb(N, K) / 2**N, f"that is the chance of exactly {K} alone: add the ones below it, from 0"),
    (2 * _tosses(N, range(K)), f"`range(k)` ends at k - 1: the sum goes up to k itself, {K} here"),
    (2 * _tosses(N, range(1, K + 1)), "the sum begins at 0: `math.comb(n, 0)` is missing"),
    (2 * _tosses(HELD_OUT, range(K + 1)), "n counts all rows: leave out those that both have right or both have wrong"),
    (
        2 * _tosses(HELD_OUT, range(BEFORE + 1)),
        "that compares the totals: count rows in which only one of the two is right",
    ),
    (1 - _luck_of(PAIRS), "that is 1 minus the chance: return the chance itself"),
    ((AFTER - BEFORE) / HELD_OUT, "that is how far apart the accuracies are, not how often luck alone does this"),
    (2 * _tosses(N, range(K + 1)) * 2**N, "that counts the ways: divide by all there are, 2**n"),
    (1.0, "this would be luck for sure: take the smaller of the two counts as k, and divide by 2**n"),
    (2 * _tosses(N, range(AFTER_ONLY + 1)), "k is the smaller of the two counts, whichever model it belongs to"),
)


def _luck(luck) -> None:
    def asked(pairs) -> float:
        return asked_number(luck([one for one, _ in pairs], [other for _, other in pairs]), "a chance")

    got, right = asked(PAIRS), _luck_of(PAIRS)
    for wrong, why in LUCKS:
        if close(got, wrong):
            raise NotYet(f"{why}.")
    if not close(got, right):
        raise NotYet(
            f"with {BEFORE_ONLY} rows that only `before` has right and {AFTER_ONLY} that only `after` has, it gave {got:.4g}: "
            "compute n and k first, print them, then put them into the formula."
        )
    if not close(asked([(after, before) for before, after in PAIRS]), right):
        raise NotYet("with `before` and `after` exchanged it gives another number: k is the smaller of the two counts.")
    for pairs, what in ((LEVEL, "as many rows won as lost"), (AGREE, "no row in which the two differ")):
        got = asked(pairs)
        if got > 1:
            raise NotYet(f"with {what} it gave {got:.4g}, and no chance is above 1: take `min(1, ...)`.")
        if not close(got, 1.0):
            raise NotYet(f"with {what} it gave {got:.4g}: luck alone always does that, so it is 1.")


q2 = Exercise(
    id="101.2",
    wants=("luck",),
    test=_luck,
    hints=(
        "Count two things: rows that only `before` has right, and rows that only `after` has right. All others say nothing.",
        "`pairs = list(zip(before, after))` makes pairs, and `pairs.count((True, False))` is the first count. n is both counts "
        "together, k the smaller of them.",
        "return min(1, 2 * sum(math.comb(n, i) for i in range(...)) / 2**n)",
    ),
    answer="def luck(before, after):\n"
    "    pairs = list(zip(before, after, strict=True))\n"
    "    won, lost = pairs.count((False, True)), pairs.count((True, False))\n"
    "    n, k = won + lost, min(won, lost)\n"
    "    return min(1, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)",
)

OPTIONS = ("rule", "prompt", "search", "fine-tune")
WHY_NOT = {  # for each situation what is wrong with every option but the best one
    "orders": {
        "prompt": "the number always looks the same, so one line of code finds it each time; a model may misread it",
        "search": "nothing has to be looked up: the number stands in the mail, and always looks the same",
        "fine-tune": "nothing has to be learned: the number always looks the same, so one line of code finds it",
    },
    "prices": {
        "rule": "customers ask in any words, so that no fixed pattern understands them; a model does, and lacks only facts",
        "prompt": "prices that stand in a fixed prompt are old by tomorrow: they have to be fetched for each question",
        "fine-tune": "a price that is trained into the weights is wrong after one night, and training it anew each night is dear",
    },
    "titles": {
        "rule": "a title has to be written, and no pattern does that",
        "search": "no fact is missing: what the model needs is the style, and the examples show it",
        "fine-tune": "twelve titles are few to train on, and there is a way that already works without any training",
    },
    "records": {
        "rule": "the mails are worded in every way, and a pattern knows only the ways that you thought of",
        "prompt": "that was tried, and half of the fields is too few; there are examples enough for more than that",
        "search": "no fact is missing: all that the record needs stands in the mail; it is a skill that is missing",
    },
    "handbook": {
        "rule": "staff ask in any words, so that no fixed pattern leads from the question to the page",
        "prompt": "400 pages with every question are slow and dear even where they fit: find the few that matter first",
        "fine-tune": "a trained model answers from memory: it cannot show the page, and may make one up",
    },
}


def _choices(choices) -> None:
    if not isinstance(choices, dict):
        raise NotYet(f"`choices` should be a dict from situation to option, not {type(choices).__name__}.")
    if missing := [name for name in WHY_NOT if name not in choices]:
        raise NotYet(f"`choices` has nothing for {' and '.join(missing)}: it needs {', '.join(WHY_NOT)}.")
    wrong = []
    for name, why_not in WHY_NOT.items():
        if not isinstance(choices[name], str) or choices[name] not in OPTIONS:
            raise NotYet(f'for {name} it should have one of "{", ".join(OPTIONS)}": one of these words, as a text.')
        if choices[name] in why_not:
            wrong.append(f"{name}: {why_not[choices[name]]}.")
    if wrong:
        raise NotYet(f"{len(WHY_NOT) - len(wrong)} of {len(WHY_NOT)} are the best choice. {wrong[0]}")


q3 = Exercise(
    id="101.3",
    wants=("choices",),
    test=_choices,
    hints=(
        "Ask of each situation what is missing: nothing but code, words in the prompt, a fact, or a skill?",
        "Go from cheap to dear and take the first that is enough: a rule, then a prompt, then search for facts, and "
        "fine-tuning for a skill that a prompt does not bring out.",
        "One of the five wants a rule, one a prompt, two search, one fine-tuning.",
    ),
    answer='choices = {\n    "orders": "rule",\n    "prices": "search",\n    "titles": "prompt",\n'
    '    "records": "fine-tune",\n    "handbook": "search",\n}',
)
