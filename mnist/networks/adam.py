"""Adam (Kingma & Ba 2014, arXiv 1412.6980) by torch's own function.

The class around it costs a tenth of a millisecond a step, and imports a compiler before its first,
which takes one or two seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

MEMORY = ("exp_avg", "exp_avg_sq", "step")  # what it remembers of each parameter


def nothing_yet(p: Tensor) -> dict[str, Tensor]:
    """The memory of a parameter before the first step."""
    step = torch.zeros((), device=p.device)
    return {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p), "step": step}


@torch.no_grad()
def adam_step(
    parameters: list[Tensor],
    gradients: list[Tensor],
    memories: Sequence[dict[str, Tensor]],
    lr: float | Tensor,
    betas: tuple[float, float] = (0.9, 0.999),
    fused: bool = True,
) -> None:
    """One step of parameters, in place, with what is remembered of each.

    Args:
        parameters: tensors of any shapes.
        gradients: of the same shapes.
        memories: of each parameter, `nothing_yet` at first.
        lr: learning rate.
        betas: β₁ and β₂.
        fused: all in one kernel; many small ones would cost as much as a network's arithmetic.
            Without it roundings are those of torch's class on a CPU.
    """
    means, squares, steps = ([memory[name] for memory in memories] for name in MEMORY)
    adam(
        parameters,
        gradients,
        means,
        squares,
        [],
        steps,
        foreach=False,
        fused=fused,
        lr=lr,
        beta1=betas[0],
        beta2=betas[1],
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=False,
        maximize=False,
    )
