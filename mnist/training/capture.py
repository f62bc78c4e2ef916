"""Training steps captured in a CUDA graph, which launches a whole step at once.

A step of small networks is hundreds of kernels of a few microseconds each, and launching them one
by one takes longer than they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from mnist.data.types import Batch
from mnist.errors import UserError
from mnist.methods import Method, Step

# Steps before the capture: lazy initialisation of libraries, and memory that optimisers allocate
# once, must not become a part of the graph.
WARM_UP = 3

Numbers = dict[str, Tensor]


def one_step(method: Method, batch: Batch, at: Step) -> Numbers:
    """A step of a method: its numbers, with the norms of its gradients."""
    return method.step(batch, at) | method.gradient_norms()


class Graphs(Protocol):
    """How a device captures graphs."""

    def warm_up(self, step: Callable[[], Numbers]) -> Numbers:
        """Run a step before the capture."""

    def capture(self, step: Callable[[], Numbers]) -> Callable[[], Numbers]:
        """Capture a step without running it; what is returned runs it, at every call.

        Raises:
            RuntimeError: it does something that cannot be captured.
        """


class CUDAGraphs:
    """As in torch's notes on CUDA semantics, section "Whole-network capture"."""

    def warm_up(self, step: Callable[[], Numbers]) -> Numbers:
        # On a side stream, as the capture is: autograd remembers the stream of a parameter.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            numbers = step()
        torch.cuda.current_stream().wait_stream(stream)
        return numbers

    def capture(self, step: Callable[[], Numbers]) -> Callable[[], Numbers]:
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            numbers = step()

        def replay() -> Numbers:
            graph.replay()
            return {name: number.clone() for name, number in numbers.items()}  # its outputs stay

        return replay


class CapturedSteps:
    """Runs the steps of a method: a few as they are, and from then on by replaying a graph.

    All that differs between steps comes in by the batch and by `Step.given`, so the results are
    the same as without, to the bit.

    Args:
        method: one that is `capturable`.
        graphs: how they are captured.
    """

    def __init__(self, method: Method, graphs: Graphs | None = None):
        self.method = method
        self.graphs = graphs or CUDAGraphs()
        self.warm = 0  # steps run before the capture
        self.replay: Callable[[], Numbers] | None = None
        # The graph's inputs, which are at the same address at every replay: the batch, and what a
        # step is given by the host, in the order in which it asks.
        self.batch: Batch | None = None
        self.makes: list[Callable[[Step], Any]] = []
        self.inputs: list[Tensor] = []

    def __call__(self, batch: Batch, at: Step) -> Numbers:
        """Run a step.

        Raises:
            UserError: it cannot be captured.
        """
        self.copy_in(batch, at)
        if self.warm < WARM_UP:
            self.warm += 1
            return self.graphs.warm_up(lambda: self.step(at))
        if self.replay is None:
            try:
                self.replay = self.graphs.capture(lambda: self.step(at))
            except RuntimeError as error:
                raise UserError(
                    f"a step could not be captured ({str(error).splitlines()[0]}): leave "
                    "--cuda-graph out"
                ) from error
        return self.replay()

    def copy_in(self, batch: Batch, at: Step) -> None:
        """Copy a step's batch, and what it is given, to where the graph reads them."""
        if self.batch is None:
            self.batch = Batch._make(part if part is None else part.clone() for part in batch)
        for kept, part in zip(self.batch, batch, strict=True):
            if kept is not None and part is not None:
                kept.copy_(part)
        for kept, make in zip(self.inputs, self.makes, strict=True):
            kept.copy_(as_tensor(make(at)))

    def step(self, at: Step) -> Numbers:
        """A step that reads the graph's inputs."""
        assert self.batch is not None
        return one_step(self.method, self.batch, CapturedStep.of(at, self))

    def input(self, index: int, make: Callable[[Step], Any], at: Step) -> Tensor:
        """Where the graph reads what a step asks for at this place in its order."""
        if index == len(self.inputs):  # in the first step
            self.makes.append(make)
            self.inputs.append(as_tensor(make(at)).to(self.method.device))
        return self.inputs[index]


class CapturedStep(Step):
    """A step that is given the graph's inputs."""

    steps: CapturedSteps
    asked: int

    @classmethod
    def of(cls, at: Step, steps: CapturedSteps) -> CapturedStep:
        step = cls(*at)
        step.steps, step.asked = steps, 0
        return step

    def given(self, make: Callable[[Step], Any]) -> Any:
        self.asked += 1
        return self.steps.input(self.asked - 1, make, Step(*self))


def as_tensor(made: float | Tensor) -> Tensor:
    """What the host made, numbers in double precision as it has them."""
    return made if isinstance(made, Tensor) else torch.tensor(made, dtype=torch.float64)
