#!/usr/bin/env python3
"""How much slower a default training is beside other busy processes.

Seconds of the second epoch of ./mnist-aae.py, alone and beside one and two processes that are never
idle, as it is and with OpenMP's own waiting. Needs MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/company.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from epochs import second_epoch
from machine import machine
from spread import middle

WAYS = {
    "as it is": {},
    "OpenMP's own waiting": {"GOMP_SPINCOUNT": "300000"},  # libgomp's, where nothing is set
    "one thread": {"OMP_NUM_THREADS": "1"},
}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """A context in which so many other processes are busy."""
    code = "while True: pass"
    others = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for each in others:
            each.kill()
            each.wait()


def seconds(way: dict[str, str], images: int) -> float:
    """Of the second epoch."""
    usual = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return second_epoch(["--limit-per-class", images], usual | way)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="of each (default: 3)")
    parser.add_argument(
        "--images", type=int, default=2000, help="of each class, in an epoch (default: 2000)"
    )
    given = parser.parse_args()
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(given.repeats):
        for company in (0, 1, 2):
            with busy(company):
                for name, way in WAYS.items():
                    times.setdefault((name, company), []).append(seconds(way, given.images))
    print(f"{machine()}; seconds of an epoch of {10 * given.images:,} images, median of ", end="")
    print(f"{given.repeats} (least to most)\n")
    print("| | alone | beside one | beside two |\n|---|---|---|---|")
    for name in WAYS:
        cells, alone = [], statistics.median(times[name, 0])
        for company in (0, 1, 2):
            each = times[name, company]
            times_as_long = f", {statistics.median(each) / alone:.1f} times" if company else ""
            cells.append(middle(each, ".1f") + times_as_long)
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
