"""What tests share: a tiny data set, small networks, and scripts run as a person runs them."""

import functools
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import mnist
from mnist.data import Dataset, Split, load_dataset
from mnist.data.mnist import MNIST
from mnist.methods import METHODS
from mnist.training.checkpoint import Progress
from mnist.training.run_directory import RunDirectory

ROOT = Path(__file__).parent.parent
SMALL = {
    "feature_size": 3,
    "labels": True,
    "prior_std": 1.0,
    "lr": 1e-3,
    "seed": 0,
    "hidden": [16, 8],
}

WHITENED = SMALL | {"components": 12, "of_classes": True, "decoder_scale": 3.0}

SMALL_MODELS = {  # small networks of each method
    "sae": SMALL,
    "aae": SMALL,
    "vae": SMALL,
    "bigan": {"feature_size": 3, "width": 4, "lr": 1e-3, "seed": 0},
    "gan": {"feature_size": 3, "network": "mlp", "hidden": [16, 8], "lr": 1e-3, "seed": 0},
    "categorical_aae": {
        "lr": 1e-3,
        "seed": 0,
        "feature_size": 3,
        "hidden": [16, 8],
        "labelled": 20,
    },
    "classifier": {"lr": 1e-3, "seed": 0, "layers": 2},
}
TRAINING = {"dataset": "tiny", "dataset_sha256": "", "batch_size": 15, "epochs": 3}


def pytest_configure():
    """Signals as they are in a terminal: whoever runs tests in the background has some ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config, items):
    """Tests on the full MNIST run where it is: in $MNIST_DATA_DIR."""
    if os.environ.get("MNIST_DATA_DIR"):
        return
    full = [item for item in items if item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=full)
    items[:] = [item for item in items if item not in full]


@pytest.fixture(autouse=True)
def _seeded():
    """Each test draws the same, whichever run before it in the same process."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _quick_diagnosis(monkeypatch):
    """The classifier that looks at a generator's images learns for a moment only."""
    monkeypatch.setattr("mnist.training.diagnosis.READER_STEPS", 5)


@pytest.fixture(params=list(METHODS))
def method_name(request):
    """Each training method in turn."""
    return request.param


