#!/usr/bin/env python3
"""How well ./mnist-classifier.py reads the test images, and how soon: by default and --padded.

The latter was the default until 2026-11-29.

Whole commands, start-up included, in turns. Needs the full MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/classifier.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine
from spread import middle, spread

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402

WAYS = {"--padded": ["--padded"], "default": []}


def trained(way: str, seed: int) -> tuple[float, float]:
    """Seconds of a command, and the share of the test images that its classifier reads."""
    with tempfile.TemporaryDirectory() as folder:
        script = [sys.executable, ROOT / "mnist-classifier.py", "--quiet", "--dataset", "mnist"]
        flags = ["--seed", seed, "--ckpt-dir", Path(folder) / "run", *WAYS[way]]
        began = time.perf_counter()
        subprocess.run(list(map(str, [*script, *flags])), check=True)
        seconds = time.perf_counter() - began
        return seconds, mnist.load(Path(folder) / "run").numbers["test_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for seed in given.seeds:
        for way, runs in found.items():
            runs.append(trained(way, seed))
            print(way, seed, *runs[-1], file=sys.stderr)
    print(f"{machine()}; {len(given.seeds)} seeds\n")
    print("| | s, median (least to most) | read correctly |\n|---|---|---|")
    for way, runs in found.items():
        seconds, shares = zip(*runs, strict=True)
        print(f"| {way} | {middle(seconds, '.0f')} | {spread(shares, '.2%')} |")


if __name__ == "__main__":
    main()
