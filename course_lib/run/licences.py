"""Licence notices from real source code, and the kind of licence that each one names, as ScanCode's curators saw it."""

import re
import zipfile

import yaml

from course_lib.run.assets import ASSETS, wheel
from course_lib.run.cache import cached

LABELS = {  # by ScanCode's category; rules of its other categories (patent licence, unstated ...) are left out
    "Permissive": "permissive",
    "Copyleft": "copyleft",
    "Copyleft Limited": "weak copyleft",
    "Commercial": "proprietary",
    "Proprietary Free": "proprietary",
    "Public Domain": "public domain",
}
INSTRUCTION = (
    "Which kind of licence does the notice name? "
    "Answer permissive, copyleft, weak copyleft, proprietary or public domain."
)
WORDS = range(5, 61)  # in a notice
FILE = re.compile(r"\A---\s*\n(?P<head>.*?)^---\s*$(?P<text>.*)\Z", re.MULTILINE | re.DOTALL)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is about ten times as fast
CACHED = "licences-1.jsonl"  # count up when the rows change
NOTICE = (
    "licences: notices of 5 to 60 words found in source code, each with its kind of licence; from ScanCode.\n"
    f"{ASSETS['licence-notices'].notice}"
)


def licences() -> list[dict]:
    """About 11,000 chat rows: {"messages": [system, user, assistant]}; the assistant's answer is one of five labels.

    Read once from the archive and cached as JSON lines. Raises CourseError when the archive cannot be had.
    """
    return cached(CACHED, _read)


def _read() -> list[dict]:
    with zipfile.ZipFile(wheel("licence-notices")) as archive:
        return [_row(text, label) for text, label in _labelled(archive).items()]


def _labelled(archive: zipfile.ZipFile) -> dict[str, str]:
    """Notice -> label, for rules that name one licence. A text that stands under two labels is left out."""
    names = sorted(archive.namelist())
    label = {}
    for name in names:
        if "/data/licenses/" in name and name.endswith(".LICENSE"):
            head = yaml.load(parts(archive, name)[0], LOADER)
            label[head["key"]] = LABELS.get(head["category"])
    found: dict[str, str] = {}
    for name in names:
        if "/data/rules/" in name and name.endswith(".RULE"):
            head, text = parts(archive, name)
            text = " ".join(text.replace("{{", "").replace("}}", "").split())
            if len(text.split()) not in WORDS:
                continue
            rule = yaml.load(head, LOADER)
            kind = label.get(rule.get("license_expression"))
            if kind and not rule.get("is_deprecated") and rule.get("language", "en") == "en":
                found[text] = kind if found.get(text, kind) == kind else ""
    return {text: kind for text, kind in found.items() if kind}


def parts(archive: zipfile.ZipFile, name: str) -> tuple[str, str]:
    """The YAML head of a file of ScanCode's, and its text."""
    match = FILE.match(archive.read(name).decode("utf-8"))
    return match["head"], match["text"]


def _row(text: str, label: str) -> dict:
    return {
        "messages": [
            {"role": "system", "content": INSTRUCTION},
            {"role": "user", "content": text},
            {"role": "assistant", "content": label},
        ]
    }
