"""A contrastive loss: are two styles by one writer?"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mnist.networks import losses
from mnist.networks.shares import by_rows

PAIRS_AT_ONCE = 2**20  # whose numbers take 4 MB
MEMORY = 50  # batches that the correlations reach back over
LEAST, MOST = 0.05, 0.9  # correlations: at 0 a dimension could never begin to say anything


class WriterContrast(nn.Module):
    """How well images by one writer are found by each other's styles: a loss for the encoder.

    Each image is to find the others by its writer, of other classes, among those by other writers
    in the batch: InfoNCE (van den Oord, Li & Vinyals 2018, arXiv 1807.03748, eq. 4). What tells
    pairs apart best is their likelihood ratio (eq. 5 there). Of styles that are standard normal, as
    the adversary makes them, with correlation ρ within a writer it is known, the sum over
    dimensions of

        ρ / (1 - ρ²) · ab - ρ² / (1 - ρ²) · (a² + b²) / 2 - log(1 - ρ²) / 2,

    which is the two-covariance model (`mnist/latent/two_covariance.py`) of independent dimensions.
    So nothing is learnt but styles, and as their scale is given they cannot shrink together.

    Args:
        feature_size: N, dimensions of the style.
        std: standard deviation of each.
    """

    correlation: Tensor

    def __init__(self, feature_size: int, std: float):
        super().__init__()
        self.std = std
        self.register_buffer("correlation", torch.full((feature_size,), LEAST))

    def forward(self, styles: Tensor, labels: Tensor, writers: Tensor) -> Tensor:
        """Cross-entropy in nats, a scalar: styles [B, N], labels and writers int64 [B]."""
        styles = styles / self.std
        others = writers.unsqueeze(1) != writers
        pairs = ~others & (labels.unsqueeze(1) != labels)
        pairs &= (labels >= 0) & (labels >= 0).unsqueeze(1)  # of unlabelled ones it is not known
        self.remember(styles.detach(), pairs)
        rho = self.correlation.clamp(LEAST, MOST)
        own = (styles.square() * (rho.square() / (1 - rho.square()) / 2)).sum(1)
        scaled = styles * (rho / (1 - rho.square()))
        count = pairs.sum(1)
        of_each = missed(scaled, own, others, pairs, (styles, own)) / count.clamp(min=1)
        return of_each.sum() / (count > 0).sum().clamp(min=1)

    def remember(self, styles: Tensor, pairs: Tensor) -> None:
        """Take a batch's correlations into their running average.

        styles [B, N] of variance 1; pairs, bool [B, B], are images by one writer.
        """
        count = pairs.sum()
        found = ((pairs.to(styles.dtype) @ styles) * styles).sum(0) / count.clamp(min=1)
        self.correlation.lerp_(found, (count > 0) / MEMORY)


@by_rows
def missed(
    scaled: Tensor, own: Tensor, others: Tensor, pairs: Tensor, whole: tuple[Tensor, Tensor]
) -> Tensor:
    """By how many nats images miss all that they are to find, each by itself: [b].

    Of many images the numbers for all pairs are made in blocks that stay in the cache, and once
    more for their slopes.

    Args:
        scaled: styles [b, N] times ρ / (1 - ρ²).
        own: what a style takes from all of its scores, [b].
        others: which images are by other writers, bool [b, B].
        pairs: which are to be found, bool [b, B].
        whole: styles [B, N] of the batch, and what each takes from its scores [B].
    """
    if others.numel() <= PAIRS_AT_ONCE:  # none at all where a process has no share
        return missed_at_once(scaled, own, others, pairs, *whole)
    blocks = -(-others.numel() // PAIRS_AT_ONCE)
    rows = zip(*(each.chunk(blocks) for each in (scaled, own, others, pairs)), strict=True)
    again = partial(checkpoint, missed_at_once, use_reentrant=False, preserve_rng_state=False)
    return torch.cat([again(*block, *whole) for block in rows])


def missed_at_once(
    scaled: Tensor, own: Tensor, others: Tensor, pairs: Tensor, every: Tensor, of_every: Tensor
) -> Tensor:
    """As `missed`."""
    scores = scaled @ every.T - of_every - own.unsqueeze(1)
    least = torch.finfo(scores.dtype).min
    beside = scores.masked_fill(~others, least).logsumexp(1, keepdim=True)
    # -log of e^score / (e^score + Σ e^score of others)
    return losses.softplus(beside - scores).where(pairs, 0).sum(1)
