"""Bytes that are on disk when a call returns: neither a kill nor a power cut takes them away."""

import os
from contextlib import suppress
from pathlib import Path


def append(path: Path, data: bytes) -> None:
    """Write at the end of a file that nobody else writes, and wait for the disk; makes the file and its folder.

    Raises:
        OSError: it could not be written; as much as possible of it is taken back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
    try:
        size, left = os.fstat(handle).st_size, memoryview(data)
        try:
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    if new:
        sync_folders(path.parent)


def sync_folders(folder: Path) -> None:
    """Make the names of a new file and of new folders durable."""
    for one in (folder, *folder.parents[:2]):
        sync(one)


def sync(path: Path) -> None:
    """Wait until it is on disk, where the system can do that (Windows cannot, for a folder)."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
