"""A trained run as Python uses it: images to styles and styles to images."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from mnist.data import CLASSES, SIDE
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
        session = Session(ckpt_dir)
        self.config: dict[str, Any] = session.config()
        self.method = session.build().to(device)
        session.load_weights(self.method)
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
        if not images.is_floating_point() or images.shape[1:] != (1, SIDE, SIDE):
            raise ValueError(
                f"images are {images.dtype} {tuple(images.shape)}; "
                f"float32 [B, 1, {SIDE}, {SIDE}] in [0, 1] was expected"
            )
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
        size = self.prior.feature_size
        if not style.is_floating_point() or style.ndim != 2 or style.shape[1] != size:
            raise ValueError(
                f"styles are {style.dtype} {tuple(style.shape)}; float32 [B, {size}] was expected"
            )
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
        if labels.dtype != torch.int64 or labels.shape != (count,):
            raise ValueError(
                f"labels are {labels.dtype} {tuple(labels.shape)}; int64 [{count}] was expected"
            )
        if count and not (labels.min() >= 0 and labels.max() < CLASSES):
            raise ValueError(f"labels have values outside 0 to {CLASSES - 1}")
        return labels.to(self.device)
