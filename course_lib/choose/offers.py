"""Which offer of the price table an open model of a given size falls under."""

OPEN = ((16e9, "open, up to 16B"), (69e9, "open, 17B to 69B"), (100e9, "open, 70B to 100B"))


def open_offer(params: float) -> str | None:
    """The table's name for open models of that many parameters; None where it has none."""
    return next((name for most, name in OPEN if params <= most), None)
