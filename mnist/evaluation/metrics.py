"""Numbers about a trained run. Each function takes tensors or arrays, and cites its source."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional as F

from mnist.networks.distances import frechet_distance as frechet_distance
from mnist.networks.prior import ks_distance

NEIGHBOURS = 25  # that read a digit off a style
MANIFOLD_NEIGHBOURS = 3  # that span what counts as real: Kynkäänniemi et al. recommend it
SSIM_WINDOW = 11  # pixels to a side
PROJECTIONS = 200  # directions of a sliced distance
PART = 1000  # of a set that is compared with all of another at once
IMPORTANCE_PART = 50  # samples of each image at once


# --- reconstruction -----------------------------------------------------------------------------


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """Structural similarity of pairs of images: [B, C, H, W] in [0, 1] -> [B], 1 being the same.

    Wang, Bovik, Sheikh & Simoncelli 2004, eq. 13, with the constants of its section III.C: a
    Gaussian window of 11×11 pixels and σ = 1.5, K₁ = 0.01, K₂ = 0.03; the mean over all places
    where the window fits into the image.

    Raises:
        ValueError: images of another size, or smaller than the window.
    """
    size, sigma, c1, c2 = SSIM_WINDOW, 1.5, 0.01**2, 0.03**2
    if images.shape != others.shape or min(images.shape[-2:]) < size:
        raise ValueError(f"images {list(images.shape)} and {list(others.shape)}: no such pairs")
    ticks = torch.arange(size, device=images.device, dtype=images.dtype) - size // 2
    window = torch.exp(-(ticks**2) / (2 * sigma**2))
    window /= window.sum()

    def local_mean(values: Tensor) -> Tensor:
        values = values.flatten(0, 1).unsqueeze(1)  # each channel by itself
        return F.conv2d(F.conv2d(values, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))

    mean, other_mean = local_mean(images), local_mean(others)
    variance = local_mean(images**2) - mean**2
    other_variance = local_mean(others**2) - other_mean**2
    covariance = local_mean(images * others) - mean * other_mean
    luminance = (2 * mean * other_mean + c1) / (mean**2 + other_mean**2 + c1)
    structure = (2 * covariance + c2) / (variance + other_variance + c2)
    return (luminance * structure).view(len(images), -1).mean(1)


# --- how far a sample is from its distribution ----------------------------------------------------


def ks_distance_by_class(style: Tensor, labels: Tensor, cdf: Callable[[Tensor], Tensor]) -> Tensor:
    """The same for the styles of each class that there is: [B, N], int64 [B] -> float64 [D, N]."""
    return torch.stack([ks_distance(style[labels == digit], cdf) for digit in labels.unique()])


def sliced_wasserstein(sample: Tensor, other: Tensor, generator: torch.Generator) -> float:
    """Sliced Wasserstein-2 distance of two samples of equal size, in their units.

    √ E over directions θ of W₂²(θᵀx, θᵀy), in one dimension the mean squared difference of the
    sorted numbers (Bonneel, Rabin, Peyré & Pfister 2015); by `PROJECTIONS` directions.

    Args:
        sample, other: [B, N].
        generator: draws the directions.

    Raises:
        ValueError: the samples are not of one shape.
    """
    if sample.shape != other.shape:
        raise ValueError(f"samples {list(sample.shape)} and {list(other.shape)} differ in shape")
    directions = torch.randn(PROJECTIONS, sample.shape[1], generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=1, keepdim=True)
    total = 0.0
    for some in directions.to(sample.device).split(20):
        ordered, other_ordered = ((s.double() @ some.T).sort(0).values for s in (sample, other))
        total += (ordered - other_ordered).square().mean(0).sum().item()
    return (total / PROJECTIONS) ** 0.5


def parzen_log_likelihood(images: Tensor, samples: Tensor, width: float) -> Tensor:
    """Log-likelihood of each image under a Gaussian of that width on each of the samples.

    log 1/n Σᵢ N(x; xᵢ, σ² I): Breuleux, Bengio & Vincent 2011, as Goodfellow et al. 2014 (arXiv
    1406.2661, section 5) and Makhzani et al. 2015 report it. It says little of how good images
    are: of training images it is lower than of k-means centres (Theis, van den Oord & Bethge
    2016, arXiv 1511.01844).

    images [B, D], samples [n, D], both in [0, 1] -> float64 [B], in nats.
    """
    size = images.shape[1]
    constant = math.log(len(samples)) + size * math.log(width * math.sqrt(2 * math.pi))
    parts = []
    for some in images.split(500):
        squares = torch.cdist(some, samples).double().square()
        parts.append((-squares / (2 * width**2)).logsumexp(1) - constant)
    return torch.cat(parts)


def importance_log_likelihood(
    images: Tensor,
    posterior: Normal,
    log_prior: Callable[[Tensor], Tensor],
    log_likelihood: Callable[[Tensor, Tensor], Tensor],
    samples: int,
    generator: torch.Generator,
) -> Tensor:
    """A lower bound of log p(x) that comes near it as samples grow, by importance sampling.

    log 1/k Σ p(x|zᵢ) p(zᵢ) / q(zᵢ|x) with k styles drawn from the posterior q(z|x): Burda, Grosse &
    Salakhutdinov 2015 (arXiv 1509.00519, eq. 8).

    Args:
        images: [B, ...].
        posterior: q(z|x) of each, of styles [B, N].
        log_prior: log p(z) of styles [k, B, N] -> [k, B].
        log_likelihood: log p(x|z) of images [B, ...] and styles [k, B, N] -> [k, B].
        samples: k.
        generator: draws them.

    Returns:
        float64 [B], in nats.
    """
    parts, done = [], 0
    while done < samples:
        count = min(IMPORTANCE_PART, samples - done)
        noise = torch.randn(count, *posterior.mean.shape, generator=generator)
        styles = posterior.mean + posterior.stddev * noise.to(posterior.mean.device)
        weights = log_likelihood(images, styles) + log_prior(styles)
        parts.append(weights.double() - posterior.log_prob(styles).sum(-1).double())
        done += count
    return torch.cat(parts).logsumexp(0) - math.log(samples)


def squared_mmd(sample: Tensor, other: Tensor, kernel: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Maximum mean discrepancy of two samples, squared: the unbiased estimate, near 0 or below it
    where both come from one distribution.

    Gretton, Borgwardt, Rasch, Schölkopf & Smola 2012, eq. 3, in float64:
    mean of k(x, x') + mean of k(y, y'), pairs of one and the same left out, - 2 mean of k(x, y).

    Args:
        sample, other: [A, N] and [B, N].
        kernel: [C, N], [D, N] -> [C, D].
    """
    x, y = sample.double(), other.double()

    def mean(first: Tensor, second: Tensor, without_diagonal: bool) -> float:
        total = sum(kernel(some, second).sum().item() for some in first.split(PART))
        if not without_diagonal:
            return total / (len(first) * len(second))
        total -= sum(kernel(some, some).diagonal().sum().item() for some in first.split(PART))
        return total / (len(first) * (len(first) - 1))

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


