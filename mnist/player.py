"""One side of a game: networks and the optimiser that improves them."""

from __future__ import annotations

from functools import cached_property

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
        self.gradient_norm: Tensor | None = None  # of the last update, a scalar

    @cached_property
    def optimizer(self) -> torch.optim.Adam:
        """Made when it is first needed: torch takes a second for it, and a trained run has none."""
        # Half the usual momentum, for the other player moves too (Radford et al. 2015, arXiv
        # 1511.06434): in the autoencoder as in the discriminator it leaves less of the digit in
        # the style (docs/LOG.md). Fused, because many small kernels cost as much as arithmetic.
        return torch.optim.Adam(self.parameters, self.lr, betas=(0.5, 0.999), fused=True)

    def update(self, loss: Tensor, lr_scale: float = 1.0) -> None:
        """One step down the loss, with gradients of this player's own parameters only."""
        self.optimizer.zero_grad()
        loss.backward(inputs=self.parameters)
        self.gradient_norm = nn.utils.get_total_norm([p.grad for p in self.parameters])
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * lr_scale
        self.optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """What the optimiser remembers, by parameter number: `3.exp_avg` and so on."""
        if "optimizer" not in vars(self):  # not made yet, so there is nothing to remember
            return {}
        return {
            f"{index}.{name}": tensor
            for index, memory in self.optimizer.state_dict()["state"].items()
            for name, tensor in memory.items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` returned.

        Raises:
            ValueError: it is no such thing, or is that of other networks.
        """
        memories: dict[int, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            index, name = key.split(".")
            memories.setdefault(int(index), {})[name] = tensor.clone()
        # The optimiser itself would take anything, and fail or go astray at its next step.
        for index, memory in memories.items():
            shape = self.parameters[index].shape
            expected = {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
            if {name: tensor.shape for name, tensor in memory.items()} != expected:
                raise ValueError(f"the optimiser's memory of parameter {index} is of another shape")
            # In the parameter's own memory layout: one may be by rows and another by channels.
            for name in ("exp_avg", "exp_avg_sq"):
                memory[name] = torch.empty_like(self.parameters[index]).copy_(memory[name])
        if memories and len(memories) < len(self.parameters):
            raise ValueError(f"the optimiser remembers {len(memories)} of its parameters only")
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": memories, "param_groups": groups})
