"""A run of twelve steps on the tiny model, with dropout, so that a lost random state would change the weights."""

import gc
import json
import os

# Before torch is imported: threads that spin make these runs fifty times slower beside another busy process.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="0")

import pytest
from kills import result


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr("course_lib.run.train.busy_neighbours", lambda: 0.0)


@pytest.fixture(autouse=True, scope="session")
def quick_garbage_collection():
    """Each run searches for garbage, a third of a second long unless the imported libraries are left out."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def plan(tiny, tmp_path_factory):
    from course_lib import Plan
    from course_lib.run.mails import mails

    rows = tmp_path_factory.mktemp("data") / "rows.jsonl"
    rows.write_text("\n".join(json.dumps(row) for row in mails(30, "train")))
    fields = {"micro_batch": 2, "save_steps": 4, "dropout": 0.1, "lr": 0.01, "precision": "fp32", "max_len": 2048}
    return Plan(model=str(tiny), data=str(rows), n_train=24, **fields)


@pytest.fixture(scope="session")
def unbroken(plan, tmp_path_factory):
    """The run that nothing happened to."""
    from course_lib import train

    return train(plan, folder=tmp_path_factory.mktemp("unbroken") / "run")


@pytest.fixture(scope="session")
def expected(unbroken):
    """Its weights and losses, to the last bit."""
    return result(unbroken.folder)
