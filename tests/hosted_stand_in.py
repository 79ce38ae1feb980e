"""A fine-tuning service on 127.0.0.1 that speaks OpenAI's and Together's protocol, and fails as the real ones do."""

import email
import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-test-0123456789abcdefXYZ"
MODELS = ("small-model", "meta-llama/Small")
STAGES = {
    "openai": ("validating_files", "queued", "running", "succeeded"),
    "together": ("pending", "queued", "running", "completed"),
}
BOTH = {"model", "training_file", "validation_file", "suffix"}
KNOWN = {  # parameters of a new job
    "openai": BOTH | {"method", "seed"},
    "together": BOTH | {"n_epochs", "n_evals", "training_method", "from_checkpoint"},
}
JOBS = re.compile(r"/v1/(fine_tuning/jobs|fine-tunes)(?:/([^/]+))?(?:/(cancel|events))?$")


class StandIn:
    """State of the service. `troubles`: (part of the path, what to do) for the next requests that fit, each used once.

    What to do: an int (status to answer with), a dict (status, headers, body), "drop" (no answer), "done, then drop" (does
    as asked, then no answer), "slow", "html".
    """

    def __init__(self):
        self.files, self.jobs, self.requests, self.troubles = {}, [], [], []
        self.keys = set()  # that were sent here
        self.stage_by_poll, self.job_error, self.page = True, None, 100

    def made(self) -> int:
        return len(self.jobs)

    def asked(self, method: str, part: str) -> int:
        return sum(1 for how, path in self.requests if how == method and part in path)

    def trouble(self, method: str, path: str):
        for entry in self.troubles:
            how, part, what = entry
            if how == method and part in path:
                self.troubles.remove(entry)
                return what
        return None


