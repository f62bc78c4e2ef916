"""What the training loop, the run directory and the tools need of a training method."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mnist.data import Batch
from mnist.decoder import Decoder
from mnist.encoder import Encoder
from mnist.layers import seeded
from mnist.player import Player
from mnist.prior import Gaussian


def cosine(progress: float) -> float:
    """Learning-rate scale over training: 1 at its start, 0 at its end.

    Half a cosine (Loshchilov & Hutter 2016, arXiv 1608.03983, without restarts). For a game of
    two players the end matters most: as the steps shrink, the discriminator catches up with an
    encoder that hardly moves any more, and tells it the truth.
    """
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class Method(nn.Module, ABC):
    """An encoder, a decoder, a prior for the style between them, and a way to train them.

    A subclass writes `step` and `validate`; in its `__init__` it builds its networks, puts its
    players into `self.players`, and its own keywords into `self.config`, so that
    `METHODS[name](**config)` rebuilds it.

    Args:
        feature_size: N, numbers in a style.
        labels: whether the networks are told the digit.
        prior_std: standard deviation of the prior.
        lr: learning rate of encoder and decoder at the start.
        seed: of the initial weights and of every random number drawn in training.
        precision: "bf16" runs matrix products in bfloat16, weights staying float32; or "fp32".
        hidden: the encoder's hidden layers; the decoder has them in reverse.
    """

    name: str
    starts_from: ClassVar[tuple[str, ...]] = ()  # methods whose autoencoder this one may go on from
    # How a number that `step` or `validate` returns is told to people: (who, what).
    wording: ClassVar[dict[str, tuple[str, str]]] = {"mse": ("AutoEncoder", "mse")}

    def __init__(
        self,
        *,
        feature_size: int,
        labels: bool,
        prior_std: float,
        lr: float,
        seed: int,
        precision: str = "fp32",
        hidden: Sequence[int] = (1024, 512),
    ):
        super().__init__()
        self.config = {
            "feature_size": feature_size,
            "labels": labels,
            "prior_std": prior_std,
            "lr": lr,
            "seed": seed,
            "precision": precision,
            "hidden": list(hidden),
        }
        self.precision = precision
        self.prior = Gaussian(feature_size, prior_std)
        # On the CPU whatever the device: the numbers are few, and a run draws the same everywhere.
        self.generator = torch.Generator().manual_seed(seed)
        with seeded(seed):
            self.encoder = Encoder(feature_size, labels, prior_std, hidden)
            self.decoder = Decoder(feature_size, labels, tuple(reversed(hidden)))
        autoencoder = Player(self.encoder, self.decoder, lr=lr)
        self.players: dict[str, Player] = {"autoencoder": autoencoder}

    @abstractmethod
    def step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Train on one batch: the algorithm.

        Args:
            batch: images and digits.
            progress: how much of the training is done, from 0 to 1.

        Returns:
            Losses and other numbers about this batch, "mse" among them, as detached scalars on
            the device; those that `wording` does not name are taken for losses.
        """

    @abstractmethod
    def validate(self, batch: Batch, style: Tensor) -> dict[str, Tensor]:
        """Numbers about images not trained on, "mse" among them; their styles [B, N] are given."""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.parameters()).device

    def autocast(self) -> torch.autocast:
        """The context in which networks run, according to `precision`."""
        return torch.autocast(
            self.device.type,
            torch.bfloat16,
            enabled=self.precision == "bf16",
            # A player may learn between two uses of its network, and the cache would not notice.
            cache_enabled=False,
        )

    def sample_prior(self, count: int) -> Tensor:
        """Styles [count, N] from the prior, on the device."""
        return self.prior.sample(count, self.generator).to(self.device)

    def gradient_norms(self) -> dict[str, Tensor]:
        """Euclidean norm of each player's gradients at its last update, on the device."""
        norms = {f"{name}_gradient": p.gradient_norm for name, p in self.players.items()}
        return {name: norm for name, norm in norms.items() if norm is not None}

    def trainer_state(self) -> dict[str, Tensor]:
        """All that training needs besides weights: optimisers and the random generator."""
        state = {"generator": self.generator.get_state()}
        for name, player in self.players.items():
            state |= {f"{name}.{key}": tensor for key, tensor in player.state().items()}
        return state

    def load_trainer_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `trainer_state` returned."""
        self.generator.set_state(state["generator"].cpu())
        for name, player in self.players.items():
            prefix = f"{name}."
            player.load_state(
                {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}
            )
