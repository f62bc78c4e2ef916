"""Networks, prior, losses and players against closed forms and other people's versions."""

import copy
import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn
from torch.distributions import Normal

from mnist.latent.two_covariance import TwoCovariance
from mnist.networks import losses
from mnist.networks.classifier import ClassifierNetwork, places
from mnist.networks.contrast import WriterContrast, missed
from mnist.networks.decoder import Decoder
from mnist.networks.discriminator import Discriminator, GuidedDiscriminator
from mnist.networks.encoder import DRAWS, Encoder, Standardise
from mnist.networks.layers import class_code, halved, mlp
from mnist.networks.player import BETAS, Player, euclidean_norm
from mnist.networks.prior import Gaussian
from mnist.networks.random import child_seed, generator, seeded
from mnist.networks.sharpness import edge_width, fit_sharpness, grey_level, sharpen


def test_class_code():
    code = class_code(torch.tensor([3, -1, 9]), 10)
    assert code.shape == (3, 10)
    assert code.argmax(1)[[0, 2]].tolist() == [3, 9]
    assert code.sum(1).tolist() == [1, 0, 1]
    between = torch.full((2, 10), 0.1)
    assert class_code(between, 10) is between


def test_mlp_is_linear_at_both_ends():
    layers = mlp([5, 4, 3])
    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Linear]


@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_a_classifier_sees_every_pixel(padded, outliers):
    for shape in ((1, 28, 28), (3, 15, 20), (1, 33, 64)):
        network = ClassifierNetwork(shape, 4, outliers=outliers, blocks=1, padded=padded)
        images = torch.rand(8, *shape, requires_grad=True)
        logits = network(images)
        assert logits.shape == (8, 4 + outliers)
        assert network.eval().features(images).shape == (8, 128)
        logits.square().sum().backward()
        if shape[1] == 28:
            assert (images.grad != 0).any(0).all()
    assert places((1, 14, 28), padded) == (4 * 7 if padded else 0)
    assert places((1, 8, 8), padded) == (2 * 2 if padded else 0)


def test_first_weights_follow_from_the_seed_and_disturb_nobody():
    state = torch.get_rng_state()
    with seeded(5):
        first = nn.Linear(3, 3)
    assert torch.equal(torch.get_rng_state(), state)
    with seeded(5):
        assert torch.equal(nn.Linear(3, 3).weight, first.weight)
    with seeded(6):
        assert not torch.equal(nn.Linear(3, 3).weight, first.weight)


def test_streams_of_a_seed_are_independent_and_those_of_seed_sequence():
    child = np.random.SeedSequence(7, spawn_key=tuple(b"encoder")).generate_state(1, np.uint64)[0]
    assert child_seed(7, "encoder") == child
    seeds = {child_seed(s, name) for s in (0, 1) for name in ("encoder", "decoder", "training")}
    assert len(seeds) == 6
    drawn = [torch.randn(1000, generator=generator(0, name)) for name in ("encoder", "decoder")]
    assert torch.equal(drawn[0], torch.randn(1000, generator=generator(0, "encoder")))
    assert abs(np.corrcoef(*drawn)[0, 1]) < 0.15  # four standard errors are 0.126


