"""export.py: files that other programs read, equal to the run; model cards; bad input."""

import json
import re
import subprocess
import sys

import onnxruntime
import pytest
import safetensors.torch
import torch
from conftest import ROOT, SMALL, SMALL_MODELS, WHITENED, assert_refused, one_line, save_run

import mnist
from mnist.commands import export
from mnist.data import DataSpec
from mnist.methods import METHODS

SCRIPT = "export.py"
OTHERS = {  # networks of other kinds
    "whitened": ("aae", WHITENED),
    "unconditional": ("aae", SMALL | {"labels": False}),
    "point": ("aae", SMALL | {"posterior": "deterministic"}),
    "convolutional": ("aae", SMALL | {"network": "convolutional", "width": 4}),
    "spectral": ("sae", SMALL | {"code": "l2", "smoothness": "spectral"}),
    "squashed": ("sae", SMALL | {"code": "sigmoid"}),
    "radial": ("vae", SMALL | {"decoder_variance": "rbf", "likelihood": "gaussian"}),
    "cgan": ("gan", SMALL_MODELS["gan"] | {"condition": "cgan", "network": "convolutional"}),
    "acgan": ("gan", SMALL_MODELS["gan"] | {"condition": "acgan"}),
    "infogan": ("gan", SMALL_MODELS["gan"] | {"condition": "infogan"}),
    "clusters": ("categorical_aae", {"feature_size": 3, "hidden": [16, 8], "clusters": 12}),
    "outliers": ("classifier", SMALL_MODELS["classifier"] | {"outliers": True}),
}


@pytest.fixture
def run(tmp_path):
    """A small AAE."""
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    return mnist.load(tmp_path / "mnist3.ckpt")


def asked(run, count=7):
    """Styles, labels and images, not those that export.py checks by."""
    rng = torch.Generator().manual_seed(77)
    labels = torch.randint(run.spec.classes, (count,), generator=rng)
    style = run.prior.sample(count, rng) if run.can_generate else None
    return style, labels, torch.rand(count, *run.spec.image_shape, generator=rng)


def expected(run):
    """What the run answers, by network."""
    style, labels, images = asked(run)
    answers = {}
    if run.can_generate:
        answers["decoder"] = [run.decode(style, labels, sharpness=1.5)]
    if run.has_encoder:
        answers["encoder"] = [*run.posterior(images, labels)][: 1 + run.has_posterior]
    if hasattr(run.method, "classify"):
        answers["classifier"] = [run.classifier(images)]
    return answers


def given(run, network):
    """The same as inputs by name."""
    style, labels, images = asked(run)
    inputs = {"images": images}
    if network == "decoder":
        inputs = {"style": style, "sharpness": torch.tensor(1.5)}
    if run.conditional and network != "classifier":
        inputs["labels"] = labels
    return inputs


def by_onnx(folder, network, inputs):
    session = onnxruntime.InferenceSession(folder / f"{network}.onnx")
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    return [torch.from_numpy(array) for array in session.run(None, arrays)]


def by_torch(folder, network, inputs):
    return torch.export.load(folder / f"{network}.pt2").module()(**inputs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*METHODS, *OTHERS])
