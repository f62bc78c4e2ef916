"""What autoencoders have in common, however they are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mnist.data import Batch, Digits
from mnist.figures import sheets
from mnist.methods.base import Method, mean_numbers
from mnist.networks import losses
from mnist.networks.decoder import Decoder
from mnist.networks.encoder import Encoder
from mnist.networks.layers import seeded
from mnist.networks.player import Player
from mnist.networks.prior import Gaussian, ks_distance
from mnist.networks.sharpness import fit_sharpness

FITTED = 2000  # training images, at least, to which the sharpness is fitted


class Autoencoder(Method):
    """An encoder, a decoder, and a prior for the style between them.

    Args (besides those of `Method`):
        feature_size: N, numbers in a style.
        labels: whether the networks are told the digit.
        prior_std: standard deviation of the prior.
        hidden: the encoder's hidden layers; the decoder has them in reverse.
    """

    flags = ("feature_size", "labels", "prior_std", *Method.flags)
    wording: ClassVar[dict[str, tuple[str, str]]] = {
        "mse": ("AutoEncoder", "mse"),
        "ks": ("Style", "worst KS distance to the prior"),
    }
    headline = "mse"
    pictured = "test images"

    def __init__(
        self,
        *,
        feature_size: int,
        labels: bool,
        prior_std: float,
        hidden: Sequence[int] = (1024, 512),
        **common,
    ):
        super().__init__(**common)
        self.config |= {
            "feature_size": feature_size,
            "labels": labels,
            "prior_std": prior_std,
            "hidden": list(hidden),
        }
        self.prior = Gaussian(feature_size, prior_std)
        with seeded(self.config["seed"]):
            self.encoder = Encoder(feature_size, labels, prior_std, hidden)
            self.decoder = Decoder(feature_size, labels, tuple(reversed(hidden)))
        self.players["autoencoder"] = Player(self.encoder, self.decoder, lr=self.config["lr"])

    def validate(self, digits: Digits) -> dict[str, float]:
        """Means over the images, and `ks`, how far the styles are from their prior."""
        numbers, styles = [], []
        for batch in digits.batches():
            with self.autocast():
                styles.append(self.encoder(batch.images, batch.labels))
                numbers.append(self.judge(batch, styles[-1]))
        ks = ks_distance(torch.cat(styles).cpu(), self.prior.cdf).max().item()
        return mean_numbers(numbers, [len(style) for style in styles]) | {"ks": ks}

    def calibrate(self, digits: Digits) -> dict[str, float]:
        """`sharpness`, at which images from styles are as black and white as these digits."""
        batch = digits.batch(slice(None, None, max(1, len(digits) // FITTED)))
        with self.autocast():
            logits = self.decoder(self.encoder(batch.images, batch.labels), batch.labels)
        return {"sharpness": fit_sharpness(logits, batch.images).item()}

    def judge(self, batch: Batch, style: Tensor) -> dict[str, Tensor]:
        """Numbers about images not trained on, whose styles [B, N] are given."""
        return {"mse": losses.mse(self.decoder(style, batch.labels), batch.images)}

    def picture(self, digits: Digits) -> bytes:
        """Images and their reconstructions, and styles of the prior, always the same."""
        generator = torch.Generator().manual_seed(self.config["seed"])
        return sheets.training_samples(
            self.encoder,
            lambda style, labels: self.decoder(style, labels).sigmoid(),
            self.prior.sample(sheets.COLUMNS, generator).to(self.device),
            digits,
            self.encoder.labels,
        )

    def sample_prior(self, count: int) -> Tensor:
        """Styles [count, N] from the prior, on the device."""
        return self.prior.sample(count, self.generator).to(self.device)

    def summary(self) -> str:
        told = "the digit goes to every network" if self.encoder.labels else "no labels"
        return f"a style of {self.prior.feature_size} numbers, {told}"
