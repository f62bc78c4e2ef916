"""The points that a descent towards a digit moves, and what they stand for in a run."""

from __future__ import annotations

import torch
from torch import Tensor

from mnist.data import CLASSES
from mnist.networks.sharpness import sharpen
from mnist.training.run import Run

HARDEST = 8.0  # what multiplies the digit code's logits at a round's end, 1 being at its start
PURE = 0.9  # the largest share of a digit code at which a point may rest
# ... and the share of the prior's styles, the likeliest, in which it may. Without labels a digit is
# a place, and some lie far out; with them each style has every digit, and the middle draws best.
LIKELY = {"labels": 0.5, "no labels": 0.99}
DRAWN = 10_000  # styles, to know how likely they are


class Space:
    """The points that a descent moves, for a run: a style, and what the decoder is told.

    A point is N numbers of style, in standard deviations of the prior, and for a run that is told
    the digit ten logits of the digit code besides, whose softmax is a point on the simplex.

    Args:
        run: the autoencoder.
        free: "both", "style" or "digit"; a run without labels has its style alone.
        anywhere: whether a point may rest in any style.
    """

    def __init__(self, run: Run, free: str, anywhere: bool = False):
        self.run = run
        self.size = run.prior.feature_size
        self.labels: bool = run.config["model"]["labels"]
        style, code = [free != "digit"] * self.size, [free != "style"] * CLASSES * self.labels
        self.moves = torch.tensor(style + code)
        # A code that is given stays as it is.
        self.hardens = torch.tensor([False] * self.size + code)
        drawn = run.prior.sample(DRAWN, torch.Generator().manual_seed(0))
        share = LIKELY["labels" if self.labels else "no labels"]
        self.least = run.prior.log_prob(drawn).quantile(1 - share)
        self.anywhere = anywhere or not any(style)

    def style(self, points: Tensor) -> Tensor:
        """[..., D] -> [..., N], as the decoder takes it."""
        return points[..., : self.size] * self.run.prior.std

    def code(self, points: Tensor) -> Tensor | None:
        """[..., D] -> [..., 10], what the decoder is told; None if nothing."""
        return points[..., self.size :].softmax(-1) if self.labels else None

    def anneal(self, points: Tensor, share: float) -> Tensor:
        """Points [B, D] when a share of a round has passed: the code hardens to a single digit.

        softmax(k u) with k rising geometrically from 1 to `HARDEST`, for the decoder knows only
        unmixed digits; at first, k being small, each of them is within reach. (Such annealing of a
        softmax is Jang, Gu & Poole's 2017, arXiv 1611.01144, section 2.2, with 1/k for τ.)
        """
        return torch.where(self.hardens, points * HARDEST**share, points)

    def may_rest(self, points: Tensor) -> Tensor:
        """Whether the decoder draws digits where points are: [..., D] -> bool [...].

        There the style is likely, and the code that of a single digit.
        """
        likely = (self.log_prior(points) >= self.least) | self.anywhere
        return likely & (self.code(points).amax(-1) >= PURE) if self.labels else likely

    def decode(self, points: Tensor) -> Tensor:
        """[B, D] -> images [B, 1, 28, 28] in [0, 1], as black and white as real ones."""
        logits = self.run.method.decoder(self.style(points), self.code(points))
        return sharpen(logits, self.run.sharpness)

    def log_prior(self, points: Tensor) -> Tensor:
        """Log-density of the style under the prior: [..., D] -> [...]."""
        return self.run.prior.log_prob(self.style(points))
