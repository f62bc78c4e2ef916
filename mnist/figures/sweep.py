"""What came out of runs at several settings, against a setting: mean and spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mnist.figures.plotting import COLOURS, MARKERS, Axes, Figure, panels

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
        settings: names of these, of which there may be none; values of others than the first are
            told apart by lines.
        names: of the numbers that are drawn, a panel each.
        title: above it all.
    """
    below = settings[0].replace("_", " ") if settings else ""
    figure, grid = panels(names, (3, 2.3), title, below)
    first = {values: "".join(values[:1]) for values in groups}
    texts = list(dict.fromkeys(first.values()))
    numbers = as_numbers(texts)
    places = dict(zip(texts, numbers or range(len(texts)), strict=True))
    lines: dict[Values, list[Values]] = {}  # groups, by their other values
    for values in groups:
        lines.setdefault(values[1:], []).append(values)
    for axes, name in zip(grid, names, strict=True):
        for which, (others, of_line) in enumerate(lines.items()):
            pairs = zip(settings[1:], others, strict=True)
            label = ", ".join(f"{setting.replace('_', ' ')} {value}" for setting, value in pairs)
            points = {
                places[first[values]]: [float(row[name]) for row in groups[values] if row.get(name)]
                for values in of_line
            }
            draw(axes, {place: some for place, some in points.items() if some}, which, label)
        if numbers and min(numbers) > 0 and max(numbers) >= WIDE * min(numbers):
            axes.set_xscale("log", base=2)
        axes.set_xticks(list(places.values()), texts)
        axes.set_xticks([], minor=True)
    if len(lines) > 1 and grid:
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper right", fontsize=8, ncols=min(3, len(lines)))
    return figure


def draw(axes: Axes, points: Mapping[float, Sequence[float]], which: int, label: str) -> None:
    """A line: numbers of runs by their place."""
    colour, marker = COLOURS[which % len(COLOURS)], MARKERS[which % len(MARKERS)]
    for place, values in points.items():
        axes.plot([place] * len(values), values, ".", color=colour, alpha=0.5)
    means = [float(np.mean(values)) for values in points.values()]
    spreads = [float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for v in points.values()]
    axes.errorbar([*points], means, spreads, color=colour, marker=marker, capsize=3, label=label)


def as_numbers(texts: Sequence[str]) -> list[float] | None:
    """Texts as numbers, where all are some."""
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None
