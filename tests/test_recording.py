"""Steps by a recording; what a CUDA graph does and refuses is done and refused on the CPU here."""

from contextlib import nullcontext

import pytest
import torch
from conftest import small
from test_methods import HAS_BF16, KINDS
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from mnist.errors import UserError
from mnist.methods import METHODS, Step
from mnist.training.plan import refuse_unrecordable
from mnist.training.recording import BEFORE, Recorder, one_step

RECORDABLE = [(name, kind) for name, kind in KINDS if small(name, **kind).recordable]
SIZE = 20
# What a recording would take once for all: a look at a number, random numbers, numbers of the host.
REFUSED = "_local_scalar_dense", "nonzero", "rand", "normal_", "bernoulli", "lift_fresh"


class Operations(TorchDispatchMode):
    """Notes every operation, with its arguments and what came of it."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert not operation.__name__.startswith(REFUSED), operation
        found = operation(*args, **(kwargs or {}))
        self.done.append((operation, args, kwargs or {}, found))
        return found


class OnCPU:
    """Records operations, which are the same on the same tensors every time, as a CUDA graph's."""

    def __init__(self):
        self.replays = 0

    def warm_up(self, step):
        return step()

    def record(self, step):
        with Operations() as noted:
            recorded = step()  # here a step is taken as it is recorded: the first replay is done

        def replay():
            self.replays += 1
            if self.replays == 1:
                return recorded
            now = {}  # the tensor in the place of each that the recording made

            def new(tensor):
                return now.get(id(tensor), tensor)

            with torch.no_grad():
                for operation, *given, found in noted.done:
                    args, kwargs = tree_map_only(torch.Tensor, new, given)
                    again = operation(*args, **kwargs)
                    for old, one in zip(tree_leaves(found), tree_leaves(again), strict=True):
                        now[id(old)] = one
            return tree_map_only(torch.Tensor, new, recorded)

        return replay


@pytest.mark.parametrize(("name", "kind"), RECORDABLE)
def test_recorded_steps_are_those_taken_one_by_one(name, kind, tiny):
    changes = {**kind, "precision": "bf16" if HAS_BF16 else "fp32"}
    ours, other = (small(name, tiny.train, **changes) for _ in range(2))
    device = OnCPU()
    recorder = Recorder(ours, device)
    steps = BEFORE + 5
    for number in range(steps):
        chosen = (torch.arange(SIZE) + 7 * number) % len(tiny.train)
        # Where schedules rise and fall.
        batch, at = tiny.train.batch(chosen), Step(number, 0.01 * number)
        assert recorder(batch, at) == one_step(other, batch, at)
    assert device.replays == steps - BEFORE
    for key, weights in other.state_dict().items():
        assert torch.equal(weights, ours.state_dict()[key]), key
    theirs = other.trainer_state()
    assert all(torch.equal(each, theirs[key]) for key, each in ours.trainer_state().items())


class NothingOfTheCPU(Operations):
    """Fails where an operation is given a tensor on the CPU, which a recording would read once."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        for each in tree_leaves((args, kwargs)):
            assert not isinstance(each, torch.Tensor) or each.device.type == "meta", operation
        return super().__torch_dispatch__(operation, types, args, kwargs)


class OnMeta(OnCPU):
    """Records without numbers: torch's meta device, of which nothing can be read."""

    def record(self, step):
        with NothingOfTheCPU():
            numbers = step()
        return lambda: numbers


@pytest.mark.parametrize(("name", "kind"), RECORDABLE)
def test_a_recorded_step_is_on_the_device_alone(name, kind, tiny, monkeypatch):
    # What the meta device has not.
    monkeypatch.setattr(METHODS[name], "autocast", nullcontext)
    monkeypatch.setattr("mnist.networks.player.adam", lambda *_, **__: None)
    with torch.device("meta"):
        method = small(name, **kind)
    method.__dict__["prior"] = small(name, **kind).prior  # which is drawn from on the CPU
    recorder = Recorder(method, OnMeta())
    some = tiny.train.batch(slice(SIZE))
    batch = some._make(part if part is None else part.to("meta") for part in some)
    for number in range(BEFORE + 2):
        numbers = recorder(batch, Step(number, 0.5))
    assert all(number.device.type == "meta" for number in numbers.values())


def test_which_methods_are_recorded():
    assert {name for name, _ in RECORDABLE} == {"aae", "classifier", "sae", "vae"}
    assert ("aae", {"writers": True}) in RECORDABLE


def test_what_cannot_be_recorded_is_said_so(tiny):
    class Refuses(OnCPU):
        def record(self, step):
            raise RuntimeError("operation not permitted when stream is capturing\nsee ...")

    recorder = Recorder(small("sae", tiny.train), Refuses())
    batch = tiny.train.batch(slice(SIZE))
    for number in range(BEFORE):
        recorder(batch, Step(number, 0.5))
    with pytest.raises(UserError, match=r"a step \(operation not permitted .* capturing\): leave"):
        recorder(batch, Step(BEFORE, 0.5))


def test_who_cannot_record(monkeypatch):
    with pytest.raises(UserError, match="needs a GPU, and this is trained on cpu"):
        refuse_unrecordable(small("sae"))
    monkeypatch.setattr(METHODS["gan"], "device", torch.device("cuda"))
    with pytest.raises(UserError, match="GAN with these options"):
        refuse_unrecordable(small("gan"))
