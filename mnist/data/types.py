"""Labelled images as tensors in memory, or on disk where they are too many.

A batch is `Split.batch(order[i:j])`, where the order follows from (seed, epoch): there is no
hidden state, so any step of any epoch can be entered again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mnist.data.on_disk import Images, in_memory
from mnist.data.spec import DataSpec
from mnist.errors import UserError

HASHED = 10_000  # images at once


class Unavailable(UserError):
    """A data set that is neither on this machine nor to be fetched."""


class Batch(NamedTuple):
    """Images with their labels, and where they come from.

    Attributes:
        images: float32 [B, C, H, W] in [0, 1].
        labels: int64 [B], −1 for an unlabelled image.
        index: their numbers in the split, int64 [B]; None if they are in none.
        writers: who wrote them, int64 [B]; None where that is not known.
    """

    images: Tensor
    labels: Tensor
    # It hides the tuple's own method, which nobody asks for a place in a batch.
    index: Tensor | None = None  # type: ignore[assignment]
    writers: Tensor | None = None


def title_of(name: str) -> str:
    """The name of a data set for people: of a path only its end."""
    return name.rpartition(os.sep)[2]


@dataclass(frozen=True)
class Split:
    """A part of a data set, such as its training images.

    Attributes:
        images: uint8 [N, H, W] in grey (255 is ink), or [N, H, W, 3] in colour.
        labels: int64 [N], −1 for an unlabelled image.
        writers: int64 [N]; None where they are not known.
    """

    images: Images
    labels: Tensor
    writers: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        """The same on another device."""
        return self.each(lambda part: part.to(device))

    def some(self, chosen: Tensor | slice) -> Split:
        """The chosen images, by themselves: by index int64 [B], mask bool [B], or slice."""
        return self.each(lambda part: part[chosen])

    def with_few_labels(self, count: int, seed: int) -> Split:
        """The same, of which `count` images keep their label and all others have −1.

        As many of each class as of any other, as far as there are that many; the seed decides
        which. Of 0 none is looked at.

        Raises:
            UserError: that is less than one of each class, or more than there are.
        """
        few = torch.full_like(self.labels, -1)
        if not count:
            return Split(self.images, few, self.writers)
        labelled = self.labelled.labels
        classes = len(labelled.unique())
        if not classes <= count <= len(labelled):
            raise UserError(
                f"{count} labelled images: give at least one for each of {classes} classes, and at "
                f"most {len(labelled):,}, which there are"
            )
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        labels = self.labels.cpu()[order]
        turn = torch.where(labels < 0, len(self), 0)  # how many of its class come before it
        for label in labels[labels >= 0].unique():
            there = labels == label
            turn[there] = torch.arange(int(there.sum()))
        kept = order[turn.argsort(stable=True)[:count]]
        few[kept] = self.labels[kept]
        return Split(self.images, few, self.writers)

    @property
    def labelled(self) -> Split:
        """Those images that have a label."""
        there = self.labels >= 0
        return self if there.all() else self.some(there)

    def each(self, change: Callable[[Any], Any]) -> Split:
        """The same change made to all that it has of its images."""
        writers = None if self.writers is None else change(self.writers)
        return Split(change(self.images), change(self.labels), writers)

    def batch(self, indices: Tensor | slice) -> Batch:
        """The chosen images, [B], as a network takes them."""
        return self.batch_of(in_memory(self.images[indices]), indices)

    def batch_of(self, images: Tensor, indices: Tensor | slice) -> Batch:
        """The chosen images, whose bytes have been read."""
        if isinstance(indices, slice):
            indices = torch.arange(len(self), device=self.labels.device)[indices]
        writers = None if self.writers is None else self.writers[indices]
        return Batch(from_bytes(images), self.labels[indices], indices, writers)

    def batches(self, size: int = 1000) -> Iterator[Batch]:
        """All images in turn, as many at once as is good for looking at them."""
        yield from map(self.batch, self.parts(size))

    def parts(self, size: int = 1000) -> list[slice]:
        """Where these batches are."""
        return [slice(start, start + size) for start in range(0, len(self), size)]

    def in_order(self, order: Tensor, size: int, first: int = 0) -> Iterator[Batch]:
        """Batches of so many images in an order int64 [N], from batch `first` on.

        Images on disk are read while the batch before them is used. What does not fill a batch at
        the end is left out.
        """
        starts = range(first * size, len(order) // size * size, size)
        parts = [order[start : start + size] for start in starts]
        if isinstance(self.images, Tensor):
            for part in parts:  # `images[part]` takes four times as long
                yield self.batch_of(self.images.index_select(0, part), part)
            return
        with ThreadPoolExecutor(1) as reader:
            coming = [reader.submit(self.images[part].read) for part in parts[:1]]
            for part, after in zip_longest(parts, parts[1:]):
                images = coming.pop().result()
                if after is not None:
                    coming.append(reader.submit(self.images[after].read))
                yield self.batch_of(images, part)


@dataclass(frozen=True)
class Dataset:
    """A training and a test part, what they show, and where they were read from.

    Attributes:
        held_out: training images that are kept from training, if `hold_out` was asked for.
    """

    name: str
    spec: DataSpec
    train: Split
    test: Split
    source: str
    held_out: Split | None = None

    def to(self, device: torch.device | str) -> Dataset:
        """The same data set on another device."""
        held_out = self.held_out.to(device) if self.held_out else None
        return replace(
            self, train=self.train.to(device), test=self.test.to(device), held_out=held_out
        )

    def hold_out(self, count: int) -> Dataset:
        """The same, with about `count` training images held out: the last ones of each class.

        Settings are chosen, and training stopped early, by these: by the test images, those would
        be no test. The last ones of MNIST are by other writers than the first, as the test
        images are, and a choice among every twelfth image was seen to flatter (docs/LOG.md).
        """
        labels = self.train.labels
        held = torch.zeros(len(labels), dtype=torch.bool)
        for label in labels.unique():
            there = torch.nonzero(labels == label)[:, 0]
            share = round(count * len(there) / len(labels))
            held[there[len(there) - share :]] = True
        return self.part(~held)

    def hold_out_every_twelfth(self) -> Dataset:
        """The same, held out as up to version 0.5.0."""
        return self.part(torch.arange(len(self.train)) % 12 != 0)

    def part(self, kept: Tensor) -> Dataset:
        """The same, with training images that are not `kept`, bool [N], held out."""
        return replace(self, train=self.train.some(kept), held_out=self.train.some(~kept))

    @property
    def sha256(self) -> str:
        """One SHA-256 over the pixels and labels of both parts, wherever they came from."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for tensor in (part.images, as_few_bytes(part.labels)):
                digest.update(str(tuple(tensor.shape)).encode())
                for start in range(0, len(part), HASHED):
                    some = in_memory(tensor[start : start + HASHED])
                    digest.update(some.contiguous().cpu().numpy().data)
        return digest.hexdigest()


