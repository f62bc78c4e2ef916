"""Numbers about a run: known answers, and SciPy as a second opinion."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import scipy.stats
import torch
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from torchmetrics.functional.image import structural_similarity_index_measure

from mnist.evaluation import metrics
from mnist.networks.prior import Gaussian, ks_distance


def test_ks_against_scipy():
    style = torch.randn(500, 3) * torch.tensor([1.0, 0.5, 2.0])
    expected = [scipy.stats.kstest(column, "norm").statistic for column in style.double().T]
    assert ks_distance(style, Gaussian(3).cdf).tolist() == pytest.approx(expected)


def test_ks_of_exact_quantiles_is_half_a_step():
    count = 200
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    style = torch.special.ndtri(middles).unsqueeze(1)
    ks = ks_distance(style, Gaussian(1).cdf)
    assert ks.item() == pytest.approx(0.5 / count)


def test_ks_of_a_collapsed_style():
    assert ks_distance(torch.zeros(50, 1), Gaussian(1).cdf).item() == pytest.approx(0.5)


def test_a_probe_reads_a_digit_that_is_there_and_not_one_that_is_not():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, 3000)
    noise = generator.normal(size=(3000, 2))
    angle = 2 * np.pi * labels / 10
    corners = 5 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.3 * noise
    train, test = slice(0, 2000), slice(2000, 3000)

    def accuracy(styles):
        return metrics.probe_accuracy(styles[train], labels[train], styles[test], labels[test])

    assert accuracy(corners) > 0.99
    # Chance here is 0.1 with a standard error of 0.0095.
    assert accuracy(noise) < 0.1 + 4 * 0.0095
    assert metrics.chance(np.array([1, 1, 2, 0])) == 0.5


# --- reconstruction -----------------------------------------------------------------------------


def test_ssim_against_torchmetrics():
    images = torch.rand(5, 1, 28, 28)
    others = (images + 0.2 * torch.randn_like(images)).clamp(0, 1)
    _, everywhere = structural_similarity_index_measure(
        others, images, data_range=1.0, reduction="none", return_full_image=True
    )
    inside = everywhere[..., 5:-5, 5:-5]  # theirs goes on past the borders, by reflection
    torch.testing.assert_close(metrics.ssim(others, images), inside.mean((1, 2, 3)))


def test_ssim_is_one_for_the_same_and_falls_with_noise():
    images = torch.rand(4, 1, 28, 28).round()
    assert metrics.ssim(images, images).tolist() == pytest.approx([1.0] * 4)
    noise = torch.randn_like(images)
    noisy = [metrics.ssim(images, images + s * noise).mean().item() for s in (0.1, 0.3, 1.0)]
    assert 1 > noisy[0] > noisy[1] > noisy[2]
    with pytest.raises(ValueError, match="no such pairs"):
        metrics.ssim(images, images[:3])


# --- distances of samples -----------------------------------------------------------------------


def test_ks_of_each_digit_against_scipy():
    style, labels = torch.randn(300, 2) * 1.1, torch.arange(300) % 3
    ours = metrics.ks_distance_by_class(style, labels, Gaussian(2).cdf)
    for digit in range(3):
        for dimension in range(2):
            column = style[labels == digit, dimension].double()
            expected = scipy.stats.kstest(column, "norm").statistic
            assert ours[digit, dimension].item() == pytest.approx(expected)


def test_sliced_wasserstein_of_a_shift_and_of_a_stretch():
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(400, 1)
    distance = metrics.sliced_wasserstein(sample, sample + 0.7, generator)
    assert distance == pytest.approx(0.7, rel=1e-5)  # in one dimension there is one direction
    stretched = metrics.sliced_wasserstein(sample, 3 * sample, generator)
    assert stretched == pytest.approx(2 * sample.double().square().mean().sqrt().item(), rel=1e-5)

    # E (θᵀc)² = ‖c‖² / N over directions; of 200 of them with a standard error of some 10 %.
    sample, shift = torch.randn(400, 8), torch.tensor([1.0] + [0.0] * 7)
    distance = metrics.sliced_wasserstein(sample, sample + shift, generator)
    assert distance == pytest.approx(8**-0.5, rel=0.2)
    assert metrics.sliced_wasserstein(sample, sample[torch.randperm(400)], generator) == 0
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.sliced_wasserstein(sample, sample[:5], generator)


def test_sliced_wasserstein_grows_as_a_sample_degrades():
    sample, other = torch.randn(2000, 4), torch.randn(2000, 4)
    distances = [
        metrics.sliced_wasserstein(sample, worse, torch.Generator().manual_seed(0))
        for worse in (other, 1.3 * other, 2 * other, other.sign())
    ]
    assert distances[0] < distances[1] < distances[2]
    assert distances[0] < distances[3]


def unbiased(kernel_of_scikit_learn, x, y):
    """Gretton et al. 2012, eq. 3, pair by pair."""
    xx, yy, xy = (kernel_of_scikit_learn(a, b) for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    within = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
    return within - 2 * xy.mean()


def test_parzen_windows_against_scipy_and_in_closed_form():
    rng = torch.Generator().manual_seed(0)
    images, samples = torch.rand(7, 3, generator=rng), torch.rand(5, 3, generator=rng)
    found = metrics.parzen_log_likelihood(images, samples, 0.4)
    covariance = 0.4**2 * np.eye(3)
    densities = [
        np.mean(
            [scipy.stats.multivariate_normal.pdf(image, sample, covariance) for sample in samples]
        )
        for image in images.numpy()
    ]
    np.testing.assert_allclose(found, np.log(densities), rtol=1e-5)
    # Windows of variance 0.25 on samples of a Gaussian of variance 1 are one of variance 1.25.
    samples, images = torch.randn(200_000, 1, generator=rng), torch.linspace(-1.5, 1.5, 9)[:, None]
    found = metrics.parzen_log_likelihood(images, samples, 0.5)
    expected = scipy.stats.norm.logpdf(images[:, 0].numpy(), scale=1.25**0.5)
    np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.rbf(1.7), lambda x, y: rbf_kernel(x, y, gamma=1 / (2 * 1.7**2))),
        (metrics.cubic, lambda x, y: polynomial_kernel(x, y, degree=3, gamma=1 / 6, coef0=1)),
    ],
)
def test_mmd_against_scikit_learns_kernels(monkeypatch, ours, theirs):
    monkeypatch.setattr(metrics, "PART", 64)  # of which neither set is a multiple
    x, y = torch.randn(150, 6, dtype=torch.float64), 0.3 + torch.randn(170, 6, dtype=torch.float64)
    expected = unbiased(theirs, x.numpy(), y.numpy())
    assert metrics.squared_mmd(x, y, ours) == pytest.approx(expected, rel=1e-9)


def test_mmd_of_two_gaussians_in_closed_form():
    generator = torch.Generator().manual_seed(0)
    size, scale, shift = 3, 1.5, torch.tensor([0.8, 0.0, 0.0])
    x, y = (torch.randn(4000, size, generator=generator) for _ in range(2))
    kernel = metrics.rbf(scale)
    # E k(x, y) = (s² / (s² + 2))^(N/2) exp(-‖m‖² / (2 (s² + 2))) for x ~ N(0, I), y ~ N(m, I)
    factor = (scale**2 / (scale**2 + 2)) ** (size / 2)
    expected = 2 * factor * (1 - math.exp(-(0.8**2) / (2 * (scale**2 + 2))))
    assert metrics.squared_mmd(x, y + shift, kernel) == pytest.approx(expected, rel=0.1)
    assert abs(metrics.squared_mmd(x, y, kernel)) < 0.02 * expected


def exactly(mean, covariance, count=500):
    """A sample that has this mean and covariance to the last digit."""
    x = torch.randn(count, len(mean), dtype=torch.float64)
    x -= x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T
    return mean + x @ torch.linalg.cholesky(covariance).T


def test_frechet_distance_of_two_gaussians_in_closed_form():
    a, b = (torch.tensor(v, dtype=torch.float64) for v in ([1.0, 4.0, 9.0], [4.0, 1.0, 0.25]))
    shift = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    x, y = exactly(torch.zeros(3), a.diag()), exactly(shift, b.diag())
    expected = shift.square().sum() + (a.sqrt() - b.sqrt()).square().sum()
    assert metrics.frechet_distance(x, y) == pytest.approx(expected.item(), rel=1e-9)
    assert metrics.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_against_scipy():
    x = torch.randn(300, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64)
    y = torch.randn(200, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64) + 1
    first, second = np.cov(x.T.numpy()), np.cov(y.T.numpy())
    root = scipy.linalg.sqrtm(first @ second).real
    shift = (x.mean(0) - y.mean(0)).square().sum().item()
    expected = shift + np.trace(first + second - 2 * root)
    assert metrics.frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)


def test_frechet_and_kernel_distance_grow_as_a_sample_degrades():
    x, y, noise = (torch.randn(1000, 6) for _ in range(3))
    worse = [y, y + 0.5 * noise, y + noise, torch.zeros(1000, 6) + 0.01 * noise]
    frechet = [metrics.frechet_distance(x, each) for each in worse]
    kernel = [metrics.squared_mmd(x, each, metrics.cubic) for each in worse]
    for distances in (frechet, kernel):
        assert distances[0] < distances[1] < distances[2]
        assert distances[0] < distances[3]


# --- probes -------------------------------------------------------------------------------------


def test_a_straight_probe_reads_straight_borders_only():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 2000)
    directions = generator.normal(size=(2000, 2))
    rings = (1 + 2 * labels)[:, None] * directions / np.linalg.norm(directions, axis=1)[:, None]
    halves = directions * 0.1 + labels[:, None]
    train, test = slice(0, 1000), slice(1000, 2000)

    def read(probe, styles):
        return probe(styles[train], labels[train], styles[test], labels[test])

    assert read(metrics.logistic_accuracy, halves) > 0.99
    assert read(metrics.logistic_accuracy, rings) < 0.6  # a perceptron sees what it cannot:
    assert read(metrics.probe_accuracy, rings) > 0.99


# --- features -----------------------------------------------------------------------------------


def test_nearest_against_scipy(monkeypatch):
    monkeypatch.setattr(metrics, "PART", 30)
    points, others = (torch.randn(n, 3, dtype=torch.float64) for n in (100, 80))
    expected, _ = scipy.spatial.cKDTree(others).query(points, k=4)
    for k in (1, 4):
        ours = metrics.nearest(points, others, k)
        assert np.allclose(ours, expected[:, k - 1], atol=1e-6)


def test_precision_and_recall():
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    real = corners.repeat(200, 1) + torch.randn(400, 2, generator=generator)
    assert metrics.precision_recall(real, real) == (1, 1)
    assert metrics.precision_recall(real, real + 1000) == (0, 0)
    # A generator that knows one of two modes: all that it makes is real, half of what is real.
    precision, recall = metrics.precision_recall(real, real[::2])
    assert precision == 1
    assert recall == pytest.approx(0.5, abs=0.01)
    # One that makes anything: what is real is among it, but most of it is not real.
    scattered = torch.cat([real, 300 * torch.rand(1200, 2, generator=generator)])
    precision, recall = metrics.precision_recall(real, scattered)
    assert precision == pytest.approx(0.25, abs=0.02)
    assert recall == 1


def test_what_lies_in_a_manifold():
    line = torch.arange(5.0).unsqueeze(1)  # the balls at its ends have radius 2, the others 1
    manifold = metrics.Manifold(line, k=2)
    assert manifold.share(line) == 1
    assert manifold.share(torch.tensor([[-2.0], [6.0], [2.5], [-2.1], [6.1]])) == 0.6
    assert math.isnan(manifold.share(torch.empty(0, 1)))


def test_precision_and_recall_pair_by_pair():
    real, generated = np.random.default_rng(0).normal(size=(2, 60, 3))
    generated += 0.5

    def within(points, manifold, k=3):
        return np.mean(
            [
                any(
                    np.linalg.norm(point - centre)
                    <= sorted(np.linalg.norm(centre - other) for other in manifold)[k]
                    for centre in manifold
                )
                for point in points
            ]
        )

    ours = metrics.precision_recall(torch.from_numpy(real), torch.from_numpy(generated))
    assert ours == (within(generated, real), within(real, generated))
