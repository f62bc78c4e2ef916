"""Files from the internet: checked, whole or not at all, and safe where several fetch them at once.

Who uses it knows which files and from where; nothing in here is about one data set.
"""

from __future__ import annotations

import importlib
import shutil
import socket
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from types import ModuleType

from mnist.data.types import Unavailable
from mnist.errors import UserError, first_line

TIMEOUT = 10.0  # seconds without an answer before a mirror is given up


def torchvision(module: str = "datasets") -> ModuleType:
    """A module of torchvision, which has the addresses of data sets and fetches files.

    Imported late: its wheels may be built for another torch, and only a download needs it.

    Raises:
        Unavailable: it cannot be imported.
    """
    try:
        return importlib.import_module(f"torchvision.{module}")
    except Exception as error:  # a mismatched torchvision raises RuntimeError, not ImportError
        raise Unavailable(
            f"torchvision, which would download them, does not import here ({first_line(error)})"
        ) from error


def download(
    resources: Sequence[tuple[str, str]],
    mirrors: Sequence[str],
    target: Path,
    check: Callable[[Path], object],
    secure: bool = True,
) -> Path:
    """Fetch files into a folder that is there whole and checked, or not at all; return it.

    Each process fetches into a folder of its own, and the first to finish gives it its name. Who
    comes later finds that name taken, and uses what is there if it passes the same check.

    Args:
        resources: the files' names and MD5 sums.
        mirrors: addresses that a name is put behind, tried in turn.
        target: the folder; those above it are made.
        check: raises a UserError if the files in a folder are not the right ones.
        secure: use https only; else the check must know the files by their SHA-256.

    Raises:
        Unavailable: torchvision cannot be imported, nothing can be written, or no mirror answered.
    """
    fetch_file = torchvision("datasets.utils").download_url
    failure = "there is no https mirror"
    partial = target.with_name(f".download-{uuid.uuid4().hex}")
    made = [place for place in target.parents if not place.exists()]
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        for mirror in mirrors:
            if secure and not mirror.startswith("https://"):
                continue
            try:
                make(partial)
            except OSError as error:
                raise Unavailable(
                    f"a download cannot be written to {target.parent} ({error.strerror})"
                ) from error
            try:
                for filename, md5 in resources:
                    fetch_file(mirror + filename, str(partial), filename, md5)
                check(partial)
                partial.rename(target)
                return target
            except (OSError, RuntimeError, HTTPException, UserError) as error:
                failure = f"{mirror}: {first_line(error)}"
                if passes(check, target):  # another process was faster
                    return target
    finally:
        socket.setdefaulttimeout(timeout)
        shutil.rmtree(partial, ignore_errors=True)
        for place in made:
            with suppress(OSError):  # it is kept where a download is, be it another's
                place.rmdir()
    raise Unavailable(f"the download failed ({failure})")


def make(folder: Path) -> None:
    """Make a folder and those above it, though another process may just be deleting these."""
    for _ in range(10):
        with suppress(FileNotFoundError):
            return folder.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def passes(check: Callable[[Path], object], folder: Path) -> bool:
    """Whether a folder is there and has the right files."""
    try:
        check(folder)
    except UserError:
        return False
    return True
