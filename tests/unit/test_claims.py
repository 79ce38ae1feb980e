"""The claims ledger: every claim a quotation and somebody's to measure; findings checked, stored and shown as stored."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

import course_lib as course
from course_lib import CourseError
from course_lib.choose import guides
from course_lib.choose.guides import GUIDES
from course_lib.cli import app
from course_lib.prove import claims_store
from course_lib.prove.claims import OPEN, Finding, all_claims, as_dicts, claims
from course_lib.prove.claims_ledger import LEDGER, Claim, chosen, ledger
from course_lib.prove.claims_store import KeptFinding, store, stored
from course_lib.prove.scores import Score

ROOT = Path(__file__).parents[2]
PAGES = {page.name[:3]: page for page in sorted(ROOT.glob("notebooks/*/[1-3][0-9][0-9]_*.py"))}
BEGINNER = sorted({claim.lesson for claim in ledger() if claim.lesson.startswith("1")})
LESSON = "104"
OWN = [claim.id for claim in ledger() if claim.lesson == LESSON and not claim.untestable]
SCORE = Score(0.75, 0.5, 0.875, 24)


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """The folder that findings are written into and read from, on a machine that has a name."""
    monkeypatch.setattr(claims_store, "FOLDER", tmp_path)
    monkeypatch.setenv("COURSE_CLAIMS", str(tmp_path))
    monkeypatch.setattr("course_lib.run.here.machine", lambda: "a machine, 2 cores")
    monkeypatch.setenv("COURSE_PROFILE", "cpu")
    return tmp_path


def findings(**changed):
    return {name: Finding("seen", "holds") for name in OWN} | changed


def fault(call, *args, **kwargs) -> str:
    """The one sentence that a call stops with."""
    with pytest.raises(CourseError) as stop:
        call(*args, **kwargs)
    assert "\n" not in str(stop.value)
    assert str(stop.value).endswith(".")
    return str(stop.value)


# --- the list


def test_the_ledger_holds_every_guide_and_no_claim_twice():
    assert len(ledger()) >= 60
    assert {claim.guide for claim in ledger()} == set(GUIDES)
    said = [(claim.guide, claim.place, claim.says) for claim in ledger()]
    assert len(set(said)) == len(said)
    assert not [claim.id for claim in ledger() if claim.untestable.endswith(".")], "a table writes them on"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "module9.single.lora"', 'id = "module9.single.qlora"', "two claims are called module9.single.qlora"),
        ('guide = "module9"', 'guide = "module8"', "must be one of module9, lesson4"),
        ('lesson = "102"', 'lesson = "108"', "must be one of 100 to 107"),
        ('id = "module9.single.lora"', 'name = "module9.single.lora"', "id = "),
        ('says = "', 'says = ""  # "', "says = ''"),
        ("[[claim]]", "[[claim", "claims.toml is damaged"),
    ],
)
def test_a_damaged_ledger_is_refused(tmp_path, old, new, words):
    bad = tmp_path / "claims.toml"
    bad.write_text(LEDGER.read_text("utf-8"), "utf-8")
    assert ledger(bad) == ledger()
    other = tmp_path / "other" / "claims.toml"
    other.parent.mkdir()
    other.write_text(LEDGER.read_text("utf-8").replace(old, new, 1), "utf-8")
    assert words in fault(ledger, other)


def test_a_missing_ledger_is_refused(tmp_path):
    assert "No such file" in fault(ledger, tmp_path / "claims.toml")


# --- the quotations: the guides are not in the repository, but what the rules quote is

# Not quoted by the rules, so compared with the guides by hand; an edit changes the digest, and they have to be compared again.
BY_HAND = "36c240d93c397fda7c5ae121ecf89a37bc39aae80ffa4073c6a26e151e9c03e2"


@cache
def cells(guide: str) -> set[str]:
    """Every cell of a guide's tables as the ledger writes it, and every row of a table that compares two."""
    found = set()
    for table in GUIDES[guide].TABLES.values():
        for first, *rest in table.rows:
            named = [f"{name}: {cell}" for name, cell in zip(table.columns[1:], rest, strict=True)]
            found |= {f"{first}: {words}" for words in (*named, "; ".join(named))}
    return found


@cache
def quoted(guide: str) -> str:
    """Every string in the modules of a guide, without Markdown."""
    files = sorted(Path(guides.__file__).parent.glob(f"{guide}*.py"))
    files += [Path(guides.__file__).parent / "scenarios.py"] if guide == "selector" else []
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    strings = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join(strings).replace("**", "")


def not_quoted(listed) -> list[Claim]:
    known = {guide: (cells(guide), quoted(guide)) for guide in GUIDES}
    return [
        claim for claim in listed if claim.says not in known[claim.guide][0] and claim.says not in known[claim.guide][1]
    ]


def test_quotations_are_those_of_the_rules_or_were_compared_by_hand():
    left = not_quoted(ledger())
    assert len(left) < len(ledger()) / 3
    assert hashlib.sha256("\n".join(f"{one.guide} {one.says}" for one in left).encode()).hexdigest() == BY_HAND


