"""Figures of a style space. The only module that imports matplotlib.

Each function returns a matplotlib figure, to be saved, shown in a notebook, or put into a window.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import patheffects, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from torch import Tensor

# Ten colours for people who see colours in any of the usual ways (Petroff 2021, arXiv 2107.02270).
COLOURS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
FAINT = (0.85, 0.85, 0.85, 0.25)  # points that are not meant
DPI = 300  # of pictures made of pixels


@dataclass
class Panel:
    """One scatter plot of a figure: where each point lies, and what draws it."""

    axes: Axes
    points: np.ndarray  # [B, 2]
    drawn: list[tuple[PathCollection, np.ndarray]]  # each with the numbers of its points


class StyleFigure(Figure):
    """A figure in which one and the same points appear in several panels.

    Attributes:
        digits: of the points, [B].
        panels: the scatter plots.
        legend_entries: what stands for each digit in the legend, digit -> artists.
    """

    def __init__(self, digits: np.ndarray, size: tuple[float, float]):
        super().__init__(figsize=size)
        FigureCanvasAgg(self)
        self.digits = digits
        self.panels: list[Panel] = []
        self.legend_entries: dict[int, tuple[Any, Any]] = {}

    def emphasise(self, meant: np.ndarray) -> None:
        """Draw some points, bool [B], in their colours, and the others faintly."""
        colours = np.where(meant[:, None], to_rgba_array(COLOURS)[self.digits], FAINT)
        for panel in self.panels:
            for collection, members in panel.drawn:
                collection.set_facecolors(colours[members])
                collection.set_edgecolors("none")

    def add_digit_legend(self, right: float, top: float) -> None:
        """Ten digits and their colours, its upper right corner at a place in the figure."""
        handles = [
            Line2D([], [], marker="o", linestyle="none", color=colour, label=str(digit))
            for digit, colour in enumerate(COLOURS)
        ]
        legend = self.legend(
            handles=handles,
            title="digit",
            loc="upper right",
            bbox_to_anchor=(right, top),
            frameon=False,
            handletextpad=0.1,
        )
        entries = zip(legend.legend_handles, legend.get_texts(), strict=True)
        self.legend_entries = dict(enumerate(entries))


def scatter_matrix(
    styles: np.ndarray,
    digits: np.ndarray,
    names: Sequence[str],
    density: Callable[[Tensor], Tensor],
    std: float,
    title: str,
    subtitle: str = "",
) -> StyleFigure:
    """Every number of a style against every other, its histogram and prior on the diagonal.

    Args:
        styles: [B, N].
        digits: [B], which colour the points.
        names: of the N numbers.
        density: of the prior: numbers -> densities, as `Gaussian.pdf`.
        std: of the prior, in which the axes are measured.
        title, subtitle: above it all.
    """
    size = styles.shape[1]
    if size == 1:
        return strip(styles[:, 0], digits, names[0], density, std, title, subtitle)
    side = min(2.1, max(1.05, 8 / size))  # inches of a panel
    left, top, right, bottom = 0.75, 0.95, 0.95, 0.65
    width, height = left + size * side + right, top + size * side + bottom
    figure = StyleFigure(digits, (width, height))
    grid = figure.add_gridspec(
        *(size, size),
        left=left / width,
        right=1 - right / width,
        top=1 - top / height,
        bottom=bottom / height,
        wspace=0.06,
        hspace=0.06,
    )
    small = 9 if size <= 5 else 7
    limits = [reach(styles[:, i], std) for i in range(size)]
    for row in range(size):
        for column in range(size):
            axes = figure.add_subplot(grid[row, column])
            axes.set_xlim(-limits[column], limits[column])
            if row == column:
                histogram(axes, styles[:, row], density, limits[row])
                axes.set_yticks([])
            else:
                axes.set_ylim(-limits[row], limits[row])
                points = styles[:, [column, row]]
                dots = axes.scatter(*points.T, s=dot_size(len(points), side), linewidths=0)
                figure.panels.append(Panel(axes, points, [(dots, np.arange(len(points)))]))
                axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
            axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            axes.tick_params(labelsize=small, length=2, pad=2)
            axes.tick_params(labelbottom=row == size - 1, labelleft=column == 0 and row != 0)
            if row == 0 and column == size - 1:  # the first row's own axis is its histogram's
                axes.tick_params(left=False, right=True, labelright=True)
            if row == size - 1:
                axes.set_xlabel(names[column], fontsize=small + 1)
            if column == 0:
                axes.set_ylabel(names[row], fontsize=small + 1)
    headings(figure, title, subtitle, left / width)
    figure.align_ylabels()
    figure.add_digit_legend(1 - 0.05 / width, 1 - top / height)
    figure.emphasise(np.ones(len(digits), bool))
    return figure


def strip(
    style: np.ndarray,
    digits: np.ndarray,
    name: str,
    density: Callable[[Tensor], Tensor],
    std: float,
    title: str,
    subtitle: str,
) -> StyleFigure:
    """What a scatter matrix comes to for a style of one number: a line of points per digit."""
    figure = StyleFigure(digits, (8, 5.6))
    above, below = figure.subplots(
        *(2, 1), sharex=True, height_ratios=(1, 2), gridspec_kw={"top": 0.83, "hspace": 0.08}
    )
    limit = reach(style, std)
    histogram(above, style, density, limit)
    above.set_yticks([])
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(style))
    points = np.stack([style, digits + jitter], 1)
    dots = below.scatter(*points.T, s=14, linewidths=0)
    figure.panels.append(Panel(below, points, [(dots, np.arange(len(points)))]))
    below.set(xlim=(-limit, limit), xlabel=name, ylabel="digit", yticks=range(10))
    headings(figure, title, subtitle, 0.125)
    figure.add_digit_legend(1.0, 0.83)
    figure.emphasise(np.ones(len(digits), bool))
    return figure


def projection(
    points: np.ndarray, digits: np.ndarray, axes_names: Sequence[str], title: str, subtitle: str
) -> StyleFigure:
    """Points of the plane, [B, 2], each drawn as its digit."""
    figure = StyleFigure(digits, (8, 7.4))
    axes = figure.add_subplot()
    figure.subplots_adjust(left=0.09, right=0.89, top=0.88, bottom=0.08)
    drawn = []
    for digit in range(10):
        members = np.flatnonzero(digits == digit)
        size = min(45, 16000 / len(points))
        glyphs = axes.scatter(*points[members].T, marker=f"${digit}$", s=size, linewidths=0)
        drawn.append((glyphs, members))
    figure.panels.append(Panel(axes, points, drawn))
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
    headings(figure, title, subtitle, 0.09)
    figure.add_digit_legend(0.995, 0.88)
    figure.emphasise(np.ones(len(digits), bool))
    return figure


def image_grids(
    grids: Sequence[np.ndarray],
    names: Sequence[str],
    across: tuple[Sequence[str], str],
    down: tuple[Sequence[str], str],
    title: str,
    subtitle: str,
) -> Figure:
    """Grids of images side by side, five to a row.

    Args:
        grids: [rows, columns, 28, 28] each, in [0, 1], drawn as dark ink on white paper.
        names: above each.
        across, down: labels of the columns and rows, and what they are.
        title, subtitle: above it all.
    """
    rows, columns, tall, wide = grids[0].shape
    many = len(grids) > 1
    per_row = min(5, len(grids))
    lines = -(-len(grids) // per_row)
    width = 3.0 if many else min(8.0, 0.62 * columns)
    height = width * rows * tall / (columns * wide)
    left, top, gap, bottom = 0.75, 0.9 if not many else 1.05, 0.42, 0.6
    total = (
        left + per_row * width + (per_row - 1) * 0.15 + 0.2,
        top + lines * height + (lines - 1) * gap + bottom,
    )
    figure = Figure(figsize=total)
    FigureCanvasAgg(figure)
    shown = range(0, columns, 2) if many else range(columns)
    for number, (grid, name) in enumerate(zip(grids, names, strict=True)):
        line, place = divmod(number, per_row)
        axes = figure.add_axes(
            (
                (left + place * (width + 0.15)) / total[0],
                1 - (top + (line + 1) * height + line * gap) / total[1],
                width / total[0],
                height / total[1],
            )
        )
        tiled = grid.swapaxes(1, 2).reshape(rows * tall, columns * wide)
        axes.imshow(tiled, cmap="gray_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        axes.set_title(name, fontsize=10, pad=4)
        axes.tick_params(labelsize=7, length=0, pad=2)
        axes.set_xticks([(i + 0.5) * wide for i in shown], [across[0][i] for i in shown])
        step = 2 if many and rows > 10 else 1
        kept = range(0, rows, step)
        axes.set_yticks([(i + 0.5) * tall for i in kept], [down[0][i] for i in kept])
        axes.tick_params(labelleft=place == 0, labelbottom=line == lines - 1)
        for spine in axes.spines.values():
            spine.set_color("0.7")
        if place == 0:
            axes.set_ylabel(down[1], fontsize=8)
        if line == lines - 1:
            axes.set_xlabel(across[1], fontsize=8)
    headings(figure, title, subtitle, left / total[0])
    return figure


def named(digit: int) -> str:
    """A 5, an 8."""
    return f"{'an' if digit == 8 else 'a'} {digit}"


class GuideFigure(Figure):
    """A descent towards a digit, a step at a time: where it is, what it looks like, what it is.

    Args:
        plane: the latent space seen from one side: positions of the test images' styles [B, 2],
            and of the steps [S + 1, 2].
        digits: of the test images, [B], which colour them.
        names: of the plane's two axes.
        jumps: steps that start where another round does: no line leads there.
        images: decoded at each step, [S + 1, 28, 28] in [0, 1].
        probabilities: the classifier's, [S + 1, 10].
        code: what the decoder was told, [S + 1, 10], or None if nothing.
        asked: the digit.
        losses: [S + 1].
        region: the plane's points x [W], y [H] and the digit's probability there [H, W], if each
            point of the plane is a style.
    """

    def __init__(
        self,
        plane: tuple[np.ndarray, np.ndarray],
        digits: np.ndarray,
        names: tuple[str, str],
        jumps: Sequence[int],
        images: np.ndarray,
        probabilities: np.ndarray,
        code: np.ndarray | None,
        asked: int,
        losses: np.ndarray,
        region: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    ):
        super().__init__(figsize=(10, 4.3), dpi=80)
        FigureCanvasAgg(self)
        points, self.path = plane
        self.decoded, self.probabilities, self.code = images, probabilities, code
        self.asked, self.losses, self.jumps = asked, losses, [*jumps, len(images)]
        space, picture, bars = self.subplots(
            *(1, 3),
            gridspec_kw={"left": 0.06, "right": 0.985, "top": 0.84, "bottom": 0.12, "wspace": 0.2},
        )
        for axes in (space, picture, bars):
            axes.set_box_aspect(1)
        if region:
            x, y, there = region
            space.contourf(x, y, there, levels=(0.5, 0.99, 1.01), colors=("0.9", "0.78"))
            space.contour(x, y, there, levels=(0.5,), colors="0.4", linewidths=0.8)
        space.scatter(*points.T, s=7, c=to_rgba_array(COLOURS)[digits], alpha=0.6, linewidths=0)
        limit = plane_reach(points, self.path)
        space.set(xlim=(-limit, limit), ylim=(-limit, limit), xlabel=names[0], ylabel=names[1])
        handles = [Line2D([], [], marker="o", linestyle="none", color=c, ms=4) for c in COLOURS]
        space.legend(
            *(handles, [str(digit) for digit in range(10)]),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=10,
            fontsize=8,
            frameon=False,
            handletextpad=-0.3,
            columnspacing=0.5,
        )
        halo = [patheffects.withStroke(linewidth=4, foreground="white")]
        self.ways = [
            space.plot([], [], color="black", linewidth=1.8, path_effects=halo)[0]
            for _ in self.jumps
        ]
        space.plot(*self.path[0], "o", ms=8, mfc="white", mec="black", mew=1.8, zorder=4)
        (self.here,) = space.plot([], [], "o", ms=9, mfc="black", mec="white", mew=1.5, zorder=5)
        self.shown = picture.imshow(images[0], cmap="gray_r", vmin=0, vmax=1)
        picture.set(xticks=[], yticks=[])
        picture.set_xlabel("decoded")
        colours = ["#e76300" if digit == asked else "#3f90da" for digit in range(10)]
        self.bars = bars.bar(range(10), probabilities[0], color=colours, width=0.8)
        if code is not None:
            (self.told,) = bars.plot(range(10), code[0], "D", ms=6, mfc="none", mec="black")
            bars.set_title("◇ what the decoder is told", fontsize=9)
        bars.set(xlim=(-0.6, 9.6), ylim=(0, 1.04), xticks=range(10))
        bars.set_xlabel("classifier's probability")
        self.caption = self.text(0.5, 0.965, "", fontsize=13, ha="center", va="top", weight="bold")

    def draw_step(self, step: int) -> np.ndarray:
        """The figure at a step, as pixels: uint8 [height, width, 3]."""
        starts = [0, *self.jumps[:-1]]
        for way, first, last in zip(self.ways, starts, self.jumps, strict=True):
            way.set_data(*self.path[first : max(first, min(step + 1, last))].T)
            way.set_color("black" if step < last else "0.55")
        self.here.set_data(*self.path[step : step + 1].T)
        self.shown.set_data(self.decoded[step])
        for bar, height in zip(self.bars, self.probabilities[step], strict=True):
            bar.set_height(height)
        if self.code is not None:
            self.told.set_ydata(self.code[step])
        rounds = 1 + sum(step >= jump for jump in self.jumps)
        where = f"step {step}" + (f" (round {rounds})" if rounds > 1 else "")
        self.caption.set_text(
            f"asked for {named(self.asked)}: {where}, loss {self.losses[step]:.3f}, "
            f"probability {self.probabilities[step, self.asked]:.1%}"
        )
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()


def geodesic(
    images: dict[str, np.ndarray],
    speeds: dict[str, np.ndarray],
    history: np.ndarray,
    title: str,
    shown: int,
) -> Figure:
    """Two ways between the same images: what is on them, how alike, how fast, how long.

    Args:
        images: at equal steps of time, name -> [T, 28, 28] in [0, 1].
        speeds: of each step, name -> [T - 1].
        history: lengths of the straight way and after each refinement, [R].
        title: of all.
        shown: images of a strip.
    """
    figure = Figure(figsize=(10, 5.2))
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.5, y=0.985, fontsize=13, weight="bold")
    colours = dict(zip(images, ("#3f90da", "#e76300"), strict=True))
    strips = figure.add_gridspec(2, 1, left=0.09, right=0.985, top=0.91, bottom=0.58, hspace=0.1)
    for place, (name, each) in zip(strips, images.items(), strict=True):
        axes = figure.add_subplot(place)
        chosen = np.linspace(0, len(each) - 1, shown).round().astype(int)
        axes.imshow(np.concatenate(each[chosen], 1), cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        beside = {"rotation": 0, "ha": "right", "va": "center", "weight": "bold"}
        axes.set_ylabel(name, color=colours[name], **beside)
    widths = (1, 0.14, 1, 0.01, 0.05, 0.45, 1, 0.24, 1)
    edges = {"left": 0.05, "right": 0.985, "top": 0.46, "bottom": 0.11, "wspace": 0.1}
    below = figure.add_gridspec(1, len(widths), width_ratios=widths, **edges)
    alike = {name: np.corrcoef(each.reshape(len(each), -1)) for name, each in images.items()}
    least = min(each.min() for each in alike.values())
    for place, (name, each) in zip((0, 2), alike.items(), strict=True):
        axes = figure.add_subplot(below[place])
        shades = axes.imshow(
            each, cmap="cividis", vmin=least, vmax=1, extent=(0, 1, 1, 0), aspect="auto"
        )
        axes.set_title(f"{name}: correlation", fontsize=10)
        axes.set(xlabel="time", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    figure.colorbar(shades, cax=figure.add_subplot(below[4]))
    axes = figure.add_subplot(below[6])
    for name, each in speeds.items():
        middles = (np.arange(len(each)) + 0.5) / len(each)
        axes.plot(middles, each, color=colours[name], label=name)
    room = 1.3 * max(each.max() for each in speeds.values())  # with some for the legend
    axes.set(xlabel="time", xlim=(0, 1), ylim=(0, room), xticks=(0, 0.5, 1))
    axes.set_title("speed", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="upper left", borderaxespad=0.2, labelspacing=0.2)
    axes = figure.add_subplot(below[8])
    axes.plot(range(len(history)), history, "o-", color=colours["geodesic"], ms=4)
    axes.set(xlabel="refinement", xticks=range(len(history)))
    axes.set_title("length", fontsize=10)
    return figure


def shortenings(of_runs: dict[str, np.ndarray]) -> Figure:
    """How much shorter than the straight one the shortest ways are: run -> relative, [C]."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    everything = 100 * np.concatenate(list(of_runs.values()))
    bins = np.linspace(0, max(np.nanmax(everything), 1e-3), 31)
    for (name, each), colour in zip(of_runs.items(), COLOURS[:2], strict=False):
        mean = np.nanmean(each)
        axes.hist(100 * each, bins, color=colour, alpha=0.6, label=f"{name}: {mean:.1%} on average")
        axes.axvline(100 * mean, color=colour, linewidth=2)
    axes.set(xlabel="shorter than the straight way by, %", ylabel="pairs", xlim=(0, bins[-1]))
    axes.legend(frameon=False)
    return figure


