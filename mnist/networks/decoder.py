"""Style and digit to image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist.data import CLASSES, SIDE
from mnist.networks.layers import digit_code, mlp


class Decoder(nn.Module):
    """A perceptron from a style to the logits of 28×28 pixels.

    Args:
        feature_size: N, numbers in a style.
        labels: whether the decoder is told the digit.
        hidden: sizes of the hidden layers.
    """

    def __init__(self, feature_size: int, labels: bool, hidden: Sequence[int]):
        super().__init__()
        self.labels = labels
        self.layers = mlp([feature_size + (CLASSES if labels else 0), *hidden, SIDE * SIDE])

    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """style [B, N], labels as `digit_code` takes them -> logits [B, 1, 28, 28]."""
        inputs = torch.cat([style, digit_code(labels)], 1) if self.labels else style
        return self.layers(inputs).to(style.dtype).unflatten(1, (1, SIDE, SIDE))
