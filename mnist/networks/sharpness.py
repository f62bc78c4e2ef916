"""How black and white decoded images are."""

import math

import torch
from torch import Tensor


def sharpen(logits: Tensor, sharpness: Tensor | float) -> Tensor:
    """Images of logits made steeper: σ(k · logit), that is p^k / (p^k + (1 - p)^k) of σ(logit) = p.

    A decoder that cannot know where exactly a stroke is paints the mean over all places where it
    may be: grey. The steeper its logits, the more its image is like one of those instead. Logits of
    any shape -> the same shape, in [0, 1].
    """
    return (sharpness * logits).sigmoid_()


@torch.no_grad()
def fit_sharpness(logits: Tensor, images: Tensor) -> Tensor:
    """The sharpness at which decoded images are as black and white as the real ones, a scalar.

    The mean of x (1 - x) over pixels x becomes the same: the method of moments, for the single
    number that `sharpen` has. It is found to half a percent, between 1/20 and 20.

    Args:
        logits, images: [B, C, H, W], what was decoded and what it should be.
    """
    real = grey_level(images)
    logarithm, step = torch.zeros((), device=logits.device), math.log(20) / 2
    for _ in range(10):  # bisection, for the level falls as the sharpness grows
        grey = grey_level(sharpen(logits, logarithm.exp()))
        logarithm += step * torch.sign(grey - real)
        step /= 2
    return logarithm.exp()


def grey_level(images: Tensor) -> Tensor:
    """Mean of x (1 - x) over pixels x in [0, 1]: 0 where all are black or white, at most ¼."""
    return images.mean() - images.square().mean()


def edge_width(images: Tensor) -> Tensor:
    """How wide the edges of each image's strokes are, in pixels: [B, C, H, W] -> [B], at least 0.

    6 Σ x (1 - x) over the pixels, by their differences |Δx| to the right and below: from 0 to 1 in
    w equal steps the sums are (w - 1/w) / 6 and 1. Smears have wide edges, be they pale or bold.
    """
    grey = (images * (1 - images)).flatten(1).sum(1)
    right, down = (images.diff(dim=side).abs().flatten(1).sum(1) for side in (-1, -2))
    return 6 * grey / (right + down).clamp(min=1e-6)
