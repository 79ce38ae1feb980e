"""A folder that can say whether it is whole: sizes and SHA-256 of its files in a manifest that is written last."""

import hashlib
import json
import os
from pathlib import Path

MANIFEST = "manifest.json"


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, as 64 hex digits. Raises OSError when the file cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: str | Path, **facts) -> None:
    """Write `manifest.json` into `folder`: {"files": {path: {"size": bytes, "sha256": hex}}, **facts}.

    Every file is on the disk before the manifest appears, and the manifest appears whole or not at all: a folder that
    a crash left half-written has none. `facts` must be JSON values.

    Raises OSError when the disk fails or is full.
    """
    folder = Path(folder)
    manifest, unfinished = folder / MANIFEST, folder / f"{MANIFEST}.tmp"

    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path not in (manifest, unfinished)):
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": sha256(path)}
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    for path in [*(path for path in folder.rglob("*") if path.is_dir()), folder]:
        _sync_folder(path)

    with open(unfinished, "w", encoding="utf-8") as file:
        json.dump(dict(files=files, **facts), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, manifest)
    _sync_folder(folder)


def fault(folder: str | Path, deep: bool = True) -> str | None:
    """The first thing wrong with a sealed folder, as a short phrase; None when it is whole. Never raises on damage.

    deep: compare SHA-256 too (reads every byte), else only that each file is there with the right size.
    """
    folder = Path(folder)
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
        expected = [(name, int(entry["size"]), entry["sha256"]) for name, entry in files.items()]
    except (FileNotFoundError, NotADirectoryError):
        return "no manifest"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} cannot be read"

    for name, size, digest in expected:
        try:
            if not (folder / name).is_file():
                return f"{name} is missing"
            found = (folder / name).stat().st_size
            if found < size:
                return f"{name} is cut: {found} bytes of {size}"
            if found > size:
                return f"{name} has grown: {found} bytes instead of {size}"
            if deep and sha256(folder / name) != digest:
                return f"{name} has changed (SHA-256 differs)"
        except (OSError, ValueError):
            return f"{name} cannot be read"
    return None


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Windows cannot open a folder for this, and needs it less."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
