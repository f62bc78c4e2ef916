"""The picture that training leaves each epoch. Only Pillow is needed; plots are elsewhere."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mnist.data import CLASSES, Digits

SCALE = 2  # screen pixels for a pixel of a digit
MARGIN = 12
COLUMNS = 20


def sheet(sections: list[tuple[str, np.ndarray]]) -> bytes:
    """A PNG of titled grids, one below the other.

    Args:
        sections: for each grid its title, and its images [rows, columns, 28, 28] in [0, 1],
            drawn as dark ink on white paper.
    """
    font = ImageFont.load_default(size=15)
    line = 24
    width = max(grid.shape[1] * grid.shape[3] for _, grid in sections) * SCALE + 2 * MARGIN
    height = MARGIN + sum(
        line + grid.shape[0] * grid.shape[2] * SCALE + MARGIN for _, grid in sections
    )
    page = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(page)
    top = MARGIN
    for title, grid in sections:
        draw.text((MARGIN, top), title, fill=0, font=font)
        rows, columns, tall, wide = grid.shape
        pixels = grid.swapaxes(1, 2).reshape(rows * tall, columns * wide)
        ink = Image.fromarray((255 * (1 - pixels)).round().astype(np.uint8))
        page.paste(ink.resize((ink.width * SCALE, ink.height * SCALE)), (MARGIN, top + line))
        top += line + ink.height * SCALE + MARGIN
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


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
            ("test images, and below them their reconstructions", grid([batch.images, rebuilt])),
            (what.format(len(styles)), grid(written.split(len(styles)))),
        ]
    )


def grid(rows: list[Tensor] | tuple[Tensor, ...]) -> np.ndarray:
    """Rows of images [columns, 1, 28, 28] -> [rows, columns, 28, 28]."""
    return torch.stack([row.squeeze(1) for row in rows]).float().cpu().numpy()
