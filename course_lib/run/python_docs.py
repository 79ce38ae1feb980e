"""Passages of Python's own language reference, a plain general text that every Python brings along."""

import re
import textwrap

from course_lib.errors import CourseError
from course_lib.run.licence_texts import BLANK, once
from course_lib.run.passages import passages

LINE = re.compile(r"[*=\-~^.]{3,}")  # under a heading, or between parts
HYPHEN = re.compile(r"(?<=\w)-\n\s*(?=\w)")  # a word with a hyphen, wrapped at it
EMPHASIS = re.compile(r"(?<![\w*])(\*{1,2})(?=[^\s*])([^*\n]+?)(?<=[^\s*])\1(?![\w*])")
NOTICE = (
    "python-docs: passages of the Python language reference, from this Python's pydoc_data; each topic is in one part only.\n"
    "Copyright (c) Python Software Foundation, licensed under the PSF License Version 2 (PSF-2.0)."
)


def python_docs() -> list[dict]:
    """About 1,000 rows {"text", "source"}: passages of 150 to 1,150 characters, and the name of their topic.

    Rows depend on the version of Python. Raises CourseError where this Python lacks its documentation.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise CourseError(
            "This Python came without pydoc_data, which python-docs is read from: name a file of texts, or licence-texts."
        ) from None
    return once(
        {"text": passage, "source": topic}
        for topic, text in sorted(topics.items())
        for passage in passages(_plain(text))
    )


def _plain(text: str) -> list[str]:
    """Paragraphs without the marks of the documentation's markup; lines of prose joined, of code kept; no grammar rules."""
    paragraphs = []
    for block in BLANK.split(text):
        lines = [line for line in block.splitlines() if not LINE.fullmatch(line.strip())]
        if not any(lines) or "::=" in block or block.startswith("[image"):
            continue
        dedented = textwrap.dedent("\n".join(lines)).strip()
        prose = not lines[0].startswith("   ") or dedented[:1].isupper()
        paragraphs.append(EMPHASIS.sub(r"\2", " ".join(HYPHEN.sub("-", dedented).split())) if prose else dedented)
    return paragraphs
