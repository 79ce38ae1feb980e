"""Which checkpoint of a run can be trusted, and which may go."""

import shutil
from pathlib import Path

from course_lib.run.seal import MANIFEST, fault


def _by_step(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True)


def newest_valid(folder: Path) -> Path | None:
    """The newest checkpoint whose manifest names every file and matches each one's size and SHA-256; None if there is none.

    Says which newer ones it passed over, and why.
    """
    for checkpoint in _by_step(folder):
        wrong = fault(checkpoint)
        if wrong is None:
            return checkpoint
        print(f"Passing over {checkpoint.name}: {wrong}.")
    return None


def prune(folder: Path, keep: int) -> None:
    """Delete what the `keep` newest whole checkpoints (by names and sizes) make useless; the manifest of each goes first."""
    whole = [checkpoint for checkpoint in _by_step(folder) if fault(checkpoint, deep=False) is None]
    if len(whole) < keep:
        return
    kept = _by_step(folder).index(whole[keep - 1]) + 1
    for checkpoint in _by_step(folder)[kept:]:
        (checkpoint / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(checkpoint, ignore_errors=True)


def throw_away(folder: Path) -> None:
    """Delete a run's result, checkpoints and what it wrote down, in each of its stages, and nothing else that the folder may hold."""
    for stage in [folder, *folder.glob("[12]-*/")]:
        for path in [stage / "final", *_by_step(stage)]:
            (path / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)
        for name in ("plan.yaml", "data.sha256", "reference.json", "looks.json"):
            (stage / name).unlink(missing_ok=True)