@pytest.mark.parametrize("std", [1.0, 3.0])
def test_a_training_batch_of_styles_has_the_priors_mean_and_scale(std):
    encoder = Encoder((1, 28, 28), 10, 4, std=std, hidden=[32])
    style = encoder(torch.rand(50, 1, 28, 28), torch.arange(50) % 10)
    assert torch.allclose(style.mean(0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(style.std(0, correction=0), torch.full((4,), std), rtol=1e-2)


@pytest.mark.parametrize("std", [1.0, 3.0])
def test_a_posterior_has_the_priors_mean_and_scale_in_all(std):
    """Of z = √(1 - σ²) · μ + σ ε, whatever σ is, and however it goes with μ."""
    encoder = Encoder((1, 28, 28), 10, 4, std, hidden=[32], posterior="gaussian")
    nn.init.normal_(encoder.width.weight, std=5)  # from σ as small as it may be to as large
    posterior = encoder(torch.rand(50, 1, 28, 28), torch.arange(50) % 10)
    sigma = posterior.stddev / std
    assert 0.0099 < sigma.min() < 0.1
    assert 0.9 < sigma.max() < 0.9951
    assert torch.allclose(posterior.mean.mean(0), torch.zeros(4), atol=1e-4)
    variance = posterior.mean.square().mean(0) + posterior.variance.mean(0)
    assert torch.allclose(variance, torch.full((4,), std**2), rtol=1e-2)

    for _ in range(200):  # and by the running averages likewise
        encoder(torch.rand(50, 1, 28, 28), torch.arange(50) % 10)
    found = encoder.eval()(torch.rand(5000, 1, 28, 28), torch.arange(5000) % 10)
    assert torch.allclose(found.mean.mean(0), torch.zeros(4), atol=0.05 * std)
    variance = found.mean.var(0) + found.variance.mean(0)
    assert torch.allclose(variance, torch.full((4,), std**2), rtol=0.1)


def test_a_posterior_begins_narrow_and_has_gradients_at_its_bounds():
    encoder = Encoder((1, 28, 28), 0, 4, 1.0, hidden=[32], posterior="gaussian")
    nn.init.zeros_(encoder.width.weight)
    posterior = encoder(torch.rand(50, 1, 28, 28))
    assert posterior.stddev.mean().item() == pytest.approx(0.01 + 0.985 / (1 + math.e**2))
    for bias in (-100.0, 100.0):
        nn.init.constant_(encoder.width.bias, bias)
        losses.rate(encoder(torch.rand(50, 1, 28, 28)), 1.0).backward()
        assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_a_posterior_that_is_not_standardised_keeps_within_bounds():
    encoder = Encoder((1, 28, 28), 0, 4, 3.0, hidden=[32], posterior="gaussian", standardised=False)
    torch.nn.init.zeros_(encoder.width.weight)
    for given, log_variance in {-1e30: -15, -5.0: -5, 0.0: 0, 1e30: 2}.items():
        torch.nn.init.constant_(encoder.width.bias, given)
        found = 2 * (encoder(torch.rand(5, 1, 28, 28)).stddev / 3).log()
        assert found.flatten().tolist() == pytest.approx([log_variance] * 20, abs=0.15)
    torch.nn.init.constant_(encoder.width.bias, 4.0)  # beyond the bound it still has a slope
    encoder(torch.rand(5, 1, 28, 28)).stddev.sum().backward()
    assert (encoder.width.bias.grad > 0).all()


@pytest.mark.parametrize(("posterior", "layer"), [("gaussian", "width"), ("universal", "noise")])
def test_an_encoder_with_a_posterior_goes_on_from_one_without(posterior, layer):
    sizes = (1, 28, 28), 10, 4, 1.0, [32]
    one, other = Encoder(*sizes), Encoder(*sizes, posterior=posterior)
    lacking = other.load_state_dict(one.state_dict(), strict=False)
    assert lacking.missing_keys == [f"{layer}.weight", f"{layer}.bias"]
    assert not lacking.unexpected_keys


def test_a_universal_posterior_has_the_moments_of_what_noise_becomes():
    """Of a linear network it is N(W x, A Aᵀ), and so are its draws."""
    torch.manual_seed(0)
    encoder = Encoder((1, 2, 2), 0, 3, 1.0, hidden=[], posterior="universal").eval()
    posterior = encoder(torch.rand(1, 1, 2, 2).expand(20_000, -1, -1, -1))
    draws = posterior.sample()
    matrix = encoder.noise.weight
    torch.testing.assert_close(draws.T.cov(), matrix @ matrix.T, atol=0.02, rtol=0)
    assert torch.equal(posterior.mean, posterior.mean)  # the same noise every time
    few = encoder(torch.rand(5, 1, 2, 2))
    draws = few.rsample((4000,))
    assert draws.shape == (4000, 5, 3)
    torch.testing.assert_close(draws.mean(0), few.at(torch.zeros(5, 3)), atol=0.05, rtol=0)
    deviation = (matrix @ matrix.T).diag().sqrt()
    torch.testing.assert_close(draws.std(0), deviation.expand(5, 3), rtol=0.05, atol=0)
    # Those by which moments are estimated are few, and the same every time and for all images.
    noise = torch.randn(DRAWS, 3, generator=torch.Generator().manual_seed(0)) @ matrix.T
    torch.testing.assert_close(few.stddev, noise.std(0).expand(5, 3))
    torch.testing.assert_close(few.mean, few.at(torch.zeros(5, 3)) + noise.mean(0))


def test_styles_are_standardised_by_the_mean_of_recent_batches():
    """A fifth of those so far, or a hundred: the weights of all of them, written out."""
    standardise = Standardise(2)
    batches = 3 + 2 * torch.randn(700, 50, 2)
    weights = torch.zeros(len(batches), dtype=torch.float64)
    for n, batch in enumerate(batches, 1):
        standardise(batch)
        share = max(5 / (n + 4), 1 / 100)
        weights *= 1 - share
        weights[n - 1] = share
        if n in (1, 2, 30, 700):
            assert weights.sum() == pytest.approx(1)  # nothing is left of where it began
            mean = (weights[:, None] * batches.mean(1)).sum(0)
            variance = (weights[:, None] * batches.var(1)).sum(0)
            torch.testing.assert_close(standardise.running_mean.double(), mean, rtol=1e-4, atol=0)
            torch.testing.assert_close(
                standardise.running_var.double(), variance, rtol=1e-4, atol=0
            )


def test_standardising_is_a_batch_norm_without_a_scale():
    ours, torchs = Standardise(3), nn.BatchNorm1d(3, affine=False, momentum=1.0)
    ours.double(), torchs.double()
    for batch in torch.randn(3, 20, 3, dtype=torch.float64):
        assert torch.allclose(ours(batch), torchs(batch))
    torchs.load_state_dict(ours.state_dict())  # under the same names
    assert torch.allclose(ours.eval()(batch), torchs.eval()(batch))


def test_networks_heed_the_class_only_if_they_are_conditional():
    style, images = torch.randn(1, 4), torch.rand(1, 1, 28, 28)
    for classes in (10, 0):
        encoder = Encoder((1, 28, 28), classes, 4, std=1.0, hidden=[32]).eval()
        decoder = Decoder((1, 28, 28), classes, 4, hidden=[32])
        three, four = torch.tensor([3]), torch.tensor([4])
        assert torch.equal(decoder(style, three), decoder(style, four)) != bool(classes)
        assert torch.equal(encoder(images, three), encoder(images, four)) != bool(classes)
        assert decoder(style, three).shape == (1, 1, 28, 28)


@pytest.mark.parametrize(
    ("image_shape", "small"),
    [
        ((1, 28, 28), (32, 7, 7)),
        ((3, 64, 64), (32, 8, 8)),
        ((3, 20, 33), (32, 3, 5)),
        ((1, 8, 8), (16, 4, 4)),
        ((1, 1, 3), (16, 1, 2)),
    ],
)
def test_convolutions_halve_an_image_of_any_size_and_come_back_to_it(image_shape, small):
    assert halved(image_shape, 16)[-1] == small
    encoder = Encoder(image_shape, 10, 4, 1.0, hidden=[32], width=16).eval()
    decoder = Decoder(image_shape, 10, 4, hidden=[32], width=16)
    images, labels = torch.rand(3, *image_shape), torch.tensor([3, 4, -1])
    assert encoder.convolutions(images).shape == (3, *small)
    style = encoder(images, labels)
    assert style.shape == (3, 4)
    logits = decoder(style, labels)
    assert logits.shape == images.shape
    logits.square().sum().backward()
    assert all(p.grad is not None for net in (encoder, decoder) for p in net.parameters())


def test_a_place_in_an_image_is_seen_by_convolutions_that_share_their_weights():
    """What is two pixels of the smallest map to the right there was eight to the right here."""
    convolutions = Encoder((1, 32, 32), 0, 4, 1.0, hidden=[32], width=16).eval().convolutions
    images = torch.zeros(2, 1, 32, 32)
    images[0, 0, 8:14, 8:14] = 1
    images[1] = images[0].roll(8, 2)
    here, there = convolutions(images)
    torch.testing.assert_close(here[:, :, 2:4], there[:, :, 4:6])  # away from the padding
    assert not torch.allclose(here[:, :, 4:6], there[:, :, 4:6])


def test_each_class_has_a_discriminator():
    discriminator = Discriminator(4, 10, hidden=[32])
    style = torch.randn(6, 4)
    every = discriminator(style)
    assert every.shape == (6, 10)
    chosen = discriminator(style, torch.tensor([0, 1, 2, 9, 9, 3]))
    assert torch.equal(chosen[:, 0], every[range(6), [0, 1, 2, 9, 9, 3]])
    assert Discriminator(4, 0, hidden=[32])(style, torch.zeros(6).long()).shape == (6, 1)
    labels = torch.tensor([0, 1, 2, 9, -1, 3])
    for classes in (10, 0):
        discriminator = Discriminator(4, classes, hidden=[32])
        prior, of_images = discriminator.compare(style[:4], style, labels)
        torch.testing.assert_close(prior, discriminator(style[:4]))
        torch.testing.assert_close(of_images, discriminator(style, labels))


def test_prior_against_scipy():
    prior = Gaussian(3, std=2.5)
    style = torch.randn(20, 3, dtype=torch.float64) * 4
    normal = scipy.stats.norm(scale=2.5)
    assert prior.log_prob(style).numpy() == pytest.approx(normal.logpdf(style).sum(1))
    assert prior.cdf(style).numpy() == pytest.approx(normal.cdf(style))


def test_prior_samples_have_its_moments_and_follow_from_the_generator():
    prior = Gaussian(2, std=2.5)
    sample = prior.sample(100_000, torch.Generator().manual_seed(1))
    assert torch.equal(sample, prior.sample(100_000, torch.Generator().manual_seed(1)))
    # Four standard errors: 2.5/√100,000 of the mean, 2.5/√200,000 of the deviation.
    assert sample.mean(0).abs().max() < 4 * 2.5 / math.sqrt(100_000)
    assert (sample.std(0) - 2.5).abs().max() < 4 * 2.5 / math.sqrt(200_000)


def test_losses_against_their_equations():
    logits, images = torch.randn(4, 1, 28, 28).double(), torch.rand(4, 1, 28, 28).double()
    p = logits.sigmoid()
    entropy = -(images * p.log() + (1 - images) * (1 - p).log()).mean()
    assert losses.reconstruction(logits, images).item() == pytest.approx(entropy.item())
    assert losses.mse(logits, images).item() == pytest.approx(((p - images) ** 2).mean().item())
    prior_logits, style_logits = torch.randn(7, 10).double(), torch.randn(7, 1).double()
    real, fake = prior_logits.sigmoid(), style_logits.sigmoid()
    expected = -real.log().mean() - (1 - fake).log().mean()
    assert losses.discriminator_loss(prior_logits, style_logits).item() == pytest.approx(
        expected.item()
    )
    assert losses.generator_loss(style_logits).item() == pytest.approx(-fake.log().mean().item())


def test_cross_entropies_and_their_slopes_are_torchs():
    """Of extreme logits, too, and of pixels between black and white."""
    logits = torch.cat([torch.randn(500), torch.linspace(-120, 120, 241), torch.zeros(3)])
    images = torch.rand(len(logits)).round(decimals=1)
    slopes = torch.randn(len(logits))
    found, expected = [], []
    for each, function in ((found, cross_entropies), (expected, bce)):
        given = logits.clone().requires_grad_()
        value = function(given, images)
        value.backward(slopes)
        each += [value.detach(), given.grad]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    double = torch.randn(20, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cross_entropies, (double, images[:20].double()))


def cross_entropies(logits, images):
    return losses.CrossEntropies.apply(logits, images)[0]


def bce(logits, images):
    return nn.functional.binary_cross_entropy_with_logits(logits, images, reduction="none")


def test_a_decoder_of_classes_has_a_first_layer_for_each():
    """By the layer of each class alone; between two classes by the mean of theirs."""
    decoder = Decoder((1, 4, 3), 3, 2, [], of_classes=True)
    style, labels = torch.randn(6, 2), torch.tensor([0, 1, 2, 2, 1, 0])
    weight, bias = decoder.layers[0].weight, decoder.layers[0].bias
    expected = torch.stack(
        [
            (weight[:, :2] + weight[:, 5 + 2 * c : 7 + 2 * c]) @ z + weight[:, 2 + c] + bias
            for z, c in zip(style, labels.tolist(), strict=True)
        ]
    )
    torch.testing.assert_close(decoder(style, labels).flatten(1), expected)
    between = decoder(style, torch.tensor([[0.5, 0.5, 0.0]]).expand(6, 3))
    both = [decoder(style, torch.full((6,), c)) for c in (0, 1)]
    torch.testing.assert_close(between, (both[0] + both[1]) / 2)
    assert Decoder((1, 4, 3), 0, 2, [5], of_classes=True).layers[0].in_features == 2


def test_the_rate_against_kingma_and_welling():
    """Appendix B there: -½ Σ (1 + log σ² - μ² - σ²), for a standard normal prior."""
    mean, sigma = torch.randn(6, 3).double(), torch.rand(6, 3).double() + 0.1
    expected = -0.5 * (1 + sigma.square().log() - mean.square() - sigma.square()).sum(1).mean()
    assert losses.rate(Normal(mean, sigma), 1.0).item() == pytest.approx(expected.item())
    assert losses.rate(Normal(3 * mean, 3 * sigma), 3.0).item() == pytest.approx(expected.item())


# --- writers --------------------------------------------------------------------------------------


def test_the_contrast_against_a_loop_over_likelihood_ratios():
    torch.manual_seed(0)
    contrast = WriterContrast(2, std=2.0)
    styles, labels = 2 * torch.randn(12, 2), torch.tensor([0, 1, 2] * 4)
    writers = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 4, 4])
    found = contrast(styles, labels, writers).item()
    rho = contrast.correlation.double().clamp(0.05, 0.9)
    model = TwoCovariance(torch.zeros(2).double(), rho.diag(), (1 - rho).diag())
    ratio = model.log_likelihood_ratio(styles / 2, styles / 2).exp()
    of_each = []
    for i in range(12):
        others = ratio[i, writers != writers[i]].sum()
        mine = (writers == writers[i]) & (labels != labels[i])
        if mine.any():
            shares = [r / (r + others) for r in ratio[i, mine]]
            of_each.append(-sum(math.log(share) for share in shares) / len(shares))
    assert 0 < len(of_each) < 12
    assert found == pytest.approx(sum(of_each) / len(of_each), rel=1e-4)


