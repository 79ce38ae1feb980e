"""A countdown as HTML that counts on by itself: in the browser, from the moments that Python put into it.

It goes on while the kernel is busy, and a reloaded page shows the right time. Nothing but a timer that runs holds a script.
"""

import json
import secrets
import time
from collections.abc import Sequence

from course_lib.learn.timer import Moment, Phase, TimerState
from course_lib.widgets.markup import Html, html, tag

# It reads the clock and writes into its own two elements. Out of the page it rests; the observer tells when it is back.
SCRIPT = """
(() => {
  const { id, phases, over } = DATA;
  for (const root of document.querySelectorAll(`[data-countdown="${id}"]:not([data-live])`)) {
    root.dataset.live = "yes";
    const [shown, news] = root.querySelectorAll("[role=timer], [role=status]");
    let beat = 0, before = null;
    const show = () => {
      const now = Date.now(), phase = phases.find(phase => now < phase.ends), at = phases.indexOf(phase);
      const left = phase && Math.ceil(Math.min(phase.length, (phase.ends - now) / 1000));
      const two = number => String(number).padStart(2, "0"), hours = Math.floor(left / 3600);
      const minutes = Math.floor(left / 60) % 60, clock = hours ? `${hours}:${two(minutes)}` : minutes;
      const words = phase ? phase.words.replace("{left}", `${clock}:${two(left % 60)}`) : over;
      if (shown.textContent !== words) shown.textContent = words;
      if (before !== null && before !== at) news.textContent = words;
      before = at;
      if (!phase || !root.isConnected) { clearInterval(beat); beat = 0; }
      return Boolean(phase) && root.isConnected;
    };
    const go = () => { if (show() && !beat) beat = setInterval(show, 250); };
    new IntersectionObserver(go).observe(root);
    go();
  }
})();
"""
LOOK = Html(
    """<style>
.cs-countdown { border-left: 5px solid #0072B2; padding: 0.1em 0.8em; font-size: 1.15em; font-variant-numeric: tabular-nums; }
.cs-countdown p { margin: 0.35em 0; }
.cs-unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
</style>"""
)


def countdown(name: str, phases: Sequence[Phase], over: str, timer: TimerState, now: Moment, class_: str = "") -> Html:
    """The countdown of a timer that runs.

    Args:
        name: what a screen reader calls it.
        phases: the parts of the timer and their words; `over`: what is said after the last.
    """
    zero = now.wall - timer.elapsed(now)
    data = {
        "id": secrets.token_hex(8),
        "phases": [
            {"words": phase.words, "length": phase.length_s, "ends": round(1000 * (zero + phase.ends_s))}
            for phase in phases
        ],
        "over": over,
    }
    script = SCRIPT.replace("DATA", json.dumps(data).replace("<", "\\u003c"))
    still = until_words(name, phases, timer, now)
    news = tag("div", role="status", class_="cs-unseen")
    return html(stand(name, still, news, class_=class_, data_countdown=data["id"]), Html(f"<script>{script}</script>"))


def until_words(name: str, phases: Sequence[Phase], timer: TimerState, now: Moment) -> str:
    """When each part of a timer that runs ends, by the clock of this machine: words that stay true."""
    zero = now.wall - timer.elapsed(now)
    ends = [f"{phase.name} until {time.strftime('%H:%M', time.localtime(zero + phase.ends_s))}" for phase in phases]
    return f"{name}: {', '.join(ends)} ({time.strftime('%Z', time.localtime(now.wall))})."


def stand(name: str, words: str, *more, class_: str = "", **attributes) -> Html:
    """Where a timer stands, in words that do not change."""
    shown = tag("div", tag("p", words, role="timer", aria_label=name), *more, class_="cs-countdown")
    return html(LOOK, tag("div", shown, class_=f"course-box {class_}".strip(), **attributes))
