"""Ways to see a style space: grids, traversals and blends to decode, planes, landscapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mnist.latent.space import Space

LANDSCAPE = 80  # points to a side of a landscape


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


def plane(path: Tensor, dims: Sequence[int] | None) -> tuple[Tensor, tuple[str, ...]]:
    """Two directions of the style space, [N, 2], and their names; of one dimension that, [1, 1].

    Those of two dimensions; of more the two along which the path goes farthest.
    """
    size = path.shape[1]
    if size == 1:
        return torch.eye(1), ("dimension 0",)
    moves = (path != path[0]).any()
    if dims or size == 2 or not moves:
        first, second = dims or (0, 1)
        basis = torch.eye(size)[:, [first, second]]
        return basis, (f"dimension {first}", f"dimension {second}")
    directions = torch.linalg.svd(path - path.mean(0), full_matrices=True).Vh[:2]
    return directions.T, ("the path's main direction", "its second direction")


def landscape(
    space: Space, chance: Callable[[Tensor], Tensor], point: Tensor, limit: float
) -> tuple[Tensor, Tensor]:
    """A probability over styles of one or two dimensions, else at `point` [D].

    Args:
        space: that decodes points.
        chance: the probability, images [B, C, H, W] -> [B].
        point: whose style is replaced.
        limit: how far it goes along each dimension.

    Returns:
        Positions [G] along each dimension, and probabilities [G] or [G, G].
    """
    side, size = torch.linspace(-limit, limit, LANDSCAPE), space.size
    styles = torch.cartesian_prod(*[side] * size).reshape(-1, size)
    points = point.repeat(len(styles), 1)
    points[:, :size] = styles / space.prior.std
    with torch.no_grad():
        chances = chance(space.decode(points)).cpu()
    return side, chances.reshape([LANDSCAPE] * size)