def test_the_contrast_of_many_images_is_made_in_blocks(monkeypatch):
    styles = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    labels, writers = torch.randint(-1, 4, (50,)), torch.randint(0, 6, (50,))
    found = []
    for at_once in (2500, 2499, 320, 1):  # pairs: all, and blocks of 25, 7 and 1
        monkeypatch.setattr("mnist.networks.contrast.PAIRS_AT_ONCE", at_once)
        contrast = WriterContrast(3, std=2.0).double()
        loss = contrast(styles, labels, writers)
        found.append((loss, *torch.autograd.grad(loss, styles), contrast.correlation))
    for several in found[1:]:
        for number, expected in zip(several, found[0], strict=True):
            assert torch.allclose(number, expected, rtol=1e-12)


def test_a_process_without_a_share_of_images_misses_nothing():
    styles, own = torch.randn(5, 3), torch.randn(5)
    none = torch.zeros(0, 5, dtype=torch.bool)
    assert missed(styles[:0], own[:0], none, none, (styles, own)).shape == (0,)


def test_the_contrast_learns_how_alike_the_styles_of_a_writer_are():
    torch.manual_seed(0)
    rho = torch.tensor([0.8, 0.3, 0.0])
    contrast = WriterContrast(3, std=1.0)
    writers, labels = torch.arange(200) // 4, torch.arange(200) % 4
    for _ in range(400):
        own = torch.randn(50, 3)[writers]
        contrast(rho.sqrt() * own + (1 - rho).sqrt() * torch.randn(200, 3), labels, writers)
    # 300 pairs a batch, over 50 batches: a standard error of about 0.02.
    assert contrast.correlation.tolist() == pytest.approx(rho.tolist(), abs=0.06)


