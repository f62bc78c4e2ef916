"""Images that stay in their file, for sets that are larger than memory: read when they are used."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnist.errors import UserError

IN_MEMORY = 2**30  # bytes of images, 1 GiB: up to as many are read at once, more stay on disk


class ImageFile:
    """A file with the bytes of images, which are read when they are used. It has to stay as it is.

    It is read, not mapped into memory: what is mapped counts as the process's own, and the system
    maps up to 2 MiB around each image.

    Args:
        path: of the file.
        offset: bytes before the first image.
        shape: [N, H, W], or [N, H, W, 3] in colour.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is shorter than that.
    """

    def __init__(self, path: Path, offset: int, shape: Sequence[int]):
        self.file = open(path, "rb", buffering=0)  # noqa: SIM115  closed with this object
        self.offset, self.shape = offset, tuple(shape)
        self.size = math.prod(self.shape[1:])  # bytes of an image
        if os.fstat(self.file.fileno()).st_size < offset + len(self) * self.size:
            raise ValueError(f"{path} is shorter than its images")

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which opens the file itself."""
        return ImageFile, (Path(self.file.name), self.offset, self.shape)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of these rows, int64 [B], by any thread.

        Raises:
            UserError: the file has become shorter, or the disk refuses.
        """
        found = np.empty((len(rows), *self.shape[1:]), np.uint8)
        if not len(rows):
            return found
        content = found.data.cast("B")
        ends = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        for start, end in pairwise(ends):  # those that lie one after the other at once
            place = self.offset + int(rows[start]) * self.size
            self.fill(content[start * self.size : end * self.size], place)
        return found

    def fill(self, content: memoryview, place: int) -> None:
        """Read so many bytes from a place on."""
        while len(content):
            try:
                count = os.preadv(self.file.fileno(), [content], place)
            except OSError as error:
                raise UserError(f"{self.file.name}: cannot read it ({error.strerror})") from error
            if not count:
                raise UserError(f"{self.file.name} has become shorter while it is in use")
            content, place = content[count:], place + count


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
        self.rows = np.arange(len(file)) if rows is None else rows
        self.device = torch.device(device)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.file.shape[1:])

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
