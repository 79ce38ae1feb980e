"""Where a reader's own work lies."""

import os
import tempfile
from pathlib import Path


def work_folder() -> Path:
    """`my_work/` of the course folder around the current folder (or of the current folder); `COURSE_WORK` overrides it."""
    if os.environ.get("COURSE_WORK"):
        return Path(os.environ["COURSE_WORK"])
    here = Path.cwd()
    course = next((folder for folder in (here, *here.parents) if (folder / "notebooks").is_dir()), here)
    return course / "my_work"


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that a kill at any moment leaves the old one or the new one; makes the folder.

    Raises:
        OSError: the folder cannot be made or written, or the disk is full. The old file is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
