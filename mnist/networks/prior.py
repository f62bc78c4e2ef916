"""What the style is to look like: a distribution one can draw from without any image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


class Prior(Protocol):
    """What every prior has.

    Attributes:
        feature_size: N, dimensions of the style.
        std: standard deviation of each of them, or a number that stands for it.
    """

    feature_size: int
    std: float

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Styles float32 [count, N]."""


@runtime_checkable
class Density(Prior, Protocol):
    """A prior whose density is known."""

    def log_prob(self, style: Tensor) -> Tensor:
        """Log-density of each style, in nats: [..., N] -> [...]."""


@runtime_checkable
class Marginals(Prior, Protocol):
    """A prior of independent dimensions, whose distribution is known, the same for each."""

    def cdf(self, style: Tensor) -> Tensor:
        """P(dimension ≤ x): [B, N] -> [B, N] in [0, 1]."""

    def pdf(self, number: Tensor) -> Tensor:
        """Density of a dimension, of any shape."""

    def icdf(self, probability: Tensor) -> Tensor:
        """Quantiles of a dimension, of any shape."""


class Gaussian:
    """Independent normal numbers of mean zero: N(0, std² I) over styles of N numbers."""

    def __init__(self, feature_size: int, std: float = 1.0):
        self.feature_size = feature_size
        self.std = std

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """float32 [count, N], on the generator's device."""
        device = generator.device if generator is not None else None
        return self.std * torch.randn(count, self.feature_size, generator=generator, device=device)

    def log_prob(self, style: Tensor) -> Tensor:
        """Log-density of each style: [..., N] -> [...], in nats."""
        scaled = style / self.std
        constant = self.feature_size * math.log(self.std * math.sqrt(2 * math.pi))
        return -0.5 * scaled.square().sum(-1) - constant

    def cdf(self, style: Tensor) -> Tensor:
        """P(number ≤ x), of each number by itself: [B, N] -> [B, N] in [0, 1]."""
        return torch.special.ndtr(style / self.std)

    def pdf(self, number: Tensor) -> Tensor:
        """Density of a dimension, of any shape."""
        return torch.exp(-0.5 * (number / self.std) ** 2) / (self.std * math.sqrt(2 * math.pi))

    def icdf(self, probability: Tensor) -> Tensor:
        """The value that a dimension is below with this probability: the inverse of `cdf`."""
        return self.std * torch.special.ndtri(probability)


def ks_distance(style: Tensor, cdf: Callable[[Tensor], Tensor]) -> Tensor:
    """Kolmogorov-Smirnov distance of each style dimension from its prior: [B, N] -> float64 [N].

    sup over x of |F_B(x) - F(x)|, F_B being the B styles' empirical distribution: 0 is a perfect
    fit, and B true samples of the prior lie about 0.87/√B away (Kolmogorov 1933).
    """
    ordered = style.double().sort(0).values
    expected = cdf(ordered)
    count = len(style)
    below = torch.arange(count, device=style.device, dtype=torch.float64).unsqueeze(1) / count
    return torch.maximum(expected - below, below + 1 / count - expected).amax(0)
