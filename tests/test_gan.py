"""GANs: each loss against its paper's equation, and the script."""

import math

import pytest
import scipy.stats
import torch
from conftest import assert_refused, small
from torch.nn import functional as F

from mnist.data.mnist import MNIST
from mnist.errors import UserError
from mnist.methods import METHODS, Step
from mnist.networks import losses
from mnist.networks.convolutional import ConvolutionalGenerator
from mnist.networks.games import BALANCE, CLIP, GAIN, GAMES, MARGIN, PENALTY, PULLING
from mnist.networks.image_discriminator import EnergyDiscriminator
from mnist.networks.layers import mlp
from mnist.training.samples import draw_samples

REAL, FAKE = torch.tensor([[2.0], [0.5]]), torch.tensor([[-1.0], [0.25]])
CODES = torch.tensor([[1.0, 0.0], [3.0, 4.0]])


def sigmoid(number):
    return 1 / (1 + math.exp(-number))


# Of verdicts 2 and ½ about real images, and −1 and ¼ about generated ones.
BY_HAND = {
    "gan": (
        -(math.log(sigmoid(2)) + math.log(sigmoid(0.5))) / 2
        - (math.log(1 - sigmoid(-1)) + math.log(1 - sigmoid(0.25))) / 2,
        -(math.log(sigmoid(-1)) + math.log(sigmoid(0.25))) / 2,
    ),
    "lsgan": (((2 - 1) ** 2 + 0.5**2 + 1 + 0.25**2) / 4, (2**2 + 0.75**2) / 4),
    "wgan": (-(1.25 + 0.375), 0.375),
    "wgan-gp": (-(1.25 + 0.375), 0.375),
    "began": (1.25, -0.375),  # k is 0 in the beginning
    # Of two codes the only cosine is 3/5.
    "ebgan": (1.25 + ((MARGIN + 1) + 0) / 2, -0.375 + PULLING * 0.36),  # ¼ is beyond the margin
}


@pytest.mark.parametrize("loss", GAMES)
def test_losses_are_those_of_the_equations(loss):
    game = GAMES[loss]()
    discriminator, generator = BY_HAND[loss]
    assert game.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-6)
    assert game.generator(FAKE, CODES).item() == pytest.approx(generator, rel=1e-6)


def test_boundary_equilibrium_moves_towards_its_balance():
    game = GAMES["began"]()
    game.balance.fill_(0.5)
    assert game.discriminator(REAL, FAKE).item() == pytest.approx(1.25 + 0.5 * 0.375)
    game.updated(torch.nn.Linear(1, 1), REAL, FAKE)
    assert game.balance.item() == pytest.approx(0.5 + GAIN * (BALANCE * 1.25 + 0.375))
    game.updated(torch.nn.Linear(1, 1), -1e6 * REAL, FAKE)
    assert game.balance.item() == 0


def test_weights_of_a_critic_are_clipped(tiny):
    method = small("gan", tiny, loss="wgan")
    method.step(tiny.train.batch(slice(20)), Step(0, 0.0))
    weights = torch.cat([p.detach().flatten() for p in method.discriminator.parameters()])
    assert weights.abs().max() == pytest.approx(CLIP)


def test_the_gradient_penalty_is_that_of_finite_differences():
    critic = mlp([6, 16, 1], torch.nn.Tanh).double()
    real, fake = torch.rand(2, 5, 1, 2, 3).double()
    share = torch.rand(5, 1, 1, 1)

    def judge(images):
        return critic(images.flatten(1))

    share = share.double()
    found = losses.gradient_penalty(judge, real, fake, share)
    between, step, norms = real + share * (fake - real), 1e-6, []
    for image in between.flatten(1):
        slopes = [
            (critic(image + step * unit) - critic(image - step * unit)) / (2 * step)
            for unit in torch.eye(6).double()
        ]
        norms.append(torch.cat(slopes).norm())
    expected = (torch.stack(norms) - 1).square().mean()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    game = GAMES["wgan-gp"]()
    rng = torch.Generator().manual_seed(0)
    drawn = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    assert game.penalty(judge, real, fake, rng).item() == pytest.approx(
        PENALTY * losses.gradient_penalty(judge, real, fake, drawn.double()).item(), rel=1e-6
    )