def test_a_changed_quotation_is_noticed():
    for name in ("overview.lora.share", "overview.table.lora.quality", "selector.table.storage", "lesson4.tree.8-16"):
        claim = next(one for one in ledger() if one.id == name)
        assert not not_quoted([claim])
        assert not_quoted([claim.model_copy(update={"says": claim.says.replace("o", "0", 1)})])


# --- findings


@pytest.mark.parametrize(
    ("bound", "at_least", "at_most"),
    [
        (0.4, "holds", "not here"),
        (0.5, "holds", "partly"),
        (0.7, "partly", "partly"),
        (0.875, "partly", "holds"),
        (0.9, "not here", "holds"),
    ],
)
def test_a_verdict_from_an_interval(bound, at_least, at_most):
    assert Finding.at_least(SCORE, bound).verdict == at_least
    assert Finding.at_most(SCORE, bound).verdict == at_most


def test_a_finding_that_says_nothing_is_refused():
    assert "holds or partly or not here" in fault(Finding, "seen", "true")
    assert "words or a Score" in fault(Finding, 0.75, "holds")
    assert "words or a Score" in fault(Finding, " ", "holds")
    assert "at least 1" in fault(Finding, "seen", "holds", 0)
    assert "no number" in fault(Finding.at_least, Score(float("nan"), float("nan"), float("nan"), 3), 0.5)
    assert "no number" in fault(Finding.at_most, Score(0.1, 0.0, float("nan"), 3), 0.5)


# --- a lesson's table


def test_a_lesson_shows_the_guides_words_beside_its_own():
    table = course.claims(LESSON, findings(**{OWN[0]: Finding(SCORE, "partly", of="right")}))
    assert table.columns == ("claim", "guide", "measured here", "verdict")
    first = next(claim for claim in ledger() if claim.id == OWN[0])
    where = f"{first.guide}: {first.place}"
    assert table.rows[0] == (f"“{first.says}”", where, "right: 0.75 [0.50, 0.88], n = 24", "partly")
    assert table.rows[1][2:] == ("seen", "holds")
    assert len(table.rows) == len(OWN)
    assert claims(104, findings()).rows == claims(LESSON, findings()).rows


def test_what_cannot_be_tested_comes_last_with_its_reason():
    lesson = next(claim.lesson for claim in ledger() if claim.untestable)
    own = chosen(lesson)
    table = claims(lesson, {one.id: Finding("seen", "holds") for one in own if not one.untestable})
    reasons = [f"untestable: {one.untestable}" for one in own if one.untestable]
    assert [row[3] for row in table.rows[-len(reasons) :]] == reasons
    assert all(row[3] == "holds" for row in table.rows[: -len(reasons)])


def test_findings_and_claims_must_match():
    assert "no claim 'overview.lora.shares'" in fault(claims, LESSON, findings(**{"overview.lora.shares": SCORE}))
    one_less = findings()
    del one_less[OWN[0]]
    assert OWN[0] in fault(claims, LESSON, one_less)
    assert OWN[0] in fault(claims, LESSON, findings(**{OWN[0]: SCORE}))
    assert "choose from 101" in fault(claims, "108", {})
    untestable = next(claim for claim in ledger() if claim.untestable)
    rest = {one.id: Finding("seen", "holds") for one in chosen(untestable.lesson)}
    assert untestable.id in fault(claims, untestable.lesson, rest)


# --- stored and shown as stored


def test_a_build_stores_what_a_lesson_found(shelf):
    claims(
        LESSON, findings(**{OWN[0]: Finding(SCORE, "partly", of="right"), OWN[1]: Finding("x", "not here", 7)}), seed=3
    )
    assert [file.name for file in shelf.iterdir()] == ["104.json"]
    kept = stored()[LESSON]
    assert kept.findings[OWN[0]] == KeptFinding(
        measured="right: 0.75 [0.50, 0.88]", verdict="partly", value=0.75, low=0.5, high=0.875, n=24
    )
    assert kept.findings[OWN[1]] == KeptFinding(measured="x", verdict="not here", n=7)
    assert list(kept.findings) == OWN
    assert (kept.machine, kept.profile, kept.seed) == ("a machine, 2 cores", "cpu", 3)
    assert kept.versions["torch"]
    table = all_claims(LESSON)
    assert table.rows[0][2:] == ("104", "right: 0.75 [0.50, 0.88], n = 24", "partly")
    assert (
        f"{len(OWN)} claims: holds {len(OWN) - 2}, partly 1, not here 1. Measured on a machine, 2 cores; "
        in table.caption
    )
    assert f"{kept.date:%B %Y}" in table.caption


def test_a_second_build_replaces_the_first(shelf):
    claims(LESSON, findings())
    claims(LESSON, findings(**{OWN[0]: Finding("again", "partly")}))
    assert stored()[LESSON].findings[OWN[0]].measured == "again"
    assert len(list(shelf.iterdir())) == 1


