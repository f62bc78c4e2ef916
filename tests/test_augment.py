"""Images made of digits: what is promised of them, and second implementations."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from conftest import bundled

from mnist.data import Batch, augment
from mnist.data.augment import (
    KINDS,
    MOVE,
    SCALE,
    SLANT,
    TURN,
    blur,
    contrast,
    distorted,
    outliers_of,
    random_shifts,
    redrawn,
    shifted,
)


@pytest.fixture
def digits():
    return bundled().train.batch(slice(0, 4000, 40))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 24)])
def test_distorted_against_scipy(shape):
    """Its interpolation is told where to look from output pixels, in rows and columns."""
    rng = seeded()
    images = torch.rand(6, *shape, generator=rng)
    found = distorted(images, 2.0, seeded(1))
    numbers = 2 * (2 * torch.rand(6, 6, generator=seeded(1)).double() - 1)
    middle = (np.array(shape[1:]) - 1) / 2
    for image, made, of_image in zip(images, found, numbers.T.tolist(), strict=True):
        turn, slant, wide, high, across, down = of_image
        turn, slant = turn * TURN, slant * SLANT
        scaled = np.diag([1 + wide * SCALE, 1 + high * SCALE])
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        of_xy = rotation @ np.array([[1, slant], [0, 1]]) @ scaled
        of_rows = of_xy[::-1, ::-1]
        moved = np.array([down, across]) * MOVE
        offset = middle + moved - of_rows @ middle
        for channel, drawn in zip(image.numpy(), made.numpy(), strict=True):
            expected = scipy.ndimage.affine_transform(
                channel.astype(float), of_rows, offset, order=1, mode="grid-constant"
            )
            np.testing.assert_allclose(drawn, expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_kinds_are_images_that_follow_from_the_generator(kind, count, digits):
    copies = digits.images.clone(), digits.labels.clone()
    made = kind(digits, count, seeded())
    assert made.shape == (count, 1, 28, 28)
    assert made.dtype == torch.float32
    assert -1e-6 < made.min() < made.max() < 1 + 1e-6
    assert torch.equal(made, kind(digits, count, seeded()))
    assert not torch.equal(made, kind(digits, count, seeded(1)))
    assert torch.equal(digits.images, copies[0])
    assert torch.equal(digits.labels, copies[1])


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_kinds_of_nothing_are_still_numbers(kind):
    """Blank images, and of a digit that looks the same turned."""
    blank = Batch(torch.zeros(20, 1, 28, 28), torch.zeros(20, dtype=torch.int64))
    assert torch.isfinite(kind(blank, 20, seeded())).all()


@pytest.mark.parametrize("count", [1, 5, 9, 38])
def test_as_many_as_were_asked_for(digits, count, monkeypatch):
    asked = {}

    def counting(name):
        def kind(batch, number, generator):
            asked[name] = number
            return batch.images[:number]

        return kind

    monkeypatch.setattr(augment, "KINDS", {name: counting(name) for name in KINDS})
    assert len(outliers_of(digits, count, seeded())) == count
    numbers = [asked.get(name, 0) for name in KINDS]
    assert sum(numbers) == count
    assert max(numbers) - min(numbers) <= 1


def test_digits_are_shifted_whole(digits):
    """Each is its original at one of 25 places, paper coming in at the edges."""
    after = shifted(digits.images, random_shifts(len(digits.images), seeded()))
    padded = torch.nn.functional.pad(digits.images, (2,) * 4)
    places = [
        (padded[:, :, y : y + 28, x : x + 28] == after).flatten(1).all(1)
        for y in range(5)
        for x in range(5)
    ]
    assert torch.stack(places).any(0).all()
    assert sum(place.any().item() for place in places) > 20


def test_redrawn_digits_are_the_same_digits(digits):
    """Ink where ink was: the correlation with the original, and the same place."""
    after = redrawn(digits.images, seeded())
    assert after.shape == digits.images.shape
    for before, now in zip(digits.images, after, strict=True):
        assert np.corrcoef(before.flatten(), now.flatten())[0, 1] > 0.75
        centres = [scipy.ndimage.center_of_mass(each[0].numpy()) for each in (before, now)]
        assert np.abs(np.subtract(*centres)).max() < 1


@pytest.mark.parametrize("sigma", [0.7, 1.0, 4.0])
def test_blur_is_scipys(digits, sigma):
    ours = blur(digits.images[:5], sigma)[:, 0].numpy()
    reach = np.ceil(3 * sigma)
    for image, blurred in zip(digits.images[:5, 0].numpy(), ours, strict=True):
        theirs = scipy.ndimage.gaussian_filter(
            image, sigma, mode="constant", truncate=reach / sigma
        )
        assert np.abs(theirs - blurred).max() < 1e-5


def test_contrast_leaves_black_and_white(digits):
    ramp = torch.linspace(0, 1, 784).view(1, 1, 28, 28)
    slope, middle = torch.full((1, 1, 1, 1), 8.0), torch.full((1, 1, 1, 1), 0.3)
    after = contrast(0.5 * ramp, slope, middle).flatten()
    assert after[0] == pytest.approx(0, abs=1e-6)
    assert after[-1] == pytest.approx(1, abs=1e-6)
    assert (after.diff() > 0).all()


def test_mixtures_are_of_different_digits(digits):
    chosen = torch.arange(100)
    others = augment.of_another_class(digits, digits.labels[chosen], seeded())
    assert (digits.labels[others] != digits.labels[chosen]).all()


def test_scrambling_loses_no_pixel(digits):
    after = augment.cut_and_shuffled(digits.images, seeded())
    assert torch.equal(*(each.flatten(1).sort(1).values for each in (after, digits.images)))
    assert (after != digits.images).flatten(1).any(1).all()


def test_what_is_rubbed_out_is_gone(digits, monkeypatch):
    monkeypatch.setattr(augment, "draw", lambda batch, count, generator: torch.arange(count))
    left = augment.erased(digits, 100, seeded())
    assert (left <= digits.images + 1e-6).all()
    share = left.sum((1, 2, 3)) / digits.images.sum((1, 2, 3))
    assert (share < 0.55).float().mean() > 0.9


def test_only_digits_that_are_none_are_turned(digits):
    """Labels are told by the images here: each is filled with its digit."""
    labels = torch.arange(10).repeat(5)
    images = (labels / 10).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    made = augment.turned(Batch(images, labels), 90, seeded())
    told = (made[:, 0, 0, 0] * 10).round().int().tolist()
    assert set(told[:60]) == set(augment.QUARTERED)
    assert set(told[60:]) == set(augment.MIRRORED)


def test_smooth_noise_is_standard_and_smooth():
    noise = augment.smooth_noise(torch.zeros(50, 1, 28, 28), 5, seeded())
    assert torch.allclose(noise.std((2, 3)), torch.ones(50, 1))
    assert noise.diff(dim=3).square().mean() < 0.1  # 2 if pixels were independent
