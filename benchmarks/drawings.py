#!/usr/bin/env python3
"""Test images drawn anew with the pen of explore.py's pad, small and large: how many are read.

Each image is thinned to lines of a pixel (Zhang & Suen 1984), which the pen follows; what is drawn
is prepared as the pad's drawings are, and read by a classifier: as it is, and as the run writes it
again. A large digit has thin strokes, a small one thick ones.

example: python benchmarks/drawings.py --ckpt-dir mnist4.ckpt
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from machine import machine
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import mnist  # noqa: E402
from mnist.data import load_same_dataset  # noqa: E402
from mnist.data.scan import read_scan  # noqa: E402
from mnist.figures.images import grid  # noqa: E402
from mnist.figures.sheets import Section, sheet  # noqa: E402
from mnist.training.run import balanced_sample  # noqa: E402

FINER = 4  # pixels for each of an image, in which it is thinned
HEIGHTS = {"small, thick": 80, "usual": 115, "large, thin": 150}  # of a digit on the pad of 168


def thinned(ink: np.ndarray) -> np.ndarray:
    """What is left of ink, bool [H, W], by Zhang & Suen (1984): lines of one pixel."""
    ink = np.pad(ink, 1)
    around = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    while True:
        before = ink.copy()
        for first in (True, False):
            p = [np.roll(ink, (-y, -x), (0, 1)) for y, x in around]  # from the north, clockwise
            turns = sum(~one & other for one, other in zip(p, [*p[1:], p[0]], strict=True))
            count = sum(each.astype(int) for each in p)
            north, east, south, west = p[0], p[2], p[4], p[6]
            if first:
                edge = ~(north & east & south) & ~(east & south & west)
            else:
                edge = ~(north & east & west) & ~(north & south & west)
            ink = ink & ~((turns == 1) & (count >= 2) & (count <= 6) & edge)
        if (ink == before).all():
            return ink[1:-1, 1:-1]


def lines(image: Tensor, height: float, side: int) -> np.ndarray:
    """Starts and ends of the pen's lines on a pad, [L, 2, 2] as (x, y), that trace an image."""
    picture = Image.fromarray(image.numpy())
    size = (picture.width * FINER, picture.height * FINER)
    ink = np.asarray(picture.resize(size, Image.Resampling.BICUBIC)) > 0.4
    skeleton = thinned(ink)
    found = []
    for y, x in np.argwhere(skeleton):
        found.append(((x, y), (x, y)))
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            other = y + down, x + right
            if other[0] < ink.shape[0] and 0 <= other[1] < ink.shape[1] and skeleton[other]:
                found.append(((x, y), other[::-1]))
    ends = np.array(found, float)
    low, high = ends.min((0, 1)), ends.max((0, 1))
    scale = height / max(*(high - low), 1)
    return (ends - (low + high) / 2) * scale + side / 2


def drawn(image: Tensor, height: float, folder: Path) -> Tensor:
    """An image [H, W] traced on the pad, as the encoder sees it: [1, 1, 28, 28]."""
    from PyQt5.QtCore import QPointF

    from mnist.figures.explorer_parts import Pad

    pad = Pad()
    for start, end in lines(image, height, pad.width()):
        pad.stroke(QPointF(*start), QPointF(*(end + 0.01)))  # of no length nothing is drawn
    pad.image.save(str(folder / "drawing.png"))
    return read_scan(folder / "drawing.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ckpt-dir", default="mnist4.ckpt")
    parser.add_argument("--classifier", default="mnist-classifier.ckpt")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--picture", type=Path, help="FILE.png of some, and of all misread ones")
    arguments = parser.parse_args()
    from mnist.figures.window import application

    application()
    run, classifier = mnist.load(arguments.ckpt_dir), mnist.load(arguments.classifier)
    test = load_same_dataset(run.config["training"]).test
    batch = test.batch(balanced_sample(test.labels, arguments.count, 0))
    images, labels = batch.images, batch.labels
    read = (classifier.read(images) == labels).double().mean()
    print(
        f"By benchmarks/drawings.py on {machine()}: {len(images)} test images, {read:.1%} read.\n"
    )
    print("| drawn | read as their digit | written again by the run |")
    print("|---|---|---|")
    sections, right, again = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, height in HEIGHTS.items():
            every = torch.cat([drawn(each, height, Path(folder)) for each in images[:, 0]])
            rebuilt = run.decode(run.encode(every, labels), labels, sharpness=run.sharpness)
            right.append(classifier.read(every) == labels)
            again.append(classifier.read(rebuilt) == labels)
            print(f"| {name} | {right[-1].double().mean():.1%} | {again[-1].double().mean():.1%} |")
            some = torch.linspace(0, len(images) - 1, 20).long()
            rows = grid([images[some], every[some], rebuilt[some]])
            sections.append(Section(name, rows, ["test image", "drawn", "by the run"]))
            wrong = torch.nonzero(~right[-1])[:20, 0]
            if len(wrong):
                captions = ["test image", "misread"]
                rows = grid([images[wrong], every[wrong]])
                sections.append(Section(f"{name}: misread", rows, captions))
    both = [f"{torch.cat(each).double().mean():.1%}" for each in (right, again)]
    print(f"| all | {' | '.join(both)} |")
    if arguments.picture:
        arguments.picture.write_bytes(sheet(sections))


if __name__ == "__main__":
    main()
