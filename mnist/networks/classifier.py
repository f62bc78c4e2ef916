"""Image to class."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist.networks.layers import BatchNorm2d, mlp
from mnist.networks.shares import by_rows

PART = 200  # images that are classified at once: more do not fit into a processor's cache
WIDTH = 1024  # of a perceptron's hidden layers
# Zeros around what each of the convolutions sees, by whether they are padded. With one around the
# image the first sees all pixels of 28, and so do the others of what it makes.
ZEROS = {True: (2, 1, 1), False: (1, 0, 0)}


class ClassifierNetwork(nn.Module):
    """A small convolutional network from pixels to the logits of the classes.

    Or a perceptron, which knows nothing of pixels being neighbours.

    Args:
        image_shape: (C, H, W).
        classes: K, to choose from.
        layers: of the perceptron; None for the convolutional network.
        outliers: whether to choose "none of these" as well, by an output more. The convolutional
            network is then a wider one, that pools where it strides otherwise.
        blocks: residual blocks more in the convolutional network, before its last layer.
        padded: surround what each convolution sees by zeros. Without, a third of the places are
            left in the end, and none of images of fewer than 15 pixels to a side.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        layers: int | None = None,
        outliers: bool = False,
        blocks: int = 0,
        padded: bool = True,
    ):
        super().__init__()
        outputs = classes + outliers
        channels = image_shape[0]
        self.convolutional = layers is None
        if layers is None:
            first, second, third = ZEROS[padded]
            self.places = places(image_shape, padded)
            width = 128 if outliers else 64
            halving = {"pool": 2} if outliers else {"stride": 2}
            self.network = nn.Sequential(
                convolution(channels, 32, 5, first, stride=2),
                convolution(32, width, 3, second, **halving),
                convolution(width, 128, 3, third),
                *(Residual(convolution(128, 128, 3, 1)) for _ in range(blocks)),
                Flatten(),
                nn.Linear(128 * self.places, outputs),
            )
        else:
            sizes = [math.prod(image_shape), *[WIDTH] * (layers - 1), outputs]
            self.network = nn.Sequential(nn.Flatten(), *mlp(sizes))

    def learnt_layers(self) -> list[nn.Module]:
        """Its layers that have weights, in order."""
        return [layer for layer in self.network if any(True for _ in layer.parameters())]

    @by_rows
    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees; of the convolutional network its mean over places.

        images [B, C, H, W] in [0, 1] -> [B, F], F being 128 for the convolutional network.
        """
        hidden = self.network[:-1](images).to(images.dtype)
        return hidden.unflatten(1, (-1, self.places)).mean(2) if self.convolutional else hidden

    @by_rows
    def forward(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] in [0, 1] -> logits [B, outputs]."""
        return self.network(images).to(images.dtype)


def places(image_shape: Sequence[int], padded: bool) -> int:
    """At how many places of an image (C, H, W) the last convolution looks; 0 if it is too small."""
    _, *sides = image_shape
    for size, stride, zeros in zip((5, 3, 3), (2, 2, 1), ZEROS[padded], strict=True):
        sides = [(side + 2 * zeros - size) // stride + 1 for side in sides]
    return math.prod(max(side, 0) for side in sides)


class Flatten(nn.Flatten):
    """Images as vectors, whose slopes come back in the memory layout that the images had.

    Else a rectifier and a normalisation before it are given images with channels side by side, and
    slopes by channels, and take several times as long.
    """

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C H W]."""
        if self.training and images.requires_grad:
            images.register_hook(
                lambda slopes: slopes.contiguous(memory_format=torch.channels_last)
            )
        return super().forward(images)


class Residual(nn.Module):
    """A network added to its own input (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape, which the network keeps."""
        return inputs + self.network(inputs)


def convolution(
    inputs: int, outputs: int, size: int, padding: int, stride: int = 1, pool: int = 1
) -> nn.Sequential:
    """A convolution, its outputs pooled, normalised and rectified."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding, bias=False),
        *([nn.MaxPool2d(pool, ceil_mode=True)] if pool > 1 else []),
        BatchNorm2d(outputs),
        nn.ReLU(),
    )
