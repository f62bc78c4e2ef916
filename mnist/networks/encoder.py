"""Image and class to style."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist.networks.layers import class_code, mlp


class Encoder(nn.Module):
    """A perceptron whose output has, by construction, the prior's mean and scale.

    The batch normalisation at its end has no scale or shift of its own to learn, so the style can
    neither collapse to a point nor run away, whatever the discriminator does: only the style's
    *shape* is left to it (docs/LOG.md: without, the style collapsed).

    Args:
        image_shape: (C, H, W).
        classes: K, given to it as one-hot code; 0 for an unconditional encoder.
        feature_size: N, dimensions of the style.
        std: standard deviation that each style dimension has over the training images.
        hidden: sizes of the hidden layers.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        feature_size: int,
        std: float,
        hidden: Sequence[int],
    ):
        super().__init__()
        self.classes = classes
        self.std = std
        self.layers = mlp([math.prod(image_shape) + classes, *hidden, feature_size])
        self.standardise = Standardise(feature_size)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """images [B, C, H, W] in [0, 1], labels as `class_code` takes them -> style [B, N]."""
        inputs = images.flatten(1)
        if self.classes:
            inputs = torch.cat([inputs, class_code(labels, self.classes)], 1)
        return self.std * self.standardise(self.layers(inputs).to(images.dtype))


class Standardise(nn.BatchNorm1d):
    """Each number shifted and scaled to mean 0 and variance 1: a BatchNorm without a learnt scale.

    In training by the batch's own mean and variance, otherwise by their running averages (Ioffe &
    Szegedy 2015, arXiv 1502.03167), which reach further back than usual: they are what encodes at
    test time, and how far they happen to be off at the last step goes straight into the styles. A
    batch's own mean is off by std/√B; that of a hundred, hardly. In the first 500 batches they
    reach back over the last fifth of them only, for there the network itself moves fast.
    """

    BATCHES = 100

    # As they are where statistics are tracked; torch's own annotations allow for none.
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, size: int):
        super().__init__(size, affine=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """[B, N] -> [B, N]."""
        if not self.training:
            return super().forward(numbers)
        self.remember(numbers.detach())
        return F.batch_norm(numbers, None, None, training=True, eps=self.eps)

    def remember(self, numbers: Tensor) -> None:
        """Take a batch into the running averages."""
        self.num_batches_tracked += 1
        share = (5 / (self.num_batches_tracked + 4)).clamp(min=1 / self.BATCHES)
        variance, mean = torch.var_mean(numbers, 0)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
