"""Export and import: one file holds all progress, and merging knows no order, no repetition and no loss."""

import errno
import json
import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.learn import durable
from course_lib.learn.exchange import HEAD, export, import_
from course_lib.learn.progress import keep, mine

HOSTILE = '<script>alert("1")</script>\n\0\u2028 \udc80 ../../etc'


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


def elsewhere(monkeypatch, folder):
    monkeypatch.setenv("COURSE_PROGRESS", str(folder))


def entry(item="104", outcome="run", **changes):
    return {"item": item, "outcome": outcome, "v": 1, "id": f"{item}-{outcome}", "t": "2026-01-01T12:00:00Z"} | changes


def written(path, *entries, **changes):
    path.write_text(json.dumps({"form": "finetuning-course progress", "v": 1, "events": list(entries)} | changes))
    return path


def test_an_export_is_one_file_of_events_and_a_checklist_to_read(work, capsys):
    keep("104", "run")
    keep("quick.lora", "ticked", note=HOSTILE)
    file = export()
    assert file == work / "progress.json"
    assert capsys.readouterr().out == f"Your progress is in {file}, and as a checklist in {work / 'progress.md'}.\n"
    assert json.loads(file.read_text()) == {"form": "finetuning-course progress", "v": 1, "events": mine().events()}
    assert "- [x]" in (work / "progress.md").read_text()
    lines = file.read_text().splitlines()
    assert len(lines) == 1 + 2 + 1, "one event a line, so that a comparison of two exports can be read"
    assert [list(json.loads(text.rstrip(","))) for text in lines[1:3]] == [
        ["id", "item", "outcome", "t", "v"],
        ["id", "item", "note", "outcome", "t", "v"],
    ]
    assert str(Path.home()) not in file.read_text()
    assert sorted(path.name for path in work.iterdir()) == ["progress.json", "progress.md"]


def test_an_export_of_nothing_and_its_import_are_fine(work, capsys):
    assert import_(export()) == 0
    assert "0 of 0 events" in capsys.readouterr().out


def test_export_import_export_is_the_same_to_the_byte(work, tmp_path, monkeypatch, capsys):
    for text in (HOSTILE, "谢谢 🙂", "x" * 1_000_000):
        mine().record(text, "correct", given=[text, {"b": 1.5, "a": None}], seconds=0.1)
        mine().record("quick.lora", "ticked")
        mine().undo("quick.lora")
    mine().add([entry("204", v=2, t="stardate", when={"z": 1, "a": 2})])
    first, state = export(), mine().state()
    elsewhere(monkeypatch, tmp_path / "other")
    capsys.readouterr()
    assert import_(first) == 10
    assert "10 of 10 events" in capsys.readouterr().out
    (tmp_path / "notepad.json").write_bytes(b"\xef\xbb\xbf" + first.read_bytes().replace(b"\n", b"\r\n"))
    assert import_(str(tmp_path / "notepad.json")) == 0
    assert mine().state() == state
    second = export(tmp_path / "second.json")
    assert second.read_bytes() == first.read_bytes()
    assert second.with_suffix(".md").read_bytes() == first.with_suffix(".md").read_bytes()


# Three machines

ITEMS, OUTCOMES = ["104", "104.1", "quick.lora", "path"], ["run", "correct", "not yet", "ticked", "deep"]
MACHINES = st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), MACHINES, st.sampled_from(ITEMS), st.sampled_from(OUTCOMES)),
        st.tuples(st.just("undo"), MACHINES, st.sampled_from(ITEMS)),
        st.tuples(st.just("export"), MACHINES),
        st.tuples(st.just("import"), MACHINES, st.integers(0, 20)),
    ),
    max_size=14,
)


class Machines:
    def __init__(self, folder, patch):
        self.folder, self.patch, self.exports, self.finished = folder, patch, [], set()

    def on(self, number):
        self.patch.setenv("COURSE_PROGRESS", str(self.folder / f"machine{number}"))

    def take(self, step):
        kind, number, *rest = step
        self.on(number)
        before = {item for item, outcome in mine().state().items() if outcome in ("run", "correct")}
        if kind == "record":
            mine().record(*rest)
            if rest[1] in ("run", "correct"):
                self.finished.add(rest[0])
        elif kind == "undo":
            mine().undo(*rest)
        elif kind == "export":
            self.exports.append(export(self.folder / f"{len(self.exports)}.json"))
        elif self.exports:
            import_(self.exports[rest[0] % len(self.exports)])
        assert before <= {item for item, outcome in mine().state().items() if outcome in ("run", "correct", "ticked")}


