"""Decoded pictures on disk, so that they are decoded once: whole or not at all.

A cache is known by a fingerprint of what it was made from. It lies in `--data-dir`, or else in
`./data`, beside the runs: not in `$MNIST_DATA_DIR`, which several people may share.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mnist.data.on_disk import kept
from mnist.errors import StorageFailed
from mnist.files import flush

FOLDER = "cache"
BAD = OSError, ValueError, EOFError  # what reading a cache that is missing or damaged raises
ARRAY, NOTES = "images.npy", "notes.json"


class Cached:
    """Images in a cache. Raises one of `BAD` where it is missing or damaged.

    Attributes:
        images: uint8 [N, H, W] or [N, H, W, 3], in memory or on disk.
        notes: what was found out when they were decoded.
    """

    def __init__(self, folder: Path):
        mapped = np.lib.format.open_memmap(folder / ARRAY, "r")
        self.images = kept(folder / ARRAY, mapped.offset, mapped.shape)
        self.notes: dict[str, Any] = json.loads((folder / NOTES).read_text())


def cached(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    make: Callable[[Path], dict[str, Any]],
) -> Cached:
    """What a cache of that name holds, made if it is not there yet.

    Args:
        name: with the fingerprint of what it is made from.
        data_dir: as for `load_dataset`.
        make: write `ARRAY` into a folder, and return the notes.

    Raises:
        StorageFailed: the folder cannot be written, or the disk is full.
    """
    home = Path(data_dir or "data").expanduser() / FOLDER
    place, partial = home / name, home / f".partial-{uuid.uuid4().hex}"
    with suppress(*BAD):  # missing or damaged
        return Cached(place)
    try:
        partial.mkdir(parents=True)
        notes = make(partial)
        (partial / NOTES).write_text(json.dumps(notes))
        for file in (partial / ARRAY, partial / NOTES):
            flush(file)
        try:
            partial.rename(place)
        except OSError:  # another process was faster, or there is a damaged one
            with suppress(*BAD):
                return Cached(place)
            shutil.rmtree(place)
            partial.rename(place)
        flush(home)
        return Cached(place)
    except OSError as error:
        raise StorageFailed(
            f"decoded pictures cannot be kept in {place} ({error.strerror}): make room, or name "
            "another --data-dir"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in (home, home.parent):
            with suppress(OSError):  # unless there is something in it
                folder.rmdir()
