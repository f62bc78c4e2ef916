"""Who wrote each image of MNIST: the extended labels of QMNIST.

Yadav & Bottou 2019 (arXiv 1905.10498) traced MNIST's images back to NIST's forms, each of which one
person filled in: 539 wrote the training images, 297 others the test images.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mnist.data.download import download, torchvision
from mnist.data.idx import INT, find_idx, parse_idx, read_bytes, refuse_unpublished
from mnist.data.types import Dataset
from mnist.errors import UserError

# SHA-256 of the files inside the gzip wrappers.
QMNIST_SHA256 = {
    "qmnist-train-labels-idx2-int": (
        "bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5"
    ),
    "qmnist-test-labels-idx2-int": (
        "92d0ccb8c25f9c6534270fb4be7e1d24a1c6d315edfc8a638bfbd31c70f362dd"
    ),
}
CLASS, WRITER = 0, 2  # columns of the labels


def find_writers(folder: Path) -> Path | None:
    """Where QMNIST's labels are, for MNIST's files in `folder`: there, or beside it; or None.

    Beside it are `qmnist`, and `QMNIST/raw` in torchvision's layout.
    """
    folder = folder.resolve()
    places = folder, folder.parent / "qmnist", folder.parent.parent / "QMNIST" / "raw"
    return next(
        (place for place in places if any(find_idx(place, name) for name in QMNIST_SHA256)), None
    )


def with_writers(dataset: Dataset, folder: Path) -> Dataset:
    """MNIST with the writer of each image, from QMNIST's two files of labels in a folder.

    Raises:
        UserError: a file is missing, malformed, not the published one, or of other images.
    """
    parts = [
        replace(split, writers=torch.from_numpy(read_labels(folder, name, split.labels.numpy())))
        for name, split in zip(QMNIST_SHA256, (dataset.train, dataset.test), strict=True)
    ]
    return replace(dataset, train=parts[0], test=parts[1])


def read_labels(folder: Path, name: str, digits: np.ndarray) -> np.ndarray:
    """The writers int64 [N] of images of these digits [N], which a file's first rows belong to.

    Raises:
        UserError: the file is missing or other than published, or is of other images.
    """
    path = find_idx(folder, name)
    if path is None:
        raise UserError(
            f"{folder} has some of QMNIST's labels but not {name}[.gz]: add it, or move the other "
            "away, for training and evaluation without writers"
        )
    content = read_bytes(path)
    rows = parse_idx(content, dimensions=2, path=path, kind=INT)[: len(digits)]
    refuse_unpublished(path, content, QMNIST_SHA256[name], "QMNIST")
    if not np.array_equal(rows[:, CLASS], digits):
        raise UserError(f"{path} names other digits than MNIST's labels: delete one of them")
    return rows[:, WRITER].astype(np.int64)


def download_writers(folder: Path, dataset: Dataset) -> Path:
    """Fetch QMNIST's labels into `folder/QMNIST/raw`, whole or not at all; return that folder.

    Args:
        folder: for data sets.
        dataset: the MNIST whose images they are of.

    Raises:
        Unavailable: torchvision cannot be imported, or no mirror answered.
    """
    files = [file for part in torchvision().QMNIST.resources.values() for file in part]
    wanted = {f"{name}.gz" for name in QMNIST_SHA256}
    files = [(url, md5) for url, md5 in files if url.rpartition("/")[2] in wanted]
    mirror = files[0][0].rpartition("/")[0] + "/"  # the same for both
    resources = [(url.removeprefix(mirror), md5) for url, md5 in files]
    target = folder / "QMNIST" / "raw"
    return download(resources, [mirror], target, lambda place: with_writers(dataset, place))
