"""Curves, the metric and shortest ways: closed forms, finite differences and SciPy."""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
import torch

from mnist.latent import geodesics, manifold
from mnist.latent.curves import Spline, even
from mnist.latent.geodesics import FINE, PART, connect

F64 = torch.float64


def network(inputs=3, outputs=7):
    layers = torch.nn.Sequential(
        torch.nn.Linear(inputs, 16), torch.nn.Tanh(), torch.nn.Linear(16, outputs)
    ).double()
    return layers.requires_grad_(False)


# --- curves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
@pytest.mark.parametrize("inner", [(), (0.5,), (0.1, 0.35, 0.9)])
def test_splines_against_scipy(degree, inner):
    spline = Spline(degree, inner)
    control = torch.randn(spline.size, 4, dtype=F64)
    theirs = scipy.interpolate.BSpline(spline.knots.numpy(), control.numpy(), degree)
    times = torch.cat([torch.linspace(0, 1, 41, dtype=F64), torch.tensor(inner, dtype=F64)])
    assert np.allclose(spline.at(control, times), theirs(times.numpy()), atol=1e-12)
    inside = times[(times > 0) & (times < 1)]
    inside = inside[~torch.isin(inside, torch.tensor(inner, dtype=F64))]
    derivative = theirs.derivative()(inside.numpy())
    assert np.allclose(spline.velocity(control, inside), derivative, atol=1e-9)


def test_a_spline_without_inner_knots_is_a_bezier_curve():
    control = torch.randn(4, 2, dtype=F64)
    t = torch.linspace(0, 1, 11, dtype=F64)[:, None]
    bernstein = torch.cat([math.comb(3, k) * t**k * (1 - t) ** (3 - k) for k in range(4)], 1)
    torch.testing.assert_close(even(3, 1).at(control, t[:, 0]), bernstein @ control)


@pytest.mark.parametrize("degree", [1, 3])
def test_refining_leaves_the_curve_as_it_was(degree):
    spline = even(degree, 3)
    control = torch.randn(5, spline.size, 2, dtype=F64)
    finer, change = spline.refined()
    assert len(finer.inner) == 2 * 2 + 1
    times = torch.linspace(0, 1, 101)
    difference = finer.at(change @ control, times) - spline.at(control, times)
    assert difference.abs().max() < 1e-12


@pytest.mark.parametrize("spline", [even(1, 4), even(3, 1), Spline(3, (0.2, 0.7))])
def test_a_straight_line_is_run_through_evenly(spline):
    start, end = torch.randn(2, 3, 4, dtype=F64)
    times = torch.linspace(0, 1, 9, dtype=F64)
    points = spline.at(spline.straight(start, end), times)
    expected = start[:, None] + times[:, None] * (end - start)[:, None]
    torch.testing.assert_close(points, expected)


def test_what_is_no_spline_or_no_time():
    for degree, inner in ((0, ()), (3, (0.5, 0.5)), (3, (1.0,)), (3, (0.7, 0.2))):
        with pytest.raises(ValueError, match="no spline"):
            Spline(degree, inner)
    with pytest.raises(ValueError, match="times from 0 to 1"):
        even(3, 2).matrix(torch.tensor([1.1]))
    for knot in (0.5, 0.0, 1.2):
        with pytest.raises(ValueError, match="no spline"):
            even(3, 2).with_knot(knot)


# --- the metric ---------------------------------------------------------------------------------


