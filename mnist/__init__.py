"""mnist-style: autoencoders of handwritten digits whose latent vector is handwriting style.

import mnist
run = mnist.load("mnist4.ckpt")
style = run.encode(images, labels)
images = run.decode(style, labels)
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from mnist.version import __version__

if TYPE_CHECKING:
    from mnist.training.run import Reader, Run

__all__ = ["__version__", "load"]


def load(ckpt_dir: str | os.PathLike, device: str = "cpu") -> Run | Reader:
    """Open a trained run: an autoencoder as a `Run`, a classifier as a `Reader`.

    Args:
        ckpt_dir: its directory, such as "mnist4.ckpt".
        device: where its networks are to work, such as "cpu" or "cuda"; it may differ from where
            they were trained.

    Raises:
        mnist.errors.Problem: there is no trained run in that directory, or it is damaged.
    """
    from mnist.training.run import open_trained  # late: torch takes a second or two to import

    run = open_trained(ckpt_dir, device)
    if run.damage:
        warnings.warn(f"damaged, and passed over: {run.damage}", stacklevel=2)
    return run
