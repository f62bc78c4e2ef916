"""A writer's own style, from styles of their images: the two-covariance model."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class TwoCovariance(NamedTuple):
    """A writer has a style of their own, and each image of theirs another about it.

    z = h + e of independent h ~ N(mean, between), one for each writer, and e ~ N(0, within), one
    for each image: the two-covariance model of Brümmer & de Villiers 2010 ("The speaker
    partitioning problem"), the linear case of PLDA (Ioffe 2006).

    Attributes:
        mean: of all styles, float64 [N].
        between: covariance of the writers' own styles, float64 [N, N].
        within: covariance of one writer's images, float64 [N, N].
    """

    mean: Tensor
    between: Tensor
    within: Tensor

    @classmethod
    def fit(cls, styles: Tensor, writers: Tensor) -> TwoCovariance:
        """The model of these styles [B, N] by these writers int64 [B].

        By the method of moments, as in an analysis of variance with groups of unequal sizes
        (Searle, Casella & McCulloch 1992, "Variance components"). `between` is made positive
        semidefinite, which an unbiased estimate need not be.

        Raises:
            ValueError: fewer than two writers, or none of more than one image.
        """
        styles = styles.double()
        _, which, counts = writers.unique(return_inverse=True, return_counts=True)
        count, groups = len(styles), len(counts)
        if groups < 2 or count == groups:
            raise ValueError(f"{count} images by {groups} writers say nothing of handwritings")
        sums = styles.new_zeros(groups, styles.shape[1]).index_add_(0, which, styles)
        means = sums / counts.unsqueeze(1)
        mean = styles.mean(0)
        scatter, spread = styles - means[which], means - mean
        within = scatter.T @ scatter / (count - groups)
        usual = (count - counts.double().square().sum() / count) / (groups - 1)
        between = ((spread * counts.unsqueeze(1)).T @ spread / (groups - 1) - within) / usual
        values, vectors = torch.linalg.eigh(between)
        return cls(mean, vectors * values.clamp(min=0) @ vectors.T, within)

    def log_likelihood_ratio(self, styles: Tensor, others: Tensor) -> Tensor:
        """How much likelier pairs are by one writer than by two: [A, N], [B, N] -> [A, B], in nats.

        log N([a; b]; [μ; μ], [[T, S], [S, T]]) - log N(a; μ, T) - log N(b; μ, T), S being `between`
        and T = S + `within`.
        """
        total = self.between + self.within
        alone = torch.linalg.inv(total)
        both = torch.cat([torch.cat([total, self.between], 1), torch.cat([self.between, total], 1)])
        together = torch.linalg.inv(both)
        size = len(self.mean)
        own, cross = together[:size, :size] - alone, together[:size, size:]
        constant = torch.logdet(total) - torch.logdet(both) / 2

        def term(z: Tensor) -> Tensor:
            return -((z @ own) * z).sum(1) / 2

        a, b = styles.double() - self.mean, others.double() - self.mean
        return term(a).unsqueeze(1) + term(b) - a @ cross @ b.T + constant

    def writers_style(self, means: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Writers' own styles, from the mean styles [B, N] of `count` images by each.

        The posterior of h given n styles: precision between⁻¹ + n · within⁻¹, and their mean pulled
        towards that of all writers by what n images leave open.

        Returns:
            Means, float64 [B, N], and the covariance of each, [N, N].
        """
        # Of between (between + within / n)⁻¹: `between` itself may be singular.
        seen = self.between + self.within / count
        gain = torch.linalg.solve(seen, self.between).T
        mean = self.mean + (means.double() - self.mean) @ gain.T
        return mean, self.between - gain @ self.between


def product_of_posteriors(
    means: Tensor, deviations: Tensor, prior_std: float
) -> tuple[Tensor, Tensor]:
    """The style that images share, each of which leaves it open: mean and variance, [N] both.

    Posteriors N(mᵢ, sᵢ²), each of which holds the prior N(0, p²) already, multiplied so that it is
    counted once (Hinton 2002, a product of experts): precision 1/p² + Σ (1/sᵢ² - 1/p²). Of styles
    that are points (s = 0) it is their mean.

    Args:
        means, deviations: of n images' posteriors, [n, N].
        prior_std: p.
    """
    if not deviations.any():
        return means.mean(0), torch.zeros_like(means[0])
    precisions = deviations.square().reciprocal()
    prior = 1 / prior_std**2
    precision = prior + (precisions - prior).clamp(min=0).sum(0)
    return (means * precisions).sum(0) / precision, precision.reciprocal()
