#!/usr/bin/env python3
"""How good this project is beside its peers: same data, size of the latent, and training time.

Trains this project's AAE and SAE, and pythae's Adversarial_AE, VAE and WAE_MMD, all in one run and
one after the other; evaluates all by the functions of evaluate.py; and prints what stands in
docs/benchmarks.md. What is trained and measured is kept below --runs, so that an interrupted run
goes on where it stopped. Needs the full MNIST in $MNIST_DATA_DIR, and benchmarks/requirements.txt.

example: MNIST_DATA_DIR=... python benchmarks/peers.py > docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from judge import judge
from machine import machine
from torch import Tensor
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pythae import models, trainers  # noqa: E402
from pythae.data.datasets import BaseDataset  # noqa: E402

import mnist  # noqa: E402
from mnist.commands.evaluate import subject_of  # noqa: E402
from mnist.data import (  # noqa: E402
    Dataset,
    DataSpec,
    load_dataset,
)
from mnist.data.mnist import MNIST  # noqa: E402
from mnist.evaluation.measure import Subject, measure  # noqa: E402
from mnist.methods import METHODS  # noqa: E402
from mnist.methods.base import Method  # noqa: E402
from mnist.networks.layers import mlp  # noqa: E402
from mnist.networks.player import Player  # noqa: E402
from mnist.networks.prior import Gaussian  # noqa: E402
from mnist.networks.random import seeded  # noqa: E402
from mnist.networks.sharpness import fit_sharpness, sharpen  # noqa: E402
from mnist.options import Count, Positive  # noqa: E402
from mnist.training.checkpoint import Progress  # noqa: E402
from mnist.training.log import Report  # noqa: E402
from mnist.training.loop import train  # noqa: E402
from mnist.training.plan import usual_epochs  # noqa: E402
from mnist.training.run import Run  # noqa: E402
from mnist.training.run_directory import RunDirectory  # noqa: E402

PEER_BATCH = 100  # pythae's own choice for MNIST
# By which test MSE was lowest after five epochs, of 1e-4, 3e-4, 1e-3 and 3e-3 (docs/LOG.md).
PEER_LR = {"Adversarial_AE": 3e-3, "VAE": 1e-3, "WAE_MMD": 3e-3}
TRIAL = 7  # epochs by which it is known how long one takes
FITTED = 2000  # training images that a peer's sharpness is fitted to


class Contestant(NamedTuple):
    """Something to train and evaluate."""

    name: str
    # size, seed, epochs, folder -> what it became
    train: Callable[[int, int, int, Path], Subject]


# --- this project ---------------------------------------------------------------------------------


def ours(method: str, **flags) -> Callable[[int, int, int, Path], Subject]:
    """How a method of this project is trained: by its script's defaults, but for the epochs."""

    def train(size: int, seed: int, epochs: int, folder: Path) -> Subject:
        directory = folder / "run.ckpt"
        given = {"dataset": "mnist", "feature_size": size, "seed": seed, "epochs": epochs}
        return subject_of(mnist.train(method, ckpt_dir=directory, **given | flags))

    return train


# --- pythae ---------------------------------------------------------------------------------------


def pythae(model: str, dataset: str = "mnist") -> Callable[[int, int, int, Path], Subject]:
    """How a model of pythae is trained: its own networks, losses, trainer and batch size.

    With a learning rate that falls as this project's does: it helps everybody.
    """

    def train(size: int, seed: int, epochs: int, folder: Path) -> Subject:
        known = load_dataset(dataset)
        images = known.train.batch(slice(None)).images
        trainer = trainer_of(model, size, seed, epochs, folder, images)
        with contextlib.redirect_stdout(sys.stderr):
            trainer.train()
        # What pythae writes as its final model: the best one by training loss.
        return subject_of_peer(trainer._best_model.eval(), size, images[:FITTED], known.spec)

    return train


def trainer_of(model: str, size: int, seed: int, epochs: int, folder: Path, images: Tensor):
    """pythae's trainer of a model with fresh weights, on images [B, C, H, W]."""
    with seeded(seed):
        config = getattr(models, f"{model}Config" if model == "VAE" else f"{model}_Config")
        network = getattr(models, model)(config(input_dim=tuple(images.shape[1:]), latent_dim=size))
    kind, settings, players = trainers.BaseTrainer, trainers.BaseTrainerConfig, [""]
    if model == "Adversarial_AE":
        kind, settings = trainers.AdversarialTrainer, trainers.AdversarialTrainerConfig
        players = ["autoencoder_", "discriminator_"]
    rates = {}
    for player in players:
        rates[f"{player}learning_rate"] = PEER_LR[model]
        rates[f"{player}scheduler_cls"] = "CosineAnnealingLR"
        rates[f"{player}scheduler_params"] = {"T_max": epochs}
    return kind(
        model=network,
        train_dataset=BaseDataset(images, torch.ones(len(images))),
        training_config=settings(
            output_dir=str(folder),
            num_epochs=epochs,
            per_device_train_batch_size=PEER_BATCH,
            keep_best_on_train=True,  # without data held out it knows no other best
            steps_saving=1,  # a checkpoint each epoch, as this project writes
            seed=seed,
            **rates,
        ),
    )


