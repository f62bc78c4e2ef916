#!/usr/bin/env python3
"""How fast geodesics are found and how near to the shortest, beside other ways to find them.

Random pairs of styles, written as one digit. "Too long" is by how much a curve is longer than the
shortest one that any of them found, a slow and fine run of the default's solver among them. With
--runs, a second table says how much shorter such ways are in several runs.

example: python benchmarks/geodesics.py --ckpt-dir mnist8.ckpt --runs sae2.ckpt mnist2.ckpt
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from machine import machine
from torch import Tensor
from torch.func import jacrev, vmap

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.commands.geodesic import decoder_of  # noqa: E402
from mnist.data import load_dataset  # noqa: E402
from mnist.latent import geodesics  # noqa: E402
from mnist.latent.curves import Spline  # noqa: E402
from mnist.latent.manifold import Decode, flat, length  # noqa: E402
from mnist.training.run import Run  # noqa: E402

# --- the published scheme -------------------------------------------------------------------------

# As in github.com/mmichelis/GenerativeLatentSpace at 0e11e0a: Geometry/geodesic.py, and the number
# of nodes in MNIST_MCimprovement.py.
NODES = 16  # at which the energy is summed
STEPS = 9  # of Adam, in a round


class Schedule(NamedTuple):
    """What the published scheme leaves to be chosen.

    Attributes:
        rates: Adam's, at the start of each round with the same control points.
        decay: factor of the rate in each step.
        control: control points between the ends, at the end.
    """

    rates: list[float]
    decay: float
    control: int


THEIRS = Schedule([0.3**i for i in range(6)], decay=0.5, control=10)


def published(decode: Decode, starts: Tensor, ends: Tensor, schedule: Schedule) -> Tensor:
    """Lengths of curves by `published_curve`, one after the other, [C]."""
    pairs = zip(starts, ends, strict=True)
    return torch.stack([published_curve(decode, *pair, schedule) for pair in pairs])


def published_curve(decode: Decode, start: Tensor, end: Tensor, schedule: Schedule) -> Tensor:
    """Length of one curve by the scheme of Michelis & Becker 2021 (arXiv 2105.03663), written anew.

    It descends Σ γ'ᵀ JᵀJ γ' with the whole Jacobian at each node, by a backward pass for each of
    its 784 rows. Every round goes on from the best curve so far; after those with all rates, a knot
    is inserted amid the longest interval.
    """
    spline = Spline(3)
    best = spline.straight(start, end)
    jacobian = vmap(jacrev(lambda z: decode(z[None]).flatten()))
    even_times = torch.linspace(0, 1, NODES)
    generator = torch.Generator().manual_seed(0)

    def energies(control: Tensor, times: Tensor) -> Tensor:
        moved = jacobian(spline.at(control, times)) @ spline.velocity(control, times)[..., None]
        return moved.square().sum((1, 2))

    least = energies(best, even_times).sqrt().sum()
    rates = schedule.rates * (schedule.control - 1)  # two control points are there from the start
    for number, rate in enumerate(rates):
        if number and number % len(schedule.rates) == 0:
            within = [0.0, *spline.inner, 1.0]
            longest = max(range(len(within) - 1), key=lambda i: within[i + 1] - within[i])
            spline, change = spline.with_knot((within[longest] + within[longest + 1]) / 2)
            best = change.to(best) @ best
        inner = best[1:-1].clone().requires_grad_()
        optimizer = torch.optim.Adam([inner], lr=rate, weight_decay=1e-4)
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = rate * schedule.decay**step
            shift = torch.randn(NODES, generator=generator) * 0.1 / (NODES - 1)
            optimizer.zero_grad()
            control = torch.cat([best[:1], inner, best[-1:]])
            energies(control, (even_times + shift).clamp(0, 1)).sum().backward()
            optimizer.step()
        control = torch.cat([best[:1], inner.detach(), best[-1:]])
        found = energies(control, even_times).detach().sqrt().sum()
        if found < least:
            best, least = control, found
    with torch.no_grad():
        return length(flat(decode, spline.at(best, torch.linspace(0, 1, geodesics.FINE + 1))))


EXPLAIN = """\
## Geodesics

By `python benchmarks/geodesics.py --ckpt-dir mnist8.ckpt --runs ...` on {machine}: {pairs} pairs of
styles of a {digit}, in an AAE of this project with default settings. *Too long* is by how much a
curve is longer than the shortest one that any of the first rows found, on average. Times are of one
run each, after a warm-up.

The published scheme is that of Michelis & Becker 2021, written anew: one curve after the other,
Adam, and the whole Jacobian by a backward pass for each pixel. The rates of their code, which were
chosen for other decoders, hardly move some curves here, so it is tried with another one too. Of
GEORCE its authors report 5.6 s for a curve of 500 points in a VAE of 8 dimensions (Rygaard &
Hauberg 2025), on their machine.
"""

# --- speed ----------------------------------------------------------------------------------------


def timed(solve: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came out."""
    began = time.perf_counter()
    found = solve()
    return time.perf_counter() - began, found