def fault(status: int, message: str, code: str | None = None) -> tuple[int, dict]:
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve("GET")

    def do_POST(self):
        self._serve("POST")

    def _serve(self, method: str):
        state, path = self.server.state, self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        state.requests.append((method, path))
        state.keys.add((self.headers.get("authorization") or "").removeprefix("Bearer "))
        what = state.trouble(method, path)
        if what == "drop":
            self.close_connection = True
            return None
        if what == "slow":
            time.sleep(0.5)
        if what == "html":
            return self._send(200, b"<html><script>alert(1)</script>Please log in</html>", {}, "text/html")
        if isinstance(what, int):
            what = {"status": what}
        if isinstance(what, dict):
            said = what.get("body", fault(what["status"], "The server had an error while processing your request.")[1])
            return self._send(
                what["status"], json.dumps(said).encode(), {"retry-after": "0.02", **what.get("headers", {})}
            )
        key = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        if key != KEY:
            status, said = fault(401, f"Incorrect API key provided: {key}.", "invalid_api_key")
        else:
            status, said = self._do(state, method, path, body)
        if what == "done, then drop":
            self.close_connection = True
            return None
        return self._send(status, json.dumps(said).encode(), {})

    def _send(self, status: int, body: bytes, headers: dict, kind: str = "application/json"):
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _do(self, state: StandIn, method: str, path: str, body: bytes) -> tuple[int, dict]:
        if method == "POST" and path in ("/v1/files", "/v1/files/upload"):
            return self._upload(state, body)
        if method == "POST" and path == "/v1/chat/completions":
            return self._chat(state, json.loads(body))
        if not (found := JOBS.match(path)):
            return fault(404, f"Invalid URL ({method} {path})")
        kind = "openai" if found[1] == "fine_tuning/jobs" else "together"
        if found[2] is None:
            return self._create(state, kind, json.loads(body)) if method == "POST" else self._list(state)
        job = next((job for job in state.jobs if job["id"] == found[2]), None)
        if job is None:
            return fault(404, f"Could not find fine tune: {found[2]}", "fine_tune_not_found")
        if found[3] == "events":
            notes = [{"created_at": 1_700_000_000 + i, "message": text} for i, text in enumerate(job["_notes"])]
            return 200, {"object": "list", "data": notes[::-1], "has_more": False}
        if found[3] == "cancel":
            if job["status"] in ("succeeded", "completed", "failed", "cancelled"):
                return fault(400, "Job has already completed", "invalid_state")
            job["status"] = "cancelled"
        else:
            self._move_on(state, kind, job)
        return 200, {key: value for key, value in job.items() if not key.startswith("_")}

    def _upload(self, state: StandIn, body: bytes) -> tuple[int, dict]:
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        parts = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in email.message_from_bytes(head + body).get_payload()
        }
        if parts.get("purpose") != b"fine-tune":
            return fault(400, "Invalid purpose")
        for number, line in enumerate(parts["file"].splitlines(), 1):
            try:
                json.loads(line)
            except ValueError:
                return fault(400, f"Invalid file format. Line {number} is not JSON <script>alert(1)</script>.")
        file = f"file-{len(state.files) + 1}"
        state.files[file] = parts["file"]
        return 200, {"id": file, "object": "file", "status": "processed"}

    def _create(self, state: StandIn, kind: str, asked: dict) -> tuple[int, dict]:
        if refusal := self._refusal(state, kind, asked):
            return refusal
        job = {"id": f"ft-{len(state.jobs) + 1}", "status": STAGES[kind][0]}
        job["model"] = asked.get("model") or asked["from_checkpoint"]
        job |= {"training_file": asked["training_file"], "_asked": asked, "_notes": ["Created <b>job</b>"]}
        state.jobs.insert(0, job)
        return 200, {key: value for key, value in job.items() if not key.startswith("_")}

    def _refusal(self, state: StandIn, kind: str, asked: dict) -> tuple[int, dict] | None:
        """What the services refuse: unknown models and files, rows of another form than the method's, words of the other one."""
        known = MODELS if kind == "together" else (*MODELS, *self._tuned(state))
        if kind == "together" and ("model" in asked) == ("from_checkpoint" in asked):
            return fault(400, "You must specify either a model or a checkpoint to start a job from, not both")
        if asked.get("model", known[0]) not in known:
            return fault(404, f"The model `{asked['model']}` does not exist", "model_not_found")
        if asked.get("from_checkpoint") and asked["from_checkpoint"] not in self._tuned(state):
            return fault(404, f"The checkpoint {asked['from_checkpoint']} does not exist")
        if asked["training_file"] not in state.files:
            return fault(400, f"File {asked['training_file']} does not exist")
        method = asked.get("method", {}).get("type") or asked.get("training_method", {}).get("method")
        keys = {"input", "preferred_output", "non_preferred_output"} if method == "dpo" else {"messages"}
        for number, line in enumerate(state.files[asked["training_file"]].splitlines(), 1):
            if set(json.loads(line)) != keys:
                return fault(400, f"Invalid file format for this method. Line {number} has other keys.")
        strange = set(asked) - KNOWN[kind]
        return fault(400, f"Unknown parameter: {min(strange)}") if strange else None

    def _tuned(self, state: StandIn) -> list[str]:
        names = [job.get("fine_tuned_model") or job.get("output_name") for job in state.jobs]
        return [name for name in names if name]

    def _list(self, state: StandIn) -> tuple[int, dict]:
        after = re.search(r"after=([^&]+)", self.path)
        ids = [job["id"] for job in state.jobs]
        start = ids.index(after[1]) + 1 if after else 0
        page = [
            {"id": job["id"], "training_file": job["training_file"]} for job in state.jobs[start : start + state.page]
        ]
        return 200, {"object": "list", "data": page, "has_more": start + state.page < len(ids)}

    def _move_on(self, state: StandIn, kind: str, job: dict):
        stages = STAGES[kind]
        if job["status"] not in stages[:-1] or not state.stage_by_poll:
            return
        if state.job_error and job["status"] == "queued":
            job["status"] = "failed" if kind == "openai" else "error"
            job["_notes"].append(state.job_error)
            if kind == "openai":
                job["error"] = {"code": "invalid_training_file", "message": state.job_error}
            return
        job["status"] = stages[stages.index(job["status"]) + 1]
        job["_notes"].append(f"now {job['status']}")
        if job["status"] == stages[-1]:
            job["fine_tuned_model" if kind == "openai" else "output_name"] = f"ft:{job['model']}:{job['id']}"
            job["trained_tokens" if kind == "openai" else "token_count"] = 1234

    def _chat(self, state: StandIn, asked: dict) -> tuple[int, dict]:
        if asked["model"] not in {*MODELS, *self._tuned(state)}:
            return fault(404, f"The model `{asked['model']}` does not exist", "model_not_found")
        text = f"{asked['model']} heard: {asked['messages'][-1]['content']}"
        return 200, {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}


@contextmanager
def stand_in():
    """(address, state) of a service that runs in a thread until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.state = True, StandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", server.state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
