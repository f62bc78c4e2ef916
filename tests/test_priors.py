"""Priors besides the Gaussian: densities, samples, and the part of each class."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mnist.errors import UserError
from mnist.networks.planar import Mixture, Ring, SwissRoll, Triangle
from mnist.networks.prior import (
    BESIDE,
    PLANAR,
    AboutHeads,
    BesideClasses,
    Density,
    InParts,
    Marginals,
    Uniform,
    prior_of,
    same_in_all_parts,
)

PARTS = 10
NAMES = ["gaussian", "uniform", *PLANAR]


def density(prior, styles):
    if isinstance(prior, Density):
        return prior.log_prob(styles).exp()
    if isinstance(prior, Marginals):
        return prior.pdf(styles).prod(-1)
    return prior.density(styles)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture(params=NAMES)
def prior(request):
    return prior_of(request.param, 2, 1.5, PARTS)


def test_densities_integrate_to_one(prior):
    side = torch.linspace(-9, 9, 1801, dtype=torch.float64)
    points = torch.cartesian_prod(side, side)
    total = density(prior, points).sum() * (side[1] - side[0]) ** 2
    assert total.item() == pytest.approx(1, abs=3e-3)  # of sharp edges, as fine as the grid is


def test_samples_have_the_mean_and_scale_that_styles_have(prior):
    styles = prior.sample(100_000, torch.Generator().manual_seed(0))
    assert styles.dtype == torch.float32
    torch.testing.assert_close(styles.mean(0), torch.zeros(2), atol=0.025, rtol=0)
    torch.testing.assert_close(styles.std(0), torch.full((2,), 1.5), atol=0.02, rtol=0)
    assert (density(prior, styles) > 0).float().mean() > 0.9999  # but for rounding at an edge


def rejected(rng, count, box, inside):
    """Points drawn uniformly from a box, those that are inside."""
    points = rng.uniform(*box, (20 * count, 2))
    return points[inside(points)][:count]


def petals(rng, count):
    angle = 2 * np.pi * rng.integers(PARTS, size=count) / PARTS
    away = np.stack([rng.normal(1.4, 0.4, count), rng.normal(0, 0.1, count)], 1)
    turned = away[:, :1] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return turned + away[:, 1:] * np.stack([-np.sin(angle), np.cos(angle)], 1)


def ring(rng, count):
    direction = rng.normal(size=(count, 2))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * rng.normal(1, 0.1, (count, 1))


def roll(rng, count):
    def inside(points):
        there = np.zeros(len(points), bool)
        radius = np.hypot(*points.T)
        for winding in range(4):
            turn = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi) + winding
            there |= (turn >= 0.75) & (turn <= 2.25) & (np.abs(radius - turn) <= 1 / 6)
        return there

    return rejected(rng, count, (-3, 3), inside)


def triangle(rng, count):
    corners = np.array([[-0.5, 0], [0.5, 0], [0, np.sqrt(0.75)]])
    return rng.dirichlet((1, 1, 1), count) @ corners


@pytest.mark.parametrize(
    ("kind", "sampler"), [(Mixture, petals), (Ring, ring), (SwissRoll, roll), (Triangle, triangle)]
)
def test_samples_against_an_independent_sampler(kind, sampler, rng):
    """Two-sample tests along eight directions, of which one in 10,000 would fail by chance."""
    prior, count = kind(PARTS, 2.0), 5000
    ours = prior.raw(prior.sample(count, rng)).numpy()
    theirs = sampler(np.random.default_rng(0), count)
    for turn in range(8):
        direction = np.array([math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8)])
        assert ks_2samp(ours @ direction, theirs @ direction).pvalue > 1e-4, turn


def test_uniform_numbers_in_any_number_of_dimensions(rng):
    prior = Uniform(3, 2.0)
    styles = prior.sample(10_000, rng)
    assert styles.abs().max() <= 2 * math.sqrt(3)
    torch.testing.assert_close(prior.icdf(prior.cdf(styles)), styles, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", PLANAR)
def test_each_class_has_a_part(name, rng):
    prior = prior_of(name, 2, 1.0, 4)
    parts = torch.arange(4).repeat(500)
    styles = prior.sample(2000, rng, parts)
    found = (prior.nearest_part(styles) == parts).double().mean()
    # Neighbours touch, and petals overlap a little.
    assert found > (0.9 if name == "triangle" else 0.97)
    assert len(prior.nearest_part(prior.sample(1000, rng)).bincount()) == 4


@pytest.mark.parametrize("name", PLANAR)
def test_parts_may_be_of_different_sizes(name, rng):
    shares = [0.6, 0.1, 0.3]
    prior = prior_of(name, 2, 1.5, 3, shares=shares)
    everywhere = prior.sample(30_000, rng)
    torch.testing.assert_close(everywhere.mean(0), torch.zeros(2), atol=0.03, rtol=0)
    torch.testing.assert_close(everywhere.std(0), torch.full((2,), 1.5), atol=0.03, rtol=0)
    found = prior.nearest_part(everywhere).bincount(minlength=3) / 30_000
    torch.testing.assert_close(found, torch.tensor(shares), atol=0.02, rtol=0)
    parts = torch.arange(-1, 3).repeat(5000)
    styles = prior.sample(20_000, rng, parts)
    for part in range(3):
        found = prior.nearest_part(styles[parts == part]) == part
        assert found.double().mean() > (0.9 if name == "triangle" else 0.97)
    anywhere = styles[parts == -1]
    for dimension in range(2):
        one, other = (each[:, dimension].numpy() for each in (anywhere, everywhere))
        assert ks_2samp(one, other, method="asymp").pvalue > 1e-4
    side = torch.linspace(-9, 9, 1801, dtype=torch.float64)
    points = torch.cartesian_prod(side, side)
    total = density(prior, points).sum() * (side[1] - side[0]) ** 2
    assert total.item() == pytest.approx(1, abs=3e-3)
    # What the density says of a half of the plane is what samples of it say.
    inside = (points[:, 0] > 0.5).double()
    expected = (density(prior, points) * inside).sum() / density(prior, points).sum()
    assert (everywhere[:, 0] > 0.5).double().mean().item() == pytest.approx(
        expected.item(), abs=0.01
    )


def test_a_grid_runs_along_all_parts():
    prior = Mixture(3)
    grid = prior.grid(5, 4)
    assert grid.shape == (5, 12, 2)
    assert prior.nearest_part(grid[2]).tolist() == [0] * 4 + [1] * 4 + [2] * 4


HEADS = torch.tensor([[-6.0, 0, 6], [0, 9, 0]])


@pytest.mark.parametrize(
    "prior",
    [
        Mixture(3),
        Triangle(3, 2.0, True),
        AboutHeads(HEADS, 0.5, parts_are_classes=True),
        BesideClasses(2, 3, 2.0),
    ],
)
def test_parts(prior, rng):
    assert isinstance(prior, InParts)
    assert prior.parts == 3
    styles = same_in_all_parts(prior, 2000, seed=0)
    assert styles.shape == (3, 2000, prior.feature_size)
    assert torch.equal(styles, same_in_all_parts(prior, 2000, seed=0))
    # All parts together are the prior, each with a third of it.
    whole = prior.sample(6000, rng)
    for dimension in range(prior.feature_size):
        of_parts = styles[..., dimension].flatten()
        found = ks_2samp(of_parts.numpy(), whole[:, dimension].numpy(), method="asymp")
        assert found.pvalue > 1e-4


def test_clouds_about_heads():
    prior = AboutHeads(HEADS, 0.5, parts_are_classes=True)
    styles = same_in_all_parts(prior, 4000, seed=1)
    torch.testing.assert_close(styles.mean(1), HEADS.T, atol=0.05, rtol=0)
    torch.testing.assert_close(styles.std(1), torch.full((3, 2), 0.5), atol=0.03, rtol=0)
    # The mean of both dimensions' variances: of the heads 24 and 18, and 0.25 of a cloud.
    assert prior.std == pytest.approx(21.25**0.5)


def test_one_style_beside_each_cluster():
    styles = same_in_all_parts(BesideClasses(2, 3, 2.0), 5, seed=0)
    assert torch.equal(styles[0, :, :2], styles[2, :, :2])
    assert styles[:, 4, 2:].tolist() == torch.eye(3).tolist()


def test_the_plane_has_two_dimensions():
    with pytest.raises(UserError, match="give --feature-size 2"):
        prior_of("swiss-roll", 4, 1.0, 10)


def test_a_style_beside_clusters_has_the_density_of_smeared_codes():
    prior = BesideClasses(2, 3, 1.5)
    assert isinstance(prior, Density)
    corners = torch.cat([torch.zeros(3, 2), torch.eye(3)], 1)
    spread = torch.tensor([1.5, 1.5, BESIDE, BESIDE, BESIDE])
    parts = Independent(Normal(corners, spread.expand(3, 5)), 1)
    expected = MixtureSameFamily(Categorical(torch.ones(3)), parts)
    styles = torch.cat([prior.sample(5), torch.randn(5, 5)])
    torch.testing.assert_close(prior.log_prob(styles), expected.log_prob(styles))
