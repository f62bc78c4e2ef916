"""What every network is made of: a digit as numbers, a perceptron, reproducible first weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from mnist.data import CLASSES


def digit_code(labels: Tensor) -> Tensor:
    """What a network is told about the digit: float32 [B, 10].

    Args:
        labels: int64 [B] becomes one-hot, and −1 (unlabelled) all zeros; a float [B, 10], such as
            a point between two digits, passes through unchanged.
    """
    if labels.is_floating_point():
        return labels
    digits = torch.arange(CLASSES, device=labels.device)
    return (labels.unsqueeze(1) == digits).to(torch.float32)


def mlp(sizes: Sequence[int], activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers through `sizes`, with the activation between them and none at the end.

    Raises:
        ValueError: a size is not positive.
    """
    if min(sizes) < 1:
        raise ValueError(f"no network has layers of {list(sizes)} numbers")
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights created inside follow from `seed`; the caller's random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
