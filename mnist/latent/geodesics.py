"""Geodesics between points of a latent space, for many pairs at once.

A straight line in the latent space is not the shortest path in image space. Here the curve of least
energy is sought among splines with fixed ends, first among coarse ones and then among finer ones,
beginning with the straight line: what is found is the nearest minimum, not always the least of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mnist.latent.curves import Spline, even
from mnist.latent.manifold import Decode, energy, flat, jacobian, length
from mnist.networks.adam import adam_step, nothing_yet

DEGREE = 3
PIECES = 2  # that a curve begins with
STEPS_PER_PIECE = 2  # of the discretised energy
MOST_STEPS = 8  # of the solver, before a curve is refined
SETTLED = 5e-4  # relative fall of the energy by a step, after which the solver rests
FINE = 128  # steps by which lengths are measured, of all curves alike
DAMPING = 1e-3  # at first, relative to the curvature
PART = 50  # curves at once: their Jacobians are what takes memory

# A decoder, A(t) at the nodes [T + 1, K] and control points [C, K, N] -> those of curves of less
# energy, the steps that each took, int64 [C], and whether it found no way down though there should
# be one, bool [C].
Solver = Callable[[Decode, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Geodesics:
    """Curves of least energy between C pairs of points.

    Attributes:
        points: of the curves, at `FINE` + 1 equal steps of time: [C, FINE + 1, N].
        lengths: of their images, [C]; never more than those of the straight lines.
        straight_lengths: [C].
        iterations: accepted steps of the solver, int64 [C].
        converged: whether the last refinement changed them by no more than the tolerance, bool [C].
        history: lengths of the straight lines and after each refinement, [C, R].
    """

    points: Tensor
    lengths: Tensor
    straight_lengths: Tensor
    iterations: Tensor
    converged: Tensor
    history: Tensor

    @property
    def shortening(self) -> Tensor:
        """Relative to the straight lines, [C] in [0, 1]; NaN where these have no length."""
        return 1 - self.lengths / self.straight_lengths


def connect(
    decode: Decode,
    starts: Tensor,
    ends: Tensor,
    *,
    solver: str = "gauss-newton",
    tolerance: float = 1.5e-3,
    most_pieces: int = 64,
    tell: Callable[[int], None] = lambda curves: None,
) -> Geodesics:
    """The geodesics between pairs of points, in the images that `decode` makes of them.

    Args:
        decode: points [B, N] -> [B, ...], in operations that torch can differentiate forwards and
            backwards; it must give the same for the same point.
        starts, ends: [C, N].
        solver: "gauss-newton", or "adam" for comparison.
        tolerance: relative change of length by a refinement up to which a curve has converged.
        most_pieces: of a spline, where refinement ends.
        tell: called with the number of curves that have just been found.

    Raises:
        ValueError: points of other shapes, NaN or infinite; or `decode` gives such on a straight
            line. Where it does so elsewhere only, a curve stays as it was before it came there.
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
    solve: Solver,
    tolerance: float,
    most_pieces: int,
) -> tuple[Tensor, ...]:
    """`connect` for as many curves as fit into memory; the fields of `Geodesics`."""
    fine = torch.linspace(0, 1, FINE + 1, dtype=torch.float64)
    spline = even(DEGREE, PIECES)
    control = spline.straight(starts, ends)
    best = spline.at(control, fine)
    # From a point to itself it is no way at all, whatever rounding makes of it.
    straight = length(flat(decode, best)).where((starts != ends).any(1), 0.0)
    if not torch.isfinite(straight).all():
        raise ValueError("what is decoded on a straight way is NaN or infinite")
    lengths, history = straight.clone(), [straight]
    iterations = torch.zeros(len(starts), dtype=torch.int64)
    moving = straight > 0
    while len(spline.inner) < most_pieces:
        which = moving.nonzero()[:, 0]
        if len(which):
            trial, steps, stuck = solve(decode, nodes(spline).to(control), control[which])
            points = spline.at(trial, fine)
            found, before = length(flat(decode, points)), lengths[which]
            shorter = found < before
            better = which[shorter]
            control[better], best[better] = trial[shorter], points[shorter]
            lengths[better] = found[shorter]
            iterations[which] += steps
            # Less energy at few nodes need not be less length at many: that has not converged.
            moving[which] = stuck | ~((found - before).abs() <= tolerance * before)
        history.append(lengths.clone())
        spline, change = spline.refined()
        control = change.to(control) @ control
    return best, lengths, straight, iterations, ~moving, torch.stack(history, 1)