def test_no_pair_by_one_writer_is_no_loss():
    contrast = WriterContrast(3, std=1.0)
    styles = torch.randn(6, 3, requires_grad=True)
    before = contrast.correlation.clone()
    for labels, writers in ((torch.arange(6), torch.arange(6)), (torch.zeros(6), torch.zeros(6))):
        loss = contrast(styles, labels, writers)
        loss.backward()
        assert loss == 0
        assert styles.grad.abs().max() == 0
        assert torch.equal(contrast.correlation, before)


def test_the_discriminators_loss_at_its_optimum():
    """With D* = p/(p+q) the loss is 2 log 2 - 2 JSD(p‖q): Goodfellow et al. 2014, theorem 1."""
    prior, encodings = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.1, 0.3, 0.6])
    logits = (prior / encodings).log()
    counts = 1000
    real = logits.repeat_interleave((prior * counts).round().long())
    fake = logits.repeat_interleave((encodings * counts).round().long())
    middle = (prior + encodings) / 2
    jsd = 0.5 * (
        (prior * (prior / middle).log()).sum() + (encodings * (encodings / middle).log()).sum()
    )
    loss = losses.discriminator_loss(real, fake)
    assert loss.item() == pytest.approx(2 * math.log(2) - 2 * jsd.item(), abs=1e-5)


