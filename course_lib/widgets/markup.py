"""HTML that is safe to show in light and dark: text is escaped and takes the page's colour, colour is on borders only."""

import re
from collections.abc import Iterable, Sequence
from html import escape

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # 3:1 and more on white and on #111111; never for text


class Html(str):
    """Markup, shown as it is; any other text is escaped where it meets markup."""


def html(*parts) -> Html:
    """Parts in a row: markup as it is, text escaped, lists flattened."""
    out = []
    for part in parts:
        if isinstance(part, Html):
            out.append(str(part))
        elif isinstance(part, Iterable) and not isinstance(part, str):
            out.append(html(*part))
        else:
            out.append(escape(str(part)))
    return Html("".join(out))


def tag(_element: str, *children, **attributes) -> Html:
    """`tag("td", "words", class_="x", aria_hidden="true")`; an attribute that is None is left out."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{_element}{written}>{html(*children)}</{_element}>")


def rich(words: str) -> Html:
    """A guide's own words: its `**bold**` and its code marks are kept, all else is text."""
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(words))
    return Html(re.sub(r"`([^`]+)`", r"<code>\1</code>", text))


def heading(words: str, level: int = 4) -> Html:
    """A heading for screen readers that stays out of the notebook's table of contents."""
    return tag("div", tag("strong", words), role="heading", aria_level=level, class_="cs-heading")


def table(caption: str, head: Sequence, rows: Iterable[Sequence], class_: str = "cs-table") -> Html:
    """A table whose first column names its rows."""
    columns = [tag("th", name, scope="col") for name in head]
    body = [tag("tr", tag("th", first, scope="row"), [tag("td", cell) for cell in rest]) for first, *rest in rows]
    return tag(
        "div",
        tag("table", tag("caption", caption), tag("thead", tag("tr", columns)), tag("tbody", body), class_=class_),
        class_="cs-wide",
    )


def box(*children) -> Html:
    """The element that our style rules apply to."""
    return tag("div", *children, class_="course-box")


STYLE = Html(
    """<style>
.course-box { color: inherit; font-size: var(--jp-ui-font-size1, 14px); line-height: 1.5; max-width: 900px;
  white-space: normal; }
.course-box p { margin: 0.35em 0; }
.course-box ul { margin: 0.2em 0 0.6em; padding-left: 1.3em; }
.course-box li { margin: 0.15em 0; line-height: 1.45; }
.course-box code, .course-box pre { font-family: var(--jp-code-font-family, monospace); font-size: 0.93em;
  color: inherit; background: none; }
.course-box pre { border: 1px solid var(--jp-border-color1, #8888); padding: 0.5em 0.8em; overflow-x: auto; }
.course-box svg { color: inherit; display: block; max-width: 100%; height: auto; }
.course-box svg text { fill: currentColor; }
.cs-heading { font-weight: 600; margin: 0.7em 0 0.2em; }
.cs-title { font-size: 1.45em; font-weight: 600; line-height: 1.3; margin: 0.1em 0; }
.cs-card { border: 1px solid var(--jp-border-color1, #8888); border-left: 5px solid #0072B2; border-radius: 4px;
  padding: 0.6em 1.1em 0.8em; margin: 0.4em 0; }
.cs-columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 0 2em; }
.cs-message { border-left: 5px solid #D55E00; padding: 0.3em 0.8em; margin: 0.4em 0; }
.cs-status { border-left: 5px solid #009E73; padding: 0.1em 0.8em; margin: 0.2em 0; }
.cs-source { font-size: 0.86em; white-space: nowrap; border: 1px solid var(--jp-border-color1, #8888);
  border-radius: 3px; padding: 0 0.35em; }
.cs-label { text-align: right; padding-right: 4px; line-height: var(--jp-widgets-inline-height, 28px); }
.course-widget .jupyter-button:focus-visible, .course-widget input:focus-visible,
.course-widget textarea:focus-visible { outline: 2px solid #0072B2; outline-offset: 1px; }
.cs-small { font-size: 0.92em; }
.cs-wide { overflow-x: auto; }
.course-box table { border-collapse: collapse; margin: 0.4em 0 0.8em; width: 100%; font-size: 0.95em;
  color: inherit; }
.course-box caption { text-align: left; font-weight: 600; padding: 0.3em 0; color: inherit; }
.course-box tr { background: none; }
.course-box table.cs-table th, .course-box table.cs-table td { text-align: left; vertical-align: top;
  padding: 0.3em 0.9em 0.3em 0; border-bottom: 1px solid var(--jp-border-color2, #8886); max-width: none; line-height: 1.4; }
.course-box thead th { border-bottom: 2px solid var(--jp-border-color1, #8888); }
.course-box tbody th { font-weight: 600; }
.course-box td svg { margin: 0; }
.cs-clash { border-left: 4px solid #D55E00; padding-left: 0.7em; margin: 0.6em 0; }
.cs-model { border-left: 4px solid #0072B2; padding-left: 0.7em; margin: 0.6em 0; }
</style>"""
)