def subject_of_peer(
    network: torch.nn.Module, size: int, images: Tensor, spec: DataSpec = MNIST
) -> Subject:
    """A trained model of pythae, which knows no classes.

    Its styles are drawn from its posterior where it has one, and its images sharpened, as this
    project's are and to the same end.
    """
    noise = torch.Generator().manual_seed(0)

    def encode(images: Tensor, labels: Tensor) -> Tensor:
        return network.encoder(images).embedding

    def draw(images: Tensor, labels: Tensor) -> Tensor:
        found = network.encoder(images)
        deviation = (found.log_covariance / 2).exp()
        return found.embedding + deviation * torch.randn(deviation.shape, generator=noise)

    def decode(styles: Tensor, labels: Tensor) -> Tensor:
        return network.decoder(styles).reconstruction.clamp(0, 1)

    def logits(styles: Tensor) -> Tensor:
        return decode(styles, styles).logit(eps=1e-6)

    with torch.no_grad():
        k = fit_sharpness(logits(encode(images, images)), images).item()
        has_posterior = "log_covariance" in network.encoder(images[:1])
    return Subject(
        spec,
        encode=encode,
        draw=draw if has_posterior else None,
        decode=decode,
        generate=lambda styles, _: sharpen(logits(styles), k),
        prior=Gaussian(size),
    )


US = Contestant("this project's AAE", ours("aae"))
OTHERS = [  # at one size only, where two hours are enough for all
    Contestant("this project's SAE", ours("sae")),
    Contestant("pythae's WAE-MMD", pythae("WAE_MMD")),
]
PEERS = [
    Contestant("this project's AAE, unconditional", ours("aae", labels=False)),
    Contestant("pythae's AAE", pythae("Adversarial_AE")),
    Contestant("pythae's VAE", pythae("VAE")),
]


# --- the same networks in both loops --------------------------------------------------------------


class SameNetworks(Method):
    """The networks and losses of pythae's Adversarial_AE, for this project's loop.

    Layers and losses are those of pythae 0.1.2; a sigmoid and the cross-entropy after it are one
    function here, which is the same number computed safely.
    """

    headline, name = "mse", "same"

    def __init__(self, spec: DataSpec, *, size: Count, lr: Positive, **common):
        super().__init__(spec, lr=lr, **common)
        with self.seeded("networks"):
            self.encoder = mlp([spec.pixels, 512, 2 * size])
            self.decoder = mlp([size, 512, spec.pixels])
            self.discriminator = mlp([size, 256, 1])
        self.size = size
        self.players["autoencoder"] = Player(self.encoder, self.decoder, lr=lr)
        self.players["discriminator"] = Player(self.discriminator, lr=lr)

    def step(self, batch, step):
        pixels = batch.images.flatten(1)
        with self.autocast():
            mean, log_variance = self.encoder(pixels).float().chunk(2, 1)
            noise, prior = torch.randn(2, *mean.shape, generator=self.rng)
            style = mean + noise * (0.5 * log_variance).exp()
            rebuilt = self.decoder(style).float().sigmoid()
            squared = F.mse_loss(rebuilt, pixels)
            passing = F.softplus(-self.discriminator(style).float()).mean()
            judged = self.discriminator(torch.cat([prior, style.detach()])).float()
            from_prior, from_images = judged.split(len(style))
            apart = F.softplus(-from_prior).mean() + F.softplus(from_images).mean()
        self.players["autoencoder"].update(0.5 * passing + 0.5 * self.spec.pixels * squared)
        self.players["discriminator"].update(apart)
        return {"mse": squared.detach(), "passing": passing.detach(), "apart": apart.detach()}

    def validate(self, batch, style):
        pixels = batch.images.flatten(1)
        rebuilt = self.decoder(self.encoder(pixels)[:, : self.size]).sigmoid()
        return {"mse": F.mse_loss(rebuilt, pixels)}

    def summary(self):
        return "pythae's networks"


def seconds_by_us(size: int, epochs: int, precision: str, dataset: Dataset) -> float:
    """Seconds an epoch of pythae's AAE in this project's loop, with all that it writes."""
    method = SameNetworks(
        dataset.spec, size=size, lr=PEER_LR["Adversarial_AE"], precision=precision
    )
    with tempfile.TemporaryDirectory() as folder, RunDirectory(folder) as run_dir:
        run_dir.start({}, [])
        began = time.perf_counter()
        train(
            method,
            dataset,
            run_dir,
            Progress(),
            epochs=epochs,
            batch_size=PEER_BATCH,
            seed=0,
            log_every=100,
            report=Report(method.headline, quiet=True),
        )
        return (time.perf_counter() - began) / epochs


