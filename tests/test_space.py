"""The points of a descent: what they stand for, and that asking for a digit ends at that digit."""

import math

import pytest
import torch
from torch.nn import functional as F

from mnist.latent import space
from mnist.latent.guidance import descend
from mnist.latent.space import Space
from mnist.networks.prior import Gaussian

SIZE = 2


def toy(free="both", labels=True, std=1.0, **options):
    """A decoder that paints the digit code itself, a pixel for each digit; the style is its ink."""

    def decoder(style, code):
        pixels = code * (0.8 + 0.2 * style[:, :1].sigmoid()) if labels else style.sigmoid()
        return pixels[:, None, None]

    return Space(decoder, Gaussian(SIZE, std), 10 * labels, free, **options)


def fooled(images):
    """A classifier to which a mixture of all digits is more of an 8 than an 8 is."""
    images = images.flatten(1)
    mixed = 15 * (1 - images.amax(-1, keepdim=True))
    return (12 * images + mixed * F.one_hot(torch.tensor(8), 10)).log_softmax(-1)


def ask(digit, **changes):
    """Where 200 starts end that are asked for a digit, [200, D], and whether they arrived."""
    points = toy()
    generator = torch.Generator().manual_seed(0)
    starts = torch.randn(200, SIZE + 10, generator=generator)
    settings = {"penalty": lambda x: 4 * points.shortfall(x), "generator": generator}
    settings |= {"anneal": points.anneal, "may_rest": points.may_rest, "decode": points.decode}
    found = descend(
        *(starts, torch.full((200,), digit)),
        **{"log_probs": fooled, "steps": 800, "lr": 0.4} | settings | changes,
    )
    return found.path[-1], found.converged


def code(points, steepness=1.0):
    return (steepness * points[..., SIZE:]).softmax(-1)


def test_an_8_is_an_8_although_mixtures_fool_the_guide():
    """Neither at rest in a mixture, nor kept from the 8 by its being one already."""
    ends, converged = ask(8)
    assert converged.all()
    assert (code(ends)[:, 8] >= space.PURE).all()


def test_every_other_digit_is_found_too():
    for digit in range(8):
        ends, converged = ask(digit)
        assert converged.float().mean() > 0.99
        assert (code(ends)[converged, digit] >= space.PURE).all()


def test_before_it_came_to_rest_in_mixtures():
    """By softmax(3 u), which nothing hardens, and at rest anywhere: as version 0.4.0 did."""
    as_it_was = {"anneal": lambda points, share: points, "may_rest": None}
    ends, converged = ask(8, decode=lambda points: code(points, 3), **as_it_was)
    assert converged.all()
    assert (code(ends, 3)[:, 8] < 0.9).float().mean() > 0.5


def test_the_code_hardens_and_the_style_does_not():
    points = toy()
    start = torch.randn(5, SIZE + 10)
    assert torch.equal(points.anneal(start, 0), start)
    end = points.anneal(start, 1)
    assert torch.equal(end[:, :SIZE], start[:, :SIZE])
    torch.testing.assert_close(end[:, SIZE:], space.HARDEST * start[:, SIZE:])
    middle = points.anneal(start, 0.5)
    torch.testing.assert_close(middle[:, SIZE:].square(), start[:, SIZE:] * end[:, SIZE:])


@pytest.mark.parametrize("free", ["style", "digit", "both"])
def test_what_is_held_is_not_annealed(free):
    points = toy(free)
    start = torch.randn(5, SIZE + 10)
    changed = (points.anneal(start, 1) != start).any(0)
    assert changed[SIZE:].all() == (free != "style")
    assert points.moves[:SIZE].all() == (free != "digit")
    assert points.moves[SIZE:].all() == (free != "style")


@pytest.mark.parametrize(("labels", "share"), [(True, 0.5), (False, 0.99)])
def test_a_point_rests_in_the_likeliest_styles(labels, share):
    """In two dimensions those are within √(-2 ln(1 - share)) deviations of the mean."""
    options = {"labels": labels, "std": 2.0}
    radius = (-2 * torch.tensor(1 - share).log()).sqrt()
    pure = torch.cat([torch.zeros(SIZE), 20 * F.one_hot(torch.tensor(3), 10) * labels])[
        : SIZE + 10 * labels
    ]
    inside, outside = pure.clone(), pure.clone()
    inside[1], outside[1] = 0.95 * radius, 1.05 * radius
    inside[0] = outside[0] = 0.1  # a little more ink than half of the styles have
    both = torch.stack([inside, outside])
    assert toy(**options).may_rest(both).tolist() == [True, False]
    assert toy(anywhere=True, **options).may_rest(both).all()
    if labels:
        assert toy("digit", **options).may_rest(both).all()  # a style that is given may be any
        mixture = inside.clone()
        mixture[SIZE:] = 0
        assert not toy(**options).may_rest(mixture)


def test_a_point_rests_where_its_image_is_as_sharp_as_others_of_the_class():
    """The more ink a pixel has, the sharper it is; half of the styles have more than style 0."""
    faint, clear = torch.zeros(2, SIZE + 10)
    faint[SIZE], clear[SIZE] = 20, 20
    faint[0], clear[0] = -0.1, 0.1
    both = torch.stack([faint, clear])
    assert toy().may_rest(both).tolist() == [False, True]
    assert toy().may_rest(both[None, 1:]).tolist() == [[True]]
    assert toy(anywhere=True).may_rest(both).all()
    grey_or_not = torch.tensor([[0.0, 0.0], [2.0, -2.0]])  # two pixels of 0.5, or of 0.88 and 0.12
    assert toy(labels=False).may_rest(grey_or_not).tolist() == [False, True]


def test_the_shortfall_of_a_style_is_what_its_log_density_lacks():
    """The likeliest 99 % of N(0, I) in a plane are at most ln 100 nats below its mode."""
    points = toy(labels=False, anywhere=True)
    least = -math.log(2 * math.pi) - math.log(100)
    away = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 5.0]])
    density = -math.log(2 * math.pi) - away.square().sum(1) / 2
    expected = (least + space.MARGIN - density).clamp(min=0)
    torch.testing.assert_close(points.shortfall(away), expected, rtol=0, atol=0.1)
