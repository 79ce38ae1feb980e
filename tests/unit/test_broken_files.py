"""Ten kinds of broken files: each gets its own sentence, which names the file and says what to do; and the sound sample."""

import csv
import io
import json
import re

import pytest

from course_lib.authoring.orders import orders
from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run import train as train_module
from course_lib.run.data import load
from course_lib.run.near_copies import groups_of
from course_lib.run.rows import read
from course_lib.run.samples import sample

SAMPLE = sample("orders.csv")
SOUND = list({row["prompt"].removesuffix(" Bye!"): row for row in csv.DictReader(io.StringIO(orders(n=65)))}.values())
LINE = 17  # of the long row


def table(rows, columns=("prompt", "completion")):
    """The text of a CSV file."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *[[row[name] for name in columns] for row in rows]])
    return out.getvalue()


def chats(rows, user="human", assistant="gpt"):
    """The text of a JSON Lines file of chats, with roles that other formats have."""
    pairs = [((user, row["prompt"]), (assistant, row["completion"])) for row in rows]
    lines = [{"messages": [{"role": role, "content": text} for role, text in pair]} for pair in pairs]
    return "".join(json.dumps(line) + "\n" for line in lines)


UMLAUTS = [row | {"prompt": f"{row['prompt']} Schöne Grüße!"} for row in SOUND]
TOO_LONG = [row | {"prompt": row["prompt"] * (40 if n == LINE else 1)} for n, row in enumerate(SOUND, 2)]

# file name -> (its content, what its sentence says is wrong, what to do)
BROKEN = {
    "latin.csv": (table(UMLAUTS).encode("latin-1"), "probably Latin-1", "save the file once more as UTF-8"),
    "wide.csv": (table(UMLAUTS).encode("utf-16"), "is text in UTF-16", "save them as CSV or JSON Lines in UTF-8"),
    "empty.csv": (b"", "is empty", "put one example on each line"),
    "column.csv": (table(SOUND, ["prompt"]).encode(), "its first line is 'prompt'", "add a column completion"),
    "roles.jsonl": (chats(SOUND).encode(), "60 of 60 rows cannot be used", "rename the roles"),
    "copies.csv": (table(SOUND[:4] * 15).encode(), "hold only 4 that differ", "replace the copies"),
    "long.csv": (
        table(TOO_LONG).encode(),
        f"1 of 48 rows are longer than max_len = 600 tokens (the longest, long.csv:{LINE}, has",
        "shorten these rows",
    ),
    "leak.csv": (table(SOUND).encode(), "2 of 60 rows of leak.csv are copies", "remove them from leak.csv"),
    "one.csv": (
        table([row | {"completion": "yes"} for row in SOUND]).encode(),
        "the same answer, 'yes'",
        "add rows with other",
    ),
    "three.csv": (table(SOUND[:3]).encode(), "has 3 good rows", "add rows"),
    "book.csv": (b"PK\x03\x04" + bytes(range(256)) * 9, "is an Excel workbook", "save them as CSV"),
}


def written(folder, name, content):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """Test rows, two of which are known from SOUND: one word for word, one but for a word."""
    rows = list(csv.DictReader(io.StringIO(orders(seed=1))))[:10]
    near = SOUND[7] | {"prompt": f"{SOUND[7]['prompt']} Bye!"}
    return written(tmp_path_factory.mktemp("held"), "held.csv", table([*rows[:4], near, *rows[4:], SOUND[20]]))


def use(file, test, model):
    """What a reader does with a file; what only tokens show is found by `train`."""
    load(file, test=test)
    train_module.train(Plan(model=str(model), data=str(file), max_len=600), folder=file.parent / "run")


@pytest.fixture(scope="module")
def said(tmp_path_factory, held, tiny):
    """File name -> what a reader is told of it, before any model is loaded."""
    folder, told = tmp_path_factory.mktemp("broken"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "prepare", lambda *_: pytest.fail("the model was loaded first"))
        for name, (content, *_) in BROKEN.items():
            file = written(folder, name, content)
            with pytest.raises(CourseError) as error:
                use(file, held if name == "leak.csv" else None, tiny)
            told[name] = str(error.value)
    return told


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_sentence_that_says_what_to_do(said, name):
    _, wrong, do = BROKEN[name]
    sentence = said[name]
    assert wrong in sentence
    assert do in sentence
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert not re.search(r"[.!?] [A-Z]|Error|Exception|Traceback|errno", sentence), "one sentence, and no class of ours"
    assert len(sentence) < 420
    assert name in sentence


def test_the_sentences_differ(said):
    assert len(set(said.values())) == len(BROKEN) == 11  # ten kinds, wrong encodings being two files


def test_control_the_same_rows_unbroken_are_sound(tmp_path, held):
    for name, content in (
        ("latin.csv", table(UMLAUTS)),
        ("roles.jsonl", chats(SOUND, "user", "assistant")),
        ("plain.csv", table(SOUND)),
    ):
        found = load(written(tmp_path, name, content))
        assert len(found.train + found.valid + found.test) == 60
    clean = [row for n, row in enumerate(SOUND) if n not in (7, 20)]
    assert len(load(written(tmp_path, "clean.csv", table(clean)), test=held).test) == 12


# The sample


def test_the_sample_is_what_its_script_makes():
    assert SAMPLE.read_text(encoding="utf-8") == orders()
    assert orders(seed=108) != orders()


def test_the_sample_loads_and_its_copies_are_told():
    found = load(SAMPLE)
    assert [len(part) for part in (found.train, found.valid, found.test)] == [128, 16, 16]
    assert found.answer == "text"
    assert "5 of 160 rows are copies or near copies of others (3 word for word)" in found.notice
    assert "on_reject" not in found.notice
    assert not read(SAMPLE).rejects


def test_a_list_has_what_its_note_asks_for():
    counts, copied = set(), []
    for row in csv.DictReader(io.StringIO(orders(n=600))):
        items = row["completion"].split("; ")
        counts.add(len(items))
        for item in items:
            amount, _, good = item.partition(" ")
            assert re.fullmatch(r"[\d.]+", amount)
            assert re.sub(r"^(kg|g|l|ml|(pack|bottle|jar|tin)s?) ", "", good) in row["prompt"]
        copied.append(row["completion"] in row["prompt"])
    assert sum(copied) < 60, "copying a part of the note is no way to do it"
    assert counts == {1, 2, 3}


# What `load` says of files that are not refused


def test_copies_are_counted_and_stay_together(tmp_path):
    twice = [*SOUND[:12], *SOUND[:10], *[row | {"prompt": f"{row['prompt']} Bye!"} for row in SOUND[10:12]]]
    different = len(set(groups_of(read(written(tmp_path, "once.csv", table(SOUND[:12]))).rows)))
    assert different == 12
    found = load(written(tmp_path, "twice.csv", table(twice)))
    assert "12 of 24 rows are copies or near copies of others (10 word for word)" in found.notice
    parts = [
        {row["messages"][0]["content"].removesuffix(" Bye!") for row in part}
        for part in (found.train, found.valid, found.test)
    ]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 12
    assert "copies" not in load(tmp_path / "once.csv").notice


def test_a_test_file_takes_the_place_of_the_test_rows_and_of_nothing_else(tmp_path):
    file = written(tmp_path, "mine.csv", table(SOUND))
    rows = list(csv.DictReader(io.StringIO(orders(seed=1))))[:12]
    found, alone = load(file, test=written(tmp_path, "held.csv", table(rows))), load(file)
    assert [row["messages"][0]["content"] for row in found.test] == [row["prompt"] for row in rows]
    assert (found.train, found.valid) == (alone.train, alone.valid), "`train` knows the first file alone"
    assert "Test: 12 rows of held.csv" in found.notice


def test_a_leak_names_the_first_line_in_both_files(said):
    assert "(the first: leak.csv:9, like held.csv:6)" in said["leak.csv"]


def test_a_test_file_that_cannot_be_one(tmp_path):
    file = written(tmp_path, "mine.csv", table(SOUND))
    for name, test, words in (
        ("mails", file, "mails has its own test rows"),
        (file, file, "60 of 60 rows of mine.csv are copies or near copies of test rows of mine.csv"),
        (file, written(tmp_path, "texts.csv", "text\nhello\n"), "holds plain texts; chats need messages"),
        (file, written(tmp_path, "none.csv", "prompt,completion\n\n"), "none.csv has no good row to test on"),
        (file, written(tmp_path, "bad.csv", "prompt,completion\na,\n"), "1 of 1 rows cannot be used"),
        (file, tmp_path / "nothing.csv", "There is no file"),
    ):
        with pytest.raises(CourseError, match=re.escape(words)):
            load(name, test=test)


def test_few_lines_that_are_not_utf8_are_rejects_and_many_are_a_wrong_encoding(tmp_path):
    good, bad = table(UMLAUTS[:20]).encode(), table(UMLAUTS[20:40]).encode("latin-1").partition(b"\n")[2]
    found = read(written(tmp_path, "some.csv", good + b"".join(bad.splitlines(True)[:19])))
    assert len(found.rejects) == 19
    assert {reject.kind for reject in found.rejects} == {"not UTF-8"}
    with pytest.raises(
        CourseError, match=r"of 39 lines with letters such as é or ü, 20 cannot be read, the first .* line 21"
    ):
        read(written(tmp_path, "most.csv", b"".join(good.splitlines(True)[:20]) + bad))
    quoted = [row | {"prompt": f"“{row['prompt']}” – ü"} for row in SOUND]
    with pytest.raises(CourseError, match="probably Windows-1252"):
        read(written(tmp_path, "quotes.csv", table(quoted).encode("cp1252", "replace")))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("no_mark.csv", table(SOUND).encode("utf-16-le"), "is text in UTF-16"),
        ("big_end.jsonl", chats(SOUND).encode("utf-16-be"), "is text in UTF-16"),
        ("paper.csv", b"%PDF-1.7\n" + b"text " * 99, "is a PDF"),
        ("noise.csv", bytes(range(256)) * 9, "is binary"),
        ("excel.csv", table(SOUND).replace(",", ";"), "separate the columns by commas"),
        ("named.csv", "question,answer\na,b\n", "add the columns prompt and completion, or give"),
    ],
)
def test_what_a_file_is_instead(name, content, words, tmp_path):
    with pytest.raises(CourseError, match=words) as error:
        load(written(tmp_path, name, content))
    assert str(error.value).startswith(name)
