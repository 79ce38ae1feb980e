"""Where a reader's progress is kept on Colab, whose own disk is thrown away."""

from course_lib.folders import DRIVE, on_colab, progress_folder, work_folder
from course_lib.learn.progress import Progress, mine

MOUNT = 'from google.colab import drive; drive.mount("/content/drive")'
LOST = (
    "Your progress is kept on this Colab machine only and is lost with it: to keep it, run "
    f"`{MOUNT}` and then this cell again, or save it as a file with `course.export()`."
)


def where_kept() -> str:
    """One sentence on Colab, empty elsewhere. What was done before Drive was mounted is copied into it. Never raises."""
    try:
        if not on_colab():
            return ""
        return LOST if is_lost() else copy_earlier() or f"Your progress is kept in {_place()}."
    except Exception as error:
        return f"Where your progress is kept could not be found out: {type(error).__name__}: {error}."


def is_lost() -> bool:
    """Whether progress lies on a Colab machine's own disk only."""
    kept = progress_folder()
    return on_colab() and kept == work_folder() / "progress" and not kept.is_relative_to(DRIVE)


def copy_earlier() -> str:
    """Copy what was done on Colab before Drive was mounted, once; empty, or why it could not be, in words."""
    earlier = Progress(work_folder() / "progress")
    if not on_colab() or earlier.folder == progress_folder():
        return ""
    try:
        mine().add(earlier.events())
    except OSError as error:
        return (
            f"What you did before could not be copied to {_place()} ({error.strerror}): make room there, then run this "
            "cell again; it is still on this Colab machine."
        )
    return ""


def _place() -> str:
    kept = progress_folder()
    return f"your Google Drive, in {kept.relative_to(DRIVE)}" if kept.is_relative_to(DRIVE) else str(kept)
