"""The style of a given image in any generator, found by descent: for those without an encoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

STEPS, LR = 120, 0.1
KEPT_AFTER = 20  # steps, after which the worse half of the starts is given up, and again


class Inversion(NamedTuple):
    """What was found of B images.

    Attributes:
        styles: [B, N].
        errors: mean squared error of each image from what is decoded, [B].
    """

    styles: Tensor
    errors: Tensor


def invert(
    images: Tensor,
    decode: Callable[[Tensor, Tensor], Tensor],
    starts: Tensor,
    steps: int = STEPS,
    *,
    lr: float = LR,
    penalty: Callable[[Tensor], Tensor] = lambda styles: styles.new_zeros(()),
    tell: Callable[[], None] = lambda: None,
) -> Inversion:
    """Move styles until what is decoded from them is as near to the images as can be.

    Each descends E (x - G(z))² + penalty(z), from several starts (Lipton & Tripathi 2017, arXiv
    1702.04782; Creswell & Bharath 2018, arXiv 1611.05644), by Adam whose rate falls to zero. The
    worse half of an image's starts is given up every `KEPT_AFTER` steps, until one is left:
    successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943).

    Args:
        images: [B, C, H, W] in [0, 1].
        decode: styles [M, N], and which image each is for, int64 [M] -> images [M, C, H, W].
        starts: R styles for each image, [R, B, N].
        steps: in all.
        lr: learning rate at the start.
        penalty: styles [M, N] -> [M], in units of the error.
        tell: called after each step.

    Raises:
        ValueError: shapes that do not fit together.
    """
    if starts.ndim != 3 or starts.shape[1] != len(images):
        raise ValueError(f"starts {list(starts.shape)} for {len(images)} images")
    which = torch.arange(len(images), device=starts.device)
    styles = starts.detach().clone()
    moments = torch.zeros(2, *styles.shape, device=styles.device)
    for step in range(steps):
        restarts = len(styles)
        of = which.repeat(restarts)
        with torch.enable_grad():
            points = styles.flatten(0, 1).requires_grad_()
            errors = squared_error(decode(points, of), images[of]) + penalty(points)
            (slopes,) = torch.autograd.grad(errors.sum(), points)
        with torch.no_grad():
            slopes = slopes.unflatten(0, styles.shape[:2])
            # Adam (Kingma & Ba 2014), by hand: the halving picks among its memories, too.
            moments[0].lerp_(slopes, 0.1)
            moments[1].lerp_(slopes.square(), 0.01)
            corrected = [
                m / (1 - b ** (step + 1)) for m, b in zip(moments, (0.9, 0.99), strict=True)
            ]
            rate = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
            styles = styles - rate * corrected[0] / (corrected[1].sqrt() + 1e-8)
            if (step + 1) % KEPT_AFTER == 0 and restarts > 1:
                best = errors.unflatten(0, (restarts, -1)).argsort(0)[: -(-restarts // 2)]
                styles = styles.gather(0, best.unsqueeze(2).expand(-1, -1, styles.shape[2]))
                moments = torch.stack(
                    [m.gather(0, best.unsqueeze(2).expand_as(styles)) for m in moments]
                )
        tell()
    with torch.no_grad():
        of = which.repeat(len(styles))
        errors = squared_error(decode(styles.flatten(0, 1), of), images[of])
        errors = errors.unflatten(0, styles.shape[:2])
        best = errors.argmin(0)
    return Inversion(styles[best, which], errors[best, which])


def squared_error(images: Tensor, others: Tensor) -> Tensor:
    """Mean squared difference of the pixels of each: [B, C, H, W] both -> [B]."""
    return (images - others).square().flatten(1).mean(1)