def test_a_critic_of_a_linear_slope_has_the_penalty_of_that_slope():
    images = torch.rand(2, 4, 1, 2, 2)
    slope = torch.tensor([3.0, 0.0, 4.0, 0.0])
    found = losses.gradient_penalty(
        lambda images: images.flatten(1) @ slope[:, None], *images, torch.rand(4, 1, 1, 1)
    )
    assert found.item() == pytest.approx((5 - 1) ** 2)  # of each image, not of each pixel


def test_a_critic_estimates_the_wasserstein_distance_of_two_gaussians():
    """N(0, I) and N(m, I) are |m| apart, by a critic of slope 1 along m.

    A penalty λ (s - 1)² leaves it the slope s that makes s |m| - λ (s - 1)² largest.
    """
    mean = torch.tensor([1.2, 1.6])
    critic = mlp([2, 32, 32, 1], torch.nn.LeakyReLU)
    adam = torch.optim.Adam(critic.parameters(), lr=5e-3)
    game = GAMES["wgan-gp"]()
    rng = torch.Generator().manual_seed(0)
    estimates = []
    for step in range(600):
        real, fake = torch.randn(2, 512, 2)
        real = real + mean
        loss = game.discriminator(critic(real), critic(fake))
        estimates.append(-loss.item())
        share = torch.rand(512, 1, generator=rng)
        loss = loss + PENALTY * losses.gradient_penalty(critic, real, fake, share)
        adam.zero_grad()
        loss.backward()
        adam.step()
        for group in adam.param_groups:
            group["lr"] = 5e-3 * (1 - step / 600)
    distance, slope = 2, 1 + 2 / (2 * PENALTY)
    assert sum(estimates[-100:]) / 100 == pytest.approx(slope * distance, rel=0.03)


def test_codes_that_are_pulled_away():
    assert losses.pulling_away(torch.eye(5)).item() == pytest.approx(0)
    assert losses.pulling_away(torch.ones(5, 3)).item() == pytest.approx(1, rel=1e-6)


def test_an_energy_is_the_autoencoders_error():
    images = torch.tensor([[[[1.0, 0.0]]], [[[0.5, 0.5]]]])
    decoder = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Unflatten(1, (1, 1, 2)))
    torch.nn.init.zeros_(decoder[0].weight)
    torch.nn.init.zeros_(decoder[0].bias)  # logits 0: every pixel ½
    features = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 4))
    found, codes = EnergyDiscriminator(features, 4, 3, decoder)(images)
    assert found[:, 0].tolist() == pytest.approx([math.sqrt((0.25 + 0.25) / 2), 0], abs=1e-3)
    assert codes.shape == (2, 3)


def test_what_all_images_have_in_common_is_not_in_an_energys_codes():
    features = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 4))
    discriminator = EnergyDiscriminator(features, 4, 3, torch.nn.Unflatten(1, (1, 1, 3)))
    images = torch.rand(1, 1, 1, 2).expand(6, -1, -1, -1)
    assert discriminator.code(features(images)).abs().max() < 1e-3


def test_a_conditional_discriminator_is_asked_for_the_class(tiny):
    method = small("gan", tiny, condition="cgan").eval()
    images, labels, *_ = tiny.test.batch(slice(6))
    verdicts, features = method.discriminator(images, labels)
    every = method.discriminator.verdict(features)
    torch.testing.assert_close(verdicts, every.gather(1, labels[:, None]))


@pytest.mark.parametrize("loss", ["gan", "lsgan"])
def test_a_conditional_discriminator_rejects_real_images_of_other_classes(tiny, loss):
    method = small("gan", tiny, loss=loss, condition="cgan", mismatch=0.25).eval()
    batch = tiny.test.batch(slice(6))
    real, labels, fake = batch.images, batch.labels, torch.rand(6, *tiny.spec.image_shape)
    every, of_fake = (
        method.discriminator.verdict(method.discriminator.features(images))
        for images in (real, fake)
    )
    right = F.one_hot(labels, tiny.spec.classes).bool()
    game = GAMES[loss]()
    generated = game.discriminator(every[right], of_fake[right])
    of_others = game.discriminator(every[right], every[~right])
    found = method.discriminate(real, fake, labels)[0]["discriminator"]
    torch.testing.assert_close(found, 0.75 * generated + 0.25 * of_others)
    method.mismatch = 0
    torch.testing.assert_close(
        method.discriminate(real, fake, labels)[0]["discriminator"], generated
    )


