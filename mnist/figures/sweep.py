"""What came out of runs at several settings, against a setting: mean and spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mnist.figures.plotting import COLOURS, MARKERS, Axes, Figure, FigureCanvasAgg

COLUMNS = 4
WIDE = 4  # values whose largest is so many times the least are on a logarithmic axis

Values = tuple[str, ...]  # of each setting, in words


def against(
    groups: Mapping[Values, Sequence[Mapping[str, str]]],
    settings: Sequence[str],
    names: Sequence[str],
    title: str,
) -> Figure:
    """Every number by the first setting: a dot for each run, and a line with bars through means.

    Args:
        groups: rows of runs, by the values of their settings.
        settings: names of these; values of others than the first are told apart by lines.
        names: of the numbers that are drawn, a panel each.
        title: above it all.
    """
    columns = max(1, min(COLUMNS, len(names)))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(0.8 + 3 * columns, 1.1 + 2.3 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    grid = figure.subplots(max(1, lines), columns, squeeze=False).ravel()
    texts = list(dict.fromkeys(values[0] if values else "" for values in groups))
    places = positions(texts)
    others = list(dict.fromkeys(values[1:] for values in groups))
    for axes, name in zip(grid, names, strict=False):
        for i, other in enumerate(others):
            of_line = {
                values[0] if values else "": rows
                for values, rows in groups.items()
                if values[1:] == other
            }
            label = ", ".join(
                f"{key} {value}" for key, value in zip(settings[1:], other, strict=True)
            )
            points = [
                (places[text], [float(row[name]) for row in rows if row.get(name)])
                for text, rows in of_line.items()
            ]
            draw(axes, [each for each in points if each[1]], i, label)
        axes.set_title(name.replace("_", " "), fontsize=9)
        if logarithmic(texts):
            axes.set_xscale("log", base=2)
        axes.set_xticks(list(places.values()), texts, fontsize=8)
        axes.set_xticks([], minor=True)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        if settings:
            axes.set_xlabel(settings[0].replace("_", " "), fontsize=8)
    for axes in grid[len(names) :]:
        axes.axis("off")
    if len(others) > 1:
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper right", fontsize=8, ncols=min(3, len(others)))
    return figure


def draw(
    axes: Axes, points: Sequence[tuple[float, Sequence[float]]], which: int, label: str
) -> None:
    """A line: of each place its runs' numbers."""
    colour, marker = COLOURS[which % len(COLOURS)], MARKERS[which % len(MARKERS)]
    for place, values in points:
        axes.plot([place] * len(values), values, ".", color=colour, alpha=0.5)
    means = [float(np.mean(values)) for _, values in points]
    spreads = [float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for _, values in points]
    at = [place for place, _ in points]
    axes.errorbar(at, means, spreads, color=colour, marker=marker, capsize=3, label=label)


def positions(texts: Sequence[str]) -> dict[str, float]:
    """Where values stand: as numbers, if all are some, and otherwise one beside another."""
    try:
        return {text: float(text) for text in texts}
    except ValueError:
        return {text: float(place) for place, text in enumerate(texts)}


def logarithmic(texts: Sequence[str]) -> bool:
    """Whether values are numbers that span a wide range."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return False
    return min(numbers) > 0 and max(numbers) >= WIDE * min(numbers)
