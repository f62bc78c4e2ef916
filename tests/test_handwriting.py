"""Styles as handwriting: closed forms, and SciPy and scikit-learn as a second opinion."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score
from torch import Tensor

from mnist.data import Split
from mnist.evaluation import handwriting
from mnist.latent.two_covariance import TwoCovariance

BETWEEN = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=torch.float64)
WITHIN = torch.tensor([[0.6, -0.2], [-0.2, 0.8]], dtype=torch.float64)
MODEL = TwoCovariance(torch.tensor([0.5, -1.0], dtype=torch.float64), BETWEEN, WITHIN)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def normal(covariance, count, rng):
    """Draws of N(0, covariance), [count, N]."""
    noise = torch.randn(count, len(covariance), generator=rng, dtype=torch.float64)
    return noise @ torch.linalg.cholesky(covariance).T


def drawn(writers, each, rng):
    """(styles, labels, writers) of the model, `each` images by each writer, of classes in turn."""
    who = torch.arange(writers).repeat_interleave(each)
    own = MODEL.mean + normal(BETWEEN, writers, rng)
    styles = own[who] + normal(WITHIN, writers * each, rng)
    return styles, torch.arange(writers * each) % each % 10, who


# --- the two-covariance model ---------------------------------------------------------------------


def test_likelihood_ratio_is_that_of_the_gaussians():
    a, b = torch.randn(3, 2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    ratios = MODEL.log_likelihood_ratio(a, b)
    mean, between, within = (part.numpy() for part in MODEL)
    total = between + within
    alone = multivariate_normal(mean, total)
    pair = multivariate_normal(
        np.concatenate([mean, mean]), np.block([[total, between], [between, total]])
    )
    for i, j in itertools.product(range(3), range(4)):
        expected = (
            pair.logpdf(np.concatenate([a[i], b[j]])) - alone.logpdf(a[i]) - alone.logpdf(b[j])
        )
        assert ratios[i, j].item() == pytest.approx(expected, abs=1e-9)


def test_a_writers_style_is_conditioned_on_all_images_at_once(rng):
    count = 3
    styles = torch.randn(4, count, 2, generator=rng, dtype=torch.float64)
    mean, covariance = MODEL.writers_style(styles.mean(1), count)
    seen = torch.kron(torch.ones(count, count, dtype=torch.float64), BETWEEN)
    seen += torch.block_diag(*[WITHIN] * count)
    cross = BETWEEN.repeat(1, count)  # of h with the images, one after the other
    gain = cross @ torch.linalg.inv(seen)
    expected = MODEL.mean + (styles - MODEL.mean).flatten(1) @ gain.T
    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(covariance, BETWEEN - gain @ cross.T)


def test_the_model_is_recovered_from_unequal_numbers_of_images(rng):
    styles, _, who = drawn(4000, 6, rng)
    kept = torch.rand(len(who), generator=rng) < 0.3 + 0.6 * (who % 2)
    fitted = TwoCovariance.fit(styles[kept], who[kept])
    # Standard errors: about 0.02 of a mean or a covariance of 4,000 writers, and half of it within.
    torch.testing.assert_close(fitted.mean, MODEL.mean, atol=0.08, rtol=0)
    torch.testing.assert_close(fitted.between, BETWEEN, atol=0.12, rtol=0)
    torch.testing.assert_close(fitted.within, WITHIN, atol=0.06, rtol=0)


def test_writers_that_do_not_differ_have_no_negative_variance(rng):
    styles = torch.randn(60, 3, generator=rng)
    fitted = TwoCovariance.fit(styles, torch.arange(60) // 2)
    assert torch.linalg.eigvalsh(fitted.between).min() > -1e-12
    mean, covariance = fitted.writers_style(styles.view(30, 2, 3).mean(1), 2)
    assert mean.isfinite().all()
    assert covariance.isfinite().all()


@pytest.mark.parametrize("writers", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_no_model_of_one_writer_or_of_single_images(writers):
    with pytest.raises(ValueError, match="say nothing of handwritings"):
        TwoCovariance.fit(torch.randn(4, 2), torch.tensor(writers))


# --- do styles of one writer lie together? --------------------------------------------------------


def test_auc_against_scikit_learn(rng, monkeypatch):
    monkeypatch.setattr(handwriting, "PART", 7)  # several parts, the last of them smaller
    styles = torch.randint(3, (40, 2), generator=rng).double()  # so that there are ties
    labels, writers = torch.randint(4, (2, 40), generator=rng)

    def nearness(some: Tensor, others: Tensor) -> Tensor:  # exact, so that ties are ties
        return -(some.unsqueeze(1) - others).square().sum(2)

    found = handwriting.same_writer_auc(nearness, styles, labels, writers)
    pairs = [(i, j) for i, j in itertools.combinations(range(40), 2) if labels[i] != labels[j]]
    same = [bool(writers[i] == writers[j]) for i, j in pairs]
    near = [-(styles[i] - styles[j]).square().sum().item() for i, j in pairs]
    assert found == pytest.approx(roc_auc_score(same, near), abs=1e-9)


def test_auc_is_one_for_identical_styles_and_half_for_shuffled_writers(rng):
    styles, labels, who = drawn(30, 20, rng)
    own = torch.randn(30, 2, generator=rng)[who]
    auc = handwriting.same_writer_auc
    assert auc(handwriting.nearness, own, labels, who) == 1
    shuffled = who[torch.randperm(len(who), generator=rng)]
    # Of 600 images by 30 writers its standard deviation was 0.006 over 200 seeds.
    assert auc(handwriting.nearness, styles, labels, shuffled) == pytest.approx(0.5, abs=0.025)
    assert auc(handwriting.nearness, styles, labels, who) > 0.6
    assert np.isnan(auc(handwriting.nearness, styles, labels, torch.zeros_like(who)))


def test_no_score_is_better_than_the_likelihood_ratio(rng):
    """Neyman & Pearson 1933: of all scores, the ratio under the true model separates best."""
    of = drawn(300, 20, rng)
    ratio = handwriting.same_writer_auc(MODEL.log_likelihood_ratio, *of)
    assert ratio > handwriting.same_writer_auc(handwriting.nearness, *of) + 0.01
    assert ratio > handwriting.same_writer_auc(handwriting.cosine, *of) + 0.01


def test_writers_are_found_by_their_other_classes(rng):
    own = torch.randn(50, 3, generator=rng)
    who = torch.arange(50).repeat_interleave(10)
    labels = torch.arange(500) % 10
    found_among_nearest = partial(handwriting.found_among_nearest, handwriting.nearness)
    assert found_among_nearest(own[who], labels, who, 1) == 1
    noise = torch.randn(500, 3, generator=rng)
    # 50 writers, a fifth of them by chance.
    found = found_among_nearest(noise, labels, who, 10)
    assert found == pytest.approx(0.2, abs=4 * (0.2 * 0.8 / 50) ** 0.5)
    one_half_only = labels.clone()
    one_half_only[who == 0] = 1
    assert found_among_nearest(own[who], one_half_only, who, 1) == 1
    # Styles that are all alike say nothing of their writers.
    assert found_among_nearest(torch.zeros(500, 3), labels, who, 10) == pytest.approx(0.2)
    assert math.isnan(found_among_nearest(torch.full((500, 3), math.nan), labels, who, 10))


def test_the_likelihood_ratio_finds_writers_in_spite_of_what_images_differ_in(rng):
    """A third dimension says nothing of writers, and drowns the other two in Euclidean distance."""
    who = torch.arange(50).repeat_interleave(10)
    labels = torch.arange(500) % 10
    styles = torch.randn(50, 3, generator=rng)[who] + 0.1 * torch.randn(500, 3, generator=rng)
    styles[:, 2] = 30 * torch.randn(500, generator=rng)
    model = TwoCovariance.fit(styles, who)
    scores = handwriting.nearness, model.log_likelihood_ratio
    near, likely = (
        handwriting.found_among_nearest(score, styles, labels, who, 5) for score in scores
    )
    assert near < 0.4 < 0.9 < likely


# --- does a digit in somebody's style look like theirs? -------------------------------------------


def decode(styles, labels):
    """Images of 2×2 pixels that show the style, and the class."""
    return torch.stack([*styles.T, labels / 10, labels / 10], 1).view(-1, 1, 2, 2).float()


def split_of(styles, labels, writers):
    """Images as they are decoded, in bytes as if the styles were from 0 to 1."""
    return Split(decode(styles, labels).mul(255).round().byte().squeeze(1), labels, writers)


def test_transfer_against_a_loop(rng):
    styles = torch.rand(60, 2, generator=rng).double()
    labels, writers = torch.randint(3, (60,), generator=rng), torch.arange(60) % 4
    split = split_of(styles, labels, writers)
    found = handwriting.transfer(decode, MODEL, styles, split)
    errors = {name: [] for name in ("zero", "own", "another", "same", "likeliest")}
    images = split.batch(slice(None)).images
    for i in range(60):
        theirs, label = writers == writers[i], labels[i]
        others = writers == (writers[i] + 1) % 4
        alike = theirs & (labels == label)
        alike[i] = False
        known = {
            "own": theirs & (labels != label),
            "another": others & (labels != label),
            "same": alike,
        }
        if not all(chosen.any() for chosen in known.values()):
            continue
        mean = {name: styles[chosen].mean(0) for name, chosen in known.items()}
        count = int(known["own"].sum())
        mean["likeliest"] = MODEL.writers_style(mean["own"][None], count)[0][0]
        for name, style in ({"zero": torch.zeros(2)} | mean).items():
            written = decode(style[None].float(), labels[i : i + 1])
            errors[name].append((written - images[i]).square().mean().item())
    means = {name: np.mean(each) for name, each in errors.items()}
    for name, mean in means.items():
        assert found[f"hand_{name}"] == pytest.approx(mean, rel=1e-5)
    wins = np.mean(
        [own < another for own, another in zip(errors["own"], errors["another"], strict=True)]
    )
    assert found["hand_wins"] == pytest.approx(wins)
    share = (means["zero"] - means["own"]) / (means["zero"] - means["same"])
    assert found["hand_transfer"] == pytest.approx(share, rel=1e-4)


def test_transfer_is_whole_where_a_writer_has_one_style(rng):
    own = torch.rand(20, 2, generator=rng).double()
    who = torch.arange(20).repeat_interleave(20)
    found = handwriting.transfer(
        decode, MODEL, own[who], split_of(own[who], torch.arange(400) % 10, who)
    )
    assert found["hand_transfer"] == pytest.approx(1, abs=1e-6)
    assert found["hand_wins"] > 0.95  # two writers' styles may be alike
    assert found["hand_own"] == pytest.approx(0, abs=1e-5)


def test_the_more_images_are_known_the_nearer_by_what_the_model_says(rng):
    styles, labels, who = drawn(400, 30, rng)
    scaled = TwoCovariance(*(MODEL.mean * 0.05 + 0.5, BETWEEN * 0.05**2, WITHIN * 0.05**2))
    styles = styles * 0.05 + 0.5
    split = split_of(styles, labels, who)
    found = handwriting.by_images_known(decode, scaled, styles, split, rng)
    errors = [found[f"hand_from_{count}"] for count in handwriting.SEVERAL]
    assert errors == sorted(errors, reverse=True)
    for count, error in zip(handwriting.SEVERAL, errors, strict=True):
        left = scaled.writers_style(styles[:1], count)[1]
        # Two of four pixels differ, by what is left open of the writer and by the image's own part.
        assert error == pytest.approx((left + scaled.within).trace().item() / 4, rel=0.06)


def test_nothing_is_said_where_nobody_wrote_enough(rng):
    styles, labels, who = drawn(5, 10, rng)
    found = handwriting.by_images_known(decode, MODEL, styles, split_of(styles, labels, who), rng)
    assert found == {}


def test_what_too_few_images_do_not_say_is_none(rng):
    styles, labels, who = drawn(4, 1, rng)
    split = split_of(styles, labels, who)
    found = handwriting.handwriting(MODEL, split, styles, None, decode, rng)
    assert (found["writers"], found["writer_found_chance"]) == (4, 1)
    assert found["writer_auc"] is found["writer_found"] is None
    assert "hand_transfer" not in found
