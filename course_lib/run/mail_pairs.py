"""Preference pairs for the mails: the right record, and a record or an answer made wrong by rule."""

import json
import random

from course_lib.run.mails import FIRST_NAMES, ISSUES, LAST_NAMES, PRODUCTS, WANTS, mails

NOTICE = (
    "mail-pairs: generated for this course (Apache-2.0); support mails, each with its right JSON record as the chosen answer.\n"
    "No person compared anything: the rejected answers are made by rule, by a program, which spoils the right record."
)
OPENINGS = (
    "Here is the JSON:\n",
    "Sure! The record of this mail is ",
    "Thank you for your mail. We are sorry to hear this. ",
)


def mail_pairs(n: int, half: str, seed: int = 0) -> list[dict]:
    """`n` rows {"prompt": [system, user], "chosen": [assistant], "rejected": [assistant]}; other mails than `mails` has.

    A third of the rejected answers has a wrong value; the other ways of going wrong come equally often.
    `half` ("train" or "test") as in `mails`.
    """
    rng = random.Random(f"{seed}:{half}:pairs")
    ways, rows = list(WAYS), []
    for i, row in enumerate(mails(n, half, f"{seed}:pairs")):
        if i % len(ways) == 0:
            rng.shuffle(ways)
        *prompt, answer = row["messages"]
        said = ways[i % len(ways)](json.loads(answer["content"]), rng, half)
        rows.append({"prompt": prompt, "chosen": [answer], "rejected": [{"role": "assistant", "content": said}]})
    return rows


def _json(record: dict) -> str:
    return json.dumps(record, separators=(",", ":"))


def _another_value(record: dict, rng: random.Random, half: str) -> str:
    """One field with a value that another mail could have."""
    field = rng.choice(list(record))
    while (value := _plausible(field, rng, half)) == record[field]:
        pass
    return _json(record | {field: value})


def _plausible(field: str, rng: random.Random, half: str) -> str:
    return {
        "name": f"{rng.choice(FIRST_NAMES[half])} {rng.choice(LAST_NAMES[half])}",
        "order": f"{rng.choice('ABCDEFGH')}-{rng.randrange(1_000, 10_000)}",
        "product": rng.choice(PRODUCTS[half]),
        "issue": rng.choice(list(ISSUES[half])),
        "wants": rng.choice(list(WANTS[half])),
    }[field]


def _missing_field(record: dict, rng: random.Random, half: str) -> str:
    missing = rng.choice(list(record))
    return _json({field: value for field, value in record.items() if field != missing})


def _words_around(record: dict, rng: random.Random, half: str) -> str:
    return rng.choice(OPENINGS) + _json(record)


def _other_keys(record: dict, rng: random.Random, half: str) -> str:
    """The record under keys of one's own."""
    names = {"name": "customer", "order": "order_number", "issue": "problem", "wants": "request"}
    return _json({names.get(field, field): value for field, value in record.items()})


def _in_words(record: dict, rng: random.Random, half: str) -> str:
    """No JSON at all."""
    return (
        f"{record['name']} writes about order {record['order']}, the {record['product']}: "
        f"{record['issue'].replace('_', ' ')}. The customer wants a {record['wants']}."
    )


WAYS = (_another_value, _another_value, _missing_field, _other_keys, _words_around, _in_words)
