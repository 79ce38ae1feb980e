"""Is this machine ready for the course? One line a part, each with one remedy; nothing is raised and nothing hangs."""

import os
import platform
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from course_lib.learn.examining import Line, aside, shown
from course_lib.learn.front_end import front_end
from course_lib.learn.gpu import gpu
from course_lib.learn.machine import GIB, disk, memory, nearest, processor
from course_lib.learn.packages import locked_versions, packages
from course_lib.learn.place import MOUNT, copy_earlier, is_lost
from course_lib.learn.progress import mine

SECONDS = 3.0  # all parts at a time
NETWORK_SECONDS = 2.0
FILES_COUNTED = 5000
TOKENS = ("HF_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY", "TOGETHER_API_KEY")


def examine(work: Path, lock: Path | None, **more: Callable[[], list[Line]]) -> list[Line]:
    """All parts of the machine, without importing torch; in three seconds, whatever hangs.

    Args:
        work: the reader's folder.
        lock: requirements lock file; without one, packages are compared with the ranges that the course asks for.
        more: further parts, by name.
    """
    parts = {
        "Python": lambda: [python()],
        "packages": lambda: packages(locked_versions(lock)),
        "GPU": lambda: [gpu()],
        "processor": lambda: [processor()],
        "memory": lambda: [memory()],
        "disk": lambda: [disk(work)],
        "work folder": lambda: [writable("work folder", work, "COURSE_WORK")],
        "progress": lambda: [progress()],
        "notebook": lambda: [front_end()],
        "network": lambda: [network()],
        "tokens": lambda: [tokens()],
        **more,
    }
    waiting = {name: aside(part, SECONDS, f"gave no answer within {SECONDS:.0f} s") for name, part in parts.items()}
    return [line for name, answer in waiting.items() for line in _lines(name, answer())]


def python() -> Line:
    """The running Python."""
    return Line("Python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer")


def writable(name: str, path: Path, variable: str) -> Line:
    """Whether files can be written in a folder, or where it is going to be made.

    Args:
        variable: the environment variable that names another folder.
    """
    remedy = f"allow writing in {shown(path, 200)}, or set {variable} to another folder before you start"
    try:
        tempfile.TemporaryFile(dir=nearest(path)).close()
    except OSError as error:
        return Line(name, False, f"cannot be written: {error.strerror}", remedy)
    return Line(name, True, f"can be written{_size(path)}", remedy)


def progress() -> Line:
    """Whether progress is kept, how much there is, and what is wrong with it."""
    if is_lost():
        return Line("progress", False, "kept on this Colab machine only, and lost with it", f"run `{MOUNT}`")
    kept, late = mine(), copy_earlier()
    known = len(kept.state())
    writing = writable("progress", kept.folder, "COURSE_PROGRESS")
    trouble = " ".join(filter(None, (*kept.troubles(), late)))
    if not writing.fine or not trouble:
        return Line("progress", writing.fine, f"{writing.seen}; items kept: {known}", writing.remedy)
    remedy = f"allow reading and writing in {shown(kept.folder, 200)}, and see that it is not full"
    if kept.newer and not (kept.unreadable or late):
        remedy = "update the course"
    elif kept.damaged and not (kept.unreadable or late):
        remedy = 'bring them back from an export of yours, `course.import_("FILE")`, or go on: the rest is safe'
    return Line("progress", False, shown(trouble, 400), remedy)


def network() -> Line:
    """Whether the model hub answers. Lessons do not need it, so both answers are fine."""
    needless = "not needed: lessons run from the cache"
    if os.environ.get("HF_HUB_OFFLINE", "").strip().lower() not in ("", "0", "no", "off", "false"):
        return Line("network", True, f"{needless} (not tried: HF_HUB_OFFLINE is set)")
    reached = aside(_reach_hub, NETWORK_SECONDS, False)() is True
    return Line("network", True, f"{needless} (the model hub {'answers' if reached else 'cannot be reached'})")


def tokens() -> Line:
    """Which access tokens are set; never anything of what they are."""
    there = [name for name in TOKENS if os.environ.get(name)]
    verb = "is" if len(there) == 1 else "are"
    return Line("tokens", True, f"{', '.join(there)} {verb} set" if there else "not set, not needed")


def _reach_hub() -> bool:
    hub = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    port = hub.port or (80 if hub.scheme == "http" else 443)
    socket.create_connection((hub.hostname, port), timeout=NETWORK_SECONDS).close()
    return True


def _size(path: Path) -> str:
    """How much is in a folder, in words; files that vanish meanwhile do not count."""
    seen = size = 0
    for folder, _, files in os.walk(path):
        for file in files:
            with suppress(OSError):
                size += os.lstat(os.path.join(folder, file)).st_size
        seen += 1 + len(files)
        if seen > FILES_COUNTED:
            return f", over {size / GIB:.1f} GiB in it"
    return f", {size / GIB:.1f} GiB in it" if size > GIB / 20 else ""


def _lines(part: str, answer: list[Line] | Exception | str) -> list[Line]:
    """The lines of a part; or one that says why it could not be examined."""
    if isinstance(answer, list):
        return answer
    if isinstance(answer, OSError):
        why = f"could not be examined: {answer.strerror or answer}"
    elif isinstance(answer, Exception):
        why = f"could not be examined (our fault): {type(answer).__name__}: {answer}"
    else:
        why = answer
    return [Line(part, False, shown(why, 200), "go on; if something fails later, look here first")]
