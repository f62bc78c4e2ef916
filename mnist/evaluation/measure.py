"""How good an autoencoder is: everything that can be measured of one, whatever made it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional as F

from mnist.data import Dataset, DataSpec, Split, epoch_order, to_bytes
from mnist.errors import UserError
from mnist.evaluation import metrics
from mnist.evaluation.handwriting import handwriting
from mnist.evaluation.inception import InceptionDistance
from mnist.latent.two_covariance import TwoCovariance
from mnist.methods import METHODS, Step
from mnist.networks import losses
from mnist.networks.fitted import FittedMixture
from mnist.networks.planar import Planar
from mnist.networks.prior import BesideClasses, Density, Marginals, Prior, ks_distance
from mnist.training.run import Run

LEAST_ACCURACY = {"mnist": 0.99}  # of a judge, by data set
COMPARED = 2_000  # generated images whose nearest training images are looked for
VERY_NEAR = 0.01  # the share of test images that lie so near to a training image
PART = 1000  # images that are decoded at once
IMPORTANCE_PART = 20  # images whose likelihood is estimated at once
Numbers = dict[str, float | None]  # None for what such a subject cannot be asked


class Subject(NamedTuple):
    """What is evaluated, whatever made it. None is what it cannot do.

    Attributes:
        spec: of its data set.
        encode: images [B, C, H, W] in [0, 1], labels int64 [B] -> styles [B, N].
        draw: the same, where an image leaves its style open one that is drawn.
        decode: styles, labels -> images in [0, 1], as near to the originals as can be.
        generate: the same, as real as can be.
        classify: images -> log-probabilities of classes [B, K].
        prior: of the styles.
        conditional: whether the labels are heeded.
        finds_classes: whether `classify` tells clusters, of which nobody has said what they are.
        posterior: images, labels -> mean and deviation of normal styles, [B, N] both.
        log_likelihood: images, styles, labels -> log p(x|z) in nats [B].
        invert: as `encode`, but so slow that it is asked of a few images only.
    """

    spec: DataSpec
    encode: Callable[[Tensor, Tensor], Tensor] | None = None
    draw: Callable[[Tensor, Tensor], Tensor] | None = None
    decode: Callable[[Tensor, Tensor], Tensor] | None = None
    generate: Callable[[Tensor, Tensor], Tensor] | None = None
    classify: Callable[[Tensor], Tensor] | None = None
    prior: Prior | None = None
    conditional: bool = False
    finds_classes: bool = False
    posterior: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    log_likelihood: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    invert: Callable[[Tensor, Tensor], Tensor] | None = None


class Budget(NamedTuple):
    """How much is looked at, at most."""

    train: int  # training images, and generated ones that a classifier learns from
    test: int  # test images, and generated ones that are compared with them
    inverted: int  # test images whose styles are looked for by descent


FULL, QUICK = Budget(60_000, 10_000, 500), Budget(6_000, 2_000, 100)
PARZEN_HELD_OUT = 1000  # training images that the windows' width is chosen by
PARZEN_WIDTHS = 0.05, 0.5, 24  # from, to, how many
QUICK_WRITERS = 60  # all of whose test images are looked at


@torch.no_grad()
def measure(
    subject: Subject,
    dataset: Dataset,
    judge: Run,
    *,
    seed: int = 0,
    quick: bool = False,
    ex_post: bool = False,
    parzen: bool = False,
    importance_samples: int | None = None,
    embedding: Run | None = None,
    inception: InceptionDistance | None = None,
    tell: Callable[[], None] = lambda: None,
) -> Numbers:
    """Everything about a subject: the same for the same seed, machine, threads and versions.

    Args:
        subject: what is evaluated.
        dataset: that it was trained on; of its training images the labelled ones are looked at.
        judge: a classifier that had no part in its training.
        seed: of every choice and sample.
        quick: look at fewer images, and train classifiers on fewer.
        ex_post: draw styles from mixtures fitted to the training styles as well: "gmm_...".
        parzen: estimate the likelihood of test images by Parzen windows on generated ones.
        importance_samples: estimate the likelihood of black-and-white test images by so many of
            each.
        embedding: a classifier of the training images' writers, beside which styles are measured
            as handwriting where those are known.
        inception: for the Inception FID.
        tell: called `steps_to_measure(...)` times on the way.

    Returns:
        Numbers by name; the tables of mnist/commands/evaluate.py say what they are. "..._true" is
        that of a true sample of the prior, "..._real" of real images: training images as if they
        were generated.

    Raises:
        UserError: the judge learnt from other images, reads too few real images or has no features;
            or no training image is labelled.
    """
    budget = QUICK if quick else FULL
    generator = torch.Generator().manual_seed(seed)
    accuracy = judged_accuracy(judge, dataset)
    if not len(dataset.train.labelled):
        raise UserError(f"{dataset.name} has no labelled training images, which evaluation needs")
    judge.require_features()
    train = some_of(dataset.train.labelled, budget.train, generator)
    test = some_of(dataset.test, budget.test, generator)
    numbers: Numbers = {"train_images": len(train), "test_images": len(test)}
    numbers["judge_accuracy"] = accuracy
    if subject.classify:
        share = share_in_cluster if subject.finds_classes else share_read
        numbers["accuracy"] = share(subject.classify, dataset.test)
    train_styles = test_styles = None
    if subject.invert and subject.decode:
        few = test.some(slice(budget.inverted))
        numbers["inverted_images"] = len(few)
        numbers |= reconstruction(subject.decode, judge, few, encode(subject.invert, few))
        tell()
    if subject.encode:
        train_means, test_styles = encode(subject.encode, train), encode(subject.encode, test)
        if subject.decode:
            numbers |= reconstruction(subject.decode, judge, test, test_styles)
            tell()
        if importance_samples:
            numbers |= likelihood(subject, test, importance_samples, generator, tell)
        if are_hands(subject, dataset) and train.writers is not None:
            theirs = some_writers(dataset.test, QUICK_WRITERS) if quick else dataset.test
            numbers |= handwriting(
                TwoCovariance.fit(train_means, train.writers),
                theirs,
                encode(subject.encode, theirs),
                encode(lambda images, _: embedding.log_probs(images), theirs)
                if embedding
                else None,
                subject.decode if subject.conditional else None,
                torch.Generator().manual_seed(seed),  # its own: the other numbers stay as they are
            )
            tell()
        # Independence of the class, and the prior, are what a style has as the decoder learnt it.
        train_styles, drawn = train_means, test_styles
        if subject.draw:
            train_styles, drawn = encode(subject.draw, train), encode(subject.draw, test)
        if subject.prior:
            numbers |= prior_match(subject.prior, train_styles, drawn, test.labels, generator)
            tell()
        numbers |= leakage(train_styles, train.labels, drawn, test.labels)
        if subject.draw:
            numbers["leakage_mlp_mean"] = metrics.probe_accuracy(
                train_means.numpy(), train.labels.numpy(), test_styles.numpy(), test.labels.numpy()
            )
        tell()
    if not (subject.generate and subject.prior):
        return numbers

    reals = Reals(judge, train, test, inception)
    numbers |= reals.numbers
    tell()
    learn = partial(learnt_from, test=dataset.test, judge=judge, seed=seed, tell=tell)
    numbers["cas_real"] = learn(train) if learns_anew(judge, quick) else accuracy

    # As many of each class as in the data: a classifier also learns how common they are.
    labels = train.labels[torch.randperm(len(train), generator=generator)]
    styles = subject.prior.sample(len(train), generator)
    generated = decoded(subject.generate, styles, labels)
    numbers |= reals.compare(generated)
    if subject.decode:
        means = decoded(subject.decode, styles[: len(test)], labels[: len(test)])
        numbers["frechet_mean"] = metrics.frechet_distance(reals.features, reals.features_of(means))
        if parzen:
            numbers |= parzen_windows(means, test, dataset)
    tell()
    numbers |= dict.fromkeys(("agreement", "agreement_swapped", "cas"))
    if subject.conditional:
        numbers["agreement"] = share_read(judge.log_probs, generated)
        classes = subject.spec.classes
        if test_styles is not None and classes > 1:
            others = (test.labels + 1 + torch.arange(len(test)) % (classes - 1)) % classes
            swapped = decoded(subject.generate, test_styles, others)
            numbers["agreement_swapped"] = share_read(judge.log_probs, swapped)
        numbers["cas"] = learn(generated)
    if ex_post and train_styles is not None:
        styles = draw_ex_post(train_styles, train.labels, labels, seed)
        generated = decoded(subject.generate, styles, labels)
        found = reals.compare(generated) | {"agreement": share_read(judge.log_probs, generated)}
        tell()
        found["cas"] = learn(generated)
        numbers |= {f"gmm_{name}": value for name, value in found.items()}
    return numbers


def steps_to_measure(
    subject: Subject,
    dataset: Dataset,
    judge: Run,
    quick: bool,
    ex_post: bool,
    importance_samples: int | None = None,
) -> int:
    """How often `measure` tells of its progress."""
    encodes, generates = bool(subject.encode), bool(subject.generate and subject.prior)
    ex_post = ex_post and encodes and generates
    hands = are_hands(subject, dataset)
    steps = encodes * (1 + bool(subject.decode) + bool(subject.prior) + hands)
    steps += bool(subject.invert)
    steps += 2 * generates + ex_post
    if importance_samples:
        budget = QUICK if quick else FULL
        steps += -(-min(budget.test, len(dataset.test)) // IMPORTANCE_PART)
    learns = learns_anew(judge, quick) + subject.conditional
    return steps + judge.epoch * (generates * learns + ex_post)


def writers_known(dataset: Dataset) -> bool:
    """Whether it is known who wrote the images, so that styles can be measured as handwriting."""
    return dataset.train.writers is not None and dataset.test.writers is not None


def are_hands(subject: Subject, dataset: Dataset) -> bool:
    """Whether styles are measured as handwriting: not those that tell the cluster, too."""
    return writers_known(dataset) and not isinstance(subject.prior, BesideClasses)


def learns_anew(judge: Run, quick: bool) -> bool:
    """Whether another classifier must learn from real images, as the judge learnt from others.

    Otherwise the judge itself is the one that learnt from all of them.
    """
    return quick or bool(judge.config["training"].get("patience"))


def judged_accuracy(judge: Run, dataset: Dataset) -> float:
    """Share of a data set's test images that a judge reads right.

    Raises:
        UserError: too few for its opinion of generated ones to mean anything.
    """
    accuracy = share_read(judge.log_probs, dataset.test)
    least = LEAST_ACCURACY.get(dataset.name, 0.0)
    if accuracy < least:
        raise UserError(
            f"the judge reads only {accuracy:.2%} of the test images right, and less than "
            f"{least:.0%} is not enough to judge others: train one by "
            f"./mnist-classifier.py --dataset {dataset.name} --ckpt-dir DIR, and name it by "
            "--judge DIR"
        )
    return accuracy


def reconstruction(
    decode: Callable[[Tensor, Tensor], Tensor], judge: Run, test: Split, styles: Tensor
) -> Numbers:
    """How much of test images their styles [B, N] and classes keep."""
    sums = dict.fromkeys(("mse", "bce", "ssim", "reconstruction_accuracy"), 0.0)
    if min(test.images.shape[1:3]) < metrics.SSIM_WINDOW:
        del sums["ssim"]
    for (images, labels, *_), some in zip(test.batches(PART), styles.split(PART), strict=True):
        rebuilt = decode(some, labels).cpu()
        sums["mse"] += F.mse_loss(rebuilt, images).item() * len(images)
        sums["bce"] += F.binary_cross_entropy(rebuilt, images).item() * len(images)
        if "ssim" in sums:
            sums["ssim"] += metrics.ssim(rebuilt, images).sum().item()
        sums["reconstruction_accuracy"] += (judge.read(rebuilt).cpu() == labels).sum().item()
    return {name: total / len(test) for name, total in sums.items()}


def prior_match(
    prior: Prior, train: Tensor, test: Tensor, labels: Tensor, generator: torch.Generator
) -> Numbers:
    """How far styles [B, N] of training and of test images, the latter of classes [B], are from
    their prior; and how far a true sample of it is that is as large."""
    reference = prior.sample(len(test), generator)
    kernel = metrics.rbf(prior.std * prior.feature_size**0.5)
    numbers: Numbers = {}
    true = [prior.sample(len(styles), generator) for styles in (train, test)]
    for suffix, (of_train, of_test) in {"": (train, test), "_true": true}.items():
        found = {}
        if isinstance(prior, Marginals):
            ks = ks_distance(of_test, prior.cdf)
            by_class = metrics.ks_distance_by_class(of_test, labels, prior.cdf)
            found = {
                "ks_worst": ks.max().item(),
                "ks_mean": ks.mean().item(),
                "ks_digit_worst": by_class.max().item(),
                "ks_train_worst": ks_distance(of_train, prior.cdf).max().item(),
            }
        found |= {
            "wasserstein": metrics.sliced_wasserstein(of_test, reference, generator),
            "mmd": metrics.squared_mmd(of_test, reference, kernel),
        }
        numbers |= {name + suffix: value for name, value in found.items()}
    if isinstance(prior, Planar):
        many = prior.sample(len(train), generator)
        for suffix, styles in {"": train, "_true": true[0]}.items():
            distance = metrics.sliced_wasserstein(styles, many, generator)
            numbers[f"wasserstein_train{suffix}"] = distance
        if prior.parts_are_classes:
            own = prior.sample(len(test), generator, labels)
            for suffix, styles in {"": test, "_true": own}.items():
                right = prior.nearest_part(styles) == labels
                numbers[f"part_accuracy{suffix}"] = right.double().mean().item()
    # Of other priors not all dimensions are alike.
    std = test.std(0) / (prior.std if isinstance(prior, Marginals) else reference.std(0))
    return numbers | {"std_least": std.min().item(), "std_most": std.max().item()}


def leakage(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> Numbers:
    """How often the classes of test images are read off their styles [B, N]."""
    arrays = train.numpy(), train_labels.numpy(), test.numpy(), test_labels.numpy()
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

    def __init__(self, judge: Run, train: Split, test: Split, inception: InceptionDistance | None):
        self.judge, self.inception = judge, inception
        self.test = test
        self.train_pixels = pixels(train)
        self.features = self.features_of(test)
        near = self.nearest_of(test)
        self.very_near = near.quantile(VERY_NEAR).item()
        self.numbers = {
            f"{name}_real": value for name, value in self.compare_features(train).items()
        } | {"nearest_real": near.median().item(), "very_near_real": VERY_NEAR}

    def features_of(self, split: Split) -> Tensor:
        """[B, F], what the judge's last layer sees of images."""
        return torch.cat([self.judge.features(images).cpu() for images, *_ in split.batches()])

    def nearest_of(self, split: Split) -> Tensor:
        """Euclidean distances of some images' pixels to those of the nearest training image."""
        return metrics.nearest(pixels(split.some(slice(COMPARED))), self.train_pixels)

    def compare_features(self, split: Split) -> Numbers:
        """The first ones of these images with the test images, in features."""
        features = self.features_of(split.some(slice(len(self.test))))
        precision, recall = metrics.precision_recall(self.features, features)
        return {
            "frechet": metrics.frechet_distance(self.features, features),
            "kernel": metrics.squared_mmd(self.features, features, metrics.cubic),
            "precision": precision,
            "recall": recall,
        }

    def compare(self, generated: Split) -> Numbers:
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


