"""The variational autoencoder: its likelihoods against closed forms, and its script."""

import math

import pytest
import torch
from conftest import SMALL, assert_refused, small
from torch.distributions import Bernoulli, MultivariateNormal, Normal

import mnist
from mnist.commands.geodesic import decoder_of
from mnist.data.mnist import MNIST
from mnist.evaluation.metrics import importance_log_likelihood
from mnist.methods import METHODS, Step
from mnist.methods.vae import VARIANCE_LR
from mnist.networks import losses
from mnist.networks.variance import LEAST, MOST, RadialVariance

NORMAL = {"likelihood": "gaussian"}


def log_prior(styles):
    return Normal(0.0, 1.0).log_prob(styles).sum(-1)


def linear_gaussian():
    """x = A z + noise, z ~ N(0, I), of which all is known.

    The columns of A are orthogonal, so that the dimensions of the posterior are independent.

    Returns:
        Images [2000, 3], log p(x|z) as a function, the posterior, and log p(x) of the images.
    """
    matrix, noise = torch.tensor([[1.5, 0.0], [0.0, 0.7], [0.0, 0.0]]), 0.5
    images = torch.randn(2000, 3)
    precision = 1 + matrix.square().sum(0) / noise**2
    posterior = Normal(images @ matrix / precision / noise**2, precision.rsqrt().expand(2000, 2))
    exact = MultivariateNormal(torch.zeros(3), matrix @ matrix.T + noise**2 * torch.eye(3))

    def likely(images, styles):
        return Normal(styles @ matrix.T, noise).log_prob(images).sum(-1)

    return images, likely, posterior, exact.log_prob(images).double()


def test_the_bound_is_tight_where_the_posterior_is_the_true_one():
    """By a single sample: each weight p(x|z) p(z) / q(z|x) is p(x) then, whatever z."""
    images, likely, posterior, exact = linear_gaussian()
    found = importance_log_likelihood(images, posterior, log_prior, likely, 1, torch.Generator())
    torch.testing.assert_close(found, exact, atol=1e-4, rtol=0)


def test_more_samples_come_nearer_to_the_truth_from_below():
    images, likely, posterior, exact = linear_gaussian()
    off = Normal(posterior.mean + 0.3, 1.5 * posterior.stddev)
    gaps = []
    for samples in (1, 10, 100, 1000):
        generator = torch.Generator().manual_seed(samples)
        found = importance_log_likelihood(images, off, log_prior, likely, samples, generator)
        gaps.append((exact - found).mean().item())
    assert gaps[0] > gaps[1] > gaps[2] > abs(gaps[3])
    assert abs(gaps[3]) < 0.01


def test_the_bound_of_a_vae_is_distortion_and_rate(tiny):
    """-log p(x|z) + KL in closed form, whose mean over z is what one importance sample gives."""
    method = small("vae", tiny.train)
    batch = tiny.train.batch(slice(0, 10))
    encoded = method.encoder(batch.images, batch.labels)
    weights = []
    for seed in range(400):
        noise = torch.randn(10, 3, generator=torch.Generator().manual_seed(seed))
        style = encoded.mean + encoded.stddev * noise
        ratio = encoded.log_prob(style).sum(1) - log_prior(style)
        weights.append((ratio - method.log_likelihood(batch.images, style, batch.labels)).detach())
    sampled = torch.stack(weights).mean()
    numbers = [method.step(batch, Step(0, 1.0)) for _ in range(50)]  # at the end: no step at all
    bound = torch.stack([each["distortion"] + each["rate"] for each in numbers]).mean()
    assert bound == pytest.approx(sampled.item(), rel=2e-3)


def test_distortions_against_distributions():
    images, logits = torch.rand(4, 1, 3, 3).round(), torch.randn(4, 1, 3, 3)
    expected = -Bernoulli(logits=logits).log_prob(images).flatten(1).sum(1)
    torch.testing.assert_close(losses.bernoulli_distortion(logits, images), expected)
    variance = torch.rand(4, 1, 3, 3) + 0.1
    expected = -Normal(logits, variance.sqrt()).log_prob(images).flatten(1).sum(1)
    torch.testing.assert_close(losses.gaussian_distortion(logits, variance, images), expected)


