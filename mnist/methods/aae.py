"""AAE, the adversarial autoencoder: reconstruction, with styles that pass for the prior's."""

from collections.abc import Sequence

from torch import Tensor

from mnist.data import Batch
from mnist.methods.autoencoder import Autoencoder
from mnist.methods.base import cosine
from mnist.networks import losses
from mnist.networks.discriminator import Discriminator
from mnist.networks.layers import seeded
from mnist.networks.player import Player


class AAE(Autoencoder):
    """Makhzani, Shlens, Jaitly, Goodfellow & Frey 2015, arXiv 1511.05644, section 2.

    Two players: the autoencoder, and a discriminator of styles. With labels this is the paper's
    section 2.3 and 4 in one: the decoder is told the digit, and the discriminator sees that the
    style is distributed alike for every digit, so that it holds handwriting alone.

    Args (besides those of `Autoencoder`):
        adversarial_weight: of passing for the prior, against nats per pixel of reconstruction;
            divided by the feature size, since each further number adds to the pressure.
        ramp: share of the training over which that weight rises from zero. Pressed from the first
            step on, the code gives in before there is anything to keep.
        discriminator_lr: its learning rate at the start.
        discriminator_hidden: its hidden layers.
    """

    name = "aae"
    starts_from = ("sae",)
    wording = Autoencoder.wording | {
        "gauss_detection": ("GaussDiscriminator", "actual gauss detection accuracy"),
        "feature_detection": ("GaussDiscriminator", "feature space detection accuracy"),
        "feature_satisfaction": ("GaussDiscriminator", "feature space satisfaction accuracy"),
    }

    def __init__(
        self,
        *,
        adversarial_weight: float = 0.4,
        ramp: float = 0.1,
        discriminator_lr: float = 3e-3,
        discriminator_hidden: Sequence[int] = (512, 256),
        **common,
    ):
        super().__init__(**common)
        self.config |= {
            "adversarial_weight": adversarial_weight,
            "ramp": ramp,
            "discriminator_lr": discriminator_lr,
            "discriminator_hidden": list(discriminator_hidden),
        }
        self.adversarial_weight = adversarial_weight
        self.ramp = ramp
        with seeded(self.config["seed"]):
            self.discriminator = Discriminator(
                self.prior.feature_size, self.encoder.labels, discriminator_hidden
            )
        self.players["discriminator"] = Player(self.discriminator, lr=discriminator_lr)

    def step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        images, labels = batch
        lr_scale = cosine(progress)
        with self.autocast():
            style = self.encoder(images, labels)

            # The discriminator learns to tell the prior's styles from those of images ...
            prior_logits = self.discriminator(self.sample_prior(len(images)))
            encoding_logits = self.discriminator(style.detach(), labels)
            telling_apart = losses.tell_apart(prior_logits, encoding_logits)
            self.players["discriminator"].update(telling_apart, lr_scale)

            # ... and the autoencoder to reconstruct images, from styles that pass for the prior's.
            logits = self.decoder(style, labels)
            reconstruction = losses.reconstruction(logits, images)
            passing = losses.pass_for_prior(self.discriminator(style, labels))
        weight = self.adversarial_weight / self.prior.feature_size * min(1, progress / self.ramp)
        self.players["autoencoder"].update(reconstruction + weight * passing, lr_scale)

        return {
            "reconstruction": reconstruction.detach(),
            "discriminator": telling_apart.detach(),
            "adversarial": passing.detach(),
            "mse": losses.mse(logits.detach(), images),
            "gauss_detection": (prior_logits > 0).float().mean(),
            "feature_detection": (encoding_logits < 0).float().mean(),
        }

    def judge(self, batch: Batch, style: Tensor) -> dict[str, Tensor]:
        passing = self.discriminator(style, batch.labels) > 0
        return super().judge(batch, style) | {"feature_satisfaction": passing.float().mean()}
