"""mnist-style: autoencoders of handwritten digits whose latent vector is handwriting style.

import mnist
run = mnist.train("aae", dataset="mnist-5k", feature_size=4, epochs=3, ckpt_dir="mnist4.ckpt")
run = mnist.load("mnist4.ckpt")
style = run.encode(images, labels)
images = run.decode(style, labels)
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mnist.version import __version__

if TYPE_CHECKING:
    from mnist.training.run import Run

__all__ = ["__version__", "load", "train"]


def load(ckpt_dir: str | os.PathLike[str], device: str = "cpu") -> Run:
    """Open a trained run.

    Args:
        ckpt_dir: its directory, such as "mnist4.ckpt".
        device: where its networks are to work, such as "cpu" or "cuda"; it may differ from where
            they were trained.

    Raises:
        mnist.errors.UserError: there is no trained run in that directory, or it is damaged.
    """
    from mnist.training.run import open_run  # late: torch takes a second or two to import

    run = open_run(ckpt_dir, device)
    if run.damage:
        warnings.warn(f"damaged, and passed over: {run.damage}", stacklevel=2)
    return run


def train(
    method: str,
    *,
    ckpt_dir: str | os.PathLike[str],
    dataset: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    hold_out: int | None = None,
    patience: int | None = None,
    keep_best: bool | None = None,
    device: Literal["cpu", "cuda", "mps"] | None = None,
    deterministic: bool | None = None,
    save_every: int | None = None,
    progress: Callable[[dict[str, float]], None] = lambda row: None,
    **options: Any,
) -> Run:
    """Train a run, or resume the one in the directory, as the scripts do; prints nothing.

    Args:
        method: a key of `mnist.methods.METHODS`, such as "aae".
        ckpt_dir: the run directory.
        dataset: a key of `mnist.data.DATASETS`, or the path of your own; without it "mnist", or
            "mnist-5k" with a warning where that cannot be had.
        data_dir: where its files are, or are downloaded to.
        epochs: in all; without it the method's default for such a data set.
        batch_size: images a step.
        hold_out: training images kept from training, the last ones of each class.
        patience: stop after so many epochs without a better headline on those.
        keep_best: keep the epoch with the best headline on those, too, as a run in ckpt_dir/best.
        device: "cpu", "cuda" or "mps"; without it the fastest there is.
        deterministic: use only deterministic algorithms.
        save_every: steps between two checkpoints, besides the one at each epoch's end.
        progress: called after each epoch with its row of metrics.csv.
        options: of the method: the keyword-only parameters of its constructor; and of how the
            data set is read: those of `mnist.reading.Reading`.

    Returns:
        The trained run, on the CPU or the device that was named.

    Raises:
        mnist.errors.UserError: an option or directory that does not fit, divergence, a full disk.
        TypeError: the method has no such option.
    """
    from dataclasses import fields

    from mnist.reading import Reading
    from mnist.training.log import Report  # late: torch takes a second or two to import
    from mnist.training.plan import train_run
    from mnist.training.settings import Settings

    how_read = {
        field.name: options.pop(field.name) for field in fields(Reading) if field.name in options
    }
    settings = Settings(
        method=method,
        ckpt_dir=Path(ckpt_dir),
        options=options,
        **how_read,
        dataset=dataset,
        data_dir=None if data_dir is None else str(data_dir),
        epochs=epochs,
        batch_size=batch_size,
        hold_out=hold_out,
        patience=patience,
        keep_best=keep_best,
        device=device,
        deterministic=deterministic,
        save_every=save_every,
    )
    report = Report(quiet=True, warn=lambda message: warnings.warn(message, stacklevel=2))
    train_run(settings, report, progress)
    return load(ckpt_dir, device or "cpu")
