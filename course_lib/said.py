"""Words for the reader: printed and returned, short enough to show, and always writable."""


class Said(str):
    """Words that were printed: a cell that ends in them does not show them again."""

    def _ipython_display_(self) -> None:
        pass


def say(words: str) -> Said:
    """Print words, and return them for whoever wants them; what a terminal cannot write is shown as `\\udc80`."""
    print(words.encode("utf-8", "backslashreplace").decode("utf-8"))
    return Said(words)


def clip(text: str, longest: int = 200) -> str:
    """Text that is short enough to show."""
    return text if len(text) <= longest else f"{text[:longest]} ... ({len(text):,} characters)"
