"""What the style is to look like: a distribution one can draw from without any image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mnist.errors import UserError
from mnist.networks.planar import Mixture, Planar, Ring, SwissRoll, Triangle


class Prior(Protocol):
    """What every prior has.

    Attributes:
        feature_size: N, dimensions of the style.
    """

    feature_size: int

    @property
    def std(self) -> float:
        """Standard deviation of each of them, or a number that stands for it."""
        ...

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Styles float32 [count, N]."""


@runtime_checkable
class Density(Prior, Protocol):
    """A prior whose density is known, and nowhere zero."""

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


@runtime_checkable
class InParts(Prior, Protocol):
    """A prior that falls into parts: petals, clusters, clouds about heads.

    Attributes:
        parts: how many.
        part_word: what one is called.
        parts_are_classes: whether part c is meant for images of class c.
    """

    parts: int
    part_word: str
    parts_are_classes: bool

    def sample(
        self, count: int, generator: torch.Generator | None = None, parts: Tensor | None = None
    ) -> Tensor:
        """As above; of these parts, int64 [count], if they are given."""
        ...


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


class Uniform:
    """Independent numbers, uniform about their mean: over a square where there are two."""

    def __init__(self, feature_size: int, std: float = 1.0, mean: float = 0.0):
        self.feature_size = feature_size
        self.std = std
        self.mean = mean
        self.limit = std * math.sqrt(3)

    @classmethod
    def between(cls, least: float, most: float, feature_size: int) -> Uniform:
        """Over numbers from `least` to `most`."""
        return cls(feature_size, (most - least) / math.sqrt(12), (least + most) / 2)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """float32 [count, N], on the generator's device."""
        device = generator.device if generator is not None else None
        return self.icdf(torch.rand(count, self.feature_size, generator=generator, device=device))

    def cdf(self, style: Tensor) -> Tensor:
        """P(number ≤ x), of each number by itself: [B, N] -> [B, N] in [0, 1]."""
        return (((style - self.mean) / self.limit + 1) / 2).clamp(0, 1)

    def pdf(self, number: Tensor) -> Tensor:
        """Density of a dimension, of any shape."""
        return ((number - self.mean).abs() <= self.limit) / (2 * self.limit)

    def icdf(self, probability: Tensor) -> Tensor:
        """The value that a dimension is below with this probability: the inverse of `cdf`."""
        return self.mean + self.limit * (2 * probability - 1)


class AboutHeads:
    """A normal cloud about each of the heads of as many classes, which are equally likely.

    Args:
        heads: a column for each class, [N, K]; they may be learnt.
        spread: standard deviation of each cloud.
        parts_are_classes: whether they are known classes and not clusters.
    """

    part_word = "head"

    def __init__(self, heads: Tensor, spread: float, parts_are_classes: bool):
        self.heads = heads
        self.feature_size, self.parts = heads.shape
        self.spread = spread
        self.parts_are_classes = parts_are_classes

    @property
    def std(self) -> float:
        """Of a dimension, over all clouds together."""
        heads = self.heads.detach()
        return (heads.var(1, correction=0).mean() + self.spread**2).sqrt().item()

    def sample(
        self, count: int, generator: torch.Generator | None = None, parts: Tensor | None = None
    ) -> Tensor:
        """float32 [count, N], on the generator's device."""
        which = parts if parts is not None else drawn_parts(self.parts, count, generator)
        noise = normal(count, self.feature_size, generator)
        return self.heads.detach().to(noise.device).T[which] + self.spread * noise


BESIDE = 0.1  # standard deviation about a one-hot code, where that is to have a density


class BesideClasses:
    """A normal style, and beside it the one-hot code of one of K classes.

    Its density is that of codes a little beside their corners, for descents that have to move.
    """

    part_word = "cluster"
    parts_are_classes = False

    def __init__(self, style_size: int, classes: int, std: float):
        self.style_size, self.parts = style_size, classes
        self.feature_size = style_size + classes
        self.std = std

    def sample(
        self, count: int, generator: torch.Generator | None = None, parts: Tensor | None = None
    ) -> Tensor:
        """float32 [count, N + K], on the generator's device."""
        which = parts if parts is not None else drawn_parts(self.parts, count, generator)
        style = normal(count, self.style_size, generator)
        code = torch.nn.functional.one_hot(which, self.parts)
        return torch.cat([self.std * style, code.to(style.dtype)], 1)

    def log_prob(self, style: Tensor) -> Tensor:
        """Log-density of each style, in nats: [..., N + K] -> [...]."""
        own, code = style.split([self.style_size, self.parts], -1)
        corners = torch.eye(self.parts, dtype=style.dtype, device=style.device)
        about = Gaussian(self.parts, BESIDE).log_prob(code.unsqueeze(-2) - corners)
        of_style = Gaussian(self.style_size, self.std).log_prob(own)
        return of_style + about.logsumexp(-1) - math.log(self.parts)


def drawn_parts(parts: int, count: int, generator: torch.Generator | None) -> Tensor:
    """Numbers of parts that are equally likely, int64 [count], on the generator's device."""
    device = generator.device if generator is not None else None
    return torch.randint(parts, (count,), generator=generator, device=device)


def normal(count: int, size: int, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers [count, size], on the generator's device."""
    device = generator.device if generator is not None else None
    return torch.randn(count, size, generator=generator, device=device)


def names_of_parts(prior: InParts, class_names: Sequence[str]) -> Sequence[str]:
    """What the parts are called in a picture: by their classes, or their numbers."""
    return class_names if prior.parts_are_classes else [str(part) for part in range(prior.parts)]


def same_in_all_parts(prior: InParts, count: int, seed: int) -> Tensor:
    """Styles [parts, count, N] that are drawn alike in each part: for a sheet with a row of each.

    By the same noise, so that in clusters they are of the same `count` styles.
    """
    return torch.stack(
        [
            prior.sample(count, torch.Generator().manual_seed(seed), torch.full((count,), part))
            for part in range(prior.parts)
        ]
    )


PLANAR: dict[str, type[Planar]] = {
    "mixture": Mixture,
    "swiss-roll": SwissRoll,
    "ring": Ring,
    "triangle": Triangle,
}


def prior_of(
    name: str,
    feature_size: int,
    std: float,
    parts: int,
    parts_are_classes: bool = False,
    shares: Sequence[float] | None = None,
) -> Prior:
    """The prior of this name.

    Args:
        name: "gaussian", "uniform" or a key of `PLANAR`.
        feature_size: N.
        std: standard deviation of each dimension.
        parts: that one in the plane falls into.
        parts_are_classes: whether these are meant for the classes.
        shares: how likely each of these is; by default all are equally so.

    Raises:
        UserError: it has another number of dimensions.
    """
    if name == "gaussian":
        return Gaussian(feature_size, std)
    if name == "uniform":
        return Uniform(feature_size, std)
    if feature_size != PLANAR[name].feature_size:
        raise UserError(f"--prior {name} has two dimensions: give --feature-size 2")
    return PLANAR[name](parts, std, parts_are_classes, shares)


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
