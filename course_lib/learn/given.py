"""What a reader's function gave, taken with care: as numbers, or as None where it is something else."""

import math
from numbers import Real

import numpy as np

from course_lib.learn.checks import NotYet


def number(value: object) -> float | None:
    """A number as a float (one beyond 1e300 as infinity), anything else as None."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if abs(value) > 1e300:
        return math.inf if value > 0 else -math.inf
    return float(value)


def asked_number(value: object, what: str) -> float:
    """A number as `number` takes it.

    Args:
        value: what the reader's function returned.
        what: what it should be, for the message: "a share".

    Raises:
        NotYet: it is no single number.
    """
    if (found := number(value)) is None:
        raise NotYet(f"it should give {what}, but gave {type(value).__name__}: return the number itself.")
    return found


def numbers(value: object, count: int) -> list[float] | None:
    """`count` numbers of a tuple, a list or an array (count,), anything else as None."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (tuple, list)) or len(value) != count:
        return None
    found = [number(one) for one in value]
    return None if None in found else found


def close(a: float, b: float) -> bool:
    """Equal up to rounding."""
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
