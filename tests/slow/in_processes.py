"""`torchrun ... in_processes.py jobs.json`: trains several plans, one after the other, in the processes that were started.

What each process saw of a job is written to `FOLDER.json`: the history, and by the class of its parameters how many
numbers it held, of how many. stop_at: a step before whose checkpoint the run is broken off. repeat: a short step is filled
up with rows that count, as accelerate does. accelerate: nothing is trained; the model is given to accelerate's own FSDP2.
"""

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import FullyShardedDataParallelPlugin
from torch.optim import AdamW

from course_lib.plan import Plan
from course_lib.run import train as train_module
from course_lib.run.distributed import everyone, group, is_main
from course_lib.run.methods import load_base

silent = train_module.silent


class Enough(Exception):
    """Breaks off a run."""


def held(model) -> dict[str, list[int]]:
    found = {}
    for parameter in model.parameters():
        here = parameter.to_local() if hasattr(parameter, "to_local") else parameter
        counts = found.setdefault(type(parameter).__name__, [0, 0])
        counts[0] += here.numel()
        counts[1] += parameter.numel()
    return found


def one(plan: Plan, folder: str, stop_at: int | None = None, repeat: bool = False, accelerate: bool = False) -> dict:
    """What this process saw of a job."""
    if accelerate:
        model = load_base(plan.model, plan)
        with_fsdp = Accelerator(cpu=True, fsdp_plugin=FullyShardedDataParallelPlugin(fsdp_version=2))
        return {"held": held(with_fsdp.prepare(model, AdamW(model.parameters()))[0])}
    parameters = {}

    def watch(step, model):
        parameters.update(held(model))
        if step == stop_at:
            raise Enough

    train_module.silent = (lambda row: row) if repeat else silent
    try:
        history = train_module.train(plan, folder=folder, watch=watch).history
    except Enough:
        history = []
    return {"history": history, "held": parameters}


if __name__ == "__main__":
    with group():
        for job in json.loads(Path(sys.argv[1]).read_text()):
            seen = everyone(one(Plan(**job.pop("plan")), **job))
            if is_main():
                Path(f"{job['folder']}.json").write_text(json.dumps(seen))
