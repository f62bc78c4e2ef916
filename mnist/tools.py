"""What the tools on a trained run share: opening it, and where their results go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mnist
from mnist import files
from mnist.cli import DEFAULTS
from mnist.errors import Problem
from mnist.run import Run


def run_directory(given: dict[str, Any]) -> Path:
    """The directory of the run that the flags name."""
    size = given.get("feature_size", DEFAULTS["feature_size"])
    return Path(given.get("ckpt_dir", f"mnist{size}.ckpt"))


def open_run(given: dict[str, Any]) -> Run:
    """The run that the flags name.

    Raises:
        Problem: there is none, or `--feature-size` says otherwise than it.
    """
    directory = run_directory(given)
    run = mnist.load(directory)
    if given.get("feature_size", run.prior.feature_size) != run.prior.feature_size:
        raise Problem(
            f"{directory} has styles of {run.prior.feature_size} numbers, and --feature-size "
            f"{given['feature_size']} was given: leave it out"
        )
    return run


def check_output(given: dict[str, Any], suffixes: tuple[str, ...]) -> Path | None:
    """Where the result is to go, once that is seen to be possible; None for a window.

    Args:
        given: the flags.
        suffixes: that a file may have; "" stands for a directory, which must not exist yet.

    Raises:
        Problem: another suffix, or a place where nothing can be written.
    """
    if "output" not in given:
        return None
    path = Path(given["output"])
    if path.suffix.lower() not in suffixes:
        known = ", ".join(suffix or "a directory" for suffix in suffixes)
        raise Problem(f"--output {path}: {path.suffix or 'no suffix'} is not one of {known}")
    if not path.parent.is_dir():
        raise Problem(f"--output {path}: there is no directory {path.parent}")
    if path.is_dir() and (path.suffix or any(path.iterdir())):
        raise Problem(f"--output {path}: there is a directory of that name already")
    return path


def write(path: Path, content: bytes) -> None:
    """Write a result, whole or not at all.

    Raises:
        Problem: the disk refuses.
    """
    try:
        files.write_file(path, content)
    except OSError as error:
        raise Problem(f"cannot write {path} ({error.strerror})") from error
