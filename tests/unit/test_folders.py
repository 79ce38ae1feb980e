import os

import pytest

from course_lib import folders


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
