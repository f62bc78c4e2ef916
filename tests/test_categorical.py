"""Class and style told apart: with few labels, with none, and as heads."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SMALL_MODELS, assert_refused, small

from mnist.networks import losses
from mnist.networks.averaging import moving_average
from mnist.networks.categorical import apart
from mnist.networks.encoder import Standardise
from mnist.networks.layers import statistics_kept
from mnist.training.checkpoint import Progress
from mnist.training.log import Report
from mnist.training.loop import train
from mnist.training.plan import as_seen
from mnist.training.run_directory import RunDirectory

FLAGS = ("--dataset", "mnist-5k", "--hidden", "16", "--epochs", 2)
PARTS = ("--no-labels", "--feature-size", 2, "--prior", "mixture", "--guide-labels", 50)


def trained_on(dataset, directory):
    """The state of a small semi-supervised method after an epoch of these images."""
    method = small("categorical_aae")
    with RunDirectory(directory) as run_dir:
        run_dir.start({"method": method.name, "model": method.config, "training": {}}, [])
        train(
            method,
            as_seen(dataset, {}, method),
            run_dir,
            Progress(),
            epochs=1,
            batch_size=15,
            seed=0,
            log_every=2,
            report=Report(method.headline, quiet=True),
        )
    return method.state_dict()


def test_labels_that_are_not_known_are_not_read(tiny, tmp_path, monkeypatch):
    """Those of all other images are shuffled, and the same weights come of it."""
    count = SMALL_MODELS["categorical_aae"]["labelled"]
    few = tiny.train.with_few_labels(count, 0)
    unknown = torch.nonzero(few.labels < 0)[:, 0]
    labels = tiny.train.labels.clone()
    labels[unknown] = labels[unknown[torch.randperm(len(unknown))]]
    assert (labels != tiny.train.labels).any()
    shuffled = replace(tiny, train=replace(tiny.train, labels=labels))

    def conceal(split, asked, seed):  # the choice itself goes by the labels: each class is in it
        assert asked == count
        return replace(split, labels=torch.where(few.labels < 0, few.labels, split.labels))

    monkeypatch.setattr("mnist.data.types.Split.with_few_labels", conceal)
    one, other = trained_on(tiny, tmp_path / "one"), trained_on(shuffled, tmp_path / "other")
    assert all(torch.equal(one[name], other[name]) for name in one)


# One is enough for `make test`; the others are as slow, some twenty seconds each.
@pytest.mark.parametrize(
    ("flags", "part_word"),
    [
        (("--clusters", 4), "cluster"),
        pytest.param(("--labelled", 20), None, marks=pytest.mark.slow),
        pytest.param(("--labelled", "all"), None, marks=pytest.mark.slow),
        pytest.param(
            ("--labelled", 20, "--heads", "--feature-size", 2), "head", marks=pytest.mark.slow
        ),
    ],
)
def test_each_trains_goes_on_and_is_used(run_here, tmp_path, flags, part_word):
    there = "--ckpt-dir", "a.ckpt"
    done = run_here("mnist-aae.py", *FLAGS, *flags, *there)
    assert done.returncode == 0, done.stderr
    assert "accuracy=" in done.stdout
    assert ": CATEGORICAL AAE, " in done.stdout
    done = run_here("mnist-aae.py", "--epochs", 3, *there)
    assert done.returncode == 0, done.stderr
    for command in (
        ("generate-all.py", "--output", "all.png", "--seed", 0),
        ("generate-all.py", "--output", "all.npz", "--count", 3),
        ("generate-all.py", "--output", "all", "--count", 3),
        ("encoder-vis.py", "--output", "scatter.png"),
        ("encoder-vis.py", "--manifold", "--output", "map.png"),
    ):
        done = run_here(*command, *there)
        assert done.returncode == 0, (command, done.stderr)
        assert (tmp_path / command[command.index("--output") + 1]).exists()
    shown = [*range(4 if "--clusters" in flags else 10)] * 3
    with np.load(tmp_path / "all.npz") as arrays, open(tmp_path / "all" / "index.csv") as file:
        table = list(csv.DictReader(file))
        assert len(arrays["images"]) == len(table) == len(shown)
        if part_word:
            assert list(arrays["parts"]) == [int(row[part_word]) for row in table] == shown
        else:
            assert "parts" not in arrays
            assert list(arrays["labels"]) == [int(row["digit"]) for row in table] == shown
    assert [row["file"] for row in table[:2]] == ["000000-0.png", "000000-1.png"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--labelled", 7), "7 labelled images: give at least one for each of 10 classes"),
        (("--labelled", 70_000), "at most 4,000, which there are"),
        (("--clusters", 1), "'1' is not a whole number of at least 2"),
        (("--labelled", 20, "--clusters", 4), "give either --labelled K or --clusters C"),
        (("--clusters", 4, "--labelled-batch", 9), "--labelled-batch says something only with --l"),
        (
            ("--clusters", 4, "--vat-radius", 1),
            "--vat-radius says something only with --vat-weight",
        ),
        (
            ("--prior", "ring", "--feature-size", 2, "--rate-weight", 1),
            "only with --prior gaussian",
        ),
        (("--guide-labels", 50, "--prior", "ring", "--feature-size", 2), "only with --no-labels"),
        (("--class-shares", "1,2"), "--class-shares says something only with --guide-labels"),
        (
            (*PARTS, "--class-shares", "1,2"),
            "--class-shares: 2 for 10 classes",
        ),
        ((*PARTS, "--class-shares", "1,0"), "'1,0' is not a list of numbers above zero"),
        (("--labelled", 20, "--patience", 2), "--patience goes by the labels of images held out"),
        (("--labelled", 20, "--keep-best"), "--keep-best goes by the labels of images held out"),
        (("--labelled", 20, "--prior", "ring"), "--prior says nothing with --labelled"),
        (("--heads",), "--heads says something only with --labelled or --clusters"),
        (("--no-labels", "--labelled", 20), "--no-labels says nothing with --labelled"),
    ],
)
def test_bad_input(run_here, tmp_path, flags, says):
    done = run_here("mnist-aae.py", *FLAGS, *flags, "--ckpt-dir", "a.ckpt")
    assert_refused(done, says)
    assert not (tmp_path / "a.ckpt").exists()


def test_an_option_of_another_method_is_refused_for_a_run_that_is_there(run_here):
    assert run_here("mnist-aae.py", *FLAGS, "--clusters", 4, "--ckpt-dir", "a.ckpt").returncode == 0
    done = run_here("mnist-aae.py", "--prior", "mixture", "--ckpt-dir", "a.ckpt")
    assert_refused(done, "--prior says nothing with the run in a.ckpt")


def test_clusters_are_no_digits(run_here):
    assert run_here("mnist-aae.py", *FLAGS, "--clusters", 4, "--ckpt-dir", "a.ckpt").returncode == 0
    assert run_here("mnist-sae.py", *FLAGS, "--ckpt-dir", "b.ckpt").returncode == 0
    flags = "--digit", 9, "--ckpt-dir", "b.ckpt", "--classifier", "a.ckpt"
    assert_refused(run_here("guide.py", *flags), "--classifier a.ckpt cannot classify")


def test_entropies():
    sure = 100 * torch.eye(4)
    of_each, of_batch = losses.entropies(sure)
    assert of_each.item() == pytest.approx(0, abs=1e-6)
    assert of_batch.item() == pytest.approx(math.log(4))
    of_each, of_batch = losses.entropies(sure[:1].expand(5, 4))
    assert of_batch.item() == pytest.approx(0, abs=1e-6)
    of_each, of_batch = losses.entropies(torch.zeros(3, 4))
    assert of_each.item() == pytest.approx(math.log(4))


def test_a_cluster_is_of_the_class_of_its_surest_image():
    """By hand; in single precision the first two would be as sure as each other."""
    logits = torch.tensor([[18.0, 0], [30, 0], [2, 0], [0, 5], [0, 1]])
    labels = torch.tensor([3, 7, 7, 1, 7])
    assert losses.cluster_accuracy(logits, labels).item() == pytest.approx(3 / 5)


def test_heads_are_as_far_apart_as_they_are_to_be():
    for size in (2, 10):
        heads = apart(torch.rand(10, size, generator=torch.Generator().manual_seed(0)), 6.0)
        assert torch.nn.functional.pdist(heads).min() >= 6


def test_an_average_begins_as_the_mean():
    numbers = torch.tensor([4.0, 6.0, 11.0, 2.0])
    average = numbers[:1].clone()  # as `AveragedModel` begins
    for steps, number in enumerate(numbers[1:], start=1):
        average = moving_average(0.99)(average, number, torch.tensor(steps))
    assert average.item() == pytest.approx(numbers.mean().item())
    later = moving_average(0.75)(average, torch.tensor(0.0), torch.tensor(1000))
    assert later.item() == pytest.approx(0.75 * average.item())
    assert moving_average(0.9)(torch.tensor(3), torch.tensor(4), torch.tensor(3)).item() == 4


@pytest.mark.parametrize("kind", [torch.nn.BatchNorm1d, Standardise])
def test_statistics_are_kept(kind):
    norm = kind(2)
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    count = before.pop("num_batches_tracked")
    with statistics_kept(torch.nn.Sequential(norm)):
        norm(torch.randn(5, 2) + 3)
    assert all(torch.equal(norm.state_dict()[name], before[name]) for name in before)
    norm(torch.randn(5, 2) + 3)
    assert norm.running_mean.min() > 0.1
    assert norm.num_batches_tracked > count
