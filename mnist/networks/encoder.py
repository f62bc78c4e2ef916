"""Image and class to style, or to what is left open of it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional as F

from mnist.networks.layers import class_code, mlp

# Bounds of a posterior's standard deviation, in the prior's: at 0 its logarithm is infinite, and at
# 1 the slope of √(1 - σ²).
LEAST, MOST = 0.01, 0.995
NARROW = -2.0  # before the sigmoid, at the start: σ = 0.13, at which the decoder can learn


class Encoder(nn.Module):
    """A perceptron whose output has, by construction, the prior's mean and scale.

    The batch normalisation at its end has no scale or shift of its own to learn, so the style can
    neither collapse to a point nor run away, whatever the discriminator does: only the style's
    *shape* is left to it (docs/LOG.md: without, the style collapsed).

    With a posterior it says of each dimension how far the image leaves it open: the style is
    z = √(1 - σ²) · μ + σ ε, the Gaussian posterior of Makhzani et al. 2015, section 2.1, with μ
    standardised so that again each dimension of z has the prior's mean and scale: its own mean
    weighted by w = √(1 - σ²), its variance by w², for E w² (μ² - 1) = 0 makes E w² μ² + σ² = 1.

    Args:
        image_shape: (C, H, W).
        classes: K, given to it as one-hot code; 0 for an unconditional encoder.
        feature_size: N, dimensions of the style.
        std: standard deviation that each style dimension has over the training images.
        hidden: sizes of the hidden layers.
        activation: between the layers.
        posterior: whether there is one.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        feature_size: int,
        std: float,
        hidden: Sequence[int],
        activation: type[nn.Module] = nn.ReLU,
        posterior: bool = False,
    ):
        super().__init__()
        self.classes = classes
        self.std = std
        sizes = [math.prod(image_shape) + classes, *hidden, feature_size]
        self.layers = mlp(sizes, activation)
        self.standardise = Standardise(feature_size)
        # A head of its own, so that an encoder without one can be gone on from.
        self.width = nn.Linear(sizes[-2], feature_size) if posterior else None
        if self.width:
            nn.init.constant_(self.width.bias, NARROW)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | Normal:
        """The style of each image, [B, N], or its posterior, of means and deviations [B, N].

        images [B, C, H, W] in [0, 1], labels as `class_code` takes them.
        """
        inputs = images.flatten(1)
        if self.classes:
            inputs = torch.cat([inputs, class_code(labels, self.classes)], 1)
        hidden = self.layers[:-1](inputs)
        style = self.layers[-1](hidden).to(images.dtype)
        if not self.width:
            return self.std * self.standardise(style)
        sigma = LEAST + (MOST - LEAST) * self.width(hidden).to(images.dtype).sigmoid()
        weight = (1 - sigma.square()).sqrt()
        mean = weight * self.standardise(style, weight)
        return Normal(self.std * mean, self.std * sigma, validate_args=False)


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

    def forward(self, numbers: Tensor, weights: Tensor | None = None) -> Tensor:
        """[B, N] -> [B, N]; with weights [B, N] the mean is weighted by them, the variance by their
        squares."""
        if not self.training:
            return super().forward(numbers)
        if weights is None:
            variance, mean = torch.var_mean(numbers.detach(), 0)
            self.remember(mean, variance)
            return F.batch_norm(numbers, None, None, training=True, eps=self.eps)
        mean = (weights * numbers).sum(0) / weights.sum(0)
        squares = weights.square()
        variance = (squares * (numbers - mean).square()).sum(0) / squares.sum(0)
        self.remember(mean.detach(), variance.detach())
        return (numbers - mean) / (variance + self.eps).sqrt()

    def remember(self, mean: Tensor, variance: Tensor) -> None:
        """Take a batch's moments [N] into the running averages."""
        self.num_batches_tracked += 1
        share = (5 / (self.num_batches_tracked + 4)).clamp(min=1 / self.BATCHES)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
