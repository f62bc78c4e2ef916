"""VAE, the variational autoencoder: reconstruction, and a rate that keeps styles to the prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from mnist.data.spec import DataSpec
from mnist.data.types import Batch, Dataset, Split
from mnist.methods.autoencoder import ACTIVATIONS, Autoencoder
from mnist.methods.base import Step, cosine
from mnist.networks import losses
from mnist.networks.player import Player
from mnist.networks.random import child_seed
from mnist.networks.variance import LearnedVariance, RadialVariance, SharedVariance
from mnist.options import Count, Positive, Share, Weight

PLACED_BY = 10_000  # styles of training images, at most
VARIANCE_LR = 1e-2  # of the weights of radial basis functions, which are few


class VAE(Autoencoder):
    """Kingma & Welling 2013, arXiv 1312.6114.

    Encoder and decoder descend the negative of the evidence lower bound (eq. 10), distortion plus
    rate: E -log p(x|z) + KL(q(z|x) ‖ p(z)), with z drawn from the Gaussian posterior q(z|x) of
    image x. Conditional on the class it is that of log p(x|y) (Sohn, Lee & Yan 2015).

    Args (besides those of `Autoencoder`):
        beta: weight β of the rate (Higgins et al. 2017): above 1 styles are nearer to the prior,
            and below reconstructions to the images.
        likelihood: what pixels are given the style: black or white as often as they are dark, or
            normal about their mean. By default the latter in colour, which has no two extremes.
        decoder_variance: of normal pixels: one for all, learnt of each by a perceptron, or by
            radial basis functions, so that it is large away from the training images' styles.
        centres: of these functions.
        centres_width: of each, by the distance of the styles next to it.
        centres_from: share of the training after which they are placed, and only they learn.
    """

    name = "vae"
    only_with: ClassVar = {
        **Autoencoder.only_with,
        "decoder_variance": {"likelihood": "gaussian"},
        "centres": {"decoder_variance": "rbf"},
        "centres_width": {"decoder_variance": "rbf"},
        "centres_from": {"decoder_variance": "rbf"},
    }

    @classmethod
    def defaults_for(cls, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
        colour = dataset.spec.image_shape[0] > 1
        return super().defaults_for(dataset, options) | (
            {"likelihood": "gaussian"} if colour else {}
        )

    def __init__(
        self,
        spec: DataSpec,
        *,
        beta: Weight = 1.0,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        decoder_variance: Literal["shared", "learned", "rbf"] = "shared",
        centres: Count = 100,
        centres_width: Positive = 0.8,
        centres_from: Share = 0.7,
        **common: Any,
    ):
        super().__init__(spec, "gaussian", False, **common)
        self.beta = beta
        self.centres_width, self.centres_from = centres_width, centres_from
        self.capturable = decoder_variance != "rbf"
        self.train_images: Split | None = None  # where there are centres to be placed
        self.decodes_std = likelihood == "gaussian" and decoder_variance != "shared"
        self.variance: SharedVariance | LearnedVariance | RadialVariance | None = None
        if likelihood == "gaussian":
            sizes = spec.image_shape, self.classes, self.prior.feature_size
            hidden, between = self.config["hidden"][::-1], ACTIVATIONS[self.config["activation"]]
            with self.seeded("variance"):
                if decoder_variance == "shared":
                    self.variance = SharedVariance()
                elif decoder_variance == "learned":
                    self.variance = LearnedVariance(*sizes, hidden, between)
                else:
                    self.variance = RadialVariance(*sizes, centres)
            networks = self.encoder, self.decoder, self.variance
            self.players["autoencoder"] = Player(*networks, lr=self.config["lr"])
            if decoder_variance == "rbf":
                self.players["variance"] = Player(self.variance, lr=VARIANCE_LR)

    def prepare(self, train: Split) -> None:
        super().prepare(train)
        self.train_images = train if isinstance(self.variance, RadialVariance) else None

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        who, start = "autoencoder", 0.0
        if self.train_images is not None and step.progress >= self.centres_from:
            # Of means that are as good as they will be: a training of its own.
            who, start = "variance", self.centres_from
            self.place_centres(self.train_images)
        with self.autocast():
            encoded = self.encoder(batch.images, batch.labels)
            style = self.draw(encoded, step)
            logits = self.decoder(style, batch.labels)
        distortion = self.distortion(logits, batch.images, style, batch.labels).mean()
        rate = losses.rate(encoded, self.prior.std)
        loss = (distortion + self.beta * rate) / self.spec.pixels
        lr_scale = step.given(lambda at: cosine((at.progress - start) / (1 - start)))
        self.players[who].update(loss, lr_scale)
        return {
            "distortion": distortion.detach(),
            "rate": rate.detach(),
            "mse": losses.mse(logits.detach(), batch.images),
        }

    def distortion(
        self, logits: Tensor, images: Tensor, style: Tensor, labels: Tensor | None
    ) -> Tensor:
        """-log p(x|z) of images by the logits of their styles' means, in nats: [B]."""
        if self.variance is None:
            return losses.bernoulli_distortion(logits, images)
        return losses.gaussian_distortion(logits.sigmoid(), self.variance(style, labels), images)

    def log_likelihood(self, images: Tensor, style: Tensor, labels: Tensor | None = None) -> Tensor:
        return -self.distortion(self.decoder(style, labels), images, style, labels)

    @torch.no_grad()
    def place_centres(self, train: Split) -> None:
        """Put the centres of the variance where styles of training images are, if they are not."""
        assert isinstance(self.variance, RadialVariance)
        if self.variance.placed:
            return
        some = train.some(slice(None, None, max(1, len(train) // PLACED_BY)))
        styles = [self.encoder(b.images, b.labels).mean for b in some.batches()]
        self.variance.place(torch.cat(styles), self.centres_width, child_seed(self.seed, "centres"))

    def decode_std(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """Standard deviation of each pixel [B, C, H, W] in styles [B, N]; of normal ones only."""
        assert self.variance is not None
        return self.variance(style, labels).sqrt().expand(-1, *self.spec.image_shape)

    def validate(self, batch: Batch, style: Tensor | None) -> dict[str, Tensor]:
        assert style is not None
        return {
            "distortion": -self.log_likelihood(batch.images, style, batch.labels).mean(),
            "rate": losses.rate(self.encoder(batch.images, batch.labels), self.prior.std),
        }
