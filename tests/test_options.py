"""A constructor's signature is configuration, flags, defaults and help at once."""

import inspect
from pathlib import Path
from typing import Annotated, Literal

import pytest
import torch
from conftest import SMALL_MODELS
from torch import nn

import mnist
from mnist.data.mnist import MNIST
from mnist.methods import METHODS
from mnist.methods.base import Method
from mnist.options import (
    KINDS,
    Count,
    Positive,
    Share,
    attribute_in,
    configuration,
    options_in,
    options_of,
)

FOLDER = Path(mnist.__file__).parent / "methods"


def test_the_source_says_what_the_class_does(method_name):
    """--help reads the one, training the other."""
    assert options_in(FOLDER, method_name) == options_of(METHODS[method_name])
    assert attribute_in(FOLDER, method_name, "epochs") == METHODS[method_name].epochs


def test_a_count_or_all():
    kind = KINDS["CountOrAll"]
    assert [kind.parse(text) for text in ("1", "70", "all")] == [1, 70, "all"]
    for text in ("0", "none", "1.5"):
        with pytest.raises(ValueError, match="a whole number of at least 1, or all"):
            kind.parse(text)


def test_an_option_without_annotation_is_named(tmp_path):
    source = 'class Some:\n    name = "some"\n    def __init__(self, *, size=3): ...\n'
    (tmp_path / "some.py").write_text(source)
    option = options_in(tmp_path, "some")["size"]
    with pytest.raises(TypeError, match="the option size is annotated as nothing"):
        _ = option.kind


def test_every_option_is_explained_and_its_default_is_allowed(method_name):
    for option in options_of(METHODS[method_name]).values():
        assert option.help, option.name
        if option.default is not inspect.Parameter.empty:
            option.check(option.default)


def test_what_options_were_in_earlier_runs_is_allowed_and_not_their_default(method_name):
    options = options_of(METHODS[method_name])
    for name, value in METHODS[method_name].earlier.items():
        options[name].check(value)
        assert value != options[name].default, name


def test_a_config_is_all_options_and_rebuilds_each(method_name):
    """With other values than the defaults, so that one that is forgotten is missed."""
    options = options_of(METHODS[method_name])
    others = {
        "feature_size": 2,
        "labels": False,
        "prior_std": 2.0,
        "hidden": [7, 6],
        "activation": "relu",
        "components": 5,
        "decoder_scale": 2.0,
        "of_classes": True,
        "warm_up": 0.25,
        "fast": True,
        "lr": 0.5,
        "seed": 9,
        "precision": "bf16",
        "prior": "mixture",
        "guide_labels": 20,
        "class_shares": [0.5, *[1.0] * 9],
        "posterior": "deterministic",
        "rate_weight": 0.125,
        "writers": True,
        "writers_weight": 0.25,
        "discriminator_decay": 0.75,
        "discriminator_beta2": 0.5,
        "adversarial_weight": 0.7,
        "ramp": 0.25,
        "discriminator_steps": 3,
        "discriminator_lr": 0.125,
        "discriminator_hidden": [5],
        "labelled": 40,
        "clusters": None,  # which goes without labels only
        "heads": True,
        "heads_apart": 3.0,
        "independent": False,
        "classification_weight": 0.5,
        "labelled_batch": 7,
        "vat_weight": 0.5,
        "vat_radius": 1.5,
        "distort": 1.5,
        "neighbour_weight": 0.25,
        "entropy_weight": 0.5,
        "balance_weight": 0.75,
        "noise": 0.1,
        "averaging": 0.5,
        "batch_norm": False,
        "beta": 2.0,
        "likelihood": "gaussian",
        "decoder_variance": "rbf",
        "centres": 5,
        "centres_width": 0.5,
        "centres_from": 0.25,
        "code": "l2",
        "code_weight": 0.25,
        "smoothness": "spectral",
        "smoothness_weight": 0.25,
        "width": 8,
        "consistency_weight": 0.5,
        "spectral": False,
        "from_": "another.ckpt",
        "freeze": 1,
        "loss": "wgan-gp",
        "condition": "acgan",
        "momentum": 0.25,
        "critic_steps": 3,
        "mismatch": 0.5,
        "information_weight": 0.5,
        "invariance_weight": 0.5,
        "layers": 3,
        "blocks": 2,
        "padded": False,
        "outliers": True,
    }
    if network := options.get("network"):
        others["network"] = "mlp" if network.default == "convolutional" else "convolutional"
    given = {name: others[name] for name in options}
    same = [name for name, option in options.items() if given[name] == option.default]
    assert set(same) <= {"clusters"}
    method = METHODS[method_name](MNIST, **given)
    assert method.config == given
    assert METHODS[method_name](MNIST, **method.config).config == given


class Stranger(Method):
    """Written without `from __future__ import annotations`.

    Args:
        size: of something.
        share: of something else,
            explained on two lines.
    """

    name = "stranger"

    def __init__(
        self,
        spec,
        *,
        size: Count | None = None,
        share: Share = 0.5,
        mode: Literal["a", "b"] = "a",
        lr: Positive = 0.25,
        **common,
    ):
        super().__init__(spec, lr=lr, **common)
        self.layer = nn.Linear(1, 1)

    def step(self, batch, step):
        return {"loss": torch.zeros(())}

    def summary(self):
        return ""


def test_evaluated_annotations_are_read_too():
    options = options_of(Stranger)
    assert options["size"].annotation == "Count | None"
    assert options["share"].help == "of something else, explained on two lines"
    assert options["mode"].choices == ("a", "b")
    assert options["lr"].default == 0.25
    assert options["lr"].help == options_of(Method)["lr"].help
    assert Stranger(MNIST, size=3).config["size"] == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("size", value) for value in (0, -1, 1.5, "3", True, 2**32)],
        *[("share", value) for value in (-0.1, 1.1, "x", float("nan"), None)],
        *[("lr", value) for value in (0, -1.0, float("inf"), False)],
        *[("mode", value) for value in ("c", "", None)],
    ],
)
def test_values_that_are_not_allowed_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*, not "):
        Stranger(MNIST, **{name: value})


def test_unknown_options_are_named(method_name):
    with pytest.raises(TypeError, match="has no option feature_sise"):
        configuration(METHODS[method_name], {"feature_sise": 3})


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("Count", "3", 3),
        ("Whole", "0", 0),
        ("Positive", "1e-3", 1e-3),
        ("Share", "1", 1.0),
        ("Sizes", "512,256", [512, 256]),
    ],
)
def test_texts_are_read(kind, text, value):
    assert KINDS[kind].parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [("Count", "0"), ("Whole", "-1"), ("Positive", "nan"), ("Share", "2"), ("Sizes", "3,,4")],
)
def test_texts_that_are_not_allowed_are_named(kind, text):
    with pytest.raises(ValueError, match=f"'{text}' is not "):
        KINDS[kind].parse(text)


def test_annotations_are_their_types():
    assert Count == Annotated[int, "Count"]


def test_a_ramp_of_zero_is_no_ramp(tiny):
    from mnist.methods import Step

    method = METHODS["aae"](MNIST, **SMALL_MODELS["aae"] | {"ramp": 0.0})
    numbers = method.step(tiny.train.batch(slice(0, 20)), Step(0, 0.0))
    assert all(torch.isfinite(number) for number in numbers.values())
