"""A contrastive loss: are two styles by one writer?"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
        scores = (styles * (rho / (1 - rho.square()))) @ styles.T - own - own.unsqueeze(1)
        beside = scores.masked_fill(~others, -torch.inf).logsumexp(1, keepdim=True)
        # -log of e^score / (e^score + Σ e^score of others)
        missed = F.softplus(beside - scores)
        count = pairs.sum(1)
        of_each = missed.where(pairs, 0).sum(1) / count.clamp(min=1)
        return of_each.sum() / (count > 0).sum().clamp(min=1)

    def remember(self, styles: Tensor, pairs: Tensor) -> None:
        """Take a batch's correlations into their running average.

        styles [B, N] of variance 1; pairs, bool [B, B], are images by one writer.
        """
        count = pairs.sum()
        found = ((pairs.to(styles.dtype) @ styles) * styles).sum(0) / count.clamp(min=1)
        self.correlation.lerp_(found, (count > 0) / MEMORY)
