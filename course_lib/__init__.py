"""Choose, run and prove a fine-tuning strategy: the helper package of the course.

Names are resolved on first use, so that `import course_lib` is instant and torch is loaded only where it is needed.
"""

import os
from importlib import import_module

# OpenMP threads that spin at barriers make training 10 to 50 times slower as soon as another process wants a core.
# Sleeping instead costs about a fifth of the speed of a machine that has nothing else to do; `make test` sets it.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_WHERE = {
    "CourseError": "errors",
    "Plan": "plan",
    "PROFILES": "profile",
    "current_profile": "profile",
    "work_folder": "folders",
    "Run": "run.train",
    "train": "run.train",
    "load": "run.data",
    "show_mask": "run.chat",
    "evaluate": "prove.evaluate",
    "Scores": "prove.evaluate",
    "Report": "prove.report",
    "doctor": "cli",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"course_lib has no {name}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"course_lib.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
