"""Descent in latent space: its gradient, its end, and that it changes nothing else."""

import math

import pytest
import scipy.optimize
import scipy.stats
import torch
from conftest import small

from mnist.latent import guidance
from mnist.latent.guidance import OPTIMIZERS, ROUND, SHAKE, descend, shaken

NEVER = 1 - 1e-12  # a probability that is not reached


def identity(points):
    return points


def two_classes(points):
    """The log-probabilities of a logistic regression of points [..., 2] along (1, 2)."""
    logit = points @ torch.tensor([1.0, 2.0], dtype=points.dtype)
    return torch.stack([logit, torch.zeros_like(logit)], -1).log_softmax(-1)


def gaussian(points):
    return -0.5 * points.square().sum(1)


def test_a_step_goes_down_the_gradient():
    """Of a decoder and a classifier in float64, against central differences."""
    decoder = small("aae").decoder.double().eval().requires_grad_(False)
    classifier = small("classifier").classifier.double().eval().requires_grad_(False)

    def decode(points):
        return decoder(points[:, :3], points[:, 3:].softmax(1)).sigmoid()

    def log_probs(images):
        return classifier(images).log_softmax(1)

    def loss(points):
        return -log_probs(decode(points))[:, 7] - 0.3 * gaussian(points)

    generator = torch.Generator().manual_seed(0)
    starts = torch.randn(4, 13, generator=generator, dtype=torch.float64)
    found = descend(
        *(starts, torch.full((4,), 7), decode, log_probs),
        **{"steps": 1, "lr": 1e-3, "optimizer": "sgd", "penalty": lambda x: -0.3 * gaussian(x)},
    )
    moved = (found.path[0] - found.path[1]) / 1e-3
    differences = torch.empty_like(starts)
    for i in range(13):
        step = torch.zeros(13, dtype=torch.float64)
        step[i] = 1e-5
        differences[:, i] = (loss(starts + step) - loss(starts - step)) / 2e-5
    assert moved.abs().min() > 1e-6
    torch.testing.assert_close(moved, differences, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found.losses[0], loss(starts))


@pytest.mark.parametrize(("optimizer", "lr"), [("adam", 0.4), ("sgd", 0.5)])
def test_two_classes_have_a_known_optimum(optimizer, lr, monkeypatch):
    """Of softplus(-w·x) + W/2 |x|² it is x = t w, where σ(-5 t) = W t, |w|² being 5."""
    monkeypatch.setattr(guidance, "ROUND", 500)
    weight = 0.3
    t = scipy.optimize.brentq(lambda t: 1 / (1 + math.exp(5 * t)) - weight * t, 0, 10)
    found = descend(
        *(3 * torch.randn(20, 2, dtype=torch.float64), torch.zeros(20, dtype=torch.int64)),
        *(identity, two_classes),
        **{"steps": 500, "lr": lr, "optimizer": optimizer, "stop_at": NEVER},
        penalty=lambda points: -weight * gaussian(points),
    )
    assert not found.converged.any()
    optimum = t * torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert (found.path[-1] - optimum).abs().max() < 1e-4


@pytest.mark.parametrize("steps", [1, ROUND - 1, ROUND, ROUND + 1, 2 * ROUND, 45])
def test_as_many_steps_as_were_asked_for(steps):
    starts, digits = torch.randn(3, 2), torch.zeros(3, dtype=torch.int64)
    options = {"steps": steps, "lr": 0.1, "stop_at": NEVER}
    found = descend(starts, digits, identity, two_classes, **options)
    assert found.path.shape == (steps + 1, 3, 2)
    assert found.log_probs.shape == (steps + 1, 3, 2)
    assert found.losses.shape == (steps + 1, 3)
    assert found.steps.tolist() == [steps] * 3
    assert torch.equal(found.path[0], starts)
    assert (found.path[1:] != found.path[:-1]).any(2).all()  # the last is no dead step either


def test_those_that_arrive_rest_where_the_digit_is_clearest():
    digits = torch.tensor([0, 1, 0, 1])
    starts = torch.tensor([[-1.0, -1.0], [0.5, 0.0], [3.0, 3.0], [-2.0, 0.0]])
    found = descend(starts, digits, identity, two_classes, steps=100, lr=0.3)
    assert found.converged.all()
    assert found.path.shape[0] == found.steps.max() + 1
    wanted = found.log_probs.gather(2, digits.expand(len(found.path), -1)[..., None])[..., 0]
    for k, step in enumerate(found.steps.tolist()):
        assert (found.path[step:, k] == found.path[step, k]).all()
        assert wanted[step, k] == wanted[:, k].max() >= math.log(0.99)
    torch.testing.assert_close(found.log_probs[-1], two_classes(found.path[-1]))


def test_each_start_goes_its_own_way():
    starts, digits = torch.randn(5, 2), torch.tensor([0, 1, 0, 1, 0])
    options = {"steps": ROUND - 1, "lr": 0.3}
    together = descend(starts, digits, identity, two_classes, **options)
    for k in range(5):
        alone = descend(starts[k : k + 1], digits[k : k + 1], identity, two_classes, **options)
        torch.testing.assert_close(alone.path[:, 0], together.path[: len(alone.path), k])
        assert alone.steps == together.steps[k]


