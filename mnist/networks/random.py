"""Independent streams of random numbers from one seed."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def child_seed(seed: int, name: str) -> int:
    """The seed of the stream of this name, independent of all other streams of `seed`.

    As by `SeedSequence.spawn` (O'Neill 2015), with the name for the number of the child.
    """
    child = np.random.SeedSequence(seed, spawn_key=tuple(name.encode()))
    return int(child.generate_state(1, np.uint64)[0])


def generator(seed: int, name: str) -> torch.Generator:
    """A generator on the CPU of that stream."""
    return torch.Generator().manual_seed(child_seed(seed, name))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights created inside follow from `seed`; the caller's random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
