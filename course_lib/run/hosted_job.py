"""A job at a fine-tuning service: where it stands, in words."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from course_lib.errors import CourseError
from course_lib.run.hosted_wire import JOBS, Refused, Unclear, Wire, tidy
from course_lib.said import clip, say

STATUS = {  # the services' words -> ours; one that is not here counts as running
    **dict.fromkeys(("validating_files", "queued", "pending"), "waiting"),
    **dict.fromkeys(("succeeded", "completed"), "done"),
    **dict.fromkeys(("failed", "error", "user_error"), "failed"),
    "cancelled": "cancelled",
}


@dataclass(frozen=True)
class State:
    """Where a job stands. model: name to call it by, None before it is done. message: what the service says of a failure."""

    job: str
    status: Literal["waiting", "running", "done", "failed", "cancelled"]
    service_status: str
    model: str | None
    message: str
    trained_tokens: int | None

    def __str__(self) -> str:
        if self.status == "done":
            trained = f", trained on {self.trained_tokens:,} tokens" if self.trained_tokens else ""
            return f"Job {self.job} is done: the model is {self.model}{trained}."
        if self.status == "failed":
            return f"Job {self.job} has failed. The service says: {self.message or 'nothing'}"
        return f"Job {self.job} is {self.status}" + (
            f" ({self.service_status})." if self.status != "cancelled" else "."
        )


class Job:
    """One job. It goes on at the service whatever becomes of this kernel; `Hosted.job(folder)` finds it again."""

    def __init__(self, wire: Wire, folder: Path, id: str):
        self.wire, self.folder, self.id = wire, folder, id
        self._path = f"{JOBS[wire.provider]}/{id}"

    def __repr__(self) -> str:
        return f"Job({self.id!r}, folder={str(self.folder)!r})"

    def poll(self) -> State:
        """Ask once where the job stands. Raises CourseError when the service cannot be asked."""
        return self._state(self.wire.get(self._path, f"the job {self.id}"))

    def wait(self, timeout_s: float = 3600, every_s: float = 15) -> str:
        """Ask every `every_s` seconds until the job is done, say each change, and return the new model's name.

        A service that is out of reach or busy is asked again until `timeout_s` seconds have passed.

        Raises:
            CourseError: the job failed (with the service's reason) or was cancelled, or the time is over and it goes on.
        """
        end, last = time.monotonic() + timeout_s, ""
        try:
            while True:
                state = None
                try:
                    state = self.poll()
                    words = str(state)
                except (Unclear, Refused) as trouble:
                    if isinstance(trouble, Refused) and trouble.retry_after is None:
                        raise
                    words = str(trouble)
                if state and state.status in ("failed", "cancelled"):
                    raise CourseError(f"{words} Mend the cause, then submit with again=True.")
                if words != last:
                    last = say(words)
                if state and state.status == "done":
                    return state.model
                left = end - time.monotonic()
                if left <= 0:
                    raise CourseError(
                        f"Job {self.id} is not done after {timeout_s:g} s; it goes on at the service, and is paid for: look again with "
                        f"Hosted(...).job({str(self.folder)!r}).wait(), or stop it with .cancel()."
                    )
                time.sleep(min(max(every_s, 0), left))
        except KeyboardInterrupt:
            say(f"Job {self.id} goes on at the service, and is paid for; stop it with .cancel().")
            raise

    def cancel(self) -> State:
        """Stop the job; what was trained until then may be charged. Raises CourseError when the service refuses."""
        return self._state(self.wire.post(f"{self._path}/cancel", f"the end of job {self.id}"))

    def events(self) -> list[str]:
        """What the service has noted of the job, the newest 100 at most, oldest first. Raises CourseError as `poll`."""
        query = {"limit": 100} if self.wire.provider == "openai" else {}
        found, _ = self.wire.list(f"{self._path}/events", f"the events of job {self.id}", **query)
        lines = [f"{_when(event.get('created_at'))} {clip(tidy(str(event.get('message'))), 300)}" for event in found]
        return sorted(lines)[-100:]

    def _state(self, answer: dict) -> State:
        said = tidy(str(answer.get("status")))
        status = STATUS.get(said, "running")
        model = next(
            (answer[key] for key in ("fine_tuned_model", "output_name", "model_output_name") if answer.get(key)), None
        )
        if status == "done" and not isinstance(model, str):
            raise Unclear(f"{self.wire.host} calls job {self.id} done but names no model: look at its own page.")
        error = answer.get("error")
        message = error.get("message") if isinstance(error, dict) else error
        if status == "failed" and not message:
            message = (self.events() or [""])[-1]
        tokens = answer.get("trained_tokens") or answer.get("token_count")
        return State(
            self.id,
            status,
            clip(said, 60),
            model if status == "done" else None,
            clip(tidy(str(message or "")), 300),
            tokens if isinstance(tokens, int) else None,
        )


def _when(stamp: object) -> str:
    """A time as text that sorts: seconds since 1970 (OpenAI) or already text (Together)."""
    if isinstance(stamp, int | float) and 0 <= stamp < 1e11:
        return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return clip(tidy(str(stamp or "")), 30)
