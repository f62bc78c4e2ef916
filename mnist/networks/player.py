"""One side of a game: networks and the optimiser that improves them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

MEMORY = ("exp_avg", "exp_avg_sq", "step")  # what Adam remembers of each parameter


class Player:
    """Networks trained together, towards one loss.

    A method with a single objective has one player; an adversarial one has two, each of which
    follows its own loss through the other's networks without touching their weights.

    Adam (Kingma & Ba 2014, arXiv 1412.6980) is torch's, called as a function: the class around it
    costs a tenth of a millisecond a step, and a second before the first.
    """

    def __init__(self, *networks: nn.Module, lr: float):
        self.parameters = [p for network in networks for p in network.parameters()]
        self.lr = lr
        self.gradient_norm: Tensor | None = None  # of the last update, a scalar
        self.memory: list[dict[str, Tensor]] = []  # of each parameter, from the first update on

    def update(self, loss: Tensor, lr_scale: float = 1.0) -> None:
        """One step down the loss, with gradients of this player's own parameters only."""
        for p in self.parameters:
            p.grad = None
        loss.backward(inputs=self.parameters)
        gradients = [p.grad for p in self.parameters]
        self.gradient_norm = nn.utils.get_total_norm(gradients)
        if not self.memory:
            self.memory = [nothing_yet(p) for p in self.parameters]
        means, squares, steps = ([each[name] for each in self.memory] for name in MEMORY)
        with torch.no_grad():
            adam(
                self.parameters,
                gradients,
                means,
                squares,
                [],
                steps,
                # Many small kernels would cost as much as the arithmetic.
                fused=True,
                lr=self.lr * lr_scale,
                # Half the usual momentum, for the other player moves too (Radford et al. 2015,
                # arXiv 1511.06434): in the autoencoder as in the discriminator it leaves less of
                # the digit in the style (docs/LOG.md).
                beta1=0.5,
                beta2=0.999,
                eps=1e-8,
                weight_decay=0.0,
                amsgrad=False,
                maximize=False,
            )

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


def nothing_yet(p: Tensor) -> dict[str, Tensor]:
    """Adam's memory of a parameter before the first step."""
    step = torch.zeros((), device=p.device)
    return {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p), "step": step}
