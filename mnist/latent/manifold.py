"""A latent space measured by what is decoded: lengths, speeds, and the metric pulled back from it.

A decoder f: Rᴺ -> Rᴰ makes of the latent space a surface in image space. How far it goes for a
small step dz is ‖J dz‖, J being its Jacobian, so that JᵀJ is the metric of the latent space
(Arvanitidis, Hansen & Hauberg 2018, arXiv 1710.11379, section 2). A curve's length needs no
Jacobian at all: it is the sum of the distances between decoded neighbours, in the limit.

`decode` is any function of points [B, N] -> [B, ...] that torch can differentiate: a decoder, or
features of what it decodes, such as `lambda z: run.method.decoder(z, labels).sigmoid()`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp, vmap

Decode = Callable[[Tensor], Tensor]
PART = 500  # points whose Jacobians are formed at once: more do not fit into a processor's cache


def flat(decode: Decode, points: Tensor) -> Tensor:
    """What is decoded, as points of image space: [..., N] -> [..., D]."""
    return decode(points.flatten(0, -2)).flatten(1).unflatten(0, points.shape[:-1])


def push(decode: Decode, points: Tensor, velocities: Tensor) -> Tensor:
    """J dz at each point, by forward mode: points and velocities [B, N] -> [B, D]."""
    with warnings.catch_warnings():
        # torch.func readies itself at its first use, by a function that torch itself deprecates.
        warnings.simplefilter("ignore")
        return jvp(lambda z: flat(decode, z), (points,), (velocities,))[1]


def speed(decode: Decode, points: Tensor, velocities: Tensor) -> Tensor:
    """‖J dz‖, how fast the image changes: points and velocities [B, N] -> [B]."""
    return push(decode, points, velocities).norm(dim=1)


def jacobian(decode: Decode, points: Tensor) -> Tensor:
    """J at each point, by N products with it: [B, N] -> [B, D, N].

    Forward mode takes a product for each of the N inputs, backward mode one for each of the D
    outputs, of which an image has many more.
    """
    units = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)

    def of(part: Tensor) -> Tensor:
        return vmap(lambda unit: push(decode, part, unit.expand_as(part)), out_dims=2)(units)

    return torch.cat([of(part) for part in points.split(PART)])


def metric(decode: Decode, points: Tensor) -> Tensor:
    """The pull-back metric JᵀJ at each point: [B, N] -> [B, N, N]."""
    parts = (jacobian(decode, part) for part in points.split(PART))  # all at once may be gigabytes
    return torch.cat([at.mT @ at for at in parts])


def directions(decode: Decode, points: Tensor) -> tuple[Tensor, Tensor]:
    """In which directions the image changes how fast: the metric's eigenvalues and eigenvectors.

    Returns:
        [B, N], ascending, squared speeds of unit velocities; and [B, N, N], a direction a column.
    """
    values, vectors = torch.linalg.eigh(metric(decode, points))
    return values, vectors


def length(images: Tensor) -> Tensor:
    """Length of discretised curves: decoded points [..., T, D] -> [...]."""
    return images.diff(dim=-2).norm(dim=-1).sum(-1)


def energy(images: Tensor) -> Tensor:
    """Energy of discretised curves at equal steps of time: [..., T, D] -> [...].

    ∫ ‖df/dt‖² dt over [0, 1]. It is at least the squared length, and equal to it where the speed is
    constant: so the curve of least energy is the shortest one, run through evenly.
    """
    return images.diff(dim=-2).square().sum((-2, -1)) * (images.shape[-2] - 1)


def stochastic(mean: Decode, std: Decode) -> Decode:
    """A decoder of a mean and a standard deviation, as one whose metric is the expected one.

    E[JᵀJ] = J_μᵀ J_μ + J_σᵀ J_σ (Arvanitidis et al. 2018): that of both side by side.
    """
    return lambda z: torch.cat([mean(z).flatten(1), std(z).flatten(1)], 1)
