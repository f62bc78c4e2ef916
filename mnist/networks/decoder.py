"""Style and class to image."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist.networks.layers import class_code, halved, mlp, transposed_convolutions


class Decoder(nn.Module):
    """A perceptron from a style to the logits of an image's pixels.

    Behind it there may be transposed convolutions, for images that are large or in colour.

    Args:
        image_shape: (C, H, W).
        classes: K, given to it as one-hot code; 0 for an unconditional decoder.
        feature_size: N, dimensions of the style.
        hidden: sizes of the hidden layers.
        activation: between the layers.
        normalise: a batch normalisation in each layer of the perceptron but the last.
        width: channels before the last convolution; 0 for none.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        feature_size: int,
        hidden: Sequence[int],
        activation: type[nn.Module] = nn.ReLU,
        normalise: bool = False,
        width: int = 0,
    ):
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.classes = classes
        self.small = halved(image_shape, width)[-1] if width else self.image_shape
        self.layers = mlp(
            [feature_size + classes, *hidden, math.prod(self.small)], activation, normalise
        )
        self.convolutions = (
            transposed_convolutions(image_shape, width, activation) if width else None
        )

    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """style [B, N], labels as `class_code` takes them -> logits [B, C, H, W]."""
        inputs = torch.cat([style, class_code(labels, self.classes)], 1) if self.classes else style
        logits = self.layers(inputs).unflatten(1, self.small)
        if self.convolutions:
            _, height, width = self.image_shape
            logits = self.convolutions(logits)[:, :, :height, :width]
        return logits.to(style.dtype)
