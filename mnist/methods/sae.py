"""SAE, the simple autoencoder: reconstruction, and nothing that shapes the style but its code."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from mnist.data.spec import DataSpec
from mnist.data.types import Batch, Split
from mnist.methods.autoencoder import Autoencoder
from mnist.methods.base import Step, cosine
from mnist.networks.fitted import FittedMixture
from mnist.networks.layers import normalise_spectrally
from mnist.networks.prior import Uniform
from mnist.networks.random import child_seed
from mnist.options import Weight

# A sigmoid this steep is within 0.01 of the normal distribution function, so that standardised
# numbers become about uniform ones. Without both the code dies (docs/LOG.md).
STEEP = 1.702
FITTED_TO = 10_000  # styles of training images, at most


class SAE(Autoencoder):
    """Encoder and decoder trained to give the image back (Hinton & Salakhutdinov 2006).

    Args (besides those of `Autoencoder`):
        code: what a style is. plain: it has the prior's mean and scale (see `Encoder`), but
            whatever shape suits it. sigmoid: that, squashed to [0, 1]. l2: kept small by a weight
            on its square, before a smooth decoder, and drawn afterwards from a mixture fitted to
            it: the regularised autoencoder of Ghosh et al. 2020 (arXiv 1903.12436).
        code_weight: of the square of l2's code.
        smoothness: what keeps l2's decoder smooth: a penalty on its slopes, spectral normalisation
            of its inner layers, or nothing.
        smoothness_weight: of that penalty.
    """

    name = "sae"
    capturable = True
    only_with: ClassVar = {
        **Autoencoder.only_with,
        "code_weight": {"code": "l2"},
        "smoothness": {"code": "l2"},
        "smoothness_weight": {"smoothness": "gradient"},
    }

    def __init__(
        self,
        spec: DataSpec,
        *,
        code: Literal["plain", "sigmoid", "l2"] = "plain",
        code_weight: Weight = 1e-4,
        smoothness: Literal["gradient", "spectral", "none"] = "gradient",
        smoothness_weight: Weight = 1e-5,
        **common: Any,
    ):
        super().__init__(spec, standardised=code != "l2", **common)
        self.code, self.code_weight = code, code_weight
        self.penalised = code == "l2" and smoothness == "gradient"
        self.smoothness_weight = smoothness_weight
        size = self.prior.feature_size
        if code == "sigmoid":
            self.steepness = STEEP / self.prior.std
            self.prior = Uniform.between(0, 1, size)
        elif code == "l2":
            self.mixture = FittedMixture(size)
            # A module set as an attribute would be hidden by the class's own, which is None.
            self.__dict__["prior"] = self.mixture
            if smoothness == "spectral":
                # Not of the first layer, by which the class would weigh little beside a large
                # style, nor of the last, which makes logits of numbers near 1 (docs/LOG.md).
                with self.seeded("spectral"):  # it starts from random vectors
                    normalise_spectrally(self.decoder.layers[1:-1])

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        with self.autocast():
            style = self.encode(batch.images, batch.labels)
            nats, errors = self.rebuilt(style, batch.labels, batch.images)
            numbers = {"reconstruction": nats.mean()}
            loss = numbers["reconstruction"]
            if self.code == "l2":
                numbers["square"] = style.square().sum(1).mean() / 2
                loss = loss + self.code_weight * numbers["square"]
            if self.penalised:
                numbers["slope"] = self.slope(style, batch.labels, step)
                loss = loss + self.smoothness_weight * numbers["slope"]
        lr_scale = step.given(lambda at: cosine(at.progress))
        self.players["autoencoder"].update(loss, lr_scale)
        numbers["mse"] = errors.mean()
        return {name: number.detach() for name, number in numbers.items()}

    def slope(self, style: Tensor, labels: Tensor | None, step: Step) -> Tensor:
        """½ E ‖∂x/∂z‖², of images by styles [B, N] (Ghosh et al. 2020, eq. 9), a scalar.

        The square of the whole matrix is the mean of those of its products with normal vectors
        (Hutchinson 1990).
        """
        images = self.decoder(style, labels).sigmoid()
        shape = images.shape
        vectors = step.given(lambda _: torch.randn(shape, generator=self.rng)).to(self.device)
        (slopes,) = torch.autograd.grad((vectors * images).sum(), style, create_graph=True)
        return slopes.square().sum(1).mean() / 2

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        style = self.encoder(images, labels)
        return (self.steepness * style).sigmoid() if self.code == "sigmoid" else style

    @torch.no_grad()
    def fit(self, train: Split) -> None:
        if self.code == "l2":
            some = train.some(slice(None, None, max(1, len(train) // FITTED_TO)))
            styles = torch.cat([self.encode(b.images, b.labels) for b in some.batches()])
            self.mixture.fit(styles, child_seed(self.seed, "mixture"))
