"""Numbers about a run: known answers, and SciPy as a second opinion."""

import numpy as np
import pytest
import scipy.stats
import torch

from mnist import metrics
from mnist.prior import Gaussian


def test_ks_against_scipy():
    style = torch.randn(500, 3) * torch.tensor([1.0, 0.5, 2.0])
    expected = [scipy.stats.kstest(column, "norm").statistic for column in style.double().T]
    assert metrics.ks_distance(style, Gaussian(3).cdf).tolist() == pytest.approx(expected)


def test_ks_of_exact_quantiles_is_half_a_step():
    count = 200
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    style = torch.special.ndtri(middles).unsqueeze(1)
    ks = metrics.ks_distance(style, Gaussian(1).cdf)
    assert ks.item() == pytest.approx(0.5 / count)


def test_ks_of_a_collapsed_style():
    assert metrics.ks_distance(torch.zeros(50, 1), Gaussian(1).cdf).item() == pytest.approx(0.5)


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


def test_agreement_counts_what_the_judge_reads():
    def decode(styles, digits):
        return torch.nn.functional.one_hot(digits, 10).float()

    styles = torch.zeros(2500, 4)
    assert metrics.label_agreement(decode, lambda images: images, styles) == 1.0
    assert metrics.label_agreement(decode, lambda images: -images, styles) == 0.0
    assert metrics.label_agreement(decode, lambda images: images.roll(1, 1), styles) == 0.0
    blind = metrics.label_agreement(
        decode, lambda images: torch.eye(10)[[3]].expand(len(images), 10), styles
    )
    assert blind == pytest.approx(0.1)
