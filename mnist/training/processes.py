"""Several processes that train one run, started by torchrun: how they come together and agree.

The first of them, rank 0, alone plans, locks, writes and reports. The others get from it what is to
be trained and where that stands, and then do the same steps (`mnist/networks/shares.py`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mnist.data.types import Dataset, Split
from mnist.errors import UserError
from mnist.methods import Method
from mnist.networks import shares

# That one may wait for another, which reads a million pictures meanwhile. One that dies is noticed
# at once, for its connections are closed.
PATIENCE = timedelta(minutes=30)
SHARED_MEMORY = Path("/dev/shm")


def started() -> int:
    """How many processes torchrun has started in all, or another that says so as it does."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """A context in which this process trains with those that were started with it, if any.

    Raises:
        UserError: they do not come together.
        PeerLost: one of them did not live to the end.
    """
    if started() == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the {started()} processes do not come together ({reason}): start them by torchrun "
            "(docs/processes.md)"
        ) from error
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def first_word() -> Iterator[Callable[[Any], None]]:
    """A context in which the first process finds out what is to be done, and says it to the others.

    They `hear` it when the context ends; an exit code, where nothing was said.
    """
    said: list[Any] = []
    code = 0
    try:
        yield said.append
    except BaseException as error:
        code = getattr(error, "exit_code", 1)
        raise
    finally:
        from_first(said[0] if said else code)


def hear() -> Any:
    """What the first process has to say, an exit code where there is nothing to do."""
    return from_first(None)


def from_first(message: Any, group: dist.ProcessGroup | None = None, first: int = 0) -> Any:
    """What the first process of all, or of a group, has as its message."""
    if shares.count() == 1:
        return message
    box = [message]
    with shares.peers():
        dist.broadcast_object_list(box, first, group)
    return box[0]


def as_the_first(method: Method, numbers: Any) -> Any:
    """Make the state of a method the first process's, and return that one's numbers.

    They are the same already, to the last digits where the machines are of different kinds; so only
    checksums are exchanged where they are the same to the last bit.
    """
    if shares.count() == 1:
        return numbers
    state = [*method.state_dict().values(), *memory_of(method)]
    told: list[Any] = [None] * shares.count()
    with shares.peers():
        dist.all_gather_object(told, (checksum(state), numbers))
        if len({each for each, _ in told}) > 1:
            for tensor in state:
                dist.broadcast(tensor, 0)
    return told[0][1]


def checksum(tensors: list[torch.Tensor]) -> int:
    """The CRC-32 of their bytes, one after the other."""
    found = 0
    for tensor in tensors:
        found = zlib.crc32(tensor.cpu().contiguous().numpy().data, found)
    return found


def memory_of(method: Method) -> list[torch.Tensor]:
    """What the optimisers of a method remember."""
    return [t for player in method.players.values() for t in player.state().values()]


# --- data, once a machine -------------------------------------------------------------------------


def once_a_machine(read: Callable[[], Dataset]) -> Dataset:
    """A data set that one process on each machine reads, and all others there use with it."""
    if shares.count() == 1:
        return read()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    first = shares.rank() // here * here  # torchrun numbers them machine by machine
    groups = [dist.new_group(range(at, at + here)) for at in range(0, shares.count(), here)]
    group: Any = groups[first // here]
    ours = read() if shares.rank() == first else None
    with tempfile.TemporaryDirectory(prefix="mnist-style-", dir=room_for(ours)) as folder:
        lent = ours and each_split(ours, lambda split, name: lend(split, Path(folder, name)))
        dataset = each_split(from_first(lent, group, first), lambda split, _: borrowed(split))
        with shares.peers():
            dist.barrier(group)  # the files may go once everybody has mapped them
    return dataset


def room_for(dataset: Dataset | None) -> Path:
    """A folder for its images: in memory, where there is as much room again.

    A container has 64 MB of that, unless it is given more.
    """
    parts = (dataset.train, dataset.test, dataset.held_out) if dataset else ()
    images = [part.images for part in parts if part]
    size = sum(each.numel() for each in images if isinstance(each, torch.Tensor))
    fits = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > 2 * size
    return SHARED_MEMORY if fits else Path(tempfile.gettempdir())


def each_split(dataset: Dataset, change: Callable[[Split, str], Split]) -> Dataset:
    """A data set with a change made to its parts, which the change is told by name."""
    parts = {"train": dataset.train, "test": dataset.test, "held_out": dataset.held_out}
    changed: dict[str, Any] = {k: change(part, k) for k, part in parts.items() if part}
    return replace(dataset, **changed)


class Lent:
    """Images in a file, where a `Split` has a tensor of them."""

    def __init__(self, path: Path, images: torch.Tensor):
        images.contiguous().numpy().tofile(path)
        self.path, self.shape = path, images.shape

    def borrow(self) -> torch.Tensor:
        """The images, in memory that all who borrow them share."""
        size = self.shape.numel()
        return torch.from_file(str(self.path), True, size, dtype=torch.uint8).view(self.shape)


def lend(split: Split, path: Path) -> Split:
    """A part of a data set, its images in a file if they are in memory."""
    if isinstance(split.images, torch.Tensor):
        return replace(split, images=Lent(path, split.images))  # type: ignore[arg-type]
    return split


def borrowed(split: Split) -> Split:
    """A part of a data set that was lent."""
    return replace(split, images=split.images.borrow()) if isinstance(split.images, Lent) else split
