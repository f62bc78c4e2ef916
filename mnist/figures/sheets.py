"""Sheets of digits, with Pillow: what training leaves each epoch, and generate-all.py writes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mnist.data import CLASSES, SIDE, Digits

SCALE = 2  # screen pixels for a pixel of a digit
MARGIN = 12
COLUMNS = 20
CELL = 44  # screen pixels of a confusion matrix to a count
MISREAD = 12  # images in a row


class Section(NamedTuple):
    """A part of a sheet: its title, and images in rows."""

    title: str
    images: np.ndarray  # [rows, columns, 28, 28] in [0, 1], drawn as dark ink on white paper
    captions: Sequence[str] = ()  # to the right of each row


def sheet(sections: Sequence[Section]) -> bytes:
    """A PNG of titled grids of images, one below the other."""
    font, small, line = ImageFont.load_default(size=15), ImageFont.load_default(size=13), 24
    width = max(section_width(section, font, small) for section in sections)
    height = MARGIN + sum(
        line + s.images.shape[0] * s.images.shape[2] * SCALE + MARGIN for s in sections
    )
    page = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(page)
    top = MARGIN
    for title, images, captions in sections:
        draw.text((MARGIN, top), title, fill=0, font=font)
        top += line
        rows, columns, tall, wide = images.shape
        pixels = images.swapaxes(1, 2).reshape(rows * tall, columns * wide)
        ink = Image.fromarray((255 * (1 - pixels)).round().astype(np.uint8))
        page.paste(ink.resize((ink.width * SCALE, ink.height * SCALE)), (MARGIN, top))
        right = MARGIN + columns * wide * SCALE
        for row, caption in enumerate(captions):
            middle = top + round((row + 0.5) * tall * SCALE)
            draw.text((right + MARGIN, middle), caption, fill=0, font=small, anchor="lm")
        top += rows * tall * SCALE + MARGIN
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def section_width(section: Section, font: ImageFont.ImageFont, small: ImageFont.ImageFont) -> int:
    """Screen pixels that a section needs, margins included."""
    images = section.images.shape[1] * section.images.shape[3] * SCALE
    captions = max((small.getlength(caption) + MARGIN for caption in section.captions), default=0)
    return 2 * MARGIN + round(max(images + captions, font.getlength(section.title)))


def training_samples(
    encode: Callable[[Tensor, Tensor], Tensor],
    decode: Callable[[Tensor, Tensor], Tensor],
    styles: Tensor,
    test: Digits,
    labels: bool,
) -> bytes:
    """A PNG of test images over their reconstructions, and digits written in styles of the prior.

    Args:
        encode: images [B, 1, 28, 28] in [0, 1], digits int64 [B] -> style [B, N].
        decode: style, digits -> images.
        styles: [20, N] from the prior.
        test: where test images are taken from, two of each digit.
        labels: whether decode is told the digit. If so each column is one style, and each row one
            digit; otherwise the styles are decoded in one row.
    """
    chosen = torch.cat([torch.nonzero(test.labels == digit)[:2, 0] for digit in range(CLASSES)])
    batch = test.batch(chosen)
    rebuilt = decode(encode(batch.images, batch.labels), batch.labels)
    digits = torch.arange(CLASSES if labels else 1, device=styles.device)
    each_style = styles.repeat(len(digits), 1)
    each_digit = digits.repeat_interleave(len(styles))
    written = decode(each_style, each_digit)
    what = "every digit in {} styles drawn from the prior, a style to a column"
    if not labels:
        what = "decodings of {} styles drawn from the prior"
    return sheet(
        [
            Section(
                "test images, and below them their reconstructions", grid([batch.images, rebuilt])
            ),
            Section(what.format(len(styles)), grid(written.split(len(styles)))),
        ]
    )


def confusion(digits: Digits, read: Tensor) -> bytes:
    """A PNG of how often each digit was read as each, and the first images that were misread.

    Args:
        digits: what they are.
        read: what they were taken for, int64 [N]; `CLASSES` for none of the digits.
    """
    labels, read = digits.labels.cpu(), read.cpu()
    answers = [*map(str, range(CLASSES)), "none"][: max(CLASSES, int(read.max()) + 1)]
    size = len(answers)
    counts = torch.bincount(labels * size + read, minlength=CLASSES * size).reshape(CLASSES, size)
    wrong = torch.nonzero(labels != read)[: 2 * MISREAD, 0]
    small, line = ImageFont.load_default(size=13), 24
    left, top = MARGIN + 40, MARGIN + 2 * line
    rows = -(-len(wrong) // MISREAD)
    tall, wide = (length * SCALE for length in digits.images.shape[1:])
    width = 2 * MARGIN + max(MISREAD * wide, 40 + (size + 1) * CELL)
    below = top + CELL * CLASSES + 2 * MARGIN
    page = Image.new("RGB", (width, below + line + rows * (tall + line) + MARGIN), "white")
    draw = ImageDraw.Draw(page)
    shown = f"{len(labels):,} test images: the digit down, and across what it was read as"
    draw.text((MARGIN, MARGIN), shown, fill="black", font=ImageFont.load_default(size=15))
    wrongly = counts.clone().fill_diagonal_(0)
    most = max(1, wrongly.max().item())
    for j, answer in enumerate(answers):
        place = (left + (j + 0.5) * CELL, top - 6)
        draw.text(place, answer, fill="black", font=small, anchor="ms")
    for i in range(CLASSES):
        middle = (i + 0.5) * CELL
        draw.text((left - 12, top + middle), str(i), fill="black", font=small, anchor="mm")
        share = counts[i, i].item() / max(1, counts[i].sum().item())
        right = left + CELL * size + 8
        draw.text((right, top + middle), f"{share:.1%}", fill="black", font=small, anchor="lm")
        for j in range(size):
            count = counts[i, j].item()
            tint = (225, 235, 245) if i == j else errors_colour(count / most)
            corner = (left + j * CELL, top + i * CELL)
            draw.rectangle((*corner, corner[0] + CELL - 2, corner[1] + CELL - 2), fill=tint)
            if count:
                place = (corner[0] + CELL / 2 - 1, corner[1] + CELL / 2 - 1)
                draw.text(place, str(count), fill="black", font=small, anchor="mm")
    what = f"misread, {len(wrong)} of {(labels != read).sum().item():,}: the digit, and as what"
    draw.text((MARGIN, below), what, fill="black", font=ImageFont.load_default(size=15))
    for place, number in enumerate(wrong.tolist()):
        row, column = divmod(place, MISREAD)
        corner = (MARGIN + column * wide, below + line + row * (tall + line))
        ink = Image.fromarray(255 - digits.images[number].cpu().numpy())
        page.paste(ink.resize((wide, tall)), corner)
        caption = f"{labels[number]} as {answers[read[number]]}"
        centre = (corner[0] + wide / 2, corner[1] + tall + 2)
        draw.text(centre, caption, fill="black", font=small, anchor="ma")
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def enlarged(image: np.ndarray, scale: int = 10) -> bytes:
    """A PNG of one image [28, 28] in [0, 1], dark ink on white paper."""
    ink = Image.fromarray((255 * (1 - image)).round().astype(np.uint8))
    buffer = io.BytesIO()
    ink.resize((ink.width * scale, ink.height * scale), Image.Resampling.NEAREST).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


def side_by_side(images: dict[str, np.ndarray], share: float) -> np.ndarray:
    """A frame of a moving picture: images [28, 28] with their names, and how far it has come.

    Args:
        images: in [0, 1], by name.
        share: of the time that has passed, drawn as a bar.

    Returns:
        uint8 [H, W, 3].
    """
    scale, font = 7, ImageFont.load_default(size=16)
    side = SIDE * scale
    page = Image.new("L", (MARGIN + len(images) * (side + MARGIN), side + 48), 255)
    pen = ImageDraw.Draw(page)
    for place, (name, image) in enumerate(images.items()):
        left = MARGIN + place * (side + MARGIN)
        pen.text((left + side / 2, 4), name, fill=0, font=font, anchor="ma")
        ink = Image.fromarray((255 * (1 - image)).round().astype(np.uint8))
        page.paste(ink.resize((side, side), Image.Resampling.NEAREST), (left, 28))
    pen.rectangle((MARGIN, side + 36, page.width - MARGIN, side + 40), fill=225)
    end = MARGIN + share * (page.width - 2 * MARGIN)
    pen.rectangle((MARGIN, side + 36, end, side + 40), fill=90)
    return np.asarray(page.convert("RGB"))


def errors_colour(share: float) -> tuple[int, int, int]:
    """White for none, orange for the most."""
    return tuple(round(255 + share * (full - 255)) for full in (240, 140, 40))


def grid(rows: list[Tensor] | tuple[Tensor, ...]) -> np.ndarray:
    """Rows of images [columns, 1, 28, 28] -> [rows, columns, 28, 28]."""
    return torch.stack([row.squeeze(1) for row in rows]).float().cpu().numpy()
