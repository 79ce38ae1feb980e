"""`python -m course_lib.run plan.yaml [--folder F] [--fresh]`: one training run, outside a notebook.

Under `accelerate launch` or `torchrun` all processes that were started train the same run together.
"""

import argparse
import sys
from pathlib import Path

from course_lib.errors import CourseError
from course_lib.plan import Plan


def main(argv: list[str] | None = None) -> int:
    """Train the plan of a YAML file; the exit status is 0 when finished, 3 when stopped by Ctrl-C, 2 for a plain error."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.run", description="Train the plan of a YAML file.")
    parser.add_argument("plan", type=Path, help="plan file, as plan.to_yaml writes it")
    parser.add_argument("--folder", type=Path, help="where the run is kept (default: my_work/runs/METHOD-PLAN)")
    parser.add_argument("--fresh", action="store_true", help="throw away what the folder holds")
    chosen = parser.parse_args(argv)
    from course_lib.run.distributed import check_processes, first_to_say, group, say

    try:
        with group():
            try:
                plan = Plan.from_yaml(chosen.plan)
                check_processes(plan)
                from course_lib.run.train import train

                run = train(plan, folder=chosen.folder, resume=not chosen.fresh)
            except CourseError as error:
                return _refused(error, first_to_say(error))
            say(f"{run}\nSaved in {run.folder}")
    except CourseError as error:  # the processes did not meet
        return _refused(error, True)
    return 0 if run.finished else 3


def _refused(error: CourseError, speaks: bool) -> int:
    if speaks:
        print(error, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
