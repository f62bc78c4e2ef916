"""GANs: a generator against a discriminator, by the losses and conditions that people compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist.data.augment import distorted
from mnist.data.spec import DataSpec
from mnist.data.types import Batch, Dataset
from mnist.errors import UserError
from mnist.methods.base import Method, Step, cosine
from mnist.networks import losses
from mnist.networks.convolutional import ConvolutionalFeatures, ConvolutionalGenerator
from mnist.networks.decoder import Decoder
from mnist.networks.games import GAMES
from mnist.networks.image_discriminator import EnergyDiscriminator, ImageDiscriminator
from mnist.networks.layers import mlp, normalise_spectrally
from mnist.networks.player import Player
from mnist.networks.prior import BesideClasses, Gaussian, Prior
from mnist.networks.recognition import Recognition
from mnist.options import Count, Positive, Share, Sizes, Weight

FEATURES = 256  # that a discriminator judges images by
SQUEEZED = 64  # numbers of an image in a discriminator that is an autoencoder
# Of InfoGAN: continuous codes, which are the first dimensions of the style, and their weight, less
# than the cluster's (Chen et al. 2016, section 6), by which images vary more (docs/LOG.md).
CODES, CODES_WEIGHT = 2, 0.1
# Networks that look for clusters on the same features; the share of the training after which one of
# them is used; and the weight of the clusters being equally many, without which two are often one.
HEADS, CHOSEN_AT, EVENNESS = 5, 0.1, 1.5


class GAN(Method):
    """Generative adversarial networks: Goodfellow et al. 2014, arXiv 1406.2661, and what followed.

    A discriminator tells real images from generated ones, and a generator learns to be taken for
    real.

    Args (besides those of `Method`):
        loss: what they play for (`mnist/networks/games.py`): gan, the non-saturating game
            (Goodfellow et al. 2014); lsgan, least squares (Mao et al. 2017); wgan, the Wasserstein
            distance by a critic with clipped weights (Arjovsky et al. 2017), and wgan-gp by one
            with a gradient penalty (Gulrajani et al. 2017); began, an autoencoder's errors in
            balance (Berthelot et al. 2017), and ebgan as energies (Zhao et al. 2017).
        condition: what the generator is told besides the style: none; cgan, the class, which the
            discriminator is told as well (Mirza & Osindero 2014); acgan, the class, which the
            discriminator has to name (Odena et al. 2017); infogan, one of as many clusters as there
            are classes, found without labels (Chen et al. 2016).
        network: convolutional, or perceptrons.
        width: channels of a convolutional network at half of an image's size.
        hidden: hidden layers of a generator that is a perceptron; its discriminator has them in
            reverse.
        feature_size: N, dimensions of the style.
        discriminator_lr: learning rate of the discriminator or critic.
        momentum: Adam's β₁ of both.
        critic_steps: updates of the discriminator for each of the generator's. By default 2 with
            wgan, else 1.
        spectral: normalise the layers of the discriminator spectrally (Miyato et al. 2018), but
            for the last. By default with gan and lsgan only.
        mismatch: how much a real image of another class counts among what cgan's discriminator is
            to reject, against a generated one (Reed et al. 2016, arXiv 1605.05396, algorithm 1).
        information_weight: weight of what acgan and infogan find again. By default 0.1 with acgan
            and the non-saturating game, so that it writes in more ways (docs/LOG.md).
        invariance_weight: infogan's, of how much the cluster of a real image says of that of the
            same image distorted (Ji, Henriques & Vedaldi 2019, arXiv 1807.06653), so that clusters
            are shapes and not slants; from these the generator's begin. 0 is the InfoGAN of its
            paper.
        averaging: share of the averaged generator that a step keeps, by which images are made; 0
            for none.
    """

    name = "gan"
    headline = "frechet"
    diagnosed = True
    epochs = (18, 60)
    batch_size = 100
    only_with: ClassVar = {
        "width": {"network": "convolutional"},
        "hidden": {"network": "mlp"},
        "mismatch": {"condition": "cgan"},
        "invariance_weight": {"condition": "infogan"},
    }

    @classmethod
    def defaults_for(cls, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
        game, acgan = GAMES[options.get("loss", "gan")], options.get("condition") == "acgan"
        return {
            "critic_steps": game.critic_steps,
            "spectral": game.spectral,
            "information_weight": game.class_weight if acgan else 1.0,
        }

    def __init__(
        self,
        spec: DataSpec,
        *,
        loss: Literal["gan", "lsgan", "wgan", "wgan-gp", "began", "ebgan"] = "gan",
        condition: Literal["none", "cgan", "acgan", "infogan"] = "none",
        network: Literal["convolutional", "mlp"] = "convolutional",
        width: Count = 32,
        hidden: Sizes = (512, 1024),
        feature_size: Count = 64,
        lr: Positive = 1e-3,
        discriminator_lr: Positive = 5e-4,
        momentum: Share = 0.0,
        critic_steps: Count = 1,
        spectral: bool = True,
        mismatch: Share = 0.02,
        information_weight: Weight = 1.0,
        invariance_weight: Weight = 1.0,
        averaging: Share = 0.999,
        **common: Any,
    ):
        super().__init__(spec, lr=lr, **common)
        self.game = GAMES[loss]()
        if condition not in self.game.conditions:
            raise UserError(
                f"--condition {condition} with --loss {loss} is in no paper that we know: it goes "
                f"with --condition {' or '.join(self.game.conditions)}"
            )
        self.condition, self.network, self.width, self.hidden = condition, network, width, hidden
        self.critic_steps, self.mismatch = critic_steps, mismatch
        self.information_weight, self.invariance_weight = information_weight, invariance_weight
        self.conditional = self.needs_labels = condition in ("cgan", "acgan")
        self.finds_classes = condition == "infogan"
        self.prior: Prior = Gaussian(feature_size)
        if condition == "infogan":
            self.prior = BesideClasses(max(feature_size, CODES), spec.classes, 1.0)
            self.codes = CODES
        with self.seeded("generator"):
            told = spec.classes if self.conditional else 0
            self.generator = self.make_generator(told, self.prior.feature_size)
        with self.seeded("discriminator"):
            self.discriminator = self.make_discriminator()
            if spectral:  # but for the last layer, so that verdicts can be sure (docs/LOG.md)
                normalise_spectrally(self.discriminator.features)
        generating = [self.generator]
        if condition == "infogan":
            with self.seeded("recognition"):
                features = self.make_features(True)
                heads = HEADS if invariance_weight else 1
                self.recognition = Recognition(features, FEATURES, spec.classes, CODES, heads)
            generating.append(self.recognition)
            self.classify = self.found_cluster
        if condition == "acgan":
            self.classify = self.named_class
        betas = momentum, 0.999
        self.players["discriminator"] = Player(self.discriminator, lr=discriminator_lr, betas=betas)
        self.players["generator"] = Player(*generating, lr=lr, betas=betas)
        self.keep_average("generator", averaging)

    def make_generator(self, classes: int, size: int, normalise: bool = True) -> nn.Module:
        """From so many numbers to logits of images, with batch normalisation or without."""
        shape = self.spec.image_shape
        if self.network == "mlp":
            return Decoder(shape, classes, size, self.hidden, normalise=normalise)
        return ConvolutionalGenerator(shape, classes, size, self.width, normalise)

    def make_features(self, normalise: bool) -> nn.Module:
        """From images to what they are judged by, with batch normalisation or without."""
        if self.network == "convolutional":
            return ConvolutionalFeatures(self.spec.image_shape, FEATURES, self.width, normalise)
        sizes = [self.spec.pixels, *self.hidden[::-1], FEATURES]
        last = [nn.BatchNorm1d(FEATURES)] if normalise else []
        return nn.Sequential(nn.Flatten(), mlp(sizes, nn.LeakyReLU), *last, nn.LeakyReLU())

    def make_discriminator(self) -> ImageDiscriminator | EnergyDiscriminator:
        """From images to verdicts, and to features by which a class can be named."""
        features = self.make_features(self.game.normalised)
        if self.game.energy:
            decoder = self.make_generator(0, SQUEEZED, normalise=False)
            return EnergyDiscriminator(features, FEATURES, SQUEEZED, decoder)
        asked = self.spec.classes if self.condition == "cgan" else 0
        named = self.spec.classes if self.condition == "acgan" else 0
        return ImageDiscriminator(features, FEATURES, asked, named)

    # --- the algorithm ------------------------------------------------------------------------

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        real, labels = batch.images, batch.labels
        style = self.prior.sample(len(real), self.rng).to(self.device)
        with self.autocast():
            fake = self.generator(style, labels).sigmoid()
            numbers, verdicts = self.discriminate(real, fake.detach(), labels)
        self.players["discriminator"].update(numbers["discriminator"], cosine(step.progress))
        self.game.updated(self.discriminator, *verdicts)
        if step.number % self.critic_steps == self.critic_steps - 1:
            with self.autocast():
                numbers |= self.generate(fake, batch, style, step.progress)
            self.players["generator"].update(numbers["generator"], cosine(step.progress))
            self.update_averages()
        return {name: number.detach() for name, number in numbers.items()}

    def discriminate(
        self, real: Tensor, fake: Tensor, labels: Tensor
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        """Numbers, the discriminator's loss among them, and its verdicts about real and fake."""
        twice = torch.cat([labels, labels])
        if self.game.normalised:
            of_real, features_of_real = self.discriminator(real, labels)
            of_fake, features_of_fake = self.discriminator(fake, labels)
            features = torch.cat([features_of_real, features_of_fake])
        else:
            verdicts, features = self.discriminator(torch.cat([real, fake]), twice)
            of_real, of_fake = verdicts.split(len(real))
        loss = self.game.discriminator(of_real, of_fake)
        if self.condition == "cgan" and self.mismatch:
            of_others = self.of_other_classes(features[: len(real)], labels)
            if len(of_others):
                rejected = self.game.discriminator(of_real, of_others)
                loss = torch.lerp(loss, rejected, self.mismatch)
        loss = loss + self.game.penalty(self.judge(labels), real, fake, self.rng)
        if self.condition == "acgan":
            loss = loss + self.information_weight * self.misnamed(features, twice)
        # In how many pairs the real image has the better verdict: 1/2 where it cannot be told.
        better = of_real < of_fake if self.game.energy else of_real > of_fake
        numbers = {"discriminator": loss, "discriminator_accuracy": better.float().mean()}
        return numbers, (of_real.detach(), of_fake.detach())

    def generate(
        self, fake: Tensor, batch: Batch, style: Tensor, progress: float
    ) -> dict[str, Tensor]:
        """Numbers, the generator's loss among them, and that of what finds its code again."""
        verdicts, features = self.discriminator(fake, batch.labels)
        loss, numbers = self.game.generator(verdicts, features), {}
        if self.condition == "acgan":
            numbers["information"] = self.misnamed(features, batch.labels)
        if self.condition == "infogan":
            looking = self.invariance_weight > 0 and progress < CHOSEN_AT
            if self.invariance_weight:
                numbers["invariance"] = self.invariance(batch.images, looking)
                loss = loss - self.invariance_weight * numbers["invariance"]
            if not looking:
                numbers["information"] = self.not_found(fake, style)
        if "information" in numbers:
            loss = loss + self.information_weight * numbers["information"]
        return numbers | {"generator": loss}

    def judge(self, labels: Tensor) -> Any:
        """A function of images [B, C, H, W] that gives their verdicts [B, 1]."""
        return lambda images: self.discriminator(images, labels)[0]

    def of_other_classes(self, features: Tensor, labels: Tensor) -> Tensor:
        """Verdicts [M] about images of these features [B, F] as if they were of each other class.

        M is B (K - 1), but for images without a label (−1), of which no class is another.
        """
        assert isinstance(self.discriminator, ImageDiscriminator)
        verdicts, labels = self.discriminator.verdicts(features), labels.unsqueeze(1)
        classes = torch.arange(verdicts.shape[1], device=labels.device)
        return verdicts[(classes != labels) & (labels >= 0)]

    def misnamed(self, features: Tensor, labels: Tensor) -> Tensor:
        """How badly the discriminator names the class, in nats (Odena et al. 2017, eq. 2)."""
        assert isinstance(self.discriminator, ImageDiscriminator)
        return losses.classification(self.discriminator.class_logits(features), labels)

    def not_found(self, fake: Tensor, style: Tensor) -> Tensor:
        """How badly the code of generated images is found in them, in nats, up to a constant.

        The cluster and, as normal with variance 1, the continuous ones (Chen et al. 2016, eq. 5).
        """
        cluster, numbers = self.recognition(fake)
        drawn = style[:, -self.spec.classes :].argmax(1)
        off = (numbers - style[:, :CODES]).square().sum(1).mean() / 2
        return F.cross_entropy(cluster, drawn) + CODES_WEIGHT * off

    def invariance(self, real: Tensor, looking: bool) -> Tensor:
        """How much the cluster of an image says of that of the same distorted: the heads' mean."""
        both = torch.cat([real, distorted(real, 1.0, self.rng)])
        of_both = self.recognition.by_heads(self.recognition.features(both))
        one, other = of_both.split(len(real), 1)
        each = losses.mutual_information(one, other, EVENNESS)
        if looking:
            self.recognition.choose(each)
        return each.mean()

    # --- what it can do -----------------------------------------------------------------------

    def decode(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.generator(style, labels)

    def named_class(self, images: Tensor) -> Tensor:
        """Logits of the class that the discriminator names, [B, K]."""
        assert isinstance(self.discriminator, ImageDiscriminator)
        return self.discriminator.class_logits(self.discriminator.features(images))

    def found_cluster(self, images: Tensor) -> Tensor:
        """Logits of the cluster that images [B, C, H, W] are of, [B, K]."""
        return self.recognition(images)[0]

    def summary(self) -> str:
        told = {
            "none": "nothing else",
            "cgan": f"the {self.spec.class_word}",
            "acgan": f"the {self.spec.class_word}",
            "infogan": f"one of {self.spec.classes} clusters",
        }[self.condition]
        return f"a generator from a style of {self.prior.feature_size} numbers and {told}"
