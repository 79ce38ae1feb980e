"""Data sets: nothing of the test part, nor a near copy of it, is in the training part; the same seed, the same rows."""

import json
import random
import re
import subprocess
import sys
import time
import zipfile
from collections import Counter
from datetime import date

import pytest

from course_lib.errors import CourseError
from course_lib.run import data, licence_texts, licences, mail_pairs, mails, python_docs
from course_lib.run.data import check_name, load
from course_lib.run.dates import DAYS, LOCALES, dates
from course_lib.run.near_copies import near_duplicate_groups, split

WORDS = [
    a + b for a in ("ka", "lo", "mi", "nu", "pe", "ri", "so", "tu") for b in ("bar", "den", "fin", "gol", "hut", "jam")
]


def chat(question, answer=None):
    answer = answer or f"Yes: {question}"
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def asked(row):
    """What the user says last; a plain text."""
    return row["text"] if "text" in row else (row.get("prompt") or row["messages"][:-1])[-1]["content"]


def jaccard(a, b):
    """The definition, written out: share of common word 3-grams."""
    a, b = ({tuple(w[i : i + 3]) for i in range(len(w) - 2)} for w in (a.lower().split(), b.lower().split()))
    return len(a & b) / len(a | b) if a | b else 0.0


def leaks(train, test):
    return sum(any(jaccard(asked(row), asked(other)) > 0.7 for other in train) for row in test)


@pytest.fixture(scope="module")
def families():
    """600 rows: 200 questions of 20 words, each with two near copies that differ in a word at the start or the end."""
    rng, rows = random.Random(0), []
    for _ in range(200):
        words = rng.choices(WORDS, k=20)
        rows += [chat(" ".join(words)), chat(" ".join(["well,", *words])), chat(" ".join([*words[:-1], "please"]))]
    return rows


def test_groups_hold_near_copies_together():
    texts = [
        "This program is free software and you may copy it under the GNU General Public License.",
        "Licensed under the Apache License, Version 2.0.",
        "this program is FREE software and you may copy it under the GNU general public license, version 3",
        "Reset my password",
        "reset my password, please",
        "!!!",
        "Licensed under the Apache License, Version 2.0.",
        "???",
        "",
    ]
    groups = near_duplicate_groups(texts)
    assert groups[0] == groups[2]
    assert groups[1] == groups[6]
    assert groups[3] == groups[4]
    assert len(set(groups)) == 6
    assert near_duplicate_groups([]) == []
    assert len(set(near_duplicate_groups(texts, threshold=0.99))) == 8


def test_groups_join_every_pair_above_the_threshold_and_no_other(families):
    texts = [asked(row) for row in families[:150]]
    groups = near_duplicate_groups(texts)
    for i, one in enumerate(texts):
        for j, other in enumerate(texts):
            assert (groups[i] == groups[j]) == (jaccard(one, other) > 0.7)


@pytest.mark.slow
def test_15_000_short_texts_take_seconds():
    texts = [asked(row) for row in mails.mails(15_000, "train")]
    start = time.process_time()
    near_duplicate_groups(texts)
    seconds = time.process_time() - start
    print(f"\n15,000 texts: {seconds:.1f} s of one core")
    assert seconds < 10


@pytest.mark.slow
def test_split_lets_no_near_copy_cross_and_a_random_split_does(families):
    train, valid, test = split(families, seed=3)
    assert sorted(map(asked, train + valid + test)) == sorted(map(asked, families))
    assert 45 <= len(test) <= 60
    assert 45 <= len(valid) <= 60
    assert leaks(train, test) == leaks(train, valid) == leaks(valid, test) == 0
    shuffled = random.Random(3).sample(families, len(families))
    assert leaks(shuffled[60:], shuffled[:60]) > 30


def test_split_depends_on_the_seed_alone(families):
    assert split(families, 1) == split(families, 1)
    assert split(families, 1) != split(families, 2)
    assert [len(part) for part in split(families, 1, parts=(0.5, 0.2, 0.3))] == [300, 120, 180]


