"""What is said of a generator as it trains: of which digits its images are, and how varied."""

import csv

import pytest
import torch
from conftest import TRAINING, small
from torch import nn

from mnist.data import load_dataset
from mnist.data.types import Batch
from mnist.methods import Method
from mnist.networks.prior import Gaussian
from mnist.training.checkpoint import Progress
from mnist.training.diagnosis import CLUSTERS, GENERATED, Diagnosis
from mnist.training.loop import save_best
from mnist.training.run_directory import RunDirectory


class Copier(Method):
    """Gives images out that it was given, so that all is known of them."""

    name = "copier"

    def __init__(self, spec, images, **common):
        super().__init__(spec, lr=1.0, **common)
        self.prior = Gaussian(1)
        self.weight = nn.Parameter(torch.zeros(1))
        self.logits = torch.logit(images, 1e-6)
        self.at = 0

    def step(self, batch: Batch, step):
        return {}

    def decode(self, style, labels=None):
        index = torch.linspace(0, len(self.logits) - 1, GENERATED).round().long()
        found = self.logits[index[self.at : self.at + len(style)]]
        self.at = (self.at + len(style)) % GENERATED
        return found

    def summary(self):
        return "copies"


@pytest.fixture(scope="module")
def data():
    return load_dataset("mnist-5k")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A classifier that is good enough for the bundled images."""
    monkeypatch.setattr("mnist.training.diagnosis.READER_STEPS", 60)


@pytest.fixture
def diagnosis(data):
    return Diagnosis(data.train, data.spec, 0)


def seen(diagnosis, data, images):
    method = Copier(data.spec, images)
    return diagnosis.look(method, {"test": data.test})


def test_real_images_are_seen_as_what_they_are(diagnosis, data):
    numbers = seen(diagnosis, data, data.train.batch(slice(None)).images)
    shares = [numbers["generated"][f"share_{digit}"] for digit in range(10)]
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0.08
    assert max(shares) < 0.12
    assert numbers["generated"]["modes"] > 0.95 * CLUSTERS
    assert numbers["test"]["frechet"] < 0.5
    assert diagnosis.collapse(numbers["generated"]) is None


def test_a_generator_of_one_digit_has_collapsed(diagnosis, data):
    ones = data.train.some(data.train.labels == 1)
    numbers = seen(diagnosis, data, ones.batch(slice(None)).images)
    assert numbers["generated"]["share_1"] > 0.95
    assert "generated images are of one digit, 1" in diagnosis.collapse(numbers["generated"])
    assert numbers["test"]["frechet"] > 3


def test_a_generator_of_ten_images_has_collapsed(diagnosis, data):
    first = [int(torch.nonzero(data.train.labels == digit)[0]) for digit in range(10)]
    numbers = seen(diagnosis, data, data.train.batch(torch.tensor(first)).images)
    assert numbers["generated"]["modes"] <= 10
    assert "fall into" in diagnosis.collapse(numbers["generated"])


def test_it_sees_the_same_every_time(diagnosis, data):
    images = data.test.batch(slice(200)).images
    again = Diagnosis(data.train, data.spec, 0)
    assert seen(again, data, images) == seen(diagnosis, data, images)


def test_a_run_says_what_it_makes_and_keeps_its_best(run_here, tmp_path):
    flags = ("--network", "mlp", "--dataset", "mnist-5k", "--epochs", 4, "--keep-best")
    done = run_here("mnist-gan.py", *flags, "--lr", 2e-3, "--ckpt-dir", "run")
    assert done.returncode == 0, done.stderr
    assert "330 held out" in done.stdout
    assert "shares of the classes=" in done.stdout
    rows = [*csv.DictReader((tmp_path / "run/metrics.csv").open())]
    distances = [float(row["held_out_frechet"]) for row in rows]
    best = min(range(4), key=distances.__getitem__)
    (kept,) = (tmp_path / "run/best/checkpoints").iterdir()
    assert kept.name == f"step-{int(rows[best]['step']):08d}"
    made = run_here("generate-all.py", "--ckpt-dir", "run/best", "--output", "some.png")
    assert made.returncode == 0, made.stderr


def test_the_best_epoch_stays_until_a_better_one_comes(tmp_path, tiny):
    method = small("sae", tiny.train)
    config = {"method": "sae", "model": method.config, "training": TRAINING}
    best = RunDirectory(tmp_path / "run/best")
    with RunDirectory(tmp_path / "run") as run_dir:
        run_dir.start(config, [])
        progress, kept = Progress(), []
        for error in (0.3, 0.2, 0.25, 0.1):
            progress.finish_epoch(4, held_out={"mse": error})
            save_best(method, run_dir, progress)
            save_best(method, run_dir, progress)  # as when a run that was killed goes on
            kept.append([folder.name for folder in best.folders()])
    assert kept == [[f"step-{4 * epoch:08d}"] for epoch in (1, 2, 2, 4)]
    assert best.newest().epoch == 4
