"""Several processes that train one run: what one gives, whoever dies."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, environment, idx
from in_shares import CASES, FLOAT32

from mnist.data import load_dataset
from mnist.data.on_disk import ImageFile, OnDisk
from mnist.networks import shares
from mnist.networks.layers import BatchNorm2d
from mnist.training import processes
from mnist.training.processes import Lent
from mnist.training.run_directory import RunDirectory
from mnist.training.signals import Signals

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
SMALL = ["--dataset", "mnist-5k", "--hidden", "16,8", "--precision", "fp32", "--ckpt-dir", "run"]


@pytest.fixture
def together(tmp_path):
    """Start a script in so many processes; a `Popen`."""

    def start(count, script, *flags, **more):
        return subprocess.Popen(
            [*TORCHRUN, str(count), str(ROOT / script), *map(str, flags)],
            cwd=tmp_path,
            env=environment() | {"OMP_NUM_THREADS": "1"} | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def ended(job, seconds=100):
    """A job once it has ended: exit code, output, and what the script itself said of errors."""
    out, errors = job.communicate(timeout=seconds)
    ours = [line for line in errors.splitlines() if line.startswith("mnist-")]
    assert "Traceback" not in errors.split("torch/distributed")[0], errors
    return job.returncode, out, ours


def newest(directory):
    return RunDirectory(directory).newest()


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_steps_are_those_of_one_process(tmp_path, count):
    script = [str(ROOT / "tests" / "in_shares.py"), str(tmp_path / "found.json")]
    subprocess.run([*TORCHRUN, str(count), *script], check=True, env=environment())
    found = json.loads((tmp_path / "found.json").read_text())
    different, same = found.pop("states")
    assert different == same == [[same[0][0], 10]] * count  # the first's state and number
    assert found.keys() == CASES.keys()
    for case, numbers in found.items():
        limit = 1e-4 if case in FLOAT32 else 1e-9
        assert numbers.pop("validation") == 0, case
        assert max(numbers.values()) < limit, (case, numbers)


@pytest.mark.slow
def test_a_run_is_that_of_one_process_and_goes_on_with_any_number(tmp_path, together):
    vae = ["mnist-vae.py", *SMALL, "--epochs"]
    for epochs in (1, 2, 3, 4):
        assert ended(together(1, *vae, epochs))[0] == 0
    one = newest(tmp_path / "run")
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    (tmp_path / "run").rename(tmp_path / "one")
    for epochs, count in enumerate([2, 1, 4, 3], 1):
        code, out, errors = ended(together(count, *vae, epochs))
        assert (code, out.count("Done:")) == (0, 1), (out, errors)
        assert (f"{count} processes" in out) == (count > 1)
    several = newest(tmp_path / "run")
    for name, weights in one.weights.items():
        assert torch.allclose(several.weights[name], weights, atol=1e-5), name
    for theirs, ours in zip(
        rows[1:], (tmp_path / "run" / "metrics.csv").read_text().splitlines()[1:], strict=True
    ):
        numbers = [np.array(row.split(","), float) for row in (theirs, ours)]
        assert np.allclose(*numbers, rtol=1e-3)


def test_one_that_lost_another_is_not_stopped_before_it_says_so():
    """torchrun stops it a tenth of a second later, wherever it then is."""
    before = {number: signal.getsignal(number) for number in (*Signals.STOP, signal.SIGUSR1)}
    try:
        with pytest.raises(shares.PeerLost), Signals():
            raise shares.PeerLost("has died")
        for number in before:
            signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_one_that_is_killed_ends_the_others(tmp_path, together, victim):
    aae = ["mnist-aae.py", *SMALL, "--save-every", 1, "--log-every", 1]
    with together(2, *aae, "--epochs", 60) as job:
        for line in job.stdout:
            if "saved" in line:
                break
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        os.kill(int(children[victim]), signal.SIGKILL)
        began = time.monotonic()
        code, _, errors = ended(job, 30)
    assert code != 0
    assert time.monotonic() - began < 30
    assert [line for line in errors if "has died" in line] == errors
    assert errors
    there = newest(tmp_path / "run")
    assert there.damaged == {}
    code, out, _ = ended(together(1, *aae, "--epochs", there.epoch + 1))
    assert code == 0
    assert f"continuing run from epoch {there.epoch + 1}" in out


@pytest.mark.slow
def test_a_signal_to_torchrun_saves_and_stops_all(tmp_path, together):
    with together(2, "mnist-aae.py", *SMALL, "--log-every", 1, "--epochs", 60) as job:
        for line in job.stdout:
            if line.startswith("[Epoch 1 Batch 3]"):
                break
        job.terminate()
        _, _, errors = ended(job, 30)
    (line,) = errors  # of the first process alone
    saved = re.fullmatch(
        r"mnist-aae.py: stopped by SIGTERM: .* saved run/checkpoints/(.*); .*", line
    )
    assert newest(tmp_path / "run").folder.name == saved[1]


@pytest.mark.slow
def test_errors_are_said_once(tmp_path, together):
    for flags, said in (
        (["--dataset", "no-such"], "no data set named 'no-such'"),
        (["--dataset", "mnist-5k", "--batch-size", 5000], "a batch of 5,000 is more than"),
        (["--dataset", "mnist-5k", "--hidden", "0"], "'0' is not a list"),
        (["--dataset", "mnist-5k", "--lr", "1e30", "--epochs", 3], "try a smaller --lr"),
    ):
        code, _, errors = ended(together(2, "mnist-aae.py", *flags, "--ckpt-dir", "run"))
        assert code != 0
        assert [said in line for line in errors] == [True], errors
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "letter.txt").write_text("")
    code, _, errors = ended(together(2, "mnist-aae.py", "--ckpt-dir", "new"))
    assert [line.endswith("name a new --ckpt-dir") for line in errors] == [True]


def test_a_sweep_is_not_for_torchrun(tmp_path, monkeypatch, run_here):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = run_here("mnist-sweep.py", "--seeds", "0-1")
    assert (done.returncode, done.stderr) == (
        2,
        "mnist-sweep.py: error: a sweep starts its processes itself: give it without torchrun\n",
    )


@pytest.mark.slow
def test_processes_that_do_not_come_together(tmp_path):
    lost = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "no-such-host.invalid"}
    flags = ["--dataset", "mnist-5k", "--ckpt-dir", "run"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "mnist-aae.py"), *flags],
        cwd=tmp_path,
        env=environment() | lost,
        capture_output=True,
        text=True,
        timeout=60,
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, line.startswith("mnist-aae.py: error: the 2 processes do not")) == (
        2,
        True,
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_images_on_disk_are_seen_once_an_epoch_by_several(tmp_path, together):
    """Of a set that is larger than what may be in memory, as from memory and by one process."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (400, 9, 7), np.uint8)
    for kind, numbers in (("images-idx3", images), ("labels-idx1", np.arange(400) % 3)):
        content = idx(numbers.astype(np.uint8))
        (tmp_path / f"some-{kind}-ubyte").write_bytes(content)
    (tmp_path / "seen.py").write_text(
        "import os\n"
        "from mnist.data import on_disk\n"
        "from mnist.methods import METHODS\n"
        "on_disk.IN_MEMORY = int(os.environ['IN_MEMORY'])\n"
        "step = METHODS['vae'].step\n"
        "def told(self, batch, at):\n"
        "    with open(f'seen-{os.environ.get(\"RANK\", 0)}', 'a') as file:\n"
        "        print(*batch.index.tolist(), file=file)\n"
        "    return step(self, batch, at)\n"
        "METHODS['vae'].step = told\n"
    )
    images_in_batches = len(load_dataset(str(tmp_path)).train) // 36 * 36
    weights = []
    for count, limit in ((2, 0), (2, 2**30), (1, 2**30)):
        code, _, errors = ended(
            together(
                count,
                "mnist-vae.py",
                *("--dataset", tmp_path, "--batch-size", 36, "--epochs", 1, "--hidden", 16),
                *("--precision", "fp32", "--ckpt-dir", f"run-{count}-{limit}"),
                MNIST_IMPORT="seen.py",
                IN_MEMORY=str(limit),
            )
        )
        assert code == 0, errors
        seen = [(tmp_path / f"seen-{rank}").read_text().split() for rank in range(count)]
        assert all(numbers == seen[0] for numbers in seen)
        assert len(set(seen[0])) == len(seen[0]) == images_in_batches
        for rank in range(count):
            (tmp_path / f"seen-{rank}").unlink()
        weights.append(newest(tmp_path / f"run-{count}-{limit}").weights)
    for name, expected in weights[0].items():
        assert torch.equal(weights[1][name], expected)
        assert torch.allclose(weights[2][name], expected, atol=1e-5)