@settings(max_examples=50, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 1000))
def test_three_machines_agree_after_any_exchange_in_any_order(steps, seed):
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable.os, "fsync", lambda handle: None)
        machines = Machines(Path(folder), patch)
        for step in [*steps, ("export", 0), ("export", 1), ("export", 2)]:
            machines.take(step)
        wholes = []
        for number in range(3):
            for file in rng.choices(machines.exports, k=2) + rng.sample(machines.exports, len(machines.exports)):
                machines.take(("import", number, machines.exports.index(file)))
            assert {import_(file) for file in machines.exports} == {0}
            state = mine().state()
            assert {item for item in machines.finished if state[item] not in ("run", "correct", "ticked")} == set()
            wholes.append(export(Path(folder) / f"whole{number}.json").read_bytes())
        assert wholes[0] == wholes[1] == wholes[2]


def test_an_untick_goes_along_and_takes_back_only_the_ticks_that_it_saw(work, tmp_path, monkeypatch):
    here, other = tmp_path / "here", tmp_path / "other"
    elsewhere(monkeypatch, here)
    keep("quick.lora", "ticked")
    keep("quick.what", "ticked")
    first = export(tmp_path / "first.json")
    elsewhere(monkeypatch, other)
    import_(first)
    mine().undo("quick.lora")
    mine().undo("quick.what")
    second = export(tmp_path / "second.json")
    elsewhere(monkeypatch, here)
    keep("quick.what", "ticked")
    import_(second)
    assert mine().state() == {"quick.lora": "unticked", "quick.what": "ticked"}


# Files that are no export

SAID = {
    "missing": "There is no file",
    "folder": "is a folder",
    "pipe": "There is no file",
    "empty": "is not JSON",
    "half": "is not JSON",
    "binary": "is not JSON",
    "deep": "is not JSON",
    "NaN": "is not JSON",
    "a list": "is no export",
    "another form": "is no export",
    "no version": "is no export",
    "events are text": "holds no list of events: name the file",
    "newer without events": "holds no list of events: update the course",
    "201 MB": "more than 200 MB",
}


def bad_file(kind, path):
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "half":
        path.write_text(written(path, entry()).read_text()[:-20])
    elif kind in ("empty", "binary", "deep", "a list"):
        path.write_bytes({"empty": b"", "binary": bytes(range(256)), "deep": b"[" * 10**6, "a list": b"[1]"}[kind])
    elif kind == "201 MB":
        written(path, entry())
        os.truncate(path, 201_000_000)
    elif kind != "missing":
        changes = {
            "NaN": {"x": float("nan")},
            "another form": {"form": "nbgrader"},
            "no version": {"v": None},
            "events are text": {"events": "x"},
            "newer without events": {"v": 2, "events": {}},
        }
        written(path, entry(), **changes[kind])


@pytest.mark.parametrize("kind", SAID)
def test_a_file_that_is_no_export_is_one_sentence_and_nothing_is_added(kind, tmp_path):
    keep("104", "run")
    bad_file(kind, tmp_path / "a <b>.json")
    with pytest.raises(CourseError) as told:
        import_(tmp_path / "a <b>.json")
    assert SAID[kind] in str(told.value)
    assert str(told.value).endswith(".")
    assert "\n" not in str(told.value)
    assert len(mine().events()) == 1


@pytest.mark.parametrize("path", [None, 5, "", b"x", "a\0b"])
def test_what_is_no_path_is_one_sentence(path):
    with pytest.raises(CourseError, match=r"\.$"):
        import_(path)
    if path is not None:
        with pytest.raises(CourseError, match=r"\.$"):
            export(path)


