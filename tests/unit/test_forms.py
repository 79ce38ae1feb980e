"""Preference pairs and plain texts from the reader's file: as strict as for chats, and never taken for another form."""

import csv
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from course_lib.errors import CourseError
from course_lib.run import passages, rows
from course_lib.run.data import load, write_jsonl
from course_lib.run.row_files import form_of
from course_lib.run.rows import read

SYSTEM = {"role": "system", "content": "Be kind."}


def user(content):
    return {"role": "user", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


def chat(question="Where is it?"):
    return {"messages": [user(question), assistant("On its way.")]}


def pair(prompt="Where is it?", chosen="On its way.", rejected="No idea.", **more):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected} | more


def normal(prompt="Where is it?"):
    return {"prompt": [user(prompt)], "chosen": [assistant("On its way.")], "rejected": [assistant("No idea.")]}


def written(folder, *found, name="mine.jsonl"):
    return write_jsonl(folder / name, found)


def raw(folder, content, name="mine.jsonl"):
    (folder / name).write_bytes(content)
    return folder / name


# Pairs


def test_pairs_of_texts_and_of_messages_come_to_the_same(tmp_path):
    full = pair([user("Where is it?")], [assistant("On its way.")], [assistant("No idea.") | {"name": "b"}], score=3)
    found = read(written(tmp_path, pair(), full), "pair")
    assert found.rows == [normal()] * 2
    assert not found.rejects
    assert found.duplicates == 1
    assert found.ignored == {"score": 1, "rejected.name": 1}
    again = read(written(tmp_path, *found.rows, name="again.jsonl"), "pair")
    assert again.rows == found.rows
    turns = [SYSTEM, user("a"), assistant("b"), user("c")]
    assert read(written(tmp_path, pair(turns)), "pair").rows[0]["prompt"] == turns


@pytest.mark.parametrize(
    ("row", "path", "kind"),
    [
        (pair(chosen=None), "chosen", "wrong type"),
        (pair(rejected=5), "rejected", "wrong type"),
        (pair(rejected=assistant("a")), "rejected", "wrong type"),
        (pair(prompt=" \n"), "prompt", "empty text"),
        (pair(chosen="a\0"), "chosen", "NUL character"),
        (pair([user("a\0")]), "prompt.0.content", "NUL character"),
        (pair([{"role": "human", "content": "a"}]), "prompt.0.role", "bad role"),
        (pair([{"role": "user"}]), "prompt.0.content", "missing key"),
        (pair(["a"]), "prompt.0", "wrong type"),
        (pair([]), "prompt", "no question"),
        (pair([SYSTEM]), "prompt", "no question"),
        (pair([assistant("a"), user("b")]), "prompt.0.role", "bad order"),
        (pair([user("a"), user("b")]), "prompt.1.role", "repeated role"),
        (pair([user("a"), SYSTEM, user("b")]), "prompt.1.role", "bad order"),
        (pair([user("a"), assistant("b")]), "prompt.1.role", "no question"),
        (pair(chosen=[]), "chosen", "no single answer"),
        (pair(chosen=[user("a"), assistant("b")]), "chosen", "no single answer"),
        (pair(rejected=[user("a")]), "rejected.0.role", "bad role"),
        (pair(rejected=[assistant("")]), "rejected.0.content", "empty text"),
        (pair(rejected=" On its way.\n"), "rejected", "equal answers"),
        (pair(score=float("nan")), "score", "NaN"),
        (pair(chosen=float("inf")), "chosen", "wrong type"),
    ],
)
def test_a_bad_pair_is_rejected_at_its_place(row, path, kind, tmp_path):
    found = read(written(tmp_path, pair(), row), "pair")
    (reject,) = found.rejects
    assert (reject.line, reject.path, reject.kind) == (2, path, kind)
    assert len(reject.reason) < 120
    assert found.rows == [normal()]


@pytest.mark.parametrize("key", ["prompt", "chosen", "rejected"])
def test_each_part_of_a_pair_is_needed(key, tmp_path):
    half = {name: text for name, text in pair().items() if name != key}
    (reject,) = read(written(tmp_path, pair(), half), "pair").rejects
    assert (reject.path, reject.kind) == (key, "missing key")
    assert reject.reason == "is missing; a preference pair needs prompt, chosen and rejected"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"prompt": "a"', "broken JSON"),
        (b"[1]", "no object"),
        (b'{"prompt": "\xff"}', "not UTF-8"),
        (b"null", "no object"),
    ],
)
def test_a_line_that_is_no_row_is_rejected_in_every_form(line, kind, tmp_path):
    for form, good in (("chat", chat()), ("pair", pair()), ("plain", {"text": "a"})):
        found = read(raw(tmp_path, json.dumps(good).encode() + b"\n\n" + line), form)
        assert [(r.line, r.kind) for r in found.rejects] == [(3, kind)]
        assert (len(found.rows), found.blank) == (1, 1)
        if kind == "no object":
            needs = {
                "chat": "messages, or prompt and completion",
                "pair": "prompt, chosen and rejected",
                "plain": "text",
            }
            assert found.rejects[0].reason.endswith(f"must be an object with {needs[form]}")


