"""The study timer in a notebook: some minutes of focus, then a break; paused, stopped and set by buttons or by calls."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ipywidgets import HTML, HBox, Layout, Output, Text, VBox

from course_lib.folders import work_folder
from course_lib.learn import timer as clockwork
from course_lib.learn.timer import DAY, Moment, TimerState, moment, standing
from course_lib.said import say
from course_lib.widgets.controls import WRAP, button
from course_lib.widgets.countdown import countdown, stand, until_words
from course_lib.widgets.markup import STYLE, Html, box, html, tag
from course_lib.widgets.safely import safely

NAME = "Study timer"
# The time is shown twice in a notebook: in the live widget, and in an output that the notebook keeps. The second is seen only
# while the first is not there, as after a reload while the kernel is busy.
SAVED = "countdown-saved"
HIDE_SAVED = Html(f"<style>.{SAVED} {{ display: none; }}</style>")


def clicked() -> Moment:
    """When the button was clicked whose callback runs now: a click waits while the kernel is busy."""
    try:
        from IPython import get_ipython

        header = get_ipython().kernel.get_parent("shell")["header"]
        date = header["date"]
        if isinstance(date, str):
            date = datetime.fromisoformat(date)
        ago = (datetime.now(UTC) - date).total_seconds()
        return moment(ago if header["msg_type"] == "comm_msg" and 0 <= ago < DAY else 0.0)
    except Exception:  # no kernel, or one that keeps no such header
        return moment()


class Timer(VBox):
    """`Timer()` as the last line of a cell shows it: 25 minutes of focus, then a break of 5, or as you set it.

    Without buttons: t = Timer(); t.start(); t.start(50, 10); t.pause(); t.resume(); t.stop(); t.status().
    It is kept in `my_work/timer.json`, so that another notebook or a new kernel finds it running.
    """

    def __init__(self, folder: str | Path | None = None):
        self.path = (Path(folder) if folder else work_folder()) / "timer.json"
        self._saved_output = ""  # its display id, once it is shown
        self.live = Output()
        small = {"layout": Layout(width="210px"), "style": {"description_width": "120px"}}
        self.focus_minutes = Text(description="Focus, minutes", **small)
        self.break_minutes = Text(description="Break, minutes", **small)
        self.begin, self.hold, self.end = button("Start", button_style="primary"), button("Pause"), button("Stop")
        self.begin.tooltip = "Start the timer from the beginning"
        self.end.tooltip = "Stop the timer and set it back"
        self.message = HTML()
        parts = [
            HTML(STYLE),
            self.live,
            HBox([self.begin, self.hold, self.end, self.focus_minutes, self.break_minutes], layout=WRAP),
            self.message,
        ]
        super().__init__(parts, layout=Layout(max_width="920px"))
        self.add_class("course-widget")
        self.begin.on_click(lambda _: self._begin())
        self.hold.on_click(lambda _: self._hold())
        self.end.on_click(lambda _: self._end())
        timer, words = clockwork.read(self.path)
        self._draw(timer, moment())
        self._set_boxes(timer)
        self._say(words, wrong=True)

    def start(self, focus_min: float | None = None, break_min: float | None = None) -> str:
        """Start from the beginning: minutes of focus and of break, else as they were last.

        Raises:
            CourseError: a length is no number from one second to 24 hours.
        """
        return self._told(lambda timer, now: clockwork.start(timer, now, focus_min, break_min))

    def pause(self) -> str:
        """Stop the clock until `resume()`."""
        return self._told(clockwork.pause)

    def resume(self) -> str:
        """Go on after `pause()`."""
        return self._told(clockwork.resume)

    def stop(self) -> str:
        """Stop, and set back to the beginning."""
        return self._told(lambda timer, now: clockwork.stop(timer))

    def status(self) -> str:
        """How much time is left, of what."""
        return self._told(lambda timer, now: timer)

    def text(self) -> str:
        """The same in plain text, for a place where no widget runs."""
        timer, now = clockwork.read(self.path)[0], moment()
        stands = standing(timer, now)
        runs = stands.phase in ("focus", "break")
        words = until_words(NAME, clockwork.phases(timer), timer, now) if runs else stands.words
        return f"{words} Run the cell to use it."

    def _repr_mimebundle_(self, **_):
        """The live view, and for places where none runs how it stood."""
        still = str(html(STYLE, box(tag("p", self.text(), class_="cs-status"))))
        return {**(super()._repr_mimebundle_() or {}), "text/plain": self.text(), "text/html": still}

    def _ipython_display_(self) -> None:
        """Show the buttons, and below them the output that the notebook keeps; in a terminal the text."""
        from IPython import get_ipython
        from IPython.display import display

        if not hasattr(get_ipython(), "kernel"):
            print(self.text())
            return
        timer, now = clockwork.read(self.path)[0], moment()
        self._draw(timer, now)
        display(self._repr_mimebundle_(), raw=True)
        self._saved_output = self._saved_output or secrets.token_hex(8)
        display(self._saved(timer, now), raw=True, display_id=self._saved_output)

    @safely
    def _begin(self) -> None:
        lengths = self.focus_minutes.value, self.break_minutes.value
        _, timer, trouble = self._act(lambda timer, now: clockwork.start(timer, now, *lengths), clicked())
        focus, rest = clockwork.length(timer.focus_s), clockwork.length(timer.break_s)
        self._say(f"Started: {focus} of focus, then {rest} of break.", trouble=trouble)

    @safely
    def _hold(self) -> None:
        go_on = self.hold.description == "Resume"
        before, timer, trouble = self._act(clockwork.resume if go_on else clockwork.pause, clicked())
        done = ("Paused.", "Going on.") if timer != before else ("It is not running.", "It is not paused.")
        self._say(done[go_on], trouble=trouble)

    @safely
    def _end(self) -> None:
        *_, trouble = self._act(lambda timer, now: clockwork.stop(timer), clicked())
        self._say("Stopped.", trouble=trouble)

    def _told(self, change: Callable[[TimerState, Moment], TimerState]) -> str:
        """Change the timer now; where it then stands, in words that are printed and returned."""
        before, timer, trouble = self._act(change, moment())
        if timer != before:
            self._set_boxes(timer)
        return say("\n".join(filter(None, [standing(timer, moment()).words, trouble])))

    def _act(self, change: Callable[[TimerState, Moment], TimerState], then: Moment) -> tuple:
        """Change the timer as the file has it now, keep and show it: (before, after, what went wrong in words)."""
        before, trouble = clockwork.read(self.path)
        timer = change(before, then)
        if timer != before:
            trouble = clockwork.write(timer, self.path) or trouble
        now = moment()
        self._draw(timer, now)
        if self._saved_output:
            from IPython.display import update_display

            update_display(self._saved(timer, now), raw=True, display_id=self._saved_output)
        return before, timer, trouble

    def _draw(self, timer: TimerState, now: Moment) -> None:
        shown = {"text/html": str(html(HIDE_SAVED, _time_html(timer, now))), "text/plain": standing(timer, now).words}
        self.live.outputs = ({"output_type": "display_data", "data": shown, "metadata": {}},)
        self.hold.description = "Resume" if timer.paused else "Pause"

    def _set_boxes(self, timer: TimerState) -> None:
        self.focus_minutes.value, self.break_minutes.value = f"{timer.focus_s / 60:g}", f"{timer.break_s / 60:g}"

    @staticmethod
    def _saved(timer: TimerState, now: Moment) -> dict[str, str]:
        """The output that the notebook keeps: empty while the timer is not started."""
        if timer.since is None and not timer.paused:
            return {"text/html": str(tag("div", class_="course-box")), "text/plain": ""}
        return {"text/html": str(_time_html(timer, now, SAVED)), "text/plain": standing(timer, now).words}

    def _say(self, words: str, wrong: bool = False, trouble: str = "") -> None:
        """What was done, or with `wrong` what went wrong; `trouble`: what went wrong besides."""
        done, alert = ("", words) if wrong else (words, trouble)
        status = tag("div", done, role="status", class_="cs-status") if done else ""
        self.message.value = box(status, tag("div", alert, role="alert", class_="cs-message") if alert else "")


def _time_html(timer: TimerState, now: Moment, class_: str = "") -> Html:
    """The time that is left: counting where the timer runs, else as it stands."""
    stands = standing(timer, now)
    if stands.phase in ("focus", "break"):
        return countdown(NAME, clockwork.phases(timer), clockwork.over(timer), timer, now, class_)
    return stand(NAME, stands.words, class_=class_)