def test_losses_survive_extreme_logits():
    extreme = torch.tensor([[1e4], [-1e4]])
    assert torch.isfinite(losses.discriminator_loss(extreme, extreme))
    assert torch.isfinite(losses.generator_loss(extreme))


def test_a_player_moves_its_own_networks_only_and_as_stock_adam_would():
    with seeded(0):
        mine, theirs = nn.Linear(3, 3), nn.Linear(3, 1)
    with seeded(0):
        twin = nn.Linear(3, 3)
    before = [p.clone() for p in theirs.parameters()]
    player = Player(mine, lr=0.01)
    stock = torch.optim.Adam(twin.parameters(), lr=0.01, betas=(0.5, 0.999))
    inputs = torch.randn(8, 3)
    for _ in range(5):
        player.update(theirs(mine(inputs)).square().mean(), lr_scale=1.0)
        stock.zero_grad()
        theirs(twin(inputs)).square().mean().backward(inputs=list(twin.parameters()))
        stock.step()
    assert torch.allclose(mine.weight, twin.weight, atol=1e-6)
    assert all(p.grad is None for p in theirs.parameters())
    assert all(torch.equal(p, q) for p, q in zip(theirs.parameters(), before, strict=True))


def test_a_learning_rate_scale_of_zero_stands_still():
    network = nn.Linear(3, 1)
    before = network.weight.clone()
    Player(network, lr=0.1).update(network(torch.ones(2, 3)).sum(), 0.0)
    assert torch.equal(network.weight, before)


