"""Arrays in NumPy's .npz and .npy files, read with suspicion: nothing is unpickled."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from mnist.data.on_disk import ImageFile, OnDisk, too_many
from mnist.errors import UserError, first_line

LOCAL_HEADER = 30  # bytes before the name of a member
LARGEST = 2**34  # bytes of an array once unpacked, 16 GiB: what announces more is no data set


def read_npz(path: Path, needed: tuple[str, ...], wanted: tuple[str, ...] = ()) -> dict[str, Any]:
    """The arrays by these names in an .npz file; of those wanted, as many as there are.

    Raises:
        UserError: it cannot be read, is no such file, damaged, or lacks one that is needed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            there = {name.removesuffix(".npy"): name for name in archive.namelist()}
            if missing := [name for name in needed if name not in there]:
                raise UserError(
                    f"{path} has no array {missing[0]!r}, but {', '.join(map(repr, there))}: "
                    f"store it with numpy.savez_compressed({missing[0]}=...)"
                )
            names = [name for name in (*needed, *wanted) if name in there]
            return {name: read_member(archive, there[name]) for name in names}
    except UserError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise UserError(
            f"{path} is no .npz file, or a damaged one ({first_line(error)}): make it anew"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): see who may") from error


def read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray | OnDisk:
    """An array of an archive, whose size is known before it is unpacked.

    Bytes of images too many for the memory stay in it, where they are not compressed.

    Raises:
        ValueError: it is no array of numbers or text, too large, or not as long as it announces.
    """
    with archive.open(name) as file:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name} is of version {version}")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        size, begun = math.prod(shape) * dtype.itemsize, file.tell()
        if too_many(size) and dtype == np.uint8 and are_images(shape) and not fortran:
            start = stored_at(archive, name, begun + size)
            if start is not None:
                return OnDisk(ImageFile(Path(str(archive.filename)), start + begun, shape))
        if dtype.hasobject or size > LARGEST:
            raise ValueError(f"{name} is of {dtype} {list(shape)}")
        content = file.read(size + 1)
        if len(content) != size:
            raise ValueError(f"{name} is not as long as its header announces")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def stored_at(archive: zipfile.ZipFile, name: str, size: int) -> int | None:
    """Where in an archive's file a member of so many bytes begins, if it is not compressed."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != size:
        return None
    with open(str(archive.filename), "rb") as file:
        file.seek(member.header_offset)
        header = file.read(LOCAL_HEADER)
    # Its last two numbers are the lengths of the name and of more, which come before the contents
    # (APPNOTE.TXT of the ZIP format, 4.3.7).
    return member.header_offset + LOCAL_HEADER + sum(struct.unpack("<26xHH", header))


def are_images(shape: Sequence[int]) -> bool:
    """Whether it is [N, H, W] or [N, H, W, 3]."""
    return bool(math.prod(shape)) and (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3))