@pytest.fixture
def tiny():
    """60 + 20 images that are blurs about a place which depends on the digit and on chance."""
    generator = torch.Generator().manual_seed(0)

    def digits(count):
        labels = torch.arange(count) % 10
        ticks = torch.arange(28)
        centre = 6 + labels.float() + 4 * torch.rand(count, generator=generator)
        blur = torch.exp(-((ticks[None] - centre[:, None]) ** 2) / 20)
        images = (255 * blur[:, :, None] * blur[:, None, :]).to(torch.uint8)
        return Split(images, labels, writers=torch.arange(count) // 10)

    return Dataset("tiny", MNIST, digits(60), digits(20), "a test")


def small(name, train=None, **changes):
    """A method with small networks, prepared for a training on a split."""
    method = METHODS[name](MNIST, **SMALL_MODELS[name] | changes)
    if train is not None:
        method.prepare(train)
    return method


def save_run(directory, name, model, progress=None):
    """A run of these networks, with their first weights, on the bundled images."""
    method = METHODS[name](MNIST, **model)
    if hasattr(method, "encoder"):
        method.prepare(bundled().train)
        with torch.no_grad():  # so that styles have the prior's spread
            for batch in bundled().train.batches(40):
                method.encode(batch.images, batch.labels)
    training = {"dataset": "mnist-5k", "dataset_sha256": bundled().sha256}
    config = {"method": name, "model": method.config, "training": TRAINING | training}
    with RunDirectory(directory) as run_dir:
        run_dir.start(config, [])
        run_dir.save(method, progress or Progress())
    return method


@functools.cache
def bundled():
    """The bundled data set, read once."""
    return load_dataset("mnist-5k")


def idx(array):
    """An array of bytes, or of big-endian 32-bit integers, in IDX format."""
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    kind = 8 if array.dtype == np.uint8 else 12
    return bytes([0, 0, kind, array.ndim]) + shape + array.tobytes()


def one_line(text):
    """Standard error, seen to be a single line."""
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text


def assert_refused(done, says, code=2):
    """A script ended with that code, said nothing but one line, and that line says this."""
    assert (done.returncode, done.stdout) == (code, "")
    assert says in one_line(done.stderr)


def command(script, *flags):
    """A script with flags, as a list for subprocess."""
    return [sys.executable, str(ROOT / script), *map(str, flags)]


def environment(**changes):
    """The environment without what would change a script's choices."""
    without = ("MNIST_", "DISPLAY", "WAYLAND_DISPLAY", "QT_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(without)}
    return kept | {"PYTHONPATH": str(ROOT)} | changes


@pytest.fixture
def run_script(tmp_path):
    """Run a script in an empty directory; returns the completed process."""

    def run(script, *flags, **changes):
        return subprocess.run(
            command(script, *flags),
            cwd=tmp_path,
            env=environment(**changes),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def run_here(tmp_path, monkeypatch, capsys):
    """The same in this process, which saves the seconds that torch takes to import."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - environment().keys():
        monkeypatch.delenv(name)

    def run(script, *flags):
        monkeypatch.setattr(sys, "argv", [script, *map(str, flags)])
        code = 0
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        output, errors = capsys.readouterr()
        return subprocess.CompletedProcess(flags, code, output, errors)

    return run


def train_small(folder, method, epochs, **changes):
    """Runs in a folder, trained a little on the bundled images: two autoencoders, and a classifier.

    mnist3.ckpt is told the digit, plain2.ckpt is not. `epochs` are of the autoencoders and of the
    classifier, a small perceptron.
    """
    common = {"dataset": "mnist-5k", "batch_size": 100}
    for size, labels, name in ((3, True, "mnist3.ckpt"), (2, False, "plain2.ckpt")):
        options = {"feature_size": size, "labels": labels, "epochs": epochs[0]}
        mnist.train(method, ckpt_dir=folder / name, **common | options | changes)
    options = {"layers": 2, "epochs": epochs[1], "ckpt_dir": folder / "mnist-classifier.ckpt"}
    mnist.train("classifier", **common | options)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A directory with runs good enough to walk in."""
    return train_small(tmp_path_factory.mktemp("trained"), "sae", (4, 6))


def constant_classifier(directory, answer, sha256=None, **changes):
    """A run of a classifier that gives one answer to everything, of the bundled or other images."""
    classifier = METHODS["classifier"](MNIST, **{"lr": 1e-3, "seed": 0, "layers": 1} | changes)
    with torch.no_grad():
        for weights in classifier.parameters():
            weights.zero_()
        classifier.classifier.network[-1].bias[answer] = 1
    training = {"dataset": "mnist-5k", "dataset_sha256": sha256 or bundled().sha256, "epochs": 1}
    config = {"method": "classifier", "model": classifier.config, "training": TRAINING | training}
    rows = [{"epoch": 1, "test_accuracy": 0.1}]
    with RunDirectory(directory) as run_dir:
        run_dir.start(config, rows)
        run_dir.save(classifier, Progress(1, 0, 5, rows))


@pytest.fixture
def run_beside(tmp_path, run_here):
    """Run a script in a directory with copies of a folder's runs."""

    def copy(folder):
        for run in folder.iterdir():
            shutil.copytree(run, tmp_path / run.name)

        def run(script, *flags, size=3):
            return run_here(script, *(["--feature-size", size] if size else []), *flags)

        return run

    return copy


@pytest.fixture
def interrupt_script(tmp_path):
    """Run a script, and send it a signal once it has printed a line that starts as given."""

    def run(script, *flags, after, number=signal.SIGINT):
        with subprocess.Popen(
            command(script, *flags),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            for line in process.stdout:
                if line.startswith(after):
                    process.send_signal(number)
                    break
            deadline = time.monotonic() + 60
            output, errors = process.communicate(timeout=deadline - time.monotonic())
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return run


@pytest.fixture(scope="session")
def screen():
    """The name of a virtual X display that Qt can open, or None where this machine has none.

    It is there until the last test: Qt's one object of the process stays on it.
    """
    if not shutil.which("Xvfb"):
        yield None
        return
    reading, writing = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1200x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(writing)
        with open(reading) as pipe:
            display = f":{pipe.readline().strip()}"
        # Asked of Qt alone: were it our own probe, a bug in that would skip its test.
        opens = "from PyQt5.QtWidgets import QApplication; QApplication([])"
        there = {name: value for name, value in os.environ.items() if name != "QT_QPA_PLATFORM"}
        there |= {"DISPLAY": display, "XDG_RUNTIME_DIR": "/tmp"}
        command = [sys.executable, "-c", opens]
        opened = subprocess.run(command, env=there, stderr=subprocess.DEVNULL)
        yield display if opened.returncode == 0 else None
        server.kill()


@pytest.fixture(scope="module")
def platform(screen):
    """Without a display Qt draws in memory: windows work there too, only nobody could see them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", "/tmp")
        if screen is None:
            patch.setenv("QT_QPA_PLATFORM", "offscreen")
        else:
            patch.delenv("QT_QPA_PLATFORM", raising=False)
            patch.setenv("DISPLAY", screen)
        yield
