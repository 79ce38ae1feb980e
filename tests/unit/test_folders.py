import os

import pytest

from course_lib import folders
from course_lib.errors import CourseError


def test_a_file_is_written_whole_and_its_folder_made(tmp_path):
    path = tmp_path / "new" / "plan.yaml"
    folders.write_whole(path, "rank: 8")
    assert path.read_text() == "rank: 8"
    assert os.listdir(path.parent) == ["plan.yaml"]


def test_a_write_that_is_cut_off_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "plan.yaml"
    folders.write_whole(path, "old")

    def stop(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders.os, "replace", stop)
    with pytest.raises(OSError, match="No space left"):
        folders.write_whole(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["plan.yaml"]


def test_progress_lies_in_the_work_folder_but_on_colab_in_drive(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_PROGRESS")
    monkeypatch.setenv("COURSE_WORK", "~/work")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(folders, "DRIVE", tmp_path / "MyDrive")
    assert folders.progress_folder() == tmp_path / "work" / "progress"
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert folders.progress_folder() == tmp_path / "work" / "progress"
    (tmp_path / "MyDrive").mkdir()
    assert folders.progress_folder() == tmp_path / "MyDrive" / "finetuning-course" / "progress"
    monkeypatch.delenv("COLAB_RELEASE_TAG")
    assert folders.progress_folder() == tmp_path / "work" / "progress"


def test_a_drive_that_lost_its_connection_is_as_good_as_none(tmp_path, monkeypatch):
    def cut_off(path, *_, **__):
        raise OSError(107, "Transport endpoint is not connected")

    monkeypatch.delenv("COURSE_PROGRESS")
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    monkeypatch.setattr(os, "stat", cut_off)
    with pytest.raises(OSError, match="not connected"):
        folders.DRIVE.is_dir()
    assert folders.progress_folder() == tmp_path / "progress"


def test_a_folder_that_is_gone_is_one_sentence(tmp_path, monkeypatch):
    def gone():
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.delenv("COURSE_WORK", raising=False)
    monkeypatch.setattr(os, "getcwd", gone)
    with pytest.raises(CourseError, match="start it again in the course's folder"):
        folders.work_folder()
