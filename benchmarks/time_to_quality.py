#!/usr/bin/env python3
"""Seconds that ./mnist-aae.py takes to a quality, by its defaults, those before, and with --fast.

Two targets for a style of 4 numbers, on the test images: Q, of a style space as good as it is to
be, and q, enough to begin to look around. "before" is by the defaults of larger styles, which this
one had until 2026-11-28. Whole commands are timed, start-up included, in turns. Needs the full
MNIST in $MNIST_DATA_DIR; each run is kept below --runs, with its numbers.

example: MNIST_DATA_DIR=... python benchmarks/time_to_quality.py --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import machine
from quality import ROOT, evaluate
from spread import spread

import mnist
from mnist.data import load_dataset
from mnist.methods import METHODS
from mnist.options import configuration, flag_of


def of_larger() -> list[object]:
    """Flags that give a style of 4 numbers the defaults of larger ones."""
    aae = METHODS["aae"]
    usual = configuration(aae, {})
    flags: list[object] = ["--epochs", aae.epochs[0], "--batch-size", aae.batch_size]
    for name in aae.preset({}, 60_000).options:
        value = usual[name]
        listed = isinstance(value, tuple | list)
        flags += [flag_of(name), ",".join(map(str, value)) if listed else value]
    return flags


WAYS = {
    "before": of_larger(),
    "default": [],
    "no-writers": ["--no-writers"],
    "fast": ["--fast"],
}
# What a number may be at most; agreement is turned round.
TARGETS = {
    "Q": {"mse": 0.0221, "ks_train_worst": 0.01, "leakage_mlp": 0.125, "misread": 0.007},
    "q": {"mse": 0.0235, "ks_train_worst": 0.015, "leakage_mlp": 0.14, "misread": 0.013},
}
COLUMNS = {
    "mse": ("MSE", ".4f"),
    "ks_train_worst": ("worst KS, training", ".4f"),
    "leakage_mlp": ("leakage", ".1%"),
    "misread": ("misread", ".2%"),
}


def trained(way: str, seed: int, precision: str, runs: Path) -> dict[str, float]:
    """The seconds and numbers of a run, trained unless it is there."""
    directory = runs / f"{way}-{precision}-{seed}"
    kept = directory / "time.json"
    if kept.exists():
        return json.loads(kept.read_text())
    script = [sys.executable, ROOT / "mnist-aae.py", "--quiet", "--dataset", "mnist", *WAYS[way]]
    flags = ["--seed", seed, "--precision", precision, "--ckpt-dir", directory]
    began = time.perf_counter()
    subprocess.run(list(map(str, [*script, *flags])), check=True)
    seconds = time.perf_counter() - began
    found = evaluate(mnist.load(directory), load_dataset("mnist"))
    found |= {"seconds": seconds, "misread": 1 - found["agreement"]}
    kept.write_text(json.dumps(found) + "\n")
    print(way, seed, {k: round(found[k], 4) for k in ("seconds", *COLUMNS)}, file=sys.stderr)
    return found


def reached(target: str, found: dict[str, float]) -> bool:
    """Whether a run has come to a target."""
    return all(found[name] <= most for name, most in TARGETS[target].items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "time")
    given = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in given.ways}
    for seed in given.seeds:
        for way, found in runs.items():
            found.append(trained(way, seed, given.precision, given.runs))
    print(f"{machine()}, precision {given.precision}; {len(given.seeds)} seeds, mean ± deviation\n")
    titles = [title for title, _ in COLUMNS.values()]
    print(f"| | s, median (worst) | {' | '.join(titles)} | reach Q | reach q |")
    print("|---" * (len(titles) + 4) + "|")
    for way, found in runs.items():
        seconds = [each["seconds"] for each in found]
        cells = [f"{statistics.median(seconds):.0f} ({max(seconds):.0f})"]
        cells += [spread([each[k] for each in found], form) for k, (_, form) in COLUMNS.items()]
        cells += [f"{sum(reached(t, each) for each in found)} of {len(found)}" for t in TARGETS]
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
