"""AAE, the adversarial autoencoder: reconstruction, with styles that pass for the prior's."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mnist.data.spec import DataSpec
from mnist.data.types import Batch
from mnist.methods.autoencoder import Autoencoder
from mnist.methods.base import Step, cosine
from mnist.networks import losses
from mnist.networks.discriminator import Discriminator
from mnist.networks.player import Player
from mnist.options import Positive, Share, Sizes


class AAE(Autoencoder):
    """Makhzani, Shlens, Jaitly, Goodfellow & Frey 2015, arXiv 1511.05644, section 2.

    Two players: the autoencoder, and a discriminator of styles. With labels this is the paper's
    section 2.3 and 4 in one: the decoder is conditional on the class, and the discriminator sees
    that the style is distributed alike for every class, so that it holds handwriting alone.

    Args (besides those of `Autoencoder`):
        adversarial_weight: weight of the adversarial loss against nats per pixel of
            reconstruction; divided by the feature size, since each further dimension adds to the
            pressure.
        ramp: share of the training over which that weight rises from zero. Pressed from the first
            step on, the code gives in before there is anything to keep.
        discriminator_lr: learning rate of the discriminator at the start.
        discriminator_hidden: hidden layers of the discriminator.
    """

    name = "aae"
    starts_from = ("sae",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        adversarial_weight: Positive = 0.4,
        ramp: Share = 0.1,
        discriminator_lr: Positive = 3e-3,
        discriminator_hidden: Sizes = (512, 256),
        **common: Any,
    ):
        super().__init__(spec, **common)
        self.adversarial_weight = adversarial_weight
        self.ramp = ramp
        with self.seeded("discriminator"):
            self.discriminator = Discriminator(
                self.prior.feature_size, self.classes, discriminator_hidden
            )
        self.players["discriminator"] = Player(self.discriminator, lr=discriminator_lr)

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        images, labels = batch.images, batch.labels
        lr_scale = cosine(step.progress)
        with self.autocast():
            style = self.encoder(images, labels)

            # The discriminator learns to tell the prior's styles from those of images ...
            prior_logits = self.discriminator(self.sample_prior(len(images)))
            style_logits = self.discriminator(style.detach(), labels)
            discriminator_loss = losses.discriminator_loss(prior_logits, style_logits)
            self.players["discriminator"].update(discriminator_loss, lr_scale)

            # ... and the autoencoder to reconstruct images, from styles that pass for the prior's.
            logits = self.decoder(style, labels)
            reconstruction = losses.reconstruction(logits, images)
            adversarial_loss = losses.generator_loss(self.discriminator(style, labels))
        ramp = min(1, step.progress / self.ramp) if self.ramp else 1
        weight = self.adversarial_weight / self.prior.feature_size * ramp
        self.players["autoencoder"].update(reconstruction + weight * adversarial_loss, lr_scale)

        return {
            "reconstruction": reconstruction.detach(),
            "discriminator": discriminator_loss.detach(),
            "adversarial": adversarial_loss.detach(),
            "mse": losses.mse(logits.detach(), images),
            "gauss_detection": (prior_logits > 0).float().mean(),
            "feature_detection": (style_logits < 0).float().mean(),
        }

    def validate(self, batch: Batch, style: Tensor | None) -> dict[str, Tensor]:
        passing = self.discriminator(style, batch.labels) > 0
        return {"feature_satisfaction": passing.float().mean()}