def test_metric_and_speed_against_finite_differences():
    decode, z = network(), torch.randn(5, 3, dtype=F64)
    step = 1e-6
    columns = [
        (decode(z + step * unit) - decode(z - step * unit)) / (2 * step)
        for unit in torch.eye(3, dtype=F64)
    ]
    expected = torch.stack(columns, 2)
    torch.testing.assert_close(manifold.jacobian(decode, z), expected, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(
        manifold.metric(decode, z), expected.mT @ expected, rtol=1e-6, atol=1e-8
    )
    dz = torch.randn(5, 3, dtype=F64)
    fast = (expected @ dz[..., None])[..., 0].norm(dim=1)
    torch.testing.assert_close(manifold.speed(decode, z, dz), fast, rtol=1e-6, atol=1e-8)


def test_directions_are_those_of_extreme_speed():
    decode, z = network(), torch.randn(5, 3, dtype=F64)
    values, vectors = manifold.directions(decode, z)
    for which in (0, 2):
        speed = manifold.speed(decode, z, vectors[:, :, which])
        torch.testing.assert_close(speed**2, values[:, which])
    any_direction = torch.nn.functional.normalize(torch.randn(5, 3, dtype=F64), dim=1)
    speed = manifold.speed(decode, z, any_direction) ** 2
    assert ((values[:, 0] <= speed) & (speed <= values[:, 2])).all()


def test_length_and_energy_of_a_circle():
    angle = torch.linspace(0, math.pi, 2001, dtype=F64)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    assert manifold.length(circle).item() == pytest.approx(math.pi, rel=1e-6)
    assert manifold.energy(circle).item() == pytest.approx(math.pi**2, rel=1e-6)
    uneven = torch.stack([(angle**2 / math.pi).cos(), (angle**2 / math.pi).sin()], 1)
    assert manifold.length(uneven).item() == pytest.approx(math.pi, rel=1e-6)
    assert manifold.energy(uneven).item() == pytest.approx(math.pi**2 * 4 / 3, rel=1e-5)


def test_a_single_point_has_no_length():
    assert manifold.length(torch.ones(4, 1, 3)).tolist() == [0, 0, 0, 0]
    assert manifold.energy(torch.ones(4, 1, 3)).tolist() == [0, 0, 0, 0]


def test_the_metric_of_a_stochastic_decoder_is_the_expected_one():
    mean, std, z = network(), network(outputs=4), torch.randn(5, 3, dtype=F64)
    both = manifold.metric(manifold.stochastic(mean, std), z)
    torch.testing.assert_close(both, manifold.metric(mean, z) + manifold.metric(std, z))


# --- shortest ways ------------------------------------------------------------------------------


def sphere(z):
    """Longitude and latitude to a point of the unit sphere."""
    longitude, latitude = z.unbind(1)
    around = latitude.cos()
    return torch.stack([around * longitude.cos(), around * longitude.sin(), latitude.sin()], 1)


@pytest.mark.parametrize("solver", ["gauss-newton", "adam"])
def test_the_shortest_way_of_a_linear_decoder_is_straight(solver):
    matrix = torch.randn(3, 6, dtype=F64)
    starts, ends = torch.randn(2, 4, 3, dtype=F64)
    found = connect(lambda z: z @ matrix, starts, ends, solver=solver)
    straight = ((ends - starts) @ matrix).norm(dim=1)
    torch.testing.assert_close(found.straight_lengths, straight)
    torch.testing.assert_close(found.lengths, straight, rtol=1e-6, atol=0)
    times = torch.linspace(0, 1, found.points.shape[1], dtype=F64)[:, None]
    line = starts[:, None] + times * (ends - starts)[:, None]
    torch.testing.assert_close(found.points, line, rtol=0, atol=1e-6)
    assert found.converged.all()


def test_the_shortest_ways_on_a_sphere_are_great_circles():
    starts = torch.tensor([[0.0, 0.6], [0.3, -0.2], [-1.0, 0.9]], dtype=F64)
    ends = torch.tensor([[1.8, 0.6], [1.5, 1.0], [1.0, 0.8]], dtype=F64)
    found = connect(sphere, starts, ends, tolerance=1e-9, most_pieces=32)
    angle = (sphere(starts) * sphere(ends)).sum(1).arccos()
    fine = manifold.length(sphere(found.points.flatten(0, 1)).unflatten(0, (3, -1)))
    torch.testing.assert_close(found.lengths, fine)
    chords = 2 * FINE * (angle / 2 / FINE).sin()
    torch.testing.assert_close(found.lengths, chords, rtol=1e-8, atol=0)
    # All in the plane of the great circle, evenly.
    images = sphere(found.points.flatten(0, 1)).unflatten(0, (3, -1))
    normal = torch.linalg.cross(sphere(starts), sphere(ends))
    normal = torch.nn.functional.normalize(normal, dim=1)
    assert (images @ normal[..., None]).abs().max() < 2e-3
    steps = images.diff(dim=1).norm(dim=2)
    assert (steps.amax(1) / steps.amin(1)).max() < 1.02


def test_the_error_falls_with_the_sixth_power_of_the_pieces_length():
    """A Ritz method: the energy's error is the square of the slope's, O(h³) for cubic splines."""
    starts = torch.tensor([[0.0, 0.3]], dtype=F64)
    ends = torch.tensor([[1.5, 1.0]], dtype=F64)
    angle = (sphere(starts) * sphere(ends)).sum(1).arccos().item()
    chords = 2 * FINE * math.sin(angle / 2 / FINE)  # of the great circle, measured as curves are
    errors = []
    for pieces in (4, 8, 16):
        found = connect(sphere, starts, ends, tolerance=0, most_pieces=pieces)
        errors.append(found.lengths.item() / chords - 1)
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert orders == pytest.approx([6, 6], abs=0.6), errors  # measured 6.4, 6.4


def test_a_surface_of_revolution_against_scipys_boundary_value_problem():
    """r(u) = 2 + cos u about an axis: u'' = r r' v'² / (1 + ...), v'' = -2 r'/r u' v'."""

    def torus(z):
        u, v = z.unbind(1)
        r = 2 + u.cos()
        return torch.stack([r * v.cos(), r * v.sin(), u.sin()], 1)

    start, end = np.array([0.3, 0.0]), np.array([1.2, 1.0])

    def derivatives(_, y):
        u, _, du, dv = y
        r, dr = 2 + np.cos(u), -np.sin(u)
        return np.stack([du, dv, r * dr * dv**2, -2 * dr / r * du * dv])

    def ends(a, b):
        return np.array([a[0] - start[0], a[1] - start[1], b[0] - end[0], b[1] - end[1]])

    times = np.linspace(0, 1, 50)
    guess = np.vstack([np.outer(end - start, times) + start[:, None], np.ones((2, 50))])
    theirs = scipy.integrate.solve_bvp(derivatives, ends, times, guess, tol=1e-8)
    assert theirs.success
    found = connect(torus, *torch.tensor(np.stack([start, end]))[:, None], tolerance=1e-9)
    steps = np.linspace(0, 1, found.points.shape[1])
    assert np.abs(found.points[0].numpy() - theirs.sol(steps)[:2].T).max() < 2e-3


def test_a_way_is_never_longer_than_the_straight_one():
    decode = network(inputs=4, outputs=20)
    starts, ends = 3 * torch.randn(2, 30, 4, dtype=F64)
    for solver in ("gauss-newton", "adam"):
        found = connect(decode, starts, ends, solver=solver, most_pieces=4)
        assert (found.lengths <= found.straight_lengths).all()
        assert (found.lengths < 0.999 * found.straight_lengths).any()


@pytest.mark.parametrize("solver", ["gauss-newton", "adam"])
def test_the_same_point_twice_is_no_way_at_all(solver):
    points = torch.randn(3, 3)
    found = connect(network().float(), points, points.clone(), solver=solver)
    assert found.lengths.tolist() == [0, 0, 0]
    assert found.shortening.isnan().all()
    assert found.iterations.tolist() == [0, 0, 0]
    assert found.converged.all()
    torch.testing.assert_close(found.points, points[:, None].expand_as(found.points))


def test_many_curves_are_what_each_is_alone():
    decode, told = network(), []
    starts, ends = torch.randn(2, PART + 3, 3, dtype=F64)
    found = connect(decode, starts, ends, most_pieces=4, tell=told.append)
    assert told == [PART, 3]
    for each in (0, PART - 1, PART, PART + 2):
        alone = connect(decode, starts[each, None], ends[each, None], most_pieces=4)
        torch.testing.assert_close(found.lengths[each, None], alone.lengths)
        torch.testing.assert_close(found.points[each, None], alone.points, rtol=0, atol=1e-6)


def test_curves_that_a_solver_makes_worse_stay_straight(monkeypatch):
    def worse(decode, weights, control):
        bent = control.clone()
        bent[:, 1:-1] += 1
        return bent, torch.ones(len(control)).long(), torch.zeros(len(control)).bool()

    monkeypatch.setitem(geodesics.SOLVERS, "adam", worse)
    starts, ends = torch.randn(2, 4, 3, dtype=F64)
    found = connect(network(), starts, ends, solver="adam")
    assert torch.equal(found.lengths, found.straight_lengths)
    assert not found.converged.any()
    share = torch.linspace(0, 1, FINE + 1, dtype=F64)[:, None]
    torch.testing.assert_close(found.points, starts[:, None] + share * (ends - starts)[:, None])


def test_a_decoder_that_is_nan_beside_the_straight_way():
    """On a sphere, above a latitude that one of the great circles crosses."""

    def decode(z):
        return sphere(z).where(z[:, 1:] < 0.7, torch.nan)

    starts = torch.tensor([[0.0, 0.6], [0.0, 0.3]], dtype=F64)
    ends = torch.tensor([[1.8, 0.6], [0.5, 0.3]], dtype=F64)
    found = connect(decode, starts, ends)
    assert found.points[0, :, 1].max() <= 0.7
    assert found.lengths[0] <= found.straight_lengths[0]
    assert torch.isfinite(found.history).all()
    chords = manifold.length(sphere(found.points.flatten(0, 1)).unflatten(0, (2, -1)))
    torch.testing.assert_close(found.lengths, chords)
    assert found.lengths[1] < found.straight_lengths[1]  # which stays below
    assert found.converged[1]


def test_the_curvature_is_that_of_the_residuals():
    decode, spline = network(), even(3, 2)
    weights, control = geodesics.nodes(spline), torch.randn(1, spline.size, 3, dtype=F64)
    steps = len(weights) - 1

    def residuals(inner):
        whole = torch.cat([control[0, :1], inner.view(-1, 3), control[0, -1:]])
        return decode(weights @ whole).diff(dim=0).flatten() * steps**0.5

    inner = control[0, 1:-1].flatten()
    at = torch.func.jacrev(residuals)(inner)
    found = geodesics.gauss_newton_curvature(decode, weights, control)
    torch.testing.assert_close(found[0], 2 * at.T @ at)
    energies, slope = geodesics.energy_and_slope(decode, weights, control)
    torch.testing.assert_close(energies[0], residuals(inner).square().sum())
    torch.testing.assert_close(slope[0].flatten(), 2 * at.T @ residuals(inner))


def test_what_has_no_shortest_way():
    points = torch.randn(2, 3)
    for starts, ends, decode in (
        (points, points[:1], network()),
        (points[0], points[1], network()),
        (points.double(), torch.full((2, 3), torch.nan, dtype=F64), network()),
        (points, -points, lambda z: z / 0),
        (points, -points, lambda z: torch.where(z.norm(dim=1, keepdim=True) < 0.1, torch.nan, z)),
    ):
        with pytest.raises(ValueError, match=r"no curves from|NaN or infinite"):
            connect(decode, starts, ends)
    with pytest.raises(ValueError, match="no curves from"):
        connect(network(), points, points, solver="guess")
