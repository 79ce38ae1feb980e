"""Kernels that record progress in one folder while one after the other is killed, in a light process of their own.

`python progress_writer.py FOLDER SECONDS KIND` prints as JSON how many kills there were. Each kernel puts the ids of what
`record` has returned into a file of its own, FOLDER/acknowledged/NUMBER. KIND is what keeps the events: "ours", or as a
control one JSON file that each kernel reads and writes anew, "rewritten" in place or "replaced" by a new one.
"""

import json
import os
import random
import secrets
import signal
import sys
import time
from itertools import count
from pathlib import Path

from course_lib.learn.progress import Progress

KERNELS = 8
BETWEEN_KILLS = 0.13  # seconds


class JsonFile:
    """The events in one JSON file, as most notebooks would keep them."""

    def __init__(self, folder: Path, replaced: bool):
        self.path, self.replaced = folder / "progress.json", replaced
        folder.mkdir(parents=True, exist_ok=True)

    def record(self, item: str, outcome: str) -> dict:
        event = {"item": item, "outcome": outcome, "id": secrets.token_hex(8)}
        target = self.path.with_name(secrets.token_hex(8)) if self.replaced else self.path
        text = json.dumps([*self.events(), event])
        with open(target, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if self.replaced:
            os.replace(target, self.path)
        return event

    def events(self) -> list[dict]:
        try:
            return json.loads(self.path.read_text())
        except (OSError, ValueError):
            return []


def open_kept(folder: Path, kind: str) -> Progress | JsonFile:
    return Progress(folder / "progress") if kind == "ours" else JsonFile(folder / "progress", kind == "replaced")


def start(folder: Path, kind: str, number: int) -> int:
    """Fork a kernel that records until it is killed; its id."""
    if child := os.fork():
        return child
    try:
        kept = open_kept(folder, kind)
        acknowledged = os.open(folder / "acknowledged" / str(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for i in count():
            event = kept.record(f"104.{i % 9}", ("correct", "not yet", "ticked")[i % 3])
            os.write(acknowledged, f"{event['id']}\n".encode())
    finally:
        os._exit(1)


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != -signal.SIGKILL:
        raise SystemExit(f"A kernel ended by itself ({status}).")


def main(folder: Path, seconds: float, kind: str) -> None:
    (folder / "acknowledged").mkdir(parents=True)
    rng, numbers, begin = random.Random(0), count(), time.monotonic()
    kernels = [start(folder, kind, next(numbers)) for _ in range(KERNELS)]
    kills = 0
    while time.monotonic() < begin + seconds:
        time.sleep(BETWEEN_KILLS * rng.uniform(0.5, 1.5))
        unlucky = rng.randrange(KERNELS)
        end(kernels[unlucky])
        kernels[unlucky] = start(folder, kind, next(numbers))
        kills += 1
    for child in kernels:
        end(child)
    print(json.dumps({"kills": kills}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
