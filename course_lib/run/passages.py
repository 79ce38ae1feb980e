"""Texts in passages: paragraphs, short ones joined with the next, that a person could read one by one."""

import re

LEAST, MOST = 150, 1000  # characters
SENTENCE = re.compile(r"(?<=[.;:!?]) ")


def joined(lengths: list[int]) -> list[slice]:
    """Neighbouring paragraphs of these lengths, so many that they have at least 150 characters; what is left joins the last."""
    runs, start, length = [], 0, 0
    for end, more in enumerate(lengths, 1):
        length += more
        if length >= LEAST:
            runs.append(slice(start, end))
            start, length = end, 0
    if start < len(lengths):
        first = runs.pop().start if runs else start
        runs.append(slice(first, len(lengths)))
    return runs


def passages(paragraphs: list[str]) -> list[str]:
    """Passages of about 150 to 1,000 characters; a longer paragraph is cut between sentences.

    What cannot be brought to such a length (a lone short line, a table) is left out.
    """
    parts = [part for paragraph in paragraphs for part in _cut(paragraph)]
    texts = ["\n\n".join(parts[run]) for run in joined(list(map(len, parts)))]
    return [text for text in texts if LEAST <= len(text) <= MOST + LEAST]


def _cut(paragraph: str) -> list[str]:
    if len(paragraph) <= MOST:
        return [paragraph]
    parts = [""]
    for sentence in SENTENCE.split(paragraph):
        if len(parts[-1]) + len(sentence) >= MOST:
            parts.append("")
        parts[-1] = f"{parts[-1]} {sentence}".strip()
    return [part for part in parts if part]
