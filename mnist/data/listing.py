"""What pictures there are: a folder's or a table's, before any of them is decoded."""

from __future__ import annotations

import csv
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from mnist.errors import UserError

UNLABELLED = ("unlabelled", "unlabeled")  # folders of pictures that are of no class
DROPPINGS = ("Thumbs.db", "desktop.ini", "__MACOSX")  # what systems leave in folders, as dots do


class Item(NamedTuple):
    """A picture that has not been read yet.

    Attributes:
        path: of the file, below the listing's root.
        label: −1 where it has no class.
        test: whether it is for testing; None where that is not said.
        writer: who made it; None where that is not known.
        age: size and time of the file.
    """

    path: str
    label: int
    test: bool | None
    writer: str | None
    age: tuple[int, int]


class Listing(NamedTuple):
    """Pictures that have not been read yet.

    Attributes:
        root: folder that all of them lie in.
        class_names: of the labels 0, 1, ...
        items: the pictures.
        bad: paths below the root of what is none, by its place or kind alone, and why.
    """

    root: Path
    class_names: tuple[str, ...]
    items: list[Item]
    bad: list[tuple[str, str]]


def list_folder(root: Path) -> Listing:
    """The pictures of a folder with a folder per class, in `train` and `test` where both are there.

    Raises:
        UserError: a folder cannot be read.
    """
    halves = {name: root / name for name in ("train", "test")}
    if not all(half.is_dir() for half in halves.values()):
        halves = {"": root}
    bad, found = [], []
    for half, place in halves.items():
        there = entries(place)
        folders = [entry.name for entry in there if entry.is_dir()]
        for entry in there if folders else ():
            if not entry.is_dir():
                path = os.path.join(half, entry.name)
                bad.append((path, "lies beside the folders of the classes"))
        # Pictures that are all in one place are of a single class.
        found += [(half, name, os.path.join(half, name)) for name in folders]
        found += [] if folders else [(half, "image", half)]
    names = {name for _, name, _ in found} - set(UNLABELLED)
    class_names = tuple(sorted(names, key=naturally))
    listing = Listing(root, class_names, [], bad)
    for half, name, folder in found:
        label = -1 if name in UNLABELLED else class_names.index(name)
        for entry in entries(root / folder):
            add(listing, entry, os.path.join(folder, entry.name), label, half)
    return listing


def list_table(table: Path) -> Listing:
    """The pictures that a CSV names, by columns `path`, `label` and perhaps `split` and `writer`.

    Paths are below the table's folder. An empty label is that of an unlabelled picture.

    Raises:
        UserError: it cannot be read, or lacks a column.
    """
    root, rows = table.parent, []
    bad: list[tuple[str, str]] = []
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"path", "label"} - set(reader.fieldnames or ())
            if missing:
                raise UserError(
                    f"{table} has no column {min(missing)!r}: its first line is to be "
                    "path,label or path,label,split,writer"
                )
            for line, row in enumerate(reader, start=2):
                path = os.path.normpath(row["path"] or "")
                split = row.get("split") or None
                if None in row or row["label"] is None:
                    bad.append((path, f"line {line} has not as many columns as the first"))
                elif split not in (None, "train", "test"):
                    bad.append((path, f"line {line} has a split {split!r}: train or test"))
                elif path.startswith("..") or os.path.isabs(path):
                    bad.append((path, "is out of the table's folder"))
                else:
                    rows.append((path, row["label"], split, row.get("writer") or None))
    except OSError as error:
        raise UserError(f"cannot read {table} ({error.strerror}): see who may") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{table} is no table of text in UTF-8 ({error}): save it as such"
        ) from error
    class_names = tuple(sorted({label for _, label, *_ in rows} - {""}, key=naturally))
    listing = Listing(root, class_names, [], bad)
    for path, name, split, writer in rows:
        label = class_names.index(name) if name else -1
        add(listing, root / path, path, label, split, writer)
    return listing


def add(
    listing: Listing,
    entry: os.DirEntry[str] | Path,
    path: str,
    label: int,
    split: str | None,
    writer: str | None = None,
) -> None:
    """Add a file, which is `path` below the root, to the pictures of a listing, or to what is none.

    `split` is "train" or "test", or empty or None where that is not said.
    """
    test = split == "test" if split else (None if label >= 0 else False)
    if reason := unreadable(entry, listing.root):
        listing.bad.append((path, reason))
    elif test and label < 0:
        listing.bad.append((path, "is for testing, and has no class"))
    else:
        listing.items.append(Item(path, label, test, writer, age(entry)))


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, in natural order, but for what systems leave there."""
    try:
        there = [each for each in os.scandir(folder) if not each.name.startswith(".")]
    except OSError as error:
        raise UserError(f"cannot read {folder} ({error.strerror}): see who may") from error
    kept = (each for each in there if each.name not in DROPPINGS)
    return sorted(kept, key=lambda each: naturally(each.name))


def naturally(name: str) -> list[tuple[int, int, str]]:
    """A key by which "2" comes before "10", and both before "a"."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts]


def age(entry: os.DirEntry[str] | Path) -> tuple[int, int]:
    """Size and time of a file: others, once it was changed."""
    status = entry.stat()
    return status.st_size, status.st_mtime_ns


def unreadable(entry: os.DirEntry[str] | Path, root: Path) -> str | None:
    """Why there is no picture file inside a folder, as far as can be said without reading it."""
    try:
        if entry.is_symlink() and not Path(entry).resolve().is_relative_to(root.resolve()):
            return "is a link out of the folder"
        status = entry.stat()
    except (OSError, RuntimeError) as error:
        return f"leads nowhere ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISDIR(status.st_mode):
        return "is a folder where a picture should be"
    if not stat.S_ISREG(status.st_mode):
        return "is no plain file"
    return None if status.st_size else "is empty"
