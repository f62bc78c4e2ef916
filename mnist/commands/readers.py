"""The classifiers that tools ask for their opinion: opened, or trained first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnist.commands.cli import CLASSIFIER_DEFAULTS
from mnist.commands.launch import has_ended, train_run
from mnist.commands.tools import open_directory
from mnist.data import CLASSES
from mnist.errors import Problem
from mnist.training.run import Reader
from mnist.training.session import Session


def is_trained(directory: str | Path) -> bool:
    """Whether there is a run in a directory, trained to its end."""
    there = Session(directory).newest()
    return there is not None and bool(has_ended(there, {}))


def open_reader(
    given: dict[str, Any],
    flag: str,
    default: str,
    dataset: str,
    flags: dict[str, Any] | None = None,
    outliers: bool = False,
) -> Reader:
    """The classifier that a flag names, or the usual one, trained first where it is not yet.

    Args:
        given: the flags that were given.
        flag: which of them names its directory.
        default: the directory of the usual one.
        dataset: that the usual one is trained on.
        flags: of mnist-classifier.py that make the usual one, besides its defaults.
        outliers: whether it is to know what is no digit as well, or is not to.

    Raises:
        Problem: there is none in the directory that was named, or no classifier of digits.
    """
    directory = Path(given.get(flag, default))
    there = Session(directory).newest()
    script = "./mnist-classifier.py" + (" --outliers" if outliers else "")
    if there is None and flag in given:
        raise Problem(
            f"no trained classifier in {directory}: train one by {script} "
            f"--ckpt-dir {directory}, or leave --{flag} out"
        )
    if flag not in given and not is_trained(directory):
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
    if reader.config["model"].get("outliers", False) != outliers:
        was = "without" if outliers else "with"
        raise Problem(
            f"--{flag} {directory} was trained {was} --outliers: name a run of {script}"
            + ("" if outliers else " without it")
        )
    if reader.epoch == 0:
        raise Problem(f"--{flag} {directory} has not been trained for an epoch yet")
    return reader