def test_a_players_adam_is_its_own():
    with seeded(0):
        network, twin = nn.Linear(3, 1), nn.Linear(3, 1)
    twin.load_state_dict(network.state_dict())
    player = Player(network, lr=0.01, betas=(0.9, 0.99))
    stock = torch.optim.Adam(twin.parameters(), lr=0.01, betas=(0.9, 0.99))
    for scale in (1.0, 3.0, 0.5):
        player.update(scale * network(torch.ones(2, 3)).square().mean())
        stock.zero_grad()
        (scale * twin(torch.ones(2, 3)).square().mean()).backward()
        stock.step()
    assert torch.allclose(network.weight, twin.weight, atol=1e-6)


def test_every_update_since_the_last_look_counts():
    network = nn.Linear(1, 1, bias=False)
    player = Player(network, lr=1e-9)
    assert player.largest_gradient() is None
    for scale in (1.0, 5.0, 2.0):
        player.update(scale * network(torch.ones(1, 1)).sum())
    assert player.largest_gradient().item() == pytest.approx(5)
    assert player.largest_gradient() is None
    for scale in (torch.nan, 1.0):  # the last is finite, and the weights are broken all the same
        player.update(scale * network(torch.ones(1, 1)).sum())
    assert player.largest_gradient().isnan()


