"""The reader's file: every planted fault is found at its place, every good row is kept, and it is fast enough."""

import base64
import codecs
import csv
import json
import os
import random
import time
from collections import Counter

import pyarrow as pa
import pytest
from pyarrow import parquet

from course_lib.errors import CourseError
from course_lib.run.rows import read, write_rejects


def chat(question, answer="It is on its way."):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def good(i):
    row = chat(f"Where is order {i}? Ich warte seit {i % 9} Tagen – 谢谢 🙂", f"Order {i} left us today.")
    if i % 2:
        row["messages"].insert(0, {"role": "system", "content": "Answer in one sentence."})
    return row


def line(row):
    return json.dumps(row, ensure_ascii=False).encode()


def edited(i, message, **changes):
    row = chat(f"Question {i}")
    row["messages"][message] |= changes
    return line(row)


def repeated(i):
    row = chat(f"Question {i}")
    row["messages"].insert(1, {"role": "user", "content": "Are you there?"})
    return line(row)


# kind -> (how many of the 1,000, the bad line, path, start of the reason)
FAULTS = {
    "broken JSON": (91, lambda i: line(chat(f"Question {i}"))[:-9], "", "is not JSON"),
    "no object (list)": (91, lambda i: line([f"Question {i}", "Answer"]), "", "is a list"),
    "no object (null)": (91, lambda i: b"null", "", "is null"),
    "wrong type": (91, lambda i: edited(i, 1, content=i), "messages.1.content", "is a number"),
    "bad role": (91, lambda i: edited(i, 0, role="usr"), "messages.0.role", "is 'usr'"),
    "repeated role": (91, repeated, "messages.1.role", "is user twice in a row"),
    "empty text": (91, lambda i: edited(i, 0, content=" \n" if i % 2 else ""), "messages.0.content", "is "),
    "NaN": (91, lambda i: edited(i, 1, content=float("nan")), "messages.1.content", "is NaN"),
    "not UTF-8": (91, lambda i: line(chat(f"Größe {i}")).decode().encode("latin-1"), "", "byte "),
    "NUL character": (91, lambda i: edited(i, 1, content=f"a\0{i}"), "messages.1.content", "character 2 is a NUL"),
    "byte order mark": (85, lambda i: codecs.BOM_UTF8 + line(chat(f"Question {i}")), "", "starts with a byte order"),
    "line too long": (5, lambda i: line(chat("x" * (10_200_000 if i % 5 == 0 else 1_100_000))), "", "line is "),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A file of 10,000 rows, 1,000 of them bad; the good rows; and (line, kind, path, reason, raw) of the bad ones."""
    rng = random.Random(0)
    kinds = [kind for kind, fault in FAULTS.items() for _ in range(fault[0])] + [None] * 9_000
    rng.shuffle(kinds)
    kept, expected, out = [], [], []
    for i, kind in enumerate(kinds):
        if i % 200 == 100:
            out.append(b"   \n" if i % 400 else b"\n")
        if kind is None:
            kept.append(good(i))
            raw = line(kept[-1])
        else:
            _, make, path, reason = FAULTS[kind]
            raw = make(i)
            expected.append((len(out) + 1, kind.split(" (")[0], path, reason, raw))
        out.append(raw + (b"\r\n" if i % 3 else b"\n"))
    file = tmp_path_factory.mktemp("planted") / "planted.jsonl"
    file.write_bytes(codecs.BOM_UTF8 + b"".join(out))
    return file, kept, expected


def test_1000_bad_rows_of_12_kinds_in_10000(planted):
    file, kept, expected = planted
    found = read(file)
    assert len(FAULTS) == 12
    assert [(r.line, r.kind, r.path) for r in found.rejects] == [fault[:3] for fault in expected]
    assert {r.file for r in found.rejects} == {"planted.jsonl"}
    for reject, (_, _, _, reason, raw) in zip(found.rejects, expected, strict=True):
        assert reject.reason.startswith(reason)
        assert len(reject.reason) < 120
        assert reject.raw == raw
    assert found.rows == kept
    assert len(found.rejects) == 1_000
    assert len(found.rows) == 9_000
    assert len(found.rows) + len(found.rejects) + found.blank == file.read_bytes().count(b"\n")
    assert found.blank == 50
    assert "line is 10.2 MB; the limit is 1 MB" in {r.reason for r in found.rejects}


def test_report_counts_and_shows_the_first_20(planted):
    file, _, expected = planted
    report = read(file).report()
    assert report.startswith("planted.jsonl: 9,000 rows kept, 1,000 rejected\nblank lines, skipped: 50\n")
    counts = Counter(kind for _, kind, *_ in expected)
    for kind, n in counts.items():
        assert f"rejected, {kind}: {n:,}\n" in report
    places = [text for text in report.splitlines() if text.startswith("planted.jsonl:") and "kept" not in text]
    assert len(places) == 20
    assert places[0].startswith(f"planted.jsonl:{expected[0][0]} {expected[0][2]}".rstrip())
    assert report.endswith("... and 980 more")
    assert max(map(len, report.splitlines())) < 200


def test_rejects_file_loses_nothing(planted, tmp_path):
    file, _, expected = planted
    target = write_rejects(read(file), tmp_path / "out.jsonl")
    again = [json.loads(text) for text in target.read_text(encoding="utf-8").splitlines()]
    raws = [r["raw"].encode() if "raw" in r else base64.b64decode(r["raw_base64"]) for r in again]
    assert raws == [raw for *_, raw in expected]
    assert [(r["file"], r["line"], r["path"]) for r in again] == [("planted.jsonl", n, p) for n, _, p, *_ in expected]
    assert sum("raw_base64" in r for r in again) == FAULTS["not UTF-8"][0]


def test_rejects_file_is_beside_the_data_or_an_error_says_why(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_bytes(b"null\n")
    assert write_rejects(read(file)) == tmp_path / "mine.jsonl.rejects.jsonl"
    with pytest.raises(CourseError, match="could not be written"):
        write_rejects(read(file), tmp_path / "no such folder" / "out.jsonl")


def test_control_datasets_loads_bad_rows_in_silence(tmp_path):
    """What this gate is for: the usual loader says nothing of a wrong role, an empty text or a missing answer."""
    datasets = pytest.importorskip("datasets")
    bad = [edited(0, 0, role="usr"), edited(1, 0, content=""), line({"messages": []})]
    file = tmp_path / "control.jsonl"
    file.write_bytes(b"\n".join([line(chat("Where is it?"))] * 20 + bad) + b"\n")
    loaded = datasets.load_dataset("json", data_files=str(file), cache_dir=str(tmp_path / "cache"), split="train")
    assert len(loaded) == 23
    assert loaded[20]["messages"][0]["role"] == "usr"
    assert [r.line for r in read(file).rejects] == [21, 22, 23]


def write_many(file, n):
    """`n` chats of a realistic length, as JSONL, CSV or Parquet by the file's suffix."""
    text = "I ordered a desk lamp three weeks ago and it has still not come. Could you look into it and tell me? "
    asked = [f"{text * 2}My order is {i}." for i in range(n)]
    said = [f"I am sorry to hear this. Order {i} left us on Monday. " * 2 for i in range(n)]
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(chat(*pair)) + "\n" for pair in zip(asked, said, strict=True)))
    elif file.suffix == ".parquet":
        messages = [chat(*pair)["messages"] for pair in zip(asked, said, strict=True)]
        parquet.write_table(pa.table({"messages": messages}), file)
    else:
        with file.open("w", newline="") as out:
            csv.writer(out).writerows([("prompt", "completion"), *zip(asked, said, strict=True)])


