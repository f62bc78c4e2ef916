"""What the training loop and the run directory need of a training method."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from mnist.data import Batch, Digits
from mnist.networks.player import Player


def cosine(progress: float) -> float:
    """Learning-rate scale over training: 1 at its start, 0 at its end.

    Half a cosine (Loshchilov & Hutter 2016, arXiv 1608.03983, without restarts). For a game of
    two players the end matters most: as the steps shrink, the discriminator catches up with an
    encoder that hardly moves any more, and tells it the truth.
    """
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class Method(nn.Module, ABC):
    """Networks, and a way to train them.

    A subclass writes `step`, `validate` and `picture`; in its `__init__` it builds its networks,
    puts its players into `self.players`, and its own keywords into `self.config`, so that
    `METHODS[name](**config)` rebuilds it.

    Args:
        lr: learning rate at the start.
        seed: of the initial weights and of every random number drawn in training.
        precision: "bf16" runs matrix products in bfloat16, weights staying float32; or "fp32".
    """

    name: str
    # The flags that say what is trained; to change one of them is to start another run.
    flags: ClassVar[tuple[str, ...]] = ("lr", "seed", "precision")
    starts_from: ClassVar[tuple[str, ...]] = ()  # methods whose networks this one may go on from
    # How a number that `step` or `validate` returns is told to people: (who, what).
    wording: ClassVar[dict[str, tuple[str, str]]]
    headline: str  # the number that says most, of those that both return; less is better
    pictured: str  # what `picture` shows

    def __init__(self, *, lr: float, seed: int, precision: str = "fp32"):
        super().__init__()
        self.config = {"lr": lr, "seed": seed, "precision": precision}
        self.precision = precision
        # On the CPU whatever the device: the numbers are few, and a run draws the same everywhere.
        self.generator = torch.Generator().manual_seed(seed)
        self.players: dict[str, Player] = {}

    @abstractmethod
    def step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Train on one batch: the algorithm.

        Args:
            batch: images and digits.
            progress: how much of the training is done, from 0 to 1.

        Returns:
            Losses and other numbers about this batch, the headline among them, as detached
            scalars on the device; those that `wording` does not name are taken for losses.
        """

    def calibrate(self, digits: Digits) -> dict[str, float]:
        """Numbers that are fitted to training images after an epoch, beside those of its steps."""
        return {}

    @abstractmethod
    def validate(self, digits: Digits) -> dict[str, float]:
        """Numbers about images not trained on, the headline among them."""

    @abstractmethod
    def picture(self, digits: Digits) -> bytes:
        """A PNG of what it makes of images not trained on, the same ones every time."""

    @abstractmethod
    def summary(self) -> str:
        """What is trained, in a few words."""

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


def mean_numbers(numbers: list[dict[str, Tensor]], sizes: list[int]) -> dict[str, float]:
    """Means over images, of numbers that are means over batches of these sizes."""
    return {
        name: sum(each[name].item() * size for each, size in zip(numbers, sizes, strict=True))
        / sum(sizes)
        for name in numbers[0]
    }
