"""Image to "is it real?", on top of any network that gives features of images."""

from __future__ import annotations

from torch import Tensor, nn

from mnist.networks.discriminator import of_class
from mnist.networks.layers import at_least_float32


class ImageDiscriminator(nn.Module):
    """Images to a verdict, and to the class that they are named.

    Args:
        features: a network from images [B, C, H, W] to F features.
        size: F.
        classes: K, with a verdict for each; 0 for a single one.
        named: K, of which it names one; 0 for none.
    """

    def __init__(self, features: nn.Module, size: int, classes: int, named: int):
        super().__init__()
        self.features, self.classes = features, classes
        self.verdict = nn.Linear(size, max(classes, 1))
        self.name = nn.Linear(size, named) if named else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Verdicts [B, 1] of images of these classes, and their features [B, F].

        images [B, C, H, W] in [0, 1], labels int64 [B].
        """
        features = self.features(images)
        return of_class(self.verdicts(features), self.classes, labels), features

    def verdicts(self, features: Tensor) -> Tensor:
        """About images of these features [B, F], as being of each class: [B, K], or [B, 1]."""
        return at_least_float32(self.verdict(features))

    def class_logits(self, features: Tensor) -> Tensor:
        """Of the class that it names images of these features [B, F]: [B, K]."""
        assert self.name is not None
        return at_least_float32(self.name(features))


class EnergyDiscriminator(nn.Module):
    """An autoencoder whose verdict is how badly it gives an image back.

    Zhao, Mathieu & LeCun 2017 (arXiv 1609.03126, section 2.3). Its batch normalisation takes out of
    the codes what all images of a batch have in common, so that it cannot give back images that are
    all alike, and a generator gains nothing by them (docs/LOG.md).

    Args:
        features: a network from images to F features.
        size: F.
        code: M, what an image is squeezed through.
        decoder: from M numbers to logits of images.
    """

    def __init__(self, features: nn.Module, size: int, code: int, decoder: nn.Module):
        super().__init__()
        self.features, self.decoder = features, decoder
        self.code = nn.Sequential(nn.Linear(size, code), nn.BatchNorm1d(code))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Energies [B, 1] of images [B, C, H, W] in [0, 1], root mean squared errors, and their
        codes [B, M]."""
        code = self.code(self.features(images)).to(images.dtype)
        off = (self.decoder(code).sigmoid() - images).flatten(1)
        return off.square().mean(1, keepdim=True).add(1e-8).sqrt(), code
