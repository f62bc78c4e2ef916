"""The loop: stopping anywhere and going on gives the run that was never stopped."""

import os
import signal

import pytest
import torch
from conftest import SMALL

from mnist.errors import Diverged, Interrupted, Problem
from mnist.methods import METHODS
from mnist.report import Report, clock
from mnist.session import FORMAT, Progress, Session
from mnist.training import train


class StopAfter:
    """Sends this process a signal during the n-th call of a method's `step`."""

    def __init__(self, method, calls, number=signal.SIGINT):
        self.step, self.calls, self.number = method.step, calls, number

    def __call__(self, *arguments):
        self.calls -= 1
        if self.calls == 0:
            os.kill(os.getpid(), self.number)
        return self.step(*arguments)


def start(directory, name):
    method = METHODS[name](**SMALL)
    session = Session(directory)
    session.start({"format": FORMAT, "method": name, "model": method.config, "training": {}})
    return method, session


def go(method, dataset, session, progress, epochs=3, **changes):
    options = {"batch_size": 15, "seed": 0, "log_every": 2, "report": Report({}, quiet=True)}
    train(method, dataset, session, progress, epochs=epochs, **options | changes)


def weights_and_state(session):
    folder = session.require_latest()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("calls", range(1, 12))
def test_stopping_at_any_step_changes_nothing(tmp_path, tiny, method_name, calls, number):
    method, straight = start(tmp_path / "straight", method_name)
    go(method, tiny, straight, Progress())

    method, stopped = start(tmp_path / "stopped", method_name)
    method.step = StopAfter(method, calls, number)
    with pytest.raises(Interrupted) as caught:
        go(method, tiny, stopped, Progress())
    assert caught.value.exit_code == 128 + number
    assert "saved in" in str(caught.value)

    method = stopped.build()
    progress = stopped.restore(method)
    assert 4 * progress.epoch + progress.step == calls
    go(method, tiny, stopped, progress)
    assert weights_and_state(stopped) == weights_and_state(straight)
    csv = "metrics.csv"
    assert (stopped.directory / csv).read_bytes() == (straight.directory / csv).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_handlers_are_put_back(tmp_path, tiny, number):
    before = signal.getsignal(number)
    method, session = start(tmp_path, "sae")
    go(method, tiny, session, Progress(), epochs=1)
    assert signal.getsignal(number) is before
    method.step = StopAfter(method, 1, number)
    with pytest.raises(Interrupted):
        go(method, tiny, session, Progress())
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_divergence_names_the_loss_and_keeps_the_last_checkpoint(tmp_path, tiny, bad):
    method, session = start(tmp_path, "aae")
    go(method, tiny, session, Progress(), epochs=1)
    kept = weights_and_state(session)
    method = session.build()
    progress = session.restore(method)
    step, calls = method.step, []

    def diverge(*arguments):
        calls.append(None)
        numbers = step(*arguments)
        return numbers | ({"adversarial": torch.tensor(bad)} if len(calls) == 3 else {})

    method.step = diverge
    with pytest.raises(Diverged, match=r"adversarial became .* in epoch 2, batch 3") as caught:
        go(method, tiny, session, progress)
    assert caught.value.exit_code == 3
    assert str(session.latest()) in str(caught.value)
    assert weights_and_state(session) == kept


def test_an_epoch_that_ends_broken_is_not_saved(tmp_path, tiny):
    """One step an epoch: its loss is of the weights before it, which were still good."""
    method, session = start(tmp_path, "sae")
    go(method, tiny, session, Progress(), epochs=1, batch_size=60)
    kept = weights_and_state(session)
    method.players["autoencoder"].lr = 1e30
    progress = session.restore(method)
    with pytest.raises(Diverged, match=r"mse became .* after epoch 2"):
        go(method, tiny, session, progress, epochs=1000, batch_size=60)
    assert weights_and_state(session) == kept


def test_a_stop_right_after_a_broken_step_saves_nothing(tmp_path, tiny):
    method, session = start(tmp_path, "sae")
    step = method.step

    def break_and_stop(*arguments):
        numbers = step(*arguments)
        method.decoder.layers[0].weight.data.fill_(float("nan"))
        os.kill(os.getpid(), signal.SIGINT)
        return numbers

    method.step = break_and_stop
    with pytest.raises(Diverged, match="decoder"):
        go(method, tiny, session, Progress())
    assert session.latest() is None


def test_a_batch_larger_than_the_data(tmp_path, tiny):
    method, session = start(tmp_path, "sae")
    with pytest.raises(Problem, match="batch of 61 is more than the 60"):
        go(method, tiny, session, Progress(), batch_size=61)


def test_every_image_is_seen_once_an_epoch(tmp_path, tiny):
    method, session = start(tmp_path, "sae")
    step, seen = method.step, []

    def look(batch, progress):
        seen.append((batch.images, progress))
        return step(batch, progress)

    method.step = look
    go(method, tiny, session, Progress(), epochs=2)
    images = torch.cat([images for images, _ in seen[:4]])
    ours = {image.numpy().tobytes() for image in tiny.train.batch(slice(0, 60)).images}
    assert {image.numpy().tobytes() for image in images} == ours
    assert [progress for _, progress in seen] == [i / 8 for i in range(8)]


def test_clock():
    assert [clock(s) for s in (0, 59.6, 605, 3700)] == ["0:00", "1:00", "10:05", "1:01:40"]
