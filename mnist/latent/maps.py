"""Which styles to decode in order to see a style space: grids, traversals, blends."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def quantile_grid(icdf: Callable[[Tensor], Tensor], side: int) -> Tensor:
    """Styles of two numbers that cut the prior into side × side cells of equal probability.

    Each is the middle of its cell, in probability (Kingma & Welling 2013, arXiv 1312.6114,
    appendix A, where such a grid was first shown).

    Args:
        icdf: the prior's inverse distribution function, probabilities -> numbers.
        side: cells to a side.

    Returns:
        [side, side, 2]: [row, column] has the first number rising with the column, the second
        falling with the row, as on a map.
    """
    numbers = icdf((torch.arange(side) + 0.5) / side)
    second, first = torch.meshgrid(numbers.flip(0), numbers, indexing="ij")
    return torch.stack([first, second], -1)


def traversals(style: Tensor, reach: float, steps: int) -> Tensor:
    """A style with each of its numbers in turn running from -reach to reach: [N] -> [N, steps, N].

    [i, j] is the style with its i-th number replaced.
    """
    size = len(style)
    lines = style.repeat(size, steps, 1)
    numbers = torch.linspace(-reach, reach, steps, device=style.device)
    for dimension in range(size):
        lines[dimension, :, dimension] = numbers
    return lines


def blend(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Styles on the straight line from one to another, both included: [N], [N] -> [steps, N]."""
    share = torch.linspace(0, 1, steps, device=start.device).unsqueeze(1)
    return torch.lerp(start, end, share)
