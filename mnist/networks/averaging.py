"""Averages of weights, by which a network is used."""

from collections.abc import Callable

import torch
from torch import Tensor


def moving_average(keep: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """How an average of weights moves in a step: it keeps this share of itself.

    In the beginning it is the plain mean, which soon forgets the first steps.
    """

    def moved(average: Tensor, weights: Tensor, steps: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return weights
        kept = torch.as_tensor(1 - 1 / (steps + 1)).clamp(max=keep)
        return average.lerp(weights, 1 - kept.to(average.dtype))

    return moved
