"""What images and classes of a data set are, and that nothing else takes them for granted."""

import ast
import dataclasses
import re

import pytest
import torch
from conftest import ROOT

from mnist.data import Dataset, DataSpec, Split, to_bytes
from mnist.data.mnist import MNIST
from mnist.data.types import from_bytes
from mnist.errors import UserError
from mnist.training.run import balanced_sample

LETTERS = DataSpec((3, 20, 24), ("A", "B", "trouser", "8"), "letter")


def test_classes_are_named_by_name_or_index():
    assert [LETTERS.label(text) for text in ("A", "b", "Trouser", "8", "0", "3")] == [
        *(0, 1, 2, 3, 0, 3)
    ]
    assert [MNIST.label(str(digit)) for digit in range(10)] == [*range(10)]
    for text in ("C", "4", "-1", "", "1.5", "٣"):
        with pytest.raises(
            UserError, match=r"there is no letter .*: it is one of A, B, trouser, 8"
        ):
            LETTERS.label(text)


def test_of_many_classes_some_are_named():
    many = DataSpec((1, 8, 8), tuple(f"class {i}" for i in range(62)))
    with pytest.raises(UserError, match=r"class 10, \.\.\., or its index from 0 to 61"):
        many.label("class 62")


def test_articles():
    said = [DataSpec((1, 1, 1), (name,)).named(0) for name in ("8", "5", "A", "B", "ankle boot")]
    assert said == ["an 8", "a 5", "an A", "a B", "an ankle boot"]


def test_a_configuration_gives_it_back():
    assert DataSpec.from_config(LETTERS.as_config()) == LETTERS
    for change in ({"image_shape": [3, 20]}, {"image_shape": [1, 0, 3]}, {"class_names": [1, 2]}):
        with pytest.raises(ValueError, match="are none"):
            DataSpec.from_config(LETTERS.as_config() | change)


@pytest.mark.parametrize("shape", [(5, 20, 24), (5, 20, 24, 3)])
def test_images_go_to_networks_and_back(shape):
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    batch = Split(images, torch.zeros(5, dtype=torch.int64)).batch(slice(None))
    channels = 3 if len(shape) == 4 else 1
    assert batch.images.shape == (5, channels, 20, 24)
    assert torch.equal(to_bytes(batch.images), images)
    assert torch.equal(from_bytes(images), batch.images)


def test_a_batch_says_which_images_and_writers_it_has():
    split = Split(
        torch.zeros(6, 2, 2, dtype=torch.uint8), torch.arange(6), torch.arange(6) + 100
    ).some(torch.tensor([5, 3, 1, 0]))
    batch = split.batch(torch.tensor([2, 0]))
    assert batch.labels.tolist() == [1, 5]
    assert batch.index.tolist() == [2, 0]
    assert batch.writers.tolist() == [101, 105]
    assert split.batch(slice(1, None, 2)).index.tolist() == [1, 3]


def test_the_last_images_of_each_class_are_held_out():
    labels = torch.tensor([0] * 80 + [1] * 20)
    split = Split(torch.arange(100, dtype=torch.uint8).view(-1, 1, 1), labels)
    dataset = Dataset("x", LETTERS, split, split, "a test").hold_out(10)
    assert dataset.held_out.images.flatten().tolist() == [*range(72, 80), 98, 99]
    assert dataset.train.images.flatten().tolist() == [*range(72), *range(80, 98)]


def test_a_sample_of_unbalanced_classes_is_as_even_as_they_let_it():
    labels = torch.tensor([0] * 50 + [1] * 3 + [2] * 47)
    chosen = balanced_sample(labels, 33, seed=0)
    assert torch.bincount(labels[chosen]).tolist() == [15, 3, 15]
    assert len(set(chosen.tolist())) == 33
    assert balanced_sample(labels, 100, seed=0).tolist() == [*range(100)]
    with pytest.raises(UserError, match="there are 100 images, and a sample of 101"):
        balanced_sample(labels, 101, seed=0)


def test_a_data_set_elsewhere_has_its_own_specification():
    split = Split(torch.zeros(1, 2, 2, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    one = Dataset("x", LETTERS, split, split, "here")
    assert dataclasses.replace(one, source="there").spec == LETTERS


# Numbers that belong to MNIST, in the code that serves every data set. Elsewhere they may mean
# something of their own, which is then said here.
MNISTS = {10, 28, 784}
ALLOWED = {
    "commands/encoder_vis.py": {10},  # dimensions in one figure, images to a side of a map
    "commands/explored.py": {10},  # classes of a geodesic, images in a row
    "commands/generate_all.py": {10},  # pictures in a row
    "evaluation/handwriting.py": {10},  # nearest writers, images of one
    "data/augment.py": {10},  # a slope
    "networks/fitted.py": {10},  # components of a mixture
    "methods/aae.py": {28},  # epochs
    "methods/categorical_aae.py": {10},  # dimensions of a style
    "figures/animation.py": {10},  # milliseconds to a hundredth of a second
    "figures/display.py": {10},  # seconds to wait for an answer
    "figures/explorer_panels.py": {10},  # classes in two rows, steps of an arrow key
    "figures/explorer_parts.py": {10},  # page steps of a slider
    "figures/plotting.py": {10},  # points and inches
    "figures/sheets.py": {10},  # screen pixels, and few classes
    "networks/sharpness.py": {10},  # steps of a bisection
    "training/log.py": {10},  # batches between two looks
    "training/plan.py": {10},  # steps of an epoch of few images
    "training/samples.py": {10},  # classes of which two images are shown
    "data/mnist.py": MNISTS,
    "data/scan.py": MNISTS,  # makes an image such as MNIST's
    "data/bundled.py": MNISTS,
    "data/download.py": {10},  # seconds
}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "mnist").rglob("*.py")), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_no_number_of_mnists_stands_elsewhere(path):
    numbers = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and type(node.value) is int
    }
    name = path.relative_to(ROOT / "mnist").as_posix()
    assert numbers & MNISTS <= ALLOWED.get(name, set())


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((ROOT / "mnist").rglob("*.py")) if path.parent.name != "methods"],
    ids=lambda p: f"{p.parent.name}/{p.stem}",
)
def test_no_method_is_named_outside_its_room(path):
    text = path.read_text()
    code = {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not code & {"sae", "aae"}
    assert not re.search(r"METHODS\[\"|\b(SAE|AAE)\(", text)
