"""Whitened principal components, against other people's and by their own properties."""

import numpy as np
import torch
from conftest import bundled
from sklearn.decomposition import PCA

from mnist.commands.explore_page import on_pixels
from mnist.networks.encoder import Encoder
from mnist.networks.whitening import RIDGE, Whitening


def images(count):
    return bundled().train.batch(slice(0, count)).images


def test_components_are_those_of_scikit_learn():
    some = images(500)
    whitening = Whitening(some.shape[1:], 6)
    assert not whitening.fitted
    whitening.fit(some)
    assert whitening.fitted
    pca = PCA(6, svd_solver="full").fit(some.flatten(1).numpy().astype(np.float64))
    variances = pca.explained_variance_ * 499 / 500
    expected = pca.transform(some.flatten(1).numpy()) / np.sqrt(variances + RIDGE * variances[0])
    found = whitening(some).numpy()
    signs = np.sign((found * expected).sum(0))  # which way an axis goes is not determined
    np.testing.assert_allclose(found * signs, expected, atol=1e-5)


def test_whitened_numbers_are_uncorrelated_and_of_mean_zero():
    some = images(800)
    whitening = Whitening(some.shape[1:], 30)
    whitening.fit(some)
    found = whitening(some)
    assert found.mean(0).abs().max() < 1e-4
    variances = found.var(0, correction=0)
    torch.testing.assert_close(found.T.cov(correction=0), variances.diag(), atol=1e-3, rtol=0)
    assert (variances.diff() <= 1e-4).all()
    assert 0.4 < variances.min() < variances.max() < 1


def test_no_more_components_than_pixels():
    assert Encoder((1, 3, 2), 0, 2, 1.0, [4], components=64).layers[0].in_features == 6


def test_an_encoder_of_components_is_one_of_pixels():
    """As the page has it, where images are not whitened first."""
    some = images(300)
    encoder = Encoder(some.shape[1:], 10, 2, 1.0, [16, 8], components=12).eval()
    encoder.whitening.fit(some)
    labels = bundled().train.labels[:300]
    plain = Encoder(some.shape[1:], 10, 2, 1.0, [16, 8]).eval()
    plain.layers = on_pixels(encoder)
    torch.testing.assert_close(plain(some, labels), encoder(some, labels), atol=1e-4, rtol=1e-4)