def seconds_by_pythae(size: int, epochs: int, dataset: Dataset) -> float:
    """The same in pythae's."""
    images = dataset.train.batch(slice(None)).images
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of("Adversarial_AE", size, 0, epochs, Path(folder), images)
        began = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            trainer.train()
        return (time.perf_counter() - began) / epochs


def same_networks(size: int, repeats: int, dataset: Dataset, epochs: int = 3) -> str:
    """A table of both loops over the same networks, in turn."""
    # Next to no test images: pythae was given none, and an epoch here ends by looking at them.
    dataset = replace(dataset, test=dataset.test.some(slice(10)))
    loops = {
        "pythae, fp32": lambda: seconds_by_pythae(size, epochs, dataset),
        "this project, fp32": lambda: seconds_by_us(size, epochs, "fp32", dataset),
        "this project, bf16": lambda: seconds_by_us(size, epochs, "bf16", dataset),
    }
    times = {name: [] for name in loops}
    for _ in range(repeats):
        for name, loop in loops.items():
            times[name].append(loop())
    theirs = statistics.median(times["pythae, fp32"])
    lines = ["| loop | s an epoch (min-max) | images/s | times pythae's |", "|---|---|---|---|"]
    for name, each in times.items():
        median = statistics.median(each)
        lines.append(
            f"| {name} | {median:.2f} ({min(each):.2f}-{max(each):.2f}) | {60_000 / median:,.0f} "
            f"| {theirs / median:.1f} |"
        )
    return "\n".join(lines)


# --- the comparison -------------------------------------------------------------------------------


EXPLAIN_SAME = f"""\
pythae's AAE of 8 numbers: its layers and losses, batches of {PEER_BATCH}, a checkpoint an epoch;
stock Adam there, fused Adam here. Medians of whole trainings of three epochs, in turn, without
test images."""

COLUMNS = {  # a number -> its title and form
    "seconds_per_epoch": ("s an epoch", ".2f"),
    "epochs": ("epochs", ".0f"),
    "seconds": ("s in all", ".0f"),
    "mse": ("test MSE", ".4f"),
    "ssim": ("SSIM", ".3f"),
    "frechet": ("Fréchet distance", ".3f"),
    "frechet_mean": ("… not sharpened", ".3f"),
    "precision": ("precision", ".1%"),
    "recall": ("recall", ".1%"),
    "ks_worst": ("worst KS", ".3f"),
    "leakage_mlp": ("leakage", ".1%"),
    "agreement": ("agreement", ".2%"),
    "cas": ("CAS", ".2%"),
}


def result(
    contestant: Contestant,
    size: int,
    seed: int,
    epochs: int,
    runs: Path,
    dataset: Dataset,
    reader: Run,
) -> dict[str, float | None]:
    """What became of a contestant, trained and measured as far as that is still to do."""
    folder = runs / f"{contestant.name.replace(' ', '-')}-{size}-{seed}"
    kept = folder / "result.json"
    if not kept.exists():
        print(f"{contestant.name}, size {size}, seed {seed} ...", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)  # what was begun, whose time nobody knows
        folder.mkdir(parents=True)
        began = time.perf_counter()
        subject = contestant.train(size, seed, epochs, folder)
        seconds = time.perf_counter() - began
        numbers = {"epochs": epochs, "seconds_per_epoch": seconds / epochs, "seconds": seconds}
        numbers |= measure(subject, dataset, reader)
        kept.write_text(json.dumps(numbers) + "\n")
    return json.loads(kept.read_text())


def epochs_within(contestant: Contestant, size: int, seconds: float, runs: Path) -> int:
    """How many epochs a contestant has in so many seconds, by trials of one epoch and of several,
    after one to warm up: on few images an epoch takes less than what comes with a first training.
    """
    kept = runs / f"{contestant.name.replace(' ', '-')}-{size}-epochs.json"
    if not kept.exists():
        took = []
        for epochs in (1, 1, TRIAL):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                contestant.train(size, 0, epochs, Path(folder))
                took.append(time.perf_counter() - began)
        each = (took[2] - took[1]) / (TRIAL - 1)
        kept.write_text(json.dumps(max(1, 1 + round((seconds - took[1]) / each))))
    return json.loads(kept.read_text())


