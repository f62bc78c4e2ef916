"""One side of a game: networks and the optimiser that improves them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mnist.networks import shares
from mnist.networks.adam import adam_step, nothing_yet

# Half Adam's usual momentum, for the other player moves too (Radford et al. 2015, arXiv
# 1511.06434): in the autoencoder as in the discriminator it leaves less of the class in the style
# (docs/LOG.md).
BETAS = (0.5, 0.999)


class Player:
    """Networks trained together, towards one loss.

    A method with a single objective has one player; an adversarial one has two, each of which
    follows its own loss through the other's networks without touching their weights. Where several
    processes train together, its gradients are the mean of theirs, player by player: a wrapper
    around networks, such as torch's `DistributedDataParallel`, does not know whose loss it sees.

    Args:
        networks: whose parameters it improves.
        lr: learning rate.
        betas: Adam's β₁ and β₂.
    """

    def __init__(self, *networks: nn.Module, lr: float, betas: tuple[float, float] = BETAS):
        self.parameters: list[Tensor] = [p for network in networks for p in network.parameters()]
        self.lr = lr
        self.betas = betas
        self.gradient_norm: Tensor | None = None  # the largest since `largest_gradient`
        self.memory: list[dict[str, Tensor]] = []  # of each parameter, from the first update on

    def update(self, loss: Tensor, lr_scale: float | Tensor = 1.0) -> None:
        """One step down the loss, a scalar, with gradients of this player's own parameters only.

        The learning rate's scale may be a scalar on the device. Parameters that the loss does not
        depend on stay as they are, as with torch's optimisers.
        """
        for p in self.parameters:
            p.grad = None
        shares.share_of(loss).backward(inputs=self.parameters)
        if not self.memory:
            self.memory = [nothing_yet(p) for p in self.parameters]
        reached = [
            (p, p.grad, memory)
            for p, memory in zip(self.parameters, self.memory, strict=True)
            if p.grad is not None
        ]
        gradients = shares.added_up([gradient for _, gradient, _ in reached])
        norm = euclidean_norm(gradients)
        before = self.gradient_norm
        self.gradient_norm = norm if before is None else torch.maximum(before, norm)
        adam_step(
            [p for p, _, _ in reached],
            gradients,
            [memory for _, _, memory in reached],
            self.learning_rate(lr_scale),
            self.betas,
        )

    def learning_rate(self, scale: float | Tensor) -> float | Tensor:
        """It times a scale: on a GPU to float32, as torch's kernel takes one that is there, so that
        it is the same wherever it comes from."""
        rate = self.lr * scale
        if self.parameters[0].device.type != "cuda":
            return rate
        return rate.float() if isinstance(rate, Tensor) else float(np.float32(rate))

    def largest_gradient(self) -> Tensor | None:
        """The largest Euclidean norm of its gradients at the updates since the last call, a scalar.

        NaN if one of them was; None without an update.
        """
        largest, self.gradient_norm = self.gradient_norm, None
        return largest

    def state(self) -> dict[str, Tensor]:
        """What Adam remembers, by parameter number: `3.exp_avg` and so on."""
        return {
            f"{index}.{name}": tensor
            for index, memory in enumerate(self.memory)
            for name, tensor in memory.items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` returned.

        Raises:
            ValueError: it is no such thing, or is that of other networks.
        """
        memory = [nothing_yet(p) for p in self.parameters] if state else []
        expected = {f"{i}.{name}": t for i, each in enumerate(memory) for name, t in each.items()}
        shapes = {key: tensor.shape for key, tensor in state.items()}
        if shapes != {key: tensor.shape for key, tensor in expected.items()}:
            raise ValueError("the optimiser's memory is that of other networks")
        # In each parameter's own memory layout: one may be by rows and another by channels.
        for key, tensor in state.items():
            expected[key].copy_(tensor)
        self.memory = memory


def euclidean_norm(tensors: list[Tensor]) -> Tensor:
    """Of all their numbers together, a scalar."""
    if not (tensors and tensors[0].device.type == "cpu"):
        return nn.utils.get_total_norm(tensors)
    # In half of the time of torch's norms by two threads, and nearer to the exact one.
    flat = [each.flatten() for each in tensors]
    return torch.stack(list(map(torch.dot, flat, flat))).sum().sqrt()