def likelihood(
    subject: Subject,
    test: Split,
    samples: int,
    generator: torch.Generator,
    tell: Callable[[], None],
) -> Numbers:
    """The log-likelihood of test images by importance sampling, and its standard error.

    Pixels are made black or white as often as they are dark, as in the literature, by a generator
    of its own, so that all runs are asked for the same images.
    """
    assert subject.posterior
    assert subject.log_likelihood
    assert isinstance(subject.prior, Density)
    log_likelihood, rng = subject.log_likelihood, torch.Generator().manual_seed(0)
    found = []
    for batch in test.batches(IMPORTANCE_PART):
        images, labels = batch.images.bernoulli(generator=rng), batch.labels

        def likely(images: Tensor, styles: Tensor, labels: Tensor = labels) -> Tensor:
            count = len(styles)
            of_each = log_likelihood(
                images.repeat(count, 1, 1, 1), styles.flatten(0, 1), labels.repeat(count)
            )
            return of_each.unflatten(0, styles.shape[:2])

        found.append(
            metrics.importance_log_likelihood(
                images,
                Normal(*subject.posterior(images, labels), validate_args=False),
                subject.prior.log_prob,
                likely,
                samples,
                generator,
            )
        )
        tell()
    nats = torch.cat(found)
    return {
        "likelihood": nats.mean().item(),
        "likelihood_error": nats.std().item() / len(nats) ** 0.5,
    }