def test_entries_that_are_no_events_are_left_out_and_counted(tmp_path, capsys):
    bad = [None, [], 5, "x", {}, entry(item=5), entry(v="1"), entry(t=None), entry(cancels="abc"), {"item": "104"}]
    file = written(tmp_path / "a.json", entry("104"), *bad, entry("105", outcome=HOSTILE), entry("106", crc="0" * 8))
    assert import_(file) == 3
    assert "3 of 3 events" in (said := capsys.readouterr().out)
    assert "10 of 13 entries are not events and were left out." in said
    assert import_(file) == 0
    assert mine().state() == {"104": "run", "105": HOSTILE, "106": "run"}
    assert mine().damaged == 0
    import_(written(tmp_path / "b.json", None))
    assert "1 of 1 entries is no event and was left out." in capsys.readouterr().out


def test_a_newer_version_gives_what_can_be_read_and_says_so(tmp_path, capsys):
    assert import_(written(tmp_path / "a.json", entry(), entry("204", v=7, mood="good"), v=2, more={"x": 1})) == 2
    assert "newer version of the course: update" in capsys.readouterr().out
    assert mine().latest()["204"]["mood"] == "good"


def test_an_id_that_is_taken_does_not_push_out_what_was_there(tmp_path):
    mine().add([entry("104", "correct", id="same")])
    import_(written(tmp_path / "a.json", entry("104", "not yet", id="same", t="2026-06-01T12:00:00Z")))
    assert mine().state() == {"104": "correct"}
    assert len(mine().events()) == 2


def test_an_import_that_cannot_be_saved_adds_nothing(tmp_path, monkeypatch):
    keep("100", "run")
    file = written(tmp_path / "a.json", *(entry(str(n)) for n in range(500)))
    replace = os.replace

    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Killed(BaseException):
        pass

    def killed(source, target):
        os.link(source, f"{source}.left")  # what a real kill leaves
        raise Killed

    monkeypatch.setattr("course_lib.folders.os.replace", full)
    with pytest.raises(CourseError, match=r"Nothing of .* was added \(No space left on device\)"):
        import_(file)
    monkeypatch.setattr("course_lib.folders.os.replace", killed)
    with pytest.raises(Killed):
        import_(file)
    assert mine().state() == {"100": "run"}
    monkeypatch.setattr("course_lib.folders.os.replace", replace)
    assert import_(file) == 500


def test_control_an_import_that_is_not_written_whole_leaves_a_part(tmp_path, monkeypatch):
    def cut_short(path, text):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("course_lib.learn.progress.write_whole", cut_short)
    with pytest.raises(CourseError, match="was added"):
        import_(written(tmp_path / "a.json", *(entry(str(n)) for n in range(50))))
    assert 0 < len(mine().events()) < 50


# Where an export goes


def test_an_export_goes_to_the_file_or_folder_named_and_never_over_another_file(work, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert export(tmp_path) == tmp_path / "progress.json"
    assert export(str(tmp_path / "new" / "backup.v1")) == tmp_path / "new" / "backup.v1.json"
    assert export("~/mine.json") == tmp_path / "home" / "mine.json"
    assert export("~/mine.json").read_text().startswith(HEAD), "an export may replace an export"
    for name, path in (("thesis.json", "thesis"), ("README.md", "README.json"), ("notes.json", "notes.json")):
        (tmp_path / name).write_text("{}")
        with pytest.raises(CourseError, match="is there already and is no export: name another file"):
            export(tmp_path / path)
        assert (tmp_path / name).read_text() == "{}"
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(CourseError, match="is there already"):
        export(tmp_path / "pipe.json")


def test_an_export_that_cannot_be_written_is_one_sentence_and_leaves_the_old_one(work, tmp_path, monkeypatch):
    keep("104", "run")
    old = export().read_bytes()
    keep("105", "run")

    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("course_lib.folders.os.replace", full)
        with pytest.raises(
            CourseError, match=r"could not be exported to .*\(No space left on device\): free some space"
        ):
            export()
    assert (work / "progress.json").read_bytes() == old
    (tmp_path / "file").touch()
    with pytest.raises(CourseError, match="could not be exported"):
        export(tmp_path / "file" / "progress.json")


def test_an_export_says_what_it_could_not_read(work, capsys):
    keep("104", "run")
    (mine().folder / "other.jsonl").write_text("damaged\n")
    export()
    assert "1 line is damaged" in capsys.readouterr().out
