"""Secrets out of texts that are shown or kept: a reader pastes errors, and an error may repeat a token."""

import os
import re
from collections.abc import Iterator

REMOVED = "[secret removed]"
NAMES = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|PASSWD", re.IGNORECASE)
MARGIN = 5000  # characters; no secret is longer
SHORTEST = 8  # of an environment variable's value: shorter ones are words such as "true"

# Each takes the whole secret, with what is glued to it; where there is a group, the secret is the group.
PATTERNS = [
    re.compile(pattern)
    for pattern in (
        r"(?<![A-Za-z0-9])(?:hf|api_org)_(?:(?=[a-z]{0,40}[A-Z0-9])[A-Za-z0-9]{16,}|[a-z]{30,})[\w-]*",
        r"(?<![A-Za-z0-9])sk-(?:[A-Za-z0-9]{1,16}[-_]){0,6}[A-Za-z0-9]{16,}[\w-]*",
        r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{12,}\w*",
        r"(?<![A-Za-z0-9])(?:gh[opusr]_|github_pat_|glpat-|gsk_|nvapi-|r8_|tgp_v1_|xox[a-z]-|pypi-)[\w-]{16,}",
        r"(?<![A-Za-z0-9])AIza[\w-]{30,}",
        r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)*",  # JWT
        r"(?s)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
        r"""://[^\s/@:"']{0,100}:((?!\d{1,5}(?:[/?#\s"']|$))[^\s"'<>`]{1,300})@""",  # of a URL; a port is none
        r"""[?&](?:access_token|token|api_?key|key|sig|secret|password)=([^\s&#"'<>`]{8,})""",
        r"(?:[Bb]earer|BEARER)\s{1,9}((?:(?=[A-Za-z][a-z.-]{0,100}[0-9A-Z_~+/=]|[^A-Za-z])[\w.~+/=-]{8,}|[a-z]{24,}))",
        r"(?i)\bauthorization[\"']?\s{0,9}[:=]\s{0,9}[\"']?(?:basic|token)\s{1,9}([\w.~+/=-]{6,})",
        r"""(?i)(?:password|passwd|secret|api_?key|access_?key)["']?\s{0,9}[:=]\s{0,9}(["'])(?P<secret>[^"'\s]{8,})\1""",
        r"(?i)secret_?access_?key[\"']?\s{0,9}[:=]\s{0,9}[\"']?([A-Za-z0-9/+=]{16,})",
    )
]


def redact(text: str) -> str:
    """The text with each secret replaced whole.

    Secrets are tokens of well-known forms, passwords in addresses, and the values of environment variables whose names say
    so. Shorten a text only after this, or with `clip_redacted`: of a secret that was cut in two the first half would stay.
    """
    out, shown = [], 0
    for begin, end in _joined(sorted(_secrets(text))):
        out += [text[shown:begin], REMOVED]
        shown = end
    return "".join([*out, text[shown:]])


def clip_redacted(text: str, longest: int) -> str:
    """As `said.clip`, without secrets, nor the half of one at the end; quick for a text of any length."""
    if len(text) <= longest:
        return redact(text)
    begin = redact(text[: longest + MARGIN])
    if len(text) > longest + MARGIN:  # the end may be a part of a secret
        begin = begin[: max(0, len(begin) - MARGIN)]
    return f"{begin[:longest]} ... ({len(text):,} characters)"


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    for pattern in PATTERNS:
        group = "secret" if "secret" in pattern.groupindex else min(pattern.groups, 1)
        for match in pattern.finditer(text):
            yield match.span(group)
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and NAMES.search(name) and not os.path.exists(value):
            for match in re.finditer(re.escape(value), text):
                yield match.span()


def _joined(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans in order, those that overlap as one."""
    begin, end = 0, 0
    for first, last in spans:
        if first > end:
            if end:
                yield begin, end
            begin, end = first, last
        end = max(end, last)
    if end:
        yield begin, end