def test_the_auxiliary_classifier_learns_of_real_and_generated_images(tiny):
    method = small("gan", tiny, condition="acgan").eval()
    features, labels = torch.randn(8, 256), torch.tensor([0, 1, 2, 3])
    twice = torch.cat([labels, labels])
    expected = F.cross_entropy(method.discriminator.name(features), twice)
    torch.testing.assert_close(method.misnamed(features, twice), expected)


@pytest.mark.parametrize("condition", ["cgan", "acgan"])
def test_images_without_labels_are_none_of_the_classes(tiny, condition):
    method = small("gan", tiny, condition=condition)
    batch = tiny.train.batch(slice(20))
    for labels in (torch.where(torch.arange(20) % 2 == 0, batch.labels, -1), batch.labels * 0 - 1):
        numbers = method.step(batch._replace(labels=labels), Step(0, 0.0))
        assert all(torch.isfinite(number) for number in numbers.values())
    unknown = torch.full((5,), -1)
    assert losses.classification(torch.randn(5, 3), unknown) == 0
    some, logits = torch.tensor([2, -1, 0, -1, 1]), torch.randn(5, 3)
    expected = F.cross_entropy(logits[some >= 0], some[some >= 0])
    torch.testing.assert_close(losses.classification(logits, some), expected)


def test_infogan_finds_clusters_and_numbers_of_generated_images(tiny):
    method = small("gan", tiny, condition="infogan").eval()
    style = method.prior.sample(4, torch.Generator().manual_seed(1))
    fake = method.generator(style).sigmoid()
    clusters, numbers = method.recognition(fake)
    expected = F.cross_entropy(clusters, style[:, -tiny.spec.classes :].argmax(1))
    expected = expected + 0.1 * (numbers - style[:, :2]).square().sum(1).mean() / 2
    torch.testing.assert_close(method.not_found(fake, style), expected)
    assert torch.equal(method.classify(fake), clusters)


def test_infogan_looks_for_clusters_and_then_keeps_to_those_that_say_most(tiny):
    method, batch = small("gan", tiny, condition="infogan"), tiny.train.batch(slice(20))
    q = method.recognition
    for _ in range(3):
        assert "information" not in method.step(batch, Step(0, 0.0))
    assert q.information.unique().numel() > 1
    assert q.chosen == q.information.argmax()
    with torch.no_grad():
        q.choose(torch.tensor([0.0, 0.0, 0.0, 1e4, 0.0]))
    assert "information" in method.step(batch, Step(3, 0.5))
    assert q.chosen == 3
    by_heads = q.eval().by_heads(q.features(batch.images))
    assert torch.equal(q(batch.images)[0], by_heads[3])


def test_a_sheet_of_infogan_moves_one_code_at_a_time(tiny):
    method, asked = small("gan", tiny, condition="infogan", feature_size=6).eval(), []
    method.generator.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    draw_samples(method, tiny.test)
    classes = tiny.spec.classes
    assert len(asked) == 3 * classes  # of each cluster 20 styles, and then a code at a time
    for code in range(2):
        for cluster, styles in enumerate(asked[(1 + code) * classes : (2 + code) * classes]):
            moving = styles[:, code]
            torch.testing.assert_close(moving, torch.linspace(-2.5, 2.5, 20))
            others = styles[:, torch.arange(styles.shape[1]) != code]
            assert (others == others[0]).all()
            assert styles[0, 6:].argmax() == cluster


def test_the_infogan_of_its_paper_knows_its_clusters_from_the_first_step(tiny):
    method = small("gan", tiny, condition="infogan", invariance_weight=0)
    numbers = method.step(tiny.train.batch(slice(20)), Step(0, 0.0))
    assert "information" in numbers
    assert "invariance" not in numbers
    assert len(method.recognition.information) == 1


@pytest.mark.parametrize("network", ["mlp", "convolutional"])
def test_generators_have_batch_normalisation(tiny, network):
    generator = small("gan", tiny, network=network).generator
    assert any(isinstance(layer, torch.nn.BatchNorm1d) for layer in generator.modules())


