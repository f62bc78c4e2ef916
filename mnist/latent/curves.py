"""Curves through a latent space, many at once: each point is a weighted mean of control points.

A spline's points are A(t) C, where the control points C hold what varies and the matrix A(t) what
is common to all curves: so evaluation, derivatives and refinement are matrix products, and
gradients come by themselves. Straight pieces (degree 1), Bézier curves (no inner knots) and cubic
splines are one class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Spline:
    """B-splines over [0, 1] that begin at their first control point and end at their last.

    de Boor 1978, "A Practical Guide to Splines", chapters IX and X.

    Attributes:
        degree: of the polynomials between knots.
        inner: the knots between 0 and 1, increasing.
    """

    degree: int
    inner: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        within = [0.0, *self.inner, 1.0]
        if self.degree < 1 or within != sorted(set(within)):
            raise ValueError(f"no spline has degree {self.degree} and inner knots {self.inner}")

    @property
    def size(self) -> int:
        """K, its number of control points."""
        return self.degree + 1 + len(self.inner)

    @property
    def knots(self) -> Tensor:
        """All knots, float64 [K + degree + 1]: those at the ends are there degree + 1 times."""
        ends = [0.0] * (self.degree + 1), [1.0] * (self.degree + 1)
        return torch.tensor([*ends[0], *self.inner, *ends[1]], dtype=torch.float64)

    def matrix(self, times: Tensor, derivative: bool = False) -> Tensor:
        """A(t), or its derivative by t: times [T] in [0, 1] -> float64 [T, K].

        By the recurrence of Cox and de Boor, and that of the derivative.

        Raises:
            ValueError: times outside [0, 1].
        """
        times = times.double()
        if not ((times >= 0) & (times <= 1)).all():
            raise ValueError("a curve has points at times from 0 to 1 only")
        knots = self.knots
        last = len(knots) - self.degree - 2  # the interval that 1 belongs to
        place = (torch.searchsorted(knots, times, right=True) - 1).clamp(max=last)
        basis = torch.nn.functional.one_hot(place, len(knots) - 1).double()
        for degree in range(1, self.degree + 1):
            spans = knots[degree:] - knots[:-degree]
            weights = torch.where(spans > 0, 1 / spans.where(spans > 0, torch.ones(())), 0.0)
            if degree < self.degree or not derivative:
                rising = (times[:, None] - knots[: -degree - 1]) * weights[:-1]
                falling = (knots[degree + 1 :] - times[:, None]) * weights[1:]
            else:
                rising, falling = degree * weights[:-1], -degree * weights[1:]
            basis = rising * basis[:, :-1] + falling * basis[:, 1:]
        return basis

    def at(self, control: Tensor, times: Tensor) -> Tensor:
        """Points of curves: control points [..., K, N] -> [..., T, N]."""
        return self.matrix(times).to(control) @ control

    def velocity(self, control: Tensor, times: Tensor) -> Tensor:
        """Derivatives by time: control points [..., K, N] -> [..., T, N]."""
        return self.matrix(times, derivative=True).to(control) @ control

    def straight(self, start: Tensor, end: Tensor) -> Tensor:
        """Control points of the straight line at constant speed: [..., N] each -> [..., K, N]."""
        knots = self.knots
        # Greville's abscissae: with control points there, a spline is the identity.
        shares = knots.unfold(0, self.degree, 1)[1 : self.size + 1].mean(1).to(start)[:, None]
        return start.unsqueeze(-2) + shares * (end - start).unsqueeze(-2)

    def refined(self) -> tuple[Spline, Tensor]:
        """The spline with another knot amid each interval, and a matrix [K', K] for control points.

        What it makes of control points draws the same curve.
        """
        within = torch.tensor([0.0, *self.inner, 1.0], dtype=torch.float64)
        spline, change = self, torch.eye(self.size, dtype=torch.float64)
        for knot in ((within[1:] + within[:-1]) / 2).tolist():
            spline, step = spline.with_knot(knot)
            change = step @ change
        return spline, change

    def with_knot(self, knot: float) -> tuple[Spline, Tensor]:
        """The spline with one more knot, and a matrix [K + 1, K] for control points.

        Boehm 1980, "Inserting new knots into B-spline curves": the curve stays the same.

        Raises:
            ValueError: the knot is there already, or not between 0 and 1.
        """
        finer = Spline(self.degree, tuple(sorted((*self.inner, knot))))
        knots = self.knots
        place = int(torch.searchsorted(knots, knot, right=True)) - 1
        matrix = torch.zeros(self.size + 1, self.size, dtype=torch.float64)
        for row in range(self.size + 1):
            if row <= place - self.degree:
                share = 1.0
            elif row > place:
                share = 0.0
            else:
                low, high = knots[row], knots[row + self.degree]
                share = ((knot - low) / (high - low)).item()
            if share:
                matrix[row, row] = share
            if share < 1:
                matrix[row, row - 1] = 1 - share
        return finer, matrix


def even(degree: int, pieces: int) -> Spline:
    """A spline of so many equal intervals; of one interval it is a Bézier curve."""
    return Spline(degree, tuple(i / pieces for i in range(1, pieces)))
