"""Captured steps, with doubles on the CPU of what a CUDA graph does and of what it refuses."""

from contextlib import nullcontext

import pytest
import torch
from conftest import small
from test_methods import HAS_BF16, KINDS
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from mnist.errors import UserError
from mnist.methods import METHODS, Step
from mnist.training import capture, plan
from mnist.training.capture import WARM_UP, CapturedSteps, one_step
from mnist.training.log import Report
from mnist.training.plan import refuse_uncapturable
from mnist.training.run_directory import RunDirectory
from mnist.training.settings import Settings

CAPTURABLE = [(name, kind) for name, kind in KINDS if small(name, **kind).capturable]
SIZE = 20
# What a graph cannot have, or would repeat: reading a number, random numbers, numbers of the host.
REFUSED = "_local_scalar_dense", "nonzero", "rand", "normal_", "bernoulli", "lift_fresh"


class Operations(TorchDispatchMode):
    """Records every operation, with its arguments and results."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert not operation.__name__.startswith(REFUSED), operation
        found = operation(*args, **(kwargs or {}))
        self.done.append((operation, args, kwargs or {}, found))
        return found


class OnCPU:
    """Replays the same operations on the same tensors, as a CUDA graph does."""

    def __init__(self):
        self.replays = 0

    def warm_up(self, step):
        return step()

    def capture(self, step):
        with Operations() as operations:
            captured = step()  # which runs it, unlike a CUDA graph: the first replay is done

        def replay():
            self.replays += 1
            if self.replays == 1:
                return captured
            now = {}  # this time's tensor in the place of each that was made

            def new(tensor):
                return now.get(id(tensor), tensor)

            with torch.no_grad():
                for operation, *given, found in operations.done:
                    args, kwargs = tree_map_only(torch.Tensor, new, given)
                    again = operation(*args, **kwargs)
                    for old, one in zip(tree_leaves(found), tree_leaves(again), strict=True):
                        now[id(old)] = one
            return tree_map_only(torch.Tensor, new, captured)

        return replay


@pytest.mark.parametrize(("name", "kind"), CAPTURABLE)
def test_captured_steps_give_the_same_bits(name, kind, tiny):
    changes = {**kind, "precision": "bf16" if HAS_BF16 else "fp32"}
    ours, other = (small(name, tiny.train, **changes) for _ in range(2))
    graphs = OnCPU()
    captured = CapturedSteps(ours, graphs)
    steps = WARM_UP + 5
    for number in range(steps):
        chosen = (torch.arange(SIZE) + 7 * number) % len(tiny.train)
        # Where schedules rise and fall.
        batch, at = tiny.train.batch(chosen), Step(number, 0.01 * number)
        assert captured(batch, at) == one_step(other, batch, at)
    assert graphs.replays == steps - WARM_UP
    for key, weights in other.state_dict().items():
        assert torch.equal(weights, ours.state_dict()[key]), key
    theirs = other.trainer_state()
    assert all(torch.equal(each, theirs[key]) for key, each in ours.trainer_state().items())


class NothingOfTheCPU(Operations):
    """Fails where an operation is given a tensor on the CPU, which a graph would read once."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        for each in tree_leaves((args, kwargs)):
            assert not isinstance(each, torch.Tensor) or each.device.type == "meta", operation
        return super().__torch_dispatch__(operation, types, args, kwargs)


class OnMeta(OnCPU):
    """On torch's meta device, which has no numbers to be read."""

    def capture(self, step):
        with NothingOfTheCPU():
            numbers = step()
        return lambda: numbers


@pytest.mark.parametrize(("name", "kind"), CAPTURABLE)
def test_a_captured_step_is_on_the_device_alone(name, kind, tiny, monkeypatch):
    # What the meta device has not.
    monkeypatch.setattr(METHODS[name], "autocast", nullcontext)
    monkeypatch.setattr("mnist.networks.adam.adam", lambda *_, **__: None)
    with torch.device("meta"):
        method = small(name, **kind)
    method.__dict__["prior"] = small(name, **kind).prior  # which is drawn from on the CPU
    captured = CapturedSteps(method, OnMeta())
    some = tiny.train.batch(slice(SIZE))
    batch = some._make(part if part is None else part.to("meta") for part in some)
    for number in range(WARM_UP + 2):
        numbers = captured(batch, Step(number, 0.5))
    assert all(number.device.type == "meta" for number in numbers.values())


def test_a_run_of_captured_steps_is_the_same_run(tmp_path, monkeypatch):
    """From the setting to the loop, and after a second start."""
    used = []
    monkeypatch.setattr(capture, "CUDAGraphs", lambda: used.append(OnCPU()) or used[-1])
    monkeypatch.setattr(plan, "refuse_uncapturable", lambda method: None)
    weights = []
    for cuda_graph in (True, False):
        folder = tmp_path / str(cuda_graph)
        for epochs in (1, 2):  # each a start of its own
            options = {"hidden": (8,), "discriminator_hidden": (8,)}
            common = {"dataset": "mnist-5k", "batch_size": 400, "ckpt_dir": folder}
            settings = Settings(
                method="aae", options=options, epochs=epochs, cuda_graph=cuda_graph, **common
            )
            plan.train_run(settings, Report(quiet=True))
        weights.append(RunDirectory(folder).newest().weights)
    assert [graphs.replays for graphs in used] == [10 - WARM_UP] * 2
    ours, others = weights
    assert all(torch.equal(each, ours[name]) for name, each in others.items())


def test_which_methods_are_captured():
    assert {name for name, _ in CAPTURABLE} == {"aae", "classifier", "sae", "vae"}
    assert ("aae", {"writers": True}) in CAPTURABLE


def test_a_step_that_cannot_be_captured(tiny):
    class Refuses(OnCPU):
        def capture(self, step):
            raise RuntimeError("operation not permitted when stream is capturing\nsee ...")

    captured = CapturedSteps(small("sae", tiny.train), Refuses())
    batch = tiny.train.batch(slice(SIZE))
    for number in range(WARM_UP):
        captured(batch, Step(number, 0.5))
    with pytest.raises(
        UserError,
        match=r"a step could not be captured \(operation not permitted .* capturing\): leave",
    ):
        captured(batch, Step(WARM_UP, 0.5))


def test_who_cannot_capture(monkeypatch):
    with pytest.raises(UserError, match="needs a GPU, and this is trained on cpu"):
        refuse_uncapturable(small("sae"))
    for name in ("gan", "sae"):
        monkeypatch.setattr(METHODS[name], "device", torch.device("cuda"))
    refuse_uncapturable(small("sae"))
    with pytest.raises(UserError, match="GAN with these options"):
        refuse_uncapturable(small("gan"))
    monkeypatch.setattr("mnist.networks.shares.count", lambda: 2)
    with pytest.raises(UserError, match="is for one process"):
        refuse_uncapturable(small("sae"))
