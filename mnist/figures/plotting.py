"""Figures of a style space. The only module that imports matplotlib.

Each function returns a matplotlib figure, to be saved, shown in a notebook, or put into a window.
What the classes are, and how many, comes from a `DataSpec`; images are as in `images`.
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
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D
from torch import Tensor

from mnist.data.spec import DataSpec
from mnist.figures.images import tile

# Ten colours for people who see colours in any of the usual ways (Petroff 2021, arXiv 2107.02270);
# for more classes, each with markers of several shapes. The 71st looks like the first.
COLOURS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
MARKERS = "os^DvPX"
CAPITAL = 0.73  # height of capitals and digits in matplotlib's font, to its size
FAINT = (0.85, 0.85, 0.85, 0.25)  # points that are not meant
IN_A_ROW = 4  # small panels
DPI = 300  # of pictures made of pixels


@dataclass
class Panel:
    """One scatter plot of a figure: where each point lies, and what draws them."""

    axes: Axes
    points: np.ndarray  # [B, 2]
    dots: PathCollection


class StyleFigure(Figure):
    """A figure in which one and the same points appear in several panels, with a legend.

    Args:
        labels: the class of each point, int [B].
        spec: of the data set.
        body: width and height of what is inside the margins, in inches.
        title, subtitle: above it.
        left: width of the left margin, in inches.
        glyphs: whether classes with names of one character are to be drawn as these.

    Attributes:
        labels, spec: as given.
        markers: of each class.
        body: the edges of the body, as `subplots_adjust` takes them.
        panels: the scatter plots.
        legend_entries: what stands for each class in the legend, label -> artists.
    """

    def __init__(
        self,
        labels: np.ndarray,
        spec: DataSpec,
        body: tuple[float, float],
        title: str,
        subtitle: str,
        left: float = 0.75,
        glyphs: bool = False,
    ):
        super().__init__()
        FigureCanvasAgg(self)
        self.labels, self.spec = labels, spec
        self.markers = markers_of(spec, glyphs)
        self.panels: list[Panel] = []
        size = 10 if spec.classes <= len(COLOURS) else 8
        rows = max(1, int(72 * body[1] / (1.7 * size)) - 1)  # the legend's, as high as the body
        legend = class_legend(self, spec, self.markers, size, columns=-(-spec.classes // rows))
        legend.set_title(spec.class_word)
        entries = zip(legend.legend_handles, legend.get_texts(), strict=True)
        self.legend_entries: dict[int, tuple[Any, Any]] = dict(enumerate(entries))
        right, _ = extent(self, legend)
        top, bottom = 0.65 + 0.15 * len(subtitle.splitlines()), 0.65
        width, height = left + body[0] + 0.4 + right, top + body[1] + bottom
        self.set_size_inches(width, height)
        legend.set_bbox_to_anchor((1, 1 - top / height))
        self.body = {
            "left": left / width,
            "right": (left + body[0]) / width,
            "bottom": bottom / height,
            "top": 1 - top / height,
        }
        headings(self, title, subtitle, left / width)

    def scatter(self, axes: Axes, points: np.ndarray, size: float) -> None:
        """Draw the points [B, 2] in a panel, each of an area in points²."""
        dots = scatter(axes, points, self.labels, self.markers, size)
        self.panels.append(Panel(axes, points, dots))

    def emphasise(self, meant: np.ndarray) -> None:
        """Draw some points, bool [B], in their colours, and the others faintly."""
        colours = np.where(meant[:, None], colours_of(self.labels), FAINT)
        for panel in self.panels:
            panel.dots.set(facecolors=colours)


def scatter_matrix(
    styles: np.ndarray,
    labels: np.ndarray,
    spec: DataSpec,
    names: Sequence[str],
    density: Callable[[Tensor], Tensor] | None,
    std: float,
    title: str,
    subtitle: str = "",
) -> StyleFigure:
    """Every style dimension against every other, its histogram and prior on the diagonal.

    Args:
        styles: [B, N].
        labels: classes int [B], which colour the points.
        spec: of the data set.
        names: of the N dimensions.
        density: of the prior: numbers -> densities, as `Gaussian.pdf`; None if not known.
        std: of the prior, in which the axes are measured.
        title, subtitle: above it all.
    """
    size = styles.shape[1]
    if size == 1:
        return strip(styles[:, 0], labels, spec, names[0], density, std, title, subtitle)
    side = min(2.1, max(1.05, 8 / size))  # inches of a panel
    figure = StyleFigure(labels, spec, (size * side, size * side), title, subtitle)
    grid = figure.add_gridspec(size, size, wspace=0.06, hspace=0.06, **figure.body)
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
                figure.scatter(axes, styles[:, [column, row]], dot_size(len(styles), side))
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
    figure.align_ylabels()
    figure.emphasise(np.ones(len(labels), bool))
    return figure


def strip(
    style: np.ndarray,
    labels: np.ndarray,
    spec: DataSpec,
    name: str,
    density: Callable[[Tensor], Tensor] | None,
    std: float,
    title: str,
    subtitle: str = "",
) -> StyleFigure:
    """What a scatter matrix comes to for styles [B] of one dimension: a line of points per class.

    Args otherwise as for `scatter_matrix`.
    """
    lines = max(2.6, 0.16 * spec.classes)  # inches
    left = 0.5 + text_width(spec.class_names, 8)
    figure = StyleFigure(labels, spec, (6.4, 1.4 + lines), title, subtitle, left)
    heights = {"height_ratios": (1.3, lines), "hspace": 0.1 * 2 / (1.3 + lines)}
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw=figure.body | heights)
    limit = reach(style, std)
    histogram(above, style, density, limit)
    above.set_yticks([])
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(style))
    figure.scatter(below, np.stack([style, labels + jitter], 1), 14 if spec.classes <= 20 else 8)
    below.set(xlim=(-limit, limit), xlabel=name, ylim=(-0.7, spec.classes - 0.3))
    below.set_yticks(range(spec.classes), spec.class_names, fontsize=8)
    below.set_ylabel(spec.class_word)
    figure.emphasise(np.ones(len(labels), bool))
    return figure


def projection(
    points: np.ndarray,
    labels: np.ndarray,
    spec: DataSpec,
    axes_names: Sequence[str],
    title: str,
    subtitle: str,
) -> StyleFigure:
    """Points of the plane, [B, 2], each drawn as its class: its name, if that is one character."""
    figure = StyleFigure(labels, spec, (6.4, 5.9), title, subtitle, glyphs=True)
    axes = figure.add_subplot()
    figure.subplots_adjust(**figure.body)
    figure.scatter(axes, points, min(45, 16000 / len(points)))
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
    figure.emphasise(np.ones(len(labels), bool))
    return figure


def image_grids(
    grids: Sequence[np.ndarray],
    names: Sequence[str],
    across: tuple[Sequence[str], str],
    down: tuple[Sequence[str], str],
    title: str,
    subtitle: str,
) -> Figure:
    """Grids of images side by side, five to a row, or eight of more than ten.

    Args:
        grids: [rows, columns, H, W] or [rows, columns, H, W, 3] each, in [0, 1].
        names: above each.
        across, down: labels of the columns and rows, and what they are.
        title, subtitle: above it all.
    """
    rows, columns, tall, wide = grids[0].shape[:4]
    count = len(grids)
    per_row = min(5 if count <= 10 else 8, count)
    lines = -(-count // per_row)
    width = min(8.0, 0.62 * columns) if count == 1 else 3.0 if count <= 10 else 2.2
    height = width * rows * tall / (columns * wide)
    left, top, gap, bottom = 0.4 + text_width(down[0], 7), 0.9 if count == 1 else 1.05, 0.42, 0.6
    total = (
        left + per_row * width + (per_row - 1) * 0.15 + 0.2,
        top + lines * height + (lines - 1) * gap + bottom,
    )
    figure = Figure(figsize=total)
    FigureCanvasAgg(figure)
    shown = range(0, columns, 1 if count == 1 else 2)
    kept = range(0, rows, 2 if count > 1 and rows > 10 else 1)
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
        axes.imshow(
            tile(grid), cmap="gray_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest"
        )
        axes.set_title(name, fontsize=10, pad=4)
        axes.tick_params(labelsize=7, length=0, pad=2)
        axes.set_xticks([(i + 0.5) * wide for i in shown], [across[0][i] for i in shown])
        axes.set_yticks([(i + 0.5) * tall for i in kept], [down[0][i] for i in kept])
        lowest = number + per_row >= count
        axes.tick_params(labelleft=place == 0, labelbottom=lowest)
        for spine in axes.spines.values():
            spine.set_color("0.7")
        if place == 0:
            axes.set_ylabel(down[1], fontsize=8)
        if lowest:
            axes.set_xlabel(across[1], fontsize=8)
    headings(figure, title, subtitle, left / total[0])
    return figure


class GuideFigure(Figure):
    """A descent towards a class, a step at a time: where it is, what it looks like, what it is.

    Args:
        plane: the latent space seen from one side: positions of the test images' styles [B, P],
            and of the steps [S + 1, P]. With P = 2 they are drawn in the plane; with P = 1 the
            position is drawn against the step.
        labels: classes of the test images, int [B], which colour them.
        spec: of the data set.
        names: of the P axes.
        jumps: steps that start where another round does: no line leads there.
        images: decoded at each step, [S + 1, H, W] or [S + 1, H, W, 3] in [0, 1].
        probabilities: the classifier's, [S + 1, C].
        code: the class code that the decoder is given, [S + 1, C], or None if it is given none.
        asked: the class.
        losses: [S + 1].
        region: positions [G] and the probability of the class there, [G] or [G, G] (first axis
            first), where each such position is a style.
    """

    canvas: FigureCanvasAgg

    def __init__(
        self,
        plane: tuple[np.ndarray, np.ndarray],
        labels: np.ndarray,
        spec: DataSpec,
        names: Sequence[str],
        jumps: Sequence[int],
        images: np.ndarray,
        probabilities: np.ndarray,
        code: np.ndarray | None,
        asked: int,
        losses: np.ndarray,
        region: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        super().__init__(dpi=80)
        FigureCanvasAgg(self)
        self.decoded, self.probabilities, self.code = images, probabilities, code
        self.spec, self.asked, self.losses = spec, asked, losses
        self.jumps = [*jumps, len(images)]
        # The legend lies above the first two panels, in as few lines as there is room for.
        markers, side, gap = markers_of(spec), 2.7, 0.55
        names_width = text_width(spec.class_names, 8)
        rows = -(-spec.classes // max(1, int(2 * side / (names_width + 0.2))))
        legend = class_legend(self, spec, markers, 8, columns=-(-spec.classes // rows))
        turned = names_width > 0.12
        chart = max(side, 0.14 * spec.classes)  # inches across
        bottom = 0.55 + (names_width if turned else 0)
        above = 0.42 + extent(self, legend)[1]
        width, height = 0.6 + 2 * (side + gap) + chart + 0.15, bottom + side + above
        self.set_size_inches(width, height)
        legend.set_loc("lower left")
        legend.set_bbox_to_anchor((0.6 / width, (bottom + side) / height))
        space, picture, bars = (
            self.add_axes((left / width, bottom / height, across / width, side / height))
            for left, across in (
                (0.6, side),
                (0.6 + side + gap, side),
                (0.6 + 2 * (side + gap), chart),
            )
        )
        self.draw_space(space, plane, labels, markers, names, region)
        self.shown = picture.imshow(images[0], cmap="gray_r", vmin=0, vmax=1)
        picture.set(xticks=[], yticks=[], xlabel="decoded")
        every = range(spec.classes)
        colours = ["#e76300" if label == asked else "#3f90da" for label in every]
        self.bars = bars.bar(every, probabilities[0], color=colours, width=0.8)
        if code is not None:
            (self.given,) = bars.plot(every, code[0], "D", ms=6, mfc="none", mec="black")
            what = f"◇ {spec.class_word} code given to the decoder"
            bars.set_title(what, fontsize=9)
        bars.set(xlim=(-0.6, spec.classes - 0.4), ylim=(0, 1.04), xlabel="classifier's probability")
        bars.set_xticks(every, spec.class_names, fontsize=8, rotation=90 if turned else 0)
        self.caption = self.text(
            *(0.5, 1 - 0.12 / height, ""), fontsize=13, ha="center", va="top", weight="bold"
        )

    def draw_space(
        self,
        axes: Axes,
        plane: tuple[np.ndarray, np.ndarray],
        labels: np.ndarray,
        markers: Sequence[Path],
        names: Sequence[str],
        region: tuple[np.ndarray, np.ndarray] | None,
    ) -> None:
        """The panel of the latent space; arguments as the class has them."""
        points, self.path = plane
        limit = plane_reach(points, self.path)
        across, name = (-limit, limit), names[0]
        if points.shape[1] == 1:
            # One dimension makes no plane: time is the other axis, and before it, at the left, lie
            # the test images, apart from each other by chance alone.
            steps = max(1, len(self.path) - 1)
            before = np.random.default_rng(0).uniform(-0.3, -0.05, (len(points), 1))
            points = np.hstack([before * steps, points])
            self.path = np.hstack([np.arange(len(self.path))[:, None], self.path])
            across, name = (-0.35 * steps, 1.05 * steps), "step (left of 0: test images)"
            ticks = MaxNLocator(4, integer=True).tick_values(0, steps)
            axes.set_xticks([tick for tick in ticks if 0 <= tick <= steps])
        if region:
            side, there = region
            horizontal = side
            if there.ndim == 1:  # the same at every step
                horizontal, there = np.array([0, across[1]]), np.stack([there, there])
            axes.contourf(
                *(horizontal, side, there.T), levels=(0.5, 0.99, 1.01), colors=("0.9", "0.78")
            )
            axes.contour(*(horizontal, side, there.T), levels=(0.5,), colors="0.4", linewidths=0.8)
        dots = scatter(axes, points, labels, markers, 7)
        dots.set(facecolors=colours_of(labels), alpha=0.6)
        axes.set(xlim=across, ylim=(-limit, limit), xlabel=name, ylabel=names[-1])
        halo = [patheffects.withStroke(linewidth=4, foreground="white")]
        self.rounds = [
            axes.plot([], [], color="black", linewidth=1.8, path_effects=halo)[0]
            for _ in self.jumps
        ]
        axes.plot(*self.path[0], "o", ms=8, mfc="white", mec="black", mew=1.8, zorder=4)
        (self.here,) = axes.plot([], [], "o", ms=9, mfc="black", mec="white", mew=1.5, zorder=5)

    def draw_step(self, step: int) -> np.ndarray:
        """The figure at a step, as pixels: uint8 [height, width, 3]."""
        starts = [0, *self.jumps[:-1]]
        for line, first, last in zip(self.rounds, starts, self.jumps, strict=True):
            line.set_data(*self.path[first : max(first, min(step + 1, last))].T)
            line.set_color("black" if step < last else "0.55")
        self.here.set_data(*self.path[step : step + 1].T)
        self.shown.set_data(self.decoded[step])
        for bar, height in zip(self.bars, self.probabilities[step], strict=True):
            bar.set_height(height)
        if self.code is not None:
            self.given.set_ydata(self.code[step])
        rounds = 1 + sum(step >= jump for jump in self.jumps)
        where = f"step {step}" + (f" (round {rounds})" if rounds > 1 else "")
        self.caption.set_text(
            f"asked for {self.spec.named(self.asked)}: {where}, loss {self.losses[step]:.3f}, "
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
    """The straight and the shortest path between two images: what lies on them, speeds, lengths.

    Args:
        images: at equal steps of time, "straight" and "geodesic" ->
            [T, H, W] or [T, H, W, 3] in [0, 1].
        speeds: of each step, likewise -> [T - 1].
        history: lengths of the straight path and after each refinement, [R].
        title: of all.
        shown: images of a strip.
    """
    figure = Figure(figsize=(10, 5.2))
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.5, y=0.985, fontsize=13, weight="bold")
    colours = dict(zip(images, ("#3f90da", "#e76300"), strict=True))
    strips = figure.add_gridspec(2, 1, left=0.09, right=0.985, top=0.91, bottom=0.58, hspace=0.1)
    for row, (name, each) in enumerate(images.items()):
        axes = figure.add_subplot(strips[row])
        chosen = np.linspace(0, len(each) - 1, shown).round().astype(int)
        axes.imshow(np.concatenate(each[chosen], 1), cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(
            name, color=colours[name], rotation=0, ha="right", va="center", weight="bold"
        )
    widths = (1, 0.14, 1, 0.01, 0.05, 0.45, 1, 0.4, 1)
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
    # Lengths differ by a few per cent: their own axis would have to be cut, or show a level line.
    axes = figure.add_subplot(below[8])
    shorter = 100 * (1 - history / history[0])
    axes.plot(range(len(history)), shorter, "o-", color=colours["geodesic"], ms=4, clip_on=False)
    axes.set(xlabel="refinement", xticks=range(len(history)), ylabel="shorter by, %")
    axes.set_ylim(min(0, 1.1 * shorter.min()), max(1, 1.1 * shorter.max()))
    axes.set_title(f"length: {history[0]:.3f} to {history[-1]:.3f}", fontsize=10)
    return figure


def shortenings(of_runs: dict[str, np.ndarray]) -> Figure:
    """How much shorter than the straight path the geodesic is: run -> relative, [C] (or NaN)."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    everything = 100 * np.concatenate(list(of_runs.values()))
    bins = np.linspace(0, max(np.nanmax(everything), 1e-3), 31).tolist()
    # Outlines: where filled ones overlap there would be a colour that is in no legend.
    for (name, each), colour in zip(of_runs.items(), COLOURS, strict=False):
        mean = np.nanmean(each)
        label = f"{name}: {mean:.1%} on average (dashed)"
        axes.hist(100 * each, bins, histtype="step", color=colour, linewidth=1.8, label=label)
        axes.axvline(100 * mean, color=colour, linewidth=1.5, linestyle="--")
    axes.set(xlabel="shorter than the straight path by, %", ylabel="pairs", xlim=(0, bins[-1]))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure


