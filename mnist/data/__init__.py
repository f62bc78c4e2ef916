"""Labelled images: the data sets by name. A new one is a file here and a line in `DATASETS`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mnist.data.bundled import read_digits_8x8, read_mnist_5k
from mnist.data.catalogue import CATALOGUE
from mnist.data.mnist import read_mnist, read_mnist_writers, whole_mnist
from mnist.data.own import is_path, own_name, read_own
from mnist.data.spec import DataSpec
from mnist.data.types import (
    Batch,
    Dataset,
    Split,
    Unavailable,
    epoch_order,
    title_of,
    to_bytes,
)
from mnist.errors import UserError
from mnist.reading import OF_PICTURES, Reading

__all__ = [
    "DATASETS",
    "Batch",
    "DataSpec",
    "Dataset",
    "Split",
    "Unavailable",
    "available_on_disk",
    "epoch_order",
    "known_name",
    "load_dataset",
    "load_same_dataset",
    "more_data_than",
    "title_of",
    "to_bytes",
]

USUAL = Reading()
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


def load_dataset(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    reading: Reading = USUAL,
    tell: Callable[[str], None] | None = None,
) -> Dataset:
    """Read a data set of `DATASETS`, or somebody's own.

    Args:
        name: a key of `DATASETS`, or a path (`mnist/data/own.py`).
        data_dir: where its files lie, or are to be downloaded to. Without it `$MNIST_DATA_DIR`,
            then `./data`.
        reading: what of it, and how.
        tell: called with a line on what was found out of somebody's own; without it nothing is
            shown.

    Raises:
        Unavailable: it is not on this machine and could not be fetched.
        UserError: no such data set, or damaged files.
    """
    name = known_name(name)
    if name in DATASETS:
        refuse_own_only(name, reading)
        dataset = DATASETS[name](data_dir)
    elif is_path(name):
        dataset = read_own(name, data_dir, reading, tell)
    else:
        raise UserError(
            f"no data set named {name!r}: choose from {', '.join(DATASETS)}, name a folder or file "
            "of your own (docs/data.md), or the .py file that registers it in MNIST_IMPORT "
            "(docs/extending.md)"
        )
    if problem := flaw_of(dataset, name):
        raise UserError(f"the data set {name!r} {problem}")
    return part_of(dataset, reading)


def known_name(name: str) -> str:
    """What a run calls a data set, by which it finds it again: of a path the absolute one.

    A name comes first: what happens to lie in a folder `mnist` here is not meant by `mnist`.
    """
    return own_name(name) if name not in DATASETS and is_path(name) else name


def refuse_own_only(name: str, reading: Reading) -> None:
    """Raise a UserError where something is asked of a data set that is for somebody's own only."""
    for option in ("class_names", *OF_PICTURES):
        if getattr(reading, option) is not None:
            raise UserError(
                f"--{option.replace('_', '-')} is for images of your own, not for {name}: leave it "
                "out"
            )


def part_of(dataset: Dataset, reading: Reading) -> Dataset:
    """The classes of a data set that are asked for, and so many training images of each.

    Raises:
        UserError: there is no such class, or it has no images.
    """
    train, test, spec = dataset.train, dataset.test, dataset.spec
    if reading.classes is not None:
        wanted = [spec.label(name) for name in reading.classes]
        if len(set(wanted)) < len(wanted):
            raise UserError(
                f"--classes {','.join(reading.classes)} names a class twice: once will do"
            )
        spec = replace(spec, class_names=tuple(spec.class_names[label] for label in wanted))
        train, test = (only(split, wanted) for split in (train, test))
        for part, split in {"training": train, "test": test}.items():
            if not len(split.labelled):
                raise UserError(f"{dataset.name} has no {part} images of these classes: add others")
    if reading.limit_per_class is not None:
        kept = train.labels < 0
        for label in train.labels.unique():
            kept[torch.nonzero(train.labels == label)[: reading.limit_per_class, 0]] = True
        train = train.some(kept)
    return replace(dataset, spec=spec, train=train, test=test)


def only(split: Split, wanted: list[int]) -> Split:
    """Images of these classes, which are numbered in this order, and those without a class."""
    places = torch.full((max(int(split.labels.max()), *wanted) + 2,), -2)
    places[torch.tensor(wanted)] = torch.arange(len(wanted))
    places[-1] = -1  # where label −1 looks
    labels = places[split.labels]
    chosen = replace(split, labels=labels)
    return chosen.some(labels > -2)


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
        training: its name, SHA-256 and reading, as "dataset", "dataset_sha256" and "reading" of a
            run's configuration.
        data_dir: as for `load_dataset`.

    Raises:
        UserError: what is found by its name now is another; or as `load_dataset`.
    """
    reading = Reading.from_config(training.get("reading", {}))
    dataset = load_dataset(training["dataset"], data_dir, reading)
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
