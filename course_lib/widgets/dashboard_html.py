"""The dashboard's HTML: bars, a path's checklist, the tracking table, and the page that stands where no widget runs."""

from course_lib.learn.paths import LEVELS, LISTS, START, TECHNIQUES, LearningPath, lesson_of
from course_lib.learn.progress_text import bars, path_words
from course_lib.learn.standing import Standing
from course_lib.widgets.markup import STYLE, Html, box, heading, html, table, tag

STYLE_MORE = Html(
    """<style>
.course-box .cd-bars { display: grid; grid-template-columns: max-content minmax(80px, 300px) 1fr; gap: 0.25em 1em;
  align-items: center; margin: 0.3em 0; }
.course-box .cd-bars progress { width: 100%; height: 0.9em; appearance: none; background: none; border: 1px solid #777;
  border-radius: 3px; overflow: hidden; }
.course-box .cd-bars progress::-webkit-progress-bar { background: none; }
.course-box .cd-bars progress::-webkit-progress-value { background: #0072B2; }
.course-box .cd-bars progress::-moz-progress-bar { background: #0072B2; }
.course-widget .cd-list .widget-checkbox, .course-widget .cd-list .widget-checkbox label { height: auto; }
.course-widget .cd-list .widget-checkbox label { display: flex; align-items: flex-start; white-space: normal;
  line-height: 1.4; }
.course-box .cd-how { font-size: 0.92em; margin-left: 0.6em; padding-left: 0.7em;
  border-left: 2px solid var(--jp-border-color1, #8888); }
.course-box .cd-won { border: 1px solid var(--jp-border-color1, #8888); border-left: 5px solid #009E73; border-radius: 4px;
  padding: 0.5em 1em; margin: 0.4em 0; animation: cd-won 0.9s ease-out; }
@keyframes cd-won { 0% { transform: scale(0.96); box-shadow: 0 0 0 0 #009E73; } 45% { box-shadow: 0 0 0 6px #009E7366; }
  100% { transform: none; box-shadow: 0 0 0 12px #009E7300; } }
@media (prefers-reduced-motion: reduce) { .course-box .cd-won { animation: none; } }
</style>"""
)


def bars_html(now: Standing) -> Html:
    """A native bar for each thing that is counted, with its numbers in words."""
    rows = []
    for title, done, of, more in bars(now):
        words = f"{done} of {of}{more}"
        rows += [
            tag("span", title),
            tag("progress", words, aria_label=f"{title}: {words}", max=max(of, 1), value=done),
            tag("span", words),
        ]
    return tag("div", rows, class_="cd-bars")


def path_html(path: LearningPath, chosen: bool) -> Html:
    """What stands above a path's checklist."""
    title, goal = path_words(path)
    return html(heading(f"{title}{'' if chosen else ', not chosen yet'}"), tag("p", goal, "."))


def techniques_html(now: Standing) -> Html:
    """The overview's tracking table."""
    rows = [(title, *_cells(now, name), now.notes.get(name, "")) for name, title in TECHNIQUES.items()]
    return table("Techniques", ("Technique", "Beginner", "Intermediate", "Expert", "Notes"), rows)


def static_html(now: Standing, next_words: str) -> Html:
    """All of it, without controls."""
    lists = []
    for one in LISTS:
        done, of = now.count(one)
        title = one.title if one is START else path_words(one)[0]
        marks = [now.marks[item.id] for item in one.items]
        rows = [(mark.item.words, "✓ done" if mark.ticked else "open", mark.how) for mark in marks]
        lists.append(table(f"{title}: {done} of {of}", ("Item", "State", "How"), rows))
    return html(
        STYLE,
        STYLE_MORE,
        box(
            tag("p", tag("em", "The dashboard as it stood when this page was made: run the cell to use it.")),
            bars_html(now),
            tag("p", next_words),
            lists,
            techniques_html(now),
        ),
    )


def _cells(now: Standing, technique: str) -> list[str]:
    lessons = [lesson_of(technique, level) for level in LEVELS]
    return [
        f"{'✓ ' if now.run(one) else ''}{one.number} {'run' if now.run(one) else 'open'}" if one else "N/A"
        for one in lessons
    ]
