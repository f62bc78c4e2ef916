"""Arrays in NumPy's .npz and .npy files, read with suspicion: nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from mnist.errors import UserError, first_line

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


def read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of an archive, whose size is known before it is unpacked.

    Raises:
        ValueError: it is no array of numbers or text, too large, or not as long as it announces.
    """
    with archive.open(name) as file:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name} is of version {version}")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or size > LARGEST:
            raise ValueError(f"{name} is of {dtype} {list(shape)}")
        content = file.read(size + 1)
        if len(content) != size:
            raise ValueError(f"{name} is not as long as its header announces")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