@pytest.mark.alone
@pytest.mark.parametrize("name", ["many.jsonl", "many.csv", "many.parquet"])
def test_100_000_rows_in_two_seconds(tmp_path, name):
    file = tmp_path / name
    write_many(file, 100_000)
    seconds = float("inf")
    for _ in range(3):  # the best of three: what else the machine does is not our speed
        start = time.process_time()
        found = read(file)
        seconds = min(seconds, time.process_time() - start)
    print(f"\n100,000 rows, {file.stat().st_size / 1e6:.0f} MB: {seconds:.2f} s of one core")
    assert len(found.rows) == 100_000
    assert seconds <= 2.0


@pytest.mark.parametrize(
    ("row", "path", "kind"),
    [
        ({"text": "hello"}, "messages", "missing key"),
        ({"prompt": "hello"}, "completion", "missing key"),
        ({"prompt": "hello", "completion": None}, "completion", "wrong type"),
        ({"prompt": "hello", "completion": "\t"}, "completion", "empty text"),
        ({"messages": "hello"}, "messages", "wrong type"),
        ({"messages": ["hello"]}, "messages.0", "wrong type"),
        ({"messages": []}, "messages", "no answer"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "missing key"),
        ({"messages": [{"role": "system", "content": "a"}]}, "messages", "no answer"),
        ({"messages": [{"role": "user", "content": "a"}]}, "messages.0.role", "no answer"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "messages.0.role", "bad order"),
        ({"messages": [*chat("a")["messages"], {"role": "system", "content": "a"}]}, "messages.2.role", "bad order"),
        (chat("a") | {"score": float("inf")}, "score", "NaN"),
    ],
)
def test_place_and_kind(row, path, kind, tmp_path):
    file = tmp_path / "one.jsonl"
    file.write_bytes(b"\n" + line(row))
    (reject,) = read(file).rejects
    assert (reject.line, reject.path, reject.kind) == (2, path, kind)


