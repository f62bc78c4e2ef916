"""Image to digit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mnist.data import CLASSES, SIDE
from mnist.networks.layers import mlp

PART = 200  # images that are classified at once: more do not fit into a processor's cache
WIDTH = 1024  # of a perceptron's hidden layers
PLACES = 7 * 7  # at which the last convolution looks


class Classifier(nn.Module):
    """A small convolutional network from 28×28 pixels to the logits of the digits.

    Or a perceptron, which knows nothing of pixels being neighbours.

    Args:
        layers: of the perceptron; None for the convolutional network.
        classes: what there is to choose from.
        outliers: whether to choose "none of these" as well, by an output more. The convolutional
            network is then a wider one, that pools where it strides otherwise.
    """

    def __init__(self, layers: int | None = None, classes: int = CLASSES, outliers: bool = False):
        super().__init__()
        self.layers = layers
        outputs = classes + outliers
        if layers is None:
            width = 128 if outliers else 64
            halving = {"pool": 2} if outliers else {"stride": 2}
            self.network = nn.Sequential(
                convolution(1, 32, 5, stride=2),  # 14×14
                convolution(32, width, 3, **halving),  # 7×7
                convolution(width, 128, 3),
                nn.Flatten(),
                nn.Linear(128 * PLACES, outputs),
            )
        else:
            sizes = [SIDE * SIDE, *[WIDTH] * (layers - 1), outputs]
            self.network = nn.Sequential(nn.Flatten(), *mlp(sizes))

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees; of the convolutional network its mean over places.

        images [B, 1, 28, 28] in [0, 1] -> [B, F], F being 128 for the convolutional network.
        """
        hidden = self.network[:-1](images).to(images.dtype)
        return hidden if self.layers else hidden.unflatten(1, (-1, PLACES)).mean(2)

    def log_probs(self, images: Tensor) -> Tensor:
        """Log-probabilities [B, outputs] of any number of images, as many at once as is quick."""
        return torch.cat([self(some) for some in images.split(PART)]).log_softmax(1)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, 1, 28, 28] in [0, 1] -> logits [B, outputs]."""
        return self.network(images).to(images.dtype)


def convolution(
    inputs: int, outputs: int, size: int, stride: int = 1, pool: int = 1
) -> nn.Sequential:
    """A convolution, its outputs pooled, normalised and rectified."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        *([nn.MaxPool2d(pool)] if pool > 1 else []),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
