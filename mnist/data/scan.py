"""Somebody's own scan or photo, made into an image such as those of a data set.

Of digits and letters that were prepared as MNIST's were:
LeCun, Cortes & Burges (http://yann.lecun.com/exdb/mnist): each digit was scaled to fit into a box
of 20×20 pixels, its shape kept, with grey levels from anti-aliasing; and put into a field of 28×28
so that its centre of mass is in the middle.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from scipy import ndimage
from torch import Tensor

from mnist.data.mnist import MNIST
from mnist.data.pictures import (
    PixelsUnclear,
    dark_on_light,
    fitted,
    on_paper,
    read_picture,
    with_picture,
)
from mnist.data.spec import DataSpec
from mnist.data.types import from_bytes
from mnist.errors import UserError

AS_MNIST = "mnist", "qmnist", "emnist"  # how names begin of sets that were prepared as MNIST was
SIDE = MNIST.image_shape[1]
BOX = 20  # pixels, the longer side of a digit
WORKING = 400  # pixels to a side that are enough to find a digit in
# Pixels, of a digit's strokes in its box: of ten of MNIST's, nine have thicker ones.
THINNEST = 1.8
# Two digits: two parts at least so high, relative to the higher one, and so far from all others.
# Of 6,000 of MNIST's, 13 are so.
HIGH, GAP = 0.5, 0.08


def read_scan(path: str | os.PathLike[str], tell: Callable[[str], None] = lambda _: None) -> Tensor:
    """The digit in a picture file, as MNIST would have it.

    The picture may be grey or in colour, with transparency or without, of 8 or 16 bits, dark on
    light or light on dark, and of any size. Paper is what the picture's rim looks like, or where
    that is a frame, a table or in shade, what lies about the digit; what differs from it is ink.
    Strokes too thin for MNIST are thickened.

    Args:
        path: any format that Pillow reads; of several pictures in a file the first.
        tell: called with a line on what is doubtful in the picture.

    Returns:
        float32 [1, 1, 28, 28] in [0, 1], 1 being ink.

    Raises:
        UserError: the file cannot be read, is no picture, is too large, or shows nothing.
    """
    path = Path(path)
    ink, two = find_ink(grey_levels(path))
    if ink is None:
        raise UserError(
            f"{path} shows no digit: no ink stands out from the paper; crop it closer to the digit"
        )
    if two:
        tell(f"{path} seems to show more than one digit: crop it to the one that is meant")
    return torch.from_numpy(in_the_middle(in_a_box(thickened(ink)))).reshape(1, 1, SIDE, SIDE)


def read_alike(
    path: str | os.PathLike[str],
    dataset: str,
    spec: DataSpec,
    tell: Callable[[str], None] = lambda _: None,
) -> Tensor:
    """A picture file as an image of a data set.

    For data sets that were prepared as MNIST was it is found and prepared likewise; for others the
    whole picture is scaled to their size, its shape kept, and in grey made light on dark.

    Args:
        path: of the picture.
        dataset: the name of the set, or the path of somebody's own.
        spec: of its images.
        tell: called with a line on what is doubtful in the picture.

    Returns:
        float32 [1, C, H, W] in [0, 1].

    Raises:
        UserError: as `read_scan`, or `NoPicture`.
    """
    if is_like_mnist(dataset, spec):
        return read_scan(path, tell)
    channels, height, width = spec.image_shape
    picture = read_picture(Path(path)).convert("RGB" if channels > 1 else "L")
    if channels == 1 and dark_on_light([picture]):
        picture = ImageOps.invert(picture)
    return from_bytes(torch.from_numpy(np.array(fitted(picture, (height, width))))[None])


def is_like_mnist(dataset: str, spec: DataSpec) -> bool:
    """Whether images of a data set were prepared as MNIST's were."""
    return spec.image_shape == MNIST.image_shape and dataset.split("-")[0] in AS_MNIST


def grey_levels(path: Path) -> np.ndarray:
    """The picture in grey, float64 [height, width] of any range, no larger than is of use.

    Raises:
        UserError: it cannot be read, or is no picture, damaged or too large.
    """
    return with_picture(path, decoded)


