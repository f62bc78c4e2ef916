"""Image to class and style at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mnist.networks.encoder import Standardise
from mnist.networks.layers import BatchNorm1d
from mnist.networks.losses import closeness
from mnist.networks.shares import by_rows

MOMENTUM = 0.02  # of a batch in the running averages that normalise at test time


class CategoricalEncoder(nn.Module):
    """A perceptron with two heads: Makhzani et al. 2015, section 5, figure 8.

    Args:
        image_shape: (C, H, W).
        classes: K.
        feature_size: N, dimensions of the style.
        std: standard deviation that each of them has over the training images.
        hidden: sizes of the hidden layers.
        normalise: a batch normalisation in each hidden layer.
        noise: standard deviation of Gaussian noise on the pixels in training.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        feature_size: int,
        std: float,
        hidden: Sequence[int],
        normalise: bool,
        noise: float,
    ):
        super().__init__()
        self.std = std
        self.noise = noise
        layers: list[nn.Module] = [nn.Flatten()]
        sizes = [math.prod(image_shape), *hidden]
        for inputs, outputs in pairwise(sizes):
            layers.append(nn.Linear(inputs, outputs))
            if normalise:
                layers.append(BatchNorm1d(outputs, momentum=MOMENTUM))
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)
        self.category = nn.Linear(sizes[-1], classes)
        self.style = nn.Linear(sizes[-1], feature_size)
        self.standardise = Standardise(feature_size)

    def forward(
        self, images: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of the classes [B, K] and styles [B, N] of images [B, C, H, W].

        With a generator the noise on the pixels is drawn from it.
        """
        if generator is not None and self.noise:
            noise = torch.randn(images.shape, generator=generator).to(images.device)
            images = images + self.noise * noise
        hidden = self.hidden(images)
        style = self.std * self.standardise(self.style(hidden).to(images.dtype))
        return self.category(hidden).to(images.dtype), style

    @by_rows
    def hidden(self, images: Tensor) -> Tensor:
        """What both heads are given of images [B, C, H, W]: [B, F]."""
        return self.layers(images)

    def classify(self, images: Tensor) -> Tensor:
        """Logits of the classes alone, [B, K]."""
        return self.category(self.hidden(images)).to(images.dtype)


def apart(heads: Tensor, distance: float) -> Tensor:
    """Heads [K, N] moved until no two of them are closer to each other than this.

    The loss alone (`losses.closeness`) would take longer than a training.
    """
    heads = heads.detach().clone()
    if heads.is_meta:  # numbers are yet to come, from a checkpoint
        return heads
    for _ in range(10_000):
        with torch.enable_grad():
            loss = closeness(heads.requires_grad_(), distance)
        if not loss:
            break
        (gradient,) = torch.autograd.grad(loss, heads)
        heads = heads.detach() - 0.01 * distance * gradient
    return heads.detach()