def test_all_networks_answer_as_the_run_does(tmp_path, run_here, kind):
    name, model = OTHERS.get(kind) or (kind, SMALL_MODELS[kind])
    save_run(tmp_path / "a.ckpt", name, model)
    run, folder = mnist.load(tmp_path / "a.ckpt"), tmp_path / "out"
    done = run_here(SCRIPT, "--ckpt-dir", "a.ckpt", "--onnx", "--torch-export", "--output", folder)
    assert (done.returncode, done.stderr) == (0, "")
    answers = expected(run)
    files = {f"{network}.{suffix}" for network in answers for suffix in ("onnx", "pt2")}
    assert {path.name for path in folder.iterdir()} == files | {"README.md"}
    for network, ours in answers.items():
        for call in (by_onnx, by_torch):
            theirs = call(folder, network, given(run, network))
            for one, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "kind", [*METHODS, *(pytest.param(kind, marks=pytest.mark.slow) for kind in OTHERS)]
)
def test_the_weights_build_the_same_networks(tmp_path, run_here, kind):
    name, model = OTHERS.get(kind) or (kind, SMALL_MODELS[kind])
    save_run(tmp_path / "a.ckpt", name, model)
    run, folder = mnist.load(tmp_path / "a.ckpt"), tmp_path / "a.ckpt" / "export"
    done = run_here(SCRIPT, "--ckpt-dir", "a.ckpt", "--safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    config = json.loads((folder / "config.json").read_text())
    assert config.keys() == {"method", "model", "data", "versions"}
    method = METHODS[config["method"]](
        DataSpec.from_config(config["data"]), **config["model"] | {"seed": 99}
    )
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    assert not [key for key in weights if key.startswith("discriminator")] or kind == "acgan"
    method.load_state_dict(weights, strict=False)
    method.eval()
    style, labels, images = asked(run)
    if run.can_generate:
        assert torch.equal(method.decode(style, labels).sigmoid(), run.decode(style, labels))
    if run.has_encoder:
        encoded = method.encode(images, labels)
        mean = encoded.mean if run.has_posterior else encoded
        assert torch.equal(mean, run.encode(images, labels))


@pytest.mark.slow
def test_the_model_cards_lines_of_python_run(run, run_here, tmp_path):
    flags = ("--onnx", "--torch-export", "--safetensors")
    done = run_here(SCRIPT, "--feature-size", 3, *flags)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "mnist3.ckpt" / "export"
    card = (folder / "README.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(programs) == 3
    for program in programs:
        path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        shape = "\nanswer = answer[0] if isinstance(answer, (tuple, list)) else answer\n"
        code = path + program + shape + "print(tuple(answer.shape))"
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
        )
        assert result.stdout == "(2, 1, 28, 28)\n"
    assert "Not evaluated" in card
    assert "CC BY-SA 3.0" in card


def test_a_model_card_has_the_evaluation_of_its_epoch(run, run_here, tmp_path):
    numbers = {"ckpt_dir": "mnist3.ckpt", "class_word": "digit", "mse": 0.0123}
    place = tmp_path / "mnist3.ckpt" / "evaluation.json"
    cards = []
    for epochs in (run.epoch, run.epoch + 1):
        about = {"judge_accuracy": 0.99, "judge": "j", "judge_network": "n", "seed": 0}
        counts = {"train_images": 1, "test_images": 1, "dataset": "mnist-5k"}
        found = numbers | about | counts | {"epochs": epochs}
        place.write_text(json.dumps(found))
        cards.append(export.evaluation_of(run, place.parent))
    assert "0.0123" in cards[0]
    assert cards[1] == export.NOT_EVALUATED


@pytest.mark.parametrize("flag", [pytest.param("--onnx", marks=pytest.mark.slow), "--torch-export"])
def test_a_network_that_torch_cannot_export_is_refused(tmp_path, run_here, flag):
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL | {"posterior": "universal"})
    done = run_here(SCRIPT, "--feature-size", 3, flag, "--output", "out")
    assert_refused(done, "torch cannot export this run's encoder")
    assert {path.name for path in tmp_path.iterdir()} == {"mnist3.ckpt"}
    assert run_here(SCRIPT, "--feature-size", 3, "--safetensors").returncode == 0


def test_a_file_that_is_off_is_not_left(run, run_here, tmp_path, monkeypatch):
    load = torch.export.load

    def slightly_wrong(path):
        loaded = load(path)
        for weights in loaded.state_dict.values():
            weights.data *= 1.001
        return loaded

    monkeypatch.setattr(torch.export, "load", slightly_wrong)
    done = run_here(SCRIPT, "--feature-size", 3, "--torch-export", "--output", "out")
    assert_refused(done, "and is not written")
    assert {path.name for path in tmp_path.iterdir()} == {"mnist3.ckpt"}


def test_what_is_there_is_kept(run, run_here, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    done = run_here(SCRIPT, "--feature-size", 3, "--safetensors", "--output", "out")
    assert_refused(done, "there is a directory of that name already")
    assert run_here(SCRIPT, "--feature-size", 3, "--safetensors").returncode == 0
    assert_refused(run_here(SCRIPT, "--feature-size", 3, "--safetensors"), "is there already")


def test_bad_input(run, run_here, tmp_path, monkeypatch):
    assert_refused(run_here(SCRIPT, "--feature-size", 3), "--onnx, --torch-export or --safetensors")
    assert_refused(run_here(SCRIPT, "--ckpt-dir", "none", "--onnx"), "no trained run in none")
    output = ("--output", "no/where")
    assert_refused(run_here(SCRIPT, "--feature-size", 3, "--onnx", *output), "no directory no")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = run_here(SCRIPT, "--feature-size", 3, "--onnx")
    assert_refused(done, "--onnx needs onnxruntime: pip install -r onnx-requirements.txt")


def test_a_full_disk_leaves_nothing(run, run_here, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    done = run_here(SCRIPT, "--feature-size", 3, "--safetensors")
    assert done.returncode == 2
    assert "cannot write mnist3.ckpt/export" in one_line(done.stderr)
    assert not list((tmp_path / "mnist3.ckpt").glob("*export*"))
