#!/usr/bin/env python3
"""Every typeface on this machine as labelled images: a data set whose style is the typeface.

Writes the letters A to Z (--letters 62: and a to z, 0 to 9) of each into an .npz, in which the
typeface is the writer, and those of a tenth of the families are for testing. The letters of a
typeface share a baseline and a scale. What has not all letters, or the same as another, is left out
and counted; with --text also what is made for show rather than for text.

example: examples/fonts.py fonts.npz && ./mnist-aae.py --dataset fonts.npz --feature-size 16
"""

from __future__ import annotations

import argparse
import logging
import string
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from fontTools import agl
from fontTools.ttLib import TTFont
from matplotlib.font_manager import findSystemFonts
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

LETTERS = {
    26: string.ascii_uppercase,
    62: string.ascii_uppercase + string.ascii_lowercase + string.digits,
}
ACCENTED = "ÀÉÑÖÜàéñöüß"  # in typefaces for text, and in few that are of frames, dots or symbols
MARGIN = 2  # pixels about the largest letter
TRIAL = 100  # points at which letters are measured before they are drawn to size
FINER = 4  # times that they are drawn larger than they end up, for smooth edges
TEST_SHARE = 10  # a tenth of the families


class Unsuitable(Exception):
    """Why a typeface is left out."""


def names_of(path: Path, letters: str, besides: str) -> tuple[str, str]:
    """Family and full name of a typeface. Raises Unsuitable where it has not all letters, and those
    that it is to have besides."""
    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            glyphs = font.getBestCmap() or {}
            family, full = (font["name"].getDebugName(which) for which in (1, 4))
    except Exception as error:  # fontTools fails by whatever it stumbles over in a damaged file
        raise Unsuitable("unreadable") from error
    for letter in letters:
        if ord(letter) not in glyphs:
            raise Unsuitable("without all letters")
        # By the name of its glyph, if that says anything: some have symbols in letters' places.
        meant = agl.toUnicode(glyphs[ord(letter)])
        if meant and meant.lower() != letter.lower():
            raise Unsuitable("of symbols")
    if any(ord(letter) not in glyphs for letter in besides):
        raise Unsuitable("without accented letters")
    return family or path.stem, full or path.stem


def drawn(path: Path, letters: str, size: int) -> np.ndarray:
    """Letters as light images on dark, uint8 [N, size, size]. Raises Unsuitable."""
    try:
        trial = ImageFont.truetype(path, TRIAL)
        boxes = np.array([trial.getbbox(letter, anchor="ls") for letter in letters])
        left, top, right, bottom = boxes.T
        extent = max(bottom.max() - top.min(), (right - left).max())
        if (right <= left).any() or (bottom <= top).any():
            raise Unsuitable("with empty letters")
        points = TRIAL * (size - 2 * MARGIN) * FINER / extent
        font = ImageFont.truetype(path, points)
        middle, images = points / TRIAL * (top.min() + bottom.max()) / 2, []
        for letter, start, end in zip(letters, left, right, strict=True):
            field = Image.new("L", (size * FINER,) * 2)
            across = size * FINER / 2 - points / TRIAL * (start + end) / 2
            at = (across, size * FINER / 2 - middle)
            ImageDraw.Draw(field).text(at, letter, fill=255, font=font, anchor="ls")
            images.append(np.asarray(field.resize((size, size), Image.Resampling.BOX)))
    except (OSError, ValueError) as error:
        raise Unsuitable("unreadable") from error
    if len({image.tobytes() for image in images}) < len(letters):
        raise Unsuitable("with letters that are alike")
    return np.stack(images)


def collect(
    paths: Sequence[Path], letters: str, besides: str, size: int
) -> tuple[dict[str, tuple[str, np.ndarray]], dict[str, int]]:
    """Family and images of each typeface by its name, and how many were left out, by reason."""
    found: dict[str, tuple[str, np.ndarray]] = {}
    left_out: dict[str, int] = {}
    seen = set()
    for path in tqdm(paths, unit=" files", disable=None):
        try:
            family, name = names_of(path, letters, besides)
            images = drawn(path, letters, size)
            if name in found or images.tobytes() in seen:
                raise Unsuitable("that were there already")
        except Unsuitable as reason:
            left_out[str(reason)] = left_out.get(str(reason), 0) + 1
            continue
        seen.add(images.tobytes())
        found[name] = family, images
    return found, left_out


def for_testing(families: Sequence[str]) -> np.ndarray:
    """Of each typeface's family whether it is for testing, always the same ones: bool [N].

    Families that begin by the same word, such as DejaVu Sans and DejaVu Serif, are one.
    """
    makers = [family.split()[0] for family in families]
    order = sorted(set(makers), key=lambda maker: zlib.crc32(maker.encode()))
    chosen = order[: max(1, len(order) // TEST_SHARE)]
    return np.isin(makers, chosen)


def fail(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    """Stop with a line on what is wrong."""
    parser.exit(2, f"{parser.prog}: error: {message}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="FILE.npz")
    parser.add_argument("--folder", type=Path, nargs="+", help="of typefaces, instead of all")
    parser.add_argument("--letters", type=int, choices=LETTERS, default=26)
    parser.add_argument("--text", action="store_true", help="only what has accented letters, too")
    parser.add_argument("--size", type=int, default=28, help="pixels to a side (default: 28)")
    arguments = parser.parse_args()
    logging.getLogger("fontTools").setLevel(logging.CRITICAL)  # what it minds is counted here
    letters = LETTERS[arguments.letters]
    if arguments.output.suffix != ".npz" or not arguments.output.absolute().parent.is_dir():
        fail(parser, f"{arguments.output} is no .npz in a folder that is there")
    folders = arguments.folder and list(map(str, arguments.folder))
    paths = sorted({Path(path).resolve() for path in findSystemFonts(folders)})
    besides = ACCENTED if arguments.text else ""
    found, left_out = collect(paths, letters, besides, arguments.size)
    families = [family for family, _ in found.values()]
    if len({family.split()[0] for family in families}) < 2:
        fail(parser, f"fewer than two families in {len(paths):,} font files: name a --folder")
    test = for_testing(families)
    count = len(letters)
    try:
        np.savez_compressed(
            arguments.output,
            images=np.concatenate([images for _, images in found.values()]),
            labels=np.tile(np.arange(count), len(found)),
            classes=np.array(list(letters)),
            writers=np.repeat(np.arange(len(found)), count),
            test=np.repeat(test, count),
            typefaces=np.array(list(found)),
        )
    except OSError as error:
        arguments.output.unlink(missing_ok=True)
        fail(parser, f"{arguments.output} cannot be written: {error.strerror}")
    print(
        f"{len(found):,} typefaces, {test.sum():,} of them for testing, written to "
        f"{arguments.output}; left out: "
        + (", ".join(f"{many:,} {why}" for why, many in sorted(left_out.items())) or "none")
    )


if __name__ == "__main__":
    main()