def test_a_reader_stores_nothing(shelf, monkeypatch):
    monkeypatch.delenv("COURSE_CLAIMS")
    claims(LESSON, findings())
    assert list(shelf.iterdir()) == []
    table = all_claims()
    assert len(table.rows) == len(ledger())
    assert {row[4] for row in table.rows if not row[4].startswith("untestable: ")} == {OPEN}
    assert "None of them has a stored measurement." in table.caption


def test_a_folder_that_cannot_be_written(shelf, monkeypatch):
    (shelf / "file").touch()
    monkeypatch.setenv("COURSE_CLAIMS", str(shelf / "file"))
    assert "could not be written" in fault(claims, LESSON, findings())


def test_damaged_findings_are_refused(shelf):
    claims(LESSON, findings())
    whole = (shelf / "104.json").read_text("utf-8")
    assert len(stored()) == 1
    for broken in (whole[:-20], whole.replace('"holds"', '"true"', 1), whole.replace('"seen"', '""', 1)):
        (shelf / "104.json").write_text(broken, "utf-8")
        assert "104.json are damaged" in fault(all_claims)
    (shelf / "104.json").unlink()
    (shelf / "105.json").write_text(whole, "utf-8")
    assert "it is of lesson 104" in fault(all_claims)


# --- from a terminal


def run(*arguments) -> str:
    result = CliRunner().invoke(app, ["claims", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_terminal_prints_the_table_or_json(shelf):
    claims(LESSON, findings(**{OWN[0]: Finding(SCORE, "partly")}))
    assert str(all_claims("104")) in run("--lesson", "104")
    assert str(all_claims(guide="module9")) in run("--guide", "module9")
    assert json.loads(run("--json")) == as_dicts()
    plain = {one["id"]: one for one in as_dicts()}
    assert len(plain) == len(ledger())
    assert plain[OWN[0]]["low"] == 0.5
    assert plain[OWN[0]]["machine"] == "a machine, 2 cores"
    assert plain["lesson4.data.under-100"]["verdict"] == OPEN
    assert plain["module9.final.users"]["verdict"] == "untestable"


def test_what_there_is_not_is_answered_with_the_choices():
    assert "choose from module9, lesson4, overview, practices, selector" in fault(run, "--guide", "module8")
    assert "choose from 101" in fault(run, "--lesson", "100")
    assert "of selector: choose from 102" in fault(run, "--lesson", "101", "--guide", "selector")


# --- the pages


def silent(pages: dict[str, Path]) -> list[str]:
    """The lessons that own claims and whose page does not show them."""
    owners = {claim.lesson for claim in ledger()}
    return [
        number
        for number, page in pages.items()
        if number in owners and f'course.claims("{number}"' not in page.read_text("utf-8")
    ]


def test_every_page_shows_the_claims_of_its_lesson():
    assert silent(PAGES) == []


def test_a_page_that_does_not_is_noticed(tmp_path):
    (tmp_path / "104_lora.py").write_text('course.claims("105", {})', "utf-8")
    assert silent({"104": tmp_path / "104_lora.py"}) == ["104"]


def unmatched() -> dict[str, list[str]]:
    """Lesson -> the ids that are stored without a testable claim, or the other way round."""
    wanted = {
        number: {claim.id for claim in ledger() if claim.lesson == number and not claim.untestable}
        for number in stored()
    }
    return {number: sorted(wanted[number] ^ set(kept.findings)) for number, kept in stored().items()}


def test_stored_findings_are_those_of_the_testable_claims():
    assert not {number: names for number, names in unmatched().items() if names}
    assert [number for number in BEGINNER if number not in stored()] == [], "build these pages"


def test_a_stored_finding_too_many_or_too_few_is_noticed(shelf):
    claims(LESSON, findings())
    assert unmatched() == {LESSON: []}
    store(LESSON, {OWN[0]: KeptFinding(measured="seen", verdict="holds")}, shelf)
    assert unmatched() == {LESSON: sorted(OWN[1:])}


@pytest.mark.slow  # starts kernels
@pytest.mark.parametrize(
    ("kind", "code", "left"),
    [
        ("notebooks", "", ["104.json"]),
        ("notebooks", "1 / 0", []),
        ("solutions", "### BEGIN SOLUTION\nanswer = 4\n### END SOLUTION", []),
    ],
)
def test_only_a_lesson_that_was_built_whole_leaves_its_findings(tmp_path, kind, code, left):
    from course_lib.authoring import build

    (tmp_path / "pyproject.toml").write_text("[project]\n")
    source = tmp_path / kind / "beginner" / "104_lora.py"
    source.parent.mkdir(parents=True)
    write = 'import os\nfrom pathlib import Path\nPath(os.environ["COURSE_CLAIMS"], "104.json").write_text("{}")\n'
    source.write_text(f"# %% [markdown]\n# # 104 · LoRA\n\n# %%\n{write}{code}\n")
    if code == "1 / 0":
        with pytest.raises(CourseError, match="ZeroDivisionError"):
            build.build(source, tmp_path)
    else:
        build.build(source, tmp_path)
    assert [file.name for file in (tmp_path / build.CLAIMS).glob("*")] == left
