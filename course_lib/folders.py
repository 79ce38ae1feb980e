"""Where a reader's own work lies."""

import os
import tempfile
from pathlib import Path

from course_lib.errors import CourseError

DRIVE = Path("/content/drive/MyDrive")  # where Colab's own `drive.mount("/content/drive")` puts a reader's files


def work_folder() -> Path:
    """`my_work/` of the course folder around the current folder (or of the current folder); `COURSE_WORK` overrides it.

    Raises:
        CourseError: the current folder is gone.
    """
    if os.environ.get("COURSE_WORK"):
        return Path(os.path.expanduser(os.environ["COURSE_WORK"]))
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise CourseError(
            "The folder that this program was started in is gone: start it again in the course's folder."
        ) from None
    course = next((folder for folder in (here, *here.parents) if os.path.isdir(folder / "notebooks")), here)
    return course / "my_work"


def progress_folder() -> Path:
    """Where a reader's progress is kept: on Colab in the mounted Drive, else in `work_folder()`; `COURSE_PROGRESS` overrides.

    Raises:
        CourseError: as `work_folder`.
    """
    if os.environ.get("COURSE_PROGRESS"):
        return Path(os.path.expanduser(os.environ["COURSE_PROGRESS"]))
    if on_colab() and os.path.isdir(DRIVE):  # unlike Path.is_dir, False for a Drive that has lost its connection
        return DRIVE / "finetuning-course" / "progress"
    return work_folder() / "progress"


def on_colab() -> bool:
    """Whether this kernel runs on Google Colab, whose own disk is thrown away."""
    return "COLAB_RELEASE_TAG" in os.environ


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that a kill or a power cut at any moment leaves the old one or the new one; makes the folder.

    Raises:
        OSError: the folder cannot be made or written, or the disk is full. The old file is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
