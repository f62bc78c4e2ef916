#!/usr/bin/env python3
"""The default AAE on somebody's own images, beside pythae's with as much time: print a table.

Each data set is a path; a default classifier of it judges both. What is trained and measured is
kept below --runs. Needs benchmarks/requirements.txt.

example: python benchmarks/own.py ~/my-letters ~/my-garments
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
from pathlib import Path

from judge import judge
from machine import machine
from peers import Contestant, epochs_within, ours, pythae, result
from spread import spread

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mnist.data import load_dataset, title_of  # noqa: E402
from mnist.methods import METHODS  # noqa: E402
from mnist.training.plan import usual_epochs  # noqa: E402

COLUMNS = {
    "seconds": ("seconds", ".0f"),
    "epochs": ("epochs", ".0f"),
    "mse": ("test MSE", ".4f"),
    "leakage_mlp": ("leakage", ".1%"),
    "leakage_chance": ("chance", ".1%"),
    "agreement": ("agreement", ".2%"),
    "judge_accuracy": ("of real images", ".2%"),
    "ks_worst": ("worst KS", ".3f"),
    "frechet": ("Fréchet", ".4f"),
    "frechet_real": ("of real images", ".4f"),
}


def compare(path: str, size: int, seeds: list[int], runs: Path) -> dict[str, list[dict]]:
    """The numbers of both, of each seed, trained and measured as far as that is still to do."""
    dataset = load_dataset(path)
    place = runs / title_of(dataset.name)
    reader, _ = judge(path, place / "judge.ckpt")
    us = Contestant("ours", ours("aae", dataset=path))
    them = Contestant("pythae's", pythae("Adversarial_AE", path))
    found: dict[str, list[dict]] = {}

    def train(contestant: Contestant, epochs: int) -> None:
        common = epochs, place, dataset, reader
        found[contestant.name] = [result(contestant, size, seed, *common) for seed in seeds]

    train(us, usual_epochs(METHODS["aae"], {"feature_size": size}, len(dataset.train)))
    seconds = statistics.mean(each["seconds"] for each in found[us.name])
    train(them, epochs_within(them, size, seconds, place))
    return found


def main() -> None:
    logging.disable(logging.INFO)  # pythae's
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", help="paths")
    parser.add_argument("--feature-size", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "own")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    size, runs = arguments.feature_size, arguments.runs
    print(f"By benchmarks/own.py on {machine()}; latent dimension {size}.\n")
    print("| images | AAE | " + " | ".join(title for title, _ in COLUMNS.values()) + " |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for path in arguments.datasets:
        for who, every in compare(path, size, arguments.seeds, runs).items():
            cells = []
            for key, (_, form) in COLUMNS.items():
                values = [each[key] for each in every]
                cells.append("" if None in values else spread(values, form))
            print(f"| {title_of(path)} | {who} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
