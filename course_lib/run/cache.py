"""Rows that take seconds to make, kept as JSON lines in the cache folder."""

import contextlib
import json
from collections.abc import Callable

from course_lib.folders import write_whole
from course_lib.run.assets import home


def cached(name: str, make: Callable[[], list[dict]]) -> list[dict]:
    """What `make` returns, read from the file `name` of the cache folder where that is whole.

    Count the number in the name up when the rows change.
    """
    file = home() / "data" / name
    with contextlib.suppress(OSError, ValueError):
        if rows := [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]:
            return rows
    rows = make()
    with contextlib.suppress(OSError):  # without the cache the rows are made again each time
        write_whole(file, "".join(json.dumps(row) + "\n" for row in rows))
    return rows
