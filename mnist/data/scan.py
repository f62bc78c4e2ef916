"""Somebody's own scan or photo of a digit, made into an image such as MNIST's.

LeCun, Cortes & Burges (http://yann.lecun.com/exdb/mnist): each digit was scaled to fit into a box
of 20×20 pixels, its shape kept, with grey levels from anti-aliasing; and put into a field of 28×28
so that its centre of mass is in the middle.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from scipy import ndimage
from torch import Tensor

from mnist.data import SIDE
from mnist.errors import Problem

BOX = 20  # pixels, the longer side of a digit
LARGEST = 50_000_000  # pixels that are decoded at all: a photo has 12 to 48 million
WORKING = 400  # pixels to a side that are enough to find a digit in


def read_scan(path: str | os.PathLike) -> Tensor:
    """The digit in a picture file, as MNIST would have it.

    The picture may be grey or in colour, with transparency or without, of 8 or 16 bits, dark on
    light or light on dark, and of any size. Paper is what the picture's rim looks like; what
    differs from it is ink.

    Args:
        path: any format that Pillow reads.

    Returns:
        float32 [1, 1, 28, 28] in [0, 1], 1 being ink.

    Raises:
        Problem: the file cannot be read, is no picture, is too large, or shows nothing.
    """
    path = Path(path)
    ink = find_ink(grey_levels(path))
    if ink is None:
        raise Problem(f"{path} shows no digit: no ink stands out from the paper")
    return torch.from_numpy(in_the_middle(in_a_box(ink))).reshape(1, 1, SIDE, SIDE)


def grey_levels(path: Path) -> np.ndarray:
    """The picture in grey, float64 [height, width] of any range, no larger than is of use."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own, of sizes that are refused here
            picture = Image.open(path)
        if picture.width * picture.height > LARGEST:
            raise Problem(
                f"{path} has {picture.width:,} × {picture.height:,} pixels: make it smaller, "
                f"{LARGEST:,} in all at most"
            )
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith(("I", "F")):  # 16 or 32 bits, which Pillow would cut off at 255
            levels = np.asarray(picture, np.float64)
            if not np.isfinite(levels).all():
                raise Problem(f"{path} has pixels that are no numbers")
            block = -(-max(levels.shape) // WORKING)
            first = [min(block, side) // 2 for side in levels.shape]
            return ndimage.uniform_filter(levels, block)[first[0] :: block, first[1] :: block]
        if picture.has_transparency_data:
            picture = on_paper(picture.convert("RGBA"))
        picture = picture.convert("L")
        picture.thumbnail((WORKING, WORKING), Image.Resampling.BOX)
        return np.asarray(picture, np.float64)
    except Problem:
        raise
    except Image.DecompressionBombError as error:
        raise Problem(f"{path} is too large to be decoded: {error}") from error
    except (Image.UnidentifiedImageError, SyntaxError) as error:
        raise Problem(f"{path} is no picture that can be read: {error}") from error
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Problem(f"cannot read {path}: {reason}") from error


def on_paper(picture: Image.Image) -> Image.Image:
    """An RGBA picture on white paper, or on black where that shows more of it."""
    papers = (Image.new("RGBA", picture.size, tone) for tone in ("white", "black"))
    return max(
        (Image.alpha_composite(paper, picture).convert("L") for paper in papers),
        key=lambda grey: np.asarray(grey).std(),
    )


def find_ink(levels: np.ndarray) -> np.ndarray | None:
    """How much of each pixel is ink, in [0, 1], cut to where there is any; None if nowhere."""
    ink = levels - paper(levels)
    if ink.max() < -ink.min():
        ink = -ink  # dark on light
    edge = rim(levels.shape)
    grain = 4 * deviation(ink[edge])
    smooth = ndimage.gaussian_filter(ink, max(levels.shape) / 100)
    # A page without ink: the darkest place is no darker than chance makes some place.
    if smooth.max() <= max(6 * deviation(smooth[edge]), 1e-6 * np.abs(levels).max()):
        return None
    # Where ink begins: between the two tones that a picture mainly has, and well above its grain.
    threshold = max(otsu(smooth), min(grain, 0.5 * smooth.max()))
    parts, count = ndimage.label(smooth > threshold, np.ones((3, 3)))
    sizes = ndimage.sum_labels(np.ones_like(ink), parts, range(1, count + 1))
    digit = np.isin(parts, 1 + np.flatnonzero(sizes >= 0.05 * sizes.max()))  # without specks
    digit = ndimage.binary_dilation(digit, iterations=2)
    full = np.percentile(ink[smooth > threshold], 75)
    low = min(threshold / 2, grain / 2)
    ink = np.where(digit, ((ink - low) / (full - low)).clip(0, 1), 0)
    rows, columns = np.nonzero((ink > 0.25).any(1))[0], np.nonzero((ink > 0.25).any(0))[0]
    if not len(rows):
        return None
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def paper(levels: np.ndarray) -> np.ndarray:
    """The tone that each pixel would have without ink: a plane through the picture's rim.

    A plane and not one tone, since light falls unevenly on a photographed page.
    """
    height, width = levels.shape
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    plane = np.stack([np.ones_like(x), x, y], -1)
    asked = rim(levels.shape)
    for _ in range(3):  # what is far from the plane, such as ink at the rim, has no say in it
        fit, *_ = np.linalg.lstsq(plane[asked], levels[asked], rcond=None)
        distance = np.abs(levels - plane @ fit)
        near = distance <= max(3 * np.median(distance[asked]), 1e-9)
        if near[asked].sum() < 8:
            break
        asked &= near
    return plane @ fit


def rim(shape: tuple[int, int]) -> np.ndarray:
    """Which pixels are near the edge, bool [height, width]."""
    pixels = np.ones(shape, bool)
    edge = max(1, round(0.04 * min(shape)))
    pixels[edge:-edge, edge:-edge] = False
    return pixels


def deviation(numbers: np.ndarray) -> float:
    """Standard deviation about zero, as the middle one of normal numbers tells it."""
    return float(1.4826 * np.median(np.abs(numbers)))


def otsu(values: np.ndarray) -> float:
    """The threshold that parts values into two groups as far apart as can be (Otsu 1979)."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * middles).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[np.nanargmax(apart)])


def in_a_box(ink: np.ndarray) -> np.ndarray:
    """Scaled so that its longer side has 20 pixels."""
    scale = BOX / max(ink.shape)
    size = [max(1, round(side * scale)) for side in ink.shape]
    picture = Image.fromarray(ink.astype(np.float32))
    # Averages where it shrinks, as anti-aliasing does; smooth curves where it grows.
    scaled = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(scaled).clip(0, 1)


def in_the_middle(digit: np.ndarray) -> np.ndarray:
    """Put into a field of 28×28, its centre of mass in the middle: float32 [28, 28]."""
    field = np.zeros((SIDE, SIDE), np.float32)
    places = []
    for axis, length in enumerate(digit.shape):
        mass = digit.sum(1 - axis)
        centre = (mass * (np.arange(length) + 0.5)).sum() / mass.sum()
        # MNIST's own digits have theirs half a pixel beyond the middle, 14.5 ± 0.3 on average.
        places.append(int(np.clip(round(SIDE / 2 + 0.5 - centre), 0, SIDE - length)))
    top, left = places
    field[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return field