def test_rounds_get_out_of_dead_ends():
    """A narrow hill of the wanted class at 1, and a foothill at -1.5 that leads nowhere."""

    def log_probs(points):
        x = points[:, 0]
        chance = 0.995 * torch.exp(-((x - 1) ** 2) / 0.1) + 0.5 * torch.exp(-((x + 1.5) ** 2))
        return torch.stack([chance.clamp(1e-9, 1 - 1e-9), 1 - chance], 1).log()

    starts, digits = torch.full((200, 1), -1.5), torch.zeros(200, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    options = {"lr": 0.2, "generator": generator}
    once = descend(starts, digits, identity, log_probs, steps=ROUND, **options)
    assert not once.converged.any()
    often = descend(starts, digits, identity, log_probs, steps=60 * ROUND, **options)
    assert often.converged.float().mean() > 0.95
    assert ((often.path[-1, often.converged, 0] - 1).abs() < 0.1).all()


def test_the_path_is_of_points_as_they_are_decoded():
    """Annealed from nothing to all of them in each round, and each round anew."""
    starts, digits = torch.randn(4, 2), torch.zeros(4, dtype=torch.int64)
    seen = []

    def anneal(points, share):
        seen.append(share)
        return (1 + share) * points

    options = {"steps": ROUND + 5, "lr": 0.1, "stop_at": NEVER, "anneal": anneal}
    found = descend(starts, digits, identity, two_classes, **options)
    assert seen == [i / (ROUND - 1) for i in range(ROUND)] + [i / 5 for i in range(6)]
    assert torch.equal(found.path[0], starts)
    torch.testing.assert_close(found.log_probs, two_classes(found.path))
    one = descend(starts, digits, identity, two_classes, **options | {"steps": 1})
    slope = torch.autograd.functional.jacobian(lambda x: -two_classes(x)[:, 0].sum(), starts)
    # Adam's first step is its rate along the gradient's sign, and it was made before annealing.
    torch.testing.assert_close(one.path[1], 2 * (starts - 0.1 * slope.sign()))


def test_points_rest_only_where_they_may():
    generator = torch.Generator().manual_seed(0)
    starts, digits = torch.randn(50, 2, generator=generator), torch.zeros(50, dtype=torch.int64)

    def left(points):
        return points[..., 0] < 1

    options = {"steps": 200, "lr": 0.3, "may_rest": left, "generator": generator}
    found = descend(starts, digits, identity, two_classes, **options)
    assert found.converged.float().mean() > 0.5
    ends = found.path[-1, found.converged]
    assert left(ends).all()
    assert (two_classes(ends)[:, 0].exp() >= 0.99).all()
    # Without the rule some of them come to rest on the right.
    free = descend(starts, digits, identity, two_classes, **options | {"may_rest": None})
    assert not left(free.path[-1]).all()

    def nowhere(points):
        return torch.zeros(points.shape[:-1], dtype=torch.bool)

    never = descend(starts, digits, identity, two_classes, **options | {"may_rest": nowhere})
    assert not never.converged.any()


def test_what_is_held_stays():
    starts, digits = torch.randn(6, 2), torch.zeros(6, dtype=torch.int64)
    moves = torch.tensor([True, False])
    for optimizer in OPTIMIZERS:
        found = descend(
            *(starts, digits, identity, two_classes),
            **{"steps": 3 * ROUND, "lr": 0.2, "optimizer": optimizer, "stop_at": NEVER},
            moves=moves,
        )
        assert (found.path[..., 1] == starts[:, 1]).all()
        assert (found.path[1:, :, 0] != starts[:, 0]).any()


@pytest.mark.parametrize(("name", "stock"), [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)])
def test_moves_are_those_of_torchs_classes(name, stock):
    points = torch.randn(5, 3)
    twin = points.clone().requires_grad_()
    move, other = OPTIMIZERS[name](points), stock([twin], lr=1.0)
    for lr in (0.4, 0.3, 0.1):
        slopes = torch.randn(5, 3)
        move(slopes, lr)
        twin.grad, other.param_groups[0]["lr"] = slopes, lr
        other.step()
    assert torch.equal(points, twin)


def test_shaking_keeps_the_normal_distribution_and_forgets():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(50_000, 2, generator=generator)
    after = shaken(points, generator)
    for column in after.T:
        assert scipy.stats.kstest(column.numpy(), "norm").pvalue > 0.01
    kept = torch.corrcoef(torch.stack([points[:, 0], after[:, 0]]))[0, 1].item()
    assert kept == pytest.approx(math.sqrt(1 - SHAKE**2), abs=0.02)


def test_networks_and_arguments_are_left_alone():
    decoder, classifier = small("aae").decoder.eval(), small("classifier").classifier.eval()
    before = [
        {name: t.clone() for name, t in network.state_dict().items()}
        for network in (decoder, classifier)
    ]
    starts, digits = torch.randn(4, 3), torch.tensor([1, 2, 3, 4])
    copies = starts.clone(), digits.clone()
    descend(
        *(starts, digits),
        lambda points: decoder(points, digits[: len(points)]).sigmoid(),
        lambda images: classifier(images).log_softmax(1),
        **{"steps": 2 * ROUND, "lr": 0.3, "stop_at": NEVER},
    )
    assert torch.equal(starts, copies[0])
    assert torch.equal(digits, copies[1])
    for network, state in zip((decoder, classifier), before, strict=True):
        for name, weights in network.state_dict().items():
            assert torch.equal(weights, state[name]), name


def test_a_loss_that_is_no_number_is_named():
    def log_probs(points):
        return two_classes(points) * (torch.nan if points[0, 0] > 0.5 else 1.0)

    with pytest.raises(ValueError, match="NaN or infinite at step 4"):
        descend(
            *(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), identity, log_probs),
            **{"steps": 10, "lr": 0.15, "optimizer": "adam", "stop_at": NEVER},
        )
