"""Shortest ways between points of a latent space, for many pairs at once.

A straight line in the latent space is not the shortest way in image space. Here the curve of least
energy is sought among splines with fixed ends, first among coarse ones and then among finer ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mnist.latent.curves import Spline, even
from mnist.latent.manifold import Decode, flat, jacobian, length

DEGREE = 3
PIECES = 2  # that a curve begins with
STEPS_PER_PIECE = 4  # of the discretised energy
MOST_STEPS = 4  # of the solver, before a curve is refined
SETTLED = 1e-4  # relative fall of the energy
FINE = 128  # steps by which lengths are measured, of all curves alike
DAMPING = 1e-3  # at first, relative to the curvature
PART = 50  # curves at once: their Jacobians are what takes memory


@dataclass(frozen=True)
class Geodesics:
    """Curves of least energy between C pairs of points.

    Attributes:
        points: of the curves, at `FINE` + 1 equal steps of time: [C, FINE + 1, N].
        lengths: of their images, [C]; never more than those of the straight lines.
        straight_lengths: [C].
        iterations: accepted steps of the solver, int64 [C].
        converged: whether the last refinement shortened them by less than was asked for, bool [C].
        history: lengths of the straight lines and after each refinement, [C, R].
    """

    points: Tensor
    lengths: Tensor
    straight_lengths: Tensor
    iterations: Tensor
    converged: Tensor
    history: Tensor


def connect(
    decode: Decode,
    starts: Tensor,
    ends: Tensor,
    *,
    solver: str = "gauss-newton",
    tolerance: float = 1e-3,
    most_pieces: int = 16,
    tell: Callable[[int], None] = lambda curves: None,
) -> Geodesics:
    """The shortest ways between pairs of points, in the images that `decode` makes of them.

    Args:
        decode: points [B, N] -> [B, ...]; it must give the same for the same point.
        starts, ends: [C, N].
        solver: "gauss-newton", or "adam" for comparison.
        tolerance: relative shortening by a refinement below which a curve has converged.
        most_pieces: of a spline, where refinement ends.
        tell: called with the number of curves that have just been found.

    Raises:
        ValueError: points of other shapes, NaN or infinite; or `decode` gives such.
    """
    if starts.ndim != 2 or starts.shape != ends.shape or solver not in SOLVERS:
        raise ValueError(f"no curves from {list(starts.shape)} to {list(ends.shape)} by {solver!r}")
    if not torch.isfinite(torch.stack([starts, ends])).all():
        raise ValueError("an end of a curve is NaN or infinite")
    parts = []
    for pair in zip(starts.split(PART), ends.split(PART), strict=True):
        parts.append(connect_part(decode, *pair, SOLVERS[solver], tolerance, most_pieces))
        tell(len(pair[0]))
    return Geodesics(*(torch.cat(column) for column in zip(*parts, strict=True)))


@torch.no_grad()
def connect_part(
    decode: Decode,
    starts: Tensor,
    ends: Tensor,
    solve: Callable[..., tuple[Tensor, Tensor]],
    tolerance: float,
    most_pieces: int,
) -> tuple[Tensor, ...]:
    """`connect` for as many curves as fit into memory; the fields of `Geodesics`."""
    fine = torch.linspace(0, 1, FINE + 1, dtype=torch.float64)
    spline = even(DEGREE, PIECES)
    control = spline.straight(starts, ends)
    best = spline.at(control, fine)
    straight = lengths = length(flat(decode, best))
    if not torch.isfinite(straight).all():
        raise ValueError("what is decoded on a straight way is NaN or infinite")
    iterations = torch.zeros(len(starts), dtype=torch.int64)
    converged = (starts == ends).all(1) | (straight == 0)  # there is nothing to shorten
    history = [straight]
    while len(spline.inner) < most_pieces:
        control, accepted = solve(decode, spline, control, ~converged)
        iterations += accepted
        points = spline.at(control, fine)
        found = length(flat(decode, points))
        shorter = found < lengths
        converged |= lengths - found.minimum(lengths) <= tolerance * lengths
        best = torch.where(shorter[:, None, None], points, best)
        lengths = found.minimum(lengths)
        history.append(lengths)
        spline, change = spline.refined()
        control = change.to(control) @ control
    return best, lengths, straight, iterations, converged, torch.stack(history, 1)


def gauss_newton(
    decode: Decode, spline: Spline, control: Tensor, moving: Tensor
) -> tuple[Tensor, Tensor]:
    """Control points [C, K, N] of less energy, by damped Gauss-Newton steps; and how many it took.

    Gradients are exact, and new at each step; the curvature, which costs more than all steps
    together, is that of the curves one begins with. Levenberg's damping (Nocedal & Wright 2006,
    section 10.3) is raised for a curve whose energy does not fall, and lowered where it does.

    Args:
        decode: as for `connect`.
        spline: whose control points they are.
        control: where to begin, [C, K, N]; the first and the last of a curve stay.
        moving: which curves to look at, bool [C].
    """
    weights = nodes(spline).to(control)
    control, which = control.clone(), moving.nonzero()[:, 0]
    accepted = torch.zeros(len(control), dtype=torch.int64)
    if len(which) == 0:
        return control, accepted
    curvature = gauss_newton_curvature(decode, weights, control[which])
    scale = curvature.diagonal(dim1=1, dim2=2).mean(1)
    damping = torch.full((len(which),), DAMPING).to(control)
    least, gradient = half_energy(decode, weights, control[which])
    for _ in range(MOST_STEPS):
        ridge = (damping * scale + 1e-12)[:, None, None] * torch.eye(curvature.shape[1]).to(control)
        step = torch.linalg.solve(curvature + ridge, gradient.flatten(1)).view_as(gradient)
        trial = control[which]
        trial[:, 1:-1] -= step
        found, slope = half_energy(decode, weights, trial)
        better = found < least
        settled = better & (least - found <= SETTLED * least)
        control[which[better]] = trial[better]
        accepted[which[better]] += 1
        least, gradient = (
            torch.where(better, found, least),
            torch.where(better[:, None, None], slope, gradient),
        )
        damping = damping * torch.where(better, 0.1, 10.0).to(control)
        if settled.all():
            break
        which, curvature, scale, damping, least, gradient = (
            each[~settled] for each in (which, curvature, scale, damping, least, gradient)
        )
    return control, accepted


def half_energy(decode: Decode, weights: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
    """½ Σ ‖f(z_t+1) - f(z_t)‖² of curves with nodes z = A C, and its gradient.

    The energy is this times twice the number of steps.

    Args:
        decode: f, as for `connect`.
        weights: A, [T, K].
        control: C, [C, K, N].

    Returns:
        [C], and [C, K - 2, N] by the control points between the ends.
    """
    with torch.enable_grad():
        inner = control[:, 1:-1].clone().requires_grad_()
        points = weights @ torch.cat([control[:, :1], inner, control[:, -1:]], 1)
        half = 0.5 * flat(decode, points).diff(dim=1).square().sum((1, 2))
        (gradient,) = torch.autograd.grad(half.sum(), inner)
    return half.detach(), gradient


def gauss_newton_curvature(decode: Decode, weights: Tensor, control: Tensor) -> Tensor:
    """Second derivatives of `half_energy`, but for those of f: [C, F, F], F being (K - 2) N.

    Of residuals r_t = f(z_t+1) - f(z_t) they are Σ_t ∂r_tᵀ ∂r_t, with ∂r_t/∂C_k = A_t+1,k J_t+1 -
    A_tk J_t: so they need no more than J_sᵀ J_t of each node with itself and with the next.
    """
    inner = weights[:, 1:-1]
    points = weights @ control
    at = jacobian(decode, points.flatten(0, 1)).unflatten(0, points.shape[:2])
    # Each node is in two steps, but for the ends, which are in one.
    steps = torch.full((len(weights),), 2.0).to(inner)
    steps[0] = steps[-1] = 1
    curvature = torch.einsum("t,tk,tl,ctij->ckilj", steps, inner, inner, at.mT @ at)
    next_to = torch.einsum("tk,tl,ctij->ckilj", inner[:-1], inner[1:], at[:, :-1].mT @ at[:, 1:])
    curvature -= next_to + next_to.permute(0, 3, 4, 1, 2)
    return curvature.flatten(3, 4).flatten(1, 2)


def nodes(spline: Spline) -> Tensor:
    """A(t) at the times by which the energy of its curves is measured, [T, K]."""
    pieces = len(spline.inner) + 1
    return spline.matrix(torch.linspace(0, 1, STEPS_PER_PIECE * pieces + 1, dtype=torch.float64))


def adam(
    decode: Decode, spline: Spline, control: Tensor, moving: Tensor, steps: int = 100
) -> tuple[Tensor, Tensor]:
    """The same by a first-order method, for comparison: gradients alone, all curves together."""
    weights, moved = nodes(spline).to(control), control.clone()
    inner = moved[:, 1:-1]  # a view: what the optimiser moves are the curves themselves
    optimizer = torch.optim.Adam([inner], lr=0.02)
    for _ in range(steps):
        _, inner.grad = half_energy(decode, weights, moved)
        optimizer.step()
    return torch.where(moving[:, None, None], moved, control), moving * steps


SOLVERS = {"gauss-newton": gauss_newton, "adam": adam}
