"""Labelled images: the data sets by name. A new one is a file here and a line in `DATASETS`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from mnist.data.bundled import read_mnist_5k
from mnist.data.mnist import read_mnist
from mnist.data.types import (
    CLASSES,
    SIDE,
    Batch,
    Dataset,
    Digits,
    Unavailable,
    epoch_order,
    to_bytes,
)
from mnist.errors import Problem

__all__ = [
    "CLASSES",
    "DATASETS",
    "SIDE",
    "Batch",
    "Dataset",
    "Digits",
    "Unavailable",
    "epoch_order",
    "load_dataset",
    "load_same_dataset",
    "to_bytes",
]

DATASETS: dict[str, Callable[..., Dataset]] = {"mnist": read_mnist, "mnist-5k": read_mnist_5k}


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
