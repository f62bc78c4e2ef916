#!/usr/bin/env python3
"""How much sooner runs are through by ./mnist-sweep.py than one after the other.

Whole commands by their defaults but for the epochs, start-up included, in turns: runs of the AAE by
their seeds. Needs MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/sweep.py --runs 25 --epochs 30
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parent.parent


def run(script: str, *flags: object) -> None:
    """A script, with as many threads as it takes."""
    there = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, ROOT / script, "--dataset", "mnist", *flags]
    subprocess.run(list(map(str, command)), env=there, check=True, stdout=subprocess.DEVNULL)


def one_after_the_other(folder: Path, count: int, epochs: int) -> None:
    for seed in range(count):
        directory = folder / f"run-{seed}"
        run("mnist-aae.py", "--epochs", epochs, "--seed", seed, "--ckpt-dir", directory)


def swept(folder: Path, count: int, epochs: int) -> None:
    seeds = f"0-{count - 1}"
    run("mnist-sweep.py", "--epochs", epochs, "--seeds", seeds, "--sweep-dir", folder / "sweep")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4, help="(default: 4)")
    parser.add_argument("--epochs", type=int, default=4, help="of each (default: 4)")
    parser.add_argument("--repeats", type=int, default=1, help="(default: 1)")
    given = parser.parse_args()
    times: dict[str, list[float]] = {}
    for _ in range(given.repeats):
        for way in (one_after_the_other, swept):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                way(Path(folder), given.runs, given.epochs)
                times.setdefault(way.__name__, []).append(time.perf_counter() - began)
    print(f"{machine()}, {os.cpu_count()} cores; {given.runs} runs of {given.epochs} epochs\n")
    for name, found in times.items():
        print(f"{name.replace('_', ' ')}: {', '.join(f'{each:.0f}' for each in found)} s")
    one, other = map(statistics.median, times.values())
    print(f"swept in {other / one:.2f} of the time")


if __name__ == "__main__":
    main()