@pytest.mark.parametrize("sizes", [[], [(3,)], [(300, 200), (), (8, 3, 3, 3)]])
def test_the_norm_of_gradients_is_that_of_all_their_numbers(sizes):
    tensors = [torch.randn(size) for size in sizes]
    tensors = [t.to(memory_format=torch.channels_last) if t.dim() == 4 else t for t in tensors]
    every = torch.cat([torch.zeros(1), *(tensor.flatten() for tensor in tensors)]).double()
    assert euclidean_norm(tensors).item() == pytest.approx(every.norm().item(), rel=1e-6)


def test_a_players_state_goes_round():
    network = nn.Linear(3, 1)
    player = Player(network, lr=0.1)
    player.update(network(torch.ones(2, 3)).sum())
    twin_network = nn.Linear(3, 1)
    twin_network.load_state_dict(network.state_dict())
    twin = Player(twin_network, lr=0.1)
    twin.load_state(player.state())
    for each, net in ((player, network), (twin, twin_network)):
        each.update(net(torch.ones(2, 3)).square().sum())
    assert torch.equal(network.weight, twin_network.weight)


@pytest.mark.parametrize("k", [0.5, 1.0, 1.6, 3.0, 8.0])
def test_the_sharpness_that_was_applied_is_found(k):
    logits = 4 * torch.randn(50, 1, 28, 28, generator=torch.Generator().manual_seed(0)) - 3
    images = sharpen(logits, k)
    expected = logits.double().sigmoid() ** k
    expected /= expected + (1 - logits.double().sigmoid()) ** k
    torch.testing.assert_close(images.double(), expected, rtol=1e-3, atol=1e-6)
    assert fit_sharpness(logits, images).item() == pytest.approx(k, rel=0.005)


def test_the_sharpness_of_shifted_strokes_makes_them_as_black_and_white_as_they_were():
    """The mean over places of a bar is grey; no sharpening gives the bar back, but its contrast."""
    ticks = torch.arange(28)
    places = torch.arange(8, 21)[:, None]
    bars = torch.sigmoid(3 - 2 * (ticks - places).abs()).view(-1, 1, 1, 28).expand(-1, -1, 28, -1)
    mean = bars.mean(0, keepdim=True).expand_as(bars)
    k = fit_sharpness(mean.logit(), bars)
    assert 1.5 < k.item() < 20
    sharp = sharpen(mean.logit(), k)
    assert grey_level(mean).item() > 1.3 * grey_level(bars).item()
    assert grey_level(sharp).item() == pytest.approx(grey_level(bars).item(), rel=0.02)


def test_images_without_any_grey_leave_a_number():
    logits = torch.randn(3, 1, 28, 28)
    assert fit_sharpness(logits, torch.zeros(3, 1, 28, 28)).item() == pytest.approx(20, rel=0.01)
    assert fit_sharpness(100 * logits, torch.full((3, 1, 28, 28), 0.5)).item() >= 1 / 20