def test_grey_pixels_are_the_mean_over_black_and_white_ones():
    logits, grey = torch.randn(1, 1, 5, 5), torch.rand(1, 1, 5, 5)
    drawn = torch.bernoulli(grey.expand(20_000, 1, 5, 5))
    each = losses.bernoulli_distortion(logits.expand_as(drawn), drawn)
    exact = losses.bernoulli_distortion(logits, grey)
    assert each.mean() == pytest.approx(exact.item(), abs=4 * (each.std() / 20_000**0.5).item())


# --- variance by radial basis functions ---------------------------------------------------------


def test_bumps_by_hand():
    """Two centres, whose bumps are as wide as the styles about them are far off."""
    variance = RadialVariance((1, 2, 1), 0, 2, 2)
    around = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    variance.place(torch.cat([around, 2 * around + 100]), 1.0, 0)
    order = variance.centres[:, 0].argsort()
    torch.testing.assert_close(
        variance.centres[order], torch.tensor([[0.0, 0], [100, 100]]), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(variance.steepness[order], torch.tensor([0.5, 0.125]))
    with torch.no_grad():
        variance.log_weights[:] = torch.tensor([30.0, 60.0]).log()
    style = torch.tensor([[0.0, 1.0]])
    precision = torch.tensor([30.0, 60.0]) * math.exp(-0.5) + MOST**-2
    torch.testing.assert_close(
        variance(style).flatten(), LEAST**2 + 1 / precision, rtol=1e-5, atol=0
    )
    far = variance(torch.tensor([[40.0, -40.0]])).detach()
    assert far.min() == pytest.approx(MOST**2, rel=1e-3)


def test_centres_are_placed_once_and_then_they_alone_learn(tiny):
    radial = NORMAL | {"decoder_variance": "rbf", "centres": 5, "centres_from": 0.5}
    method = small("vae", tiny.train, **radial)
    batch = tiny.train.batch(slice(0, 20))
    method.step(batch, Step(0, 0.4))
    assert not method.variance.placed
    before = {name: weights.clone() for name, weights in method.state_dict().items()}
    method.step(batch, Step(1, 0.5))
    centres = method.variance.centres.clone()
    assert method.variance.placed
    method.step(batch, Step(2, 0.6))
    assert torch.equal(method.variance.centres, centres)
    changed = {
        name
        for name, weights in method.state_dict().items()
        if not torch.equal(weights, before[name])
    }
    assert changed == {
        f"variance.{name}" for name in ("centres", "steepness", "placed", "log_weights")
    }


def test_the_variance_has_a_learning_rate_of_its_own_from_start_to_end(tiny):
    """Adam's first step is as long as its learning rate, however far the training is by then."""
    radial = NORMAL | {"decoder_variance": "rbf", "centres": 5, "centres_from": 0.5}
    batch = tiny.train.batch(slice(0, 20))
    for progress, scale in ((0.5, 1.0), (0.75, 0.5), (1.0, 0.0)):
        method = small("vae", tiny.train, **radial)
        method.variance.place(torch.randn(200, 3), 1.0, 0)
        before = method.variance.log_weights.detach().clone()
        method.step(batch, Step(0, progress))
        moved = (method.variance.log_weights.detach() - before).abs().max().item()
        assert moved == pytest.approx(scale * VARIANCE_LR, rel=1e-3)


def test_only_decoders_of_varying_variance_tell_it():
    for more, tells in (
        ({}, False),
        (NORMAL, False),
        (NORMAL | {"decoder_variance": "learned"}, True),
        (NORMAL | {"decoder_variance": "rbf"}, True),
    ):
        method = METHODS["vae"](MNIST, **SMALL | more)
        assert method.decodes_std == tells
        if more:
            std = method.decode_std(torch.zeros(4, 3), torch.arange(4))
            assert std.shape == (4, 1, 28, 28)
            assert (std > LEAST).all()


# --- the script, and tools on its runs ----------------------------------------------------------

FLAGS = ("--dataset", "mnist-5k", "--hidden", "16", "--batch-size", 200, "--quiet")
RBF = ("--likelihood", "gaussian", "--decoder-variance", "rbf", "--centres", 9)


def test_it_trains_goes_on_and_is_used(run_here, tmp_path):
    train = ("mnist-vae.py", *FLAGS, *RBF, "--feature-size", 2, "--ckpt-dir", "v.ckpt")
    for epochs in (2, 3):  # the centres are placed in the second of three
        done = run_here(*train, "--epochs", epochs)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rows = (tmp_path / "v.ckpt" / "metrics.csv").read_text().splitlines()
    assert {"test_distortion", "test_rate", "train_rate"} <= {*rows[0].split(",")}
    for tool, *flags in (
        ("generate-all.py", "--count", 2),
        ("encoder-vis.py", "--sample-size", 40),
        ("geodesic.py", "--digit", 3),
    ):
        done = run_here(tool, "--ckpt-dir", "v.ckpt", *flags)
        assert (done.returncode, done.stderr) == (0, ""), tool
    assert "length in pixels as they are drawn" in done.stdout
    plain = run_here("geodesic.py", "--ckpt-dir", "v.ckpt", "--digit", 3, "--space", "means")
    assert "length in pixels: " in plain.stdout

    # Lengths in two spaces are not compared.
    plain = ("--epochs", 1, "--feature-size", 2, "--ckpt-dir", "plain.ckpt")
    assert run_here("mnist-vae.py", *FLAGS, *plain).returncode == 0
    flags = ("--compare", "v.ckpt", "plain.ckpt", "--monte-carlo", 2)
    assert_refused(run_here("geodesic.py", *flags), "give --space means")
    assert run_here("geodesic.py", *flags, "--space", "means").returncode == 0

    # A step's length is that of means and deviations together.
    run = mnist.load(tmp_path / "v.ckpt")
    styles = torch.randn(5, 2)
    both = decoder_of(run, 3, expected=True)(styles).flatten(1)
    labels = torch.full((5,), 3)
    mean, std = run.decode(styles, labels), run.decoder_std(styles, labels)
    torch.testing.assert_close(both, torch.cat([mean.flatten(1), std.flatten(1)], 1))


@pytest.mark.slow
def test_its_likelihood_is_evaluated(run_here, tmp_path):
    train = ("mnist-vae.py", *FLAGS, "--epochs", 2, "--ckpt-dir", "v.ckpt")
    assert run_here(*train).returncode == 0
    train = ("mnist-classifier.py", *FLAGS[:2], "--layers", 2, "--epochs", 6, "--quiet")
    assert run_here(*train, "--ckpt-dir", "c.ckpt").returncode == 0
    flags = ("--judge", "c.ckpt", "--quick", "--importance-samples", 20)
    done = run_here("evaluate.py", "--ckpt-dir", "v.ckpt", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    line = next(line for line in done.stdout.splitlines() if "importance" in line)
    assert -500 < float(line.split()[-1]) < -80


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--decoder-variance", "rbf"), "only with --likelihood gaussian"),
        (("--likelihood", "gaussian", "--centres", 5), "only with --decoder-variance rbf"),
        (("--beta", -1), "'-1' is not a number of at least 0"),
        (("--likelihood", "laplace"), "invalid choice"),
    ],
)
def test_bad_input(run_here, tmp_path, flags, says):
    done = run_here("mnist-vae.py", *FLAGS, *flags, "--ckpt-dir", "a.ckpt")
    assert_refused(done, says)
    assert not (tmp_path / "a.ckpt").exists()


def test_a_run_without_a_posterior_has_no_likelihood(run_here):
    done = run_here("mnist-sae.py", *FLAGS, "--epochs", 1, "--ckpt-dir", "s.ckpt")
    assert done.returncode == 0
    done = run_here("evaluate.py", "--ckpt-dir", "s.ckpt", "--importance-samples", 5)
    assert_refused(done, "leave --importance-samples out")