def decoded(picture: Image.Image) -> np.ndarray:
    """An opened picture as `grey_levels` gives it. Raises PixelsUnclear where they are no numbers.

    Of several pictures in a file it is the first.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):  # 16 or 32 bits, which Pillow would cut off at 255
        levels = np.asarray(picture, np.float64)
        if not np.isfinite(levels).all():
            raise PixelsUnclear("has pixels that are no numbers")
        block = -(-max(levels.shape) // WORKING)
        first = [min(block, side) // 2 for side in levels.shape]
        return ndimage.uniform_filter(levels, block)[first[0] :: block, first[1] :: block]
    if picture.has_transparency_data:
        picture = on_paper(picture.convert("RGBA"))
    picture = picture.convert("L")
    picture.thumbnail((WORKING, WORKING), Image.Resampling.BOX)
    return np.asarray(picture, np.float64)


def find_ink(levels: np.ndarray) -> tuple[np.ndarray | None, bool]:
    """How much of each pixel is ink, in [0, 1], cut to where there is any; None if nowhere.

    With it, whether that may be two digits.
    """
    if levels.max() == levels.min():
        return None, False
    page = page_in_frame(levels)
    if page:
        levels = levels[page]
    edge = rim(levels.shape)
    ink = levels - paper(levels)
    if ink.max() < -ink.min():
        ink = -ink  # dark on light
    found = digit_in(ink, edge)
    if found is None or not rim_is_paper(levels, edge):
        # Dark corners, a frame, the table under the page: paper is what lies around the digit.
        inner = digit_in(above_surroundings(levels), np.ones_like(edge), inside=True)
        found = found if inner is None else inner
    return found or (None, False)


def digit_in(
    ink: np.ndarray, around: np.ndarray, inside: bool = False
) -> tuple[np.ndarray, bool] | None:
    """What stands out, cut to its size and in [0, 1], and whether that may be two digits.

    Args:
        ink: by how much each pixel differs from paper, [height, width].
        around: bool, the pixels by which paper's grain is known: most of them are paper.
        inside: whether what touches the picture's edge is no part of the digit.
    """
    grain = 4 * deviation(ink[around])
    smooth = ndimage.gaussian_filter(ink, max(ink.shape) / 100)
    # A page without ink: the darkest place is no darker than chance makes some place.
    if smooth.max() <= max(6 * deviation(smooth[around]), 1e-6 * np.abs(ink).max()):
        return None
    # Where ink begins: between the two tones that a picture mainly has, and well above its grain.
    threshold = max(otsu(smooth), min(grain, 0.5 * smooth.max()))
    parts, count = ndimage.label(smooth > threshold, np.ones((3, 3)))
    kept = without_frames(parts, np.arange(1, count + 1), inside)
    if not len(kept):
        return None
    sizes = ndimage.sum_labels(np.ones_like(ink), parts, kept)
    kept = kept[sizes >= 0.05 * sizes.max()]  # without specks
    digit = np.isin(parts, kept)
    pen = digit & (ink > threshold)  # not the paper beside a hairline, though it is in the blur
    full = np.percentile(ink[pen if pen.any() else digit], 75)
    low = min(threshold / 2, grain / 2)
    if full <= low:
        return None
    near = ndimage.binary_dilation(digit, iterations=2)
    ink = np.where(near, ((ink - low) / (full - low)).clip(0, 1), 0)
    rows, columns = np.nonzero((ink > 0.25).any(1))[0], np.nonzero((ink > 0.25).any(0))[0]
    if not len(rows):
        return None
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cut, are_two(parts, kept)


def without_frames(parts: np.ndarray, kept: np.ndarray, inside: bool) -> np.ndarray:
    """The numbers of those parts that are no frame about others.

    Args:
        parts: each pixel's part, int [height, width]; 0 for paper.
        kept: the parts' numbers.
        inside: whether whatever touches the picture's edge is one.
    """
    touching = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    if not inside:  # only what lies along the edge, such as a wedge of the table under the page
        y, x = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in parts.shape)
        depths = ndimage.maximum(np.minimum(y[:, None], x), parts, touching)
        touching = touching[np.asarray(depths) < min(parts.shape) / 8]
    sizes = np.bincount(parts.ravel())
    inner = np.setdiff1d(kept, touching)
    if inside or (len(inner) and sizes[inner].max() > 0.2 * sizes[kept].max()):
        kept = inner
    boxes = ndimage.find_objects(parts)
    heights = np.array([box[0].stop - box[0].start for box in boxes])
    for number in kept[np.argsort(-heights[kept - 1])][:3]:
        filled = ndimage.binary_fill_holes(parts == number)
        within = np.setdiff1d(parts[filled], [0, number])
        # No digit has a part in its loop that is near as high as itself.
        if len(within) and heights[within - 1].max() > 0.25 * heights[number - 1]:
            kept = kept[kept != number]
    return kept


def are_two(parts: np.ndarray, kept: np.ndarray) -> bool:
    """Whether parts of ink, numbered in int [H, W], are rather two digits than one in pieces.

    `kept` has the numbers of those that are no dust.
    """
    boxes = ndimage.find_objects(parts)
    heights = {number: boxes[number - 1][0].stop - boxes[number - 1][0].start for number in kept}
    tallest = max(heights.values())
    high = [number for number in kept if heights[number] >= HIGH * tallest]
    if len(high) < 2:
        return False
    for number in high:
        others = np.isin(parts, kept[kept != number])
        if ndimage.distance_transform_edt(~others)[parts == number].min() >= GAP * tallest:
            return True
    return False


def page_in_frame(levels: np.ndarray) -> tuple[slice, ...] | None:
    """Where in a frame, or on a table of another tone, a page lies straight; None without one.

    levels [H, W] -> slices of rows and columns.
    """
    edge = rim(levels.shape)
    light = levels > otsu(levels)
    page = light if light[edge].mean() < 0.5 else ~light
    parts, count = ndimage.label(ndimage.binary_fill_holes(page))
    if not count:
        return None
    largest = 1 + int(np.argmax(ndimage.sum_labels(page, parts, range(1, count + 1))))
    box = ndimage.find_objects(parts)[largest - 1]
    margin = 1 + max(levels.shape) // 100  # what is blurred of its edge
    inner = tuple(slice(span.start + margin, span.stop - margin) for span in box)
    sides = zip(inner, levels.shape, strict=True)
    large = all(span.stop - span.start > side / 2 for span, side in sides)
    # A rectangle fills its box; a digit, even with its loops filled, leaves the corners empty.
    if not large or (parts[box] == largest).mean() < 0.95:
        return None
    return inner


def rim_is_paper(levels: np.ndarray, edge: np.ndarray) -> bool:
    """Whether most of the rim, levels [H, W] where `edge` is true, has the tone of most of them."""
    light = levels > otsu(levels)
    return (light[edge].mean() > 0.5) == (light.mean() > 0.5)


def above_surroundings(levels: np.ndarray) -> np.ndarray:
    """By how much each pixel [H, W] differs from the paper near it, in the direction that is ink's.

    Most of a picture is paper; so ink is dark where most of it is light.
    """
    if (levels > otsu(levels)).mean() < 0.5:
        levels = -levels
    smooth = ndimage.gaussian_filter(levels, max(levels.shape) / 200)
    # Paper as it would be without anything narrower than a third of the picture, such as strokes.
    near = max(levels.shape) // 3
    ink = ndimage.grey_closing(smooth, (near, near)) - levels
    return ink - np.median(ink)


def paper(levels: np.ndarray) -> np.ndarray:
    """The tone [H, W] that each pixel would have without ink: a plane through the picture's rim.

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
    """Standard deviation about 0 of normal numbers [B], by their median, which outliers spare."""
    return float(1.4826 * np.median(np.abs(numbers)))


def otsu(values: np.ndarray) -> float:
    """The threshold that parts values [B] into two groups as far apart as can be (Otsu 1979)."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * middles).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[np.nanargmax(apart)])


def thickened(ink: np.ndarray) -> np.ndarray:
    """Ink [H, W] with strokes not thinner than MNIST's, once it is scaled into its box.

    A hairline would become a pale grey there, which no digit of MNIST is.
    """
    mask = ink > 0.5
    if not mask.any():
        return ink
    # In a stroke of width w the mean distance to its edge is w/4.
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    width = 4 * (inside[mask] - 0.5).mean()
    length = max(ink.shape)
    # Grown by r on each side, (width + 2 r) BOX / (length + 2 r) is to be THINNEST.
    more = (THINNEST * length - BOX * width) / (2 * (BOX - THINNEST))
    if more <= 0:
        return ink
    margin = int(np.ceil(more))
    far = ndimage.distance_transform_edt(~np.pad(mask, margin))
    return np.maximum(np.pad(ink, margin), (more + 0.5 - far).clip(0, 1))


def in_a_box(ink: np.ndarray) -> np.ndarray:
    """Ink [H, W] in [0, 1] scaled so that its longer side has 20 pixels."""
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
