"""Style and class to image."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist.networks.layers import class_code, halved, mlp, transposed_convolutions
from mnist.networks.shares import by_rows


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
        scale: what styles are multiplied by first. Perceptrons learn what changes slowly with their
            inputs first (Rahaman et al. 2019, arXiv 1806.08734), and so the larger, the sooner
            they learn what changes fast with the style.
        of_classes: give it the style's numbers once more for each class, zero but for its own, so
            that the first layer is another for each; where there are classes.
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
        scale: float = 1.0,
        of_classes: bool = False,
    ):
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.classes = classes
        self.scale = scale
        self.of_classes = of_classes and classes > 0
        self.small = halved(image_shape, width)[-1] if width else self.image_shape
        inputs = feature_size + classes * (1 + feature_size * self.of_classes)
        self.layers = mlp([inputs, *hidden, math.prod(self.small)], activation, normalise)
        self.convolutions = (
            transposed_convolutions(image_shape, width, activation) if width else None
        )

    @by_rows
    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """style [B, N], labels as `class_code` takes them -> logits [B, C, H, W]."""
        logits = self.layers(self.inputs(style, labels)).unflatten(1, self.small)
        if self.convolutions:
            _, height, width = self.image_shape
            logits = self.convolutions(logits)[:, :, :height, :width]
        return logits.to(style.dtype)

    def inputs(self, style: Tensor, labels: Tensor | None) -> Tensor:
        """What the first layer sees of styles [B, N] and their labels: [B, M]."""
        style = self.scale * style
        if not self.classes:
            return style
        code = class_code(labels, self.classes)
        parts = [style, code]
        if self.of_classes:
            parts.append((code.unsqueeze(2) * style.unsqueeze(1)).flatten(1))
        return torch.cat(parts, 1)
