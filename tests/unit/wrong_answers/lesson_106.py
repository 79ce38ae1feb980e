import numpy as np


def interval(mean, half):
    return mean, mean - half, mean + half


def difference(a, b, width=1.96, ddof=1, power=0.5):
    apart = a - b
    return interval(apart.mean(), width * apart.std(ddof=ddof) / len(apart) ** power)


def unpaired(a, b):
    return interval((a - b).mean(), 1.96 * (a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)) ** 0.5)


def two_spreads(a, b):
    return interval((a - b).mean(), 1.96 * (a.std(ddof=1) + b.std(ddof=1)) / len(a) ** 0.5)


def turned(a, b):
    mean, low, high = difference(a, b)
    return mean, high, low


def lopsided(a, b):
    mean, low, _ = difference(a, b)
    return mean, low, mean


APART = [
    (lambda a, b: (a - b).mean(), "three numbers"),
    (lambda a, b: (a.mean(), b.mean()), "three numbers"),
    (lambda a, b: difference(b, a), "wrong sign"),
    (lambda a, b: interval(abs(a - b).mean(), 0.1), "without their sign"),
    (lambda a, b: interval(a.mean(), 0.1), "`first` alone"),
    (lambda a, b: interval(b.mean(), 0.1), "`second` alone"),
    (lambda a, b: interval((a - b).sum(), 0.1), "the sum"),
    (lambda a, b: interval(np.median(a - b), 0.1), "median"),
    (lambda a, b: interval(a.mean() / b.mean(), 0.1), "divides the means"),
    (lambda a, b: interval(7.0, 0.1), "row by row"),
    (turned, "wrong order"),
    (lopsided, "equally far"),
    (lambda a, b: difference(a, b, ddof=0), "ddof=1"),
    (lambda a, b: difference(a, b, power=0), "single rows"),
    (lambda a, b: difference(a, b, power=1), "square root"),
    (lambda a, b: difference(a, b, width=1), "one standard error"),
    (lambda a, b: difference(a, b, width=2), "take 1.96"),
    (lambda a, b: difference(a, b, width=0.98), "to each side, not in all"),
    (lambda a, b: difference(a, b, width=3), "1.96 * std"),
    (unpaired, "answered other rows"),
    (two_spreads, "adds two spreads"),
    (lambda a, b: interval((a - b).mean(), 1.96 * (a - b).std(ddof=1) / 12**0.5), "but not for 7"),
]


def chosen(
    rows, budget, fits=lambda g, b: g <= b, reach="low", key="seconds", among_all=False, overlap=lambda h, m: h >= m
):
    fit = {name: row for name, row in rows.items() if fits(row["gib"], budget)}
    among = list((rows if among_all else fit).values())
    if not among:
        return []
    mark = max(among, key=lambda row: row["quality"])[reach]
    return sorted((name for name in fit if overlap(fit[name]["high"], mark)), key=lambda name: fit[name][key])


def spoils(rows, budget):
    for name in [name for name in rows if rows[name]["gib"] > budget]:
        del rows[name]
    return chosen(rows, budget)


def best_of_all(rows, budget):
    fit = {name: row for name, row in rows.items() if row["gib"] <= budget}
    return [max(fit, key=lambda name: fit[name]["quality"])]


CHOICES = [
    (lambda r, b: chosen(r, b)[0], "list of names"),
    (lambda r, b: [r[name] for name in chosen(r, b)], "list of names"),
    (lambda r, b: ["E"], "leave out first what does not fit"),
    (lambda r, b: ["D", "B", "E"], "leave out what does not fit"),
    (lambda r, b: chosen(r, b, among_all=True), "sets no mark"),
    (best_of_all, "not clearly worse"),
    (lambda r, b: chosen(r, b)[:1], "B among them"),
    (lambda r, b: chosen(r, b)[::-1], "comes first"),
    (lambda r, b: chosen(r, b, overlap=lambda high, mark: True), "all that fit"),
    (lambda r, b: ["A", "D", "B"], "A is clearly worse"),
    (lambda r, b: ["D", "C", "B"], "C is clearly worse"),
    (lambda r, b: chosen(r, b, fits=lambda gib, budget: gib < budget), "D's interval reaches B's"),
    (lambda r, b: ["X"], "it chooses X"),
    (lambda r, b: chosen(r, 8.0), "but not for 5"),
    (lambda r, b: chosen(r, b) or ["A"], "an empty list"),
    (lambda r, b: {8.0: ["D", "B"], 5.0: ["A"]}.get(b, []), "not for another"),
    (lambda r, b: chosen(r, b, key="mb"), "sort by `seconds`"),
    (lambda r, b: chosen(r, b, overlap=lambda high, mark: high > mark), "compare with >="),
    (spoils, "changes the table"),
]
STORAGE = [
    (lambda k, m, a: k * m / 1000, "two numbers"),
    (lambda k, m, a: ((m + k * a) / 1000, k * m / 1000), "wrong way round"),
    (lambda k, m, a: (k * m, m + k * a), "in MB"),
    (lambda k, m, a: (k * m / 1024, (m + k * a) / 1024), "1,024"),
    (lambda k, m, a: (m / 1000, (m + k * a) / 1000), "one copy"),
    (lambda k, m, a: ((k + 1) * m / 1000, (m + k * a) / 1000), "one copy too many"),
    (lambda k, m, a: (k * (m + a) / 1000, (m + k * a) / 1000), "adds an adapter"),
    (lambda k, m, a: (1.0, 1.0), "multiply, and divide"),
    (lambda k, m, a: (k * m / 1000, k * a / 1000), "model itself is missing"),
    (lambda k, m, a: (k * m / 1000, k * (m + a) / 1000), "one model serves all"),
    (lambda k, m, a: (k * m / 1000, (m + a) / 1000), "one adapter"),
    (lambda k, m, a: (k * m / 1000, m + k * a), "in MB"),
    (lambda k, m, a: (k * m / 1000, m + k * a / 1000), "divide both"),
    (lambda k, m, a: (k * m / 1000, 1.0), "add them up"),
    (lambda k, m, a: (13.5, 0.77), "use the arguments"),
]
WRONG = {
    "106.1": [({"paired_difference": f}, word) for f, word in APART],
    "106.2": [({"choose": f}, word) for f, word in CHOICES],
    "106.3": [({"storage_gb": f}, word) for f, word in STORAGE],
}
ALSO_RIGHT = {
    "106.1": [{"paired_difference": lambda a, b: np.array(difference(a, b))}],
    "106.2": [{"choose": lambda rows, budget: tuple(chosen(rows, budget))}],
    "106.3": [{"storage_gb": lambda k, m, a: [k * m / 1e3, m / 1e3 + k * a / 1e3]}],
}
