"""Picture files, read with suspicion: decoded as they are meant, or refused with a reason."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from mnist.errors import UserError, first_line

LARGEST = 50_000_000  # pixels that are decoded at all: a photo has 12 to 48 million
# What is read as a labelled picture. Pillow knows others, such as documents that may show anything.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
# Channels of a pixel that differ by so much make it coloured, and so many of them a picture: what
# a scanner makes of grey ink has less.
COLOURFUL, COLOURED = 24, 0.01

HALF = 127  # grey levels: paper is above where ink is dark

T = TypeVar("T")


class NoPicture(UserError):
    """A file that is no picture, or none that can be read.

    Attributes:
        reason: why, as it is said behind the file's path.
    """

    def __init__(self, path: Path, reason: str):
        super().__init__(f"{path} {reason}")
        self.reason = reason


def with_picture(
    path: Path, use: Callable[[Image.Image], T], formats: tuple[str, ...] | None = None
) -> T:
    """What `use` makes of an opened picture, of the formats named or of any that Pillow knows.

    `use` may say by `PixelsUnclear` why it cannot use it.

    Raises:
        NoPicture: it cannot be read, or is no picture, damaged or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own, of sizes that are refused here
            with Image.open(path, formats=formats) as picture:
                width, height = picture.size
                if width * height > LARGEST:
                    raise NoPicture(
                        path,
                        f"has {width:,} × {height:,} pixels: make it smaller, {LARGEST:,} in all "
                        "at most",
                    )
                picture.load()  # whatever is damaged, before anything is made of it
                return use(picture)
    except NoPicture:
        raise
    except PixelsUnclear as error:
        raise NoPicture(path, str(error)) from error
    except Image.DecompressionBombError as error:
        raise NoPicture(path, f"is too large to be decoded: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise NoPicture(path, "is no picture that can be read") from error
    except OSError as error:
        raise NoPicture(path, f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged file: decoders fail by whatever they stumble over
        raise NoPicture(
            path, f"cannot be read: its picture is damaged ({first_line(error)})"
        ) from error


class PixelsUnclear(Exception):
    """Why the pixels of a whole picture cannot be taken for an image."""


def on_paper(picture: Image.Image) -> Image.Image:
    """An RGBA picture on white paper, or on black where that shows more of it."""
    papers = (Image.new("RGBA", picture.size, tone) for tone in ("white", "black"))
    return max(
        (Image.alpha_composite(paper, picture) for paper in papers),
        key=lambda shown: np.asarray(shown.convert("L")).std(),
    )


def read_picture(path: Path) -> Image.Image:
    """A labelled picture, in grey ("L") or in colour ("RGB").

    Upright, as its camera says it is; what is transparent in it on paper; of 16 bits the upper 8;
    CMYK as RGB. What has several pictures, or pixels that are no bytes, says not which is meant.

    Raises:
        NoPicture: why it is none.
    """
    return with_picture(path, in_bytes, FORMATS)


def in_bytes(picture: Image.Image) -> Image.Image:
    """An opened picture as `read_picture` gives it. Raises PixelsUnclear where it cannot."""
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "JPEG":  # a camera's JPEG may have a preview beside it
        raise PixelsUnclear(f"has {frames} pictures: save the one that is meant")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        levels = np.asarray(picture).astype(np.int64)
        if levels.min() < 0 or levels.max() > 2**16 - 1:
            raise PixelsUnclear("has pixels of more than 16 bits: save it with 8 or 16")
        return Image.fromarray((levels >> 8).astype(np.uint8))
    if picture.mode.startswith("F"):
        raise PixelsUnclear("has pixels that are no whole numbers: save it with 8 or 16 bits")
    if picture.has_transparency_data:
        picture = on_paper(picture.convert("RGBA"))
    picture = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    return picture if picture.mode == "L" or is_coloured(picture) else picture.convert("L")


def is_coloured(picture: Image.Image) -> bool:
    """Whether an RGB picture shows more than shades of grey."""
    small = picture.reduce(max(1, max(picture.size) // 256))
    channels = np.asarray(small).astype(np.int16)
    return bool((np.ptp(channels, axis=2) > COLOURFUL).mean() > COLOURED)


def rim(levels: np.ndarray) -> np.ndarray:
    """The outermost pixels of an array [H, W] or [H, W, 3], in a row: [N] or [N, 3]."""
    sides = levels[0], levels[-1], levels[1:-1, 0], levels[1:-1, -1]
    return np.concatenate(sides)


def dark_on_light(pictures: Sequence[Image.Image]) -> bool:
    """Whether most pictures are, by the tone of their rims in grey."""
    tones = [np.median(rim(np.asarray(picture.convert("L")))) for picture in pictures]
    return bool(np.median(tones) > HALF)


def fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture scaled into one of this (height, width), its shape kept, in the middle.

    What it does not cover has the tone of its rim.
    """
    height, width = size
    if picture.size == (width, height):
        return picture
    scale = min(width / picture.width, height / picture.height)
    inner = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    # Averages where it shrinks, as anti-aliasing does; smooth curves where it grows.
    scaled = picture.resize(inner, Image.Resampling.BICUBIC, reducing_gap=3.0)
    if inner == (width, height):
        return scaled
    tone = np.median(rim(np.asarray(picture)), axis=0).astype(int)
    paper = tuple(tone.tolist()) if picture.mode == "RGB" else int(tone)
    field = Image.new(picture.mode, (width, height), paper)
    field.paste(scaled, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return field
