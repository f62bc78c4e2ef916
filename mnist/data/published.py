"""Data sets that others publish as files: found on disk, else fetched; checked either way.

A set says what it is called, which files it has, and how they are read; nothing in here is about
one of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mnist.data.download import download
from mnist.data.spec import DataSpec
from mnist.data.types import Dataset, Split, Unavailable
from mnist.errors import UserError


class Addresses(NamedTuple):
    """Where files are to be had, as `download` takes it.

    Attributes:
        resources: their names and MD5 sums.
        mirrors: addresses that a name is put behind.
    """

    resources: list[tuple[str, str]]
    mirrors: list[str]


@dataclass(frozen=True)
class Published:
    """A data set in files.

    Attributes:
        name: that it is asked for by.
        spec: what it shows.
        files: names of the files as published, each with its SHA-256, or MD5 where that is all its
            owner has published, or "". Those that end in .gz may lie unwrapped.
        folders: below a data folder, where they may lie, the first for a download.
        read: training and test images from the files in a folder.
        addresses: where to fetch them; None where they can be had by hand only.
        common: whether other data sets have files of these names, so that they do not tell which
            it is.
    """

    name: str
    spec: DataSpec
    files: Mapping[str, str]
    folders: tuple[str, ...]
    read: Callable[[Path], tuple[Split, Split]]
    addresses: Callable[[], Addresses] | None
    common: bool = False

    def __call__(self, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
        """The data set, from disk or else from the internet: see `load_dataset`."""
        folder = self.find(data_dir)
        if not folder:
            folders = data_folders(data_dir)
            try:
                folder = self.fetch(folders[0])
            except Unavailable as reason:
                searched = ", ".join(map(str, folders))
                raise Unavailable(
                    f"no {self.name} files in {searched}, and {reason}: name a folder with "
                    f"{' and '.join(self.files)} by --data-dir"
                ) from reason
        return self.read_folder(folder)

    def find(self, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
        """The first folder that has any of its files, or None."""
        for folder in data_folders(data_dir):
            named = data_dir and folder == Path(data_dir).expanduser()
            for place in (*(folder / below for below in self.folders), folder):
                told = named or place != folder or not self.common  # which set it is
                if any(lying(place, name) for name in self.files) and (told or self.passes(place)):
                    return place
        return None

    def whole(self, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
        """The folder in which all of its files are, or None. Nothing is downloaded."""
        folder = self.find(data_dir)
        return folder if folder and all(lying(folder, name) for name in self.files) else None

    def passes(self, folder: Path) -> bool:
        """Whether the smallest of its files in a folder is the published one."""
        there = [name for name in self.files if (folder / name).is_file()]
        if not there:
            return False
        smallest = min(there, key=lambda name: (folder / name).stat().st_size)
        return digest(folder / smallest, self.files[smallest]) == self.files[smallest]

    def read_folder(self, folder: Path) -> Dataset:
        """The data set from the files in one folder, each as published where it is not unwrapped.

        Raises:
            UserError: a file is missing, malformed, or not the published one.
        """
        for name in self.files:
            if not lying(folder, name):
                raise UserError(
                    f"{folder} has some of {self.name}'s files but not {name}: add it, or name "
                    "another folder with --data-dir"
                )
        train, test = self.read(folder)
        # Last, for what is wrong with a file says more than that something is.
        for name, published in self.files.items():
            path = folder / name
            if published and path.is_file() and (found := digest(path, published)) != published:
                raise UserError(
                    f"{path} is not {self.name}'s: its sum starts with {found[:12]}, not "
                    f"{published[:12]}; delete it, or name another folder with --data-dir"
                )
        return Dataset(self.name, self.spec, train, test, str(folder))

    def fetch(self, folder: Path) -> Path:
        """Download it into a folder for data sets, whole or not at all; return where it is.

        Raises:
            Unavailable: it is to be had by hand only, or the download failed.
        """
        if self.addresses is None:
            raise Unavailable("they are to be had by hand only (docs/data.md)")
        resources, mirrors = self.addresses()
        secure = any(len(published) < SHA256 for published in self.files.values())
        return download(
            resources, mirrors, folder / self.folders[0], self.read_folder, secure=secure
        )


SHA256 = 64  # hexadecimal digits, where MD5 has 32


def lying(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder, or the same unwrapped; or None."""
    places = folder / name, folder / name.removesuffix(".gz")
    return next((path for path in places if path.is_file()), None)


def digest(path: Path, published: str) -> str:
    """The sum of a file that is to be compared with a published one, SHA-256 or MD5.

    Raises:
        UserError: the file cannot be read.
    """
    kind = "sha256" if len(published) == SHA256 else "md5"
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, kind).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): see who may") from error


def data_folders(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """Where data sets are looked for, in order; a download goes to the first."""
    named = [data_dir, os.environ.get("MNIST_DATA_DIR"), "data"]
    return [Path(folder).expanduser() for folder in named if folder]
