"""What the code of a simple autoencoder may be: squashed, or small before a smooth decoder."""

import numpy as np
import pytest
import torch
from conftest import assert_refused, small
from sklearn.mixture import GaussianMixture
from torch import nn

from mnist.methods import Step
from mnist.networks.fitted import COMPONENTS, FittedMixture
from mnist.networks.prior import Density, Marginals, Uniform


def trained(tiny, steps=20, **options):
    method = small("sae", tiny.train, **options)
    for step in range(steps):
        method.step(tiny.train.batch(slice(step, step + 40)), Step(step, step / steps))
    return method


def test_a_squashed_code_lies_between_0_and_1_and_its_prior_there_too(tiny):
    method = trained(tiny, code="sigmoid", prior_std=2.0)
    images, labels, *_ = tiny.test.batch(slice(None))
    style = method.encode(images, labels)
    raw = method.encoder(images, labels) / 2
    torch.testing.assert_close(style, 1 / (1 + (-1.702 * raw).exp()))
    # So that a standard normal number becomes a uniform one.
    torch.testing.assert_close(style, torch.special.ndtr(raw), atol=0.01, rtol=0)
    drawn = method.prior.sample(10_000)
    assert 0 <= drawn.min() < 0.01
    assert 0.99 < drawn.max() <= 1


def test_a_uniform_prior_between_two_numbers():
    prior = Uniform.between(-1, 3, 2)
    assert isinstance(prior, Marginals)
    ticks = torch.tensor([-2.0, -1.0, 0.0, 3.0, 4.0])
    assert prior.cdf(ticks).tolist() == pytest.approx([0, 0, 0.25, 1, 1])
    assert prior.pdf(ticks[[0, 2, 4]]).tolist() == pytest.approx([0, 0.25, 0])
    assert prior.icdf(torch.tensor([0.0, 0.25, 1.0])).tolist() == pytest.approx([-1, 0, 3])
    assert prior.std == pytest.approx(4 / 12**0.5)


def test_inner_layers_of_a_smooth_decoder_have_spectral_norm_one(tiny):
    shape = {"code": "l2", "hidden": [8, 8, 8]}
    method = trained(tiny, steps=60, smoothness="spectral", **shape)
    layers = [layer for layer in method.decoder.modules() if isinstance(layer, nn.Linear)]
    norms = [torch.linalg.svdvals(layer.weight.detach())[0].item() for layer in layers]
    assert norms[1:-1] == pytest.approx([1, 1], abs=0.02)  # by one power iteration a step
    free = trained(tiny, steps=60, smoothness="none", **shape)
    every = [torch.linalg.matrix_norm(p, 2) for p in free.decoder.parameters() if p.ndim == 2]
    assert min(abs(norm - 1) for norm in [norms[0], norms[-1], *every]) > 0.03


def test_the_slope_of_a_decoder_is_that_of_its_jacobian(tiny):
    method = trained(tiny, code="l2", smoothness="gradient")
    images, labels, *_ = tiny.test.batch(slice(4))
    style = method.encode(images, labels).detach().requires_grad_()
    jacobians = [
        torch.autograd.functional.jacobian(
            lambda z, label=label: method.decoder(z, label).sigmoid(), point[None]
        )
        for point, label in zip(style, labels.split(1), strict=True)
    ]
    expected = torch.stack([jacobian.square().sum() for jacobian in jacobians]).mean() / 2
    found = [method.slope(style, labels, Step(0, 0.0)).item() for _ in range(400)]
    error = np.std(found) / len(found) ** 0.5
    assert np.mean(found) == pytest.approx(expected.item(), abs=4 * error)
    assert error < 0.05 * expected


def test_the_square_of_the_code_is_what_is_kept_small(tiny):
    images, labels, *_ = tiny.test.batch(slice(None))
    squares = [
        trained(tiny, steps=60, code="l2", code_weight=weight, lr=0.01)
        .encode(images, labels)
        .square()
        .mean()
        for weight in (0.0, 1.0)
    ]
    assert squares[1] < 0.1 * squares[0]


def cloud():
    """Styles of two clusters [4000, 2]."""
    noise = torch.randn(4000, 2)
    first = torch.arange(4000) % 4 == 0
    wide = noise * torch.tensor([2.0, 0.5]) + torch.tensor([3.0, 0.0])
    return torch.where(first[:, None], noise @ torch.tensor([[0.3, 0.2], [0.0, 0.1]]) - 4, wide)


def test_a_fitted_mixture_is_that_of_scikit_learn():
    styles = cloud()
    prior = FittedMixture(2)
    prior.fit(styles, 3)
    assert isinstance(prior, Density)
    theirs = GaussianMixture(COMPONENTS, random_state=3).fit(styles.double().numpy())
    found = prior.log_prob(styles[:50])
    expected = theirs.score_samples(styles[:50].double().numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    drawn = prior.sample(40_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), styles.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), styles.T.cov(), atol=0.2, rtol=0)
    assert prior.std == pytest.approx(styles.var(0).mean().sqrt().item(), rel=0.02)


def test_before_it_is_fitted_a_mixture_is_standard_normal():
    prior, points = FittedMixture(3), torch.randn(5, 3)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(points).sum(1)
    torch.testing.assert_close(prior.log_prob(points), expected)
    assert prior.std == pytest.approx(1)


def test_a_mixture_of_fewer_styles_than_components(tiny):
    prior = FittedMixture(3)
    prior.fit(torch.randn(4, 3), 0)
    assert prior.weights.count_nonzero() <= 4
    assert torch.isfinite(prior.sample(100)).all()


def test_a_run_draws_from_its_mixture_again(run_here, tmp_path):
    flags = ("--code", "l2", "--dataset", "mnist-5k", "--epochs", 1, "--ckpt-dir", "run")
    done = run_here("mnist-sae.py", *flags)
    assert done.returncode == 0, done.stderr
    import mnist

    run = mnist.load(tmp_path / "run")
    styles = run.styles(500).styles
    assert run.prior.weights.sum().item() == pytest.approx(1)
    assert run.prior.sample(5000).std(0).numpy() == pytest.approx(styles.std(0), rel=0.2)
    for tool, more in {
        "generate-all.py": ("--count", 3),
        "encoder-vis.py": (),
        "geodesic.py": ("--digit", 3),
    }.items():
        made = run_here(tool, "--ckpt-dir", "run", "--output", f"{tool}.png", *more)
        assert made.returncode == 0, made.stderr


def test_an_adversary_does_not_go_on_from_another_code(run_here):
    flags = ("--dataset", "mnist-5k", "--epochs", 1, "--ckpt-dir", "run")
    assert run_here("mnist-sae.py", "--code", "sigmoid", *flags).returncode == 0
    assert_refused(run_here("mnist-aae.py", *flags), "with --code sigmoid, from which mnist-aae.py")


def test_what_goes_with_another_code_only_is_refused(run_here):
    for flags, says in {
        ("--code-weight", 0.1): "--code-weight says something only with --code l2",
        (
            *("--code", "l2", "--smoothness", "spectral"),
            *("--smoothness-weight", 1),
        ): "only with --smoothness gradient",
        ("--code", "tanh"): "invalid choice",
    }.items():
        assert_refused(run_here("mnist-sae.py", "--dataset", "mnist-5k", *flags), says)
