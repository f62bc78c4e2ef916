"""The scripts, run as a person runs them, on the 5,000 bundled images."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

import pandas as pd
import pytest
import safetensors.torch
from conftest import ROOT, assert_refused, environment, one_line
from PIL import Image

import mnist
from mnist.training import run_directory

TRAINING = ("mnist-sae.py", "mnist-aae.py")
SCRIPTS = (
    *TRAINING,
    "mnist-vae.py",
    "mnist-bigan.py",
    "mnist-gan.py",
    "mnist-classifier.py",
    "mnist-sweep.py",
    "encoder-vis.py",
    "generate-all.py",
    "guide.py",
    "geodesic.py",
    "evaluate.py",
)
SHORT = ("--dataset", "mnist-5k", "--batch-size", 200, "--epochs", 2, "--log-every", 10)
LINES = """\
[Epoch 1 Batch 10] Training: mse=0.
[Epoch 1 Batch 20] Training: mse=0.
[Epoch 1] Training:
  AutoEncoder: mse=0.
  GaussDiscriminator: actual gauss detection accuracy=0.
  GaussDiscriminator: feature space detection accuracy=0.
[Epoch 1] Validation:
  AutoEncoder: mse=0.
  GaussDiscriminator: feature space satisfaction accuracy=0.
  Style: worst KS distance to the prior=0.
  test images written to mnist4.ckpt/samples/epoch-001.png
""".splitlines()


def weights_sha256(directory):
    newest = max((directory / "checkpoints").glob("step-*"))
    return hashlib.sha256((newest / "weights.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_defaults_and_an_example_without_torch(script):
    code = (
        "import runpy, sys; sys.argv = [sys.argv[1], '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "slow = {'torch', 'numpy', 'pandas', 'sklearn', 'tqdm', 'matplotlib', 'PyQt5'}\n"
        "assert not slow & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / script)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert f"example: ./{script}" in said
    size = {"mnist-classifier.py": None, "mnist-bigan.py": 100, "mnist-gan.py": 64}.get(script, 4)
    assert size is None or f"(default: {size})" in said
    aae = script == "mnist-aae.py"  # which trains another method, too
    places = {
        "mnist-aae.py": "mnistN.ckpt, labelledN.ckpt, clustersN.ckpt",
        "mnist-vae.py": "vaeN.ckpt",
        "mnist-bigan.py": "biganN.ckpt",
        "mnist-gan.py": "gan-N-N.ckpt",
        "mnist-classifier.py": "mnist-classifier.ckpt",
        "mnist-sweep.py": "sweep",
    }.get(script, "mnistN.ckpt")
    assert f"(default: {places})" in said
    epochs = "; with --labelled or --clusters: 12 and 60" if aae else ""
    trains = script.startswith("mnist-") and script != "mnist-sweep.py"
    assert (f"others by their number{epochs})" in said) == trains


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_executable_and_tell_their_version(script, run_script):
    assert os.access(ROOT / script, os.X_OK)
    done = run_script(script, "--version")
    assert (done.returncode, done.stdout) == (0, f"mnist-style {mnist.__version__}\n")


def test_scripts_start_patient_and_end_without_a_last_look_for_garbage():
    code = """
