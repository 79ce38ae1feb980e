"""What is kept beside the files of a job at a service: ids, never a key."""

import hashlib
import json
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.run.hosted_files import HostedFiles
from course_lib.run.hosted_wire import ID, JOBS

RECORD = "hosted_job.json"


def keep(folder: Path, record: dict) -> None:
    """Write the record of a folder whole. Raises CourseError when it cannot be written."""
    try:
        write_whole(folder / RECORD, json.dumps(record, indent=1) + "\n")
    except OSError as error:
        made = f"; note the id of the job that was made, {record['job']}" if record["job"] else ""
        raise CourseError(
            f"{folder / RECORD} could not be written ({error.strerror}): make room there{made}."
        ) from None


def read(folder: Path) -> dict | None:
    """What `submit` wrote in a folder; None where nothing is.

    Raises CourseError for a damaged record: taken for none, the job would be paid for again.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        wanted = {
            "base_url": str,
            "provider": str,
            "digest": str,
            "training_file": str,
            "job": str | None,
            "earlier": list,
        }
        right = isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in wanted.items())
        if (
            right
            and record["provider"] in JOBS
            and all(ID.fullmatch(record[key] or "none") for key in ("training_file", "job"))
        ):
            return record
    except FileNotFoundError:
        return None
    except (ValueError, OSError, RecursionError):
        pass
    raise CourseError(
        f"{folder / RECORD} is damaged: look for the job on the service's own page, then move the file away."
    )


def digest_of(files: HostedFiles) -> str:
    """SHA-256 over both files: the same examples have the same."""
    digest = hashlib.sha256()
    for file in (files.train, files.validation):
        digest.update(hashlib.sha256(file.read_bytes()).digest() if file else b"none")
    return digest.hexdigest()