# --- what figures share ---------------------------------------------------------------------------


def markers_of(spec: DataSpec, glyphs: bool = False) -> list[Path]:
    """A marker for each class: its name if all are single characters and `glyphs`, else a shape."""
    names = spec.class_names
    if glyphs and all(len(name) == 1 and name.isascii() and name.isalnum() for name in names):
        # Not matplotlib's "$c$", which is scaled to be as large as a "$C$".
        texts = [TextPath((0, 0), name, size=1 / CAPITAL) for name in names]
        middles = [text.get_extents().get_points().mean(0)[0] for text in texts]
        return [
            text.transformed(Affine2D().translate(-middle, -0.5))
            for text, middle in zip(texts, middles, strict=True)
        ]
    styles = [MarkerStyle(MARKERS[i // len(COLOURS) % len(MARKERS)]) for i in range(spec.classes)]
    return [style.get_path().transformed(style.get_transform()) for style in styles]


def colours_of(labels: np.ndarray) -> np.ndarray:
    """Colours of classes int [B]: RGBA [B, 4]."""
    return to_rgba_array(COLOURS)[np.asarray(labels) % len(COLOURS)]


def scatter(
    axes: Axes, points: np.ndarray, labels: np.ndarray, markers: Sequence[Path], size: float
) -> PathCollection:
    """Points [B, 2], each with the marker of its class, in their order."""
    x, y = points.T
    dots = axes.scatter(x, y, s=size, edgecolors="none")
    dots.set_paths([markers[label] for label in labels])
    return dots


def class_legend(
    figure: Figure, spec: DataSpec, markers: Sequence[Path], size: int, columns: int
) -> Legend:
    """A legend of all classes, in a figure's upper right corner."""
    looks = zip(markers, colours_of(np.arange(spec.classes)), spec.class_names, strict=True)
    handles = [
        Line2D(
            [], [], linestyle="none", marker=marker, ms=0.6 * size, mew=0, color=colour, label=name
        )
        for marker, colour, name in looks
    ]
    return figure.legend(
        handles=handles,
        loc="upper right",
        ncols=columns,
        fontsize=size,
        frameon=False,
        handlelength=1,
        handletextpad=0.2,
        columnspacing=0.5,
        borderaxespad=0.2,
    )


def extent(figure: Figure, legend: Legend) -> tuple[float, float]:
    """Width and height of a figure's legend, in inches."""
    box = legend.get_window_extent()
    return box.width / figure.dpi, box.height / figure.dpi


def text_width(texts: Sequence[str], size: float) -> float:
    """Width of the widest of some texts, in inches."""
    return max(TextPath((0, 0), text or " ", size=size).get_extents().x1 for text in texts) / 72


def plane_reach(points: np.ndarray, path: np.ndarray) -> float:
    """How far the axes of a plane go each way, to hold points [B, P] and a path [S, P]."""
    return 1.06 * float(max(np.abs(each).max(initial=0) for each in (points, path)))


def headings(figure: Figure, title: str, subtitle: str, left: float) -> None:
    """A title and lines below it, from `left` on, at the same distance from the top always."""
    height = figure.get_figheight()
    figure.text(left, 1 - 0.18 / height, title, fontsize=13, weight="bold", va="top")
    figure.text(left, 1 - 0.46 / height, subtitle, fontsize=9, color="0.3", va="top")


def histogram(
    axes: Axes, numbers: np.ndarray, density: Callable[[Tensor], Tensor] | None, limit: float
) -> None:
    """How numbers [B] are distributed, as steps, and the prior's density as a line over it."""
    axes.hist(numbers, 24, range=(-limit, limit), density=True, color="0.75")
    if density:
        x = torch.linspace(-limit, limit, 200)
        axes.plot(x.numpy(), density(x).numpy(), color="black", linewidth=1.2)
    axes.set_xlim(-limit, limit)


def reach(numbers: np.ndarray, std: float) -> float:
    """How far an axis goes each way: to hold all numbers [B], and the prior's better part."""
    return max(3.3 * std, 1.05 * float(np.abs(numbers).max()))


def dot_size(count: int, side: float) -> float:
    """Area of a dot, points², so that many in a small panel do not cover one another."""
    return float(np.clip(2500 * side**2 / count, 1.5, 14))


def panels(
    names: Sequence[str], size: tuple[float, float], title: str, below: str
) -> tuple[Figure, list[Axes]]:
    """A figure of small panels, one for each name, which stands above it.

    Args:
        names: of the panels, from left to right and from above.
        size: width and height of one, in inches.
        title: above it all.
        below: the lowest panel of each column.
    """
    columns = max(1, min(IN_A_ROW, len(names)))
    lines = max(1, -(-len(names) // columns))
    figure = Figure((0.7 + size[0] * columns, 1 + size[1] * lines), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.remove()
    drawn = list(grid[: len(names)])
    for axes, name in zip(drawn, names, strict=True):
        axes.set_title(name.replace("_", " "), fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    for axes in drawn[-columns:]:
        axes.set_xlabel(below, fontsize=8)
    return figure, drawn


def picture(figure: Figure, kind: str, dpi: int = DPI) -> bytes:
    """A figure as a file: "png", in print quality or of so many dots per inch, "svg" or "pdf"."""
    buffer = io.BytesIO()
    # Neither the time nor random identifiers go into it: the same figure is the same file.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with rc_context({"svg.hashsalt": "mnist-style"}):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def qt_canvas(figure: Figure) -> Any:
    """A figure as a widget. PyQt5 has to be imported before, so that matplotlib takes that."""
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

    return FigureCanvasQTAgg(figure)
