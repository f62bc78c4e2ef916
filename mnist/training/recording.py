"""Steps that a GPU is told once, and from then on only to take again.

A step of small networks is hundreds of kernels of a few microseconds, and telling them to the GPU
one by one takes longer than they do. A CUDA graph is told all of them once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from mnist.data.types import Batch
from mnist.errors import UserError
from mnist.methods import Method, Step

# Steps that are taken as any other first: libraries that set themselves up, and memory that
# optimisers ask for once, must not become a part of the recording.
BEFORE = 3

Numbers = dict[str, Tensor]


def one_step(method: Method, batch: Batch, at: Step) -> Numbers:
    """A step of a method: its numbers, with the norms of its gradients."""
    return method.step(batch, at) | method.gradient_norms()


class Device(Protocol):
    """What a recorder needs of a device."""

    def warm_up(self, step: Callable[[], Numbers]) -> Numbers:
        """Take a step before there is a recording."""

    def record(self, step: Callable[[], Numbers]) -> Callable[[], Numbers]:
        """Record a step without taking it; what is returned takes it, as often as it is called.

        Raises:
            RuntimeError: it does something that cannot be recorded.
        """


class CUDA:
    """By CUDA graphs, as in torch's notes on CUDA semantics, "Whole-network capture"."""

    def warm_up(self, step: Callable[[], Numbers]) -> Numbers:
        # On a stream of its own, as a recording is: autograd remembers which one it was.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            numbers = step()
        torch.cuda.current_stream().wait_stream(stream)
        return numbers

    def record(self, step: Callable[[], Numbers]) -> Callable[[], Numbers]:
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            numbers = step()

        def replay() -> Numbers:
            graph.replay()
            # They are written to the same places every time.
            return {name: number.clone() for name, number in numbers.items()}

        return replay


class Recorder:
    """Takes the steps of a method: a few as any other, and then by the recording of one.

    What differs between steps comes in by the batch and `Step.given`, and so they have the same
    results as without, to the bit.

    Args:
        method: one that is `recordable`.
        device: how steps are recorded.
    """

    def __init__(self, method: Method, device: Device | None = None):
        self.method = method
        self.device = device or CUDA()
        self.taken = 0
        self.replay: Callable[[], Numbers] | None = None
        self.batch: Batch | None = None  # the place of every batch
        self.makes: list[Callable[[Step], Any]] = []  # of what steps are given, in this order
        self.places: list[Tensor] = []  # of that

    def __call__(self, batch: Batch, at: Step) -> Numbers:
        """Take a step.

        Raises:
            UserError: it cannot be recorded.
        """
        self.put(batch, at)
        if self.taken < BEFORE:
            self.taken += 1
            return self.device.warm_up(lambda: self.step(at))
        if self.replay is None:
            try:
                self.replay = self.device.record(lambda: self.step(at))
            except RuntimeError as error:
                raise UserError(
                    f"this GPU cannot record a step ({str(error).splitlines()[0]}): leave "
                    "--cuda-graph out"
                ) from error
        return self.replay()

    def put(self, batch: Batch, at: Step) -> None:
        """Put what is new in a step into its places."""
        if self.batch is None:
            self.batch = Batch._make(part if part is None else part.clone() for part in batch)
        for place, part in zip(self.batch, batch, strict=True):
            if place is not None and part is not None:
                place.copy_(part)
        for place, make in zip(self.places, self.makes, strict=True):
            place.copy_(as_tensor(make(at)))

    def step(self, at: Step) -> Numbers:
        """A step with all that is new in its place."""
        assert self.batch is not None
        return one_step(self.method, self.batch, Placed.of(at, self))

    def place(self, number: int, make: Callable[[Step], Any], at: Step) -> Tensor:
        """The place of what a step asks for as its so-and-so-manieth: in the first a new one."""
        if number == len(self.places):
            self.makes.append(make)
            self.places.append(as_tensor(make(at)).to(self.method.device))
        return self.places[number]


def as_tensor(made: float | Tensor) -> Tensor:
    """What the host made, numbers as exactly as it has them."""
    return made if isinstance(made, Tensor) else torch.tensor(made, dtype=torch.float64)


class Placed(Step):
    """A step that is given places on the device, where others have what the host makes."""

    recorder: Recorder
    asked: int

    @classmethod
    def of(cls, at: Step, recorder: Recorder) -> Placed:
        step = cls(*at)
        step.recorder, step.asked = recorder, 0
        return step

    def given(self, make: Callable[[Step], Any]) -> Any:
        self.asked += 1
        return self.recorder.place(self.asked - 1, make, Step(*self))
