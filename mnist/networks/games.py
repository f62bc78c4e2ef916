"""What a generator and a discriminator play for: a loss for each, by verdicts about images.

Of real and of generated images the verdicts are [B, 1] each. Those of a game with energy are how
badly an autoencoder gives an image back; of the others the larger, the more like a real image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist.networks import losses

CLIP = 0.01  # of a critic's weights: Arjovsky et al. 2017, algorithm 1
PENALTY = 10.0  # weight of the gradient penalty: Gulrajani et al. 2017, algorithm 1
PULLING = 0.1  # weight of the pulling-away term: Zhao et al. 2017
MARGIN = 0.15  # of energies, root mean squared errors here (docs/LOG.md)
# γ and λ of Berthelot et al. 2017, section 3.4: with their 0.5 and 1e-3 digits soon are all alike,
# those that are given back best (docs/LOG.md).
BALANCE, GAIN = 1.0, 0.1

Judge = Callable[[Tensor], Tensor]  # images [B, C, H, W] -> verdicts [B, 1]


class Game(nn.Module):
    """The non-saturating game: Goodfellow et al. 2014 (arXiv 1406.2661, section 3).

    Others replace its losses.

    Attributes:
        conditions: under which a paper has played it.
        critic_steps: updates of the discriminator for each of the generator's, by default.
        spectral: whether the discriminator's layers are normalised spectrally, by default.
        class_weight: of the class that an acgan's discriminator names, by default; more where its
            verdicts are larger numbers.
        normalised: whether the discriminator has batch normalisation; then real and generated
            images are judged apart, for their common statistics would tell what each is like.
        energy: whether the discriminator is an autoencoder.
    """

    conditions: ClassVar[Sequence[str]] = ("none", "cgan", "acgan", "infogan")
    critic_steps: ClassVar[int] = 1
    spectral: ClassVar[bool] = True
    class_weight: ClassVar[float] = 0.1
    normalised: ClassVar[bool] = False
    energy: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss, a scalar."""
        return losses.discriminator_loss(real, fake)

    def generator(self, fake: Tensor, codes: Tensor) -> Tensor:
        """The generator's loss, a scalar; codes [B, F] are the discriminator's of its images."""
        return losses.generator_loss(fake)

    def penalty(self, judge: Judge, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        """What is added to the discriminator's loss, by images [B, C, H, W]: a scalar."""
        return real.new_zeros(())

    @torch.no_grad()
    def updated(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> None:
        """After an update of the discriminator, which had given these verdicts."""


class LeastSquares(Game):
    """Mao et al. 2017 (arXiv 1611.04076)."""

    conditions: ClassVar[Sequence[str]] = ("none", "cgan")  # section 3.3

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return losses.least_squares(real, fake)

    def generator(self, fake: Tensor, codes: Tensor) -> Tensor:
        return losses.least_squares_generator(fake)


class Wasserstein(Game):
    """The Wasserstein distance by a critic: Arjovsky et al. 2017 (arXiv 1701.07875, eq. 2).

    Its slopes are kept small in another way by each of those below.
    """

    spectral = False
    class_weight = 1.0

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return -losses.wasserstein(real, fake)

    def generator(self, fake: Tensor, codes: Tensor) -> Tensor:
        return -fake.mean()


class ClippedWasserstein(Wasserstein):
    """By a critic with clipped weights: algorithm 1 there, but with two updates of it and not five
    for each of the generator's, which takes as much less time (docs/LOG.md).

    With batch normalisation, as their DCGAN has: without it images were five times as far from real
    ones (docs/LOG.md).
    """

    conditions: ClassVar[Sequence[str]] = ("none",)
    critic_steps = 2
    normalised = True

    @torch.no_grad()
    def updated(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> None:
        for weights in discriminator.parameters():
            weights.clamp_(-CLIP, CLIP)


class PenalisedWasserstein(Wasserstein):
    """By a critic whose slopes are near 1: Gulrajani et al. 2017 (arXiv 1704.00028).

    With one update of it for each of the generator's, as Karras et al. 2018 (arXiv 1710.10196,
    appendix A.1): with the five of algorithm 1 the same takes five times as long.
    """

    conditions: ClassVar[Sequence[str]] = ("none", "acgan")  # section 5.2

    def penalty(self, judge: Judge, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        share = torch.rand(len(real), 1, 1, 1, generator=rng).to(real)
        return PENALTY * losses.gradient_penalty(judge, real, fake, share)


class BoundaryEquilibrium(Game):
    """The Wasserstein distance of an autoencoder's errors, in balance: Berthelot, Schumm & Metz
    2017 (arXiv 1703.10717, section 3.4).

    Attributes:
        balance: k, how much the error of generated images counts.
    """

    conditions: ClassVar[Sequence[str]] = ("none",)
    spectral = False
    normalised = True
    energy = True
    balance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("balance", torch.zeros(()))

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.mean() - self.balance.clone() * fake.mean()

    def generator(self, fake: Tensor, codes: Tensor) -> Tensor:
        return fake.mean()

    @torch.no_grad()
    def updated(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> None:
        self.balance.add_(GAIN * (BALANCE * real.mean() - fake.mean())).clamp_(0, 1)


class EnergyBased(Game):
    """An autoencoder's error as energy, with a margin and a pulling-away term: Zhao, Mathieu &
    LeCun 2017 (arXiv 1609.03126, eq. 1, 2 and 4)."""

    conditions: ClassVar[Sequence[str]] = ("none",)
    spectral = False
    normalised = True
    energy = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.mean() + F.relu(MARGIN - fake).mean()

    def generator(self, fake: Tensor, codes: Tensor) -> Tensor:
        return fake.mean() + PULLING * losses.pulling_away(codes)


GAMES: dict[str, type[Game]] = {
    "gan": Game,
    "lsgan": LeastSquares,
    "wgan": ClippedWasserstein,
    "wgan-gp": PenalisedWasserstein,
    "began": BoundaryEquilibrium,
    "ebgan": EnergyBased,
}
