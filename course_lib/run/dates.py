"""Dates written out in six locales, with the ISO date that each one means: generated, so the right answer is known."""

import random
from datetime import date, timedelta

from babel.dates import format_date

from course_lib.errors import CourseError

INSTRUCTION = "Write the date as YYYY-MM-DD."
LOCALES = ("en_US", "de", "fr", "es", "it", "pt")
STYLES = ("full", "long", "medium")
FIRST, DAYS = date(1950, 1, 1), 36_525  # a hundred years, up to 2049-12-31
NOTICE = (
    "dates: generated with Babel (BSD-3-Clause) from the Unicode CLDR (Unicode License v3).\n"
    "Dates of 1950 to 2049 as they are written in six locales, and in ISO 8601."
)


def dates(n: int, seed: int = 0) -> list[dict]:
    """`n` chat rows: {"messages": [system, user, assistant]}; each row has another day, so any split holds days out.

    The first rows do not depend on `n`. Raises CourseError for more rows than there are days (36,525).
    """
    if n > DAYS:
        raise CourseError(f"{n:,} dates are more than the {DAYS:,} days of 1950 to 2049; ask for fewer.")
    rng = random.Random(seed)
    days = list(range(DAYS))
    rng.shuffle(days)
    rows = []
    for offset in days[:n]:
        day = FIRST + timedelta(days=offset)
        rows.append(
            {
                "messages": [
                    {"role": "system", "content": INSTRUCTION},
                    {"role": "user", "content": format_date(day, rng.choice(STYLES), locale=rng.choice(LOCALES))},
                    {"role": "assistant", "content": day.isoformat()},
                ]
            }
        )
    return rows
