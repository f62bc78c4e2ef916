#!/usr/bin/env python3
"""Whether geodesics keep to the data where the decoder says how sure it is: a table and a map.

A VAE with two latent dimensions whose variance is by radial basis functions, for each seed. The
same pairs of test images are connected by a straight line, by the metric of the decoder's means,
and by the expected one; how far these curves are from the styles of training images is compared.
Runs are kept in .cache/. Needs the full MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/variance.py
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from machine import machine
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from matplotlib.colors import LogNorm  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

import mnist  # noqa: E402
from mnist.commands.geodesic import decoder_of  # noqa: E402
from mnist.data import load_dataset  # noqa: E402
from mnist.figures import plotting  # noqa: E402
from mnist.latent import geodesics  # noqa: E402
from mnist.training.run import Run  # noqa: E402

TRAIN = 10_000  # styles of training images that curves may be near to
AWAY = 10.0  # from the origin, where no style is
REACH = 9.0  # of the map
SHOWN = 6  # pairs in the map
WAYS = {"straight": "white", "by the means": "#E69F00", "expected": "#D55E00"}  # Okabe & Ito


def distances(curves: Tensor, styles: Tensor) -> Tensor:
    """Of curves [C, T, N] to styles [B, N]: of each the mean to the nearest, [C].

    Along its length: by its own time a curve is longest where its metric is largest, and each
    metric has another.
    """
    nearest = torch.stack([torch.cdist(curve, styles).amin(1) for curve in curves])
    pieces = curves.diff(dim=1).norm(dim=2)
    return ((nearest[:, 1:] + nearest[:, :-1]) / 2 * pieces).sum(1) / pieces.sum(1)


def curves_of(run: Run, starts: Tensor, ends: Tensor) -> dict[str, Tensor]:
    """Curves [C, T, N] between pairs of styles."""
    share = torch.linspace(0, 1, geodesics.FINE + 1)[:, None]
    found = {"straight": starts[:, None] + share * (ends - starts)[:, None]}
    for name, expected in (("by the means", False), ("expected", True)):
        decode = decoder_of(run, None, expected=expected)
        found[name] = geodesics.connect(decode, starts, ends).points
    return found


@torch.no_grad()
def deviations(run: Run, styles: Tensor) -> Tensor:
    """Mean standard deviation of an image's pixels in styles [B, N]: [B]."""
    parts = styles.split(1000)
    return torch.cat([run.decoder_std(part).flatten(1).mean(1) for part in parts])


def draw(run: Run, styles: Tensor, curves: dict[str, Tensor]) -> Figure:
    """The map of the deviation, training styles in it, and curves of each kind."""
    line = torch.linspace(-REACH, REACH, 181)
    plane = torch.cartesian_prod(line, line)
    std = deviations(run, plane).view(len(line), len(line)).T
    figure = Figure(figsize=(7.6, 6.4), layout="constrained")
    axes = figure.subplots()
    extent = (-REACH, REACH, -REACH, REACH)
    shown = axes.imshow(
        std, origin="lower", extent=extent, norm=LogNorm(), cmap="cividis", interpolation="none"
    )
    axes.scatter(*styles.T, s=0.3, color="black", alpha=0.4, linewidths=0)
    for (name, colour), style in zip(WAYS.items(), (":", "-", "-"), strict=True):
        for number, curve in enumerate(curves[name][:SHOWN]):
            label = name if number == 0 else None
            axes.plot(*curve.T, color="black", linewidth=3.2, linestyle=style)
            axes.plot(*curve.T, color=colour, linewidth=1.8, linestyle=style, label=label)
    axes.set(
        xlim=(-REACH, REACH),
        ylim=(-REACH, REACH),
        xlabel="z₁",
        ylabel="z₂",
        title="Geodesics where the decoder says how sure it is of pixels",
    )
    axes.legend(loc="upper left", framealpha=1, facecolor="0.6")
    figure.colorbar(shown, label="mean standard deviation of a pixel (images are in [0, 1])")
    return figure


def compare(run: Run, pairs: int) -> tuple[str, Figure]:
    """A line of the table, and the map."""
    data = load_dataset("mnist")
    some = torch.arange(0, len(data.train), len(data.train) // TRAIN)
    styles = run.style_tensor(data.train, some)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(data.test), generator=generator)[: 2 * pairs]
    ends = run.style_tensor(data.test, chosen)
    curves = curves_of(run, *ends.split(pairs))
    far = {name: distances(each, styles) for name, each in curves.items()}
    less = far["by the means"] - far["expected"]
    circle = torch.linspace(0, 2 * math.pi, 100)
    away = AWAY * torch.stack([circle.cos(), circle.sin()], 1)
    cells = [
        f"{deviations(run, ends).median():.2f}",
        f"{deviations(run, away).median():.2f}",
        *(f"{each.mean():.4f}" for each in far.values()),
        f"{less.mean():.4f} ± {1.96 * less.std() / pairs**0.5:.4f}",
    ]
    return " | ".join(cells), draw(run, styles, curves)


def main(seeds: Sequence[int], pairs: int, picture: Path) -> None:
    print(
        f"By `python benchmarks/variance.py` on {machine()}: {pairs} pairs of test images. Of a "
        f"pixel the deviation in test styles and {AWAY:g} away from the origin (medians); of curves"
        f" the mean distance to the nearest of {TRAIN:,} training styles; and by how much the "
        "expected metric lessens it (95 % interval).\n"
    )
    print(
        "| seed | deviation at data | away | straight | by the means | expected | nearer by |\n"
        + "|---" * 7
        + "|"
    )
    for seed in seeds:
        run = mnist.train(
            "vae",
            ckpt_dir=ROOT / ".cache" / f"variance-{seed}.ckpt",
            dataset="mnist",
            seed=seed,
            feature_size=2,
            labels=False,
            likelihood="gaussian",
            decoder_variance="rbf",
        )
        line, figure = compare(run, pairs)
        print(f"| {seed} | {line} |", flush=True)
        if seed == seeds[0]:
            picture.write_bytes(plotting.picture(figure, "png"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "geodesic-variance.png")
    arguments = parser.parse_args()
    main(arguments.seeds, arguments.pairs, arguments.picture)