def test_an_instruction_in_every_prompt_is_not_likeness():
    task = "Read the review and say in one word whether the writer liked what was bought there, good or bad. Review: "
    rows = [chat(f"{task}{word} Your answer:") for word in WORDS]
    assert len(set(near_duplicate_groups(list(map(asked, rows))))) == 1
    assert [len(part) for part in split(rows, 0)] == [38, 5, 5]


def test_one_large_group_stays_in_train():
    rows = [chat("where is my parcel and when will it come to my house")] * 50 + [chat(w) for w in WORDS[:10]]
    train, valid, test = split(rows, 0)
    assert len(train) >= 50
    assert len(valid) >= 1
    assert len(test) >= 1
    with pytest.raises(CourseError, match="different question"):
        split(rows[:51], 0)


@pytest.mark.parametrize("name", ["mails", "dates", "mail-pairs"])
def test_generated_sets_are_disjoint_and_repeatable(name):
    one = load(name, seed=1)
    assert one == load(name, seed=1)
    assert one != load(name, seed=2)
    more = load(name, n_train=300, seed=1)
    assert len(more.train) == 300
    assert (more.valid, more.test) == (one.valid, one.test)
    for held_out in (one.valid, one.test):
        assert not [row for row in held_out if row in more.train]
    assert one.name in one.notice
    assert len(one.notice.splitlines()) == 2


def test_sizes_and_kinds_of_answer():
    sets = [load(name) for name in ("mails", "dates", "mail-pairs", "python-docs")]
    assert [(len(s.train), len(s.valid), len(s.test), s.answer) for s in sets] == [
        (96, 16, 48, "json"),
        (400, 16, 48, "text"),
        (96, 16, 48, "pair"),
        (96, 16, 48, "plain"),
    ]


def texts_in(part):
    """Every phrase in a nested table of phrases."""
    if isinstance(part, str):
        return [part]
    return [text for item in (part.values() if isinstance(part, dict) else part) for text in texts_in(item)]


