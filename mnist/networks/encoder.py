"""Image and class to style, or to what is left open of it."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn import functional as F

from mnist.networks.layers import class_code, convolutions, halved, mlp
from mnist.networks.shares import by_rows
from mnist.networks.whitening import Whitening

# Bounds of a posterior's standard deviation, in the prior's: at 0 its logarithm is infinite, and at
# 1 the slope of √(1 - σ²).
LEAST, MOST = 0.01, 0.995
NARROW = -2.0  # before the sigmoid, at the start: σ = 0.13, at which the decoder can learn
# Bounds of its log-variance where the style is not standardised: a network that is thrown off for a
# moment made deviations of 1e5 and 1e-41, of which no training comes back (docs/LOG.md).
LOG_VARIANCE = -15.0, 2.0
DRAWS = 16  # by which the moments of a posterior are estimated that has no density


Posterior = Literal["deterministic", "gaussian", "universal"]


class Encoder(nn.Module):
    """A perceptron whose output has, by construction, the prior's mean and scale.

    Before it there may be convolutions, for images that are large or in colour.

    The batch normalisation at its end has no scale or shift of its own to learn, so the style can
    neither collapse to a point nor run away, whatever the discriminator does: only the style's
    *shape* is left to it (docs/LOG.md: without, the style collapsed).

    With a Gaussian posterior (Makhzani et al. 2015, section 2) it says of each dimension how far
    the image leaves it open: the style is z = √(1 - σ²) · μ + σ ε, with μ standardised so that
    again each dimension of z has the prior's mean and scale: its own mean weighted by
    w = √(1 - σ²), its variance by w², for E w² (μ² - 1) = 0 makes E w² μ² + σ² = 1.

    With a universal one (the section's third) it is given noise besides the image, so that what is
    left open may have any shape.

    Where something else keeps the scale, as the rate of a VAE does, it need not be standardised:
    the style is then what the layers give, and with a Gaussian posterior their mean and
    log-variance (Kingma & Welling 2013, arXiv 1312.6114, appendix C.2), the latter in the prior's
    units and within bounds.

    Args:
        image_shape: (C, H, W).
        classes: K, given to it as one-hot code; 0 for an unconditional encoder.
        feature_size: N, dimensions of the style.
        std: standard deviation that each style dimension has over the training images.
        hidden: sizes of the hidden layers.
        activation: between the layers.
        posterior: what the style of an image is: a point, a Gaussian, or any distribution.
        standardised: as above.
        width: channels of the first convolution; 0 for none.
        components: how many principal components of an image it sees in its pixels' place; 0 for
            the pixels. They are to be fitted before it is used (`whitening.fit`).
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int,
        feature_size: int,
        std: float,
        hidden: Sequence[int],
        activation: type[nn.Module] = nn.ReLU,
        posterior: Posterior = "deterministic",
        standardised: bool = True,
        width: int = 0,
        components: int = 0,
    ):
        super().__init__()
        self.classes = classes
        self.std = std
        seen = math.prod(halved(image_shape, width)[-1] if width else image_shape)
        components = min(components, seen)
        sizes = [(components or seen) + classes, *hidden, feature_size]
        self.convolutions = convolutions(image_shape, width, activation) if width else None
        self.whitening = Whitening(image_shape, components) if components else None
        self.layers = mlp(sizes, activation)
        self.standardise = Standardise(feature_size) if standardised else None
        # Layers of their own, so that an encoder without them can be gone on from.
        self.noise = nn.Linear(feature_size, sizes[1]) if posterior == "universal" else None
        self.width = nn.Linear(sizes[-2], feature_size) if posterior == "gaussian" else None
        if self.width and standardised:
            nn.init.constant_(self.width.bias, NARROW)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | Distribution:
        """The style of each image, [B, N], or its posterior, a distribution of such styles.

        images [B, C, H, W] in [0, 1], labels as `class_code` takes them.
        """
        if noisy := self.noise:
            seen = self.layers[0](self.inputs(images, labels))  # once, for all draws

            def draw(noise: Tensor) -> Tensor:
                style = self.layers[1:](seen + noisy(noise.to(seen.device))).to(images.dtype)
                return self.scaled(style)

            return UniversalPosterior(draw, (len(images), noisy.in_features))
        style, *widths = self.outputs(images, labels)
        if not widths:
            return self.scaled(style)
        if not self.standardise:
            log_variance = softly_between(*LOG_VARIANCE, *widths)
            return Normal(style, self.std * (log_variance / 2).exp(), validate_args=False)
        sigma = LEAST + (MOST - LEAST) * widths[0].sigmoid()
        weight = (1 - sigma.square()).sqrt()
        mean = weight * self.standardise(style, weight)
        return Normal(self.std * mean, self.std * sigma, validate_args=False)

    @by_rows
    def outputs(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, ...]:
        """What the last layers give for each image, [B, N] each, before it is standardised: the
        style, and where there is a Gaussian posterior how wide that is."""
        hidden = self.layers[:-1](self.inputs(images, labels))
        last = [self.layers[-1], *([self.width] if self.width else [])]
        return tuple(layer(hidden).to(images.dtype) for layer in last)

    def inputs(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """What the perceptron is given of images [B, C, H, W] and their classes: [B, M]."""
        seen = self.seen(images)
        return torch.cat([seen, class_code(labels, self.classes)], 1) if self.classes else seen

    def seen(self, images: Tensor) -> Tensor:
        """What the perceptron is given of images [B, C, H, W], besides their classes: [B, M]."""
        if self.whitening:
            return self.whitening(images)
        return (self.convolutions(images) if self.convolutions else images).flatten(1)

    def scaled(self, style: Tensor) -> Tensor:
        """A style as it is given out, [B, N]."""
        return self.std * self.standardise(style) if self.standardise else style


def softly_between(low: float, high: float, numbers: Tensor) -> Tensor:
    """Numbers of any shape: well between two others as they are, and beyond nearer to these."""
    return high - F.softplus(high - low - F.softplus(numbers - low))


class UniversalPosterior(Distribution):
    """What networks make of images and noise: it can be drawn from, but has no density.

    Makhzani et al. 2015, section 2: q(z|x) = ∫ q(z|x, η) p(η) dη with η ~ N(0, I).

    Args:
        at: the draws that noise gives, [B, N] -> [B, N].
        shape: (B, N).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, at: Callable[[Tensor], Tensor], shape: Sequence[int]):
        super().__init__(torch.Size(shape), validate_args=False)
        self.at = at

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws [*sample_shape, B, N], through which gradients pass."""
        noise = torch.randn(*sample_shape, *self.batch_shape)
        draws = [self.at(each) for each in noise.reshape(-1, *self.batch_shape)]
        return torch.stack(draws).reshape(noise.shape)

    def some(self) -> Tensor:
        """A few draws [DRAWS, B, N], by noise that is the same every time and for all images."""
        noise = torch.randn(DRAWS, self.batch_shape[1], generator=torch.Generator().manual_seed(0))
        return torch.stack([self.at(each.expand(self.batch_shape)) for each in noise])

    @property
    def mean(self) -> Tensor:
        return self.some().mean(0)

    @property
    def stddev(self) -> Tensor:
        return self.some().std(0)


def style_at(posterior: Distribution, noise: Tensor) -> Tensor:
    """The draw of a posterior that standard normal noise gives, [B, N] -> [B, N]."""
    if isinstance(posterior, UniversalPosterior):
        return posterior.at(noise)
    return posterior.mean + posterior.stddev * noise


class Standardise(nn.BatchNorm1d):
    """Each number shifted and scaled to mean 0 and variance 1: a BatchNorm without a learnt scale.

    In training by the batch's own mean and variance, otherwise by their running averages (Ioffe &
    Szegedy 2015, arXiv 1502.03167), which reach further back than usual: they are what encodes at
    test time, and how far they happen to be off at the last step goes straight into the styles. A
    batch's own mean is off by std/√B; that of a hundred, hardly. In the first 500 batches they
    reach back over the last fifth of them only, for there the network itself moves fast.
    """

    BATCHES = 100

    # As they are where statistics are tracked; torch's own annotations allow for none.
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, size: int):
        super().__init__(size, affine=False)

    def forward(self, numbers: Tensor, weights: Tensor | None = None) -> Tensor:
        """[B, N] -> [B, N]; with weights [B, N] the mean is weighted by them, the variance by their
        squares."""
        if not self.training:
            return super().forward(numbers)
        if weights is None:
            variance, mean = torch.var_mean(numbers.detach(), 0)
            self.remember(mean, variance)
            return F.batch_norm(numbers, None, None, training=True, eps=self.eps)
        mean = (weights * numbers).sum(0) / weights.sum(0)
        squares = weights.square()
        variance = (squares * (numbers - mean).square()).sum(0) / squares.sum(0)
        self.remember(mean.detach(), variance.detach())
        return (numbers - mean) / (variance + self.eps).sqrt()

    def remember(self, mean: Tensor, variance: Tensor) -> None:
        """Take a batch's moments [N] into the running averages."""
        if self.momentum == 0:  # see `statistics_kept`
            return
        self.num_batches_tracked += 1
        share = (5 / (self.num_batches_tracked + 4)).clamp(min=1 / self.BATCHES)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