def test_what_a_loss_does_not_reach_stays_as_it_is_and_torchs_adam_agrees():
    """A phase of training may leave networks out; their first step comes later then."""
    with seeded(0):
        one, other = nn.Linear(2, 1), nn.Linear(2, 1)
    twins = copy.deepcopy((one, other))
    player = Player(one, other, lr=0.1)
    adam = torch.optim.Adam([p for twin in twins for p in twin.parameters()], lr=0.1, betas=BETAS)
    inputs = torch.ones(3, 2)
    for phase in (lambda a, b: a, lambda a, b: a + b, lambda a, b: b):
        player.update(phase(one(inputs), other(inputs)).square().sum())
        adam.zero_grad()
        phase(*(twin(inputs) for twin in twins)).square().sum().backward()
        adam.step()
        for network, twin in zip((one, other), twins, strict=True):
            torch.testing.assert_close(network.state_dict(), twin.state_dict())
    again = Player(one, other, lr=0.1)
    again.load_state(player.state())
    assert torch.equal(again.memory[0]["step"], torch.tensor(2.0))


def test_clusters_take_the_class_of_the_image_that_is_surest_of_them():
    """Cluster 2 holds two 1s and a 0, but a 0 is the surest of it; cluster 1 holds nothing."""
    probabilities = torch.tensor(
        [
            [0.90, 0.05, 0.05],  # a 0, in cluster 0
            [0.80, 0.15, 0.05],  # a 0, likewise
            [0.60, 0.20, 0.20],  # a 1, likewise: wrong
            [0.05, 0.00, 0.95],  # a 0, in cluster 2
            [0.20, 0.10, 0.70],  # a 1, likewise: wrong
            [0.30, 0.30, 0.40],  # a 1, likewise: wrong
        ]
    )
    labels = torch.tensor([0, 0, 1, 0, 1, 1])
    found = losses.cluster_accuracy((probabilities + 1e-9).log(), labels)
    assert found.item() == pytest.approx(3 / 6)


def test_a_guided_discriminator_compares_each_class_with_its_part():
    network = GuidedDiscriminator(2, 3, [8])
    styles, labels = torch.randn(4, 2), torch.tensor([2, -1, 0, -1])
    all_of_them = network.layers(styles)
    expected = all_of_them[torch.arange(4), torch.tensor([2, 3, 0, 3])]
    torch.testing.assert_close(network(styles, labels), expected.unsqueeze(1))


def test_a_style_without_a_label_may_be_of_any_class():
    with seeded(0):
        discriminator = Discriminator(2, 3, [4])
    style = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    every = discriminator(style)
    found = discriminator(style, torch.tensor([0, -1, 2, -1]))
    assert torch.equal(found[[0, 2], 0], every[[0, 2], [0, 2]])
    torch.testing.assert_close(found[[1, 3], 0], every[[1, 3]].mean(1))


@pytest.mark.parametrize("side", [-1, -2])
def test_the_width_of_an_edge(side):
    """In w equal steps from 0 to 1 it is w - 1/w, however many edges there are; 0 without any."""
    widths = torch.tensor([1, 2, 3, 5, 8])
    ramps = [(torch.arange(10) / w).clamp(max=1) for w in widths.tolist()]
    images = torch.stack([ramp.expand(1, 10, 10) for ramp in ramps])
    images = images if side == -1 else images.mT
    torch.testing.assert_close(edge_width(images), widths - 1 / widths)
    both = torch.cat([images, images.flip(side)], side)
    torch.testing.assert_close(edge_width(both), widths - 1 / widths)
    assert not edge_width(torch.zeros(3, 1, 4, 5)).any()


def test_disagreement():
    """By hand: two images that are each of two classes by these odds."""
    logits, others = torch.tensor([[0.8, 0.2], [1.0, 0.0]]), torch.tensor([[0.5, 0.5], [0.3, 0.7]])
    found = losses.disagreement(logits.log(), others.log())
    assert found.item() == pytest.approx(-(math.log(0.5) + math.log(0.3)) / 2)
