"""Twenty thousand situations: one answer each, always fitting, quickly, and a plan that `train` accepts."""

import time
from functools import cache

import pytest
from situations import faults, random_situations

from course_lib import CourseError, Plan, recommend
from course_lib.choose import fitting
from course_lib.run import dry_run as module
from course_lib.run.dry_run import dry_run

# Fields of a plan that its model, or its rows, are checked by; plans that agree in them are looked at once.
MODEL = ("model", "method", "targets", "variant", "first_layer", "placement", "gradient_checkpointing", "attention")
ROWS = ("objective", "data", "pairs", "texts", "n_train", "max_len", "n_gpus", "model")


def test_twenty_thousand_situations():
    seconds = []
    for situation in random_situations(20_000):
        started = time.process_time()
        found = recommend(situation)
        assert found.what_would_change is None or found.what_would_change.method != found.method
        seconds.append(time.process_time() - started)
        assert faults(found) == [], situation
    seconds.sort()
    assert seconds[int(0.99 * len(seconds))] < 0.05


def refused(monkeypatch, n: int) -> list[tuple[Plan, str]]:
    """Plans of n situations that the dry run refuses, each kind of plan once, and why."""
    monkeypatch.setattr(module.data_module, "load", cache(module.data_module.load))
    for name, fields in (("_model", MODEL), ("_data", ROWS)):
        once(monkeypatch, name, fields)
    found, seen = [], set()
    for situation in random_situations(n):
        plan = recommend(situation).plan
        if plan is None or plan in seen:
            continue
        seen.add(plan)
        try:
            dry_run(plan)
        except CourseError as error:
            found.append((plan, str(error)))
    assert len(seen) > n / 20
    return found


def once(monkeypatch, name: str, fields: tuple[str, ...]) -> None:
    look, known = getattr(module, name), {}

    def looked(plan: Plan) -> str:
        key = (plan.objective == "classification", *(getattr(plan, field) for field in fields))
        if key not in known:
            known[key] = look(plan)
        return known[key]

    monkeypatch.setattr(module, name, looked)


def test_train_accepts_the_plan_of_each(monkeypatch):
    assert refused(monkeypatch, 20_000) == []


@pytest.mark.parametrize(
    ("name", "broken", "says"),
    [
        ("NO_CLASSIFIER", (), "no classifier of type granite"),
        ("NO_SDPA", (), "set attention to eager"),
    ],
)
def test_control_a_broken_rule_is_found(monkeypatch, name, broken, says):
    monkeypatch.setattr(fitting, name, broken)
    remembered = (fitting.models, fitting.nearest, fitting.need)
    for function in remembered:
        function.cache_clear()
    try:
        assert any(says in reason for _, reason in refused(monkeypatch, 2_000))
    finally:
        for function in remembered:
            function.cache_clear()