def gauss_newton(decode: Decode, weights: Tensor, control: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Curves of less energy by damped Gauss-Newton steps: a `Solver`.

    Gradients are exact, and new at each step; the curvature, which costs more than all steps
    together, is that of the curves one begins with. Levenberg's damping (Nocedal & Wright 2006,
    section 10.3) is raised for a curve whose energy does not fall, and lowered where it does.
    """
    control = control.clone()
    which, accepted = torch.arange(len(control)), torch.zeros(len(control), dtype=torch.int64)
    curvature = gauss_newton_curvature(decode, weights, control)
    scale = curvature.diagonal(dim1=1, dim2=2).mean(1)
    damping = torch.full((len(control),), DAMPING).to(control)
    least, slope = energy_and_slope(decode, weights, control)
    unit = torch.eye(curvature.shape[1]).to(control)
    for _ in range(MOST_STEPS):
        ridge = (damping * scale + 1e-12)[:, None, None] * unit
        step = torch.linalg.solve(curvature + ridge, slope.flatten(1)).view_as(slope)
        trial = control[which]
        trial[:, 1:-1] -= step
        found, new_slope = energy_and_slope(decode, weights, trial)
        better = found < least
        # What was gained, or else what the quadratic model promised at least.
        gain = (least - found).where(better, 0.5 * (slope * step).sum((1, 2)))
        on = gain > SETTLED * least
        control[which[better]] = trial[better]
        accepted[which[better]] += 1
        least = found.where(better, least)
        slope = new_slope.where(better[:, None, None], slope)
        damping = damping * torch.where(better, 0.1, 10.0).to(control)
        which, curvature, scale, damping, least, slope = (
            each[on] for each in (which, curvature, scale, damping, least, slope)
        )
        if len(which) == 0:
            break
    stuck = torch.zeros(len(control), dtype=torch.bool)
    stuck[which] = accepted[which] == 0
    return control, accepted, stuck


def energy_and_slope(decode: Decode, weights: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:
    """The energy of curves with nodes A C, and its gradient by the control points between the ends.

    Args:
        decode: as for `connect`.
        weights: A, [T + 1, K].
        control: C, [C, K, N].

    Returns:
        [C], and [C, K - 2, N].
    """
    with torch.enable_grad():
        inner = control[:, 1:-1].clone().requires_grad_()
        points = weights @ torch.cat([control[:, :1], inner, control[:, -1:]], 1)
        energies = energy(flat(decode, points))
        (slope,) = torch.autograd.grad(energies.sum(), inner)
    return energies.detach(), slope


def gauss_newton_curvature(decode: Decode, weights: Tensor, control: Tensor) -> Tensor:
    """Second derivatives of the energy, but for those of f: [C, F, F], F being (K - 2) N.

    The energy is T Σ_t ‖r_t‖² of residuals r_t = f(z_t+1) - f(z_t), so they are 2 T Σ_t ∂r_tᵀ ∂r_t,
    with ∂r_t/∂C_k = A_t+1,k J_t+1 - A_tk J_t: that needs no more than J_sᵀ J_t of each node with
    itself and with the next.
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
    return 2 * (len(weights) - 1) * curvature.flatten(3, 4).flatten(1, 2)


def nodes(spline: Spline) -> Tensor:
    """A(t) at the times by which the energy of its curves is measured, [T, K]."""
    pieces = len(spline.inner) + 1
    return spline.matrix(torch.linspace(0, 1, STEPS_PER_PIECE * pieces + 1, dtype=torch.float64))


def adam(
    decode: Decode, weights: Tensor, control: Tensor, steps: int = 100
) -> tuple[Tensor, Tensor, Tensor]:
    """The same by a first-order method, for comparison: gradients alone. A `Solver`."""
    control = control.clone()
    inner = control[:, 1:-1]  # a view: what the optimiser moves are the curves themselves
    memory = nothing_yet(inner)
    for _ in range(steps):
        _, slope = energy_and_slope(decode, weights, control)
        adam_step([inner], [slope], [memory], lr=0.02, fused=False)
    return control, torch.full((len(control),), steps), torch.zeros(len(control), dtype=torch.bool)


SOLVERS: dict[str, Solver] = {"gauss-newton": gauss_newton, "adam": adam}
