"""The direction in which a classifier's answer changes fastest."""

import pytest
import torch

from mnist.networks.virtual_adversarial import (
    divergence,
    to_nearest,
    virtual_adversarial_loss,
    worst_direction,
)


def test_the_direction_is_the_hessians_leading_eigenvector():
    """Of logits W x the Hessian of the divergence is Wᵀ (diag p - p pᵀ) W."""
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 6, generator=rng)
    images = torch.randn(5, 1, 2, 3, generator=rng)

    def classify(images):
        return images.flatten(1) @ weights.T

    logits = classify(images)
    found = worst_direction(classify, images, logits, rng, rounds=200, distance=0.1).flatten(1)
    for p, direction in zip(logits.softmax(1), found, strict=True):
        hessian = weights.T @ (p.diag() - p.outer(p)) @ weights
        leading = torch.linalg.eigh(hessian).eigenvectors[:, -1]
        # Seen from a finite distance the divergence is not quite its second order.
        assert (leading @ direction).abs() > 0.99


def test_the_loss_is_the_divergence_that_far_off():
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 4, generator=rng, requires_grad=True)
    images = torch.randn(2, 1, 2, 2, generator=rng)

    def classify(images):
        return images.flatten(1) @ weights.T

    logits = classify(images)
    radius = torch.tensor([2.0, 3.0])
    rng = torch.Generator().manual_seed(1)
    loss = virtual_adversarial_loss(classify, images, logits, radius, rng)
    off = worst_direction(classify, images, logits, torch.Generator().manual_seed(1))
    assert off.flatten(1).norm(dim=1).tolist() == pytest.approx([1, 1])
    there = classify(images + radius.view(2, 1, 1, 1) * off).softmax(1)
    p = logits.softmax(1)
    expected = (p * (p / there).log()).sum(1).mean()
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, weights)
    assert gradient.abs().sum() > 0


def test_no_change_is_no_divergence():
    logits = torch.randn(4, 3)
    assert divergence(logits, logits).item() == pytest.approx(0, abs=1e-6)


def test_the_nearest_of_the_others():
    images = torch.tensor([0.0, 1.0, 3.0, 3.0, 10.0]).view(5, 1, 1, 1)
    assert to_nearest(images).tolist() == [1, 1, 0, 0, 7]
