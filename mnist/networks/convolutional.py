"""Convolutional networks between a style and an image, of a size that two cores can train."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist.networks.encoder import Standardise
from mnist.networks.layers import BatchNorm1d, BatchNorm2d, class_code, mlp
from mnist.networks.shares import by_rows

HIDDEN = 512  # of the generator, before its first image: without it strokes do not fit together
SLOPE = 0.2  # of a leaky rectifier below zero


class ConvolutionalGenerator(nn.Module):
    """Style and class to the logits of an image's pixels, through a quarter and half of its size.

    Radford, Metz & Chintala 2016 (arXiv 1511.06434), with two of their four layers, and before
    them the hidden one of Chen et al. 2016 (arXiv 1606.03657, appendix C.1).

    Args:
        image_shape: (C, H, W).
        classes: K, given to it as one-hot code; 0 for an unconditional generator.
        feature_size: N, dimensions of the style.
        width: channels at half of its size; twice that at a quarter.
        normalise: a batch normalisation in each layer but the last.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        feature_size: int,
        width: int,
        normalise: bool = True,
    ):
        super().__init__()
        channels, *self.sides = image_shape
        self.classes = classes
        self.small = [2 * width, *quarter(self.sides)]
        small = math.prod(self.small)
        self.start = nn.Sequential(
            nn.Linear(feature_size + classes, HIDDEN, bias=not normalise),
            *([BatchNorm1d(HIDDEN)] if normalise else []),
            nn.ReLU(),
            nn.Linear(HIDDEN, small, bias=not normalise),
            *([BatchNorm1d(small)] if normalise else []),
            nn.ReLU(),
        )
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=not normalise),
            *([BatchNorm2d(width)] if normalise else []),
            nn.ReLU(),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
        ).to(memory_format=torch.channels_last)

    @by_rows
    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """style [B, N], labels as `class_code` takes them -> logits [B, C, H, W]."""
        inputs = torch.cat([style, class_code(labels, self.classes)], 1) if self.classes else style
        height, width = self.sides
        logits = self.layers(self.start(inputs).unflatten(1, self.small))
        return logits[:, :, :height, :width].to(style.dtype)


class ConvolutionalFeatures(nn.Module):
    """Image to features, the mirror of the generator.

    A discriminator's are without batch normalisation, by which an image's features would depend on
    the others of its batch, as a gradient penalty does not allow (Gulrajani et al. 2017, section
    4).

    Args:
        image_shape: (C, H, W).
        features: F, how many.
        width: as the generator's.
        normalise: a batch normalisation in each layer but the first, as an encoder has.
    """

    def __init__(
        self, image_shape: Sequence[int], features: int, width: int, normalise: bool = False
    ):
        super().__init__()
        channels, *sides = image_shape
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            *([BatchNorm2d(2 * width)] if normalise else []),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(2 * width * math.prod(side // 4 for side in sides), features),
            *([BatchNorm1d(features)] if normalise else []),
            nn.LeakyReLU(SLOPE),
        ).to(memory_format=torch.channels_last)

    @by_rows
    def forward(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] in [0, 1] -> [B, F]."""
        return self.layers(images).to(images.dtype)


class ConvolutionalEncoder(nn.Module):
    """Image to a style that has, by construction, mean 0 and variance 1: see `Encoder`.

    Args:
        image_shape: (C, H, W).
        feature_size: N, dimensions of the style.
        features: F, of the image, from which it is read.
        width: as the generator's.
    """

    def __init__(self, image_shape: Sequence[int], feature_size: int, features: int, width: int):
        super().__init__()
        self.features = ConvolutionalFeatures(image_shape, features, width, normalise=True)
        self.style = nn.Linear(features, feature_size)
        self.standardise = Standardise(feature_size)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] in [0, 1] -> styles [B, N]."""
        return self.standardise(self.style(self.features(images)).to(images.dtype))


class JointDiscriminator(nn.Module):
    """An image and a style to a verdict about both together.

    Args:
        image_shape: (C, H, W).
        feature_size: N, dimensions of the style.
        features: F, of the image, which the style is put beside.
        width: as the generator's.
        hidden: layers that judge both.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        feature_size: int,
        features: int,
        width: int,
        hidden: Sequence[int],
    ):
        super().__init__()
        self.features = ConvolutionalFeatures(image_shape, features, width)
        self.verdict = mlp([features + feature_size, *hidden, 1], nn.LeakyReLU)

    @by_rows
    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        """images [B, C, H, W] in [0, 1], style [B, N] -> logits [B, 1], positive where real."""
        both = torch.cat([self.features(images), style], 1)
        return self.verdict(both).to(images.dtype)


def quarter(sides: Sequence[int]) -> list[int]:
    """Sides of an image, halved twice and rounded up."""
    return [-(-side // 4) for side in sides]
