"""Choose, run and prove a fine-tuning strategy: the helper package of the course.

Names are resolved on first use, so that `import course_lib` is instant and torch is loaded only where it is needed.
"""

import os
from importlib import import_module

# The tokenizer's own threads warn on stderr, and can deadlock, once a process has forked.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_WHERE = {
    "CourseError": "errors",
    "Plan": "plan",
    "Situation": "choose.situation",
    "GUIDES": "choose.guides",
    "SCENARIOS": "choose.guides",
    "compare_guides": "choose.guides",
    "recommend": "choose.selector",
    "Recommendation": "choose.selector",
    "ModelShape": "choose.shapes",
    "estimate": "choose.memory",
    "largest_model": "choose.memory",
    "MemoryEstimate": "choose.memory_estimate",
    "score": "choose.score",
    "speed": "choose.cost",
    "training_time": "choose.cost",
    "price": "choose.cost",
    "simulate": "run.simulate",
    "measure": "run.simulate",
    "Selector": "widgets.selector",
    "PROFILES": "profile",
    "current_profile": "profile",
    "work_folder": "folders",
    "Run": "run.train",
    "train": "run.train",
    "dry_run": "run.dry_run",
    "load": "run.data",
    "show_mask": "run.chat",
    "evaluate": "prove.evaluate",
    "Scores": "prove.evaluate",
    "difference": "prove.scores",
    "forgetting": "prove.forgetting",
    "Report": "prove.report",
    "run_pipeline": "prove.pipeline",
    "claims": "prove.claims",
    "compare_runs": "prove.compare",
    "search": "prove.search",
    "doctor": "cli",
    "Progress": "learn.progress",
    "export": "learn.exchange",
    "import_": "learn.exchange",
    "check_all": "learn.check_all",
    "lesson": "learn.reader",
    "finish": "learn.reader",
    "next": "learn.reader",
    "progress": "learn.reader",
    "path": "learn.reader",
    "focus": "learn.reader",
    "tick": "learn.reader",
    "untick": "learn.reader",
    "note": "learn.reader",
    "stuck": "learn.stuck",
    "quiz": "widgets.quiz",
    "Dashboard": "widgets.dashboard",
    "Timer": "widgets.timer",
    "Stuck": "widgets.stuck",
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
