"""A sealed folder notices every kind of damage; beside each promise, the weaker check that would let it by."""

import json
import os

import pytest

from course_lib.run import seal as module
from course_lib.run.seal import fault, seal


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "model.safetensors").write_bytes(bytes(range(100)))
    (tmp_path / "sub" / "config.json").write_text("{}")
    seal(tmp_path, step=7)
    return tmp_path


def test_a_sealed_folder_is_whole_and_keeps_its_facts(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert fault(folder) is None
    assert set(manifest["files"]) == {"model.safetensors", "sub/config.json"}
    assert manifest["files"]["model.safetensors"]["size"] == 100
    assert manifest["step"] == 7
    assert not list(folder.glob("*.tmp"))


def test_sealing_again_takes_in_what_is_there_now(folder):
    (folder / "model.safetensors").write_bytes(b"trained on")
    (folder / "manifest.json.tmp").write_text("left by a killed process")
    seal(folder, step=8)
    assert fault(folder) is None
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) == {"model.safetensors", "sub/config.json"}


def test_a_moved_folder_stays_whole(folder, tmp_path_factory):
    moved = tmp_path_factory.mktemp("elsewhere") / "run"
    os.replace(folder, moved)
    assert fault(moved) is None


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (None, "model.safetensors is missing"),
        (b"", "model.safetensors is cut: 0 bytes of 100"),
        (bytes(range(12)), "model.safetensors is cut: 12 bytes of 100"),
        (bytes(range(120)), "model.safetensors has grown: 120 bytes instead of 100"),
    ],
)
def test_a_missing_or_cut_file_is_named_without_reading_it(folder, content, phrase):
    (folder / "model.safetensors").unlink()
    if content is not None:
        (folder / "model.safetensors").write_bytes(content)
    assert fault(folder) == fault(folder, deep=False) == phrase


@pytest.mark.parametrize("byte", [0, 50, 99])
def test_one_flipped_bit_is_noticed(folder, byte):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[byte] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    assert fault(folder) == "model.safetensors has changed (SHA-256 differs)"
    assert fault(folder, deep=False) is None, "control: a check of sizes alone lets it by"


def test_a_folder_in_the_place_of_a_file_is_a_missing_file(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    assert fault(folder) == "model.safetensors is missing"


def test_no_manifest(folder, tmp_path):
    (folder / "manifest.json").unlink()
    assert fault(folder) == "no manifest"
    assert fault(tmp_path / "nowhere") == "no manifest"
    assert fault(folder / "model.safetensors") == "no manifest"
    assert (folder / "model.safetensors").is_file(), "control: a check that the files exist lets it by"


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"files": []}',
        b'{"files": {"a": 1}}',
        b'{"files": {"a": {"size": null, "sha256": ""}}}',
        b'{"files": {"a": {"size": "x", "sha256": ""}}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_manifest_is_a_fault_and_no_exception(folder, garbage):
    (folder / "manifest.json").write_bytes(garbage)
    assert fault(folder) == "manifest.json cannot be read"


def test_every_cut_of_the_manifest_is_a_fault(folder):
    whole = (folder / "manifest.json").read_bytes()
    for length in range(len(whole)):
        (folder / "manifest.json").write_bytes(whole[:length])
        assert fault(folder) == "manifest.json cannot be read"


def test_a_manifest_that_is_a_folder_or_names_the_impossible_is_a_fault(folder):
    (folder / "manifest.json").write_text(json.dumps({"files": {"a\0b": {"size": 1, "sha256": ""}}}))
    assert fault(folder) is not None
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()
    assert fault(folder) == "manifest.json cannot be read"


def test_the_manifest_comes_last(tmp_path, monkeypatch):
    """A crash at any moment before the end leaves a folder that counts as unfinished."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    synced = []
    real = os.fsync

    def crash_at(moment):
        def fsync(handle):
            if len(synced) == moment:
                raise KeyboardInterrupt
            synced.append(handle)
            real(handle)

        return fsync

    for moment in range(4):  # file a, file b, the folder, the manifest under its temporary name
        synced.clear()
        monkeypatch.setattr(module.os, "fsync", crash_at(moment))
        with pytest.raises(KeyboardInterrupt):
            seal(tmp_path)
        assert fault(tmp_path) == "no manifest"
    assert (tmp_path / "a").exists(), "control: a check that the folder has its files lets it by"
    synced.clear()
    monkeypatch.setattr(module.os, "fsync", crash_at(99))
    seal(tmp_path)
    assert fault(tmp_path) is None


def test_a_manifest_written_first_would_vouch_for_a_half_written_folder(tmp_path):
    """Control for the order: sizes known beforehand, manifest first, then the crash."""
    (tmp_path / "model.safetensors").write_bytes(bytes(100))
    seal(tmp_path)
    with open(tmp_path / "model.safetensors", "rb+") as file:  # space reserved, half of the bytes written
        file.write(b"\1" * 50)
    assert fault(tmp_path, deep=False) is None
    assert fault(tmp_path) == "model.safetensors has changed (SHA-256 differs)"


def test_facts_cannot_hide_the_list_of_files(tmp_path):
    with pytest.raises(TypeError):
        seal(tmp_path, files={})
