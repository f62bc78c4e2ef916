"""Lines of text out of an image of each character: as pixels, or as outlines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from contourpy import FillType, contour_generator
from PIL import Image

from mnist.figures.images import on_paper
from mnist.figures.sheets import png

SCALE = 4  # by what images are enlarged
INK = 0.2  # above which a pixel belongs to a character
# Of an image's height, as all below: between two characters, for a space, about the page.
GAP, SPACE, MARGIN = 0.09, 0.4, 0.2


class Placed(NamedTuple):
    """A character on a page, in pixels of its image."""

    character: str
    image: np.ndarray  # [H, W], or [H, W, 3] in colour: its columns with ink
    left: float
    top: float


class Page(NamedTuple):
    """Characters on paper, in pixels of their images."""

    width: float
    height: float
    placed: Sequence[Placed]


def set_lines(lines: Sequence[str], images: Sequence[np.ndarray]) -> Page:
    """Set lines of text, ragged, with as much between two characters whatever their width.

    Args:
        lines: with an image for each character that is no space.
        images: of these in their order, [H, W] or [H, W, 3] in [0, 1], all of the same size.
    """
    every, placed = iter(images), []
    tall = len(images[0])
    right = margin = MARGIN * tall
    for row, line in enumerate(lines):
        left = margin
        for character in line:
            if character == " ":
                left += SPACE * tall
                continue
            image = without_sides(next(every))
            placed.append(Placed(character, image, left, margin + row * tall))
            left += image.shape[1] + GAP * tall
        right = max(right, left - GAP * tall)
    return Page(right + margin, len(lines) * tall + 2 * margin, placed)


def without_sides(image: np.ndarray) -> np.ndarray:
    """The columns of an image from the first to the last with ink; the whole of one without any."""
    ink = image if image.ndim == 2 else 1 - image.min(2)
    columns = np.flatnonzero((ink > INK).any(0))
    return image[:, columns[0] : columns[-1] + 1] if len(columns) else image


def as_picture(page: Page) -> bytes:
    """A PNG: dark ink on white paper, or colours as they are."""
    first = page.placed[0].image
    paper, darker = (0.0, np.maximum) if first.ndim == 2 else (1.0, np.minimum)
    shape = round(page.height), round(page.width), *first.shape[2:]
    canvas = np.full(shape, paper, np.float32)
    for each in page.placed:
        top, left = round(each.top), round(each.left)
        tall, wide, *_ = each.image.shape
        there = canvas[top : top + tall, left : left + wide]
        there[:] = darker(there, each.image[:, : there.shape[1]])
    return png(on_paper(canvas, SCALE, smooth=True))


def as_outlines(page: Page, title: str) -> bytes:
    """An SVG with a path about the ink of each character [H, W]."""
    wide, tall = page.width * SCALE, page.height * SCALE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{tall:.0f}" '
        f'viewBox="0 0 {page.width:.1f} {page.height:.1f}" role="img" '
        f"aria-label={quoteattr(title)}>",
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        '<g fill="black" fill-rule="evenodd">',
        *(f'<path d="{outline(each)}"/>' for each in page.placed),
        "</g>",
        "</svg>",
    ]
    return ("\n".join(lines) + "\n").encode()


def outline(placed: Placed) -> str:
    """An SVG path about where its image, enlarged smoothly, has half as much ink as at most."""
    darkest = float(placed.image.max())
    if darkest < INK:
        return ""
    field = np.pad(placed.image, 1).astype(np.float32)
    tall, wide = field.shape
    size = wide * SCALE, tall * SCALE
    smooth = np.asarray(Image.fromarray(field).resize(size, Image.Resampling.BICUBIC))
    # The middle of pixel i of the enlarged field is at (i + 1/2) / SCALE of the field.
    across, down = ((np.arange(n * SCALE) + 0.5) / SCALE - 1 for n in (wide, tall))
    contours = contour_generator(across, down, smooth, fill_type=FillType.OuterOffset)
    rings = []
    for points, offsets in zip(*contours.filled(darkest / 2, np.inf), strict=True):
        moved = points + np.array([placed.left, placed.top])
        for start, end in pairwise(offsets):  # a ring's last point is its first again: Z
            ring = "L".join(f"{x:.2f},{y:.2f}" for x, y in moved[start : end - 1])
            rings.append(f"M{ring}Z")
    return "".join(rings)
