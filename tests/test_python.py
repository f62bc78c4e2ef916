"""A trained run from Python: the shapes and ranges it promises, and errors that say what it got."""

import base64
import inspect
import io
import re
import subprocess
import sys

import nbclient
import nbformat
import numpy as np
import pytest
import torch
from conftest import ROOT, SMALL, TRAINING, assert_refused, environment, save_run
from PIL import Image

import mnist
from mnist import data
from mnist.data.mnist import MNIST
from mnist.errors import UserError
from mnist.methods import METHODS, Step
from mnist.training.checkpoint import Progress
from mnist.training.run_directory import RunDirectory


@pytest.fixture(params=[True, False], ids=["labels", "no-labels"])
def run(tmp_path, request, tiny):
    method = METHODS["aae"](MNIST, **SMALL | {"labels": request.param})
    for step in range(5):
        method.step(tiny.train.batch(slice(0, 60)), Step(step, step / 5))
    with RunDirectory(tmp_path) as run_dir:
        run_dir.start({"method": "aae", "model": method.config, "training": TRAINING}, [])
        run_dir.save(method, Progress())
        run_dir.save(method, Progress(step=1))
    return mnist.load(tmp_path)


def test_encode_and_decode(run, tiny):
    batch = tiny.test.batch(slice(0, 20))
    style = run.encode(batch.images, batch.labels)
    assert (style.shape, style.dtype, style.requires_grad) == ((20, 3), torch.float32, False)
    images = run.decode(style, batch.labels)
    assert (images.shape, images.dtype) == ((20, 1, 28, 28), torch.float32)
    assert 0 <= images.min() < images.max() <= 1
    # In evaluation mode an image's style does not depend on its neighbours.
    alone = run.encode(batch.images[:1], batch.labels[:1])
    assert torch.allclose(alone, style[:1], atol=1e-5)


@pytest.mark.parametrize("run", [True], indirect=True)
def test_generated_images_are_as_sharp_as_the_last_epoch_found(run):
    assert run.sharpness == 1  # of runs of earlier versions, and of those not trained yet
    styles = run.prior.sample(3, torch.Generator().manual_seed(0))
    run.sharpness = 2.0
    each, digits = styles.repeat_interleave(10, 0), torch.arange(10).repeat(3)
    for asked, expected in ((None, 2.0), (1.5, 1.5)):
        images = run.decode(each, digits, sharpness=expected)[:, 0]
        generated = run.generate(styles, sharpness=asked).images
        assert np.array_equal(generated, images.mul(255).round().to(torch.uint8).numpy())
    logits = run.method.decoder(each, digits)
    assert torch.equal(run.decode(each, digits, sharpness=2.0), (2 * logits).sigmoid())


