#!/usr/bin/env python3
"""The default AAE on somebody's own images, beside pythae's with as much time: print a table.

Each data set is a path; a default classifier of it judges both. What is trained and measured is
kept below --runs. Needs benchmarks/requirements.txt.

example: python benchmarks/own.py ~/my-letters ~/my-garments
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from judge import judge
from machine import machine
from peers import pythae
from spread import spread

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.commands.evaluate import subject_of  # noqa: E402
from mnist.data import load_dataset, title_of  # noqa: E402
from mnist.evaluation.measure import measure  # noqa: E402

TRIAL = 5  # epochs of theirs by which it is known how many fit into the time
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


def compare(path: str, size: int, seed: int, runs: Path) -> dict[str, dict[str, float]]:
    """The numbers of both, trained and measured as far as that is still to do."""
    dataset = load_dataset(path)
    name = title_of(dataset.name)
    reader, _ = judge(path, runs / f"{name}-judge.ckpt")
    places = {who: runs / f"{name}-{who}-{size}-{seed}.json" for who in ("ours", "pythae")}
    if not places["ours"].exists():
        directory = runs / f"{name}-{size}-{seed}.ckpt"
        began = time.perf_counter()
        run = mnist.train("aae", dataset=path, feature_size=size, seed=seed, ckpt_dir=directory)
        known = {"seconds": time.perf_counter() - began, "epochs": run.epoch}
        known |= measure(subject_of(run), dataset, reader)
        places["ours"].write_text(json.dumps(known) + "\n")
    ours = json.loads(places["ours"].read_text())
    if not places["pythae"].exists():
        train = pythae("Adversarial_AE", path)
        took = []
        for epochs in (1, TRIAL):
            with TemporaryDirectory() as folder:
                began = time.perf_counter()
                train(size, seed, epochs, Path(folder))
                took.append(time.perf_counter() - began)
        each = (took[1] - took[0]) / (TRIAL - 1)
        epochs = 1 + max(0, round((ours["seconds"] - took[0]) / each))
        with TemporaryDirectory() as folder:
            began = time.perf_counter()
            subject = train(size, seed, epochs, Path(folder))
            known = {"seconds": time.perf_counter() - began, "epochs": epochs}
        known |= measure(subject, dataset, reader)
        places["pythae"].write_text(json.dumps(known) + "\n")
    return {"ours": ours, "pythae's": json.loads(places["pythae"].read_text())}


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
        every = [compare(path, size, seed, runs) for seed in arguments.seeds]
        for who in every[0]:
            cells = []
            for key, (_, form) in COLUMNS.items():
                values = [each[who][key] for each in every]
                cells.append("" if None in values else spread(values, form))
            print(f"| {title_of(path)} | {who} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
