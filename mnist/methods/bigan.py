"""BiGAN: an encoder and a generator that a discriminator makes each other's inverse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mnist.data.spec import DataSpec
from mnist.data.types import Batch
from mnist.methods.base import Method, Step, cosine
from mnist.networks import losses
from mnist.networks.convolutional import (
    ConvolutionalEncoder,
    ConvolutionalGenerator,
    JointDiscriminator,
)
from mnist.networks.layers import normalise_spectrally
from mnist.networks.player import Player
from mnist.networks.prior import Gaussian
from mnist.options import Count, Positive, Share, Weight

FEATURES = 256  # of an image, from which its style is read and by which it is judged
HIDDEN = (512, 512)  # layers that judge an image and a style together


class BiGAN(Method):
    """Donahue, Krähenbühl & Darrell 2016, arXiv 1605.09782; Dumoulin et al. 2016, arXiv 1606.00704.

    A discriminator tells pairs of a real image and its style, (x, E(x)), from pairs of a generated
    one and the style that it was made of, (G(z), z). Encoder and generator together learn that it
    cannot: then both pairs have the same distribution, and E is the inverse of G (theorem 2 of the
    former). Without labels, as in these papers.

    That is so in the end; until then they are nearer to it by a weight on the reconstruction
    G(E(x)), which bounds the conditional entropy of x given its style (Li et al. 2017, ALICE, arXiv
    1709.01215, section 3.1).

    Args (besides those of `Method`):
        feature_size: N, dimensions of the style.
        width: channels of the networks at half of an image's size.
        discriminator_lr: learning rate of the discriminator.
        consistency_weight: of the cross-entropy of reconstructions, in nats per pixel; 0 is the
            BiGAN of its papers.
        averaging: share of the averaged generator that a step keeps, by which images are made; 0
            for none.
    """

    name = "bigan"
    headline = "mse"
    diagnosed = True
    epochs = (8, 40)
    batch_size = 100
    prior: Gaussian

    def __init__(
        self,
        spec: DataSpec,
        *,
        feature_size: Count = 100,
        width: Count = 32,
        lr: Positive = 1e-3,
        discriminator_lr: Positive = 1e-3,
        consistency_weight: Weight = 2.0,
        averaging: Share = 0.999,
        **common: Any,
    ):
        super().__init__(spec, lr=lr, **common)
        self.consistency_weight = consistency_weight
        self.prior = Gaussian(feature_size)
        shape = spec.image_shape
        with self.seeded("encoder"):
            self.encoder = ConvolutionalEncoder(shape, feature_size, FEATURES, width)
        with self.seeded("generator"):
            self.generator = ConvolutionalGenerator(shape, 0, feature_size, width)
        with self.seeded("discriminator"):
            self.discriminator = JointDiscriminator(shape, feature_size, FEATURES, width, HIDDEN)
            normalise_spectrally(self.discriminator)
        self.players["discriminator"] = Player(self.discriminator, lr=discriminator_lr)
        self.players["autoencoder"] = Player(self.encoder, self.generator, lr=lr)
        self.keep_average("generator", averaging)

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        scale, real = cosine(step.progress), batch.images
        style = self.prior.sample(len(real), self.rng).to(self.device)
        with self.autocast():
            fake, code = self.generator(style).sigmoid(), self.encoder(real)
            of_real, of_fake = self.judged(real, code.detach(), fake.detach(), style)
            told_apart = losses.discriminator_loss(of_real, of_fake)
        self.players["discriminator"].update(told_apart, scale)

        with self.autocast():
            # Both players play the same loss with the answers exchanged (Donahue et al., section
            # 3.4), as the generator of a GAN does.
            taken_for_real, taken_for_fake = self.judged(real, code, fake, style)
            fooled = losses.discriminator_loss(taken_for_fake, taken_for_real)
            loss = fooled
            if self.consistency_weight:
                rebuilt = self.generator(code)
                loss = loss + self.consistency_weight * losses.reconstruction(rebuilt, real)
        self.players["autoencoder"].update(loss, scale)
        self.update_averages()
        return {
            "discriminator": told_apart.detach(),
            "autoencoder": fooled.detach(),
            "discriminator_accuracy": (of_real > of_fake).float().mean(),
        }

    def judged(
        self, real: Tensor, code: Tensor, fake: Tensor, style: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits [B, 1] of real images and their styles, and of generated ones and theirs."""
        images, styles = torch.cat([real, fake]), torch.cat([code, style])
        of_real, of_fake = self.discriminator(images, styles).split(len(real))
        return of_real, of_fake

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.encoder(images)

    def decode(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.generator(style)

    def summary(self) -> str:
        return f"an encoder and a generator of a style of {self.prior.feature_size} numbers"