def speed(run: Run, digit: int, pairs: int) -> None:
    """Print a table of seconds and lengths, and what 1,000 pairs take."""
    decode = decoder_of(run, digit, None)
    generator = torch.Generator().manual_seed(0)
    starts, ends = run.prior.sample(2 * pairs, generator).split(pairs)
    connect = partial(geodesics.connect, decode, starts, ends)

    connect()  # warm-up
    seconds, default = timed(connect)
    many = run.prior.sample(2000, generator).split(1000)
    seconds_of_many, found = timed(lambda: geodesics.connect(decode, *many))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # before what takes more

    rows = [("Gauss-Newton (the default)", seconds, default.lengths)]
    for steps in (25, 50, 100):
        name = f"Adam, {steps} steps a refinement"
        geodesics.SOLVERS[name] = partial(geodesics.adam, steps=steps)
        seconds, by_adam = timed(partial(connect, solver=name))
        rows.append((name, seconds, by_adam.lengths))
    seconds, fine = timed(partial(connect, tolerance=1e-6, most_pieces=128))
    rows.append(("Gauss-Newton, 128 pieces, as long as it gains", seconds, fine.lengths))
    shortest = torch.stack([lengths for _, _, lengths in rows]).amin(0)
    for what, count, schedule in (
        ("their rates, no knot inserted", 3, THEIRS._replace(control=2)),
        ("their rates, to the end", 1, THEIRS),
        ("a rate of 0.05 throughout, four knots", 3, Schedule([0.05, 0.05], 1.0, control=6)),
    ):
        solve = partial(published, decode, starts[:count], ends[:count], schedule)
        rows.append((f"published scheme, {what}, {count} of the pairs", *timed(solve)))

    print(EXPLAIN.format(pairs=pairs, digit=digit, machine=machine()))
    print("| | s in all | s a curve | shorter by | too long by |\n|---|---|---|---|---|")
    for name, seconds, lengths in rows:
        count = len(lengths)
        shorter = (1 - lengths / default.straight_lengths[:count]).mean()
        excess = (lengths / shortest[:count] - 1).mean()
        print(f"| {name} | {seconds:.1f} | {seconds / count:.3f} | {shorter:.2%} | {excess:.2%} |")
    equal = [row for row in rows if "Adam" in row[0] and row[2].mean() <= default.lengths.mean()]
    for name, seconds, _ in equal[:1]:
        print(f"\nTo equal length, {name} takes {seconds / rows[0][1]:.1f} times as long.")
    print(
        f"\nThe default has converged for {default.converged.double().mean():.0%} of the pairs. "
        f"1,000 pairs: {seconds_of_many:.1f} s, {found.shortening.mean():.2%} shorter; peak memory "
        f"{peak:.1f} GB."
    )


# --- how much shorter -----------------------------------------------------------------------------


def shortenings(run: Run, pairs: int) -> tuple[Tensor, Tensor]:
    """How much shorter ways are between styles of the prior, and between test images', [C] each.

    As many pairs of each digit; the same test images whatever the run.
    """
    test, found = load_dataset("mnist").test, ([], [])
    for digit in range(run.spec.classes):
        generator = torch.Generator().manual_seed(digit)
        there = torch.nonzero(test.labels == digit)[:, 0]
        chosen = there[torch.randperm(len(there), generator=generator)[: 2 * pairs]]
        decode = decoder_of(run, digit, None)
        batch = test.batch(chosen)
        ends = run.prior.sample(2 * pairs, generator), run.encode(batch.images, batch.labels)
        for each, both in zip(found, ends, strict=True):
            ways = geodesics.connect(decode, *both.split(pairs))
            each.append(ways.shortening)
    return torch.cat(found[0]), torch.cat(found[1])


def table(runs: list[str], pairs: int) -> None:
    """Print how much shorter the ways of several runs become."""
    print(
        f"\nHow much shorter than straight: mean and its 95 % interval, {pairs} pairs of each "
        "digit, the same test images in all runs, each by its own encoder.\n"
    )
    print("| run | size | between styles of the prior | between test images |\n|---|---|---|---|")
    for directory in runs:
        run = mnist.load(directory)
        cells = []
        for each in shortenings(run, pairs):
            interval = 1.96 * each.std() / len(each) ** 0.5
            cells.append(f"{each.mean():.2%} ± {interval:.2%}")
        name, size = run.method.name.upper(), run.prior.feature_size
        print(f"| {name} | {size} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ckpt-dir", default="mnist8.ckpt", help="whose ways are timed")
    parser.add_argument("--digit", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--runs", nargs="*", default=[], help="for the second table")
    parser.add_argument("--pairs-a-digit", type=int, default=20, help="of the second table")
    arguments = parser.parse_args()
    speed(mnist.load(arguments.ckpt_dir), arguments.digit, arguments.pairs)
    if arguments.runs:
        table(arguments.runs, arguments.pairs_a_digit)


if __name__ == "__main__":
    main()
