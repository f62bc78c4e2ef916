"""How black and white decoded images are."""

import math

import torch
from torch import Tensor


def sharpen(logits: Tensor, sharpness: Tensor | float) -> Tensor:
    """Images of logits made steeper: σ(k · logit), that is p^k / (p^k + (1 - p)^k) of σ(logit) = p.

    A decoder that cannot know where exactly a stroke is paints the mean over all places where it
    may be: grey. The steeper its logits, the more its image is like one of those instead.
    """
    return (sharpness * logits).sigmoid()


@torch.no_grad()
def fit_sharpness(logits: Tensor, images: Tensor) -> Tensor:
    """The sharpness at which decoded images are as black and white as the real ones, a scalar.

    The mean of x (1 - x) over pixels x becomes the same: the method of moments, for the single
    number that `sharpen` has. It is found to half a percent, between 1/20 and 20.

    Args:
        logits, images: [B, 1, 28, 28], what was decoded and what it should be.
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
    return (images * (1 - images)).mean()
