"""A damaged checkpoint is named and passed over, and the run still ends with the same weights."""

import functools
import shutil

import pytest
from kills import result

from course_lib import train
from course_lib.run import checkpoints
from course_lib.run.checkpoints import newest_valid
from course_lib.run.seal import MANIFEST, fault, seal

FILES = (
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    MANIFEST,
    "optimizer.pt",
    "rng_state.pth",
    "scheduler.pt",
    "trainer_state.json",
    "training_args.bin",
)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one bit flipped": flip_a_bit,
}


@pytest.fixture
def folder(unbroken, tmp_path):
    """The run as it was after its last checkpoint, before its result was saved."""
    copy = shutil.copytree(unbroken.folder, tmp_path / "run")
    shutil.rmtree(copy / "final")
    assert newest_valid(copy).name == "checkpoint-12"
    return copy


def test_the_table_has_every_file_of_a_checkpoint(folder):
    assert sorted(path.name for path in (folder / "checkpoint-12").iterdir()) == sorted(FILES)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", FILES)
def test_the_fault_is_named_and_the_checkpoint_before_is_chosen(folder, file, damage, capsys):
    DAMAGE[damage](folder / "checkpoint-12" / file)
    assert newest_valid(folder).name == "checkpoint-8"
    said = capsys.readouterr().out
    assert said.startswith("Passing over checkpoint-12: ")
    assert file in said or file == MANIFEST
    if file == MANIFEST and damage == "missing":
        assert "no manifest" in said


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("adapter_model.safetensors", "one bit flipped"),
        ("optimizer.pt", "cut in half"),
        ("trainer_state.json", "missing"),
        (MANIFEST, "empty"),
    ],
)
def test_training_goes_on_from_the_one_before_to_the_same_weights(plan, folder, expected, file, damage, capsys):
    DAMAGE[damage](folder / "checkpoint-12" / file)
    assert result(train(plan, folder=folder).folder) == expected
    assert "Going on from checkpoint-8 of 12 steps." in capsys.readouterr().out
    assert fault(folder / "checkpoint-12") is None, "the damaged checkpoint was written anew"


def test_a_run_with_no_whole_checkpoint_starts_anew(plan, folder, expected, capsys):
    flip_a_bit(folder / "checkpoint-12" / "optimizer.pt")
    (folder / "checkpoint-8" / "rng_state.pth").unlink()
    assert result(train(plan, folder=folder).folder) == expected
    said = capsys.readouterr().out
    assert "checkpoint-12: optimizer.pt has changed" in said
    assert "checkpoint-8: rng_state.pth is missing" in said
    assert "Going on" not in said


def test_a_damaged_result_is_made_again(plan, folder, unbroken, expected):
    shutil.copytree(unbroken.folder / "final", folder / "final")
    flip_a_bit(folder / "final" / "adapter_model.safetensors")
    assert result(train(plan, folder=folder).folder) == expected


def test_control_comparing_sizes_alone_takes_a_flipped_bit_for_weights(plan, folder, expected, monkeypatch):
    flip_a_bit(folder / "checkpoint-12" / "adapter_model.safetensors")
    monkeypatch.setattr(checkpoints, "fault", functools.partial(fault, deep=False))
    assert newest_valid(folder).name == "checkpoint-12"
    got = result(train(plan, folder=folder).folder)
    assert got["weights"] != expected["weights"], "the damage went into the result without a word"


def test_control_without_the_random_state_the_weights_come_out_different(plan, folder, expected):
    shutil.rmtree(folder / "checkpoint-12")
    (folder / "checkpoint-8" / "rng_state.pth").unlink()
    seal(folder / "checkpoint-8", step=8)
    assert result(train(plan, folder=folder).folder)["weights"] != expected["weights"]
