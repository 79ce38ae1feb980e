"""The timer as a reader meets it: it counts while the kernel is busy, and after a reload and in a new kernel it is right."""

import json
import math
import re
import time

BUSY = "import time\n\ntime.sleep(25)"
SHOWN = "[role=timer]:visible"
STATUS = "() => document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status"


def left(reader) -> int:
    """The seconds that the page shows, in its one timer that can be seen."""
    shown = reader.page.locator(SHOWN)
    assert shown.count() == 1
    minutes, seconds = re.search(r"(\d+):(\d\d) left", shown.inner_text()).groups()
    return 60 * int(minutes) + int(seconds)


def is_right(reader) -> None:
    """Wait until the page shows what the start in `timer.json` comes to, within a second: a wrong timer never does."""
    kept = json.loads((reader.folder / "my_work/timer.json").read_text())
    reader.page.locator(SHOWN).wait_for(timeout=30_000)
    for _ in range(100):
        shown, truth = left(reader), kept["focus_s"] - kept["spent_s"] - (time.time() - kept["since"]["wall"])
        if 0 <= shown - math.floor(truth) <= 2:
            return
        time.sleep(0.1)
    raise AssertionError(f"it shows {shown} s left; in truth there are {truth:.1f}")


def test_it_counts_on_while_a_cell_runs_after_a_reload_and_in_a_new_kernel(reader):
    reader.write("from course_lib import Timer\n\nTimer()", BUSY)
    reader.open()
    reader.run(0)
    reader.sees("25 min of focus, then 5 min of break: not started.")
    reader.fill("Focus, minutes", "50")
    reader.press("Start", back=True)
    reader.sees("Started: 50 min of focus", within="[role=status]")
    is_right(reader)
    reader.picture("timer-light.png")
    reader.save()

    reader.start(1)
    reader.page.wait_for_function(f"() => ({STATUS})() === 'busy'")
    first = left(reader)
    reader.page.wait_for_timeout(4_000)
    is_right(reader)
    assert first - left(reader) in (3, 4, 5)
    assert reader.page.evaluate(STATUS) == "busy"
    reader.load("Dark")
    is_right(reader)
    assert reader.page.evaluate(STATUS) != "idle"
    reader.wait_idle()
    is_right(reader)

    reader.restart_kernel()
    reader.run(0)
    is_right(reader)
    reader.picture("timer-dark.png")
    reader.choose(0)
    reader.press("Pause")
    reader.sees("Paused.", within="[role=status]")
    still = left(reader)
    reader.page.wait_for_timeout(2_500)
    assert left(reader) == still
    reader.run(0)
    assert left(reader) == still
    reader.choose(0)
    reader.press("Resume")
    reader.sees("Going on.", within="[role=status]")
    is_right(reader)
    assert still - left(reader) in (0, 1, 2)
    assert reader.errors() == []
