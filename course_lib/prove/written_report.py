"""A pipeline's report as files: one page of HTML that needs nothing else, and the same as Markdown."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from course_lib.prove.kept import write
from course_lib.prove.report import Report
from course_lib.prove.scores import Scores
from course_lib.prove.verdict import TUNED, scores_table, to_markdown
from course_lib.run.result import Run
from course_lib.said import clip

MISSES = 5  # wrong answers shown

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; line-height: 1.5; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.2em 1em 0.2em 0; }} caption {{ text-align: left; }}</style>
</head><body><main><h1>{title}</h1>
<h2>Scores</h2>
{scores}
<h2>What beat what</h2>
<ul>{verdict}</ul>
<h2>The run</h2>
<p>{run}</p>
<h2>The data</h2>
<p>{notice}</p>
{misses}</main></body></html>
"""
MARKDOWN = """# {title}

{scores}

Mean [95 % interval] over {n} test rows.

## What beat what

{verdict}

## The run

{run}

## The data

{notice}
"""


def write_report(run: Run, entries: Mapping[str, Scores], verdict: list[str], notice: str) -> None:
    """Write `report.html` and `report.md` into the run's folder; only the first shows rows of the data."""
    title = f"{run.plan.method}, {run.plan.objective}: {Path(run.plan.model).name}"
    shown = scores_table(entries)
    n = next(score.n for score in entries[TUNED].scores.values())
    page = PAGE.format(
        title=escape(title),
        scores=Report(dict(entries))._repr_html_(),
        verdict="".join(f"<li>{escape(words)}</li>" for words in verdict),
        run=escape(str(run)),
        notice=escape(notice).replace("\n", "<br>"),
        misses=_misses(entries[TUNED]),
    )
    write(run.folder / "report.html", page)
    text = MARKDOWN.format(
        title=title,
        scores=to_markdown(shown),
        n=n,
        verdict="\n".join(f"- {words}" for words in verdict),
        run=run,
        notice=notice,
    )
    write(run.folder / "report.md", text)


def _misses(scores: Scores) -> str:
    missed = scores.failures()
    if not missed:
        return ""
    rows = "".join(
        f"<tr><td>{escape(clip(one.asked))}</td><td>{escape(clip(one.wanted))}</td><td>{escape(clip(one.said))}</td></tr>"
        for one in missed[:MISSES]
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("asked", "wanted", "said"))
    caption = f"The first {min(MISSES, len(missed))} of {len(missed)} answers that are not exactly right"
    return f"<h2>Answers to read</h2><table><caption>{caption}</caption><tr>{head}</tr>{rows}</table>"
