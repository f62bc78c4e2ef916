"""How good an autoencoder is: everything that can be measured of one, whatever made it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mnist.data import CLASSES, Dataset, Digits, epoch_order, to_bytes
from mnist.errors import Problem
from mnist.evaluation import metrics
from mnist.evaluation.inception import InceptionDistance
from mnist.methods import METHODS
from mnist.networks.prior import Gaussian, ks_distance
from mnist.training.run import Reader

LEAST_ACCURACY = 0.99  # of a judge, on the full MNIST
COMPONENTS = 10  # of the Gaussian mixture of a digit's styles
COMPARED = 2_000  # generated images whose nearest training images are looked for
VERY_NEAR = 0.01  # the share of test images that lie so near to a training image
PART = 1000  # images that are decoded at once
Numbers = dict[str, float | None]  # None for what such a subject cannot be asked


class Subject(NamedTuple):
    """What is evaluated, whatever made it.

    Attributes:
        encode: images [B, 1, 28, 28] in [0, 1], digits int64 [B] -> styles [B, N].
        decode: styles, digits -> images in [0, 1], as near to the originals as can be.
        generate: the same, as real as can be.
        prior: of the styles.
        labels: whether the digits are heeded.
    """

    encode: Callable[[Tensor, Tensor], Tensor]
    decode: Callable[[Tensor, Tensor], Tensor]
    generate: Callable[[Tensor, Tensor], Tensor]
    prior: Gaussian
    labels: bool


class Budget(NamedTuple):
    """How much is looked at, at most."""

    train: int  # training images, and generated ones that a classifier learns from
    test: int  # test images, and generated ones that are compared with them


FULL, QUICK = Budget(60_000, 10_000), Budget(6_000, 2_000)


@torch.no_grad()
def measure(
    subject: Subject,
    dataset: Dataset,
    judge: Reader,
    *,
    seed: int = 0,
    quick: bool = False,
    ex_post: bool = False,
    inception: InceptionDistance | None = None,
    tell: Callable[[], None] = lambda: None,
) -> Numbers:
    """Everything about a subject: the same for the same seed, machine, threads and versions.

    Args:
        subject: what is evaluated.
        dataset: that it was trained on.
        judge: a classifier that had no part in its training.
        seed: of every choice and sample.
        quick: look at fewer images, and train classifiers on fewer.
        ex_post: draw styles from mixtures fitted to the training styles as well: "gmm_...".
        inception: for the Inception FID.
        tell: called `steps_to_measure(...)` times on the way.

    Returns:
        Numbers by name; the tables of mnist/evaluate.py say what they are. "..._true" is that of a
        true sample of the prior, "..._real" of real images: training images as if generated.

    Raises:
        Problem: the judge learnt from other images, or reads too few real digits.
    """
    budget = QUICK if quick else FULL
    generator = torch.Generator().manual_seed(seed)
    accuracy = judged_accuracy(judge, dataset)
    train = some_of(dataset.train, budget.train, generator)
    test = some_of(dataset.test, budget.test, generator)
    numbers: Numbers = {"train_images": len(train), "test_images": len(test)}
    numbers["judge_accuracy"] = accuracy
    train_styles, test_styles = encode(subject, train), encode(subject, test)
    numbers |= reconstruction(subject, judge, test, test_styles)
    tell()
    numbers |= prior_match(subject.prior, train_styles, test_styles, test.labels, generator)
    tell()
    numbers |= leakage(train_styles, train.labels, test_styles, test.labels)
    tell()

    reals = Reals(judge, train, test, inception)
    numbers |= reals.numbers
    tell()
    if learns_anew(judge, quick):
        numbers["cas_real"] = learnt_from(train, dataset.test, judge, seed, tell)
    else:
        numbers["cas_real"] = accuracy

    # As many of each digit as in the data: a classifier also learns how common they are.
    digits = train.labels[torch.randperm(len(train), generator=generator)]
    styles = subject.prior.sample(len(train), generator)
    generated = decoded(subject.generate, styles, digits)
    numbers |= reals.compare(generated)
    means = decoded(subject.decode, styles[: len(test)], digits[: len(test)])
    numbers["frechet_mean"] = metrics.frechet_distance(reals.features, reals.features_of(means))
    tell()
    numbers |= dict.fromkeys(("agreement", "agreement_swapped", "cas"))
    if subject.labels:
        others = (test.labels + 1 + torch.arange(len(test)) % (CLASSES - 1)) % CLASSES
        swapped = decoded(subject.generate, test_styles, others)
        numbers["agreement"] = share_read(judge.log_probs, generated)
        numbers["agreement_swapped"] = share_read(judge.log_probs, swapped)
        numbers["cas"] = learnt_from(generated, dataset.test, judge, seed, tell)
    if ex_post:
        styles = draw_ex_post(train_styles, train.labels, digits, seed)
        generated = decoded(subject.generate, styles, digits)
        found = reals.compare(generated) | {"agreement": share_read(judge.log_probs, generated)}
        tell()
        found["cas"] = learnt_from(generated, dataset.test, judge, seed, tell)
        numbers |= {f"gmm_{name}": value for name, value in found.items()}
    return numbers


def steps_to_measure(subject: Subject, judge: Reader, quick: bool, ex_post: bool) -> int:
    """How often `measure` tells of its progress."""
    return 5 + ex_post + judge.epoch * (learns_anew(judge, quick) + subject.labels + ex_post)


def learns_anew(judge: Reader, quick: bool) -> bool:
    """Whether another classifier must learn from real images, as the judge learnt from others.

    Otherwise the judge itself is the one that learnt from all of them.
    """
    return quick or bool(judge.config["training"].get("patience"))


def judged_accuracy(judge: Reader, dataset: Dataset) -> float:
    """Share of a data set's test images that a judge reads right.

    Raises:
        Problem: too few for its opinion of generated ones to mean anything; or it learnt from
            another data set, which may have them among its training images.
    """
    learnt = judge.config["training"]
    if learnt["dataset_sha256"] != dataset.sha256:
        raise Problem(
            f"the judge was trained on {learnt['dataset']} and the run on {dataset.name}: train "
            f"one by ./mnist-classifier.py --dataset {dataset.name} --ckpt-dir DIR, and name it "
            "by --judge DIR"
        )
    accuracy = share_read(judge.log_probs, dataset.test)
    if dataset.name == "mnist" and accuracy < LEAST_ACCURACY:
        raise Problem(
            f"the judge reads only {accuracy:.2%} of MNIST's test images right, and less than "
            f"{LEAST_ACCURACY:.0%} is not enough to judge others: train one by "
            "./mnist-classifier.py --dataset mnist --ckpt-dir DIR, and name it by --judge DIR"
        )
    return accuracy


def reconstruction(subject: Subject, judge: Reader, test: Digits, styles: Tensor) -> Numbers:
    """How much of an image its style and digit keep."""
    sums = dict.fromkeys(("mse", "bce", "ssim", "reconstruction_accuracy"), 0.0)
    for (images, labels), some in zip(test.batches(PART), styles.split(PART), strict=True):
        rebuilt = subject.decode(some, labels)
        sums["mse"] += F.mse_loss(rebuilt, images).item() * len(images)
        sums["bce"] += F.binary_cross_entropy(rebuilt, images).item() * len(images)
        sums["ssim"] += metrics.ssim(rebuilt, images).sum().item()
        sums["reconstruction_accuracy"] += (judge.read(rebuilt) == labels).sum().item()
    return {name: total / len(test) for name, total in sums.items()}


def prior_match(
    prior: Gaussian, train: Tensor, test: Tensor, labels: Tensor, generator: torch.Generator
) -> Numbers:
    """How far styles [B, N] of training and of test images, the latter of digits [B], are from
    their prior; and how far a true sample of it is that is as large."""
    reference = prior.sample(len(test), generator)
    kernel = metrics.rbf(prior.std * prior.feature_size**0.5)
    numbers: Numbers = {}
    true = [prior.sample(len(styles), generator) for styles in (train, test)]
    for suffix, (of_train, of_test) in {"": (train, test), "_true": true}.items():
        ks = ks_distance(of_test, prior.cdf)
        by_digit = metrics.ks_distance_by_digit(of_test, labels, prior.cdf)
        found = {
            "ks_worst": ks.max().item(),
            "ks_mean": ks.mean().item(),
            "ks_digit_worst": by_digit.max().item(),
            "ks_train_worst": ks_distance(of_train, prior.cdf).max().item(),
            "wasserstein": metrics.sliced_wasserstein(of_test, reference, generator),
            "mmd": metrics.squared_mmd(of_test, reference, kernel),
        }
        numbers |= {name + suffix: value for name, value in found.items()}
    std = test.std(0) / prior.std
    return numbers | {"std_least": std.min().item(), "std_most": std.max().item()}


def leakage(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> Numbers:
    """How often the digits of test images are read off their styles [B, N]."""
    arrays = [part.numpy() for part in (train, train_labels, test, test_labels)]
    return {
        "leakage_logistic": metrics.logistic_accuracy(*arrays),
        "leakage_knn": metrics.knn_accuracy(train, train_labels, test, test_labels),
        "leakage_mlp": metrics.probe_accuracy(*arrays),
        "leakage_chance": metrics.chance(test_labels.numpy()),
    }


class Reals:
    """Real images, and how generated ones compare with them.

    Args:
        judge: in whose features.
        train, test: the real images, in a random order.
        inception: for the Inception FID, if it is asked for.

    Attributes:
        numbers: of training images compared with test images, as if they were generated. The judge
            has seen the one and not the other, so its features tell them apart a little.
    """

    def __init__(
        self, judge: Reader, train: Digits, test: Digits, inception: InceptionDistance | None
    ):
        self.judge, self.inception = judge, inception
        self.test = test
        self.train_pixels = pixels(train)
        self.features = self.features_of(test)
        near = self.nearest_of(test)
        self.very_near = near.quantile(VERY_NEAR).item()
        self.numbers = {
            f"{name}_real": value for name, value in self.compare_features(train).items()
        } | {"nearest_real": near.median().item(), "very_near_real": VERY_NEAR}

    def features_of(self, digits: Digits) -> Tensor:
        """[B, F], what the judge's last layer sees of images."""
        return torch.cat([self.judge.features(images) for images, _ in digits.batches()])

    def nearest_of(self, digits: Digits) -> Tensor:
        """Euclidean distances of some images' pixels to those of the nearest training image."""
        return metrics.nearest(pixels(digits.some(slice(COMPARED))), self.train_pixels)

    def compare_features(self, digits: Digits) -> Numbers:
        """The first ones of these images with the test images, in features."""
        features = self.features_of(digits.some(slice(len(self.test))))
        precision, recall = metrics.precision_recall(self.features, features)
        return {
            "frechet": metrics.frechet_distance(self.features, features),
            "kernel": metrics.squared_mmd(self.features, features, metrics.cubic),
            "precision": precision,
            "recall": recall,
        }

    def compare(self, generated: Digits) -> Numbers:
        """The numbers of generated images."""
        near = self.nearest_of(generated)
        found: Numbers = self.compare_features(generated) | {
            "nearest": near.median().item(),
            # Means are near to everything, so only images as sharp as real ones say something.
            "very_near": (near < self.very_near).double().mean().item(),
        }
        if self.inception:
            some = generated.some(slice(len(self.test)))
            found["inception"] = self.inception.distance(self.test, some)
        return found