def parzen_windows(generated: Split, test: Split, dataset: Dataset) -> Numbers:
    """The log-likelihood of test images by windows on generated ones, and its standard error.

    Their width is the best for the last training images of each class, which a run has seen unless
    `--hold-out` kept them from it.
    """
    held_out = dataset.hold_out(min(PARZEN_HELD_OUT, len(dataset.train) // 2)).held_out
    assert held_out is not None
    samples, chosen_by = pixels(generated), pixels(held_out)

    def likelihood(width: float) -> float:
        return metrics.parzen_log_likelihood(chosen_by, samples, width).mean().item()

    width = max(np.geomspace(*PARZEN_WIDTHS).tolist(), key=likelihood)
    found = metrics.parzen_log_likelihood(pixels(test), samples, width)
    return {
        "parzen": found.mean().item(),
        "parzen_error": found.std().item() / len(found) ** 0.5,
        "parzen_width": width,
    }


def learnt_from(
    split: Split, *, test: Split, judge: Run, seed: int, tell: Callable[[], None]
) -> float:
    """Share of real test images that a classifier reads which learnt from these images alone.

    Of generated ones it is the classification accuracy score of Ravuri & Vinyals 2019 (arXiv
    1905.10887). The classifier and its training are the judge's, but for the seed.
    """
    epochs, size = judge.epoch, min(judge.config["training"]["batch_size"], len(split))
    kind = METHODS[judge.config["method"]]
    classifier = kind(judge.spec, **judge.method.config | {"seed": seed}).to(judge.device)
    split = split.to(judge.device)
    steps = len(split) // size
    for epoch in range(epochs):
        order = epoch_order(len(split), seed, epoch).to(judge.device)
        for step, batch in enumerate(split.in_order(order, size)):
            done = epoch * steps + step
            with torch.enable_grad():
                classifier.step(batch, Step(done, done / (epochs * steps)))
        tell()
    return share_read(classifier.eval().classify, test.to(judge.device))


def draw_ex_post(styles: Tensor, labels: Tensor, wanted: Tensor, seed: int) -> Tensor:
    """Styles [B, N] for wanted classes [B], from a Gaussian mixture of each class's styles.

    Ghosh, Sajjadi, Vergari, Black & Schölkopf 2020 (arXiv 1903.12436): where styles do
    not follow the prior, a density that is fitted to them afterwards draws better ones.
    """
    drawn = styles.new_empty(len(wanted), styles.shape[1])
    generator = torch.Generator().manual_seed(seed)
    for label in wanted.unique():
        known, there = styles[labels == label], wanted == label
        if len(known) < 2:  # of which there is no density: the style that there is
            drawn[there] = known[0]
            continue
        mixture = FittedMixture(styles.shape[1])
        mixture.fit(known, seed)
        drawn[there] = mixture.sample(int(there.sum()), generator)
    return drawn


def share_read(read: Callable[[Tensor], Tensor], split: Split) -> float:
    """Share of images whose class has the largest of their logits, [B, C, H, W] -> [B, K]."""
    right = 0
    for images, labels, *_ in split.batches():
        answers = read(images).argmax(1)
        right += int((answers == labels.to(answers.device)).sum())
    return right / len(split)


def share_in_cluster(read: Callable[[Tensor], Tensor], split: Split) -> float:
    """Share of images in a cluster of their class, by `losses.cluster_accuracy`; likewise."""
    logits = torch.cat([read(images).cpu() for images, *_ in split.batches()])
    return losses.cluster_accuracy(logits, split.labels.cpu()).item()


def encode(read: Callable[[Tensor, Tensor], Tensor], split: Split) -> Tensor:
    """The styles of images, [B, N]."""
    batches = split.batches()
    return torch.cat([read(batch.images, batch.labels).cpu() for batch in batches])


def decoded(write: Callable[[Tensor, Tensor], Tensor], styles: Tensor, labels: Tensor) -> Split:
    """Styles [B, N] written as these classes [B], as 8-bit images like the real ones."""
    parts = zip(styles.split(PART), labels.split(PART), strict=True)
    return Split(torch.cat([to_bytes(write(*part)).cpu() for part in parts]), labels)


def some_of(split: Split, count: int, generator: torch.Generator) -> Split:
    """So many of these at random, in a random order; all where there are no more."""
    return split.some(torch.randperm(len(split), generator=generator)[:count])


def some_writers(split: Split, count: int) -> Split:
    """The images by the first writers of a split."""
    assert split.writers is not None
    return split.some(torch.isin(split.writers, split.writers.unique()[:count]))


def pixels(split: Split) -> Tensor:
    """Images as points, float32 [B, C·H·W] in [0, 1]."""
    return split.batch(slice(None)).images.flatten(1)
