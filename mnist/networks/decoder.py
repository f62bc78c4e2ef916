"""Style and class to image."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist.networks.layers import class_code, mlp


class Decoder(nn.Module):
    """A perceptron from a style to the logits of an image's pixels.

    Args:
        image_shape: (C, H, W).
        classes: K, given to it as one-hot code; 0 for an unconditional decoder.
        feature_size: N, dimensions of the style.
        hidden: sizes of the hidden layers.
        activation: between the layers.
        normalise: a batch normalisation in each layer but the last.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        feature_size: int,
        hidden: Sequence[int],
        activation: type[nn.Module] = nn.ReLU,
        normalise: bool = False,
    ):
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.classes = classes
        sizes = [feature_size + classes, *hidden, math.prod(image_shape)]
        self.layers = mlp(sizes, activation, normalise)

    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """style [B, N], labels as `class_code` takes them -> logits [B, C, H, W]."""
        inputs = torch.cat([style, class_code(labels, self.classes)], 1) if self.classes else style
        return self.layers(inputs).to(style.dtype).unflatten(1, self.image_shape)
