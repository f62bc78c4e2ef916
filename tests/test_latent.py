"""Maps of a style space: quantile grids, traversals, blends."""

import numpy as np
import pytest
import torch
from scipy import stats

from mnist.latent import maps
from mnist.networks.prior import Gaussian


def test_a_quantile_grid_cuts_the_prior_into_equal_shares():
    grid = maps.quantile_grid(Gaussian(2, std=2.0).icdf, 4)
    assert grid.shape == (4, 4, 2)
    expected = 2 * stats.norm.ppf([0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(grid[0, :, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(grid[:, 0, 1], expected[::-1], rtol=1e-5)
    assert (grid[:, 1, 0] == grid[0, 1, 0]).all()


def test_a_traversal_changes_one_number_at_a_time():
    style = torch.tensor([0.5, -1.0, 2.0])
    lines = maps.traversals(style, 3.0, 7)
    assert lines.shape == (3, 7, 3)
    for dimension in range(3):
        others = [i for i in range(3) if i != dimension]
        assert torch.equal(lines[dimension, :, dimension], torch.linspace(-3, 3, 7))
        assert (lines[dimension][:, others] == style[others]).all()


def test_a_blend_goes_straight_from_one_to_the_other():
    start, end = torch.tensor([0.0, 1.0]), torch.tensor([2.0, -1.0])
    line = maps.blend(start, end, 5)
    assert torch.equal(line[0], start)
    assert torch.equal(line[-1], end)
    torch.testing.assert_close(line.diff(dim=0), ((end - start) / 4).expand(4, 2))


@pytest.mark.parametrize("std", [0.5, 1.0, 3.0])
def test_the_priors_functions_are_scipys(std):
    prior, x = Gaussian(3, std), np.linspace(-6, 6, 41)
    numbers = torch.from_numpy(x)
    np.testing.assert_allclose(prior.pdf(numbers), stats.norm.pdf(x, scale=std), rtol=1e-12)
    share = torch.linspace(0.001, 0.999, 41, dtype=torch.float64)
    np.testing.assert_allclose(prior.icdf(share), stats.norm.ppf(share, scale=std), rtol=1e-9)


def test_directions_of_a_way():
    generator = torch.Generator().manual_seed(0)
    path = torch.randn(30, 5, generator=generator) * torch.tensor([0.1, 3.0, 0.1, 1.0, 0.1])
    basis, _ = maps.plane(path, None)
    assert torch.allclose(basis.T @ basis, torch.eye(2), atol=1e-5)
    assert basis[1, 0].abs() > 0.99
    assert basis[3, 1].abs() > 0.98
    still, names = maps.plane(torch.ones(30, 5), None)
    assert torch.equal(still, torch.eye(5)[:, :2])
    assert names == ("dimension 0", "dimension 1")
    alone, names = maps.plane(torch.ones(30, 1), None)
    assert torch.equal(alone, torch.eye(1))
    assert names == ("dimension 0",)
    assert maps.plane(path, [4, 2])[1] == ("dimension 4", "dimension 2")
