"""One view of a kind for each kernel: a cell that is run again leaves nothing of its earlier view behind."""

from ipywidgets import Widget

_SHOWN: dict[type, Widget] = {}


def take_place(view: Widget) -> None:
    """Close the view of the same kind that was made before `view`, with all its parts.

    Jupyter keeps every widget that was ever made; after some hundreds a page that is loaded again cannot show any of them.
    """
    if earlier := _SHOWN.get(type(view)):
        _close(earlier)
    _SHOWN[type(view)] = view


def _close(widget: Widget) -> None:
    for part in (*getattr(widget, "children", ()), getattr(widget, "layout", None), getattr(widget, "style", None)):
        if part is not None:
            _close(part)
    widget.close()
