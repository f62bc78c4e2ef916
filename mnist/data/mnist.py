"""The full MNIST: 60,000 + 10,000 images, from disk, else from the internet."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import torch

from mnist.data.download import download, torchvision
from mnist.data.idx import find_idx, pair, parse_idx, read_bytes, refuse_unpublished
from mnist.data.published import data_folders
from mnist.data.spec import DataSpec
from mnist.data.types import Dataset, Split, Unavailable
from mnist.data.writers import QMNIST_SHA256, download_writers, find_writers, with_writers
from mnist.errors import UserError

MNIST = DataSpec((1, 28, 28), tuple("0123456789"), "digit")
# SHA-256 of the files inside the gzip wrappers; the wrappers of different mirrors differ.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def read_mnist(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The 60,000 + 10,000 images of LeCun & Cortes, from disk, else from the internet."""
    folder = find_mnist(data_dir)
    if folder:
        return read_mnist_folder(folder)
    folders = data_folders(data_dir)
    try:
        folder = download_mnist(folders[0])
    except Unavailable as reason:
        searched = ", ".join(map(str, folders))
        raise Unavailable(
            f"no MNIST files in {searched}, and {reason}: name a folder with the files by "
            "--data-dir"
        ) from reason
    dataset = read_mnist_folder(folder)
    with suppress(Unavailable):  # most uses do without
        return with_writers(dataset, download_writers(folders[0], dataset))
    return dataset


def read_mnist_writers(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """MNIST's training images, whose classes are the 539 people that wrote them.

    Every tenth image of a person's is for testing. Of the people that wrote MNIST's own test images
    there is none.

    Raises:
        Unavailable: it is not known who they are.
        UserError: as `read_mnist`.
    """
    mnist = read_mnist(data_dir)
    if mnist.train.writers is None:
        raise Unavailable(
            f"who wrote the images in {mnist.source} is not known: put QMNIST's labels beside "
            f"them, {' and '.join(f'{name}.gz' for name in QMNIST_SHA256)}"
        )
    writers, labels = mnist.train.writers.unique(return_inverse=True)
    images = Split(mnist.train.images, labels)
    order = labels.argsort(stable=True)
    tested = torch.zeros(len(labels), dtype=torch.bool)
    tested[order[::10]] = True
    spec = DataSpec(MNIST.image_shape, tuple(map(str, writers.tolist())), "writer")
    return Dataset("mnist-writers", spec, images.some(~tested), images.some(tested), mnist.source)


def find_mnist(data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The first folder that has any of MNIST's files, or None. Nothing is read or downloaded."""
    for folder in data_folders(data_dir):
        for place in (folder, folder / "MNIST" / "raw"):
            if any(find_idx(place, name) for name in MNIST_SHA256):
                return place
    return None


def whole_mnist(data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder that `read_mnist` would read, if it has all four files; or None."""
    folder = find_mnist(data_dir)
    return folder if folder and all(find_idx(folder, name) for name in MNIST_SHA256) else None


def read_mnist_folder(folder: Path) -> Dataset:
    """MNIST from the four files in one folder, each checked against its published SHA-256.

    With the writers, if QMNIST's labels are there or beside it.

    Raises:
        UserError: a file is missing, malformed, or not the published one.
    """
    arrays, contents = {}, {}
    for name in MNIST_SHA256:
        path = find_idx(folder, name)
        if path is None:
            raise UserError(
                f"{folder} has some of MNIST's files but not {name}[.gz]: "
                "add it, or name another folder with --data-dir"
            )
        contents[name] = path, read_bytes(path)
        dimensions = 3 if "images" in name else 1
        arrays[name] = parse_idx(contents[name][1], dimensions=dimensions, path=path)
    train, test = (
        pair(
            arrays[f"{part}-images-idx3-ubyte"],
            arrays[f"{part}-labels-idx1-ubyte"],
            MNIST,
            f"{folder} ({part} files)",
        )
        for part in ("train", "t10k")
    )
    # Last, for what is wrong with a file says more than that something is.
    for name, (path, content) in contents.items():
        refuse_unpublished(path, content, MNIST_SHA256[name], "MNIST")
    dataset = Dataset("mnist", MNIST, train, test, source=str(folder))
    labels = find_writers(folder)
    return with_writers(dataset, labels) if labels else dataset


def download_mnist(folder: Path) -> Path:
    """Fetch the four files into `folder/MNIST/raw`, whole or not at all; return that folder.

    Over https; should torchvision try again without it, the SHA-256 of the contents protects.

    Raises:
        Unavailable: torchvision cannot be imported, or no mirror answered.
    """
    source = torchvision().MNIST
    return download(source.resources, source.mirrors, folder / "MNIST" / "raw", read_mnist_folder)
