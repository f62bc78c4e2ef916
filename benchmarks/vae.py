#!/usr/bin/env python3
"""This project's VAE beside pythae's, with the same networks and as much time: print a table.

Without labels. Ours is trained by ./mnist-vae.py --no-labels with its defaults; theirs has the same
layers, its own trainer and batch size, a learning rate that falls likewise, and at least as many
seconds. Both are measured by the functions of evaluate.py, the likelihood by importance samples of
every tenth test image, made black and white: of all it would take half an hour for each. What is
trained and measured is kept below --runs. Needs the full MNIST in $MNIST_DATA_DIR, and
benchmarks/requirements.txt.

example: MNIST_DATA_DIR=... python benchmarks/vae.py --feature-sizes 8 16
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from judge import judge
from machine import machine
from peers import FITTED, PEER_BATCH, PEER_LR, Contestant, epochs_within, subject_of_peer
from pythae import trainers
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from spread import spread
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.commands.evaluate import subject_of  # noqa: E402
from mnist.data import Dataset, load_dataset  # noqa: E402
from mnist.evaluation.measure import Subject, likelihood, measure  # noqa: E402
from mnist.networks import losses  # noqa: E402
from mnist.networks.layers import mlp  # noqa: E402
from mnist.networks.random import seeded  # noqa: E402

TENTH = slice(None, None, 10)  # the test images whose likelihood is estimated
COLUMNS = {
    "epochs": ("epochs", ".0f"),
    "seconds": ("seconds", ".0f"),
    "bce": ("BCE, nats a pixel", ".4f"),
    "mse": ("test MSE", ".4f"),
    "frechet": ("Fréchet", ".4f"),
    "recall": ("recall", ".1%"),
    "likelihood": ("log-likelihood, nats", ".2f"),
    "likelihood_error": ("its standard error", ".2f"),
}


class SameEncoder(BaseEncoder):
    """The layers of our encoder, as pythae wants them."""

    def __init__(self, pixels: int, hidden: list[int], size: int):
        super().__init__()
        self.latent_dim = size
        self.layers = nn.Sequential(nn.Flatten(), mlp([pixels, *hidden], nn.GELU), nn.GELU())
        self.mean, self.log_variance = (nn.Linear(hidden[-1], size) for _ in range(2))

    def forward(self, images: Tensor) -> ModelOutput:
        hidden = self.layers(images)
        return ModelOutput(embedding=self.mean(hidden), log_covariance=self.log_variance(hidden))


class SameDecoder(BaseDecoder):
    """The layers of our decoder, likewise."""

    def __init__(self, pixels: int, hidden: list[int], size: int):
        super().__init__()
        self.layers = mlp([size, *hidden[::-1], pixels], nn.GELU)

    def forward(self, style: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(style).sigmoid().unflatten(1, (1, 28, 28)))


def theirs(hidden: list[int], size: int, seed: int, epochs: int, folder: Path) -> Subject:
    """Their VAE after so many epochs."""
    images = load_dataset("mnist").train.batch(slice(None)).images
    with seeded(seed):
        pixels = images[0].numel()
        network = VAE(
            VAEConfig(input_dim=(1, 28, 28), latent_dim=size, reconstruction_loss="bce"),
            encoder=SameEncoder(pixels, hidden, size),
            decoder=SameDecoder(pixels, hidden, size),
        )
    trainer = trainers.BaseTrainer(
        model=network,
        train_dataset=BaseDataset(images, torch.ones(len(images))),
        training_config=trainers.BaseTrainerConfig(
            output_dir=str(folder),
            num_epochs=epochs,
            per_device_train_batch_size=PEER_BATCH,
            learning_rate=PEER_LR["VAE"],
            scheduler_cls="CosineAnnealingLR",
            scheduler_params={"T_max": epochs},
            keep_best_on_train=True,
            steps_saving=1,
            seed=seed,
        ),
    )
    with contextlib.redirect_stdout(sys.stderr):
        trainer.train()
    return with_likelihood(trainer._best_model.eval(), size, images[:FITTED])


def with_likelihood(network: VAE, size: int, images: Tensor) -> Subject:
    """Their VAE as what is evaluated, with its Bernoulli likelihood."""

    def posterior(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        found = network.encoder(images)
        return found.embedding, (found.log_covariance / 2).exp()

    def log_likelihood(images: Tensor, style: Tensor, labels: Tensor) -> Tensor:
        return -losses.bernoulli_distortion(
            network.decoder.layers(style).unflatten(1, images.shape[1:]), images
        )

    subject = subject_of_peer(network, size, images)
    return subject._replace(posterior=posterior, log_likelihood=log_likelihood)


def measured(
    subject: Subject, dataset: Dataset, samples: int, known: dict[str, float], place: Path
) -> dict[str, float]:
    """Its numbers, kept in a file."""
    found = known | measure(subject, dataset, judge()[0])
    some, generator = dataset.test.some(TENTH), torch.Generator().manual_seed(1)
    with torch.no_grad():
        found |= likelihood(subject, some, samples, generator, lambda: None)
    place.write_text(json.dumps(found) + "\n")
    return found


def compare(size: int, seed: int, samples: int, runs: Path) -> dict[str, dict[str, float]]:
    """Both, trained and measured as far as that is still to do."""
    dataset = load_dataset("mnist")
    places = {name: runs / f"{name}-{size}-{seed}.json" for name in ("ours", "pythae")}
    folder = runs / f"ours-{size}-{seed}.ckpt"
    if not places["ours"].exists():
        began = time.perf_counter()
        options: dict[str, Any] = {"feature_size": size, "seed": seed, "labels": False}
        run = mnist.train("vae", dataset="mnist", ckpt_dir=folder, **options)
        known = {"seconds": time.perf_counter() - began, "epochs": run.epoch}
        measured(subject_of(run), dataset, samples, known, places["ours"])
    ours = json.loads(places["ours"].read_text())
    if not places["pythae"].exists():
        hidden = mnist.load(folder).config["model"]["hidden"]
        contestant = Contestant("pythae", functools.partial(theirs, hidden))
        epochs = 1 + epochs_within(contestant, size, ours["seconds"], runs)  # rather too many
        began = time.perf_counter()
        subject = contestant.train(size, seed, epochs, runs / f"pythae-{size}-{seed}")
        known = {"seconds": time.perf_counter() - began, "epochs": epochs}
        measured(subject, dataset, samples, known, places["pythae"])
    return {"ours": ours, "pythae": json.loads(places["pythae"].read_text())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--feature-sizes", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=5000, help="importance samples an image")
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "vae")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    print(f"By benchmarks/vae.py on {machine()}.\n")
    print("| size | VAE | " + " | ".join(title for title, _ in COLUMNS.values()) + " |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for size in arguments.feature_sizes:
        every = [compare(size, seed, arguments.samples, arguments.runs) for seed in arguments.seeds]
        for name in every[0]:
            cells = [
                spread([each[name][key] for each in every], form)
                for key, (_, form) in COLUMNS.items()
            ]
            print(f"| {size} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
