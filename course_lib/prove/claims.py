"""The guides' claims beside what the lessons found on them; `claims_ledger` lists the claims, `claims_store` keeps findings."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from course_lib.errors import CourseError
from course_lib.prove.claims_ledger import Claim, chosen
from course_lib.prove.claims_store import KeptFinding, KeptLesson, Verdict, store, stored
from course_lib.prove.scores import Score
from course_lib.prove.tables import Table
from course_lib.said import clip

VERDICTS: tuple[str, ...] = get_args(Verdict)
UNTESTABLE, OPEN = "untestable", "not measured yet"


@dataclass(frozen=True)
class Finding:
    """What a lesson found on a claim.

    measured: words, or a Score, whose text, interval and n are taken. of: what a Score is a score of, for the reader.
    n: rows or runs behind words that have any.
    """

    measured: str | Score
    verdict: Verdict
    n: int | None = None
    of: str = ""

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise CourseError(f"A finding's verdict is {clip(repr(self.verdict), 60)}: give {' or '.join(VERDICTS)}.")
        if not isinstance(self.measured, Score) and not (isinstance(self.measured, str) and self.measured.strip()):
            raise CourseError(f"A finding is {clip(repr(self.measured), 60)}: give words or a Score.")
        if self.n is not None and self.n < 1:
            raise CourseError(f"A finding over {self.n} rows is none: give n of at least 1, or leave it out.")

    @classmethod
    def at_least(cls, score: Score, bound: float, of: str = "") -> "Finding":
        """holds: the whole interval is at or above the bound; not here: it is wholly below; else partly.

        Raises:
            CourseError: the score is no number.
        """
        return cls(score, _verdict_of(score, score.low >= bound, score.high < bound), of=of)

    @classmethod
    def at_most(cls, score: Score, bound: float, of: str = "") -> "Finding":
        """holds: the whole interval is at or below the bound; not here: it is wholly above; else partly.

        Raises:
            CourseError: the score is no number.
        """
        return cls(score, _verdict_of(score, score.high <= bound, score.low > bound), of=of)

    def kept(self) -> KeptFinding:
        """As it is stored."""
        if isinstance(self.measured, str):
            return KeptFinding(measured=self.measured, verdict=self.verdict, n=self.n)
        s, words = self.measured, f"{self.of}: {self.measured}" if self.of else str(self.measured)
        finite = {k: float(v) for k, v in (("value", s.value), ("low", s.low), ("high", s.high)) if math.isfinite(v)}
        return KeptFinding(measured=words, verdict=self.verdict, n=int(self.n or s.n), **finite)


def _verdict_of(score: Score, inside: bool, outside: bool) -> Verdict:
    if math.isnan(score.low) or math.isnan(score.high):
        raise CourseError(f"The score {score} is no number: look for a run that failed before you judge a claim by it.")
    return "holds" if inside else "not here" if outside else "partly"


def claims(lesson: str, findings: Mapping[str, Finding], seed: int | None = None) -> Table:
    """A lesson's claims beside what its page found, those that cannot be tested last.

    While pages are built, COURSE_CLAIMS names a folder in which this is stored. seed: of the runs behind it, if there was one.

    Raises:
        CourseError: a finding is of no testable claim of this lesson, or one of these has none.
    """
    own = sorted(chosen(lesson), key=lambda claim: bool(claim.untestable))
    lesson, testable = own[0].lesson, [claim.id for claim in own if not claim.untestable]
    if strange := [name for name in findings if name not in testable]:
        raise CourseError(f"Lesson {lesson} measures no claim {strange[0]!r}: its claims are {', '.join(testable)}.")
    if missing := [name for name in testable if not isinstance(findings.get(name), Finding)]:
        raise CourseError(f"Lesson {lesson} has no finding on {', '.join(missing)}: give a Finding for each.")
    kept = {name: findings[name].kept() for name in testable}
    if folder := os.environ.get("COURSE_CLAIMS"):
        store(lesson, kept, Path(folder), seed)
    rows = [(*_who(claim), *_found(claim, kept.get(claim.id))) for claim in own]
    return Table(("claim", "guide", "measured here", "verdict"), tuple(rows))


def all_claims(lesson: str | None = None, guide: str | None = None) -> Table:
    """Every claim beside what is stored on it; of one lesson or one guide if so asked.

    Raises:
        CourseError: there is no such guide, no claim of such a lesson, or a stored file is damaged.
    """
    kept, rows, verdicts = stored(), [], []
    asked = chosen(lesson, guide)
    for claim in asked:
        finding = _finding(claim, kept)
        rows.append((*_who(claim), claim.lesson, *_found(claim, finding)))
        verdicts.append(_verdict(claim, finding))
    counts = ", ".join(f"{name} {verdicts.count(name)}" for name in (*VERDICTS, UNTESTABLE, OPEN) if name in verdicts)
    lessons = {claim.lesson for claim in asked}
    where = _where(found for number, found in kept.items() if number in lessons)
    return Table(
        ("claim", "guide", "lesson", "measured", "verdict"), tuple(rows), f"{len(asked)} claims: {counts}. {where}"
    )


def as_dicts(lesson: str | None = None, guide: str | None = None) -> list[dict]:
    """What `all_claims` shows, as plain data; beside a finding stand its machine, versions, date, profile and seed.

    Raises:
        CourseError: as `all_claims`.
    """
    out, kept = [], stored()
    for claim in chosen(lesson, guide):
        finding = _finding(claim, kept)
        out.append(claim.model_dump(exclude_defaults=True) | {"verdict": _verdict(claim, finding)})
        if finding:
            page = kept[claim.lesson].model_dump(mode="json", exclude_none=True, exclude={"form", "lesson", "findings"})
            out[-1] |= finding.model_dump(exclude_none=True) | page
    return out


def _finding(claim: Claim, kept: Mapping[str, KeptLesson]) -> KeptFinding | None:
    lesson = kept.get(claim.lesson)
    return lesson.findings.get(claim.id) if lesson and not claim.untestable else None


def _verdict(claim: Claim, finding: KeptFinding | None) -> str:
    return UNTESTABLE if claim.untestable else finding.verdict if finding else OPEN


def _who(claim: Claim) -> tuple[str, str]:
    return f"“{claim.says}”", f"{claim.guide}: {claim.place}"


def _found(claim: Claim, finding: KeptFinding | None) -> tuple[str, str]:
    """The cells of what was measured and of the verdict."""
    verdict = _verdict(claim, finding)
    if finding is None:
        return "", f"{verdict}: {claim.untestable}" if claim.untestable else verdict
    return finding.measured + (f", n = {finding.n}" if finding.n else ""), verdict


def _where(found: Iterable[KeptLesson]) -> str:
    found = list(found)
    if not found:
        return "None of them has a stored measurement."
    days = sorted({one.date for one in found})
    first, last = (f"{day.day} {day:%B %Y}" for day in (days[0], days[-1]))
    machines = "; ".join(dict.fromkeys(one.machine for one in found))
    return f"Measured on {machines}; {first if first == last else f'{first} to {last}'}."
