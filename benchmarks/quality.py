#!/usr/bin/env python3
"""How good the styles are: train the AAE at several sizes and seeds, and print a table.

Each run is trained by ./mnist-aae.py with its defaults, and kept with its numbers below --runs,
so that an interrupted table goes on where it stopped. Needs the full MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/quality.py --feature-sizes 4 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from judge import judge
from machine import machine
from spread import spread

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.commands.evaluate import subject_of  # noqa: E402
from mnist.data import Dataset, load_dataset  # noqa: E402
from mnist.evaluation import metrics  # noqa: E402
from mnist.evaluation.measure import (  # noqa: E402
    Reals,
    decoded,
    encode,
    prior_match,
    reconstruction,
    share_read,
)
from mnist.methods import METHODS  # noqa: E402
from mnist.options import configuration  # noqa: E402
from mnist.training.plan import usual_batch_size  # noqa: E402
from mnist.training.run import Run  # noqa: E402

COLUMNS = {  # in a run's numbers -> in the table
    "mse": ("test MSE", ".4f"),
    "ks_worst": ("worst KS, test", ".3f"),
    "ks_train_worst": ("worst KS, training", ".3f"),
    "std_least": ("least std", ".3f"),
    "std_most": ("largest std", ".3f"),
    "leakage_mlp": ("leakage", ".1%"),
    "leakage_mlp_mean": ("of means", ".1%"),
    "agreement": ("agreement", ".2%"),
    "frechet": ("Fréchet", ".4f"),
    "recall": ("recall", ".1%"),
}


def evaluate(run: Run, dataset: Dataset) -> dict[str, float]:
    """The numbers of a run, named as `evaluate.py` names them; see `explain` for what they mean."""
    reader, accuracy = judge()
    generator = torch.Generator().manual_seed(0)
    subject, labels = subject_of(run), dataset.test.labels
    means = encode(subject.encode, dataset.train), encode(subject.encode, dataset.test)
    train, test = means
    if subject.draw:
        train, test = encode(subject.draw, dataset.train), encode(subject.draw, dataset.test)
    found = prior_match(run.prior, train, test, labels, generator)
    found |= reconstruction(subject.decode, reader, dataset.test, means[1])
    styles = run.prior.sample(len(labels), generator)
    written = decoded(subject.generate, styles, labels)
    found |= Reals(reader, dataset.train, dataset.test, None).compare_features(written)

    def leakage(train: torch.Tensor, test: torch.Tensor) -> float:
        of_train = train.numpy(), dataset.train.labels.numpy()
        return metrics.probe_accuracy(*of_train, test.numpy(), labels.numpy())

    found |= {
        "leakage_mlp": leakage(train, test),
        "leakage_mlp_mean": leakage(*means),
        "agreement": share_read(reader.log_probs, written),
    }
    return {name: found[name] for name in COLUMNS} | {"judge_accuracy": accuracy}


def numbers(size: int, seed: int, writers: bool, runs: Path, dataset: Dataset) -> dict[str, float]:
    """Train and evaluate a run, as far as that is still to do."""
    directory = runs / f"aae-{size}-{seed}{'' if writers else '-no-writers'}"
    kept = directory / "quality.json"
    if not kept.exists():
        script = [sys.executable, str(ROOT / "mnist-aae.py"), "--quiet", "--dataset", "mnist"]
        flags = ["--feature-size", size, "--seed", seed, "--ckpt-dir", directory]
        flags += ["--writers" if writers else "--no-writers"]
        print(f"training size {size}, seed {seed} ...", file=sys.stderr, flush=True)
        subprocess.run([*script, *map(str, flags)], check=True, stdout=sys.stderr)
    run = mnist.load(directory)
    model, training = run.config["model"], run.config["training"]
    given = {key: model[key] for key in ("feature_size", "seed", "precision")}
    given["writers"] = writers
    aae = METHODS["aae"]
    default = configuration(aae, aae.defaults_for(dataset, given) | given)
    batch_size = usual_batch_size(run.method, len(dataset.train))
    if model != default or training["batch_size"] != batch_size:
        sys.exit(f"{directory} was trained with other settings than today's defaults: delete it")
    if not kept.exists():
        kept.write_text(json.dumps(evaluate(run, dataset)) + "\n")
    return json.loads(kept.read_text())


def table(rows: dict[tuple[int, int], dict[str, float]]) -> str:
    """Markdown: a line per run, and mean ± standard deviation per size where it has several."""
    lines = ["| size | seed | " + " | ".join(title for title, _ in COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for size in sorted({size for size, _ in rows}):
        of_size = {seed: row for (each, seed), row in rows.items() if each == size}
        for seed, row in of_size.items():
            cells = [format(row[key], form) for key, (_, form) in COLUMNS.items()]
            lines.append(f"| {size} | {seed} | {' | '.join(cells)} |")
        if len(of_size) > 1:
            cells = [
                spread([row[key] for row in of_size.values()], form)
                for key, (_, form) in COLUMNS.items()
            ]
            lines.append(f"| **{size}** | **mean** | {' | '.join(cells)} |")
    return "\n".join(lines)


def explain(dataset: Dataset, accuracy: float) -> str:
    """What stands in the table."""
    chance = metrics.chance(dataset.test.labels.numpy())
    return f"""\
- *MSE*: of the test images' pixels, in [0, 1], decoded from the means of their posteriors.
- *KS*: Kolmogorov-Smirnov distance of a style dimension to the prior, the worst of all, over
  styles drawn from the posteriors of the test images, and of the training images.
- *std*: of a style dimension over those of the test images, as a multiple of the prior's.
- *leakage*: how often a multi-layer perceptron, trained on those of the training images, reads the
  digit off a test image's; chance is {chance:.2%}. *of means*: the same of the posteriors' means.
- *agreement*: how often the digit asked for is what a classifier reads in as many sharpened
  decodings of styles from the prior as there are test images; it reads {accuracy:.2%} of the real
  ones correctly, and had no part in the training.
- *Fréchet*, *recall*: of these in the classifier's features, as in docs/evaluation.md."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--feature-sizes", type=int, nargs="+", default=[4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--no-writers", action="store_true", help="trained without them")
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "runs")
    arguments = parser.parse_args()
    dataset = load_dataset("mnist")
    _, accuracy = judge()
    rows = {
        (size, seed): numbers(size, seed, not arguments.no_writers, arguments.runs, dataset)
        for seed in arguments.seeds
        for size in arguments.feature_sizes
    }
    print(f"Evaluated on {machine()}.", table(rows), explain(dataset, accuracy), sep="\n\n")


if __name__ == "__main__":
    main()