def test_a_long_value_is_not_echoed(tmp_path):
    file = tmp_path / "one.jsonl"
    file.write_bytes(edited(0, 0, role="secret " * 1_000))
    found = read(file)
    assert len(found.rejects[0].reason) < 120
    assert len(found.report()) < 300


def test_raw_nul_is_named(tmp_path):
    file = tmp_path / "one.jsonl"
    file.write_bytes(line(chat("a nul follows: ?" + "." * 80)).replace(b"?", b"\0"))
    assert read(file).rejects[0].kind == "NUL character"


def test_pairs_become_chats_and_other_keys_are_counted(tmp_path):
    file = tmp_path / "pairs.ndjson"
    rows = [{"prompt": "a", "completion": "b", "id": 1}, chat("a", "b") | {"id": 2, "source": None}]
    rows[1]["messages"][0]["name"] = "Ann"
    file.write_bytes(b"\n".join(map(line, rows)))
    found = read(file)
    assert found.rows == [chat("a", "b")] * 2
    assert found.duplicates == 1
    assert found.ignored == {"id": 2, "source": 1, "messages.name": 1}
    assert "exact duplicates, kept: 1" in found.report()
    assert "keys not used: 'id' (2), 'source' (1), 'messages.name' (1)" in found.report()


def test_csv_counts_physical_lines(tmp_path):
    file = tmp_path / "mine.csv"
    with file.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.writer(out)  # line ends are \r\n
        writer.writerow(["id", "prompt", "completion"])
        writer.writerow([1, "two\nlines, one comma", "yes"])  # lines 2 and 3
        writer.writerow([2, "  ", "no"])  # line 4
        out.write("\r\n")
        writer.writerow([3, "three\r\nmore\n\nlines", 'a "quoted" word'])  # lines 6 to 9
        writer.writerow([4, "short row"])  # line 10
        writer.writerow([5, "x" * 200_000, "long but fine"])
        writer.writerow([6, "x" * 1_200_000, "too long"])
        out.write('7,"never closed,ends\r\n8,lost,lost\r\n')
    found = read(file)
    assert [row["messages"][1]["content"] for row in found.rows] == ["yes", 'a "quoted" word', "long but fine"]
    assert found.rows[0]["messages"][0]["content"] == "two\nlines, one comma"
    assert [(r.line, r.path, r.kind) for r in found.rejects] == [
        (4, "prompt", "empty text"),
        (10, "", "broken CSV"),
        (12, "", "line too long"),
        (13, "", "broken CSV"),
    ]
    assert b"8,lost,lost" in found.rejects[-1].raw
    assert found.blank == 1
    assert found.ignored == {"id": 3}


