"""What was found, kept in files: a result beside what it was found from, so that nothing is done twice."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.prove.scores import Answer, Score, Scores
from course_lib.run.seal import MANIFEST


def kept(file: Path, inputs: Any) -> Any:
    """The result that a file keeps, if it was found from these inputs; else None, also when the file is damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return found["result"] if found["inputs"] == json.loads(json.dumps(inputs)) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def keep(file: Path, inputs: Any, result: Any) -> None:
    """Write a result beside its inputs, both JSON. Raises as `write`."""
    write(file, json.dumps({"inputs": inputs, "result": result}))


def write(file: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        CourseError: its folder cannot be written, or the disk is full.
    """
    try:
        write_whole(file, text)
    except OSError as error:
        raise CourseError(
            f"{file} could not be written ({error.strerror}): free space or write access is needed; then the same call goes on."
        ) from None


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, such as rows of data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def weights_digest(folder: Path) -> str:
    """Which weights a sealed folder holds, from its manifest: no large file is read."""
    files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    return digest({name: entry["sha256"] for name, entry in files.items() if name.endswith(".safetensors")})


def to_json(scores: Scores) -> dict:
    """Scores as plain data; `from_json` reads them back."""
    rows = {metric: np.asarray(table).tolist() for metric, table in scores.rows.items()}
    return {
        "scores": {metric: asdict(score) for metric, score in scores.scores.items()},
        "answers": [asdict(answer) for answer in scores.answers],
        "rows": rows,
        "digest": scores.digest,
    }


def from_json(plain: dict) -> Scores:
    """What `to_json` wrote."""
    return Scores(
        {metric: Score(**score) for metric, score in plain["scores"].items()},
        [Answer(**answer) for answer in plain["answers"]],
        {metric: np.array(table) for metric, table in plain["rows"].items()},
        plain["digest"],
    )
