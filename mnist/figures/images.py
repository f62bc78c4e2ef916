"""Images as figures take them: arrays [..., H, W] in grey or [..., H, W, 3] in colour, in [0, 1].

Grey ones are drawn as dark ink on white paper (1 is ink), colour ones as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

BLANK = 0.005  # mean ink below which edges set images apart by themselves
GAP = 20  # else a twentieth of their side is left between them


def to_arrays(images: Tensor) -> np.ndarray:
    """Networks' images [..., C, H, W] -> float32 [..., H, W], or [..., H, W, 3] for 3 channels."""
    last = images.detach().movedim(-3, -1).to("cpu", torch.float32).numpy()
    return last[..., 0] if last.shape[-1] == 1 else last


def grid(rows: Sequence[Tensor]) -> np.ndarray:
    """Rows of images, [columns, C, H, W] each -> [rows, columns, H, W], or [..., 3] in colour.

    Rows may be of different lengths: shorter ones end in blank paper.
    """
    blank = float(rows[0].shape[1] == 3)
    return to_arrays(pad_sequence(list(rows), batch_first=True, padding_value=blank))


def tile(images: np.ndarray) -> np.ndarray:
    """A grid [rows, columns, H, W, ...] as one image [rows * H, columns * W, ...]."""
    rows, columns, tall, wide, *colour = images.shape
    return images.swapaxes(1, 2).reshape(rows * tall, columns * wide, *colour)


def spaced(images: np.ndarray) -> np.ndarray:
    """A grid [rows, columns, H, W, ...] with blank paper between images that reach their edges."""
    edges = [images[:, :, at] for at in (0, -1)] + [images[:, :, :, at] for at in (0, -1)]
    paper = float(images.ndim == 5)
    if np.mean([np.abs(edge - paper).mean() for edge in edges]) < BLANK:
        return images
    gap = -(-max(images.shape[2:4]) // GAP)
    around = [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)][: images.ndim]
    return np.pad(images, around, constant_values=paper)


def on_paper(image: np.ndarray, scale: int = 1, smooth: bool = False) -> Image.Image:
    """One image [H, W] or [H, W, 3] in [0, 1] as it is drawn: in 8-bit grey or RGB.

    Args:
        image: as above.
        scale: by what it is enlarged.
        smooth: whether pixels then blend into each other, or become squares.
    """
    bright = image if image.ndim == 3 else 1 - image
    picture = Image.fromarray((255 * bright).round().astype(np.uint8))
    resample = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return picture.resize((picture.width * scale, picture.height * scale), resample)


def whole_scale(shape: Sequence[int], side: int) -> int:
    """By what whole number to enlarge images [H, W, ...], for about `side` pixels a side."""
    return max(1, round(side / max(shape[:2])))
