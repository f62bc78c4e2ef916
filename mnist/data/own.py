"""Somebody's own labelled images, by a path: a folder of pictures, a table, arrays, IDX files.

Pictures are listed before anything is decoded; then they are decoded once, into a cache. Whatever
cannot be read is named, with its reason.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mnist.data.cache import cached
from mnist.data.decoding import VERSION, Tell, decode_all, refuse_bad
from mnist.data.idx import parse_idx, read_bytes, read_images
from mnist.data.listing import Listing, list_folder, list_table, naturally
from mnist.data.npz import are_images, read_npz
from mnist.data.on_disk import Images, OnDisk
from mnist.data.spec import DataSpec
from mnist.data.types import Dataset, Split
from mnist.errors import UserError
from mnist.reading import Reading

TEST_SHARE = 5  # a fifth of each class is for testing, where it is not said which images are
MOST_CLASSES = 100_000
UNSAID = -1  # where it is 1 for an image that is for testing, and 0 for one that is not
IDX = re.compile(r"(.*?)images([-.])idx3-ubyte(\.gz)?")
USUAL = Reading()


def is_path(name: str) -> bool:
    """Whether a data set's name is rather a path to somebody's own."""
    return os.sep in name or name.startswith("~") or Path(name).exists()


def own_name(path: str) -> str:
    """What a run calls a data set at this path, by which it finds it again."""
    return os.path.abspath(os.path.expanduser(path))


def read_own(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    reading: Reading = USUAL,
    tell: Tell | None = None,
) -> Dataset:
    """The images at a path.

    Args:
        name: the path, which is the data set's name.
        data_dir: where decoded pictures are kept; and where to look for what is no longer there.
        reading: how.
        tell: called with a line on what was found out; without it there is no progress bar either.

    Raises:
        UserError: there is nothing there that can be read, or files that cannot.
    """
    path = find_own(name, data_dir)
    dataset = read_kind(name, path, data_dir, reading, tell)
    return replace(dataset, source=str(path))


def read_kind(
    name: str,
    path: Path,
    data_dir: str | os.PathLike[str] | None,
    reading: Reading,
    tell: Tell | None,
) -> Dataset:
    """What is at a path, by its kind: see `read_own`."""
    if path.is_dir() and not any(map(IDX.fullmatch, os.listdir(path))):
        return read_pictures(name, list_folder(path), data_dir, reading, tell)
    if path.suffix == ".csv":
        return read_pictures(name, list_table(path), data_dir, reading, tell)
    if asked := reading.of_pictures:
        flag = next(iter(asked)).replace("_", "-")
        raise UserError(f"{path} holds arrays, of which --{flag} says nothing: leave it out")
    if path.suffix == ".npz":
        return read_arrays(name, path, reading)
    return read_idx_files(name, path, reading)


def find_own(name: str, data_dir: str | os.PathLike[str] | None) -> Path:
    """Where it is now: at its path, or of that name in `data_dir`.

    Raises:
        UserError: it is in neither place.
    """
    path = Path(name).expanduser()
    folder = Path(data_dir).expanduser() if data_dir else None
    moved = [folder / path.name, folder] if folder else []
    for place in (path, *moved):
        if place.exists() and place.name == path.name:
            return place
    raise UserError(f"there is no {path}: name a folder of pictures, an .npz, .csv or IDX file")


# --- pictures -------------------------------------------------------------------------------------


def read_pictures(
    name: str,
    listing: Listing,
    data_dir: str | os.PathLike[str] | None,
    reading: Reading,
    tell: Tell | None,
) -> Dataset:
    """The pictures of a listing, decoded before or now: see `read_own`."""
    if not listing.items:
        refuse_bad(listing.root, listing.bad)
        raise UserError(
            f"{listing.root} has no pictures: make a folder for each class in it, or name another"
        )
    asked = reading.of_pictures
    fingerprint = hashlib.sha256(repr((VERSION, asked, listing.bad)).encode())
    for item in listing.items:
        fingerprint.update(f"{item.path}\0{item.label}\0{item.age}\n".encode())
    found = cached(
        f"{listing.root.name}-{fingerprint.hexdigest()[:16]}",
        data_dir,
        lambda folder: decode_all(listing, reading, folder, tell),
    )
    notes = found.notes
    if tell:
        for line in notes["told"]:
            tell(line)
    items = listing.items
    there = items if notes["kept"] is None else [items[index] for index in notes["kept"]]
    spec = DataSpec(tuple(notes["image_shape"]), listing.class_names)
    labels = torch.tensor([item.label for item in there])
    names = sorted({item.writer for item in there if item.writer is not None}, key=naturally)
    writers = None
    if names and all(item.writer is not None for item in there):
        numbers = {writer: number for number, writer in enumerate(names)}
        writers = torch.tensor([numbers[item.writer] for item in there])
    said = np.array([UNSAID if item.test is None else item.test for item in there])
    return in_parts(name, spec, Split(found.images, labels, writers), said)


# --- arrays ---------------------------------------------------------------------------------------


def read_arrays(name: str, path: Path, reading: Reading) -> Dataset:
    """The images of an .npz file, by its arrays' names.

    `images` are [N, H, W] or [N, H, W, 3], uint8 or from 0 to 1; `labels` [N] are whole numbers,
    -1 where there is none, or texts. There may be `classes`, the names of the labels 0, 1, ...;
    `writers` [N]; and `test` [N], true where an image is for testing.

    Raises:
        UserError: an array is missing, or does not fit the others.
    """
    found = read_npz(path, ("images", "labels"), ("classes", "writers", "test"))
    images = in_uint8(found["images"], path)
    count = images.shape[0]
    for key in ("labels", "writers", "test"):
        if key in found and found[key].shape != (count,):
            raise UserError(
                f"{path} has {key} {list(found[key].shape)} for {count:,} images: give one for each"
            )
    labels = found["labels"]
    names = [str(each) for each in found.get("classes", ())]
    if labels.dtype.kind in "US":
        texts, labels = np.unique(labels.astype(str), return_inverse=True)
        names = texts.tolist()
    spec, labels = with_classes(images.shape, labels, reading.class_names or names, path)
    writers = None
    if "writers" in found:
        writers = torch.from_numpy(np.unique(found["writers"], return_inverse=True)[1])
    said = found["test"].astype(bool) if "test" in found else None
    return in_parts(name, spec, Split(images, labels, writers), said)


def in_uint8(images: np.ndarray | OnDisk, path: Path) -> Images:
    """Images as they are stored. Raises UserError where they are no images, or of other numbers."""
    if isinstance(images, OnDisk):
        return images
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if not are_images(images.shape):
        raise UserError(
            f"{path} has images {list(images.shape)}: make it [N, H, W], or [N, H, W, 3] in colour"
        )
    if images.dtype.kind == "f" and np.isfinite(images).all():
        low, high = images.min(), images.max()
        if low >= 0 and high <= 1:
            return torch.from_numpy((images * 255).round().astype(np.uint8))
    if images.dtype.kind in "bui" and images.min() >= 0 and images.max() <= 255:
        levels = images * np.uint8(255) if images.dtype.kind == "b" else images
        return torch.from_numpy(levels.astype(np.uint8))
    raise UserError(
        f"{path} has images of {images.dtype} beyond 0 to 255, or 0 to 1 where they are no whole "
        "numbers: scale them"
    )


def with_classes(
    shape: Sequence[int], labels: np.ndarray, names: Sequence[str], path: Path
) -> tuple[DataSpec, torch.Tensor]:
    """The specification of images of this shape with these labels [N], and these as int64.

    Raises:
        UserError: they are no whole numbers, or more than there are names.
    """
    if labels.dtype.kind not in "ui":
        raise UserError(f"{path} has labels of {labels.dtype}: give whole numbers from 0, or texts")
    labels = labels.astype(np.int64)  # what is too large for it is below −1 then
    most = int(labels.max(initial=-1))
    if labels.min(initial=0) < -1 or most >= MOST_CLASSES:
        raise UserError(f"{path} has labels beyond -1 to {MOST_CLASSES - 1}: count them from 0")
    if names and most >= len(names):
        raise UserError(
            f"{path} has a label {most}, and {len(names)} names of classes: name them all"
        )
    height, width, *colour = shape[1:]
    spec = DataSpec(
        (3 if colour else 1, height, width), tuple(names) or tuple(map(str, range(most + 1)))
    )
    return spec, torch.from_numpy(labels)


def read_idx_files(name: str, path: Path, reading: Reading) -> Dataset:
    """The images of IDX files: `images-idx3-ubyte` and `labels-idx1-ubyte`, each with .gz or not.

    In a folder there may be two pairs, `train-...` and `test-...` or `t10k-...`.

    Raises:
        UserError: there is no such pair, or it is damaged.
    """
    folder = path if path.is_dir() else path.parent
    there = sorted(os.listdir(folder)) if path.is_dir() else [path.name]
    pairs: dict[str, tuple[Path, Path]] = {}
    for file in there:
        if match := IDX.fullmatch(file):
            begin, mark = match[1], match[2]
            beside = (folder / f"{begin}labels{mark}idx1-ubyte{gz}" for gz in ("", ".gz"))
            labels_file = next((each for each in beside if each.is_file()), None)
            if labels_file is None:
                raise UserError(
                    f"{folder / file} has no labels beside it: {begin}labels{mark}idx1-ubyte"
                )
            pairs[begin.strip("-_.")] = folder / file, labels_file
    if not 1 <= len(pairs) <= 2:
        raise UserError(
            f"{path} is no data set that can be read: name a folder with a folder of pictures for "
            "each class, an .npz, a .csv, or IDX files of images and labels"
        )
    splits: dict[str, Split] = {}
    for begin, (images_file, labels_file) in pairs.items():
        images = read_images(images_file)
        labels = parse_idx(read_bytes(labels_file), 1, labels_file)
        shapes = {images.shape[1:], *(each.images.shape[1:] for each in splits.values())}
        if images.shape[0] != len(labels) or len(shapes) > 1:
            raise UserError(f"{images_file} and {labels_file} do not fit: fetch them again")
        splits[begin] = Split(images, torch.from_numpy(labels.astype(np.int64)))
    every = np.concatenate([split.labels for split in splits.values()])
    spec, _ = with_classes(images.shape, every, reading.class_names or (), path)
    if len(splits) == 1:
        return in_parts(name, spec, next(iter(splits.values())))
    test = [begin for begin in splits if begin in ("test", "t10k")]
    train = [begin for begin in splits if begin not in test]
    if not test or not train:
        part = "training" if test else "testing: one pair has to begin with test- or t10k-"
        raise UserError(f"{path} has two pairs of IDX files, and none for {part}")
    return Dataset(name, spec, splits[train[0]], splits[test[0]], name)


# --- parts ----------------------------------------------------------------------------------------


def in_parts(name: str, spec: DataSpec, split: Split, said: np.ndarray | None = None) -> Dataset:
    """A data set of which it is said which images are for testing, or a fifth of each class is.

    Which, follows from their number alone.

    Args:
        name: of the data set.
        spec: of it.
        split: all of its images.
        said: [N], of each whether it is for testing, or `UNSAID`; of none without it.

    Raises:
        UserError: none are left for training, or for testing.
    """
    test = torch.zeros(len(split), dtype=torch.bool)
    unsaid = torch.ones(len(split), dtype=torch.bool)
    if said is not None:
        test, unsaid = torch.from_numpy(said == 1), torch.from_numpy(said == UNSAID)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    for label in range(spec.classes):
        those = order[((split.labels == label) & unsaid)[order]]
        test[those[: len(those) // TEST_SHARE]] = True
    if not test.any() or test.all():
        part = "testing" if not test.any() else "training"
        raise UserError(
            f"{name} has no images for {part}: have at least {TEST_SHARE} of a class, or folders "
            "train and test"
        )
    return Dataset(name, spec, split.some(~test), split.some(test), name)
