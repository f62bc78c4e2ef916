"""Runs of version 0.5.0 open, are resumed, drawn and evaluated.

`runs-0.5.0.zip` holds what that version wrote: an adversarial autoencoder and a classifier with
next to no weights, stopped at step 45 of 80 on the bundled images, and the weights with which its
own training went on to end.
"""

import io
import pickletools
import zipfile

import pytest
import safetensors.torch
import torch
from conftest import ROOT, SMALL_MODELS, TRAINING, bundled
from torch.nn import functional as F

import mnist
from mnist.data.mnist import MNIST
from mnist.methods import METHODS
from mnist.methods.autoencoder import Autoencoder
from mnist.networks import losses
from mnist.networks.discriminator import Discriminator
from mnist.training.checkpoint import Progress
from mnist.training.run_directory import RunDirectory
from mnist.training.validation import validate

ARCHIVE = ROOT / "tests" / "runs-0.5.0.zip"


@pytest.fixture
def old(tmp_path):
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "aae").rename(tmp_path / "mnist2.ckpt")
    (tmp_path / "classifier").rename(tmp_path / "mnist-classifier.ckpt")
    return tmp_path


RUNS = pytest.mark.parametrize(
    ("name", "folder"), [("aae", "mnist2.ckpt"), ("classifier", "mnist-classifier.ckpt")]
)


@RUNS
def test_they_are_resumed_to_the_same_end(old, name, folder, monkeypatch):
    # In two passes, and by torch's cross-entropy, as then: others round otherwise, which 35 steps
    # of Adam make more of.
    monkeypatch.setattr(
        Discriminator,
        "compare",
        lambda network, prior, style, labels: (network(prior), network(style, labels)),
    )

    def rebuilt(autoencoder, style, labels, images):
        logits = autoencoder.decoder(style, labels)
        return F.binary_cross_entropy_with_logits(logits, images), losses.mse(logits, images)

    monkeypatch.setattr(Autoencoder, "rebuilt", rebuilt)
    run = mnist.load(old / folder)
    assert (run.epoch, run.spec) == (1, MNIST)
    run = mnist.train(name, ckpt_dir=old / folder)
    assert run.epoch == 2
    weights, end = run.method.state_dict(), the_end(old, name)
    assert weights.keys() == end.keys()
    for key, tensor in end.items():
        # On the machine that made them they are the same bits.
        torch.testing.assert_close(weights[key], tensor, rtol=1e-3, atol=1e-4)


@RUNS
def test_they_end_as_good_as_then(old, name, folder):
    """As they are resumed today, rounding and all: measured on the test images."""
    run = mnist.train(name, ckpt_dir=old / folder)
    test = bundled().test
    found = validate(run.method, test)
    run.method.load_state_dict(the_end(old, name))
    then = validate(run.method, test)
    headline = run.method.headline
    assert found[headline] == pytest.approx(then[headline], rel=1e-3)


def test_an_option_that_is_no_more(tmp_path):
    """--fast was one of mnist-classifier.py's for a day."""
    method = METHODS["classifier"](MNIST, **SMALL_MODELS["classifier"])
    method.config["fast"] = True
    config = {"method": "classifier", "model": method.config, "training": TRAINING}
    with RunDirectory(tmp_path) as run_dir:
        run_dir.start(config, [])
        run_dir.save(method, Progress())
    opened = mnist.load(tmp_path).method
    assert "fast" not in opened.config
    for ours, theirs in zip(opened.parameters(), method.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def the_end(old, name):
    """The weights with which that version's own training went on to end."""
    return safetensors.torch.load((old / f"{name}-end.safetensors").read_bytes())


@pytest.mark.slow
def test_they_are_drawn_and_evaluated(old, run_here):
    mnist.train("classifier", ckpt_dir=old / "mnist-classifier.ckpt")
    for script, *flags in (
        ("encoder-vis.py", "--output", "a.png"),
        ("encoder-vis.py", "--manifold", "--output", "b.png"),
        ("generate-all.py", "--output", "c.png"),
        ("guide.py", "--digit", 1, "--steps", 20, "--output", "d.png"),
        ("geodesic.py", "--output", "e.png"),
        ("evaluate.py", "--quick"),
    ):
        done = run_here(script, "--feature-size", 2, *flags)
        assert (done.returncode, done.stderr) == (0, ""), script
    assert "read as the digit asked for" in done.stdout


def test_nothing_in_them_is_a_pickle():
    """Neither by itself nor in a zip, as torch.save writes them."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        contents = [archive.read(each) for each in archive.infolist() if not each.is_dir()]
    assert contents
    for content in contents:
        assert not zipfile.is_zipfile(io.BytesIO(content))
        with pytest.raises(ValueError):
            list(pickletools.genops(content))