def test_pairs_in_tables(tmp_path):
    file = tmp_path / "mine.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([pair(id=1).keys(), pair(id=1).values(), pair(chosen="", id=2).values()])
    found = read(file, "pair")
    assert found.rows == [normal()]
    assert [(r.line, r.path) for r in found.rejects] == [(3, "chosen")]
    table = tmp_path / "mine.parquet"
    parquet.write_table(pa.Table.from_pylist([normal(), normal("b") | {"chosen": []}]), table)
    found = read(table, "pair")
    assert found.rows == [normal()]
    assert found.place(found.rejects[0]) == "mine.parquet row 2 chosen"


# Plain texts


def test_texts_of_every_format(tmp_path):
    wanted = [{"text": "One."}, {"text": "Two\nlines."}]
    file = tmp_path / "mine.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([["id", "text"], *[[i, row["text"]] for i, row in enumerate(wanted)]])
    parquet.write_table(pa.Table.from_pylist(wanted), tmp_path / "mine.parquet")
    for found in (
        read(written(tmp_path, *wanted), "plain"),
        read(file, "plain"),
        read(tmp_path / "mine.parquet", "plain"),
    ):
        assert found.rows == wanted
        assert not found.rejects


@pytest.mark.parametrize(
    ("row", "path", "kind"),
    [
        ({"texts": "a"}, "text", "missing key"),
        ({"text": 5}, "text", "wrong type"),
        ({"text": ["a"]}, "text", "wrong type"),
        ({"text": "\t"}, "text", "empty text"),
        ({"text": "a\0"}, "text", "NUL character"),
        ({"text": "a", "score": float("nan")}, "score", "NaN"),
        ({"text": "x" * 1_100_000}, "", "line too long"),
    ],
)
def test_a_bad_text_is_rejected_at_its_place(row, path, kind, tmp_path):
    (reject,) = read(written(tmp_path, {"text": "good"}, row), "plain").rejects
    assert (reject.line, reject.path, reject.kind) == (2, path, kind)


def test_a_text_file_loses_nothing_but_blank_lines(tmp_path):
    long = "A paragraph of one hundred and fifty characters and more, which is a row for itself. " * 2
    content = f"# Title\n \n{long}\nand its second line\r\n\r\n\n{long}B\n\nShort.\n\nThe end."
    for name in ("mine.txt", "mine.MD"):
        found = read(raw(tmp_path, content.encode(), name), "plain")
        assert [row["text"] for row in found.rows] == [
            f"# Title\n\n{long}\nand its second line",
            f"{long}B\n\nShort.\n\nThe end.",
        ]
    bad = read(raw(tmp_path, f"{long}A\n\n{long}ü\n\n{long}\0".encode("latin-1"), "bad.txt"), "plain")
    assert [(r.line, r.kind) for r in bad.rejects] == [(3, "not UTF-8"), (5, "NUL character")]
    assert len(bad.rows) == 1
    assert read(raw(tmp_path, b"\n\nshort", "short.txt"), "plain").rows == [{"text": "short"}]


@given(st.lists(st.integers(1, 400), max_size=30))
@settings(max_examples=50, deadline=None)
def test_joined_paragraphs_are_neighbours_and_long_enough(lengths):
    runs = passages.joined(lengths)
    assert [i for run in runs for i in range(len(lengths))[run]] == list(range(len(lengths)))
    if sum(lengths) >= passages.LEAST:
        assert all(sum(lengths[run]) >= passages.LEAST for run in runs)


@given(st.lists(st.text("ab. ", min_size=1, max_size=3_000), max_size=5))
@settings(max_examples=20, deadline=None)
def test_passages_are_neither_short_nor_long(paragraphs):
    assert all(passages.LEAST <= len(text) <= passages.MOST + passages.LEAST for text in passages.passages(paragraphs))


# Which form


@pytest.mark.parametrize(
    ("line", "form"),
    [
        (chat(), "chat"),
        ({"prompt": "a", "completion": "b"}, "chat"),
        (pair(), "pair"),
        (pair() | chat(), "pair"),  # as UltraFeedback has them
        ({"text": "a"}, "plain"),
        (chat() | {"text": "a"}, "chat"),
        ({"prompt": "a"}, None),
    ],
)
def test_the_form_is_seen_from_the_first_good_row(line, form, tmp_path):
    bad = b"\xef\xbb\xbf\n{oops\n5\n"
    assert form_of(raw(tmp_path, bad + json.dumps(line).encode() + b'\n{"text": "later"}')) in (form, "plain")
    assert form_of(raw(tmp_path, bad + json.dumps(line).encode())) == form


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b'"open,quote'), ("a.csv", b""), ("a.parquet", b"PAR1"), ("a.jsonl", bytes(99)), ("a.json", b"[\n{}]")],
)
def test_a_damaged_file_has_no_form(name, content, tmp_path):
    assert form_of(raw(tmp_path, content, name)) is None