def test_lent_images_are_shared_memory(tmp_path):
    images = torch.randint(0, 256, (5, 4, 3), dtype=torch.uint8)
    lent = Lent(tmp_path / "images", images)
    one, other = lent.borrow(), lent.borrow()
    assert torch.equal(one, images)
    one[2] = 7
    assert torch.equal(other[2], one[2])


def test_images_are_lent_in_memory_where_there_is_room(monkeypatch, tmp_path, tiny):
    monkeypatch.setattr(processes, "SHARED_MEMORY", tmp_path)
    size = 80 * 28 * 28
    for free, there in ((2 * size, False), (2 * size + 1, True)):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(processes.shutil, "disk_usage", lambda path, usage=usage: usage)
        assert (processes.room_for(tiny) == tmp_path) == there
    monkeypatch.setattr(processes, "SHARED_MEMORY", tmp_path / "none")
    assert processes.room_for(None) == Path(tempfile.gettempdir())


def test_images_on_disk_can_be_sent_to_another_process(tmp_path):
    (tmp_path / "images").write_bytes(bytes(2) + bytes(range(60)))
    images = OnDisk(ImageFile(tmp_path / "images", 2, (5, 4, 3)))[torch.tensor([3, 1])]
    sent = pickle.loads(pickle.dumps(images))
    assert torch.equal(sent.read(), images.read())


def test_alone_nothing_is_shared():
    assert (shares.rank(), shares.count(), shares.together()) == (0, 1, False)
    assert shares.largest([3, 0]) == [3, 0]
    with shares.rows_shared():
        assert not shares.State.shared
    slopes = [torch.ones(3)]
    assert shares.added_up(slopes) is slopes
    assert shares.shared_out("abc", lambda at, each: (at, each)) == [(0, "a"), (1, "b"), (2, "c")]


def test_a_batch_normalisation_of_one_share_is_torchs(monkeypatch):
    images = torch.randn(40, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    ours, torchs = BatchNorm2d(3).double(), torch.nn.BatchNorm2d(3).double()
    found = []
    for norm, within in ((ours, True), (torchs, False)):
        monkeypatch.setattr(shares.State, "within", within)
        monkeypatch.setattr(shares.Total, "apply", lambda part: part)
        normal = norm(images)
        (slopes,) = torch.autograd.grad(normal.square().mul(images).sum(), images)
        found.append([normal, slopes, norm.running_mean, norm.running_var])
    for ours, expected in zip(*found, strict=True):
        assert torch.allclose(ours, expected)
