"""A trained run as Python uses it: images to styles and back, or images to digits."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mnist.data import CLASSES, SIDE, Digits, load_same_dataset, to_bytes
from mnist.errors import Problem
from mnist.methods import METHODS
from mnist.methods.autoencoder import Autoencoder
from mnist.networks.classifier import PART
from mnist.networks.prior import Gaussian
from mnist.networks.sharpness import sharpen
from mnist.training.checkpoint import Checkpoint
from mnist.training.session import Session

BATCH = 2000  # images that are encoded or decoded at once


class Styles(NamedTuple):
    """Styles of images of a data set."""

    index: np.ndarray  # int64 [B], their numbers in it
    digits: np.ndarray  # int64 [B]
    styles: np.ndarray  # float32 [B, N]


class Generated(NamedTuple):
    """Images that a run wrote: a labelled data set."""

    images: np.ndarray  # uint8 [B, 28, 28], 255 being ink
    labels: np.ndarray  # int64 [B], the digits asked for
    styles: np.ndarray  # float32 [B, N], the styles they were written in


class Trained:
    """Networks out of a run directory, in evaluation mode and without gradients.

    Attributes:
        config: the saved configuration (config.json): "method", "model" (its settings),
            "training" (dataset, its SHA-256, epochs, ...), "versions".
        epoch: epochs of training behind it.
        numbers: of the last of those, a row of metrics.csv.
        damage: which newer checkpoints are damaged and were passed over, and why; mostly empty.
        method: the networks themselves.

    Raises:
        Problem: there is no trained run in that directory, or it is damaged, or of another kind.
    """

    def __init__(self, checkpoint: Checkpoint, device: str | torch.device = "cpu"):
        self.config: dict[str, Any] = checkpoint.config
        self.epoch: int = checkpoint.epoch
        self.numbers: dict[str, float] = (checkpoint.progress["rows"] or [{}])[-1]
        self.damage: str = checkpoint.damage
        try:
            self.method = checkpoint.build().to(device)
        except (AssertionError, RuntimeError) as error:
            raise Problem(f"torch cannot use the device {device!r} here ({error})") from error
        checkpoint.load_weights(self.method)
        self.method.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the networks are; arguments are moved there, and results stay there."""
        return self.method.device


