"""Runs exported scripts one after the other in one process that cannot import our package."""

import json
import os
import subprocess
import sys
from pathlib import Path

HARNESS = """
import json, runpy, sys
from transformers import Trainer

trained, train = [], Trainer.train

def noted(self, *args, **kwargs):
    trained.append(self)
    return train(self, *args, **kwargs)

Trainer.train = noted
Trainer._save_checkpoint = lambda *_, **__: None  # 1.6 GB for the real model, and of no use here

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "course_lib":
            raise ImportError("course_lib is blocked")

sys.meta_path.insert(0, Blocked())
jobs, said = json.load(open("jobs.json")), {}
for name, arguments in jobs.items():
    sys.argv = arguments
    trained.clear()
    try:
        runpy.run_path(arguments[0], run_name="__main__")
        losses = [[entry["loss"] for entry in one.state.log_history if "loss" in entry] for one in trained]
        rows = trained[-1].train_dataset
        columns = {key: rows[key][:] for key in ("input_ids", "labels") if key in rows.column_names}
        said[name] = {"losses": losses, "columns": columns}
    except BaseException as error:
        said[name] = {"error": f"{type(error).__name__}: {error}"}
json.dump(said, open("said.json", "w"))
"""


def run_scripts(here: Path, jobs: dict[str, list[str]]) -> dict[str, dict]:
    """For each name the losses of each trainer and the rows of the last one, or the error; `jobs`: file and arguments.

    A job named "ours", which imports our package, is added: it must end in an error.
    """
    (here / "ours.py").write_text("import course_lib")
    (here / "harness.py").write_text(HARNESS)
    (here / "jobs.json").write_text(json.dumps(jobs | {"ours": ["ours.py"]}))
    quiet = {"HF_DATASETS_CACHE": str(here / "cache"), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "harness.py"],
        cwd=here,
        capture_output=True,
        text=True,
        env=os.environ | quiet,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads((here / "said.json").read_text())
    assert said.pop("ours") == {"error": "ImportError: course_lib is blocked"}
    return said


def write_lines(file: Path, rows: list[dict]) -> str:
    """Write rows as JSON lines; returns the path."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def unmarked(tokenizer):
    """A tokenizer with its chat template as most models have it: without marks around the answer."""
    for mark in ("{% generation %}", "{% endgeneration %}"):
        tokenizer.chat_template = tokenizer.chat_template.replace(mark, "")
    return tokenizer
