"""Files of images and labels in the IDX format, gzip'd or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch

from mnist.data.types import CLASSES, SIDE, Digits
from mnist.errors import Problem


def find_idx(folder: Path, name: str) -> Path | None:
    """The IDX file of that name, gzip'd or raw, or None."""
    return next((f for f in (folder / name, folder / f"{name}.gz") if f.is_file()), None)


def read_bytes(path: Path) -> bytes:
    """A file's contents, unwrapped if its name ends in .gz."""
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Problem(
            f"{path} is a damaged gzip file ({error}): delete it and fetch it again"
        ) from error
    except OSError as error:
        raise Problem(f"cannot read {path} ({error.strerror}): see who may") from error


def parse_idx(content: bytes, dimensions: int, path: Path) -> np.ndarray:
    """An array of bytes from the IDX format of http://yann.lecun.com/exdb/mnist/.

    The header is two zero bytes, a type (8: unsigned byte), the number of dimensions, and each
    dimension as a big-endian 32-bit integer.

    Raises:
        Problem: another magic number, or a length that the header does not announce.
    """
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes([0, 0, 8, dimensions]):
        raise Problem(
            f"{path} is no IDX file of {dimensions} dimension(s): it starts with "
            f"0x{content[:4].hex()} where 0x0000080{dimensions} was expected; fetch it again"
        )
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    announced = start + int(np.prod(shape, dtype=object))
    if len(content) != announced:
        raise Problem(
            f"{path} holds {len(content):,} bytes where its header announces {announced:,}: "
            "it is truncated or damaged; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def pair(images: np.ndarray, labels: np.ndarray, where: object) -> Digits:
    """Images [N, 28, 28] with their labels [N], once they are seen to belong together."""
    if images.shape[1:] != (SIDE, SIDE):
        size = "×".join(map(str, images.shape[1:]))
        raise Problem(f"the images in {where} are {size} pixels, not {SIDE}×{SIDE}")
    if len(images) != len(labels) or len(labels) == 0:
        raise Problem(
            f"{where} has {len(images):,} images but {len(labels):,} labels: fetch both again"
        )
    if labels.max() >= CLASSES or labels.min() < 0:
        wrong = labels[(labels >= CLASSES) | (labels < 0)][0]
        raise Problem(f"{where} has a label {wrong}; a digit is 0 to {CLASSES - 1}")
    return Digits(
        torch.from_numpy(np.array(images, np.uint8)), torch.from_numpy(labels.astype(np.int64))
    )