def row(title: str, found: list[dict[str, float | None]]) -> str:
    """A line of the table: means of several seeds, and their standard deviation."""
    cells = []
    for name, (_, form) in COLUMNS.items():
        values = [each[name] for each in found]
        if None in values:
            cells.append("-")
            continue
        mean = statistics.mean(values)
        spread = statistics.stdev(values) if len(values) > 1 and name != "epochs" else 0
        cells.append(format(mean, form) + (f" ± {spread:{form}}" if spread else ""))
    return f"| {title} | {' | '.join(cells)} |"


def explain(one: dict[str, float | None], judged_by: str) -> str:
    """What stands in the tables."""
    rates = ", ".join(f"{model} {rate:g}" for model, rate in PEER_LR.items())
    return f"""\
# This project beside its peers

Made by `MNIST_DATA_DIR=... python benchmarks/peers.py > docs/benchmarks.md` on {machine()}, with
pythae {version("pythae")}; the last section was added by `benchmarks/geodesics.py`. Full MNIST, one
training after the other on the otherwise idle machine,
mean ± standard deviation over the seeds. All are given the time that this project's AAE takes for
the 30 epochs of its defaults, by a trial of how many epochs that is; it says nothing of how good
they would become in more.

This project's AAE and SAE are conditional on the digit, as by default, which helps them in
every column. *Unconditional* (`--no-labels`) it knows no more than pythae's models, which know
nothing of digits, and cannot be asked for one either: no agreement, no CAS. They have their own
networks (784-512-N and back), losses, trainer and batches of {PEER_BATCH}. Their learning rates are
those with the lowest test MSE in trials of five epochs
({rates}; docs/LOG.md), and fall to zero as this
project's do; all else is at its default. What is measured is what pythae keeps: the best by
training loss.

- *s an epoch*, *s in all*: of the training, with reading the data and all that each writes.
- *test MSE*, *SSIM*: of reconstructed test images.
- *Fréchet distance*: of 10,000 images in styles of the prior to the test images, in the features
  of {judged_by} that reads {one["judge_accuracy"]:.2%} of the real test images; of 10,000 training
  images it is {one["frechet_real"]:.4f}. Images are sharpened to the contrast of real ones, those
  of the peers too; *not sharpened* they are as the decoder gives them.
- *precision*, *recall*: of the same images (Kynkäänniemi et al. 2019); of training images
  {one["precision_real"]:.1%} and {one["recall_real"]:.1%}.
- *worst KS*: of a style's dimension, over the test images; of styles drawn from their posteriors
  where a model has those, as pythae's AAE and VAE do.
- *leakage*: the digit read off these styles by a perceptron; chance is {one["leakage_chance"]:.1%}.
- *agreement*: the digit asked for is the one that the classifier reads.
- *CAS*: accuracy on real test images of the same classifier trained on 60,000 generated ones; on
  the real ones it is {one["cas_real"]:.2%}.
"""


def main() -> None:
    logging.disable(logging.INFO)  # pythae's
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--feature-sizes", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--alone", type=int, nargs="+", default=[4], help="sizes without peers")
    parser.add_argument("--others", type=int, nargs="*", default=[8], help="SAE and WAE-MMD")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "peers")
    parser.add_argument("--repeats", type=int, default=3, help="of the timings (default: 3)")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    dataset, reader = load_dataset("mnist"), judge()[0]

    def of_seeds(contestant: Contestant, size: int, epochs: int) -> list[dict]:
        common = arguments.runs, dataset, reader
        return [result(contestant, size, seed, epochs, *common) for seed in arguments.seeds]

    def within_our_time(contestant: Contestant, size: int) -> list[dict]:
        seconds = statistics.mean(each["seconds"] for each in found[size][US.name])
        return of_seeds(contestant, size, epochs_within(contestant, size, seconds, arguments.runs))

    found: dict[int, dict[str, list[dict]]] = {}
    for size in sorted({*arguments.alone, *arguments.feature_sizes}):
        epochs = usual_epochs(METHODS["aae"], {"feature_size": size}, len(dataset.train))
        found[size] = {US.name: of_seeds(US, size, epochs)}
        for contestant in PEERS if size in arguments.feature_sizes else ():
            found[size][contestant.name] = within_our_time(contestant, size)
    for size in found.keys() & set(arguments.others):
        for contestant in OTHERS:
            found[size][contestant.name] = within_our_time(contestant, size)

    one = next(iter(found.values()))[US.name][0]
    print(explain(one, reader.method.summary()))
    head = "| | " + " | ".join(title for title, _ in COLUMNS.values()) + " |"
    head += "\n|" + "---|" * (len(COLUMNS) + 1)
    for size, by_name in found.items():
        rows = (row(name, numbers) for name, numbers in by_name.items())
        print(f"## {size} latent dimensions", "", head, *rows, "", sep="\n")
    print(f"## The same networks in both loops\n\n{EXPLAIN_SAME}\n")
    print(same_networks(8, arguments.repeats, dataset))


if __name__ == "__main__":
    main()
