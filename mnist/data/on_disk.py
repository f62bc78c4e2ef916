"""Images that stay in their file, for sets that are larger than memory: read when they are used."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

IN_MEMORY = 2**30  # bytes of images, 1 GiB: up to as many are read at once, more stay on disk
# What was read of a mapped file counts as this process's memory, and with it whatever the system
# maps around it: up to some 100 KiB an image were seen on Linux, and it may be 2 MiB. After so many
# bytes of these they are given back to the system.
AROUND, GIVEN_BACK = 2**20, 2**29


class ImageFile:
    """A file with the bytes of images, mapped into memory. It has to stay as it is.

    Args:
        path: of the file.
        offset: bytes before the first image.
        shape: [N, H, W], or [N, H, W, 3] in colour.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is shorter than that.
    """

    def __init__(self, path: Path, offset: int, shape: Sequence[int]):
        with open(path, "rb") as file:
            self.mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        images = np.frombuffer(self.mapping, np.uint8, math.prod(shape), offset)
        self.images = images.reshape(shape)
        self.mapped = 0  # bytes since some were given back

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of these rows, int64 [B]. On one thread: a step beside it needs the others."""
        found = self.images.take(rows, axis=0)
        self.mapped += len(rows) * AROUND
        if self.mapped > GIVEN_BACK and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)
            self.mapped = 0
        return found


class OnDisk:
    """Images of a file, as a `Split` has them: like a tensor uint8 [N, H, W], or [N, H, W, 3].

    What is indexed is on disk, too; `read` makes a tensor of it.

    Args:
        file: that has them.
        rows: of its images, int64 [N]; all without it.
        device: that they are read to.
    """

    dtype = torch.uint8

    def __init__(
        self, file: ImageFile, rows: np.ndarray | None = None, device: torch.device | str = "cpu"
    ):
        self.file = file
        self.rows = np.arange(len(file.images)) if rows is None else rows
        self.device = torch.device(device)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.file.images.shape[1:])

    def to(self, device: torch.device | str) -> OnDisk:
        """The same, read to another device."""
        return OnDisk(self.file, self.rows, device)

    def __getitem__(self, chosen: Tensor | slice) -> OnDisk:
        """Some of them, still on disk: by index int64 [B], mask bool [N], or slice."""
        by = chosen if isinstance(chosen, slice) else chosen.cpu().numpy()
        return OnDisk(self.file, self.rows[by], self.device)

    def read(self) -> Tensor:
        """Them as a tensor on the device."""
        return torch.from_numpy(self.file.read(self.rows)).to(self.device)


Images = Tensor | OnDisk


def in_memory(images: Images) -> Tensor:
    """Images as a tensor, read from disk where they are there."""
    return images if isinstance(images, Tensor) else images.read()


def too_many(size: int) -> bool:
    """Whether images of so many bytes are to stay on disk."""
    return size > IN_MEMORY


def kept(path: Path, offset: int, shape: Sequence[int]) -> Images:
    """The images in a file, in memory if there are not too many of them; as for `ImageFile`."""
    images = OnDisk(ImageFile(path, offset, shape))
    return images if too_many(math.prod(shape)) else images.read()
