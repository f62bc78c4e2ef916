"""A prior that is fitted to the styles which a trained encoder gives, rather than learnt for."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from mnist.networks.prior import normal

COMPONENTS = 10


class FittedMixture(nn.Module):
    """A mixture of Gaussians, fitted to styles after their training: ex-post density estimation
    (Ghosh et al. 2020, arXiv 1903.12436, section 4).

    Until then it is a standard normal distribution.

    Args:
        feature_size: N, dimensions of a style.
    """

    weights: Tensor  # [K]
    means: Tensor  # [K, N]
    factors: Tensor  # [K, N, N], lower triangular: of the covariances

    def __init__(self, feature_size: int):
        super().__init__()
        self.feature_size = feature_size
        self.register_buffer("weights", torch.full((COMPONENTS,), 1 / COMPONENTS))
        self.register_buffer("means", torch.zeros(COMPONENTS, feature_size))
        self.register_buffer("factors", torch.eye(feature_size).repeat(COMPONENTS, 1, 1))

    def fit(self, styles: Tensor, seed: int) -> None:
        """Take the likeliest mixture of these styles [B, N], by expectation maximisation."""
        from sklearn.exceptions import ConvergenceWarning  # late: a second to import
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(min(COMPONENTS, len(styles)), random_state=seed % 2**32)
        with warnings.catch_warnings():
            # Converged or not, it is a density; its steps are so small by then.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(styles.double().cpu().numpy())
        found = len(mixture.weights_)
        self.weights.zero_()[:found] = torch.from_numpy(mixture.weights_)
        self.means[:found] = torch.from_numpy(mixture.means_)
        self.factors[:found] = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))

    @property
    def std(self) -> float:
        """Of a dimension, the root of its mean variance over all dimensions."""
        within = self.factors.square().sum((1, 2)) / self.feature_size
        between = (self.means - self.weights @ self.means).square().mean(1)
        return (self.weights @ (within + between)).sqrt().item()

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """float32 [count, N], on the generator's device."""
        noise = normal(count, self.feature_size, generator)
        device = noise.device
        which = self.weights.to(device).multinomial(count, True, generator=generator)
        moved = torch.einsum("bij,bj->bi", self.factors.to(device)[which], noise)
        return self.means.to(device)[which] + moved

    def log_prob(self, style: Tensor) -> Tensor:
        """Log-density of each style, in nats: [..., N] -> [...]."""
        device = style.device
        parts = MultivariateNormal(self.means.to(device), scale_tril=self.factors.to(device))
        known = Categorical(self.weights.to(device))
        return MixtureSameFamily(known, parts, validate_args=False).log_prob(style)