def test_csv_names_what_is_not_utf8(tmp_path):
    file = tmp_path / "latin.csv"
    file.write_bytes("prompt,completion\nGröße,L\nfine,yes\n".encode("latin-1"))
    found = read(file)
    assert [(r.line, r.kind) for r in found.rejects] == [(2, "not UTF-8")]
    assert found.rejects[0].raw == "Größe,L\n".encode("latin-1")
    assert len(found.rows) == 1


def test_parquet_rows(tmp_path):
    file = tmp_path / "mine.parquet"
    rows = [good(i) | {"id": i} for i in range(2_500)]
    rows[1_700]["messages"][1]["content"] = None
    rows[2_000]["messages"] = None
    parquet.write_table(pa.Table.from_pylist(rows), file)
    found = read(file)
    assert found.rows == [{"messages": row["messages"]} for i, row in enumerate(rows) if i not in (1_700, 2_000)]
    assert [(r.line, r.path, r.kind) for r in found.rejects] == [
        (1_701, "messages.1.content", "wrong type"),
        (2_001, "messages", "wrong type"),
    ]
    assert "mine.parquet row 1701 messages.1.content: is null; must be text" in found.report()
    assert found.ignored == {"id": 2_498}


def test_parquet_pairs_and_text_that_is_not_utf8(tmp_path):
    file = tmp_path / "pairs.parquet"
    prompts = pa.Array.from_buffers(pa.string(), 3, pa.array([b"good", b"bad \xff", b"good too"]).buffers())
    parquet.write_table(pa.table({"prompt": prompts, "completion": ["a", "b", "c"]}), file)
    found = read(file)
    assert [row["messages"][0]["content"] for row in found.rows] == ["good", "good too"]
    assert [(r.line, r.kind) for r in found.rejects] == [(2, "not UTF-8")]
    assert "raw_base64" in write_rejects(found).read_text()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.jsonl", b"", "empty.jsonl is empty"),
        ("blank.jsonl", b"\n \r\n\n", "only blank lines"),
        ("binary.jsonl", random.Random(0).randbytes(5_000), "binary or UTF-16"),
        ("wide.jsonl", '{"prompt": "a"}'.encode("utf-16"), "binary or UTF-16"),
        ("zipped.csv", b"PK\x03\x04" + bytes(500), "binary or UTF-16"),
        ("list.json", b' [\n{"prompt": "a", "completion": "b"}]', "is one JSON list"),
        ("mine.txt", b"hello", "'.txt'"),
        ("mine", b"hello", "''"),
        ("semicolon.csv", b"prompt;completion\na;b\n", "prompt;completion"),
        ("damaged.parquet", b"PAR1 and then nothing", "damaged or no Parquet"),
        ("empty.parquet", b"", "is empty"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(name, content, words, tmp_path):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(CourseError) as error:
        read(file)
    assert words in str(error.value)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_parquet_cut_in_the_middle(tmp_path):
    file = tmp_path / "cut.parquet"
    parquet.write_table(pa.table({"prompt": ["a" * 50] * 99, "completion": ["b"] * 99}), file)
    whole = file.read_bytes()
    file.write_bytes(whole[:60] + bytes(40) + whole[100:])
    with pytest.raises(CourseError, match="damaged"):
        read(file)
    file.write_bytes(whole.replace(b"prompt", b"\x8arompt"))
    with pytest.raises(CourseError, match="damaged"):
        read(file)
    parquet.write_table(pa.table({"text": ["a"]}), file)
    with pytest.raises(CourseError, match="it has 'text'"):
        read(file)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(CourseError, match="There is no file"):
        read(tmp_path / "nothing.jsonl")
    with pytest.raises(CourseError, match="is a folder"):
        read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write everything")
def test_a_file_that_may_not_be_read(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_bytes(line(chat("a")))
    file.chmod(0)
    with pytest.raises(CourseError, match="permissions"):
        read(file)
