"""The selector where no widget runs: as plain text, and as a still page for GitHub, readers and editors."""

from course_lib.choose.selector import Recommendation
from course_lib.widgets.card import card_html, card_text, plan_code
from course_lib.widgets.figures import path_in_words, path_picture
from course_lib.widgets.markup import STYLE, Html, box, html, tag
from course_lib.widgets.tables import comparison_html, guides_html, scenarios_table
from course_lib.widgets.words import situation_in_words


def text(rec: Recommendation, device: str | None = None) -> str:
    """The situation, the path and the card: what `recommend` prints, then time, price and the code of the plan."""
    path = f"Path: {path_in_words(rec)}"
    return f"For {situation_in_words(rec.situation)}\n{path}\n{card_text(rec, device)}"


def static_html(rec: Recommendation, device: str | None = None) -> Html:
    """All views one below the other, without controls."""
    return html(
        STYLE,
        box(
            tag("p", tag("em", "The selector as it stood when this page was made: run the cell to use it.")),
            path_picture(rec),
            tag("p", path_in_words(rec)),
            card_html(rec, device, f"Recommendation for: {situation_in_words(rec.situation)}"),
            tag("pre", plan_code(rec.plan)) if rec.plan else "",
            comparison_html(rec),
            scenarios_table(),
            guides_html(rec.situation),
        ),
    )