def in_turns(split: Split, size: int, seed: int, step: int) -> Batch:
    """Images of a split that a step is given besides its batch, [size] or all there are.

    They take turns in an order that follows from the seed and the step's number alone.
    """
    size = min(size, len(split))
    turns = len(split) // size
    order = epoch_order(len(split), seed, step // turns).to(split.labels.device)
    turn = step % turns
    return split.batch(order[turn * size : (turn + 1) * size])


def as_few_bytes(labels: Tensor) -> Tensor:
    """Labels int64 [N] as they are hashed: in a byte each where all fit, else as they are."""
    same = labels.to(torch.uint8)
    return same if torch.equal(same.long(), labels.long()) else labels.long()


def to_bytes(images: Tensor) -> Tensor:
    """Images as files have them: float [B, C, H, W] in [0, 1] -> uint8 as in `Split`."""
    images = images.mul(255).round().to(torch.uint8)
    return images.squeeze(1) if images.shape[1] == 1 else images.movedim(1, 3)


def from_bytes(images: Tensor) -> Tensor:
    """The inverse of `to_bytes`: uint8 [B, H, W] or [B, H, W, C] -> [B, C, H, W] in [0, 1]."""
    images = images.unsqueeze(1) if images.ndim == 3 else images.movedim(3, 1)
    return images.to(torch.float32).div_(255)


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch visits its images: a permutation of `range(count)`, int64.

    It depends on nothing but its arguments, so an epoch can be re-entered at any step.
    """
    mixed = np.random.SeedSequence([seed, epoch]).generate_state(1)[0]
    return torch.randperm(count, generator=torch.Generator().manual_seed(int(mixed)))
