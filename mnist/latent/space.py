"""The points that a descent towards a class moves, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from mnist.networks.prior import Density
from mnist.networks.sharpness import edge_width

HARDEST = 20.0  # what multiplies the class code's logits at a round's end, 1 being at its start
PURE = 0.9  # the largest share of a class code at which a point may rest
# ... and the share of the prior's styles, the likeliest, in which it may. Without labels a class is
# a place, and some lie far out; with them each style has every class, and the middle draws best.
LIKELY = {"conditional": 0.5, "unconditional": 0.99}
MARGIN = 0.1  # nats by which a style is to be likelier than it must be
# ... and the share of decodings, those with the sharpest edges, among which its image is. What the
# decoder cannot draw it blurs. Without labels these are of all classes, some of them less sharp.
SHARP = {"conditional": 0.5, "unconditional": 0.75}
CERTAIN = 30.0  # logit of a class that is all there is of a code
DRAWN = 10_000  # styles, to know how likely they are
DECODED = 1000  # of them as each class, to know how wide the edges of those images are


class Space:
    """The points that a descent moves: a style, and the class code that the decoder is given.

    A point is N dimensions of style, in standard deviations of the prior, and for a conditional
    decoder K logits of the class code besides, whose softmax is a point on the simplex.

    Args:
        decoder: styles [B, N], class codes [B, K] or None -> images [B, C, H, W] in [0, 1], as
            black and white as real ones.
        prior: of the styles, whose density is known.
        classes: K; 0 for an unconditional decoder.
        free: "both", "style" or "digit", the code; without classes there is the style alone.
        anywhere: whether a point may rest in any style.
    """

    def __init__(
        self,
        decoder: Callable[[Tensor, Tensor | None], Tensor],
        prior: Density,
        classes: int,
        free: str,
        anywhere: bool = False,
    ):
        self.decoder = decoder
        self.prior = prior
        self.size = prior.feature_size
        self.classes = classes
        style, code = [free != "digit"] * self.size, [free != "style"] * classes
        self.moves = torch.tensor(style + code)
        # A code that is given stays as it is.
        self.hardens = torch.tensor([False] * self.size + code)
        self.kind = "conditional" if classes else "unconditional"
        self.drawn = prior.sample(DRAWN, torch.Generator().manual_seed(0))
        self.least = prior.log_prob(self.drawn).quantile(1 - LIKELY[self.kind])
        self.anywhere = anywhere or not any(style)

    @cached_property
    def widest(self) -> Tensor:
        """How wide the edges of an image may be where a point rests: [K]; [1] without classes."""
        styles = self.drawn[:DECODED] / self.prior.std
        codes = torch.eye(self.classes) * CERTAIN if self.classes else torch.empty(1, 0)
        each = [torch.cat([styles, code.expand(len(styles), -1)], 1) for code in codes]
        widths = torch.stack([self.edge_width(points) for points in each])
        return widths.quantile(SHARP[self.kind], dim=1)

    def style(self, points: Tensor) -> Tensor:
        """[..., D] -> [..., N], as the decoder takes it."""
        return points[..., : self.size] * self.prior.std

    def code(self, points: Tensor) -> Tensor | None:
        """[..., D] -> [..., K], what the decoder is given; None if nothing."""
        return points[..., self.size :].softmax(-1) if self.classes else None

    def anneal(self, points: Tensor, share: float) -> Tensor:
        """Points [B, D] when a share of a round has passed: the code hardens to a single class.

        softmax(k u) with k rising geometrically from 1 to `HARDEST`, for the decoder knows only
        unmixed classes; at first, k being small, each of them is within reach. (Such annealing of a
        softmax is Jang, Gu & Poole's 2017, arXiv 1611.01144, section 2.2, with 1/k for τ.)
        """
        return torch.where(self.hardens.to(points.device), points * HARDEST**share, points)

    def may_rest(self, points: Tensor) -> Tensor:
        """Whether the decoder draws well where points are: [..., D] -> bool [...].

        There the style is likely, the code that of a single class, and the image as sharp as others
        of that class. A style that is given may be any.
        """
        code = self.code(points)
        pure = torch.ones_like(points[..., 0]) if code is None else code.amax(-1)
        rests = ((self.shortfall(points) < MARGIN) | self.anywhere) & (pure >= PURE)
        if not self.anywhere:
            widest = self.widest.to(points.device)
            limit = widest if code is None else widest[code[rests].argmax(-1)]
            rests = rests.masked_scatter(rests, self.edge_width(points[rests]) <= limit)
        return rests

    def shortfall(self, points: Tensor) -> Tensor:
        """By how many nats styles are less likely under the prior than they are to be.

        [..., D] -> [...].
        """
        log_prob = self.prior.log_prob(self.style(points))
        return (self.least.to(points.device) + MARGIN - log_prob).clamp(min=0)

    def decode(self, points: Tensor) -> Tensor:
        """[B, D] -> images [B, C, H, W] in [0, 1]."""
        return self.decoder(self.style(points), self.code(points))

    @torch.no_grad()
    def edge_width(self, points: Tensor) -> Tensor:
        """How wide the edges are, in pixels, of what is decoded from points: [B, D] -> [B]."""
        parts = [edge_width(self.decode(some)) for some in points.split(DECODED)]
        return torch.cat(parts).to(points.device)
