"""Run the reader's code in a check: what it prints is kept and cut, and nothing waits for an input."""

import builtins
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

MOST = 2000  # characters


class Printed(io.TextIOBase):
    """Keeps the first characters that are written, and counts all of them."""

    def __init__(self):
        self._text, self._count = "", 0

    def write(self, text: str) -> int:
        self._text += text[: MOST - len(self._text)]
        self._count += len(text)
        return len(text)

    def writable(self) -> bool:
        return True

    def __str__(self) -> str:
        """What was printed, without the last newline."""
        more = f" ... ({self._count:,} characters)" if self._count > MOST else ""
        return self._text.rstrip("\n") + more


@contextmanager
def quietly() -> Iterator[Printed]:
    """What is printed inside goes into the `Printed` that this gives; `input()` raises, standard input is empty."""
    before, printed = (sys.stdin, builtins.input), Printed()
    sys.stdin, builtins.input = io.StringIO(), _nobody
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            yield printed
    finally:
        sys.stdin, builtins.input = before


def _nobody(*_) -> str:
    raise EOFError("a check cannot answer input(): let it take what it needs as an argument")
