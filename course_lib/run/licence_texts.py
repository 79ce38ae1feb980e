"""Passages of software licences, a plain text of a domain of its own; each near copy once, each licence in one part."""

import re
import zipfile
from collections.abc import Iterable

import yaml

from course_lib.run.assets import ASSETS, wheel
from course_lib.run.cache import cached
from course_lib.run.licences import LOADER, parts
from course_lib.run.near_copies import near_duplicate_groups
from course_lib.run.passages import passages

BLANK = re.compile(r"\n\s*\n")
CACHED = "licence-texts-1.jsonl"  # count up when the rows change
NOTICE = (
    "licence-texts: passages of the full texts of software licences, from ScanCode; each licence is in one part only.\n"
    f"{ASSETS['licence-notices'].notice} The wording of a licence is its author's."
)


def licence_texts() -> list[dict]:
    """About 17,000 rows {"text", "source"}: English passages of 150 to 1,150 characters, and the key of their licence.

    Read once from the archive and cached. Raises CourseError when the archive cannot be had.
    """
    return cached(CACHED, _read)


def once(rows: Iterable[dict]) -> list[dict]:
    """The first of each group of near copies: many licences share most of their clauses."""
    rows, first = list(rows), {}
    for group, row in zip(near_duplicate_groups([row["text"] for row in rows]), rows, strict=True):
        first.setdefault(group, row)
    return list(first.values())


def _read() -> list[dict]:
    with zipfile.ZipFile(wheel("licence-notices")) as archive:
        return once(_passages(archive))


def _passages(archive: zipfile.ZipFile) -> Iterable[dict]:
    for name in sorted(archive.namelist()):
        if "/data/licenses/" not in name or not name.endswith(".LICENSE"):
            continue
        head, text = parts(archive, name)
        about = yaml.load(head, LOADER)
        if not about.get("is_deprecated") and about.get("language", "en") == "en":
            paragraphs = [" ".join(paragraph.split()) for paragraph in BLANK.split(text)]
            for passage in passages(list(filter(None, paragraphs))):
                yield {"text": passage, "source": about["key"]}
