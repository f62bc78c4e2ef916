"""AAE, the adversarial autoencoder: reconstruction, with styles that pass for the prior's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.distributions import Normal

from mnist.data.augment import distorted
from mnist.data.spec import DataSpec
from mnist.data.types import Batch, Dataset, Split, in_turns
from mnist.errors import UserError
from mnist.methods.autoencoder import Autoencoder
from mnist.methods.base import Preset, Step, warmed_up
from mnist.networks import losses
from mnist.networks.contrast import WriterContrast
from mnist.networks.discriminator import Discriminator, GuidedDiscriminator
from mnist.networks.layers import statistics_kept
from mnist.networks.planar import Planar
from mnist.networks.player import BETAS, Player
from mnist.networks.prior import PLANAR, prior_of
from mnist.networks.random import child_seed
from mnist.options import Count, Positive, Share, Shares, Sizes, Weight, Whole

UNCONDITIONAL_WEIGHT = 0.25  # the adversarial one, where networks are not given the class
# Where classes have their parts, a discriminator that learns slowly: one that is sure of a part's
# edge has no slope beyond it, and leaves images on the wrong part (docs/LOG.md).
GUIDED = {"adversarial_weight": 2.0, "discriminator_steps": 1, "discriminator_lr": 4e-5}
LABELLED = 125  # more images in a step, likewise
# A style of few numbers is as good in less than half of the time by components in the place of
# pixels, smaller networks, larger batches, larger steps after a warm-up, and a discriminator that
# goes by what encodings are like now. One of more numbers would keep more of the class so, and of
# fewer images too much is learnt by heart (docs/LOG.md).
FEW_NUMBERS = 4
ENOUGH = 20_000
OF_FEW_NUMBERS = Preset(
    {
        "components": 32,
        "hidden": (512, 512),
        "lr": 1e-2,
        "warm_up": 0.1,
        "writers_weight": 0.004,
        "adversarial_weight": 0.4,
        "rate_weight": 0.8,
        "discriminator_hidden": (256, 128),
        "discriminator_steps": 1,
        "discriminator_lr": 4.5e-3,
        "discriminator_beta2": 0.98,
        "discriminator_decay": 0.7,
    },
    epochs=(28, 60),
    batch_size=400,
)
# Sooner still, without the writers.
FAST = Preset(
    {
        **OF_FEW_NUMBERS.options,
        "of_classes": True,
        "decoder_scale": 3.0,
        "warm_up": 0.25,
        "writers": False,
        "adversarial_weight": 0.25,
        "discriminator_steps": 2,
        "discriminator_decay": 0.5,
    },
    epochs=(7, 30),
    batch_size=400,
)


class AAE(Autoencoder):
    """Makhzani, Shlens, Jaitly, Goodfellow & Frey 2015, arXiv 1511.05644, section 2.

    Two players: the autoencoder, and a discriminator of styles. With labels this is the paper's
    section 2.3 and 4 in one: the decoder is conditional on the class, and the discriminator sees
    that the style is distributed alike for every class, so that it holds handwriting alone.

    With a Gaussian posterior (section 2) the discriminator sees styles drawn from it. The
    reconstruction alone would narrow it to a point, and a class whose images have fewer degrees of
    freedom than the style could then not fill it: hence the rate, see `rate_weight`.

    Other priors take the Gaussian's place by drawing from them (sections 2.2 and 2.3); of those in
    the plane each class gets its part where `guide_labels` are known.

    A style of few numbers has defaults of its own, `OF_FEW_NUMBERS`, with labels and Gaussians.

    Args (besides those of `Autoencoder`):
        prior: what styles are to be distributed like. All but the first two are of two dimensions:
            petals, a strip rolled up, a circle, a triangle.
        guide_labels: K, of so many training images the class is known, and their styles are to lie
            in its part of such a prior, with --no-labels.
        class_shares: how common each class is, with --guide-labels: its part is as large, for all
            styles together cannot be distributed like the prior otherwise. By default as among the
            training images.
        posterior: of an image's style: a Gaussian, any distribution, or a point.
        rate_weight: with a Gaussian posterior and prior, weight β of the KL divergence of the one
            from the other, in nats per image as the reconstruction: it stays wide where
            reconstruction can do without.
        writers: make the style that of the writer: images by one person, of different classes, are
            to be found by each other's styles. By default, where it is known who wrote the images,
            of a conditional autoencoder with a Gaussian prior.
        writers_weight: weight of that, the loss of `WriterContrast`, with --writers.
        adversarial_weight: weight of the adversarial loss against nats per pixel of
            reconstruction; divided by the feature size, since each further dimension adds to the
            pressure. By default 0.25 with --no-labels, 2 with --guide-labels.
        ramp: share of the training over which the weights above rise from zero. Pressed from the
            first step on, the code gives in before there is anything to keep: dimensions are given
            up for good (so the warm-up of Sønderby et al. 2016, arXiv 1602.02282).
        discriminator_steps: its updates for each of the autoencoder's: k of Goodfellow et al. 2014
            (arXiv 1406.2661), algorithm 1. By default 1 with --guide-labels.
        discriminator_lr: learning rate of the discriminator at the start. By default 0.00004 with
            --guide-labels.
        discriminator_beta2: Adam's β₂ for it: at 0.98 it goes by the gradients of the last fifty
            steps or so.
        discriminator_decay: power of the autoencoder's schedule by which that falls. One that stops
            learning as early as the autoencoder lets the class back into the style.
        discriminator_hidden: hidden layers of the discriminator.
        warm_up: share of the training over which learning rates rise from zero.
        fast: train for 7 epochs of MNIST, by settings that come soonest to a style space good
            enough to look around in (docs/performance.md).
    """

    name = "aae"
    starts_from = ("sae",)
    earlier: ClassVar = {
        **Autoencoder.earlier,
        "posterior": "deterministic",
        "discriminator_steps": 1,
        "discriminator_decay": 1.0,
        "writers": False,
    }
    only_with: ClassVar = {
        **Autoencoder.only_with,
        "class_shares": {"guide_labels": True},
        "fast": {"labels": True, "prior": "gaussian", "network": "mlp"},
        "guide_labels": {"labels": False},
        "rate_weight": {"posterior": "gaussian", "prior": "gaussian"},
        "writers": {"prior": "gaussian"},
        "writers_weight": {"writers": True},
    }

    @classmethod
    def preset(cls, options: Mapping[str, Any], images: int) -> Preset:
        if options.get("fast"):
            return FAST
        few = options.get("feature_size", FEW_NUMBERS) <= FEW_NUMBERS and images >= ENOUGH
        usual = {"labels": True, "prior": "gaussian", "posterior": "gaussian", "network": "mlp"}
        if few and all(options.get(name, value) == value for name, value in usual.items()):
            return OF_FEW_NUMBERS
        return super().preset(options, images)

    @classmethod
    def defaults_for(cls, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
        labels, known = options.get("labels", True), dataset.train.writers is not None
        gaussian = options.get("prior", "gaussian") == "gaussian"
        writers = known and labels and gaussian
        found = {"writers": writers} | super().defaults_for(dataset, options)
        if options.get("guide_labels"):
            shares = class_shares(dataset.train.labels, dataset.spec.classes)
            return found | GUIDED | {"class_shares": shares}
        # A large weight drives the class out of the style, where without labels it has to be.
        return found if labels else found | {"adversarial_weight": UNCONDITIONAL_WEIGHT}

    def __init__(
        self,
        spec: DataSpec,
        *,
        prior: Literal[
            "gaussian", "uniform", "mixture", "swiss-roll", "ring", "triangle"
        ] = "gaussian",
        guide_labels: Whole = 0,
        class_shares: Shares | None = None,
        posterior: Literal["gaussian", "universal", "deterministic"] = "gaussian",
        rate_weight: Weight = 0.5,
        writers: bool | None = None,
        writers_weight: Weight = 0.015,
        adversarial_weight: Positive = 0.6,
        ramp: Share = 0.1,
        discriminator_steps: Count = 2,
        discriminator_lr: Positive = 3e-3,
        discriminator_beta2: Share = 0.999,
        discriminator_decay: Share = 0.5,
        discriminator_hidden: Sizes = (512, 256),
        warm_up: Share = 0.0,
        fast: bool = False,
        **common: Any,
    ):
        super().__init__(spec, posterior, **common)
        size, std = self.prior.feature_size, self.prior.std
        self.gaussian = prior == "gaussian"
        self.guided = guide_labels > 0
        if class_shares and len(class_shares) != spec.classes:
            raise UserError(f"--class-shares: {len(class_shares)} for {spec.classes} classes")
        self.prior = prior_of(prior, size, std, spec.classes, self.guided, class_shares)
        if self.guided:
            if prior not in PLANAR:
                raise UserError(f"--guide-labels needs a --prior of parts: {', '.join(PLANAR)}")
            self.label_count, self.needs_labels = guide_labels, True
        self.capturable = not self.guided
        self.few: Split | None = None  # the labelled images, where there are parts
        self.rate_weight = rate_weight
        self.needs_writers = bool(writers)
        self.writers_weight = writers_weight
        self.adversarial_weight = adversarial_weight
        self.ramp = ramp
        self.discriminator_steps = discriminator_steps
        self.discriminator_decay = discriminator_decay
        self.warm_up = warm_up
        with self.seeded("discriminator"):
            self.discriminator = (
                GuidedDiscriminator(size, spec.classes, discriminator_hidden)
                if self.guided
                else Discriminator(size, self.classes, discriminator_hidden)
            )
        betas = BETAS[0], discriminator_beta2
        self.players["discriminator"] = Player(self.discriminator, lr=discriminator_lr, betas=betas)
        if writers:
            self.contrast = WriterContrast(size, std)

    def prepare(self, train: Split) -> None:
        super().prepare(train)
        self.few = train.labelled if self.guided else None

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        images, labels = batch.images, batch.labels
        if self.few is not None:
            images, labels = self.with_labelled(batch, self.few, step)
        lr_scale = step.given(self.lr_scale)
        discriminator_lr_scale = step.given(
            lambda at: self.lr_scale(at) ** self.discriminator_decay
        )
        with self.autocast():
            encoded = self.encoder(images, labels)

            # The discriminator learns to tell the prior's styles from those of images ...
            for _ in range(self.discriminator_steps):
                with statistics_kept(self.encoder):
                    prior, drawn = self.prior_for(labels, step), self.draw(encoded, step).detach()
                prior_logits, style_logits = self.discriminator.compare(prior, drawn, labels)
                discriminator_loss = losses.discriminator_loss(prior_logits, style_logits)
                self.players["discriminator"].update(discriminator_loss, discriminator_lr_scale)

            # ... and the autoencoder to reconstruct images, from styles that pass for the prior's.
            style = self.draw(encoded, step)
            nats, errors = self.rebuilt(style, labels, images)
            reconstruction = nats.mean()
            adversarial_loss = losses.generator_loss(self.discriminator(style, labels))
        weight = self.adversarial_weight / self.prior.feature_size
        loss = reconstruction + self.ramped(weight, step) * adversarial_loss
        besides = {}
        if isinstance(encoded, Normal) and self.gaussian:
            besides["rate"] = losses.rate(encoded, self.prior.std)
            weight = self.rate_weight / self.spec.pixels
            loss = loss + self.ramped(weight, step) * besides["rate"]
        if self.needs_writers:
            assert batch.writers is not None
            besides["contrast"] = self.contrast(style, labels, batch.writers)
            loss = loss + self.ramped(self.writers_weight, step) * besides["contrast"]
        self.players["autoencoder"].update(loss, lr_scale)

        return {
            "reconstruction": reconstruction.detach(),
            "discriminator": discriminator_loss.detach(),
            "adversarial": adversarial_loss.detach(),
            **{name: number.detach() for name, number in besides.items()},
            "mse": errors.mean(),
            "gauss_detection": (prior_logits > 0).float().mean(),
            "feature_detection": (style_logits < 0).float().mean(),
        }

    def lr_scale(self, at: Step) -> float:
        """Scale of the autoencoder's learning rate."""
        return warmed_up(at.progress, self.warm_up)

    def ramped(self, weight: float, step: Step) -> float:
        """A weight at this step: it rises from zero at the start of the training."""
        return step.given(
            lambda at: weight * (min(1.0, at.progress / self.ramp) if self.ramp else 1.0)
        )

    def with_labelled(self, batch: Batch, few: Split, step: Step) -> tuple[Tensor, Tensor]:
        """Images and labels of a batch and of some of few more, whose label is known.

        These are distorted, so that their class is learnt and not they themselves.
        """
        seed = child_seed(self.seed, "labelled images")
        more = in_turns(few, LABELLED, seed, step.number)
        images = torch.cat([batch.images, distorted(more.images, 1.0, self.rng)])
        return images, torch.cat([batch.labels, more.labels])

    def prior_for(self, labels: Tensor, step: Step) -> Tensor:
        """As many styles from the prior as there are labels [B]: of their parts, where guided, and
        of any where there is no label."""
        count = len(labels)
        if not self.guided:
            styles = step.given(lambda _: self.prior.sample(count, self.rng))
            return styles.to(self.device)
        assert isinstance(self.prior, Planar)
        return self.prior.sample(count, self.rng, labels.cpu()).to(self.device)

    def summary(self) -> str:
        found = super().summary()
        if isinstance(self.prior, Planar) and self.guided:
            found += f" but {self.label_count:,}: each class has its {self.prior.part_word}"
        return found + (", and the style is to be the writer's" if self.needs_writers else "")

    def validate(self, batch: Batch, style: Tensor | None) -> dict[str, Tensor]:
        passing = self.discriminator(style, batch.labels) > 0
        return {"feature_satisfaction": passing.float().mean()}


def class_shares(labels: Tensor, classes: int) -> list[float]:
    """How common each class is: int64 [N], −1 where there is no label -> K numbers above zero."""
    counts = labels[labels >= 0].bincount(minlength=classes).clamp(min=1)
    return [round(share, 6) for share in (counts / counts.sum()).tolist()]