def test_decode_gives_images_not_logits(run):
    style, labels = run.prior.sample(4), torch.arange(4)
    assert torch.equal(run.decode(style, labels), run.method.decoder(style, labels).sigmoid())


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(run, tmp_path):
    (tmp_path / "checkpoints" / "step-00000001" / "weights.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"damaged.*step-00000001 \(weights.safetensors"):
        again = mnist.load(tmp_path)
    style = torch.zeros(1, 3)
    assert torch.equal(
        again.decode(style, torch.ones(1, dtype=torch.int64)),
        run.decode(style, torch.ones(1, dtype=torch.int64)),
    )
    assert (tmp_path / "checkpoints" / "step-00000001").exists()  # reading changes nothing


def test_config_is_the_saved_one(run):
    assert run.config["method"] == "aae"
    assert run.config["model"]["feature_size"] == 3


def test_wrong_arguments_are_named(run):
    images, labels, style = torch.rand(2, 1, 28, 28), torch.tensor([0, 9]), torch.zeros(2, 3)
    for bad, says in [
        (torch.rand(2, 28, 28), r"float32 \[2, 28, 28\]; .* \[B, 1, 28, 28\] was expected"),
        (images.double(), "float64"),
        (images.numpy(), "a ndarray"),
        ((255 * images).to(torch.uint8), "uint8"),
        (255 * images, "divide 8-bit pixels by 255"),
        (images * float("nan"), "outside"),
    ]:
        with pytest.raises(ValueError, match=says):
            run.encode(bad, labels)
    for bad, says in [
        (torch.zeros(2, 5), r"\[2, 5\]"),
        (style.double(), "float64"),
        (style * float("nan"), "NaN"),
    ]:
        with pytest.raises(ValueError, match=says):
            run.decode(bad, labels)
    if not run.config["model"]["labels"]:
        assert run.decode(style).shape == (2, 1, 28, 28)
        return
    for bad, says in [
        (None, "give labels"),
        (torch.tensor([0, 10]), "outside 0 to 9"),
        (torch.tensor([0, -1]), "outside 0 to 9"),
        (torch.tensor([1]), r"int64 \[2\] was expected"),
        (torch.zeros(2), "float32"),
    ]:
        with pytest.raises(ValueError, match=says):
            run.decode(style, bad)


def test_no_run_is_named(tmp_path):
    with pytest.raises(UserError, match="no trained run in"):
        mnist.load(tmp_path / "nothing")


def test_a_device_that_is_not_there_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "to", lambda *_: torch.zeros(1).to("no such device"))
    with pytest.raises(UserError, match="cannot use the device 'gpu'"):
        mnist.load(tmp_path, device="gpu")


def blocks_of(page):
    """The Python in a page of documentation."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_documentations_python_runs(tmp_path, monkeypatch, page):
    save_run(tmp_path / "mnist4.ckpt", "aae", SMALL | {"feature_size": 4})
    monkeypatch.chdir(tmp_path)
    blocks = blocks_of(page)
    assert len(blocks) >= 2
    scope = {}
    for block in blocks:
        exec(block, scope)
    assert scope["back"].shape == (10, 4)
    assert scope["images"].shape == (10_000, 28, 28)
    assert scope["styles"].shape == (500, 4)
    assert scope["found"].points.shape == (10, 129, 4)


def test_a_method_and_a_data_set_from_outside(tmp_path, monkeypatch, run_script):
    """docs/extending.md: its blocks run one after the other, and make a file that scripts take."""
    monkeypatch.chdir(tmp_path)
    blocks, scope = blocks_of("docs/extending.md"), {"__name__": "mine"}
    try:
        for block in blocks:
            exec(block, scope)
    finally:
        METHODS.pop("denoising", None)
        data.DATASETS.pop("small-digits", None)
    assert scope["styles"].shape == (100, 4)
    assert scope["run"].config["model"]["noise"] == 0.2

    method, images, _, script = blocks
    (tmp_path / "mine.py").write_text("\n\n".join((method, images, script)))
    own = [sys.executable, "mine.py", "--dataset", "small-digits", "--epochs", "1"]
    options = {"cwd": tmp_path, "env": environment(), "capture_output": True, "text": True}
    done = subprocess.run([*own, "--feature-size", "2"], **options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "DENOISING, an autoencoder that sees images through noise" in done.stdout
    helped = " ".join(subprocess.run([*own, "--help"], **options).stdout.split())
    assert "standard deviation of the noise on each pixel (default: 0.3)" in helped
    flags = ("--ckpt-dir", "denoising2.ckpt", "--output", "a.npz")
    refused = run_script("generate-all.py", *flags, MNIST_IMPORT="mine.py")
    assert_refused(refused, "denoising2.ckpt (denoising) has no prior, so that it cannot generate")
    refused = run_script("generate-all.py", *flags)
    assert_refused(refused, "unknown method 'denoising': name the .py file")


def test_importing_the_package_is_instant():
    """The child asserts, and `check` passes its failure on."""
    code = "import sys, mnist; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), check=True)


def test_public_functions_are_documented_and_typed():
    from mnist import files
    from mnist.commands import flags, tools
    from mnist.data import scan
    from mnist.evaluation import handwriting, metrics
    from mnist.figures import plotting
    from mnist.latent import curves, geodesics, guidance, manifold, maps, two_covariance
    from mnist.networks import losses
    from mnist.training import checkpoint
    from mnist.training.run import Run

    modules = (checkpoint, data, files, flags, losses, metrics, mnist, plotting, scan, tools)
    latent = (curves, geodesics, guidance, manifold, maps, two_covariance)
    classes = (two_covariance.TwoCovariance, Run)
    for owner in (*modules, *latent, handwriting, *classes, checkpoint.Checkpoint, RunDirectory):
        for name, item in inspect.getmembers(owner, inspect.isfunction):
            if name.startswith("_") or item.__module__ != getattr(
                owner, "__module__", owner.__name__
            ):
                continue
            assert item.__doc__, name
            signature = inspect.signature(item)
            named = [p for p in signature.parameters.values() if p.name != "self"]
            assert all(p.annotation is not p.empty for p in named), name
            assert name == "__init__" or signature.return_annotation is not signature.empty, name


def test_a_notebook_trains_and_shows_a_picture(tmp_path):
    """One cell: progress by callback, nothing printed, and a figure of the run as its output."""
    cell = """
import matplotlib.pyplot as plt
import mnist

rows = []
run = mnist.train(
    "aae", dataset="mnist-5k", feature_size=2, epochs=2, hidden=[16], discriminator_hidden=[16],
    ckpt_dir="notebook.ckpt", progress=rows.append,
)
assert [row["epoch"] for row in rows] == [1, 2]
plt.imshow(run.generate(count=3).images.reshape(3, 10, 28, 28).swapaxes(1, 2).reshape(84, 280))
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    client = nbclient.NotebookClient(notebook, timeout=100)
    client.execute(cwd=str(tmp_path), env=environment())
    outputs = notebook.cells[0].outputs
    assert not [each.text for each in outputs if each.output_type == "stream"]
    (picture,) = (each.data["image/png"] for each in outputs if "image/png" in each.get("data", {}))
    shown = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert min(shown.size) > 100
    assert len(np.unique(np.asarray(shown.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    assert (tmp_path / "notebook.ckpt" / "metrics.csv").exists()
