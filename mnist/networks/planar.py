"""Priors in the plane: petals, a roll, and the shapes that people teach with.

Each has coordinates of its own, a unit square that is laid into the plane so that numbers drawn
uniformly from it become draws of the prior. So what is drawn, what a map of it shows and which part
of it is a class's are one function, `from_uniform`.

Each is centred and scaled: both dimensions have mean 0 and the standard deviation `std`, as an
encoder's styles have by construction.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.special import ndtri

ALONG, ACROSS = 60, 7  # points of a part, to know which one is nearest
FINE = 400  # points to a side of a grid over which moments are averaged
EDGE = 1e-6  # how far from 0 and 1 the coordinates stay, where a normal quantile is infinite


class Planar(ABC):
    """A prior over two dimensions that falls into parts, one for each class.

    Args:
        parts: K.
        std: standard deviation of either dimension.
        parts_are_classes: whether part c is meant for images of class c.
        shares: how likely each part is, in any unit; by default all are equally so.

    Attributes:
        part_word: what a part is called.
    """

    feature_size = 2
    part_word: str

    def __init__(
        self,
        parts: int,
        std: float = 1.0,
        parts_are_classes: bool = False,
        shares: Sequence[float] | None = None,
    ):
        self.parts = parts
        self.std = std
        self.parts_are_classes = parts_are_classes
        given = torch.tensor(shares or [1.0] * parts, dtype=torch.float64)
        self.shares = given / given.sum()
        self.starts = self.shares.cumsum(0) - self.shares  # of each part, of the coordinate along
        self.centre, self.spread = self.moments()

    @abstractmethod
    def lay(self, along: Tensor, across: Tensor) -> Tensor:
        """Coordinates in [0, 1], of any shape [...] -> [..., 2], before centring and scaling.

        `along` runs through all parts in turn.
        """

    @abstractmethod
    def density(self, style: Tensor) -> Tensor:
        """Of each style, [..., 2] -> [...]: zero, or next to it, between the parts.

        So guidance cannot descend it, and it is no `log_prob`.
        """

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of either dimension of what `lay` gives, float64 [2] both."""
        along = self.along_parts(max(1, FINE // self.parts)).unsqueeze(-1)
        points = self.lay(along, middles(FINE))  # [parts, steps, FINE, 2]
        each = points.flatten(1, 2)
        mean = self.shares @ each.mean(1)
        return mean, (self.shares @ (each - mean).square().mean(1)).sqrt()

    def along_parts(self, steps: int) -> Tensor:
        """The coordinate along at equal steps of each part: float64 [parts, steps]."""
        return self.starts.unsqueeze(1) + self.shares.unsqueeze(1) * middles(steps)

    def from_uniform(self, numbers: Tensor) -> Tensor:
        """Styles at coordinates in [0, 1]²: [..., 2] -> [..., 2]."""
        laid = self.lay(*numbers.clamp(EDGE, 1 - EDGE).unbind(-1))
        return self.std * (laid - self.centre.to(laid)) / self.spread.to(laid)

    def sample(
        self, count: int, generator: torch.Generator | None = None, parts: Tensor | None = None
    ) -> Tensor:
        """Styles float32 [count, 2], on the generator's device; of these parts, int64 [count], if
        they are given, and of any for −1."""
        device = generator.device if generator is not None else None
        numbers = torch.rand(count, 2, generator=generator, device=device)
        if parts is not None:
            shares, starts = (each.to(numbers)[parts] for each in (self.shares, self.starts))
            of_parts = starts + shares * numbers[:, 0]
            numbers[:, 0] = torch.where(parts >= 0, of_parts, numbers[:, 0])
        return self.from_uniform(numbers)

    def grid(self, rows: int, steps: int) -> Tensor:
        """Styles [rows, parts × steps, 2] at equal steps of the coordinates: `along` each part by
        column, and `across` by row, from below."""
        along, across = self.along_parts(steps).flatten(), middles(rows).flip(0)
        numbers = torch.meshgrid(along, across, indexing="xy")
        return self.from_uniform(torch.stack(numbers, -1).float())

    def nearest_part(self, style: Tensor) -> Tensor:
        """Which part is the nearest to each style, by its nearest point: [B, 2] -> int64 [B]."""
        points = self.grid(ACROSS, ALONG).transpose(0, 1).reshape(-1, 2)
        nearest = torch.cdist(style, points.to(style)).argmin(1)
        return nearest // (ALONG * ACROSS)

    def raw(self, style: Tensor) -> Tensor:
        """Where `lay` has a style: [..., 2] -> float64 [..., 2]."""
        centre, spread = self.centre.to(style.device), self.spread.to(style.device)
        return style.double() / self.std * spread + centre

    @property
    def log_scale(self) -> float:
        """What a log-density gains by centring and scaling."""
        return self.spread.log().sum().item() - 2 * math.log(self.std)


def middles(count: int) -> Tensor:
    """Of so many equal stretches of [0, 1]: float64 [count]."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


class Mixture(Planar):
    """Gaussians laid out like petals, longer than wide: Makhzani et al. 2015, section 2.3."""

    part_word = "petal"
    reach, length, width = 1.4, 0.4, 0.1  # of a petal's middle from the centre; deviations

    def lay(self, along: Tensor, across: Tensor) -> Tensor:
        shares, starts = self.shares.to(along), self.starts.to(along)
        part = torch.bucketize(along.contiguous(), starts[1:], right=True)
        within = ((along - starts[part]) / shares[part]).clamp(EDGE, 1 - EDGE)
        outwards = self.reach + self.length * ndtri(within)
        aside = self.width * ndtri(across)
        angle = 2 * math.pi * part / self.parts
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([outwards * cos - aside * sin, outwards * sin + aside * cos], -1)

    def density(self, style: Tensor) -> Tensor:
        x, y = self.raw(style).unsqueeze(-2).unbind(-1)  # [..., 1] both
        angle = 2 * math.pi * torch.arange(self.parts, device=x.device) / self.parts
        outwards = (x * angle.cos() + y * angle.sin() - self.reach) / self.length
        aside = (y * angle.cos() - x * angle.sin()) / self.width
        each = -(outwards.square() + aside.square()) / 2
        each = each + self.shares.to(each).log()
        constant = math.log(2 * math.pi * self.length * self.width)
        return (each.logsumexp(-1) - constant + self.log_scale).exp().to(style.dtype)


class Ring(Planar):
    """A circle, blurred along its radius."""

    part_word = "arc"
    width = 0.1  # deviation of the radius, whose mean is 1

    def lay(self, along: Tensor, across: Tensor) -> Tensor:
        angle = 2 * math.pi * along
        radius = 1 + self.width * ndtri(across)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], -1)

    def density(self, style: Tensor) -> Tensor:
        radius = self.raw(style).norm(dim=-1)
        off = (radius - 1) / self.width
        constant = math.log((2 * math.pi) ** 1.5 * self.width)
        log_density = -off.square() / 2 - radius.log() - constant + self.log_scale
        return log_density.exp().to(style.dtype)


class SwissRoll(Planar):
    """A strip rolled up, everywhere equally dense: Makhzani et al. 2015, section 2.3.

    The radius grows by 1 with each turn, and the strip is a third of that wide.
    """

    part_word = "stretch"
    first, last = 0.75, 2.25  # turns
    half = 1 / 6  # of the strip's width

    def lay(self, along: Tensor, across: Tensor) -> Tensor:
        # In polar coordinates an area is r dr dθ, so that squares are uniform.
        turn = (self.first**2 + along * (self.last**2 - self.first**2)).sqrt()
        inner, outer = (turn - self.half).square(), (turn + self.half).square()
        radius = (inner + across * (outer - inner)).sqrt()
        angle = 2 * math.pi * turn
        return torch.stack([radius * angle.cos(), radius * angle.sin()], -1)

    def density(self, style: Tensor) -> Tensor:
        x, y = self.raw(style).unbind(-1)
        radius, phase = torch.hypot(x, y), torch.atan2(y, x) / (2 * math.pi)
        turn = phase + (radius - phase).round()  # of the winding that is nearest
        there = (turn >= self.first) & (turn <= self.last) & ((radius - turn).abs() <= self.half)
        area = 2 * math.pi * self.half * (self.last**2 - self.first**2)
        return there.to(style.dtype) * math.exp(self.log_scale) / area


class Triangle(Planar):
    """Uniform in an equilateral triangle that stands on one side."""

    part_word = "wedge"

    def lay(self, along: Tensor, across: Tensor) -> Tensor:
        height = 1 - (1 - across).sqrt()  # the higher, the narrower it is
        x = (along - 0.5) * (1 - height)
        return torch.stack([x, height.expand_as(x) * math.sqrt(0.75)], -1)

    def density(self, style: Tensor) -> Tensor:
        x, y = self.raw(style).unbind(-1)
        height = y / math.sqrt(0.75)
        there = (height >= 0) & (x.abs() <= (1 - height) / 2)
        return there.to(style.dtype) * math.exp(self.log_scale) / (math.sqrt(0.75) / 2)
