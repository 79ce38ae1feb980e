"""Tables and a picture for lesson pages: plain values in, something that a notebook, a terminal and a screen reader show."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from textwrap import wrap

CELL = 'style="text-align: left; vertical-align: top"'  # notebooks put text to the right otherwise
WIDEST = 40  # characters of a cell's line in a terminal


@dataclass(frozen=True)
class Table:
    """Words in rows and columns. Prints as text; a notebook shows HTML."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def __str__(self) -> str:
        lines = [[wrap(cell, WIDEST) or [""] for cell in row] for row in (self.columns, *self.rows)]
        widths = [max(len(line) for row in lines for line in row[i]) for i in range(len(self.columns))]
        out = [self.caption] if self.caption else []
        for row in lines:
            for part in range(max(map(len, row))):
                cells = [cell[part] if part < len(cell) else "" for cell in row]
                out.append("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        return "\n".join(out)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        caption = f"<caption {CELL}>{escape(self.caption)}</caption>" if self.caption else ""
        head = "".join(f'<th scope="col" {CELL}>{escape(name)}</th>' for name in self.columns)
        body = "".join(f"<tr>{''.join(self._cells(row))}</tr>" for row in self.rows)
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _cells(self, row: tuple[str, ...]) -> list[str]:
        """The cells of a row as HTML; the first of several names the row."""
        cells = [f"<td {CELL}>{escape(cell)}</td>" for cell in row]
        if len(row) > 1:
            cells[0] = f'<th scope="row" {CELL}>{escape(row[0])}</th>'
        return cells


def table(source, caption: str = "") -> Table:
    """A table of rows given as dicts with the same keys; or a guide's table, with its section behind the caption."""
    if hasattr(source, "columns"):
        where = f"{caption}: {source.where}" if caption else source.where
        return Table(tuple(source.columns), tuple(tuple(map(str, row)) for row in source.rows), where)
    rows: list[Mapping] = list(source)
    columns = tuple(rows[0]) if rows else ()
    return Table(columns, tuple(tuple(str(row[name]) for name in columns) for row in rows), caption)


def plot_memory(estimates: Mapping[str, object], card_gib: float, card: str, title: str = "") -> None:
    """A bar for each method's device memory with its 95 % interval, and the card's line; prints the same in words.

    Args:
        estimates: name -> MemoryEstimate.
        card_gib: what the card has, GiB.
        card: its name, for the label.
        title: what the estimates are of, such as the model.
    """
    from matplotlib import pyplot as plt

    _, axes = plt.subplots(figsize=(7, 0.9 + 0.45 * len(estimates)), layout="constrained")
    words = []
    for row, (name, estimate) in enumerate(estimates.items()):
        value, (low, high) = estimate.device_gib, estimate.interval("device")
        axes.barh(row, value, color="#0072B2", alpha=0.55, edgecolor="#0072B2")
        axes.errorbar(value, row, xerr=[[value - low], [high - value]], color="0.4", capsize=4)
        words.append(f"{name} {value:.1f} (95 % between {low:.1f} and {high:.1f})")
    axes.axvline(card_gib, color="#D55E00", linestyle="--", linewidth=2)
    axes.annotate(
        f"{card}: {card_gib:g} GiB", (card_gib, 1), (4, 2), xycoords=("data", "axes fraction"),
        textcoords="offset points", fontsize=9,
    )  # fmt: skip
    axes.set_yticks(range(len(estimates)), list(estimates))
    axes.invert_yaxis()
    axes.set_xlabel(f"{title}: GiB on the card, with 95 % interval".removeprefix(": "))
    axes.set_xlim(left=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    print(
        f"Figure: GiB on the card{f' for {title}' if title else ''}; {'; '.join(words)}. The {card} has {card_gib:g}."
    )
