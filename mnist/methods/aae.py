"""AAE, the adversarial autoencoder: reconstruction, with styles that pass for the prior's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor
from torch.distributions import Normal

from mnist.data.spec import DataSpec
from mnist.data.types import Batch, Dataset
from mnist.methods.autoencoder import Autoencoder
from mnist.methods.base import Step, cosine
from mnist.networks import losses
from mnist.networks.contrast import WriterContrast
from mnist.networks.discriminator import Discriminator
from mnist.networks.player import Player
from mnist.options import Count, Positive, Share, Sizes, Weight

UNCONDITIONAL_WEIGHT = 0.25  # the adversarial one, where networks are not given the class


class AAE(Autoencoder):
    """Makhzani, Shlens, Jaitly, Goodfellow & Frey 2015, arXiv 1511.05644, section 2.

    Two players: the autoencoder, and a discriminator of styles. With labels this is the paper's
    section 2.3 and 4 in one: the decoder is conditional on the class, and the discriminator sees
    that the style is distributed alike for every class, so that it holds handwriting alone.

    With a Gaussian posterior (section 2.1) the discriminator sees styles drawn from it. The
    reconstruction alone would narrow it to a point, and a class whose images have fewer degrees of
    freedom than the style could then not fill it: hence the rate, see `rate_weight`.

    Args (besides those of `Autoencoder`):
        posterior: of an image's style, a Gaussian or a point.
        rate_weight: with a Gaussian, weight β of its KL divergence from the prior, in nats per
            image as the reconstruction: it stays wide where reconstruction can do without.
        writers: make the style that of the writer: images by one person, of different classes, are
            to be found by each other's styles. By default, where it is known who wrote the images,
            of a conditional autoencoder.
        writers_weight: weight of that, the loss of `WriterContrast`, with --writers.
        adversarial_weight: weight of the adversarial loss against nats per pixel of
            reconstruction; divided by the feature size, since each further dimension adds to the
            pressure. With --no-labels 0.25 by default.
        ramp: share of the training over which the weights above rise from zero. Pressed from the
            first step on, the code gives in before there is anything to keep: dimensions are given
            up for good (so the warm-up of Sønderby et al. 2016, arXiv 1602.02282).
        discriminator_steps: its updates for each of the autoencoder's: k of Goodfellow et al. 2014
            (arXiv 1406.2661), algorithm 1.
        discriminator_lr: learning rate of the discriminator at the start.
        discriminator_decay: power of the autoencoder's schedule by which that falls. One that stops
            learning as early as the autoencoder lets the class back into the style.
        discriminator_hidden: hidden layers of the discriminator.
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
        "rate_weight": ("posterior", "gaussian"),
        "writers_weight": ("writers", True),
    }

    @classmethod
    def defaults_for(cls, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
        labels, known = options.get("labels", True), dataset.train.writers is not None
        found: dict[str, Any] = {"writers": known and labels}
        # A large weight drives the class out of the style, where without labels it has to be.
        return found if labels else found | {"adversarial_weight": UNCONDITIONAL_WEIGHT}

    def __init__(
        self,
        spec: DataSpec,
        *,
        posterior: Literal["gaussian", "deterministic"] = "gaussian",
        rate_weight: Weight = 0.5,
        writers: bool | None = None,
        writers_weight: Weight = 0.015,
        adversarial_weight: Positive = 0.6,
        ramp: Share = 0.1,
        discriminator_steps: Count = 2,
        discriminator_lr: Positive = 3e-3,
        discriminator_decay: Share = 0.5,
        discriminator_hidden: Sizes = (512, 256),
        **common: Any,
    ):
        super().__init__(spec, posterior == "gaussian", **common)
        self.rate_weight = rate_weight
        self.needs_writers = bool(writers)
        self.writers_weight = writers_weight
        self.adversarial_weight = adversarial_weight
        self.ramp = ramp
        self.discriminator_steps = discriminator_steps
        self.discriminator_decay = discriminator_decay
        with self.seeded("discriminator"):
            self.discriminator = Discriminator(
                self.prior.feature_size, self.classes, discriminator_hidden
            )
        self.players["discriminator"] = Player(self.discriminator, lr=discriminator_lr)
        if writers:
            self.contrast = WriterContrast(self.prior.feature_size, self.prior.std)

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        images, labels = batch.images, batch.labels
        lr_scale = cosine(step.progress)
        discriminator_lr_scale = lr_scale**self.discriminator_decay
        with self.autocast():
            encoded = self.encoder(images, labels)

            # The discriminator learns to tell the prior's styles from those of images ...
            for _ in range(self.discriminator_steps):
                prior, drawn = self.sample_prior(len(images)), self.draw(encoded).detach()
                prior_logits, style_logits = self.discriminator.compare(prior, drawn, labels)
                discriminator_loss = losses.discriminator_loss(prior_logits, style_logits)
                self.players["discriminator"].update(discriminator_loss, discriminator_lr_scale)

            # ... and the autoencoder to reconstruct images, from styles that pass for the prior's.
            style = self.draw(encoded)
            logits = self.decoder(style, labels)
            reconstruction = losses.reconstruction(logits, images)
            adversarial_loss = losses.generator_loss(self.discriminator(style, labels))
        ramp = min(1, step.progress / self.ramp) if self.ramp else 1
        weight = self.adversarial_weight / self.prior.feature_size * ramp
        loss = reconstruction + weight * adversarial_loss
        besides = {}
        if isinstance(encoded, Normal):
            besides["rate"] = losses.rate(encoded, self.prior.std)
            loss = loss + self.rate_weight * ramp / self.spec.pixels * besides["rate"]
        if self.needs_writers:
            assert batch.writers is not None
            besides["contrast"] = self.contrast(style, labels, batch.writers)
            loss = loss + self.writers_weight * ramp * besides["contrast"]
        self.players["autoencoder"].update(loss, lr_scale)

        return {
            "reconstruction": reconstruction.detach(),
            "discriminator": discriminator_loss.detach(),
            "adversarial": adversarial_loss.detach(),
            **{name: number.detach() for name, number in besides.items()},
            "mse": losses.mse(logits.detach(), images),
            "gauss_detection": (prior_logits > 0).float().mean(),
            "feature_detection": (style_logits < 0).float().mean(),
        }

    def summary(self) -> str:
        return super().summary() + (
            ", and the style is to be the writer's" if self.needs_writers else ""
        )

    def validate(self, batch: Batch, style: Tensor | None) -> dict[str, Tensor]:
        passing = self.discriminator(style, batch.labels) > 0
        return {"feature_satisfaction": passing.float().mean()}