def rbf(scale: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The Gaussian kernel exp(-‖x - y‖² / (2 scale²))."""
    return lambda x, y: torch.exp(-torch.cdist(x, y).square() / (2 * scale**2))


def cubic(x: Tensor, y: Tensor) -> Tensor:
    """The kernel (xᵀy / N + 1)³, [A, N], [B, N] -> [A, B], of the KID.

    Bińkowski et al. 2018, arXiv 1801.01401, section 4.
    """
    return (x @ y.T / x.shape[1] + 1) ** 3


# --- what a style says of the digit ---------------------------------------------------------------


def probe_accuracy(
    train_styles: np.ndarray,
    train_labels: np.ndarray,
    test_styles: np.ndarray,
    test_labels: np.ndarray,
    seed: int = 0,
) -> float:
    """Share of test styles from which a multi-layer perceptron reads the digit: leakage.

    The probe (256-256 hidden units, scikit-learn's `MLPClassifier`) is trained on the training
    styles. Chance is the share of the commonest digit, 11.4 % on MNIST's test set.

    Args:
        train_styles, test_styles: [B, N].
        train_labels, test_labels: digits [B].
        seed: of the probe.
    """
    from sklearn.exceptions import ConvergenceWarning  # late: a second to import
    from sklearn.neural_network import MLPClassifier

    probe = MLPClassifier(
        (256, 256),
        batch_size=min(500, len(train_styles)),
        learning_rate_init=2e-3,
        max_iter=12,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # Twelve rounds are meant: on 60,000 styles later ones only fit noise.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(train_styles, train_labels)
    return float((probe.predict(test_styles) == test_labels).mean())


def logistic_accuracy(
    train_styles: np.ndarray,
    train_labels: np.ndarray,
    test_styles: np.ndarray,
    test_labels: np.ndarray,
) -> float:
    """As `probe_accuracy`, by multinomial logistic regression, which sees straight borders only."""
    from sklearn.linear_model import LogisticRegression  # late: a second to import

    probe = LogisticRegression(max_iter=1000).fit(train_styles, train_labels)
    return float((probe.predict(test_styles) == test_labels).mean())


def knn_accuracy(
    styles: Tensor, labels: Tensor, other_styles: Tensor, other_labels: Tensor, k: int = NEIGHBOURS
) -> float:
    """Share of other styles whose digit is the commonest among their k nearest styles: leakage.

    The classifier of Fix & Hodges (1951). It needs no training, and no package.

    Args:
        styles, other_styles: [A, N] and [B, N].
        labels, other_labels: their digits, int64.
    """
    right = 0
    for some, digits in zip(other_styles.split(PART), other_labels.split(PART), strict=True):
        nearest = torch.cdist(some, styles).topk(min(k, len(styles)), largest=False).indices
        votes = F.one_hot(labels[nearest]).sum(1)
        right += (votes.argmax(1) == digits).sum().item()
    return right / len(other_styles)


def chance(labels: np.ndarray) -> float:
    """Accuracy of always answering the commonest class of labels int [B]."""
    return float(np.bincount(labels).max() / len(labels))


# --- what is generated ---------------------------------------------------------------------------


def nearest(sample: Tensor, others: Tensor, k: int = 1) -> Tensor:
    """Distance of each point to its k-th nearest of others: [A, N], [B, N] -> [A].

    Over the same set a point is its own first neighbour.
    """
    parts = (torch.cdist(some, others) for some in sample.split(PART))
    return torch.cat([part.kthvalue(k, dim=1).values for part in parts])


class Manifold:
    """What lies among the points of a sample: the union of the balls about them.

    Each reaches to its point's k-th neighbour (Kynkäänniemi et al. 2019, arXiv 1904.06991, eq. 1).

    Args:
        sample: features [A, N].
    """

    def __init__(self, sample: Tensor, k: int = MANIFOLD_NEIGHBOURS):
        self.sample = sample
        self.radii = nearest(sample, sample, min(k + 1, len(sample)))

    def share(self, points: Tensor) -> float:
        """Share of some points [B, N] that lie in it; NaN of none."""
        inside = [
            (torch.cdist(some, self.sample) <= self.radii).any(1) for some in points.split(PART)
        ]
        return torch.cat(inside).double().mean().item()


def precision_recall(
    real: Tensor, generated: Tensor, k: int = MANIFOLD_NEIGHBOURS
) -> tuple[float, float]:
    """How much of what is generated looks real, and how much of what is real is generated.

    Kynkäänniemi et al. 2019 (arXiv 1904.06991, eq. 2): precision is the share of generated points
    in the manifold of the real ones, recall the share of real ones in that of the generated.

    Args:
        real, generated: features [A, N] and [B, N].
    """
    return Manifold(real, k).share(generated), Manifold(generated, k).share(real)
