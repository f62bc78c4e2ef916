"""What training says in numbers, as curves: a panel for each number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mnist.figures.plotting import COLOURS, Axes, Figure, MaxNLocator, panels

# Parts of the data: how each is called, and a line that can be told from the others without its
# colour as well.
LINES = {
    "train": ("training", COLOURS[0], "-"),
    "test": ("test", COLOURS[2], "--"),
    "held_out": ("held out", COLOURS[4], "-."),
    "generated": ("generated", COLOURS[5], ":"),
}
STEEP = 30  # a number that changes by this factor is drawn by its logarithm
MANY = 60  # epochs, of which a point each could no longer be told apart

Points = Sequence[tuple[float, float]]  # epoch, value


def curves(numbers: Mapping[str, Mapping[str, Points]], title: str) -> Figure:
    """Numbers by epoch, a panel each.

    Args:
        numbers: of each its lines, by part of the data.
        title: above it all.
    """
    figure, grid = panels(list(numbers), (2.7, 1.9), title, "epoch")
    for axes, lines in zip(grid, numbers.values(), strict=True):
        draw(axes, lines)
    drawn = {line.get_label(): line for axes in grid for line in axes.lines}
    parts = [label for label, _, _ in LINES.values() if label in drawn]
    handles = [drawn[label] for label in parts]
    figure.legend(handles, parts, loc="upper right", ncols=len(LINES), fontsize=8)
    return figure


def draw(axes: Axes, lines: Mapping[str, Points]) -> None:
    """One panel; lines of other things than parts of the data are named in it, if they are few."""
    others = [part for part in lines if part not in LINES]
    for part in sorted(lines, key=[*LINES, *others].index):
        own = (part, COLOURS[others.index(part) % len(COLOURS)], "-") if part in others else None
        label, colour, style = own or LINES[part]
        epochs, values = zip(*lines[part], strict=True)
        marker = "." if len(epochs) <= MANY else None
        axes.plot(epochs, values, style, color=colour, label=label, marker=marker, linewidth=1.2)
    drawn = [value for points in lines.values() for _, value in points if math.isfinite(value)]
    if drawn and min(drawn) > 0 and max(drawn) > STEEP * min(drawn):
        axes.set_yscale("log")
    if 0 < len(others) <= len(COLOURS):
        axes.margins(y=0.4)  # room for their names
        axes.legend(fontsize=6, ncols=5, columnspacing=1, handlelength=1, loc="upper center")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
