"""Files and folders that are there whole, or not at all, and that are read with suspicion.

A folder of files, such as a checkpoint, is sealed by a manifest with the size and SHA-256 of each
file and of itself. It is written in this order, so that whatever moment the power fails at, the
folder is found by its name only if all of it is on the disk:

    write and fsync each file, then the manifest; fsync the folder; rename it; fsync its parent

Nothing is ever unpickled, and no file is read that is larger than it may be.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mnist.errors import StorageFailed, UserError
from mnist.version import __version__

FORMAT = 2  # of a sealed folder and of what is in it
MANIFEST = "manifest.json"
LARGEST = {".json": 2**26, ".safetensors": 2**32}  # bytes: 64 MiB, 4 GiB
DTYPES = {  # in safetensors' words
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
VERSION = f"mnist-style {__version__}"

Content = bytes | Sequence[bytes | memoryview]  # of a file


class Damaged(Exception):
    """A file is missing, or is not what was written: which, and in what way."""


# --- writing --------------------------------------------------------------------------------------


def write_folder(folder: Path, files: dict[str, Content]) -> None:
    """Write a sealed folder that does not exist yet; return once it is on the disk.

    Raises:
        OSError: the disk refuses; the folder is then not there, or whole.
    """
    partial = folder.with_name(".partial")
    discard(partial)
    try:
        partial.mkdir()
        with ThreadPoolExecutor(1) as other:  # hashing takes as long as writing: do both at once
            hashed = other.submit(manifest, files)
            for name, content in files.items():
                write_new(partial / name, content)
            write_new(partial / MANIFEST, hashed.result())
        flush(partial)
        partial.rename(folder)
        flush(folder.parent)
    finally:
        discard(partial)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which has its name only once all is in it.

    There may be an empty one of that name.

    Raises:
        OSError: the disk refuses; nothing is then left of it.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        flush(partial)
        partial.rename(path)
        flush(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_file(path: Path, content: bytes) -> None:
    """Write or replace a file; return once it is on the disk.

    Raises:
        OSError: the disk refuses; the file is then the one before, or the new one.
    """
    # Of this process alone: another may be writing the same file, and must not rename half of ours.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.unlink(missing_ok=True)
        write_new(partial, content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    flush(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, made if need be; return once it is on the disk.

    Several processes may do so at once: the lines are all there, one after the other.

    Args:
        path: of the file.
        line: without its line break.

    Raises:
        OSError: the disk refuses; what was in the file is still there, and no part of the line.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        # What another program, or a failing disk, left of a line ends where this one begins.
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        content = (f"\n{line}\n" if torn else f"{line}\n").encode()
        if os.write(descriptor, content) < len(content):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    flush(path.parent)


def write_new(path: Path, content: Content) -> None:
    """Write a file that does not exist yet, and return once its content is on the disk.

    Its name is so once `flush` was called on its folder. Permissions follow the umask.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for piece in pieces(content):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush(folder: Path) -> None:
    """Return once the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(folder: Path) -> None:
    """Delete a folder, which loses its name before its first file: half of one is never found."""
    doomed = folder.with_name(".discarded")
    shutil.rmtree(doomed, ignore_errors=True)
    if folder.exists():
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def pieces(content: Content) -> Sequence[bytes | memoryview]:
    """A file's content as the pieces that it consists of."""
    return [content] if isinstance(content, bytes) else content


def manifest(files: dict[str, Content]) -> bytes:
    """What seals a folder: the size and SHA-256 of every file."""
    entries = {name: entry(content) for name, content in files.items()}
    return sealed({"format": FORMAT, "written_by": VERSION, "files": entries})


def entry(content: Content) -> dict[str, Any]:
    """What the manifest holds of a file."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces(content):
        digest.update(piece)
        size += len(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}


def sealed(content: dict[str, Any]) -> bytes:
    """JSON with the SHA-256 of itself, as it is without that."""
    return json_bytes(content | {"sha256": hashlib.sha256(json_bytes(content)).hexdigest()})


def json_bytes(content: dict[str, Any]) -> bytes:
    """JSON, the same content always giving the same bytes."""
    return (json.dumps(content, indent=2) + "\n").encode()


def tensor_pieces(tensors: dict[str, Tensor]) -> list[bytes | memoryview]:
    """Tensors of whatever device as a safetensors file, in pieces.

    The format is https://github.com/huggingface/safetensors#format: the length of a JSON header in
    8 bytes, the header, the numbers. Its own package copies everything twice, which takes longer
    than writing it; these pieces are the tensors' own memory, so they are to be used at once.
    """
    header, numbers, start = {}, [], 0
    for name, tensor in sorted(tensors.items()):  # the same file, whatever order they come in
        piece = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        end = start + piece.nbytes
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        numbers.append(piece.data)
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *numbers]


# --- reading --------------------------------------------------------------------------------------


def read_folder(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The files by these names in a sealed folder, every byte compared with the manifest.

    Raises:
        Damaged: a file is missing or is not what was written.
        UserError: the folder is of another format, and which version wrote it.
    """
    content = read_file(folder / MANIFEST)
    listed = json_object(MANIFEST, content)
    if content != sealed({key: value for key, value in listed.items() if key != "sha256"}):
        raise Damaged(f"{MANIFEST} does not match its own SHA-256")
    if listed.get("format") != FORMAT:
        raise another_format(folder, listed.get("format"), listed.get("written_by"))
    entries = listed.get("files")
    if not isinstance(entries, dict) or set(entries) != set(names):
        raise Damaged(f"{MANIFEST} lists other files than {', '.join(names)}")
    contents = {}
    for name in names:
        contents[name] = read_file(folder / name)
        if entries[name] != entry(contents[name]):
            raise Damaged(f"{name} does not match its SHA-256 in {MANIFEST}")
    return contents


def another_format(path: Path, number: object, version: object) -> UserError:
    """What to say of something that this version cannot read although it is whole."""
    return UserError(
        f"{path} was written in format {number} by {version}, and {VERSION} reads format {FORMAT}: "
        "use that version for it, or name another --ckpt-dir"
    )


def read_file(path: Path) -> bytes:
    """The bytes of a plain file of bearable size.

    Raises:
        Damaged: it is missing, cannot be read, is too large, or is no plain file.
        StorageFailed: it may well be whole, but we are not allowed to read it.
    """
    try:
        # Without O_NONBLOCK a pipe in the file's place would keep us waiting for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Damaged(f"{path.name} is no plain file")
            if status.st_size > LARGEST[path.suffix]:
                raise Damaged(f"{path.name} is too large: {status.st_size:,} bytes")
            return file.read(status.st_size)
    except PermissionError as error:
        raise StorageFailed(f"cannot read {path} ({error.strerror})") from error
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read: {error.strerror}") from error


def json_object(name: str, content: bytes) -> dict[str, Any]:
    """The object in a JSON file's bytes. Raises Damaged where there is none."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{name} is no JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise Damaged(f"{name} holds no JSON object")
    return parsed


def tensors(name: str, content: bytes) -> dict[str, Tensor]:
    """The tensors in a safetensors file's bytes. Raises Damaged where it is none."""
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise Damaged(f"{name} is no safetensors file: {error}") from error
