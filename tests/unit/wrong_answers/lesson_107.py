import re

RIGHT = {"flat": "mask", "rises": "sooner", "content": "rows", "forgets": "replay", "even": "prompt"}


def texts(record):
    return (record.get("Question") or "").strip(), (record.get("Answer") or "").strip()


def row_of(prompt, completion):
    return {"prompt": prompt, "completion": completion} if prompt.strip() and completion.strip() else None


def changes_the_record(record):
    record.pop("id", None)
    return row_of(*texts(record))


def keeps_other_keys(record):
    row = row_of(*texts(record))
    return row and row | {key: value for key, value in record.items() if key not in ("Question", "Answer")}


def simple(text):
    return "".join(c for c in text.lower() if c.isalnum())


def same_by(make):
    """A `leaks` that takes prompts for the same if `make` gives the same for both."""
    return lambda train, test: [prompt for prompt in test if make(prompt) in {make(known) for known in train}]


def changes_the_test(train, test):
    test.sort()
    return same_by(simple)(train, test)


ROWS = [
    (lambda record: row_of(record.get("Question") or "", record.get("Answer") or ""), "at the ends"),
    (lambda record: row_of(*[" ".join(text.split()) for text in texts(record)]), "inside a text"),
    (lambda record: row_of(*[text.lower() for text in texts(record)]), "capital letters"),
    (lambda record: row_of(*texts(record)[::-1]), "wrong way round"),
    (lambda record: dict(zip(("prompt", "completion"), texts(record), strict=True)), "an empty answer"),
    (lambda record: row_of(texts(record)[0], texts(record)[1] or "-"), "an empty answer"),
    (lambda record: row_of(*texts(record)) or {}, "an empty answer"),
    (lambda record: row_of(texts(record)[0] or "-", texts(record)[1]), "an empty question"),
    (
        lambda record: row_of(*[str(record.get(key, "")).strip() for key in ("Question", "Answer")]),
        "None for an answer",
    ),
    (lambda record: row_of(texts(record)[0], texts(record)[1] if "Answer" in record else "?"), "no answer at all"),
    (lambda record: {"question": texts(record)[0], "answer": texts(record)[1]}, "no other"),
    (lambda record: list(texts(record)), "should give a dict"),
    (lambda record: {"prompt": 1, "completion": 2}, "should be texts"),
    (lambda record: {"prompt": "Two eggs", "completion": "2 eggs"}, "the row should be"),
    (keeps_other_keys, "no other"),
    (changes_the_record, "changes the record"),
]
LEAKS = [
    (lambda train, test: [prompt for prompt in test if prompt in train], "capital letters and punctuation"),
    (same_by(str.lower), "punctuation"),
    (same_by(lambda text: re.sub(r"[^\w\s]", "", text.lower())), "only in spaces"),
    (same_by(lambda text: re.sub(r"[^a-z]", "", text.lower())), "digits count"),
    (same_by(lambda text: frozenset(re.findall(r"\w+", text.lower()))), "the order counts"),
    (lambda train, test: [p for p in test if any(simple(p) in simple(known) for known in train)], "only a part"),
    (lambda train, test: list(test), "nowhere"),
    (lambda train, test: [], "word for word"),
    (lambda train, test: same_by(simple)(test, train), "prompts of the training rows"),
    (lambda train, test: [simple(prompt) for prompt in same_by(simple)(train, test)], "does not stand so"),
    (lambda train, test: set(same_by(simple)(train, test)), "a list of prompts"),
    (lambda train, test: len(same_by(simple)(train, test)), "a list of prompts"),
    (lambda train, test: list(range(len(same_by(simple)(train, test)))), "prompts themselves"),
    (lambda train, test: same_by(simple)(train, test)[::-1], "in the order"),
    (lambda train, test: same_by(simple)(train, test) or ["nothing"], "empty list"),
    (changes_the_test, "changes a list"),
]
STEPS = [
    (RIGHT | {"flat": "longer"}, "does not move at all"),
    (RIGHT | {"flat": "rows"}, "nothing is learned"),
    (RIGHT | {"rises": "longer"}, "makes it worse"),
    (RIGHT | {"rises": "mask"}, "by heart"),
    (RIGHT | {"content": "larger"}, "same 40 cases"),
    (RIGHT | {"content": "mask"}, "too few cases"),
    (RIGHT | {"forgets": "rows"}, "further away"),
    (RIGHT | {"forgets": "sooner"}, "show it both"),
    (RIGHT | {"forgets": "mask"}, "other skills"),
    (RIGHT | {"rises": "rows"}, "what can be done at once"),
    (RIGHT | {"even": "larger"}, "cost more"),
    (RIGHT | {"even": "longer"}, "gains nothing"),
    (RIGHT | {"even": "give up"}, "none of the options"),
    (RIGHT | {"even": ["prompt"]}, "none of the options"),
    ({"flat": "mask"}, "no step for"),
    (RIGHT | {"slow": "larger"}, "five and no other"),
    (list(RIGHT.values()), "should be a dict"),
]
WRONG = {
    "107.1": [({"to_row": f}, word) for f, word in ROWS],
    "107.2": [({"leaks": f}, word) for f, word in LEAKS],
    "107.3": [({"next_step": steps}, word) for steps, word in STEPS],
}
ALSO_RIGHT = {"107.2": [{"leaks": same_by(lambda text: tuple(re.findall(r"\w+", text.lower())))}]}
