"""Colab: what is kept, where, and what was done before Drive was mounted."""

import pytest

from course_lib import folders
from course_lib.learn import place
from course_lib.learn.progress import Progress, keep, mine


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """A Colab machine whose Drive is not mounted yet; gives the folder that mounting makes."""
    drive = tmp_path / "drive" / "MyDrive"
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab_20261101")
    monkeypatch.delenv("COURSE_PROGRESS")
    monkeypatch.delenv("COURSE_WORK", raising=False)
    for module in (folders, place):
        monkeypatch.setattr(module, "DRIVE", drive)
    (tmp_path / "content").mkdir()
    monkeypatch.chdir(tmp_path / "content")
    return drive


def test_elsewhere_nothing_is_said(colab, monkeypatch):
    monkeypatch.delenv("COLAB_RELEASE_TAG")
    assert place.where_kept() == ""


def test_without_drive_one_sentence_says_that_it_is_lost_and_what_keeps_it(colab):
    said = place.where_kept()
    assert said == place.LOST
    assert "lost with it" in said
    assert '`from google.colab import drive; drive.mount("/content/drive")`' in said
    assert "course.export()" in said


def test_with_drive_progress_goes_there_and_what_was_done_before_comes_along_once(colab):
    assert keep("100", "run") == ""
    colab.mkdir(parents=True)
    assert keep("104.1", "correct") == ""
    for _ in range(3):
        said = place.where_kept()
        assert said == "Your progress is kept in your Google Drive, in finetuning-course/progress."
    kept = Progress(colab / "finetuning-course" / "progress")
    assert kept.state() == {"100": "run", "104.1": "correct"}
    assert len(kept.events()) == sum(len(path.read_text().splitlines()) for path in kept.folder.iterdir()) == 2
    assert folders.work_folder().parent.name == "content", "training runs belong on the machine's own disk"


def test_another_machine_finds_it(colab, monkeypatch):
    colab.mkdir(parents=True)
    keep("104", "run")
    (colab.parents[1] / "other machine").mkdir()
    monkeypatch.chdir(colab.parents[1] / "other machine")
    place.where_kept()
    assert mine().state() == {"104": "run"}


def test_a_drive_that_cannot_be_written_is_one_sentence_and_nothing_is_lost(colab, monkeypatch):
    keep("100", "run")
    colab.mkdir(parents=True)
    (colab / "finetuning-course").write_text("in the way")
    said = place.where_kept()
    assert "could not be copied" in said
    assert "still on this Colab machine" in said
    (colab / "finetuning-course").unlink()
    place.where_kept()
    assert mine().state() == {"100": "run"}


def test_it_never_raises(colab, monkeypatch):
    monkeypatch.setattr(place, "is_lost", lambda: 1 / 0)
    assert "could not be found out: ZeroDivisionError" in place.where_kept()


def test_a_folder_of_the_readers_own_choice_is_named(colab, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "mine"))
    assert place.where_kept() == f"Your progress is kept in {tmp_path / 'mine'}."
    assert not place.is_lost()
