"""A classifier that starts from another one's layers."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import SMALL_MODELS, assert_refused, bundled, save_run

import mnist
from mnist.data import DATASETS
from mnist.data.spec import DataSpec
from mnist.data.types import Dataset
from mnist.errors import UserError
from mnist.methods import METHODS, Step

CONVOLUTIONAL = {"lr": 1e-3, "seed": 0}


def half(digits):
    """The bundled images of some digits only, which are its classes."""
    whole = bundled()

    def some(split):
        kept = split.some(torch.isin(split.labels, torch.tensor(digits)))
        return replace(kept, labels=kept.labels - digits[0])

    names = tuple(str(digit) for digit in digits)
    spec = DataSpec(whole.spec.image_shape, names, "digit")
    return Dataset("half", spec, some(whole.train), some(whole.test), "a test")


@pytest.fixture
def second_half(monkeypatch):
    """Digits 5 to 9, as a data set of its own."""
    data = half([5, 6, 7, 8, 9])
    monkeypatch.setitem(DATASETS, "half", lambda data_dir=None: data)
    return data


@pytest.mark.parametrize("model", [SMALL_MODELS["classifier"] | {"layers": 3}, CONVOLUTIONAL])
def test_frozen_layers_stay_and_the_others_learn(tmp_path, second_half, model):
    source = save_run(tmp_path / "first", "classifier", model)
    run = mnist.train(
        "classifier",
        dataset="half",
        epochs=1,
        ckpt_dir=tmp_path / "second",
        from_=str(tmp_path / "first"),
        freeze=2,
    )
    assert run.read(torch.rand(7, 1, 28, 28)).max() < 5
    theirs, ours = (each.classifier.learnt_layers() for each in (source, run.method))
    for before, after in zip(theirs[:2], ours[:2], strict=True):
        for name, tensor in before.state_dict().items():  # running averages, too
            assert torch.equal(after.state_dict()[name], tensor), name
    assert ours[-1].out_features == 5


def test_without_freezing_all_learn_from_where_they_were(tmp_path, second_half):
    source = save_run(tmp_path / "first", "classifier", CONVOLUTIONAL)
    started = METHODS["classifier"](second_half.spec, **CONVOLUTIONAL | {"seed": 5})
    started.start_from(source)
    theirs, ours = source.classifier.learnt_layers(), started.classifier.learnt_layers()
    for before, after in zip(theirs[:-1], ours[:-1], strict=True):
        for mine, its in zip(after.parameters(), before.parameters(), strict=True):
            assert torch.equal(mine, its)
    started.step(second_half.train.batch(slice(40)), Step(0, 0.0))
    for before, after in zip(theirs[:-1], ours[:-1], strict=True):
        assert not torch.equal(next(before.parameters()), next(after.parameters()))


def test_a_run_that_started_so_resumes_without_its_source(run_here, tmp_path):
    save_run(tmp_path / "first", "classifier", SMALL_MODELS["classifier"])
    flags = ("--dataset", "mnist-5k", "--ckpt-dir", "second", "--from", "first", "--freeze", 1)
    assert run_here("mnist-classifier.py", *flags, "--epochs", 1).returncode == 0
    (tmp_path / "first").rename(tmp_path / "gone")
    more = run_here("mnist-classifier.py", *flags, "--epochs", 2)
    assert more.returncode == 0, more.stderr
    config = json.loads((tmp_path / "second/config.json").read_text())
    assert (config["model"]["from_"], config["model"]["freeze"]) == ("first", 1)
    assert config["model"]["layers"] == 2  # taken over


def test_user_errors(run_here, tmp_path):
    save_run(tmp_path / "first", "classifier", SMALL_MODELS["classifier"])
    save_run(tmp_path / "aae", "aae", SMALL_MODELS["aae"])
    for flags, says in {
        ("--freeze", 1): "--freeze says something only with --from",
        ("--from", "first", "--freeze", 2): "--freeze 2 of 2 layers: the last one has to learn",
        ("--from", "nowhere"): "no trained run in nowhere",
        ("--from", "aae"): "--from aae was trained by mnist-aae.py",
        ("--from", "first", "--layers", 5): "first was trained with --layers 2, not 5",
    }.items():
        refused = run_here("mnist-classifier.py", "--dataset", "mnist-5k", *flags)
        assert_refused(refused, says)
    assert {path.name for path in tmp_path.iterdir()} == {"first", "aae"}


def test_images_of_another_size_are_refused():
    kind = METHODS["classifier"]
    small = kind(DataSpec((1, 14, 14), ("0", "1"), "digit"), **CONVOLUTIONAL)
    with pytest.raises(UserError, match="it is of images of 14×14, and these are of 28×28"):
        kind(bundled().spec, **CONVOLUTIONAL).start_from(small)
