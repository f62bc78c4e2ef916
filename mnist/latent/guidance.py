"""Asking for a digit: descent in latent space along a classifier's log-probability."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mnist.networks.adam import adam_step, nothing_yet

Move = Callable[[Tensor, float], None]  # of points, by slopes [B, D] and a learning rate
ROUND = 20  # steps
SHAKE = 0.95  # how much of a shaken point is new


@dataclass(frozen=True)
class Descent:
    """The paths of K points in S steps; one that has arrived stays where it is.

    Attributes:
        path: the points as they were decoded, starts included: [S + 1, K, D].
        log_probs: the classifier's at each, in nats: [S + 1, K, C].
        losses: what was descended, [S + 1, K].
        converged: whether the probability asked for was reached where a point may rest, bool [K].
        steps: the step at which it came to rest, int64 [K]; S where it did not.
    """

    path: Tensor
    log_probs: Tensor
    losses: Tensor
    converged: Tensor
    steps: Tensor


def descend(
    starts: Tensor,
    digits: Tensor,
    decode: Callable[[Tensor], Tensor],
    log_probs: Callable[[Tensor], Tensor],
    *,
    steps: int,
    lr: float,
    optimizer: str = "adam",
    stop_at: float = 0.99,
    penalty: Callable[[Tensor], Tensor] = lambda points: points.new_zeros(()),
    anneal: Callable[[Tensor, float], Tensor] = lambda points, share: points,
    may_rest: Callable[[Tensor], Tensor] | None = None,
    moves: Tensor | None = None,
    generator: torch.Generator | None = None,
    tell: Callable[[int], None] = lambda arrived: None,
) -> Descent:
    """Move points until a classifier sees the wanted digits in what is decoded from them.

    Each point x by itself descends

        -log p(digit | decode(x)) + penalty(x)

    as Nguyen et al. 2016 (arXiv 1605.09304, eq. 2) do through a generator; the second term, theirs
    being -log p(x), keeps x where the decoder was trained. The way there has dead ends, such as a 9
    that is as much of a 4 as it can be. So the descent goes in rounds of `ROUND` steps, from the
    full learning rate to none (warm restarts, Loshchilov & Hutter 2016, arXiv 1608.03983). A point
    that reached the probability in a round comes to rest where it was highest, not where it was
    first high enough, for that is often a blur; and nowhere that `may_rest` forbids, for a
    classifier is also sure of much that is no digit. Any other is shaken (basin hopping, Wales &
    Doye 1997), in such a way that points drawn from N(0, I) stay so distributed (Cotter et al.
    2013, arXiv 1202.0709, eq. 1.1), and begins another round.

    Networks are not changed, and need no gradients of their own.

    Args:
        starts: [K, D], thought of as drawn from N(0, I).
        digits: wanted by each, int64 [K].
        decode: points [B, D] -> images, of whatever kind `log_probs` takes.
        log_probs: images -> log-probabilities [B, C].
        steps: at most, the S of the result being the number that was needed.
        lr: learning rate at the start of a round.
        optimizer: "adam" (Kingma & Ba 2014, arXiv 1412.6980) or "sgd", steepest descent.
        stop_at: probability of the digit, in (0, 1), that will do.
        penalty: points [B, D] -> nats [B].
        anneal: points [B, D] and the share of a round that has passed -> the points that are
            decoded instead; those of the path. It begins anew with each round.
        may_rest: such points [B, D] -> bool [B], where one may come to rest; without it everywhere.
        moves: which of the D numbers do, bool [D]; without it all.
        generator: of the shaking.
        tell: called after each round with the number of points that have arrived.

    Raises:
        ValueError: a loss became NaN or infinite, and at which step.
    """
    moves = torch.ones_like(starts[0], dtype=torch.bool) if moves is None else moves
    under_way = torch.arange(len(starts), device=starts.device)
    arrived_at = torch.full_like(under_way, steps)
    rounds: list[Trace] = []
    before = starts.detach()
    for first in range(0, steps, ROUND):
        if rounds:
            before = torch.where(moves, shaken(before, generator), before)
        wanted = digits[under_way].unsqueeze(1)

        def objective(points: Tensor, wanted: Tensor = wanted) -> tuple[Tensor, Tensor]:
            seen = log_probs(decode(points))
            return seen, penalty(points) - seen.gather(1, wanted)[:, 0]

        # The shaking is a step too, the one to the next round.
        length = ROUND - 1 if first + ROUND < steps else steps - first
        after, trace = one_round(
            before, objective, length, lr, OPTIMIZERS[optimizer], anneal, moves
        )
        if bad := torch.nonzero(~trace.losses.isfinite()).tolist():
            raise ValueError(f"the loss became NaN or infinite at step {first + bad[0][0]}")

        chances = trace.log_probs.gather(2, wanted.expand(length + 1, -1, 1))[..., 0]
        fit = chances >= math.log(stop_at)
        if may_rest:
            fit = fit.masked_scatter(fit, may_rest(trace.points[fit]))
        chances = chances.masked_fill(~fit, -math.inf)
        arrived = fit.any(0)
        rest = torch.where(arrived, chances.argmax(0), length)
        arrived_at[under_way[arrived]] = first + rest[arrived]
        rounds.append(everyone(trace.resting(rest), under_way, rounds))
        under_way, before = under_way[~arrived], after[~arrived]
        tell(len(starts) - len(under_way))
        if not len(under_way):
            break
    path, seen, losses = (torch.cat(each) for each in zip(*rounds, strict=True))
    end = int(arrived_at.max()) + 1
    converged = torch.ones(len(starts), dtype=torch.bool, device=starts.device)
    converged[under_way] = False
    return Descent(path[:end], seen[:end], losses[:end], converged, arrived_at)


class Trace(NamedTuple):
    """What happened in L steps to B points: [L + 1, B, D], [L + 1, B, C] and [L + 1, B]."""

    points: Tensor
    log_probs: Tensor
    losses: Tensor

    def resting(self, rest: Tensor) -> Trace:
        """The same with each point staying where it was at step `rest`, [B]."""
        steps = torch.arange(len(self.losses), device=rest.device).unsqueeze(1)
        when, which = torch.minimum(steps, rest), torch.arange(len(rest), device=rest.device)
        return Trace(*(each[when, which] for each in self))


def everyone(trace: Trace, which: Tensor, before: list[Trace]) -> Trace:
    """A trace of those of all points numbered `which`, [B]; the others stay as they were before."""
    if not before:
        return trace
    filled = [
        last[-1:].repeat(len(now), *[1] * (now.ndim - 1))
        for last, now in zip(before[-1], trace, strict=True)
    ]
    for all_points, now in zip(filled, trace, strict=True):
        all_points[:, which] = now
    return Trace(*filled)


def one_round(
    points: Tensor,
    objective: Callable[[Tensor], tuple[Tensor, Tensor]],
    steps: int,
    lr: float,
    optimizer: Callable[[Tensor], Move],
    anneal: Callable[[Tensor, float], Tensor],
    moves: Tensor,
) -> tuple[Tensor, Trace]:
    """So many steps down an objective, points [B, D] -> (log-probabilities [B, C], losses [B]).

    Returns:
        The points at the end, [B, D], and what happened, in which they are annealed.
    """
    points = points.clone().requires_grad_()
    # A new one each round: burdened with the last one's gradients it would hardly move.
    move = optimizer(points)
    record = []
    for step in range(steps + 1):
        annealed = anneal(points, step / steps)
        seen, losses = objective(annealed)
        record.append((annealed.detach().clone(), seen.detach(), losses.detach()))
        if step == steps:
            break
        # Of each point by itself, as each loss depends on one alone.
        (slopes,) = torch.autograd.grad(losses.sum(), points)
        slopes[:, ~moves] = 0
        move(slopes, lr * 0.5 * (1 + math.cos(math.pi * step / steps)))
    return points.detach(), Trace(*map(torch.stack, zip(*record, strict=True)))


def by_adam(points: Tensor) -> Move:
    """Moves points by Adam (Kingma & Ba 2014, arXiv 1412.6980), without a memory of any before."""
    memory = nothing_yet(points)
    return lambda slopes, lr: adam_step([points], [slopes], [memory], lr, fused=False)


def by_sgd(points: Tensor) -> Move:
    """Moves points by steepest descent."""

    @torch.no_grad()
    def move(slopes: Tensor, lr: float) -> None:
        points.sub_(slopes, alpha=lr)

    return move


OPTIMIZERS: dict[str, Callable[[Tensor], Move]] = {"adam": by_adam, "sgd": by_sgd}


def shaken(points: Tensor, generator: torch.Generator | None) -> Tensor:
    """Points [B, D] thrown about: √(1 - β²) x + β ε, ε drawn from N(0, I)."""
    noise = torch.randn(points.shape, generator=generator, dtype=points.dtype)
    return math.sqrt(1 - SHAKE**2) * points + SHAKE * noise.to(points.device)
