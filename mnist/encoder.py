"""Image and digit to style."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist.data import CLASSES, SIDE
from mnist.layers import digit_code, mlp


class Encoder(nn.Module):
    """A perceptron whose output has, by construction, the prior's mean and scale.

    The batch normalisation at its end has no scale or shift of its own to learn, so the style can
    neither collapse to a point nor run away, whatever the discriminator does: only the style's
    *shape* is left to it (docs/LOG.md: without, the style collapsed).

    Args:
        feature_size: N, numbers in a style.
        labels: whether the encoder is told the digit.
        std: standard deviation that each style dimension has over the training images.
        hidden: sizes of the hidden layers.
    """

    def __init__(self, feature_size: int, labels: bool, std: float, hidden: Sequence[int]):
        super().__init__()
        inputs = SIDE * SIDE + (CLASSES if labels else 0)
        self.labels = labels
        self.std = std
        self.layers = mlp([inputs, *hidden, feature_size])
        # Slower running averages than usual, for they are what encodes at test time: a batch's own
        # mean is off by std/√B, that of some 20 batches hardly.
        self.standardise = nn.BatchNorm1d(feature_size, affine=False, momentum=0.05)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """images [B, 1, 28, 28] in [0, 1], labels as `digit_code` takes them -> style [B, N]."""
        inputs = images.flatten(1)
        if self.labels:
            inputs = torch.cat([inputs, digit_code(labels)], 1)
        return self.std * self.standardise(self.layers(inputs).float())