def matches(phrase, text):
    """Whether the phrase, its {slots} filled with anything, is in the text."""
    return re.search(re.sub(r"\\{\w+\\}", ".+", rf"(?<!\w){re.escape(phrase)}(?!\w)"), text, re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mails", "mail-pairs"])
def test_no_phrase_of_the_test_mails_is_in_a_training_mail(name):
    train = [asked(row) for row in load(name, n_train=2_000).train]
    test = [asked(row) for row in load(name).test]
    for table in (mails.ISSUES, mails.WANTS, mails.TEMPLATES, mails.FIRST_NAMES, mails.LAST_NAMES, mails.PRODUCTS):
        phrases = texts_in(table["test"])
        for phrase in phrases:
            assert not [text for text in train if matches(phrase, text)], phrase
        assert any(matches(phrase, text) for phrase in phrases for text in test)  # control: they can be found


def test_mail_pairs_are_right_against_wrong_by_rule():
    rows = mail_pairs.mail_pairs(600, "train")
    ways = Counter()
    for row in rows:
        right, said = json.loads(row["chosen"][0]["content"]), row["rejected"][0]["content"]
        assert [message["role"] for message in row["prompt"] + row["chosen"]] == ["system", "user", "assistant"]
        assert all(right[field] in asked(row) for field in ("name", "order", "product"))
        try:
            wrong = json.loads(said)
        except ValueError:
            ways["around" if row["chosen"][0]["content"] in said else "words"] += 1
            continue
        different = {field for field in right if wrong.get(field) != right[field]}
        assert different
        if wrong.keys() == right.keys():
            (field,) = different
            allowed = {"issue": mails.ISSUES["train"], "wants": mails.WANTS["train"]}.get(field, [wrong[field]])
            assert wrong[field] in allowed
            ways[f"another {field}"] += 1
        else:
            ways["missing" if wrong.keys() < right.keys() else "keys"] += 1
    assert sum(n for way, n in ways.items() if way.startswith("another")) == 200
    assert len([way for way in ways if way.startswith("another")]) == 5
    assert [ways[way] for way in ("missing", "keys", "around", "words")] == [100] * 4
    assert "made by rule, by a program" in mail_pairs.NOTICE


def test_mail_pairs_have_mails_of_their_own():
    learned = {asked(row) for row in load("mails", n_train=300).train}
    pairs = load("mail-pairs", n_train=300)
    assert not learned & {asked(row) for row in pairs.train + pairs.valid + pairs.test}
    assert learned & {asked(row) for row in mails.mails(300, "train")}  # control: with the same seed they would meet


def test_no_test_day_is_in_train():
    found = load("dates", n_train=2_000)
    answers = [{row["messages"][-1]["content"] for row in part} for part in (found.train, found.valid, found.test)]
    assert [len(days) for days in answers] == [2_000, 16, 48]
    assert not answers[0] & answers[2]
    assert not answers[0] & answers[1]
    assert not answers[1] & answers[2]


def test_dates_are_right_and_of_all_locales():
    rows = dates(600, seed=0)
    assert rows[:50] == dates(50, seed=0)
    for row in rows:
        day = date.fromisoformat(row["messages"][-1]["content"])
        assert str(day.year) in asked(row)
        assert re.search(rf"\b0?{day.day}\b", asked(row))
    said = " ".join(map(asked, rows)).lower()
    for month in ("december", "dezember", "décembre", "diciembre", "dicembre", "dezembro"):
        assert month in said
    assert len(LOCALES) == 6
    with pytest.raises(CourseError, match="36,525"):
        dates(DAYS + 1)


def rule(text, **head):
    return "---\n" + "".join(f"{key}: {value}\n" for key, value in head.items()) + f"---\n\n{text}\n"


def prose(n, seed):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=40)) + "." for _ in range(n)]


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A small archive in ScanCode's layout, in place of the 27 MB one."""
    shared = "\n\n".join(prose(6, "shared"))
    own = {f"l{i}": "\n\n".join(prose(4, i)) for i in range(30)}
    files = {
        **{
            f"licenses/{key}.LICENSE": rule(f"Title\n\n{shared}\n\n{text}", key=key, category="x")
            for key, text in own.items()
        },
        "licenses/old.LICENSE": rule("deprecated " * 30, key="old", category="x", is_deprecated="yes"),
        "licenses/fr.LICENSE": rule("une licence " * 30, key="fr", category="x", language="fr"),
        "licenses/mit.LICENSE": rule("MIT text", key="mit", category="Permissive"),
        "licenses/gpl-2.0.LICENSE": rule("GPL text", key="gpl-2.0", category="Copyleft"),
        "licenses/nothing.LICENSE": rule("text", key="nothing", category="Unstated License"),
        "rules/a.RULE": rule(
            "released under the\n  {{MIT}} License", license_expression="mit", is_license_notice="yes"
        ),
        "rules/b.RULE": rule("released under the MIT License", license_expression="mit"),
        "rules/both.RULE": rule("under the MIT or the GPL", license_expression="mit OR gpl-2.0"),
        "rules/short.RULE": rule("MIT License", license_expression="mit"),
        "rules/long.RULE": rule("word " * 61, license_expression="mit"),
        "rules/old.RULE": rule("an old and deprecated rule", license_expression="mit", is_deprecated="yes"),
        "rules/french.RULE": rule("sous la licence MIT, voilà", license_expression="mit", language="fr"),
        "rules/wrong.RULE": rule("this is no licence at all", is_false_positive="yes"),
        "rules/unstated.RULE": rule("see the licence for details", license_expression="nothing"),
        "rules/x.RULE": rule("the same text, two labels", license_expression="mit"),
        "rules/y.RULE": rule("the same text, two labels", license_expression="gpl-2.0"),
        "rules/z.RULE": rule("the same text, two labels", license_expression="mit"),
    }
    for i, word in enumerate(WORDS):
        files[f"rules/{i}.RULE"] = rule(f"{word} {WORDS[-1 - i]} is under GPL {i}", license_expression="gpl-2.0")
    file = tmp_path / "archive.whl"
    with zipfile.ZipFile(file, "w") as out:
        for name, text in files.items():
            out.writestr(f"licensedcode/data/{name}", text)
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(licences, "wheel", lambda name: file)
    monkeypatch.setattr(licence_texts, "wheel", lambda name: file)
    return file


def test_licences_keep_single_known_licences(archive):
    rows = licences.licences()
    assert [(asked(row), row["messages"][-1]["content"]) for row in rows if "GPL" not in asked(row)] == [
        ("released under the MIT License", "permissive")
    ]
    assert len(rows) == 1 + len(WORDS)


