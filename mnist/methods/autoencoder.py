"""What autoencoders have in common, however they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mnist.data.spec import DataSpec
from mnist.data.types import Dataset, Split
from mnist.methods.base import Method, Step
from mnist.networks import losses
from mnist.networks.decoder import Decoder
from mnist.networks.encoder import Encoder, Posterior, style_at
from mnist.networks.player import Player
from mnist.networks.prior import Gaussian, Prior
from mnist.networks.shares import by_rows
from mnist.options import Count, Positive, Sizes, Whole

FITTED_TO = 10_000  # training images, at most, whose principal components are looked for
LARGEST = 32  # pixels to a side of images in grey that perceptrons are enough for
ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU}


class Autoencoder(Method):
    """An encoder, a decoder, and a prior for the style between them.

    Args (besides those of `Method`):
        feature_size: N, dimensions of the style.
        labels: condition the networks on the class.
        prior_std: standard deviation of the prior.
        hidden: hidden layers of the encoder; the decoder has them in reverse. By default 512 with
            convolutions.
        activation: between the layers of both.
        network: perceptrons, or with convolutions between them and the images. By default where
            these are larger than 32×32, or in colour.
        width: channels of the convolutions at half of an image's size.
        components: principal components of the training images, whitened, that a perceptron is
            given in the place of pixels; 0 for the pixels.
        decoder_scale: what styles are multiplied by before the decoder's first layer; the larger,
            the sooner it learns what changes fast with the style.
        of_classes: give the decoder a first layer of its own for each class.
    """

    headline = "mse"
    earlier: ClassVar = {"activation": "relu"}
    only_with: ClassVar = {
        "width": {"network": "convolutional"},
        "components": {"network": "mlp"},
        "of_classes": {"labels": True},
    }
    prior: Prior

    @classmethod
    def defaults_for(cls, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
        channels, *sides = dataset.spec.image_shape
        large = channels > 1 or max(sides) > LARGEST
        network = options.get("network", "convolutional" if large else "mlp")
        # With two hidden layers besides its own it learnt more slowly (docs/LOG.md).
        hidden = {"hidden": (512,)} if network == "convolutional" else {}
        options = {**options, "network": network}
        return {"network": network, **hidden} | super().defaults_for(dataset, options)

    def __init__(
        self,
        spec: DataSpec,
        posterior: Posterior = "deterministic",  # a method's own affair, and no option of this
        standardised: bool = True,  # likewise
        *,
        feature_size: Count = 4,
        labels: bool = True,
        prior_std: Positive = 1.0,
        hidden: Sizes = (1024, 512),
        activation: Literal["gelu", "relu"] = "gelu",
        network: Literal["mlp", "convolutional"] = "mlp",
        width: Count = 32,
        components: Whole = 0,
        decoder_scale: Positive = 1.0,
        of_classes: bool = False,
        lr: Positive = 2.5e-3,
        **common: Any,
    ):
        super().__init__(spec, lr=lr, **common)
        self.conditional = labels
        self.classes = spec.classes if labels else 0  # that the networks are given
        self.prior = Gaussian(feature_size, prior_std)
        sizes, between = (spec.image_shape, self.classes, feature_size), ACTIVATIONS[activation]
        self.convolutional = network == "convolutional"
        layers: dict[str, Any] = {
            "activation": between,
            "width": width if self.convolutional else 0,
        }
        with self.seeded("encoder"):
            self.encoder = Encoder(
                *(*sizes, prior_std, hidden),
                posterior=posterior,
                standardised=standardised,
                components=0 if self.convolutional else components,
                **layers,
            )
        with self.seeded("decoder"):
            self.decoder = Decoder(
                *sizes, hidden[::-1], scale=decoder_scale, of_classes=of_classes, **layers
            )
        self.players["autoencoder"] = Player(self.encoder, self.decoder, lr=lr)

    def prepare(self, train: Split) -> None:
        whitening = self.encoder.whitening
        if whitening and not whitening.fitted:  # of a new run: the components are in its weights
            some = train.some(slice(None, None, max(1, len(train) // FITTED_TO)))
            whitening.fit(some.batch(slice(None)).images)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor | Distribution:
        return self.encoder(images, labels)

    def decode(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decoder(style, labels)

    def log_likelihood(self, images: Tensor, style: Tensor, labels: Tensor | None = None) -> Tensor:
        return -losses.bernoulli_distortion(self.decoder(style, labels), images)

    @by_rows
    def rebuilt(
        self, style: Tensor, labels: Tensor | None, images: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How far images [B, C, H, W] are from what the decoder makes of their styles [B, N].

        The cross-entropy of each in nats per pixel, and its mean squared error, which has no
        slopes: [B] both, so that processes need not exchange images.
        """
        logits = self.decoder(style, labels)
        nats, errors = losses.distortion_and_errors(logits, images)
        return nats / self.spec.pixels, errors

    def draw(self, encoded: Tensor | Distribution, step: Step) -> Tensor:
        """Styles [B, N] as the decoder is to learn them: drawn, where there is a posterior.

        By noise, through which gradients pass (Kingma & Welling 2013, section 2.4).
        """
        if isinstance(encoded, Tensor):
            return encoded
        shape = encoded.batch_shape
        noise = step.given(lambda _: torch.randn(shape, generator=self.rng))
        return style_at(encoded, noise.to(self.device))

    def summary(self) -> str:
        told = f"the {self.spec.class_word} goes to every network" if self.classes else "no labels"
        network = "by convolutions, " if self.convolutional else ""
        return f"a style of {self.prior.feature_size} numbers, {network}{told}"
