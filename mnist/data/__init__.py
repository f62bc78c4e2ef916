"""Labelled images: the data sets by name. A new one is a file here and a line in `DATASETS`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mnist.data.bundled import read_digits_8x8, read_mnist_5k
from mnist.data.catalogue import CATALOGUE
from mnist.data.mnist import read_mnist, read_mnist_writers, whole_mnist
from mnist.data.spec import DataSpec
from mnist.data.types import (
    Batch,
    Dataset,
    Split,
    Unavailable,
    epoch_order,
    to_bytes,
)
from mnist.errors import UserError

__all__ = [
    "DATASETS",
    "Batch",
    "DataSpec",
    "Dataset",
    "Split",
    "Unavailable",
    "available_on_disk",
    "epoch_order",
    "load_dataset",
    "load_same_dataset",
    "more_data_than",
    "to_bytes",
]

DATASETS: dict[str, Callable[..., Dataset]] = {
    "mnist": read_mnist,
    "mnist-5k": read_mnist_5k,
    "mnist-writers": read_mnist_writers,
    "digits-8x8": read_digits_8x8,
    **CATALOGUE,
}
# Where the files of those that are not bundled lie, if they do.
FOLDERS: dict[str, Callable[..., Path | None]] = {
    "mnist": whole_mnist,
    "mnist-writers": whole_mnist,
    **{name: each.whole for name, each in CATALOGUE.items()},
}


def load_dataset(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Read a data set of `DATASETS`.

    Args:
        name: a key of `DATASETS`.
        data_dir: where its files lie, or are to be downloaded to. Without it `$MNIST_DATA_DIR`,
            then `./data`.

    Raises:
        Unavailable: it is not on this machine and could not be fetched.
        UserError: no such data set, or damaged files.
    """
    if name not in DATASETS:
        raise UserError(
            f"no data set named {name!r}: choose from {', '.join(DATASETS)}, or name the .py file "
            "that registers it in MNIST_IMPORT (docs/extending.md)"
        )
    dataset = DATASETS[name](data_dir)
    if problem := flaw_of(dataset, name):
        raise UserError(f"the data set {name!r} {problem}")
    return dataset


def flaw_of(dataset: Dataset, name: str) -> str | None:
    """What in a data set is not as `Dataset` has it, or None: whoever wrote it is told at once."""
    if dataset.name != name:  # by which a run finds it again
        return f"calls itself {dataset.name!r}: that has to be the same name"
    channels, *sides = dataset.spec.image_shape
    shape = (*sides, *([channels] if channels > 1 else []))
    for part, split in {"training": dataset.train, "test": dataset.test}.items():
        images, labels = split.images, split.labels
        if images.dtype != torch.uint8 or images.shape != (len(labels), *shape):
            wanted = ", ".join(map(str, (len(labels), *shape)))
            return (
                f"has {part} images {str(images.dtype).removeprefix('torch.')} "
                f"{list(images.shape)}: its spec and labels say uint8 [{wanted}]"
            )
        if labels.dtype != torch.int64 or not len(labels):
            return f"has {part} labels that are not int64 [N], N being at least 1"
        least = -1 if part == "training" else 0
        if labels.min() < least or labels.max() >= dataset.spec.classes:
            last = dataset.spec.classes - 1
            return f"has {part} labels outside {least} to {last}, its classes" + (
                " (and -1: unlabelled)" if least else " (test images have to be labelled)"
            )
    return None


def load_same_dataset(
    training: dict[str, Any], data_dir: str | os.PathLike[str] | None = None
) -> Dataset:
    """The data set that a run was trained on.

    Args:
        training: its name and SHA-256, as "dataset" and "dataset_sha256" of a run's configuration.
        data_dir: as for `load_dataset`.

    Raises:
        UserError: what is found by its name now is another; or as `load_dataset`.
    """
    dataset = load_dataset(training["dataset"], data_dir)
    if dataset.sha256 != training["dataset_sha256"]:
        raise UserError(
            f"{dataset.name} in {dataset.source} is not what the run was trained on: its SHA-256 "
            f"is {dataset.sha256}, the run's configuration has {training['dataset_sha256']}"
        )
    return dataset


def available_on_disk(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder in which all files of a data set lie, or None. They are not read, nor downloaded.

    Args:
        name: a key of `DATASETS` that is no bundled one.
        data_dir: as for `load_dataset`.
    """
    return FOLDERS[name](data_dir)


def more_data_than(
    training: dict[str, Any], data_dir: str | os.PathLike[str] | None = None
) -> str | None:
    """A line on the full MNIST being there by now, for a run on the bundled part of it, or None.

    Args:
        training: of a run's configuration, with its "dataset".
        data_dir: as for `load_dataset`.
    """
    if training["dataset"] != "mnist-5k":
        return None
    folder = available_on_disk("mnist", data_dir)
    if folder is None:
        return None
    return (
        f"this run is on the 5,000 images of mnist-5k, and the full MNIST is in {folder} by now: "
        "for a run on that give --dataset mnist and another --ckpt-dir"
    )
