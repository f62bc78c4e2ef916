"""How far two samples are from each other."""

import torch
from torch import Tensor


def frechet_distance(sample: Tensor, other: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians that have two samples' means and covariances.

    ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) (Dowson & Landau 1982), in float64; in the features of an
    Inception network it is the FID of Heusel et al. 2017 (arXiv 1706.08500, eq. 6).

    Args:
        sample, other: features [A, N] and [B, N].
    """
    x, y = sample.double(), other.double()
    covariance, other_covariance = torch.cov(x.T), torch.cov(y.T)
    # tr (Σ₁ Σ₂)^½ = tr (R Σ₂ R)^½ with R = Σ₁^½, which is symmetric: its eigenvalues are real.
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    trace = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp(min=0).sqrt().sum()
    shift = (x.mean(0) - y.mean(0)).square().sum()
    return (shift + covariance.trace() + other_covariance.trace() - 2 * trace).item()