def learnt_from(
    digits: Digits, test: Digits, judge: Reader, seed: int, tell: Callable[[], None]
) -> float:
    """Share of real test images that a classifier reads which learnt from these digits alone.

    Of generated ones it is the classification accuracy score of Ravuri & Vinyals 2019 (arXiv
    1905.10887). The classifier and its training are the judge's, but for the seed.
    """
    epochs, size = judge.epoch, min(judge.config["training"]["batch_size"], len(digits))
    classifier = METHODS["classifier"](**judge.config["model"] | {"seed": seed})
    steps = len(digits) // size
    for epoch in range(epochs):
        order = epoch_order(len(digits), seed, epoch)
        for step in range(steps):
            batch = digits.batch(order[step * size : (step + 1) * size])
            with torch.enable_grad():
                classifier.step(batch, (epoch + step / steps) / epochs)
        tell()
    return share_read(classifier.eval().classifier, test)


def draw_ex_post(styles: Tensor, labels: Tensor, digits: Tensor, seed: int) -> Tensor:
    """Styles [B, N] for these digits [B], from a Gaussian mixture of each digit's styles.

    Ghosh, Sajjadi, Vergari, Black & Schölkopf 2020 (arXiv 1903.12436): where styles do
    not follow the prior, a density that is fitted to them afterwards draws better ones.
    """
    from sklearn.exceptions import ConvergenceWarning  # late: a second to import
    from sklearn.mixture import GaussianMixture

    drawn = styles.new_empty(len(digits), styles.shape[1])
    for digit in digits.unique():
        known, wanted = styles[labels == digit], digits == digit
        mixture = GaussianMixture(min(COMPONENTS, len(known)), random_state=seed)
        with warnings.catch_warnings():
            # Converged or not, it is a density; its steps are so small by then.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(known.double().numpy())
        sample, _ = mixture.sample(int(wanted.sum()))
        order = np.random.default_rng(seed).permutation(len(sample))  # they come by component
        drawn[wanted] = torch.from_numpy(sample[order]).to(styles.dtype)
    return drawn


def share_read(read: Callable[[Tensor], Tensor], digits: Digits) -> float:
    """Share of images whose digit has the largest of their logits, [B, 1, 28, 28] -> [B, 10]."""
    batches = digits.batches()
    right = sum((read(images).argmax(1) == labels).sum().item() for images, labels in batches)
    return right / len(digits)


def encode(subject: Subject, digits: Digits) -> Tensor:
    """The styles of images, [B, N]."""
    return torch.cat([subject.encode(*batch) for batch in digits.batches()])


def decoded(write: Callable[[Tensor, Tensor], Tensor], styles: Tensor, digits: Tensor) -> Digits:
    """Styles [B, N] written as these digits [B], as 8-bit images like the real ones."""
    parts = zip(styles.split(PART), digits.split(PART), strict=True)
    return Digits(torch.cat([to_bytes(write(*part)) for part in parts]), digits)


def some_of(digits: Digits, count: int, generator: torch.Generator) -> Digits:
    """So many of these at random, in a random order; all where there are no more."""
    return digits.some(torch.randperm(len(digits), generator=generator)[:count])


def pixels(digits: Digits) -> Tensor:
    """Images as points, float32 [B, 784] in [0, 1]."""
    return digits.batch(slice(None)).images.flatten(1)
