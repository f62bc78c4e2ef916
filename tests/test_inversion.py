"""Styles found by descent, against those that images were made of."""

import pytest
import torch
from conftest import SMALL_MODELS, assert_refused, save_run
from torch.distributions import Normal

import mnist
from mnist.latent.inversion import invert
from mnist.training.run import PIXEL_STD


def test_of_a_linear_decoder_least_squares_is_found():
    matrix = torch.randn(9, 3)
    images = torch.randn(20, 1, 3, 3)
    found = invert(
        images,
        lambda styles, _: (styles @ matrix.T).unflatten(1, (1, 3, 3)),
        torch.randn(4, 20, 3),
        steps=600,
    )
    expected = torch.linalg.lstsq(matrix, images.flatten(1).T).solution.T
    torch.testing.assert_close(found.styles, expected, atol=1e-3, rtol=0)
    residual = (images.flatten(1) - expected @ matrix.T).square().mean(1)
    torch.testing.assert_close(found.errors, residual, atol=1e-5, rtol=0)


def test_restarts_find_what_one_start_misses():
    """Of cos z, whose slope leads away from the solution on the wrong side of a hill."""

    def decode(styles, _):
        return (torch.cos(3 * styles) + 0.1 * styles).view(-1, 1, 1, 1)

    truth = torch.linspace(-3, 3, 40)[:, None]
    images = decode(truth, None)
    errors = {}
    for restarts in (1, 16):
        starts = 3 * torch.randn(restarts, 40, 1, generator=torch.Generator().manual_seed(0))
        errors[restarts] = invert(images, decode, starts).errors.mean()
    assert errors[16] < 1e-4 < 1e-2 < errors[1]


def test_each_image_is_decoded_as_its_own():
    """By a decoder that is told which image a style is for, as a class is."""
    shifts = torch.arange(5.0)

    def decode(styles, which):
        return (styles + shifts[which].unsqueeze(1)).view(-1, 1, 1, 2)

    images = torch.zeros(5, 1, 1, 2)
    found = invert(images, decode, torch.randn(3, 5, 2), steps=400)
    expected = -shifts.unsqueeze(1).expand(5, 2)
    torch.testing.assert_close(found.styles, expected, atol=1e-2, rtol=0)


def test_a_penalty_draws_styles_to_where_it_is_small():
    images = torch.full((2, 1, 1, 1), 4.0)
    found = invert(
        images,
        lambda styles, _: styles.view(-1, 1, 1, 1),
        torch.zeros(1, 2, 1),
        steps=600,
        penalty=lambda styles: styles.square().sum(1),
    )
    assert found.styles.flatten().tolist() == pytest.approx([2, 2], abs=1e-3)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="starts"):
        invert(torch.zeros(3, 1, 1, 1), lambda styles, _: styles, torch.zeros(2, 4, 1))


@pytest.fixture
def generator(tmp_path, monkeypatch):
    """A run without an encoder, conditional on the digit, in gan.ckpt."""
    monkeypatch.chdir(tmp_path)
    save_run(tmp_path / "gan.ckpt", "gan", SMALL_MODELS["gan"] | {"condition": "cgan"})
    return mnist.load(tmp_path / "gan.ckpt")


def test_a_run_without_an_encoder_finds_the_styles_of_its_own_images(generator):
    labels = torch.arange(10)
    true = generator.prior.sample(10)
    images = generator.decode(true, labels)
    found = generator.invert(images, labels)
    assert not generator.has_encoder
    assert torch.equal(generator.encode(images, labels), found.styles)
    others = generator.decode(generator.prior.sample(10), labels)
    by_chance = (others - images).square().flatten(1).mean(1)
    assert found.errors.mean() < 0.2 * by_chance.mean()


def test_where_the_image_pulls_as_much_as_the_prior_is_the_likeliest_style(tmp_path):
    """At a style where log p(x|z) + log p(z) is largest both slopes cancel, nats against nats.

    By a decoder without kinks, at which there would be no slope.
    """
    save_run(tmp_path / "aae.ckpt", "aae", SMALL_MODELS["aae"])
    run = mnist.load(tmp_path / "aae.ckpt")
    blank, labels = torch.zeros(10, 1, 28, 28), torch.arange(10)  # far from all that it makes
    styles = run.invert(blank, labels, steps=400).styles.requires_grad_()
    images = run.decoder(styles, labels)
    likelihood = Normal(images, PIXEL_STD).log_prob(blank).sum()
    (of_image,) = torch.autograd.grad(likelihood, styles)
    (of_prior,) = torch.autograd.grad(Normal(0.0, 1.0).log_prob(styles).sum(), styles)
    assert of_image.norm() > 0.1
    torch.testing.assert_close(of_image, -of_prior, atol=0.02, rtol=0.02)


def test_tools_ask_it_for_styles(generator, run_here, tmp_path):
    for script, *flags in (
        ("encoder-vis.py", "--sample-size", 30),
        ("generate-all.py", "--from-test", 3),
        ("geodesic.py", "--from-test", 0, 1),
    ):
        done = run_here(script, "--ckpt-dir", "gan.ckpt", "--output", f"{script}.png", *flags)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"{script}.png").exists()
    flags = ("--ckpt-dir", "gan.ckpt", "--output", "no.png", "--from-test", 10_000_000)
    assert_refused(run_here("generate-all.py", *flags), "there is no test image")
