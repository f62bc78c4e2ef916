"""The AAE whose encoder tells class and style apart: with few labels, or with none at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mnist.data.augment import distorted
from mnist.data.neighbours import nearest_neighbours
from mnist.data.spec import DataSpec
from mnist.data.types import Batch, Dataset, Split, in_turns
from mnist.errors import UserError
from mnist.methods.base import Method, Step, cosine
from mnist.networks import losses
from mnist.networks.categorical import CategoricalEncoder, apart
from mnist.networks.decoder import Decoder
from mnist.networks.discriminator import Discriminator
from mnist.networks.layers import statistics_kept
from mnist.networks.player import Player
from mnist.networks.prior import AboutHeads, BesideClasses, Gaussian, Prior
from mnist.networks.random import child_seed
from mnist.networks.virtual_adversarial import to_nearest, virtual_adversarial_loss
from mnist.options import Count, CountOrAll, Positive, Several, Share, Sizes, Weight

NEIGHBOURS = 5


class CategoricalAAE(Method):
    """Makhzani, Shlens, Jaitly, Goodfellow & Frey 2015, arXiv 1511.05644, sections 5 to 7.

    The encoder gives a class y, a distribution over K of them, and a style z; the decoder makes the
    image of both. Two discriminators see to it that y looks like one of K, and z like a Gaussian;
    where a label is known, y is to be that (section 5). Without labels y are clusters (section 6).
    With heads the decoder is given W y + z alone, a point of a plane, or of N dimensions, in which
    each class or cluster is a cloud about its head, a column of W (section 7).

    Not in the paper: `independent`, `vat_weight`, `distort`, `neighbour_weight`, `entropy_weight`,
    `balance_weight` and `averaging`. Where labels are few they say what else is assumed of a class:
    images near each other are of one, and so is an image with another slant; each image is surely
    of one; and classes are equally common.

    Args (besides those of `Method`):
        labelled: K, of so many training images the class is known, or all.
        clusters: C, find so many classes without any label.
        heads: reduce images to the sum of a style and the head of their class.
        heads_apart: how far from each other heads are to be, in the prior's standard deviation.
        feature_size: N, dimensions of the style.
        prior_std: standard deviation of the style's prior.
        hidden: hidden layers of the encoder; the decoder has them in reverse.
        adversarial_weight: weight of both adversarial losses against nats per pixel of
            reconstruction.
        independent: make the style independent of the class, by a discriminator for each class that
            the encoder finds.
        classification_weight: weight of the cross-entropy of labelled images.
        labelled_batch: labelled images in each step. By default 250 where all are labelled.
        vat_weight: weight of the virtual adversarial loss (Miyato et al. 2017). By default 0 with
            --clusters.
        vat_radius: how far from an image it looks, as a share of its distance to the nearest other
            one of the batch.
        distort: how much to turn, slant, scale and move images that are to be of the same class
            all the same; at 1 by up to 10 degrees, a quarter, a tenth and 1.5 pixels.
        neighbour_weight: weight of the disagreement of an image's class and that of one of its
            nearest neighbours among the training images (Van Gansbeke et al. 2020, arXiv
            2005.12320). By default 1 with --clusters.
        entropy_weight: weight of the entropy of an image's classes, which makes it surely one's.
            By default 0 with --clusters.
        balance_weight: weight of the entropy of a batch's classes, which makes all as common. By
            default 1.5 with --clusters.
        noise: standard deviation of noise on the encoder's input in training.
        averaging: share of the averaged weights that a step keeps; 0 for none (Tarvainen & Valpola
            2017, arXiv 1703.01780).
        batch_norm: normalise the encoder's hidden layers.
        discriminator_lr: learning rate of the discriminators at the start.
        discriminator_hidden: hidden layers of the discriminators.
    """

    name = "categorical_aae"
    headline = "accuracy"
    larger_is_better = True
    script = "aae"
    epochs = (12, 60)
    only_with: ClassVar = {
        "heads_apart": {"heads": True},
        "classification_weight": {"labelled": True},
        "labelled_batch": {"labelled": True},
        "vat_radius": {"vat_weight": True},
    }

    @classmethod
    def defaults_for(cls, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
        if options.get("labelled") == "all":
            return {"labelled_batch": 250}
        if options.get("clusters") is None:
            return {}
        # Near images are to agree, for without a label the virtual adversary keeps whatever classes
        # there were after the first epoch (docs/LOG.md).
        neighbours = {"neighbour_weight": 1.0, "balance_weight": 1.5}
        return neighbours | {"vat_weight": 0.0, "entropy_weight": 0.0}

    def __init__(
        self,
        spec: DataSpec,
        *,
        labelled: CountOrAll | None = None,
        clusters: Several | None = None,
        heads: bool = False,
        heads_apart: Positive = 6.0,
        feature_size: Count = 10,
        prior_std: Positive = 1.0,
        hidden: Sizes = (400, 400),
        adversarial_weight: Weight = 0.06,
        independent: bool = True,
        classification_weight: Weight = 0.3,
        labelled_batch: Count = 100,
        vat_weight: Weight = 1.0,
        vat_radius: Positive = 0.35,
        distort: Weight = 1.0,
        neighbour_weight: Weight = 0.0,
        entropy_weight: Weight = 0.1,
        balance_weight: Weight = 0.2,
        noise: Weight = 0.0,
        averaging: Share = 0.998,
        batch_norm: bool = True,
        lr: Positive = 2e-3,
        discriminator_lr: Positive = 2e-3,
        discriminator_hidden: Sizes = (512, 256),
        **common: Any,
    ):
        super().__init__(spec, lr=lr, **common)
        if (labelled is None) == (clusters is None):
            raise UserError("give either --labelled K or --clusters C")
        # Without labels none is seen, and none is brought to a step.
        self.label_count = None if labelled == "all" else int(labelled or 0)
        self.needs_labels = clusters is None
        self.few: Split | None = None  # the labelled images
        self.labelled_batch = labelled_batch
        self.finds_classes = labelled is None
        self.categories = clusters or spec.classes
        self.conditional = not (clusters or heads)
        self.adversarial_weight = adversarial_weight
        self.classification_weight = classification_weight
        self.vat_weight, self.vat_radius = vat_weight, vat_radius
        self.neighbour_weight = neighbour_weight
        self.entropy_weight, self.balance_weight = entropy_weight, balance_weight
        self.distort = distort
        self.style_prior = Gaussian(feature_size, prior_std)
        classes = self.categories
        with self.seeded("encoder"):
            self.encoder = CategoricalEncoder(
                spec.image_shape, classes, feature_size, prior_std, hidden, batch_norm, noise
            )
        with self.seeded("decoder"):
            told = 0 if heads else classes
            self.decoder = Decoder(spec.image_shape, told, feature_size, hidden[::-1])
            self.heads = torch.nn.Linear(classes, feature_size, bias=False) if heads else None
            self.heads_apart = heads_apart * prior_std
            if self.heads is not None:
                self.heads.weight.data = apart(self.heads.weight.T, self.heads_apart).T
        self.prior: Prior = self.style_prior
        if self.heads is not None:
            self.prior = AboutHeads(self.heads.weight, prior_std, clusters is None)
        elif clusters:
            self.prior = BesideClasses(feature_size, classes, prior_std)
        with self.seeded("discriminators"):
            asked = classes if independent else 0
            self.style_discriminator = Discriminator(feature_size, asked, discriminator_hidden)
            self.class_discriminator = Discriminator(classes, 0, discriminator_hidden)
        generating = [self.decoder] if self.heads is None else [self.decoder, self.heads]
        self.players["autoencoder"] = Player(self.encoder, *generating, lr=lr)
        self.players["discriminators"] = Player(
            self.style_discriminator, self.class_discriminator, lr=discriminator_lr
        )
        for name in ("encoder", "decoder", *(["heads"] if heads else [])):
            self.keep_average(name, averaging)

    def prepare(self, train: Split) -> None:
        self.train_images = train
        self.few = train.labelled if self.needs_labels else None
        if self.neighbour_weight:
            self.neighbours = nearest_neighbours(train, NEIGHBOURS)

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        images, few = batch.images, self.labelled_images(step)
        labelled = 0 if few is None else len(few.images)
        lr_scale = cosine(step.progress)
        with self.autocast():
            both = images if few is None else torch.cat([self.nearby(few.images), images])
            all_logits, all_styles = self.encoder(both, self.rng)
            known, logits = all_logits.split([labelled, len(images)])
            style = all_styles[labelled:]
            classes = logits.softmax(1)

            # Reconstruction: the image from its class, as far as the encoder is sure, and style.
            rebuilt = self.image_of(style, classes)
            reconstruction = losses.reconstruction(rebuilt, images)

            # Regularisation: both discriminators learn to tell draws from what the encoder gives,
            prior_style = self.style_prior.sample(len(images), self.rng).to(self.device)
            prior_class = self.drawn_classes(len(images))
            found = logits.argmax(1)
            pairs = (
                (self.style_discriminator, prior_style, style),
                (self.class_discriminator, prior_class, classes),
            )
            discriminator_loss = torch.stack(
                [
                    losses.discriminator_loss(*d.compare(real, fake.detach(), found))
                    for d, real, fake in pairs
                ]
            ).sum()
            self.players["discriminators"].update(discriminator_loss, lr_scale)
            # ... and the encoder to pass for them.
            adversarial_loss = torch.stack(
                [losses.generator_loss(d(fake, found)) for d, _, fake in pairs]
            ).sum()

            besides = self.additions(batch, logits)
            # Classification of the images whose label is known.
            if few is not None:
                classification = F.cross_entropy(known, few.labels)
                besides["classification"] = self.classification_weight, classification
            if self.heads is not None:
                besides["heads"] = 1.0, losses.closeness(self.heads.weight.T, self.heads_apart)
        loss = reconstruction + self.adversarial_weight * adversarial_loss
        for weight, number in besides.values():
            loss = loss + weight * number
        self.players["autoencoder"].update(loss, lr_scale)
        self.update_averages()

        numbers = {
            "reconstruction": reconstruction.detach(),
            "discriminator": discriminator_loss.detach(),
            "adversarial": adversarial_loss.detach(),
            **{name: number.detach() for name, (_, number) in besides.items()},
            "mse": losses.mse(rebuilt.detach(), images),
        }
        return (
            numbers if few is None else numbers | {"accuracy": losses.accuracy(known, few.labels)}
        )

    def labelled_images(self, step: Step) -> Batch | None:
        """Those that are classified in a step besides its batch."""
        if self.few is None:
            return None
        seed = child_seed(self.seed, "labelled images")
        return in_turns(self.few, self.labelled_batch, seed, step.number)

    def additions(self, batch: Batch, logits: Tensor) -> dict[str, tuple[float, Tensor]]:
        """What is not in the paper: losses by name, each with its weight.

        logits [B, K] are what is said of the batch.
        """
        images, found = batch.images, {}
        if self.neighbour_weight:
            # Any of the nearest, which is of the same class with little doubt.
            chosen = torch.randint(self.neighbours.shape[1], (len(images),), generator=self.rng)
            others = self.neighbours[batch.index].gather(1, chosen.to(self.device).unsqueeze(1))
            near = self.train_images.batch(others[:, 0]).images
            with statistics_kept(self.encoder):
                said = self.encoder.classify(self.nearby(near))
            found["neighbours"] = self.neighbour_weight, losses.disagreement(logits, said)
        if self.vat_weight:
            radius = self.vat_radius * to_nearest(images)
            with statistics_kept(self.encoder):
                # By statistics of a batch, as what is said nearby, and without noise.
                with torch.no_grad():
                    said = self.encoder.classify(images)
                vat = virtual_adversarial_loss(
                    self.encoder.classify, self.nearby(images), said, radius, self.rng
                )
            found["vat"] = self.vat_weight, vat
        if self.entropy_weight or self.balance_weight:
            of_each, of_batch = losses.entropies(logits)
            found["entropy"] = self.entropy_weight, of_each
            found["batch_entropy"] = -self.balance_weight, of_batch
        return found

    def nearby(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] as others might have written them, of the same class as these."""
        return distorted(images, self.distort, self.rng) if self.distort else images

    def drawn_classes(self, count: int) -> Tensor:
        """One-hot codes [count, K] of classes that are equally likely."""
        drawn = torch.randint(self.categories, (count,), generator=self.rng)
        return F.one_hot(drawn, self.categories).float().to(self.device)

    def image_of(self, style: Tensor, classes: Tensor) -> Tensor:
        """Logits of the pixels of a style [B, N] and the probabilities of classes [B, K]."""
        if self.heads is None:
            return self.decoder(style, classes)
        return self.decoder(style + self.heads(classes).to(style.dtype))

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        logits, style = self.encoder(images)
        if self.heads is not None:
            return style + self.heads(logits.softmax(1))
        return style if self.conditional else torch.cat([style, logits.softmax(1)], 1)

    def decode(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.conditional:
            return self.decoder(style, labels)
        if self.heads is not None:
            return self.decoder(style)
        return self.decoder(*style.split([self.style_prior.feature_size, self.categories], 1))

    def classify(self, images: Tensor) -> Tensor:
        return self.encoder.classify(images)

    def summary(self) -> str:
        size = self.style_prior.feature_size
        found = f"{self.categories} clusters" if self.finds_classes else "a class"
        known = "all" if self.label_count is None else f"{self.label_count:,}"
        how = "" if self.finds_classes else f", by {known} labels,"
        return f"{found}{how} and a style of {size} numbers" + (
            ", added up" if self.heads is not None else ""
        )