def plane_reach(points: np.ndarray, path: np.ndarray) -> float:
    """How far the axes of a plane go each way, to hold points [B, 2] and a path [S, 2]."""
    return 1.06 * float(max(np.abs(points).max(), np.abs(path).max()))


def headings(figure: Figure, title: str, subtitle: str, left: float) -> None:
    """A title and a line below it, from `left` on, at the same distance from the top always."""
    height = figure.get_figheight()
    figure.text(left, 1 - 0.18 / height, title, fontsize=13, weight="bold", va="top")
    figure.text(left, 1 - 0.46 / height, subtitle, fontsize=9, color="0.3", va="top")


def histogram(
    axes: Axes, numbers: np.ndarray, density: Callable[[Tensor], Tensor], limit: float
) -> None:
    """How numbers are distributed, as steps, and the prior's density as a line over it."""
    axes.hist(numbers, 24, range=(-limit, limit), density=True, color="0.75")
    x = torch.linspace(-limit, limit, 200)
    axes.plot(x.numpy(), density(x).numpy(), color="black", linewidth=1.2)
    axes.set_xlim(-limit, limit)


def reach(numbers: np.ndarray, std: float) -> float:
    """How far an axis goes each way: to hold all the numbers, and the prior's better part."""
    return max(3.3 * std, 1.05 * float(np.abs(numbers).max()))


def dot_size(count: int, side: float) -> float:
    """Area of a dot, points², so that many in a small panel do not cover one another."""
    return float(np.clip(2500 * side**2 / count, 1.5, 14))


def picture(figure: Figure, kind: str) -> bytes:
    """A figure as a file: "png" in print quality, "svg" or "pdf"."""
    buffer = io.BytesIO()
    # Neither the time nor random identifiers go into it: the same figure is the same file.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with rc_context({"svg.hashsalt": "mnist-style"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def qt_canvas(figure: Figure) -> Any:
    """A figure as a widget. PyQt5 has to be imported before, so that matplotlib takes that."""
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

    return FigureCanvasQTAgg(figure)