class Run(Trained):
    """A trained encoder and decoder, in evaluation mode and without gradients.

    Use `mnist.load(ckpt_dir)` to make one.

        >>> run = mnist.load("mnist4.ckpt")
        >>> digits = torch.arange(10)
        >>> style = run.prior.sample(1).expand(10, -1)      # one handwriting ...
        >>> images = run.decode(style, digits)              # ... for ten digits [10, 1, 28, 28]
        >>> run.encode(images, digits)                      # and about the same style back [10, 4]
        >>> run.styles(500)                                 # of test images, as arrays
        >>> run.generate(count=1000)                        # 10,000 labelled images, as arrays

    Attributes (besides those of `Trained`, its `config["model"]` having feature_size, labels and
    prior_std):
        prior: what styles are distributed like: `sample(count)`, `log_prob(style)`, `cdf(style)`.
        sharpness: of decodings that are as black and white as real images, fitted in training.
        method: the networks themselves, `method.encoder` and `method.decoder`, for whoever wants
            gradients; the decoder returns logits.
    """

    def __init__(self, checkpoint: Checkpoint, device: str | torch.device = "cpu"):
        super().__init__(checkpoint, device)
        self.prior: Gaussian = self.method.prior
        # Runs of version 0.3 and before did not fit it.
        self.sharpness: float = self.numbers.get("train_sharpness", 1.0)

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
        check_images(images)
        return self.method.encoder(images.to(self.device), self.check_labels(labels, len(images)))

    @torch.no_grad()
    def decode(
        self, style: Tensor, labels: Tensor | None = None, *, sharpness: float = 1.0
    ) -> Tensor:
        """The image of each style, written as each digit.

        Args:
            style: float32 [B, N].
            labels: digits to write, int64 [B], 0 to 9. A run trained with --no-labels needs none.
            sharpness: what multiplies the logits of the pixels. At 1 the image is the mean of all
                that the style may stand for, nearest to the original and blurred; at
                `run.sharpness` it looks like one of them.

        Returns:
            float32 [B, 1, 28, 28] in [0, 1], 1 being ink.

        Raises:
            ValueError: another shape or type, or digits outside this range.
        """
        check_tensor("styles", style, torch.float32, (None, self.prior.feature_size))
        if not torch.isfinite(style).all():
            raise ValueError("styles have values that are NaN or infinite")
        labels = self.check_labels(labels, len(style))
        return sharpen(self.method.decoder(style.to(self.device), labels), sharpness)

    def styles(
        self, count: int = 500, seed: int = 0, data_dir: str | os.PathLike | None = None
    ) -> Styles:
        """The styles of test images, equally many of each digit.

        Args:
            count: how many; those that are not a multiple of ten go to the first digits.
            seed: of the choice.
            data_dir: where the run's data set lies, as for training.

        Raises:
            Problem: the data set is not found, or has fewer images of a digit.
        """
        test = load_same_dataset(self.config["training"], data_dir).test
        return self.styles_of(test, balanced_sample(test.labels, count, seed))

    def styles_of(self, digits: Digits, index: Tensor) -> Styles:
        """The styles of some images of a data set: those numbered `index`, int64 [B]."""
        batches = (digits.batch(part) for part in index.split(BATCH))
        styles = torch.cat([self.encode(batch.images, batch.labels) for batch in batches])
        return Styles(index.numpy(), digits.labels[index].numpy(), styles.cpu().numpy())

    def generate(
        self,
        styles: Tensor | np.ndarray | None = None,
        *,
        count: int = 1,
        seed: int = 0,
        sharpness: float | None = None,
    ) -> Generated:
        """All ten digits in each of some styles.

        Args:
            styles: float32 [K, N]. Without it `count` of them are drawn from the prior.
            count: K, where they are drawn.
            seed: of drawing them.
            sharpness: as for `decode`; None for the run's own.

        Returns:
            10 K images: digits 0 to 9 in the first style, then in the second, and so on.

        Raises:
            ValueError: as `decode`, or the run is not told the digit.
        """
        if not self.config["model"]["labels"]:
            raise ValueError("this run is not told the digit, so it cannot be asked for one")
        if styles is None:
            styles = self.prior.sample(count, torch.Generator().manual_seed(seed))
        each = torch.as_tensor(styles).repeat_interleave(CLASSES, 0)
        digits = torch.arange(CLASSES).repeat(len(each) // CLASSES)
        sharpness = self.sharpness if sharpness is None else sharpness
        images = [
            to_bytes(self.decode(some, labels, sharpness=sharpness)).cpu()
            for some, labels in zip(each.split(BATCH), digits.split(BATCH), strict=True)
        ]
        return Generated(torch.cat(images).numpy(), digits.numpy(), each.detach().cpu().numpy())

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


class Reader(Trained):
    """A trained classifier, in evaluation mode and without gradients.

    Use `mnist.load(ckpt_dir)` to make one.

        >>> reader = mnist.load("mnist-classifier.ckpt")
        >>> reader.read(images)                              # digits, int64 [B]
        >>> reader.log_probs(images).exp()                   # their probabilities [B, 10]

    One that was trained with --outliers has an eleventh answer, 10: none of the digits.

    Attributes (besides those of `Trained`):
        method: the network itself, `method.classifier`, for whoever wants gradients; it returns
            logits.
    """

    @torch.no_grad()
    def log_probs(self, images: Tensor) -> Tensor:
        """Log-probabilities of the digits, in nats.

        Args:
            images: float32 [B, 1, 28, 28] in [0, 1], 1 being ink.

        Returns:
            float32 [B, 10]; [B, 11] where the last is of none of them.

        Raises:
            ValueError: another shape or type, or values outside that range.
        """
        check_images(images)
        return self.method.classifier.log_probs(images.to(self.device))

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """What the network's last layer reads the digits off, see `Classifier.features`.

        Args:
            images: as for `log_probs`.

        Returns:
            float32 [B, F].
        """
        check_images(images)
        each = images.to(self.device).split(PART)
        return torch.cat([self.method.classifier.features(some) for some in each])

    def read(self, images: Tensor) -> Tensor:
        """The likeliest answer for each image, int64 [B]; images as for `log_probs`."""
        return self.log_probs(images).argmax(1)


def open_trained(ckpt_dir: str | os.PathLike, device: str | torch.device = "cpu") -> Run | Reader:
    """The run in a directory, as what it is.

    Raises:
        Problem: there is none, or it is damaged.
    """
    checkpoint = Session(ckpt_dir).require_newest()
    kind = Run if issubclass(METHODS[checkpoint.config["method"]], Autoencoder) else Reader
    return kind(checkpoint, device)


def balanced_sample(labels: Tensor, count: int, seed: int) -> Tensor:
    """Numbers of `count` images, equally many of each digit, in order: int64 [count].

    Raises:
        Problem: there are fewer images of a digit than that.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for digit in range(CLASSES):
        there = torch.nonzero(labels == digit)[:, 0]
        wanted = (count + CLASSES - 1 - digit) // CLASSES
        if wanted > len(there):
            raise Problem(
                f"a sample of {count:,} needs {wanted:,} images of each digit, and there are "
                f"{len(there):,} of digit {digit}: take a smaller one"
            )
        chosen.append(there[torch.randperm(len(there), generator=generator)[:wanted]])
    return torch.cat(chosen).sort().values


def check_images(images: Tensor) -> None:
    """Raise a ValueError unless they are images float32 [B, 1, 28, 28] in [0, 1]."""
    check_tensor("images", images, torch.float32, (None, 1, SIDE, SIDE))
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError("images have values outside [0, 1]: divide 8-bit pixels by 255")


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