def test_licences_are_read_from_the_archive_once(archive):
    rows = licences.licences()
    archive.unlink()
    assert licences.licences() == rows
    found = load("licences", n_train=20)
    assert (len(found.train), found.answer) == (20, "label")
    assert "nexB" in found.notice
    assert not [row for row in found.test + found.valid if row in found.train]


def test_licence_texts_hold_no_licence_and_no_near_copy_in_two_parts(archive):
    rows = licence_texts.licence_texts()
    assert len(rows) == 6 + 30 * 4
    assert {row["source"] for row in rows} == {f"l{i}" for i in range(30)}
    found = load("licence-texts", n_train=1_000)
    source = {row["text"]: row["source"] for row in rows}
    parts = [{source[row["text"]] for row in part} for part in (found.train, found.valid, found.test)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 30
    assert leaks(found.train, found.test) == leaks(found.train, found.valid) == 0
    with zipfile.ZipFile(archive) as opened:  # control: what all licences share would be in every part
        train, _, test = split(
            every := list(licence_texts._passages(opened)), 0, groups=[row["source"] for row in every]
        )
    assert leaks(train, test) > 0
    archive.unlink()
    assert licence_texts.licence_texts() == rows, "kept"
    assert load("licence-texts", seed=1) != load("licence-texts", seed=2)
    assert "CC-BY-4.0" in found.notice


@pytest.mark.slow
def test_the_real_licence_texts_are_fast_and_hold_no_near_copy():
    licence_texts.licence_texts()
    start = time.process_time()
    found = load("licence-texts", n_train=2_000)
    assert time.process_time() - start < 2
    assert (len(found.train), len(found.valid), len(found.test)) == (2_000, 16, 48)
    texts = [row["text"] for row in found.train + found.valid + found.test]
    assert len(set(near_duplicate_groups(texts))) == 2_064


@pytest.mark.slow
def test_python_docs_are_prose_without_markup_and_split_by_topic():
    rows = python_docs.python_docs()
    assert len(rows) > 500
    assert all(150 <= len(row["text"]) <= 1_150 for row in rows)
    assert not [row["text"] for row in rows if re.search(r"^[*=~-]{4,}$|::=|\w- \w+ed\b", row["text"], re.MULTILINE)]
    found, source = load("python-docs", n_train=1_000), {row["text"]: row["source"] for row in rows}
    parts = [{source[row["text"]] for row in part} for part in (found.train, found.valid, found.test)]
    assert not parts[0] & parts[2]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]
    assert len(set(near_duplicate_groups(list(source)))) == len(rows)
    assert "PSF-2.0" in found.notice
    assert load("python-docs") == load("python-docs", seed=0) != load("python-docs", seed=1)


def test_markup_of_the_python_docs_goes():
    prose = 'The "if" *statement*\n*****\n\nIt is a pre-\ncomputed **test** of 2 * 3 * 4, f(*args, **kwargs).'
    text = f"{prose}\n\n   x ::= y\n\n   a = 1\n   b = 2\n"
    assert python_docs._plain(text) == [
        'The "if" statement',
        "It is a pre-computed test of 2 * 3 * 4, f(*args, **kwargs).",
        "a = 1\nb = 2",
    ]


def test_a_python_without_its_documentation_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data", None)
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(CourseError, match="came without pydoc_data"):
        load("python-docs")


@pytest.mark.parametrize(
    ("name", "form", "said"),
    [
        ("mails", "pair", "mails holds chats, not preference pairs: name a file of preference pairs, or mail-pairs."),
        (
            "dates",
            "plain",
            "dates holds chats, not plain texts: name a file of plain texts, or licence-texts or python-docs.",
        ),
        (
            "mail-pairs",
            "chat",
            "mail-pairs holds preference pairs, not chats: name a file of chats, or mails, dates or licences.",
        ),
        ("mail", "pair", "There is no data set and no file 'mail': name a file, or one of mail-pairs."),
        ("mails", "text", "form is 'text'; choose one of chat, pair, plain."),
    ],
)
def test_a_set_of_another_form_is_refused(name, form, said):
    for refuse in (check_name, lambda name, form: load(name, form=form)):
        with pytest.raises(CourseError) as error:
            refuse(name, form)
        assert str(error.value) == said


