"""Eight kernels record in one folder while one is killed about every 0.13 s: nothing that `record` returned is lost.

`COURSE_SOAK` is its length in seconds. The controls are stores that read and write one JSON file: they lose events.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from progress_writer import BETWEEN_KILLS, open_kept

SECONDS = float(os.environ.get("COURSE_SOAK", "10"))
WRITER = Path(__file__).with_name("progress_writer.py")


def soak(folder, seconds, kind):
    """What was kept, the ids that were acknowledged, and how many kernels were killed."""
    command = [sys.executable, str(WRITER), str(folder), str(seconds), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    assert done.returncode == 0, done.stderr
    acknowledged = [id for path in (folder / "acknowledged").iterdir() for id in path.read_text().split("\n") if id]
    return open_kept(folder, kind), acknowledged, json.loads(done.stdout)["kills"]


@pytest.mark.timeout(SECONDS + 200)
def test_no_acknowledged_event_is_lost(tmp_path, record_property):
    kept, acknowledged, kills = soak(tmp_path, SECONDS, "ours")
    events = kept.events()
    lost = set(acknowledged) - {event["id"] for event in events}
    start = time.perf_counter()
    state = kept.state()
    opening = time.perf_counter() - start
    numbers = (
        f"{len(acknowledged)} acknowledged, {len(lost)} lost, {len(events)} kept, {kills} kills, {kept.damaged} damaged"
    )
    print(f"Soak of {SECONDS:g} s: {numbers}, opened in {1000 * opening:.0f} ms.")
    record_property("soak", numbers)
    assert lost == set()
    assert len(set(acknowledged)) == len(acknowledged) > 10 * SECONDS
    assert (kept.unreadable, kept.newer) == (0, 0)
    assert kept.damaged <= kills + 8, "a kernel can leave no more than the line that it was writing"
    assert kills >= 0.5 * SECONDS / BETWEEN_KILLS
    assert set(state) == {f"104.{i}" for i in range(9)}


@pytest.mark.parametrize("kind", ["rewritten", "replaced"])
def test_control_one_json_file_loses_acknowledged_events(tmp_path, record_property, kind):
    kept, acknowledged, kills = soak(tmp_path, min(SECONDS, 10) / 2, kind)
    lost = set(acknowledged) - {event["id"] for event in kept.events()}
    share = len(lost) / len(acknowledged)
    print(f"Control, {kind}: {len(acknowledged)} acknowledged, {len(lost)} lost ({share:.0%}), {kills} kills.")
    record_property("soak", f"{kind}: {share:.0%} lost")
    assert share > 0.1
