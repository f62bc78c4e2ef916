"""A trained run as Python uses it, by what its method is able to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from mnist.data import DataSpec, Split, load_same_dataset, title_of, to_bytes
from mnist.errors import UserError
from mnist.latent.inversion import STEPS, Inversion, invert
from mnist.methods import Classifies, Decodes, Encodes, HasLikelihood
from mnist.networks.classifier import PART
from mnist.networks.prior import Density, Prior
from mnist.networks.random import child_seed
from mnist.networks.sharpness import sharpen
from mnist.training.checkpoint import Checkpoint
from mnist.training.run_directory import RunDirectory
from mnist.training.validation import drawn_style, mean_style

BATCH = 2000  # images that are encoded or decoded at once
STARTS = 8  # styles drawn from the prior, from which that of an image is looked for
PIXEL_STD = 0.15  # that pixels are taken to have about a generator's, when it is looked for


class Styles(NamedTuple):
    """Styles of images of a data set."""

    # int64 [B], their numbers in it; the tuple's own method of that name is of no use here
    index: np.ndarray  # type: ignore[assignment]
    labels: np.ndarray  # int64 [B]
    styles: np.ndarray  # float32 [B, N]


class Generated(NamedTuple):
    """Images that a run wrote: a labelled data set."""

    images: np.ndarray  # uint8 [B, H, W], 255 being ink, or [B, H, W, 3] in colour
    labels: np.ndarray  # int64 [B], the classes asked for; -1 by an unconditional run
    styles: np.ndarray  # float32 [B, N], the styles they were written in


class Run:
    """Networks out of a run directory, in evaluation mode, with frozen weights.

    Use `mnist.load(ckpt_dir)` to make one.

        >>> run = mnist.load("mnist4.ckpt")
        >>> digits = torch.arange(10)
        >>> style = run.prior.sample(1).expand(10, -1)      # one handwriting ...
        >>> images = run.decode(style, digits)              # ... for ten digits [10, 1, 28, 28]
        >>> run.encode(images, digits)                      # and about the same style back [10, 4]
        >>> run.styles(500)                                 # of test images, as arrays
        >>> run.generate(count=1000)                        # 10,000 labelled images, as arrays

        >>> classifier = mnist.load("mnist-classifier.ckpt")
        >>> classifier.read(images)                         # digits, int64 [B]
        >>> classifier.log_probs(images).exp()              # their probabilities [B, 10]

    What a run can do depends on its method: `can_encode`, `can_decode`, `can_generate`,
    `can_classify`, `conditional` (its networks are given the class). A call for something else
    raises `Unable`.

    Attributes:
        config: the saved configuration (config.json): "method", "data" (a `DataSpec`), "model" (its
            options), "training" (dataset, its SHA-256, epochs, ...), "versions".
        spec: of its data set.
        epoch: epochs of training behind it.
        numbers: of the last of those, a row of metrics.csv.
        damage: which newer checkpoints are damaged and were passed over, and why; mostly empty.
        prior: what styles are distributed like, if it has one: `sample(count)`, and where they
            are known `log_prob(style)`, `cdf(style)`, `icdf(probability)`.
        sharpness: of decodings that are as black and white as real images, fitted in training.
        method: the networks themselves.

    Raises:
        UserError: there is no trained run in that directory, or it is damaged, or of another kind.
    """

    def __init__(self, checkpoint: Checkpoint, device: str | torch.device = "cpu"):
        self.name = str(checkpoint.folder.parent.parent)  # for messages: the run directory
        self.config: dict[str, Any] = checkpoint.config
        self.epoch: int = checkpoint.epoch
        self.numbers: dict[str, float] = (checkpoint.progress["rows"] or [{}])[-1]
        self.damage: str = checkpoint.damage
        try:
            self.method = checkpoint.build().to(device)
        except (AssertionError, RuntimeError) as error:
            raise UserError(f"torch cannot use the device {device!r} here ({error})") from error
        checkpoint.load_weights(self.method)
        self.method.use_averages()
        self.method.eval().requires_grad_(False)
        self.spec: DataSpec = self.method.spec
        # Runs of version 0.3 and before did not fit it.
        self.sharpness: float = self.numbers.get("train_sharpness", 1.0)

    def __repr__(self) -> str:
        able = [what for what in ("encode", "generate", "classify") if getattr(self, f"can_{what}")]
        dataset = title_of(self.config["training"]["dataset"])
        return (
            f"<Run {self.name}: {self.config['method']} of {dataset}, "
            f"epoch {self.epoch}; can {', '.join(able)}>"
        )

    @property
    def device(self) -> torch.device:
        """Where the networks are; arguments are moved there, and results stay there."""
        return self.method.device

    # --- what it can do -----------------------------------------------------------------------

    @property
    def has_encoder(self) -> bool:
        """A network from images to styles."""
        return isinstance(self.method, Encodes)

    @property
    def can_encode(self) -> bool:
        """Images to styles: by its encoder, or else by looking for them, which takes longer."""
        return self.has_encoder or self.can_generate

    @property
    def can_decode(self) -> bool:
        """Styles to images."""
        return isinstance(self.method, Decodes)

    @property
    def can_generate(self) -> bool:
        """Images in styles of its prior."""
        return self.can_decode and self.method.prior is not None

    @property
    def can_classify(self) -> bool:
        """Images to classes; clusters are none, for nobody has said which is which."""
        return isinstance(self.method, Classifies) and not self.method.finds_classes

    @property
    def knows_outliers(self) -> bool:
        """Whether its classifier can answer "none of these", its last class."""
        return getattr(self.method, "outliers", False)

    @property
    def has_posterior(self) -> bool:
        """Whether an image leaves its style open: see `posterior`."""
        return self.has_encoder and isinstance(self.of_blank(), Distribution)

    @property
    def has_likelihood(self) -> bool:
        """Whether the likelihood of an image can be estimated by styles of its posterior."""
        known = isinstance(self.method, HasLikelihood) and isinstance(self.method.prior, Density)
        return known and self.has_encoder and isinstance(self.of_blank(), Normal)

    def of_blank(self) -> Tensor | Distribution:
        """What its encoder makes of an image without ink."""
        blank = torch.zeros(1, *self.spec.image_shape, device=self.device)
        return self.method.encode(blank, torch.zeros(1, dtype=torch.int64, device=self.device))

    @property
    def conditional(self) -> bool:
        """Whether its networks are given the class."""
        return self.method.conditional

    @property
    def prior(self) -> Prior:
        """What its styles are distributed like."""
        if self.method.prior is None:
            raise Unable(f"{self.name} ({self.config['method']}) has no prior of styles")
        return self.method.prior

    @property
    def feature_size(self) -> int | None:
        """N, dimensions of its styles, where its prior says so."""
        return self.method.prior.feature_size if self.method.prior is not None else None

    def require(self, what: str) -> None:
        """See that it can "encode", "decode", "generate" or "classify".

        Raises:
            Unable: it cannot.
        """
        if not getattr(self, f"can_{what}"):
            parts = {"prior": self.method.prior is not None, "decoder": self.can_decode}
            lacking = " and ".join(part for part, there in parts.items() if not there)
            missing = {
                "encode": "no encoder, so that it has no styles of images",
                "decode": "no decoder, so that it has no images of styles",
                "generate": f"no {lacking}, so that it cannot generate images",
                "classify": "no classifier, so that it cannot read images",
            }[what]
            raise Unable(f"{self.name} ({self.config['method']}) has {missing}")

    def require_features(self) -> None:
        """See that its classifier has features of images, which not every method's has.

        Raises:
            Unable: it has none.
        """
        self.require("classify")
        if not hasattr(self.method, "features"):
            raise Unable(
                f"{self.name} ({self.config['method']}) has no features of images, which these are "
                "compared by: take a run of mnist-classifier.py"
            )

    # --- differentiable, unchecked ------------------------------------------------------------

    def encoder(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """As `encode`, unchecked, with gradients of the images; of a posterior the mean."""
        return mean_style(self.method.encode(*self.moved(images, labels)))

    def decoder(
        self, style: Tensor, labels: Tensor | None = None, *, sharpness: float = 1.0
    ) -> Tensor:
        """As `decode`, unchecked, with gradients of the style; labels may be class codes [B, K]."""
        return sharpen(self.method.decode(*self.moved(style, labels)), sharpness)

    @torch.no_grad()
    def log_likelihood(self, images: Tensor, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x|z) of images [B, C, H, W] in styles [B, N], unchecked, in nats [B]."""
        return self.method.log_likelihood(*self.moved(images, style, labels))

    def decoder_std(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """Standard deviation of each pixel, as `decoder`, where the method knows it."""
        return self.method.decode_std(*self.moved(style, labels))

    def classifier(self, images: Tensor) -> Tensor:
        """As `log_probs`, unchecked, with gradients of the images."""
        # As many at once as are quick.
        images = images.to(self.device)
        logits = torch.cat([self.method.classify(some) for some in images.split(PART)])
        return logits.log_softmax(1)

    def moved(self, *tensors: Tensor | None) -> list[Tensor | None]:
        """Arguments on its device."""
        return [None if tensor is None else tensor.to(self.device) for tensor in tensors]

    # --- checked ------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The style of each image; where it leaves that open, the mean of its posterior.

        A run without an encoder looks for it: see `invert`.

        Args:
            images: float32 [B, C, H, W] in [0, 1], 1 being ink.
            labels: their classes, int64 [B]. An unconditional run needs none.

        Returns:
            float32 [B, N]. With a style for each image (or drawn from its `posterior`), each
            dimension is distributed about as the prior's over real images; means spread less.

        Raises:
            Unable: it cannot encode.
            ValueError: another shape or type, or values outside these ranges.
        """
        return mean_style(self.encoded(images, labels))

    @torch.no_grad()
    def decode(
        self, style: Tensor, labels: Tensor | None = None, *, sharpness: float = 1.0
    ) -> Tensor:
        """The image of each style, written as each class.

        Args:
            style: float32 [B, N].
            labels: classes to write, int64 [B]. An unconditional run needs none.
            sharpness: what multiplies the logits of the pixels. At 1 the image is the mean of all
                that the style may stand for, nearest to the original and blurred; at
                `run.sharpness` it looks like one of them.

        Returns:
            float32 [B, C, H, W] in [0, 1], 1 being ink.

        Raises:
            Unable: it cannot decode.
            ValueError: another shape or type, or classes outside their range.
        """
        self.require("decode")
        check_tensor("styles", style, torch.float32, (None, self.feature_size))
        if not torch.isfinite(style).all():
            raise ValueError("styles have values that are NaN or infinite")
        labels = self.check_labels(labels, len(style))
        return self.decoder(style, labels, sharpness=sharpness)

    @torch.no_grad()
    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What each image leaves open of its style: arguments and errors as `encode`.

        Returns:
            Mean and standard deviation of each dimension, float32 [B, N] both; the deviation is 0
            by a run whose style is a point (`--posterior deterministic`).
        """
        encoded = self.encoded(images, labels)
        mean = mean_style(encoded)
        if isinstance(encoded, Distribution):
            return mean, encoded.stddev.float()
        return mean, torch.zeros_like(mean)

    @torch.no_grad()
    def draw(self, images: Tensor, labels: Tensor | None = None, *, seed: int = 0) -> Tensor:
        """A style of each image, drawn from its posterior; otherwise as `encode`.

        Where the style is a point it is that.
        """
        return drawn_style(self.encoded(images, labels), seed)

    def encoded(self, images: Tensor, labels: Tensor | None) -> Tensor | Distribution:
        """Styles of images or their posteriors: arguments and errors as `encode`."""
        self.require("encode")
        if not self.has_encoder:
            return self.invert(images, labels).styles
        self.check_images(images)
        return self.method.encode(*self.moved(images, self.check_labels(labels, len(images))))

    def invert(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        seed: int = 0,
        steps: int = STEPS,
        tell: Callable[[], None] = lambda: None,
    ) -> Inversion:
        """The likeliest style of each image that descent finds, with an encoder or without.

        As if pixels were normal about the generator's: log p(x|z) + log p(z) is to be as large as
        can be, from styles drawn from the prior, where its density is known.

        Args:
            images, labels: as for `encode`.
            seed: of the styles that it starts from.
            steps: of descent.
            tell: called after each of them.

        Raises:
            Unable: it cannot generate.
            ValueError: as `encode`.
        """
        self.require("generate")
        self.check_images(images)
        labels = self.check_labels(labels, len(images))
        prior, rng = self.prior, torch.Generator().manual_seed(seed)
        starts = prior.sample(STARTS * len(images), rng).unflatten(0, (STARTS, -1))
        nats = 2 * PIXEL_STD**2 / self.spec.pixels  # one of them, as an error of the pixels

        def unlikely(styles: Tensor) -> Tensor:
            if not isinstance(prior, Density):
                return styles.new_zeros(len(styles))
            return -nats * prior.log_prob(styles)

        def decode(styles: Tensor, which: Tensor) -> Tensor:
            return self.decoder(styles, None if labels is None else labels[which.cpu()])

        return invert(
            images.to(self.device),
            decode,
            starts.to(self.device),
            steps,
            penalty=unlikely,
            tell=tell,
        )

    def styles(
        self, count: int = 500, seed: int = 0, data_dir: str | os.PathLike[str] | None = None
    ) -> Styles:
        """The styles of test images, as evenly of each class as they come.

        Args:
            count: how many.
            seed: of the choice.
            data_dir: where the run's data set lies, as for training.

        Raises:
            UserError: the data set is not found, or has fewer images; or it cannot encode.
        """
        self.require("encode")
        test = load_same_dataset(self.config["training"], data_dir).test
        return self.styles_of(test, balanced_sample(test.labels, count, seed))

    def styles_of(self, split: Split, index: Tensor) -> Styles:
        """The styles of some images of a data set: those numbered `index`, int64 [B]."""
        styles = self.style_tensor(split, index)
        return Styles(index.numpy(), split.labels[index].numpy(), styles.numpy())

    def style_tensor(self, split: Split, index: Tensor, seed: int | None = None) -> Tensor:
        """Likewise, as a tensor [B, N] on the CPU; with a `seed` drawn from their posteriors."""
        styles = []
        for number, part in enumerate(index.split(BATCH)):
            batch = split.batch(part)
            if seed is None:
                style = self.encode(batch.images, batch.labels)
            else:
                stream = child_seed(seed, f"styles {number}")
                style = self.draw(batch.images, batch.labels, seed=stream)
            styles.append(style.cpu())
        return torch.cat(styles)

    def generate(
        self,
        styles: Tensor | np.ndarray | None = None,
        *,
        count: int = 1,
        seed: int = 0,
        sharpness: float | None = None,
        classes: list[int] | None = None,
    ) -> Generated:
        """Every class in each of some styles; by an unconditional run one image of each style.

        Args:
            styles: float32 [K, N]. Without it `count` of them are drawn from the prior.
            count: K, where they are drawn.
            seed: of drawing them.
            sharpness: as for `decode`; None for the run's own.
            classes: those of a conditional run to write; without it all.

        Returns:
            The classes in the first style, then in the second, and so on.

        Raises:
            Unable: it cannot generate.
            ValueError: as `decode`.
        """
        self.require("decode" if styles is not None else "generate")
        if styles is None:
            if type(count) is not int or count < 1:
                raise ValueError(f"count is {count!r}, not a whole number of at least 1")
            styles = self.prior.sample(count, torch.Generator().manual_seed(seed))
        styles = torch.as_tensor(styles)
        check_tensor("styles", styles, torch.float32, (None, self.feature_size))
        wanted = [-1]
        if self.conditional:
            wanted = list(range(self.spec.classes)) if classes is None else classes
        each = styles.repeat_interleave(len(wanted), 0)
        labels = torch.tensor(wanted).repeat(len(styles))
        sharpness = self.sharpness if sharpness is None else sharpness
        images = [
            to_bytes(self.decode(some, asked, sharpness=sharpness)).cpu()
            for some, asked in zip(each.split(BATCH), labels.split(BATCH), strict=True)
        ]
        return Generated(torch.cat(images).numpy(), labels.numpy(), each.detach().cpu().numpy())

    @torch.no_grad()
    def log_probs(self, images: Tensor) -> Tensor:
        """Log-probabilities of the classes, in nats.

        Args:
            images: float32 [B, C, H, W] in [0, 1], 1 being ink.

        Returns:
            float32 [B, K]; [B, K + 1] where the last is of none of them (--outliers).

        Raises:
            Unable: it cannot classify.
            ValueError: another shape or type, or values outside that range.
        """
        self.require("classify")
        self.check_images(images)
        return self.classifier(images)

    def read(self, images: Tensor) -> Tensor:
        """The likeliest answer for each image, int64 [B]; images as for `log_probs`."""
        return self.log_probs(images).argmax(1)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """What the classifier's last layer reads the classes off: images as there -> [B, F]."""
        self.require_features()
        self.check_images(images)
        each = images.to(self.device).split(PART)
        return torch.cat([self.method.features(some) for some in each])

    # --- checks -------------------------------------------------------------------------------

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError unless they are images float32 [B, C, H, W] in [0, 1]."""
        check_tensor("images", images, torch.float32, (None, *self.spec.image_shape))
        if images.numel() and not (images.min() >= 0 and images.max() <= 1):
            raise ValueError("images have values outside [0, 1]: divide 8-bit pixels by 255")

    def check_labels(self, labels: Tensor | None, count: int) -> Tensor | None:
        """Labels of `count` images as the networks take them, once they are seen to be classes.

        Raises:
            ValueError: they are not, or are missing, or of another number.
        """
        if not self.conditional:
            return None
        word, last = self.spec.class_word, self.spec.classes - 1
        if labels is None:
            raise ValueError(f"this run is conditional on the {word}: give labels, int64 [B]")
        check_tensor("labels", labels, torch.int64, (count,))
        if count and not (labels.min() >= 0 and labels.max() <= last):
            raise ValueError(f"labels have values outside 0 to {last}")
        return labels


class Unable(UserError, ValueError):
    """A run was asked for something that its method cannot do."""


def open_run(ckpt_dir: str | os.PathLike[str], device: str | torch.device = "cpu") -> Run:
    """The run in a directory.

    Raises:
        UserError: there is none, or it is damaged.
    """
    return Run(RunDirectory(ckpt_dir).require_newest(), device)


def balanced_sample(labels: Tensor, count: int, seed: int) -> Tensor:
    """Numbers of `count` images, as evenly of each class as they come, in order: int64 [count].

    Classes that have fewer than their share are taken whole, and the others make up for them.

    Raises:
        UserError: there are fewer images than that.
    """
    if count > len(labels):
        raise UserError(
            f"there are {len(labels):,} images, and a sample of {count:,} was asked for"
        )
    generator = torch.Generator().manual_seed(seed)
    there = [torch.nonzero(labels == label)[:, 0] for label in labels.unique()]
    shuffled = [each[torch.randperm(len(each), generator=generator)] for each in there]
    wanted, left = [0] * len(shuffled), count
    short = sorted(range(len(shuffled)), key=lambda i: len(shuffled[i]))
    # The smallest classes first: what they lack of an even share is divided among the others.
    while short and len(shuffled[short[0]]) <= left // len(short):
        wanted[short[0]] = len(shuffled[short[0]])
        left -= wanted[short.pop(0)]
    for place, i in enumerate(sorted(short)):
        wanted[i] = left // len(short) + (place < left % len(short))
    chosen = [each[:number] for each, number in zip(shuffled, wanted, strict=True)]
    return torch.cat(chosen).sort().values


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
