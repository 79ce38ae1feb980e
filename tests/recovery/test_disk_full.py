"""The disk fills up in the middle of a save: one plain sentence, nothing half-written is trusted, no step is lost.

As root on Linux the disk is a small tmpfs and really fills up: these tests are then called `[... tmpfs]`. Elsewhere they
are called `[... simulated]`: torch's save and the seal write half of their bytes and raise ENOSPC, whatever room is left.
"""

import errno
import os
import shutil
import subprocess

import pytest
import torch
from kills import result
from transformers import Trainer
from transformers.trainer_utils import get_last_checkpoint

from course_lib import train
from course_lib.errors import CourseError
from course_lib.run import train as train_module
from course_lib.run import trainer as trainer_module
from course_lib.run.checkpoints import newest_valid

PAGE = 4096


def tmpfs(folder, megabytes=8) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


class RealDisk:
    def __init__(self, folder):
        self.folder, self.filler = folder, folder / "filler"

    def fill(self, leave):
        """Leave room for so many bytes."""
        self.filler.write_bytes(bytes(shutil.disk_usage(self.folder).free // PAGE * PAGE - leave // PAGE * PAGE))

    def free(self):
        self.filler.unlink()


class SimulatedDisk:
    def __init__(self, folder):
        self.folder, self.patch = folder, pytest.MonkeyPatch()

    def fill(self, leave):
        def half(content, path, *_, **__):
            with open(path, "wb") as file:
                file.write(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch.setattr(torch, "save", half)
        for module in (train_module, trainer_module):
            self.patch.setattr(module, "seal", lambda folder, **_: half(None, folder / "manifest.json.tmp"))

    def free(self):
        self.patch.undo()


@pytest.fixture(scope="session")
def kind(tmp_path_factory):
    trial = tmp_path_factory.mktemp("mount")
    if not tmpfs(trial):
        return "simulated"
    subprocess.run(["umount", str(trial)], check=True)
    return "tmpfs"


@pytest.fixture
def disk(kind, tmp_path, record_property):
    record_property("disk", kind)
    print(f"The full disk is {'a real tmpfs' if kind == 'tmpfs' else 'simulated'}.")
    if kind == "simulated":
        yield (small := SimulatedDisk(tmp_path))
        small.patch.undo()
        return
    assert tmpfs(tmp_path)
    yield RealDisk(tmp_path)
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def room_before(checkpoint, name):
    """Bytes that leave room for every file written before `name`, and half of it."""
    room = 0
    for file in sorted(checkpoint.iterdir(), key=lambda file: file.stat().st_mtime_ns):
        pages = -(-file.stat().st_size // PAGE) * PAGE
        if file.name == name:
            return room + pages // 2
        room += pages
    raise AssertionError(f"{name} is no file of {checkpoint}")


OURS, STOCK = train_module.StageTrainer._save_checkpoint, Trainer._save_checkpoint


def fills_up_at_step_8(monkeypatch, disk, leave, save):
    """The disk is nearly full when the checkpoint of step 8 is about to be saved, with `save`."""

    def saves(trainer, model, trial):
        if trainer.state.global_step < 8:
            OURS(trainer, model, trial)
            return
        monkeypatch.setattr(train_module.StageTrainer, "_save_checkpoint", OURS)
        disk.fill(leave)
        save(trainer, model, trial)

    monkeypatch.setattr(train_module.StageTrainer, "_save_checkpoint", saves)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "optimizer.pt", "trainer_state.json", "manifest.json"])
def test_a_full_disk_in_mid_save_loses_nothing(plan, unbroken, expected, disk, monkeypatch, file):
    folder = disk.folder / "run"
    fills_up_at_step_8(monkeypatch, disk, room_before(unbroken.folder / "checkpoint-8", file), OURS)
    with pytest.raises(CourseError) as told:
        train(plan, folder=folder)
    assert str(told.value) == (
        "The disk filled up while step 8 was being saved. "
        "checkpoint-4 is complete: free some space and train again to go on from it."
    )
    assert newest_valid(folder).name == "checkpoint-4"
    assert not (folder / "checkpoint-8").exists()

    disk.free()
    assert result(train(plan, folder=folder).folder) == expected


def test_a_full_disk_while_the_result_is_saved_loses_no_step(plan, expected, disk, monkeypatch, capsys):
    folder, save = disk.folder / "run", train_module._save_final

    def saves(*args):
        disk.fill(100_000)
        save(*args)

    monkeypatch.setattr(train_module, "_save_final", saves)
    with pytest.raises(CourseError, match=r"The disk filled up while the result .* no step is lost\.$"):
        train(plan, folder=folder)
    assert not (folder / "final").exists()
    assert newest_valid(folder).name == "checkpoint-12"

    disk.free()
    monkeypatch.setattr(train_module, "_save_final", save)
    assert result(train(plan, folder=folder).folder) == expected
    assert "Going on from checkpoint-12 of 12 steps." in capsys.readouterr().out


def test_an_error_that_is_no_full_disk_is_not_taken_for_one(plan, monkeypatch, tmp_path):
    def saves(trainer, model, trial):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Trainer, "_save_checkpoint", saves)
    with pytest.raises(PermissionError):
        train(plan, folder=tmp_path / "run")


def test_control_the_stock_save_leaves_a_partial_checkpoint_that_the_stock_chooser_takes(
    plan, unbroken, disk, monkeypatch
):
    folder = disk.folder / "run"
    fills_up_at_step_8(monkeypatch, disk, room_before(unbroken.folder / "checkpoint-8", "optimizer.pt"), STOCK)
    with pytest.raises((OSError, RuntimeError)):
        train(plan, folder=folder)
    disk.free()
    assert get_last_checkpoint(folder).endswith("checkpoint-8")
    assert not (folder / "checkpoint-8" / "trainer_state.json").exists()
    assert newest_valid(folder).name == "checkpoint-4"
