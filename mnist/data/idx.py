"""Files of images and labels in the IDX format, gzip'd or not."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnist.data.on_disk import Images, kept
from mnist.data.spec import DataSpec
from mnist.data.types import Split
from mnist.errors import UserError

BYTE, INT = 8, 12  # types of numbers: unsigned bytes, and big-endian 32-bit integers
TYPES: dict[int, np.dtype[Any]] = {BYTE: np.dtype(np.uint8), INT: np.dtype(">i4")}


def find_idx(folder: Path, name: str) -> Path | None:
    """The IDX file of that name, gzip'd or raw, or None."""
    return next((f for f in (folder / name, folder / f"{name}.gz") if f.is_file()), None)


def read_bytes(path: Path) -> bytes:
    """A file's contents, unwrapped if its name ends in .gz.

    Raises:
        UserError: it cannot be read, or is damaged.
    """
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} is a damaged gzip file ({error}): delete it and fetch it again"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): see who may") from error


def parse_idx(content: bytes, dimensions: int, path: Path, kind: int = BYTE) -> np.ndarray:
    """An array from the IDX format of http://yann.lecun.com/exdb/mnist/.

    The header is two zero bytes, a type, the number of dimensions, and each dimension as a
    big-endian 32-bit integer.

    Args:
        content: of a file.
        dimensions: that it is to have.
        path: of the file, for messages.
        kind: the type it is to be of, `BYTE` or `INT`.

    Raises:
        UserError: another magic number, or a length that the header does not announce.
    """
    start, shape = read_header(content[: 4 + 4 * dimensions], len(content), dimensions, path, kind)
    return np.frombuffer(content, TYPES[kind], offset=start).reshape(shape)


def read_header(
    header: bytes, length: int, dimensions: int, path: Path, kind: int = BYTE
) -> tuple[int, list[int]]:
    """Where the numbers of a file of this length begin, and their shape: see `parse_idx`."""
    start = 4 + 4 * dimensions
    if len(header) < start or header[:4] != bytes([0, 0, kind, dimensions]):
        raise UserError(
            f"{path} is no IDX file of {dimensions} dimension(s): it starts with "
            f"0x{header[:4].hex()} where 0x0000{kind:02x}{dimensions:02x} was expected; fetch it "
            "again"
        )
    shape = [int.from_bytes(header[i : i + 4], "big") for i in range(4, start, 4)]
    announced = start + math.prod(shape) * TYPES[kind].itemsize
    if length != announced:
        raise UserError(
            f"{path} holds {length:,} bytes where its header announces {announced:,}: "
            "it is truncated or damaged; fetch it again"
        )
    return start, shape


def read_images(path: Path) -> Images:
    """The images of a file, which stay there if they are too many and it is not wrapped.

    Raises:
        UserError: as `read_bytes` and `parse_idx`.
    """
    if path.suffix == ".gz":
        return torch.from_numpy(np.array(parse_idx(read_bytes(path), 3, path)))
    try:
        with open(path, "rb") as file:
            header = file.read(16)
            return kept(path, *read_header(header, os.fstat(file.fileno()).st_size, 3, path))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): see who may") from error


def refuse_unpublished(path: Path, content: bytes, sha256: str, owner: str) -> None:
    """See that a file's contents, unwrapped, are those that its owner published.

    Raises:
        UserError: they are not.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise UserError(
            f"{path} is not {owner}'s: the SHA-256 of its contents starts with {found[:12]}, "
            f"not {sha256[:12]}; delete it, or name another folder with --data-dir"
        )


def pair(images: np.ndarray, labels: np.ndarray, spec: DataSpec, where: object) -> Split:
    """Images [N, H, W] or [N, H, W, 3] with their labels [N], once they are seen to fit.

    Raises:
        UserError: they are not as many, or not what the specification says.
    """
    channels, *size = spec.image_shape
    if images.shape[1:] != (*size, *([channels] if channels > 1 else [])):
        found = "×".join(map(str, images.shape[1:]))
        raise UserError(f"the images in {where} are {found} pixels, not {spec.size}")
    if len(images) != len(labels) or len(labels) == 0:
        raise UserError(
            f"{where} has {len(images):,} images but {len(labels):,} labels: fetch both again"
        )
    if labels.max() >= spec.classes or labels.min() < 0:
        wrong = labels[(labels >= spec.classes) | (labels < 0)][0]
        raise UserError(
            f"{where} has a label {wrong}; a {spec.class_word} is 0 to {spec.classes - 1}"
        )
    return Split(
        torch.from_numpy(np.array(images, np.uint8)), torch.from_numpy(labels.astype(np.int64))
    )
