"""What networks are made of: a class as numbers, perceptrons, convolutions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from mnist.networks import shares


def class_code(labels: Tensor | None, classes: int) -> Tensor:
    """A class as the input of a network: float32 [B, K].

    Args:
        labels: int64 [B] becomes one-hot, and −1 (unlabelled) all zeros; a float [B, K], such as
            a point between two classes, passes through unchanged.
        classes: K.
    """
    assert labels is not None  # a network that is given the class is asked with labels
    if labels.is_floating_point():
        return labels
    every = torch.arange(classes, device=labels.device)
    return (labels.unsqueeze(1) == every).to(torch.float32)


def at_least_float32(numbers: Tensor) -> Tensor:
    """Numbers of any shape as they are, or in float32 where they are less exact than that."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


class OfWholeBatch(nn.modules.batchnorm._BatchNorm):
    """A batch normalisation by the whole batch, of which processes may each have a share.

    torch's own does without the others, or (`SyncBatchNorm`) needs a GPU and has no second slopes.
    """

    # As they are where statistics are tracked; torch's own annotations allow for none.
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, numbers: Tensor) -> Tensor:
        if not (self.training and shares.State.within):
            return super().forward(numbers)
        places = [0, *range(2, numbers.ndim)]  # all but the channel
        shape = [1, -1, *[1] * (numbers.ndim - 2)]
        found = at_least_float32(numbers)
        count = shares.total(found.new_tensor(found.numel() // found.shape[1]))
        mean = shares.total(found.sum(places)) / count
        centred = found - mean.view(shape)
        variance = shares.total(centred.square().sum(places)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        return (normal * self.weight.view(shape) + self.bias.view(shape)).to(numbers.dtype)


class BatchNorm1d(OfWholeBatch, nn.BatchNorm1d):
    """Of vectors [B, F]."""


class BatchNorm2d(OfWholeBatch, nn.BatchNorm2d):
    """Of images [B, C, H, W]."""


def mlp(
    sizes: Sequence[int], activation: type[nn.Module] = nn.ReLU, normalise: bool = False
) -> nn.Sequential:
    """Linear layers through `sizes`, with the activation between them and none at the end.

    Args:
        sizes: numbers before the first layer, and after each.
        activation: between the layers.
        normalise: a batch normalisation before each activation (Ioffe & Szegedy 2015, arXiv
            1502.03167).

    Raises:
        ValueError: a size is not positive.
    """
    if min(sizes) < 1:
        raise ValueError(f"no network has layers of {list(sizes)} numbers")
    *hidden, last = (nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes))
    layers: list[nn.Module] = []
    for layer in hidden:
        norm = [BatchNorm1d(layer.out_features)] if normalise else []
        layers += [layer, *norm, activation()]
    return nn.Sequential(*layers, last)


SMALLEST = 8  # pixels: an image is halved until its longer side is no more


def halved(image_shape: Sequence[int], width: int) -> list[tuple[int, int, int]]:
    """The shapes (C, H, W) that convolutions make of an image, one after the other, itself first.

    Each halves its sides, rounded up; the first has so many channels, and all others twice that.
    """
    channels, height, side = image_shape
    shapes = [(channels, height, side)]
    while len(shapes) == 1 or max(height, side) > SMALLEST:
        height, side = -(-height // 2), -(-side // 2)
        shapes.append((width * min(len(shapes), 2), height, side))
    return shapes


def convolutions(
    image_shape: Sequence[int], width: int, activation: type[nn.Module]
) -> nn.Sequential:
    """From images [B, C, H, W] to the last of their `halved` shapes, normalised by batches.

    Without that, dimensions of the style died at the learning rate of perceptrons (docs/LOG.md).
    """
    layers: list[nn.Module] = []
    for (inputs, *_), (outputs, *_) in pairwise(halved(image_shape, width)):
        halve = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        layers += [halve, BatchNorm2d(outputs), activation()]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def transposed_convolutions(
    image_shape: Sequence[int], width: int, activation: type[nn.Module]
) -> nn.Sequential:
    """The way back, before it is cut to the image's size: what was rounded up is doubled."""
    layers: list[nn.Module] = []
    for (inputs, *_), (outputs, *_) in pairwise(halved(image_shape, width)[::-1]):
        layers += [activation(), nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def normalise_spectrally(network: nn.Module) -> None:
    """Divide each layer's weights by their largest singular value, from now on.

    A network of such layers is no steeper than its activations: Miyato, Kataoka, Koyama & Yoshida
    2018 (arXiv 1802.05957, section 2.1).
    """
    for layer in [each for each in network.modules() if isinstance(each, nn.Linear | nn.Conv2d)]:
        spectral_norm(layer)


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """A context in which batch normalisations do not learn what they use at test time."""
    norms = [
        each for each in network.modules() if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    momenta = [each.momentum for each in norms]
    for each in norms:
        each.momentum = 0.0
    try:
        yield
    finally:
        for each, momentum in zip(norms, momenta, strict=True):
            each.momentum = momentum
