"""A trained run as Python uses it: images to styles and styles to images."""

from __future__ import annotations

import os
import warnings
from typing import Any

import torch
from torch import Tensor

from mnist.data import CLASSES, SIDE
from mnist.errors import Problem
from mnist.prior import Gaussian
from mnist.session import Session


class Run:
    """A trained encoder and decoder, in evaluation mode and without gradients.

    Use `mnist.load(ckpt_dir)` to make one.

        >>> run = mnist.load("mnist4.ckpt")
        >>> digits = torch.arange(10)
        >>> style = run.prior.sample(1).expand(10, -1)      # one handwriting ...
        >>> images = run.decode(style, digits)              # ... for ten digits [10, 1, 28, 28]
        >>> run.encode(images, digits)                      # and about the same style back [10, 4]

    Attributes:
        config: the saved configuration (config.json): "method", "model" (feature_size, labels,
            prior_std, ...), "training" (dataset, its SHA-256, epochs, ...), "versions".
        prior: what styles are distributed like: `sample(count)`, `log_prob(style)`, `cdf(style)`.
        method: the networks themselves, `method.encoder` and `method.decoder`, for whoever wants
            gradients; the decoder returns logits.
    """

    def __init__(self, ckpt_dir: str | os.PathLike, device: str | torch.device = "cpu"):
        checkpoint = Session(ckpt_dir).require_newest()
        for folder, reason in checkpoint.damaged.items():
            warnings.warn(f"{folder} is damaged ({reason}): using an older one", stacklevel=3)
        self.config: dict[str, Any] = checkpoint.config
        try:
            self.method = checkpoint.build().to(device)
        except (AssertionError, RuntimeError) as error:
            raise Problem(f"torch cannot use the device {device!r} here ({error})") from error
        checkpoint.load_weights(self.method)
        self.method.eval().requires_grad_(False)
        self.prior: Gaussian = self.method.prior

    @torch.no_grad()
    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The style of each image.

        Args:
            images: float32 [B, 1, 28, 28] in [0, 1], 1 being ink.
            labels: their digits, int64 [B], 0 to 9. A run trained with --no-labels needs none.

        Returns:
            float32 [B, N], each number distributed about like N(0, prior_std²) over real images.

        Raises:
            ValueError: another shape or type, or values outside these ranges.
        """
        check_tensor("images", images, torch.float32, (None, 1, SIDE, SIDE))
        if images.numel() and not (images.min() >= 0 and images.max() <= 1):
            raise ValueError("images have values outside [0, 1]: divide 8-bit pixels by 255")
        return self.method.encoder(images.to(self.device), self.check_labels(labels, len(images)))

    @torch.no_grad()
    def decode(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """The image of each style, written as each digit.

        Args:
            style: float32 [B, N].
            labels: digits to write, int64 [B], 0 to 9. A run trained with --no-labels needs none.

        Returns:
            float32 [B, 1, 28, 28] in [0, 1], 1 being ink.

        Raises:
            ValueError: another shape or type, or digits outside this range.
        """
        check_tensor("styles", style, torch.float32, (None, self.prior.feature_size))
        if not torch.isfinite(style).all():
            raise ValueError("styles have values that are NaN or infinite")
        labels = self.check_labels(labels, len(style))
        return self.method.decoder(style.to(self.device), labels).sigmoid()

    @property
    def device(self) -> torch.device:
        """Where the networks are; arguments are moved there, and results stay there."""
        return self.method.device

    def check_labels(self, labels: Tensor | None, count: int) -> Tensor | None:
        """Labels as the networks take them, once they are seen to be digits."""
        if not self.config["model"]["labels"]:
            return None
        if labels is None:
            raise ValueError("this run is told the digit: give labels, int64 [B]")
        check_tensor("labels", labels, torch.int64, (count,))
        if count and not (labels.min() >= 0 and labels.max() < CLASSES):
            raise ValueError(f"labels have values outside 0 to {CLASSES - 1}")
        return labels.to(self.device)


def check_tensor(
    name: str, value: object, dtype: torch.dtype, shape: tuple[int | None, ...]
) -> None:
    """Compare with a type and a shape, in which None is any size.

    Raises:
        ValueError: saying what it is and what was expected.
    """
    if isinstance(value, Tensor):
        fits = value.ndim == len(shape) and all(
            wanted in (size, None) for size, wanted in zip(value.shape, shape, strict=True)
        )
        if fits and value.dtype == dtype:
            return
        got = f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    else:
        got = f"a {type(value).__name__}"
    expected = ", ".join("B" if size is None else str(size) for size in shape)
    raise ValueError(
        f"{name} are {got}; a tensor {str(dtype).removeprefix('torch.')} [{expected}] was expected"
    )