@pytest.mark.parametrize("loss", GAMES)
def test_a_normalised_discriminator_judges_real_and_generated_images_apart(tiny, loss):
    method, batch = small("gan", tiny, loss=loss), tiny.train.batch(slice(20))
    layers = method.discriminator.features.modules()
    normalised = any(isinstance(layer, torch.nn.BatchNorm1d) for layer in layers)
    assert normalised == (loss in ("wgan", "began", "ebgan"))
    seen = []
    method.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    fake = torch.zeros_like(batch.images)
    method.discriminate(batch.images, fake, batch.labels)
    apart, together = [batch.images, fake], [torch.cat([batch.images, fake])]
    # A gradient penalty looks at images between both, in a pass of its own.
    first = seen[:1] if loss == "wgan-gp" else seen
    torch.testing.assert_close(first, apart if normalised else together)


def test_what_finds_the_code_is_the_generators_and_not_the_discriminators(tiny):
    method = small("gan", tiny, condition="infogan")
    of_generator = method.players["generator"].parameters
    of_discriminator = method.players["discriminator"].parameters
    for p in method.recognition.parameters():
        assert any(p is other for other in of_generator)
        assert not any(p is other for other in of_discriminator)


def test_mutual_information_of_two_answers():
    # Sure, the same, and equally many: log K. And by a second implementation, of any answers.
    corners = 50 * torch.eye(4).repeat(3, 1)
    assert losses.mutual_information(corners, corners).item() == pytest.approx(math.log(4))
    one, other = torch.randn(2, 9, 4, dtype=torch.float64)
    joint = torch.einsum("bi,bj->ij", one.softmax(1), other.softmax(1)) / 9
    joint = (joint + joint.T) / 2
    expected = scipy.stats.entropy(
        joint.flatten(), torch.outer(joint.sum(1), joint.sum(0)).flatten()
    )
    assert losses.mutual_information(one, other).item() == pytest.approx(expected, abs=1e-12)
    entropy = scipy.stats.entropy(joint.sum(0))
    each = losses.mutual_information(torch.stack([one, one]), torch.stack([other, one]), 1.5)
    assert each.shape == (2,)
    assert each[0].item() == pytest.approx(expected + 0.5 * 2 * entropy, abs=1e-12)


def test_answers_that_are_all_the_same_say_nothing_and_have_a_gradient():
    logits = torch.tensor([[100.0, 0.0, 0.0]]).repeat(5, 1).requires_grad_()
    found = losses.mutual_information(logits, logits)
    found.backward()
    assert found.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 9, 14)])
def test_a_generator_makes_images_of_any_size(shape):
    generator = ConvolutionalGenerator(shape, 4, 5, 8)
    images = generator(torch.randn(6, 5), torch.arange(6) % 4)
    assert images.shape == (6, *shape)


def test_images_are_made_by_the_average_of_the_generators(tiny):
    method = small("gan", tiny, averaging=0.5)
    seen = []
    for step in range(3):
        method.step(tiny.train.batch(slice(20)), Step(step, step / 3))
        seen.append([p.detach().clone() for p in method.generator.parameters()])
    first, second, third = seen
    # A mean of the first two; from then on it keeps a half of itself.
    expected = [((a + b) / 2 + c) / 2 for a, b, c in zip(first, second, third, strict=True)]
    with method.averaged():
        for found, mean in zip(method.generator.parameters(), expected, strict=True):
            torch.testing.assert_close(found, mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", GAMES)
@pytest.mark.parametrize("condition", ["none", "cgan", "acgan", "infogan"])
def test_what_is_in_no_paper_is_refused(loss, condition):
    def build():
        METHODS["gan"](MNIST, loss=loss, condition=condition, network="mlp")

    if condition in GAMES[loss].conditions:
        build()
        return
    with pytest.raises(UserError, match=f"--condition {condition} with --loss {loss} is in no"):
        build()


def test_the_script_refuses_it_in_one_line(run_here, tmp_path):
    for flags, says in {
        ("--loss", "ebgan", "--condition", "cgan"): "it goes with --condition none",
        ("--hidden", "8,8"): "--hidden says something only with --network mlp",
        ("--network", "mlp", "--width", 8): "--width says something only with --network conv",
    }.items():
        assert_refused(run_here("mnist-gan.py", "--dataset", "mnist-5k", *flags), says)
    assert not [*tmp_path.iterdir()]
