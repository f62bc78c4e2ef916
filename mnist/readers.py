"""The classifiers that tools ask for their opinion: opened, or trained first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnist.cli import CLASSIFIER_DEFAULTS
from mnist.data import CLASSES
from mnist.errors import Problem
from mnist.launch import has_ended, train_run
from mnist.run import Reader
from mnist.session import Session
from mnist.tools import open_directory


def open_reader(
    given: dict[str, Any],
    flag: str,
    default: str,
    dataset: str,
    flags: dict[str, Any] | None = None,
) -> Reader:
    """The classifier that a flag names, or the usual one, trained first where it is not yet.

    Args:
        given: the flags that were given.
        flag: which of them names its directory.
        default: the directory of the usual one.
        dataset: that the usual one is trained on.
        flags: of mnist-classifier.py that make the usual one, besides its defaults.

    Raises:
        Problem: there is none in the directory that was named, or no classifier of digits.
    """
    directory = Path(given.get(flag, default))
    there = Session(directory).newest()
    if there is None and flag in given:
        raise Problem(
            f"no trained classifier in {directory}: train one by ./mnist-classifier.py "
            f"--ckpt-dir {directory}, or leave --{flag} out"
        )
    if flag not in given and (there is None or not has_ended(there, {})):
        print(f"no trained classifier in {directory} yet: training it first", flush=True)
        asked = {"ckpt_dir": str(directory)} | {k: given[k] for k in ("data_dir",) if k in given}
        if there is None:  # one that was begun has its own
            asked |= {"dataset": dataset} | (flags or {})
        train_run("classifier", asked, CLASSIFIER_DEFAULTS)
    reader = open_directory(directory)
    if not isinstance(reader, Reader):
        raise Problem(f"--{flag} {directory} is an autoencoder: name a run of mnist-classifier.py")
    classes = reader.config["model"]["classes"]
    if classes != CLASSES:
        raise Problem(f"--{flag} {directory} tells {classes} classes apart, not the ten digits")
    if reader.epoch == 0:
        raise Problem(f"--{flag} {directory} has not been trained for an epoch yet")
    return reader
