"""The timer as buttons and as calls, the countdown that it puts on the page, and clicks that had to wait."""

import json
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import IPython
import IPython.display
import pytest

from course_lib import CourseError, Timer
from course_lib.learn import timer as timers
from course_lib.learn.timer import moment, read
from course_lib.widgets import timer as module


@pytest.fixture
def timer(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    return Timer()


def live(timer) -> str:
    return timer.live.outputs[0]["data"]["text/html"]


def phases(page: str) -> list[dict]:
    """The moments that a script on the page has."""
    return json.loads(re.search(r"over \} = (\{.*\});", page)[1])["phases"]


def test_calls_print_and_return_words(timer, capsys):
    said = [timer.status(), timer.start(), timer.start(50, 10), timer.pause(), timer.resume(), timer.stop()]
    assert capsys.readouterr().out.splitlines() == said
    assert said[1] == "Focus: 25:00 left of 25 min, then a break of 5 min."
    assert said[3] == "Paused. Focus: 50:00 left of 50 min, then a break of 10 min."
    assert said[5] == "50 min of focus, then 10 min of break: not started."
    with pytest.raises(CourseError):
        timer.start(0)


def test_buttons_do_what_the_calls_do(timer):
    timer.focus_minutes.value, timer.break_minutes.value = "50", "10 min"
    timer.begin.click()
    assert "Started: 50 min of focus, then 10 min of break." in timer.message.value
    timer.hold.click()
    assert timer.hold.description == "Resume"
    assert read(timer.path)[0].paused
    timer.hold.click()
    assert timer.hold.description == "Pause"
    assert read(timer.path)[0].since
    timer.end.click()
    assert timer.text() == "50 min of focus, then 10 min of break: not started. Run the cell to use it."
    timer.hold.click()
    assert "It is not running." in timer.message.value


def test_only_a_timer_that_runs_puts_a_script_on_the_page(timer):
    def has_script() -> bool:
        saved = timer._saved(read(timer.path)[0], moment())["text/html"]
        assert ("<script" in saved) == ("<script" in live(timer))
        return "<script" in saved

    assert not has_script()
    timer.start()
    assert has_script()
    timer.pause()
    assert not has_script()
    timer.resume()
    assert has_script()
    timer.stop()
    assert not has_script()


def test_the_script_has_the_moments_of_python_and_asks_nobody(timer):
    timer.start(50, 10)
    page, now = live(timer), moment()
    focus, rest = phases(page)
    assert focus["ends"] / 1000 - now.wall == pytest.approx(3000, abs=1)
    assert rest["ends"] - focus["ends"] == 600_000
    assert (focus["length"], rest["length"]) == (3000, 600)
    assert not re.search(r"eval|fetch|XMLHttp|import|src=|http|localStorage|cookie|innerHTML", page)
    assert page.count('role="timer"') == page.count('role="status"') == 1


def test_two_views_share_the_file(timer):
    other = Timer()
    timer.start(50, 10)
    other.hold.click()
    assert read(timer.path)[0].paused
    assert timer.status().startswith("Paused. Focus: 50:00")
    assert timer.hold.description == "Resume"


def test_it_stands_in_a_page_where_no_widget_runs(timer):
    bundle = timer._repr_mimebundle_()
    assert bundle["text/plain"] == "25 min of focus, then 5 min of break: not started. Run the cell to use it."
    assert bundle["text/plain"] in bundle["text/html"]
    timer.start()
    bundle = timer._repr_mimebundle_()
    assert re.fullmatch(
        r"Study timer: focus until \d\d:\d\d, break until \d\d:\d\d \(.+\)\. Run the cell to use it\.",
        bundle["text/plain"],
    )
    assert "<script" not in bundle["text/html"]


def test_what_the_notebook_keeps_is_shown_once_and_then_updated(timer, monkeypatch):
    shown, updated = [], []
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=None))
    monkeypatch.setattr(IPython.display, "display", lambda data, **more: shown.append((data, more)))
    monkeypatch.setattr(IPython.display, "update_display", lambda data, **more: updated.append((data, more)))
    timer.start()
    assert not updated
    timer._ipython_display_()
    (_, first), (kept, second) = shown
    assert "display_id" not in first
    assert "countdown-saved" in kept["text/html"]
    timer.pause()
    assert updated[0][1]["display_id"] == second["display_id"]
    assert "Paused. Focus: 25:00 left" in updated[0][0]["text/html"]


def test_in_a_terminal_it_is_text(timer, capsys):
    timer._ipython_display_()
    assert capsys.readouterr().out == f"{timer.text()}\n"


def waited(monkeypatch, ago: float, kind: str = "comm_msg") -> None:
    """The next callback is that of a message which was sent so long ago."""
    header = {"msg_type": kind, "date": datetime.now(UTC) - timedelta(seconds=ago)}
    kernel = SimpleNamespace(get_parent=lambda channel: {"header": header})
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=kernel))


def left(timer) -> float:
    return timers.standing(read(timer.path)[0], moment()).left_s


@pytest.mark.parametrize(
    ("ago", "kind", "spent"),
    [(200, "comm_msg", 200), (200, "execute_request", 0), (-50, "comm_msg", 0), (90_000, "comm_msg", 0)],
)
def test_a_click_counts_from_when_it_was_made(timer, monkeypatch, ago, kind, spent):
    waited(monkeypatch, ago, kind)
    timer.begin.click()
    assert left(timer) == pytest.approx(1500 - spent, abs=2)


def test_a_pause_that_waited_stops_the_clock_then(timer, monkeypatch):
    waited(monkeypatch, 300)
    timer.begin.click()
    waited(monkeypatch, 100)
    timer.hold.click()
    assert left(timer) == pytest.approx(1300, abs=2)


def test_the_check_of_waiting_clicks_finds_one_that_counts_from_its_callback(timer, monkeypatch):
    waited(monkeypatch, 200)
    monkeypatch.setattr(module, "clicked", moment)
    timer.begin.click()
    assert left(timer) == pytest.approx(1500, abs=2)


@pytest.mark.parametrize("typed", ["", "soon", "<img src=x onerror=alert(1)>", "9" * 10**6, "\udc80"])
def test_a_bad_length_is_said_in_the_timer_as_text(timer, typed):
    timer.focus_minutes.value = typed
    timer.begin.click()
    assert 'role="alert"' in timer.message.value
    assert "give a number of minutes" in timer.message.value
    assert "<img" not in timer.message.value
    assert len(timer.message.value) < 500
    assert read(timer.path)[0].since is None


def test_a_callback_shows_its_own_error(timer, monkeypatch):
    monkeypatch.setattr(timers, "write", lambda *_: 1 / 0)
    timer.begin.click()
    assert "Something went wrong here (our fault): ZeroDivisionError" in timer.message.value


def test_what_cannot_be_read_or_written_is_said(tmp_path):
    (tmp_path / "timer.json").write_text("{")
    timer = Timer(tmp_path)
    assert "timer.json is damaged or cannot be opened: the timer starts afresh." in timer.message.value
    (tmp_path / "file").write_text("no folder")
    timer = Timer(tmp_path / "file")
    timer.begin.click()
    assert "Started: 25 min" in timer.message.value
    assert "could not be written" in timer.message.value
    assert timer.status().startswith("Focus: 25:00 left")
    timers._UNSAVED.clear()
