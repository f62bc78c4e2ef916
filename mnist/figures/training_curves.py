"""What training says in numbers, as curves: a panel for each number of metrics.csv."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mnist.figures.plotting import COLOURS, Axes, Figure, FigureCanvasAgg, MaxNLocator

# Parts of the data, as numbers of metrics.csv begin, in the order in which they are drawn: how each
# is called, and a line that can be told from the others without its colour as well.
PARTS = {
    "train": ("training", COLOURS[0], "-"),
    "test": ("test", COLOURS[2], "--"),
    "held_out": ("held out", COLOURS[4], "-."),
    "generated": ("generated", COLOURS[5], ":"),
}
COLUMNS = 4
STEEP = 30  # a number that changes by this factor is drawn by its logarithm
MANY = 60  # epochs, of which a point each could no longer be told apart

Rows = Sequence[Mapping[str, float]]


def curves(rows: Rows, title: str) -> Figure:
    """Every number of a run by epoch, one below another where parts of the data share a name.

    Args:
        rows: of metrics.csv, an epoch each; not every row need have every number.
        title: above it all.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("a run without an epoch has no curves")
    panels = by_name(rows)
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(0.6 + 2.7 * columns, 0.9 + 1.9 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (name, parts) in zip(grid, panels.items(), strict=False):
        draw(axes, name, parts, rows)
    for axes in grid[len(panels) :]:
        axes.axis("off")
    for axes in grid[max(0, len(panels) - columns) : len(panels)]:
        axes.set_xlabel("epoch", fontsize=8)
    handles = (axes.get_legend_handles_labels() for axes in grid)
    entries = {label: line for each in handles for line, label in zip(*each, strict=True)}
    figure.legend(entries.values(), entries, loc="upper right", ncols=len(entries), fontsize=8)
    return figure


def by_name(rows: Rows) -> dict[str, dict[str, str]]:
    """What is to be drawn together: name -> columns of metrics.csv by part of the data.

    The shares of the classes are one panel, and not one each.
    """
    panels: dict[str, dict[str, str]] = {}
    for column in dict.fromkeys(column for row in rows for column in row):
        part = next((part for part in PARTS if column.startswith(f"{part}_")), None)
        if part is None:  # the number of the epoch, and of its steps
            continue
        name = column.removeprefix(f"{part}_")
        if name.startswith("share_"):
            panels.setdefault("shares of the classes", {})[name] = column
        else:
            panels.setdefault(name, {})[part] = column
    return panels


def draw(axes: Axes, name: str, parts: Mapping[str, str], rows: Rows) -> None:
    """One panel: the numbers of one name, a line for each part of the data."""
    drawn: list[float] = []
    for part in sorted(parts, key=[*PARTS, *parts].index):
        label, colour, style = PARTS.get(part, (None, "#717581", "-"))
        points = [(row["epoch"], row[parts[part]]) for row in rows if parts[part] in row]
        epochs, values = zip(*points, strict=True)
        marker = "." if len(rows) <= MANY else None
        axes.plot(epochs, values, style, color=colour, label=label, marker=marker, linewidth=1.2)
        drawn += [value for value in values if math.isfinite(value)]
    if drawn and min(drawn) > 0 and max(drawn) > STEEP * min(drawn):
        axes.set_yscale("log")
    axes.set_title(name.replace("_", " "), fontsize=9)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(alpha=0.3)
