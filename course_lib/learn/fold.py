"""Text that is folded away under a line of words, in a notebook."""

import sys
from html import escape


def notebook():
    """The shell of the notebook that this runs in; None in a terminal."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell if hasattr(shell, "kernel") else None


def fold(words: str, text: str) -> None:
    """Show text folded under `words`; where no HTML is shown, both as plain text."""
    from IPython.display import display

    words, text = (part.encode("utf-8", "backslashreplace").decode("utf-8") for part in (words, text))
    folded = f"<details><summary>{escape(words)}</summary><pre>{escape(text)}</pre></details>"
    display({"text/plain": f"{words}:\n{text}", "text/html": folded}, raw=True)