def test_names_and_files_of_the_right_form_pass(tmp_path, monkeypatch):
    check_name("mails")
    check_name("mail-pairs", "pair")
    check_name("python-docs", "plain")
    file = own(tmp_path, [chat("a")])
    check_name(file)
    with pytest.raises(CourseError, match=r"^mine\.jsonl holds chats; plain texts need text\.$"):
        check_name(file, "plain")
    check_name(own(tmp_path, [{"a": 1}]), "plain")  # what is wrong with it is for `load` to say
    monkeypatch.setitem(data.NAMED, "pair", {"mails": None})
    check_name("mails", "pair")  # control: the table decides


def own(tmp_path, rows, name="mine.jsonl"):
    file = tmp_path / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_own_file_is_split_and_says_so(tmp_path, families):
    file = own(tmp_path, families)
    found = load(file)
    assert found == load(str(file))
    assert len(found.train + found.valid + found.test) == 600
    assert leaks(found.train, found.test) == 0
    assert found.notice.startswith("mine.jsonl: 600 rows of your own.")
    assert len(load(file, n_train=7).train) == 7


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (['{"a": 1}', '{"b": 2}'], "json"),
        (["good", "bad"], "label"),
        ([f"a longer answer, number {i}, that never comes again" for i in range(40)], "text"),
        (['["a"]', "5"], "label"),
    ],
)
def test_own_file_kind_of_answer(answers, kind, tmp_path):
    rows = [
        chat(f"{a} {b}", answers[i % len(answers)]) for i, (a, b) in enumerate(zip(WORDS, WORDS[::-1], strict=True))
    ]
    assert load(own(tmp_path, rows[:40])).answer == kind


def test_own_file_with_bad_rows_stops_or_drops(tmp_path):
    rows = [chat(f"{a} {b}") for a, b in zip(WORDS, WORDS[::-1], strict=True)]
    bad = chat("a question") | {"messages": [{"role": "secret " * 99, "content": "a"}]}
    file = own(tmp_path, [*rows[:20], bad, *rows[20:], None])
    with pytest.raises(CourseError) as error:
        load(file)
    message = str(error.value)
    assert "2 of 50 rows" in message
    assert "mine.jsonl:21 messages.0.role: is 'secret" in message
    assert 'on_reject="drop"' in message
    written = tmp_path / "mine.jsonl.rejects.jsonl"
    assert str(written) in message
    assert [json.loads(text)["line"] for text in written.read_text().splitlines()] == [21, 50]
    assert len(message) < 600
    found = load(file, on_reject="drop")
    assert len(found.train + found.valid + found.test) == 48
    assert "2 rejected rows left out" in found.notice


def test_bad_rows_are_named_even_when_their_file_cannot_be_written(tmp_path, monkeypatch):
    file = own(tmp_path, [None])
    monkeypatch.setattr(data, "write_rejects", lambda rows: (_ for _ in ()).throw(CourseError("No room.")))
    with pytest.raises(CourseError, match=r"1 of 1 rows .* mine.jsonl:1: is null.*; No room\): fix"):
        load(file)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name_or_path": "mail"}, "name a file, or one of mails, dates, licences"),
        ({"name_or_path": "nothing.csv"}, "no file 'nothing.csv'"),
        ({"name_or_path": "mails", "n_train": 0}, "at least 1"),
        ({"name_or_path": "mails", "on_reject": "skip"}, '"stop" or "drop"'),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, words):
    with pytest.raises(CourseError) as error:
        load(**arguments)
    assert words in str(error.value)


def test_too_few_rows(tmp_path):
    with pytest.raises(CourseError, match=r"has 9 good rows, too few .* at least 10 .* 100 or more"):
        load(own(tmp_path, [chat(word) for word in WORDS[:9]]))
    assert len(load(own(tmp_path, [chat(word) for word in WORDS[:10]])).test) == 1


def test_importing_data_loads_no_torch():
    code = (
        "import sys, course_lib.run.data as data; data.load('mails'); data.load('dates');"
        "print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