import atexit, gc, os
atexit.register(lambda: print(gc.get_freeze_count() > 0))  # the first in is the last out
from mnist.commands.arguments import Parser, main
main(Parser("a tool", ""), lambda given: print(os.environ["GOMP_SPINCOUNT"]))
"""
    started = [sys.executable, "-c", code]
    usual = {
        k: v for k, v in environment().items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    for given, expected in ({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"):
        done = subprocess.run(started, env=usual | given, capture_output=True, text=True)
        assert done.stdout.split() == [expected, "True"], done.stderr


def test_a_run_from_start_to_use(run_script, run_here, tmp_path):
    done = run_script("mnist-aae.py", *SHORT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    printed = done.stdout.splitlines()
    assert "4,000 training and 1,000 test images" in printed[1]
    first = printed.index(next(line for line in printed if line.startswith("[Epoch 1 Batch")))
    for line, expected in zip(printed[first:], LINES, strict=False):
        assert line.startswith(expected)
    assert printed.count("Model parameters and trainer state saved.") == 2

    run = tmp_path / "mnist4.ckpt"
    config = json.loads((run / "config.json").read_text())
    assert config["training"]["dataset"] == "mnist-5k"
    assert config["model"]["feature_size"] == 4
    assert {"torch", "python", "mnist-style"} <= config["versions"].keys()
    assert pd.read_csv(run / "metrics.csv")["epoch"].tolist() == [1, 2]
    with Image.open(run / "samples" / "epoch-002.png") as picture:
        assert picture.width > 20 * 56 + 24  # with the digits at the right
        assert picture.convert("L").getextrema() == (0, 255)

    again = run_script("mnist-aae.py")  # the data set and all else come from the run
    assert again.returncode == 0
    assert "already trained to epoch 2; give a larger --epochs to go on" in again.stdout

    more = run_script("mnist-aae.py", "--epochs", 3)
    assert more.returncode == 0
    assert "continuing mnist4.ckpt from epoch 3, batch 1" in more.stdout
    assert pd.read_csv(run / "metrics.csv")["epoch"].tolist() == [1, 2, 3]

    for flags, says in [
        (("--feature-size", 5, "--ckpt-dir", "mnist4.ckpt"), "--feature-size 4, not 5"),
        (("--dataset", "mnist"), "--dataset mnist-5k, not mnist"),
        (("--no-labels",), "trained with labels"),
        (("--seed", 1), "--seed 0, not 1"),
    ]:
        before = weights_sha256(run)
        refused = run_here("mnist-aae.py", *flags)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert says in one_line(refused.stderr)
        assert weights_sha256(run) == before
    refused = run_here("mnist-sae.py")
    assert refused.returncode == 2
    assert "was trained by mnist-aae.py" in one_line(refused.stderr)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_stopped_and_continued_equals_undisturbed(run_script, interrupt_script, tmp_path, number):
    flags = (*SHORT[:4], "--epochs", 3, "--log-every", 2, "--feature-size", 2)
    straight = run_script("mnist-aae.py", *flags, "--ckpt-dir", "straight")
    assert straight.returncode == 0, straight.stderr
    stopped = interrupt_script(
        "mnist-aae.py", *flags, "--ckpt-dir", "stopped", after="[Epoch 2 Batch 2]", number=number
    )
    assert stopped.returncode == 128 + number
    assert "saved stopped/checkpoints/step-000000" in one_line(stopped.stderr)
    assert weights_sha256(tmp_path / "stopped") != weights_sha256(tmp_path / "straight")
    continued = run_script("mnist-aae.py", *flags, "--ckpt-dir", "stopped")
    assert "continuing stopped from epoch 2, batch" in continued.stdout
    assert weights_sha256(tmp_path / "stopped") == weights_sha256(tmp_path / "straight")
    csv = "metrics.csv"
    assert (tmp_path / "stopped" / csv).read_bytes() == (tmp_path / "straight" / csv).read_bytes()


def test_usr1_saves_and_the_run_goes_on(interrupt_script, tmp_path):
    done = interrupt_script(
        "mnist-sae.py", *SHORT[:4], "--epochs", 2, "--log-every", 1, "--keep", 9,
        after="[Epoch 1 Batch 3]", number=signal.SIGUSR1,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\[Epoch 1 Batch \d+\] saved mnist4.ckpt/checkpoints/step-", done.stdout)
    assert len(list((tmp_path / "mnist4.ckpt" / "checkpoints").iterdir())) == 3


def test_a_run_in_use_is_refused(run_script, tmp_path):
    flags = ("--dataset", "mnist-5k", "--epochs", 1000)
    with subprocess.Popen(
        [sys.executable, str(ROOT / "mnist-sae.py"), *map(str, flags)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        for line in first.stdout:
            if line.startswith("Model parameters"):
                break
        second = run_script("mnist-aae.py", *flags)
        assert (second.returncode, second.stdout) == (2, "")
        says = f"mnist4.ckpt is in use by process {first.pid} on {os.uname().nodename}"
        assert says in one_line(second.stderr)
        first.kill()
    third = run_script("mnist-sae.py", "--epochs", 1)
    assert (third.returncode, third.stderr) == (0, "")
    assert "already trained to epoch" in third.stdout


def test_damage_is_warned_of_and_its_place_is_taken(run_here, tmp_path):
    flags = ("--dataset", "mnist-5k", "--epochs", 2)
    assert run_here("mnist-sae.py", *flags).returncode == 0
    run = tmp_path / "mnist4.ckpt"
    whole, table = weights_sha256(run), (run / "metrics.csv").read_bytes()
    _, newest = sorted((run / "checkpoints").iterdir())
    os.truncate(newest / "trainer.safetensors", 1000)
    again = run_here("mnist-sae.py", *flags)
    assert again.returncode == 0, again.stderr
    warning = one_line(again.stderr)
    assert warning.startswith("warning: damaged, and set aside: mnist4.ckpt/checkpoints/step-")
    assert "trainer.safetensors does not match" in warning
    assert "continuing mnist4.ckpt from epoch 2, batch 1" in again.stdout
    assert weights_sha256(run) == whole
    assert (run / "metrics.csv").read_bytes() == table

    for folder in (run / "checkpoints").iterdir():
        (folder / "manifest.json").unlink(missing_ok=True)
    refused = run_here("mnist-sae.py", *flags)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "no checkpoint in mnist4.ckpt/checkpoints is whole" in one_line(refused.stderr)


def test_a_full_disk_ends_with_4(run_script, tmp_path):
    """A limit on the size of files stands for a disk with that much room."""
    flags = ("--dataset", "mnist-5k", "--epochs", 1)
    assert run_script("mnist-sae.py", *flags).returncode == 0
    run = tmp_path / "mnist4.ckpt"
    changing = {
        run / name for name in (".lock", "config.json", "train.log", "samples/epoch-002.png")
    }

    def files():
        return {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p not in changing}

    kept = files()
    code = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    full = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "mnist-sae.py"), "--epochs", "2"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert full.returncode == 4, full.stderr
    assert "cannot save to mnist4.ckpt/checkpoints/step-" in one_line(full.stderr)
    assert "File too large" in full.stderr
    assert files() == kept
    assert run_script("mnist-sae.py", "--epochs", 2).returncode == 0


def test_a_read_only_directory_ends_with_4(run_here, tmp_path, monkeypatch):
    """The file system's answer is put into `open`'s mouth: the tests may run as root, whom no
    permission stops, and where nothing can be mounted (crash.py mounts one where it may)."""
    assert run_here("mnist-sae.py", "--dataset", "mnist-5k", "--epochs", 1).returncode == 0
    run = tmp_path / "mnist4.ckpt"
    kept = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(run_directory, "open", refuse, raising=False)
    refused = run_here("mnist-sae.py", "--epochs", 2)
    assert_refused(refused, "cannot write to mnist4.ckpt (Read-only file system)", code=4)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == kept


def test_aae_goes_on_from_an_sae(run_here, tmp_path):
    flags = ("--dataset", "mnist-5k", "--epochs", 1, "--no-labels", "--feature-size", 2)
    assert run_here("mnist-sae.py", *flags).returncode == 0
    refused = run_here("mnist-aae.py", "--feature-size", 3, "--ckpt-dir", "mnist2.ckpt")
    assert "--feature-size 2, not 3" in one_line(refused.stderr)
    done = run_here(
        "mnist-aae.py", "--dataset", "mnist-5k", "--epochs", 1, "--feature-size", 2, "--lr", "1e-9"
    )
    assert done.returncode == 0, done.stderr
    assert "from the autoencoder that mnist-sae.py trained to epoch 1" in done.stdout
    assert "now in mnist2.ckpt/sae" in done.stdout
    old, new = (
        safetensors.torch.load_file(max(p.glob("checkpoints/step-*")) / "weights.safetensors")
        for p in (tmp_path / "mnist2.ckpt" / "sae", tmp_path / "mnist2.ckpt")
    )
    learned = [name for name in old if name.endswith((".weight", ".bias"))]
    assert len(learned) == 12  # three layers each of encoder and decoder
    for name in learned:  # at that learning rate they hardly moved
        assert (old[name] - new[name]).abs().max() < 1e-6, name
    assert any(key.startswith("discriminator.") for key in new)


def test_an_aae_that_dies_at_once_is_still_on_its_sae(run_here, tmp_path):
    assert run_here("mnist-sae.py", *SHORT, "--epochs", 1).returncode == 0
    refused = run_here("mnist-aae.py", "--dataset", "mnist")
    assert "--dataset mnist-5k, not mnist" in one_line(refused.stderr)
    # As a kill between moving the SAE away and the first save leaves it.
    run = tmp_path / "mnist4.ckpt"
    (run / "sae").mkdir()
    shutil.copy(run / "config.json", run / "sae")
    for item in ("metrics.csv", "checkpoints"):
        (run / item).rename(run / "sae" / item)
    assert run_here("mnist-aae.py", *SHORT, "--lr", "1e30").returncode == 3
    start = safetensors.torch.load_file(run / "checkpoints/step-00000000/weights.safetensors")
    sae = max((run / "sae" / "checkpoints").glob("step-*")) / "weights.safetensors"
    for name, tensor in safetensors.torch.load_file(sae).items():
        assert (start[name] == tensor).all(), name


def test_a_terminal_shows_a_bar_with_losses_and_remaining_time(tmp_path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
    flags = [*map(str, SHORT), "--ckpt-dir", str(tmp_path / "run")]
    with subprocess.Popen(
        [sys.executable, str(ROOT / "mnist-aae.py"), *flags],
        env=environment(),
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how the end of a terminal is told
            while chunk := os.read(ours, 4096):
                shown += chunk
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "Epoch 2/2" in text
    assert re.search(r"\d\d:\d\d left.*reconstruction=0\.\d+.*discriminator=.*adversarial=", text)
    # A line per epoch; in the file, all that is printed where there is no terminal.
    assert re.search(
        r"\[Epoch 2\] mse=0\.\d+, test mse=0\.\d+; \d+\.\d s an epoch, 0:00 to go", text
    )
    assert "[Epoch 2] Validation:" not in text
    lines = (tmp_path / "run" / "train.log").read_text().splitlines()
    assert lines[-1].startswith("Done: ")
    assert lines.count("[Epoch 2] Validation:") == 1
    assert sum("worst KS distance" in line for line in lines) == 2


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_costs_nothing(tmp_path, number):
    """The terminal goes first, then the signal comes, as it does when its window is closed."""
    ours, theirs = pty.openpty()
    flags = [*map(str, SHORT[:4]), "--epochs", "500", "--log-every", "1"]
    with subprocess.Popen(
        [sys.executable, str(ROOT / "mnist-sae.py"), *flags],
        cwd=tmp_path,
        env=environment() | {"PYTHONUNBUFFERED": ""},  # as for most people
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"[Epoch 1]" not in shown:
            shown += os.read(ours, 4096)
        os.close(ours)
        checkpoints = tmp_path / "mnist4.ckpt" / "checkpoints"
        deadline = time.monotonic() + 60
        while len([*checkpoints.glob("step-*")]) < 2 and time.monotonic() < deadline:
            assert process.poll() is None  # it trains on
            time.sleep(0.2)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    progress = max((tmp_path / "mnist4.ckpt" / "checkpoints").iterdir()) / "progress.json"
    assert json.loads(progress.read_text())["epoch"] >= 2


def test_warnings_that_nobody_reads_end_nothing():
    code = "from mnist.errors import warn; warn('once'); warn('twice')"
    with subprocess.Popen(
        [sys.executable, "-c", "input(); " + code],
        cwd=ROOT,
        env=environment() | {"PYTHONUNBUFFERED": ""},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stderr.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_reader_that_leaves_does_not_end_a_run(tmp_path):
    flags = [*map(str, SHORT), "--ckpt-dir", "run"]
    with subprocess.Popen(
        [sys.executable, str(ROOT / "mnist-sae.py"), *flags],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert pd.read_csv(tmp_path / "run" / "metrics.csv")["epoch"].tolist() == [1, 2]


def test_auto_says_why_it_takes_the_bundled_images(run_script, tmp_path):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('built for another torch')")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    done = run_script("mnist-sae.py", "--epochs", 1, "--quiet", PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (0, "")
    warning = one_line(done.stderr)
    assert warning.startswith("warning: training on the 5,000 bundled images")
    assert "built for another torch" in warning
    named = run_script("mnist-sae.py", "--dataset", "mnist", "--ckpt-dir", "x", PYTHONPATH=path)
    assert named.returncode == 2
    assert "built for another torch" in one_line(named.stderr)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--feature-size", "0"), "--feature-size: '0' is not a whole number of at least 1"),
        (("--feature-size", "four"), "--feature-size"),
        (("--epochs", "-1"), "--epochs"),
        (("--batch-size", "1"), "--batch-size: '1' is not a whole number of at least 2"),
        (("--lr", "nan"), "--lr: 'nan' is not a number above zero"),
        (("--lr", "0"), "--lr"),
        (("--prior-std", "-1"), "--prior-std"),
        (("--seed", "-1"), "--seed"),
        (("--dataset", "cifar"), "no data set named 'cifar'"),
        (("--precision", "fp8"), "--precision"),
        (("--frobnicate",), "--frobnicate"),
        (("--device", "cuda"), "--device cuda was given, but torch finds none"),
        (("--dataset", "mnist-5k", "--cuda-graph"), "--cuda-graph needs a GPU, and this is"),
        (("--dataset", "mnist-5k", "--writers-weight", "0.1"), "only with --writers: give both"),
        (
            ("--dataset", "mnist-5k", "--posterior", "deterministic", "--rate-weight", "1"),
            "--rate-weight says something only with --posterior gaussian",
        ),
        (("--dataset", "mnist-5k", "--batch-size", "4001"), "give a smaller --batch-size"),
        (("--dataset", "mnist-5k", "--ckpt-dir", "/proc/run"), "cannot write to /proc/run"),
        (("--dataset", "mnist", "--data-dir", "damaged"), "damaged/train-images-idx3-ubyte"),
        (("--data-dir", "damaged"), "damaged/train-images-idx3-ubyte"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(run_here, tmp_path, flags, says, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "train-images-idx3-ubyte").write_bytes(b"nothing of the kind")
    done = run_here("mnist-aae.py", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    line = one_line(done.stderr)
    assert line.startswith("mnist-aae.py: error: ")
    assert says in line
    assert [p.name for p in tmp_path.iterdir()] == ["damaged"]


def test_a_traceback_on_request(run_script):
    done = run_script(
        "mnist-aae.py", "--dataset", "mnist", "--data-dir", "/dev/null", MNIST_TRACEBACK="1"
    )
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mnist-aae.py: error: ")


def test_divergence_ends_with_3(run_here, tmp_path):
    done = run_here("mnist-sae.py", *SHORT, "--lr", "1e30")
    assert done.returncode == 3
    assert "in epoch 1, batch" in one_line(done.stderr)
    assert not any((tmp_path / "mnist4.ckpt" / "checkpoints").iterdir())


@pytest.mark.slow
@pytest.mark.full
def test_two_epochs_on_the_full_set(run_script, tmp_path):
    done = run_script(
        "mnist-aae.py", "--epochs", 2, MNIST_DATA_DIR=os.path.abspath(os.environ["MNIST_DATA_DIR"])
    )
    assert done.returncode == 0, done.stderr
    assert "60,000 training and 10,000 test images" in done.stdout
    numbers = pd.read_csv(tmp_path / "mnist4.ckpt" / "metrics.csv").iloc[-1]
    # After a whole training it is 0.022; the mean image of each digit would give 0.053.
    assert numbers["test_mse"] < 0.035
    assert numbers["test_ks"] < 0.25


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--ckptdir", "x"), "did you mean --ckpt-dir?"),
        (("--feature-sise=4",), "did you mean --feature-size=4?"),
        (("run.ckpt",), "did you mean --ckpt-dir run.ckpt?"),
    ],
)
def test_a_mistyped_flag_is_guessed(run_here, tmp_path, flags, says):
    (tmp_path / "run.ckpt").mkdir()
    done = run_here("evaluate.py", *flags)
    assert done.returncode == 2
    assert says in one_line(done.stderr)


def test_a_bug_of_ours_shows_where_it_is(run_here, monkeypatch):
    def broken(*_):
        raise KeyError("oops")

    monkeypatch.setattr("mnist.training.plan.choose_device", broken)
    done = run_here("mnist-sae.py")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "KeyError: 'oops'" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mnist-sae.py: this is a bug of mnist-style ")


def test_a_directory_of_other_things_is_not_trained_into(run_here, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("")
    done = run_here("mnist-sae.py", "--dataset", "mnist-5k", "--ckpt-dir", "docs")
    assert_refused(done, "docs holds no run, but page.md: name a new --ckpt-dir")
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["page.md"]
    tool = run_here("generate-all.py", "--ckpt-dir", "docs", "--output", "a.png")
    assert_refused(tool, "docs holds no run, but page.md: name the --ckpt-dir of one")


def test_a_missing_run_is_advised_by_its_size(run_here):
    done = run_here("encoder-vis.py", "--feature-size", 2, "--output", "a.png")
    assert_refused(done, "train one first, as with ./mnist-aae.py --feature-size 2")
