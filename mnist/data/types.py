"""Labelled images as tensors in memory: the whole set is a few ten megabytes.

A batch is `Digits.batch(order[i:j])`, where the order follows from (seed, epoch): there is no
worker, queue or hidden state, so any step of any epoch can be entered again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mnist.errors import Problem

SIDE = 28
CLASSES = 10
HELD_OUT_OF = 12


class Unavailable(Problem):
    """A data set that is neither on this machine nor to be fetched."""


class Batch(NamedTuple):
    """Images float32 [B, 1, 28, 28] in [0, 1] and their digits int64 [B] (-1: unlabelled)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Digits:
    """Images uint8 [N, 28, 28] (0 is paper, 255 is ink) with their digits int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Digits:
        """The same digits on another device."""
        return Digits(self.images.to(device), self.labels.to(device))

    def batch(self, indices: Tensor | slice) -> Batch:
        """The chosen digits, [B], as a network takes them."""
        images = self.images[indices].unsqueeze(1).to(torch.float32).div_(255)
        return Batch(images, self.labels[indices])

    def some(self, chosen: Tensor | slice) -> Digits:
        """The chosen digits, by themselves."""
        return Digits(self.images[chosen], self.labels[chosen])

    def batches(self, size: int = 1000) -> Iterator[Batch]:
        """All digits in turn, as many at once as is good for looking at them."""
        for start in range(0, len(self), size):
            yield self.batch(slice(start, start + size))


@dataclass(frozen=True)
class Dataset:
    """A training and a test part, and where they were read from.

    Attributes:
        held_out: training images that are kept from training, if `hold_out` was asked for.
    """

    name: str
    train: Digits
    test: Digits
    source: str
    held_out: Digits | None = None

    def to(self, device: torch.device | str) -> Dataset:
        """The same data set on another device."""
        held_out = self.held_out.to(device) if self.held_out else None
        return replace(
            self, train=self.train.to(device), test=self.test.to(device), held_out=held_out
        )

    def hold_out(self) -> Dataset:
        """The same, with every twelfth training image held out: 5,000 of MNIST's 60,000.

        To decide by them when to stop: decided by the test images, these would be no test.
        """
        kept = torch.arange(len(self.train)) % HELD_OUT_OF != 0
        return replace(self, train=self.train.some(kept), held_out=self.train.some(~kept))

    @property
    def sha256(self) -> str:
        """One SHA-256 over the pixels and labels of both parts, wherever they came from."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for tensor in (part.images, part.labels.to(torch.uint8)):
                digest.update(str(tuple(tensor.shape)).encode())
                digest.update(tensor.contiguous().cpu().numpy())
        return digest.hexdigest()


def to_bytes(images: Tensor) -> Tensor:
    """Images as `Digits` has them: float [B, 1, 28, 28] in [0, 1] -> uint8 [B, 28, 28]."""
    return images.mul(255).round().to(torch.uint8).squeeze(1)


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch visits its images: a permutation of `range(count)`, int64.

    It depends on nothing but its arguments, so an epoch can be re-entered at any step.
    """
    mixed = np.random.SeedSequence([seed, epoch]).generate_state(1)[0]
    return torch.randperm(count, generator=torch.Generator().manual_seed(int(mixed)))
