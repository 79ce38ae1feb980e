"""Where a reader's own work lies."""

import os
from pathlib import Path


def work_folder() -> Path:
    """`my_work/` of the course folder around the current folder (or of the current folder); `COURSE_WORK` overrides it."""
    if os.environ.get("COURSE_WORK"):
        return Path(os.environ["COURSE_WORK"])
    here = Path.cwd()
    course = next((folder for folder in (here, *here.parents) if (folder / "notebooks").is_dir()), here)
    return course / "my_work"
