#!/usr/bin/env python3
"""How much faster two processes of one thread each train than one, by the size of a batch.

Seconds of the second epoch of ./mnist-aae.py, without the writers (whose loss over all pairs of a
batch grows with its square). Needs MNIST in $MNIST_DATA_DIR, and a core for each process.

example: MNIST_DATA_DIR=... python benchmarks/processes.py
"""

from __future__ import annotations

import argparse
import os
import statistics

from epochs import second_epoch
from machine import machine
from spread import middle


def seconds(processes: int, batch_size: int, precision: str) -> float:
    """Of the second epoch."""
    flags = ["--no-writers", "--batch-size", batch_size, "--precision", precision]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", processes]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    return second_epoch(flags, one_thread, torchrun if processes > 1 else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="of each (default: 3)")
    parser.add_argument("--batches", type=int, nargs="+", default=[250, 1000, 4000])
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    given = parser.parse_args()
    print(
        f"{machine()}; {given.precision}, seconds of an epoch, median of {given.repeats} ", end=""
    )
    print("(least to most)\n\n| batch | one process | two | times as fast |\n|---|---|---|---|")
    for batch_size in given.batches:
        times: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(given.repeats):  # in turns: a machine is not always as fast
            for processes, found in times.items():
                found.append(seconds(processes, batch_size, given.precision))
        cells = [middle(found, ".1f") for found in times.values()]
        ratio = statistics.median(times[1]) / statistics.median(times[2])
        print(f"| {batch_size:,} | {cells[0]} | {cells[1]} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
