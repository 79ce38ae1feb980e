"""The timer's arithmetic with made-up clocks, and its file."""

import json
import random
import threading

import pytest

from course_lib import CourseError
from course_lib.learn import timer as timers
from course_lib.learn.timer import Moment, TimerState, moment, pause, read, resume, standing, start, stop, write

T0 = Moment(wall=1_800_000_000.0, steady=5_000.0, boot="this start")
MINUTE = 60.0


def after(seconds: float, jump: float = 0.0, boot: str = "this start") -> Moment:
    """So long after T0; the wall clock has been set forward by `jump`."""
    return Moment(T0.wall + seconds + jump, T0.steady + seconds, boot)


def test_focus_then_a_break_by_itself_then_over():
    timer = start(TimerState(), T0)
    assert standing(TimerState(), T0) == (
        "not started",
        1500,
        "25 min of focus, then 5 min of break: not started.",
    )
    assert standing(timer, after(460)).words == "Focus: 17:20 left of 25 min, then a break of 5 min."
    assert standing(timer, after(460))[:2] == ("focus", 1040)
    assert standing(timer, after(1500))[:2] == ("break", 300)
    assert standing(timer, after(1620)).words == "Break: 3:00 left of 5 min, after 25 min of focus."
    assert standing(timer, after(1800))[:2] == ("over", 0)
    assert standing(timer, after(10**6)).words.startswith(
        "Over: 25 min of focus and 5 min of break are done; start again"
    )


def test_pause_resume_and_stop():
    paused = pause(start(TimerState(), T0, 50, 10), after(10 * MINUTE))
    assert standing(paused, after(600 * MINUTE))[:2] == ("paused", 40 * MINUTE)
    assert standing(paused, after(600 * MINUTE)).words == "Paused. Focus: 40:00 left of 50 min, then a break of 10 min."
    assert pause(paused, after(700 * MINUTE)) == paused
    going = resume(paused, after(600 * MINUTE))
    assert standing(going, after(645 * MINUTE))[:2] == ("break", 5 * MINUTE)
    assert resume(going, after(1)) == going
    assert stop(going) == TimerState(50 * MINUTE, 10 * MINUTE)
    assert start(stop(going), T0).focus_s == 50 * MINUTE
    fresh = TimerState()
    assert pause(fresh, T0) == resume(fresh, T0) == fresh


def jumps_that_show(timer: TimerState) -> list[float]:
    """Jumps of the wall clock that change what a timer shows ten minutes on, in the same start of the machine."""
    return [jump for jump in (-3600, -1, 1, 3600) if standing(timer, after(600, jump)) != standing(timer, after(600))]


def test_a_jump_of_the_wall_clock_changes_nothing():
    assert jumps_that_show(start(TimerState(), T0)) == []


def test_the_check_of_jumps_finds_a_timer_that_goes_by_the_wall_clock(monkeypatch):
    monkeypatch.setattr(Moment, "since", lambda self, earlier: max(0.0, self.wall - earlier.wall))
    assert jumps_that_show(start(TimerState(), T0)) == [-3600, -1, 1, 3600]


@pytest.mark.parametrize("boot", ["this start", "another", ""])
def test_what_is_left_is_never_negative_nor_more_than_the_length(boot):
    chance = random.Random(4)
    for _ in range(200):
        timer = start(TimerState(), T0, chance.choice([0.1, 25, 1440]), chance.choice([0.02, 5, 1440]))
        now = T0
        for _ in range(chance.randrange(5)):
            now = after(chance.uniform(0, 4000), chance.choice([-3600, 0, 3600]), chance.choice([boot, "this start"]))
            timer = chance.choice([lambda: pause(timer, now), lambda: resume(timer, now), lambda: timer])()  # noqa: B023
        now = after(chance.uniform(-9000, 90_000), chance.choice([-3600, 0, 3600]), boot)
        phase, left, words = standing(timer, now)
        longest = {"focus": timer.focus_s, "break": timer.break_s, "over": 0}.get(
            phase, max(timer.focus_s, timer.break_s)
        )
        assert 0 <= left <= longest, (timer, now)
        assert "-" not in words


def test_after_a_new_start_of_the_machine_the_wall_clock_counts():
    timer = start(TimerState(), T0)
    assert standing(timer, Moment(T0.wall + 600, steady=3, boot="another"))[:2] == ("focus", 900)
    assert standing(timer, Moment(T0.wall - 3600, steady=3, boot="another"))[:2] == ("focus", 1500)


def test_this_machine_has_both_clocks():
    before, now = moment(ago=90), moment()
    assert now.since(before) == pytest.approx(90, abs=0.5)
    assert now.wall - before.wall == pytest.approx(90, abs=0.5)
    assert now.boot == before.boot


@pytest.mark.parametrize(("left", "words"), [(0.2, "0:01"), (59.5, "1:00"), (1040, "17:20"), (3600, "1:00:00")])
def test_the_time_left_in_digits(left, words):
    assert timers.clock(left) == words


@pytest.mark.parametrize(
    "bad",
    [0, -5, float("nan"), float("inf"), 1441, "", "soon", "nan", True, [], 10**400, "9" * 10**6, "<b>", "\udc80", 0.001],
)  # fmt: skip
def test_a_bad_length_is_refused_in_one_sentence(bad):
    with pytest.raises(CourseError) as caught:
        start(TimerState(), T0, 25, bad)
    said = str(caught.value)
    assert said.startswith("Break of ")
    assert said.endswith("give a number of minutes above 0 and up to 1440 (24 hours), such as 25.")
    assert len(said) < 200


def test_lengths_may_be_typed():
    assert start(TimerState(), T0, " 50 min", "7.5").break_s == 450


def test_a_new_kernel_reads_the_same_timer_and_no_thread_is_started(tmp_path):
    threads, path = threading.active_count(), tmp_path / "work" / "timer.json"
    running = start(TimerState(), moment(), 50, 10)
    for timer in (running, pause(running, moment()), TimerState()):
        assert write(timer, path) == ""
        assert read(path) == (timer, "")
    assert threading.active_count() == threads


GOOD = {"form": 1, "focus_s": 1500.0, "break_s": 300.0, "spent_s": 0.0, "since": None, "paused": False}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 10**5, "\udcff", '{"form": 1}']
    + [json.dumps({**GOOD, "form": 2}), json.dumps({**GOOD, "form": "1"})]
    + [json.dumps({**GOOD, name: bad}) for name in ("focus_s", "spent_s") for bad in (-1, "x", None, 1e9, float("nan"))]
    + [json.dumps({**GOOD, "since": bad}) for bad in (5, {}, {"wall": "x", "steady": 1, "boot": ""})]
    + [json.dumps({**GOOD, "break_s": 10**400})],
)  # fmt: skip
def test_a_damaged_file_starts_afresh_with_one_sentence(tmp_path, text):
    path = tmp_path / "timer.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    timer, words = read(path)
    assert timer == TimerState()
    assert words.startswith("timer.json ")
    assert words.endswith("the timer starts afresh.")
    assert write(timer, path) == ""
    assert read(path) == (timer, "")


def test_where_nothing_can_be_written_the_timer_lives_on_in_this_kernel(tmp_path):
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / "file" / "timer.json"
    timer = start(TimerState(), moment())
    assert "the timer runs in this kernel alone" in write(timer, path)
    assert read(path) == (timer, "")
    (tmp_path / "file").unlink()
    assert write(stop(timer), path) == ""
    assert read(path) == (TimerState(), "")
    assert not timers._UNSAVED