FILES = {
    "chat": ("chats", [chat()]),
    "pair": ("preference pairs", [pair()]),
    "plain": ("plain texts", [{"text": "a"}]),
}


@pytest.mark.parametrize("wanted", FILES)
@pytest.mark.parametrize("form", FILES)
def test_another_form_than_wanted_is_one_sentence(form, wanted, tmp_path):
    called, content = FILES[form]
    if form == wanted:
        assert len(read(written(tmp_path, *content), wanted).rows) == 1
        return
    with pytest.raises(CourseError) as error:
        read(written(tmp_path, *content), wanted)
    needs = {"chat": "messages, or prompt and completion", "pair": "prompt, chosen and rejected", "plain": "text"}
    assert str(error.value) == f"mine.jsonl holds {called}; {FILES[wanted][0]} need {needs[wanted]}."
    assert len(read(tmp_path / "mine.jsonl").rejects) == (form != "chat"), (
        "control: unasked, they are rejected one by one"
    )


def test_columns_that_are_missing_are_named(tmp_path):
    for form, needs in (("pair", "the columns prompt, chosen and rejected"), ("plain", "a column text")):
        with pytest.raises(CourseError, match=f"needs {needs}; its first line is 'a,b'"):
            read(raw(tmp_path, b"a,b\n1,2\n", "mine.csv"), form)
        parquet.write_table(pa.table({"a": ["b"]}), tmp_path / "mine.parquet")
        with pytest.raises(CourseError, match=f"needs {needs}; it has 'a'"):
            read(tmp_path / "mine.parquet", form)


# In a data set


def test_load_sees_the_form_and_insists_on_it(tmp_path):
    words = ("red", "blue", "green", "white", "black", "grey", "pink", "gold", "brown", "violet", "silver", "orange")
    file = written(tmp_path, *[pair(f"{word} {other}?") for word in words for other in words[:2]])
    found = load(file)
    assert found.answer == "pair"
    assert found == load(file, form="pair")
    assert sorted(row["prompt"][0]["content"] for row in found.train + found.valid + found.test) == sorted(
        f"{word} {other}?" for word in words for other in words[:2]
    )
    with pytest.raises(CourseError, match=r"^mine.jsonl holds preference pairs; chats need messages, or"):
        load(file, form="chat")
    texts = written(tmp_path, *[{"text": f"About {word}."} for word in words], name="texts.jsonl")
    assert load(texts).answer == "plain"
    assert load(texts, form="plain").train[0].keys() == {"text"}
    with pytest.raises(
        CourseError, match=r"^texts.jsonl holds plain texts; preference pairs need prompt, chosen and rejec"
    ):
        load(texts, form="pair")


def test_all_pairs_of_a_prompt_and_all_copies_of_a_text_are_in_one_part(tmp_path):
    prompts = [f"{a} {b} {c}" for a in "abc" for b in "defg" for c in "hij"]
    pairs = [pair([user(prompt)], f"good {i}", f"bad {i}") for i in range(3) for prompt in prompts]
    texts = [{"text": f"{prompt}, {'well ' * i}"} for i in range(2) for prompt in prompts]
    for name, mine, asked in (
        ("pairs.jsonl", pairs, lambda row: row["prompt"][0]["content"]),
        ("texts.jsonl", texts, lambda row: row["text"].split(",")[0]),
    ):
        found = load(written(tmp_path, *mine, name=name))
        parts = [{asked(row) for row in part} for part in (found.train, found.valid, found.test)]
        assert sum(map(len, parts)) == len(set().union(*parts)) == len(prompts)
        cut = [{asked(row) for row in part} for part in (mine[:-12], mine[-12:])]
        assert cut[0] & cut[1], "control: a plain cut tears them apart"


def test_rejected_pairs_stop_or_are_dropped(tmp_path):
    words = [f"{a}{b} {b}{a}" for a in "abcd" for b in "efghi"]
    file = written(tmp_path, *[pair(word) for word in words], pair(rejected="On its way."))
    with pytest.raises(
        CourseError, match=r"1 of 21 rows cannot be used.*mine.jsonl:21 rejected: is the same answer"
    ) as error:
        load(file)
    assert "\n" not in str(error.value)
    assert "1 rejected rows left out" in load(file, on_reject="drop").notice


def test_a_set_writes_its_own_form(tmp_path):
    found = load("mail-pairs", n_train=12)
    assert read(found.write_jsonl(tmp_path / "pairs.jsonl"), "pair").rows == found.train
    assert read(found.write_jsonl(tmp_path / "test.jsonl", part="test"), "pair").rows == found.test
    with pytest.raises(CourseError, match="holds preference pairs, not chats"):
        found.write_jsonl(tmp_path / "pairs.jsonl", form="prompt_completion")
    assert rows.read(tmp_path / "pairs.jsonl", "pair").rows == found.train, "nothing was overwritten"
    with pytest.raises(CourseError, match="could not be written to"):
        write_jsonl(tmp_path / "pairs.jsonl" / "below a file.jsonl", found.train)
