"""One side of a game: networks and the optimiser that improves them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Player:
    """Networks trained together, towards one loss.

    A method with a single objective has one player; an adversarial one has two, each of which
    follows its own loss through the other's networks without touching their weights.
    """

    def __init__(self, *networks: nn.Module, lr: float):
        self.parameters = [p for network in networks for p in network.parameters()]
        self.lr = lr
        # Half the usual momentum, for the other player moves too (Radford et al. 2015, arXiv
        # 1511.06434): in the autoencoder as in the discriminator it leaves less of the digit in
        # the style (docs/LOG.md). Fused, because many small kernels cost as much as arithmetic.
        self.optimizer = torch.optim.Adam(self.parameters, lr, betas=(0.5, 0.999), fused=True)

    def update(self, loss: Tensor, lr_scale: float = 1.0) -> None:
        """One step down the loss, with gradients of this player's own parameters only."""
        self.optimizer.zero_grad()
        loss.backward(inputs=self.parameters)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * lr_scale
        self.optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """What the optimiser remembers, by parameter number: `3.exp_avg` and so on."""
        return {
            f"{index}.{name}": tensor
            for index, memory in self.optimizer.state_dict()["state"].items()
            for name, tensor in memory.items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` returned."""
        memories: dict[int, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            index, name = key.split(".")
            memories.setdefault(int(index), {})[name] = tensor.clone()
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": memories, "param_groups": groups})
