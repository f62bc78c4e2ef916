"""One training by several processes, each of which computes its share of every batch.

All of them do the same: they draw the same numbers, see the same batches, know the same losses.
Only networks, in which the time goes, compute in each process the outputs of its own rows, and give
all of them the outputs of all. So a method need not know of it, whatever it does with these: games,
penalties on slopes, losses over pairs.

Gradients follow from one convention: what a process has of a gradient is N times its own part of
the whole, and so the *mean* over the N processes is the gradient, whether each has a part or all
have the same. Slicing and gathering are each other's transposes under it, to any order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from mnist.errors import UserError

FEWEST = 32  # rows, of which fewer are computed sooner than exchanged

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class PeerLost(UserError):
    """Another process of the same training is no more."""

    exit_code = 5


class State:
    """Where this process is: one of several that share rows, and within a share.

    Attributes:
        shared: whether networks share rows now.
        within: whether a network is computing its share.
    """

    shared = False
    within = False


def rank() -> int:
    """The number of this process among those that train together; 0 where it trains alone."""
    return dist.get_rank() if together() else 0


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if together() else 1


def together() -> bool:
    """Whether this process trains with others."""
    return dist.is_available() and dist.is_initialized()


@contextmanager
def rows_shared() -> Iterator[None]:
    """A context in which processes that train together share the rows of every batch.

    All of them have to call the same networks in the same order within it.
    """
    State.shared = count() > 1
    try:
        yield
    finally:
        State.shared = False


@contextmanager
def peers() -> Iterator[None]:
    """A context of talking to the other processes.

    Raises:
        PeerLost: one of them does not answer.
    """
    try:
        yield
    except RuntimeError as error:  # all that torch.distributed says of it
        raise PeerLost(
            "another process of this training has died or cannot be reached: give the same command "
            "again, it goes on from the last checkpoint"
        ) from error


def by_rows(forward: Callable[P, R]) -> Callable[P, R]:
    """Let processes share the rows of what a network's method is given.

    Tensors among its arguments have a row for each image, [B, ...], as has what it returns: a
    tensor or a tuple of them. Those in a tuple all processes are given whole.
    """

    @functools.wraps(forward)
    def shared(*args: P.args, **kwargs: P.kwargs) -> R:
        if (
            not State.shared or State.within
        ):  # before any look at sizes, which an export leaves open
            return forward(*args, **kwargs)
        rows = next((len(each) for each in args if isinstance(each, Tensor)), 0)
        if rows < FEWEST:
            return forward(*args, **kwargs)
        ours: Any = [own(each) for each in args]
        named: Any = {name: own(each) for name, each in kwargs.items()}
        State.within = True
        try:
            found: Any = forward(*ours, **named)
        finally:
            State.within = False
        if isinstance(found, tuple):
            return gathered_at_once(found, rows)  # type: ignore[return-value]
        return Gathered.apply(found, rows)

    return shared


def own(argument: Any) -> Any:
    """Of a tensor this process's rows, a tuple's tensors whole; everything else as it is."""
    if isinstance(argument, tuple):
        return tuple(map(Whole.apply, argument))
    return Own.apply(argument) if isinstance(argument, Tensor) else argument


class Own(torch.autograd.Function):
    """The rows of this process, [B, ...] -> [b, ...]."""

    @staticmethod
    def forward(ctx: Any, every: Tensor) -> Tensor:
        ctx.rows = len(every)
        return own_rows(every)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Any:
        return Gathered.apply(slopes, ctx.rows) / count()


class Whole(torch.autograd.Function):
    """A tensor that each process uses for its rows, whole."""

    @staticmethod
    def forward(ctx: Any, every: Tensor) -> Tensor:
        return every.view_as(every)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Any:
        return Total.apply(slopes) / count()


class Gathered(torch.autograd.Function):
    """All rows, of which each process has its own: [b, ...] -> [B, ...]."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, rows: int) -> Tensor:
        most = -(-rows // count())
        padded = own.new_zeros(most, *own.shape[1:])
        padded[: len(own)] = own
        every = own.new_empty(most * count(), *own.shape[1:])
        with peers():
            dist.all_gather([*every.chunk(count())], padded)
        return every[:rows]

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Any:
        return count() * Own.apply(slopes), None


def gathered_at_once(parts: Sequence[Tensor], rows: int) -> tuple[Tensor, ...]:
    """All rows of several tensors [b, ...], in one message: each by itself takes as long."""
    flat = [part.unsqueeze(-1).flatten(1) for part in parts]
    every = Gathered.apply(torch.cat(flat, 1), rows).split([each.shape[1] for each in flat], 1)
    # The message has slopes where one of its parts has.
    return tuple(
        (each if part.requires_grad else each.detach()).reshape(rows, *part.shape[1:])
        for each, part in zip(every, parts, strict=True)
    )


def own_rows(every: Tensor) -> Tensor:
    """The rows of this process of all [B, ...]: as many as the others have, or fewer at the end."""
    most = -(-len(every) // count())
    return every[rank() * most : (rank() + 1) * most]


class Total(torch.autograd.Function):
    """The sum over processes of a tensor that each has its part of: its own transpose."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        return added(part.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Any:
        return Total.apply(slopes)


def added(part: Tensor) -> Tensor:
    """The sum over processes, in the part's own place."""
    with peers():
        dist.all_reduce(part)
    return part


def total(part: Tensor) -> Tensor:
    """The sum over the shares of a batch, within a network: of one share itself."""
    return Total.apply(part) if State.within else part


def shared_out(inputs: Sequence[T], make: Callable[[int, T], R]) -> list[R]:
    """What is made of each input and its number: each by one process, where they share rows.

    No rows are shared within one, so that there is nothing to exchange on the way.
    """
    shared, State.shared = State.shared, False
    processes = count() if shared else 1
    try:
        ours = [make(at, inputs[at]) for at in range(rank() % processes, len(inputs), processes)]
    finally:
        State.shared = shared
    if not shared:
        return ours
    parts: list[list[R]] = [[] for _ in range(processes)]
    with peers():
        dist.all_gather_object(parts, ours)
    return [parts[at % processes][at // processes] for at in range(len(inputs))]


def share_of(loss: Tensor) -> Tensor:
    """A loss whose slopes are to be added over the processes, where they share rows."""
    return loss / count() if State.shared else loss


def added_up(gradients: list[Tensor]) -> list[Tensor]:
    """Gradients of that, added in one message: each by itself takes as long."""
    if not State.shared:
        return gradients
    together = added(torch.cat([gradient.flatten() for gradient in gradients]))
    sums = together.split([gradient.numel() for gradient in gradients])
    # In a gradient's own memory layout, in which the optimiser takes it beside its parameter.
    return [
        sum_.view(gradient.shape)
        if gradient.is_contiguous()
        else gradient.copy_(sum_.view_as(gradient))
        for gradient, sum_ in zip(gradients, sums, strict=True)
    ]


def largest(numbers: Sequence[int]) -> list[int]:
    """The largest of each number over all processes."""
    if count() == 1:
        return list(numbers)
    found = torch.tensor(numbers)
    with peers():
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return found.tolist()
