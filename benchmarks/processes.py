#!/usr/bin/env python3
"""How much faster two processes of one thread each train than one, by the size of a batch.

Seconds of the second epoch of ./mnist-aae.py, without the writers unless --writers is given (whose
loss over all pairs of a batch grows with its square), and of its steps alone. Needs MNIST in
$MNIST_DATA_DIR, and a core for each process.

example: MNIST_DATA_DIR=... python benchmarks/processes.py --batches 4000 --feature-size 8
"""

from __future__ import annotations

import argparse
import os
import statistics

from epochs import second_epoch
from machine import machine
from spread import middle


def seconds(processes: int, batch_size: int, flags: list[object]) -> tuple[float, float]:
    """Of the second epoch, and of its steps alone."""
    flags = ["--no-writers", "--batch-size", batch_size, *flags]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", processes]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    return second_epoch(flags, one_thread, torchrun if processes > 1 else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="of each (default: 3)")
    parser.add_argument("--batches", type=int, nargs="+", default=[250, 1000, 4000])
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    given, others = parser.parse_known_args()  # the others go to ./mnist-aae.py
    flags = ["--precision", given.precision, *others]
    print(f"{machine()}; {' '.join(flags)}; seconds of an epoch, and of its steps alone, ", end="")
    print(f"median of {given.repeats} (least to most)\n")
    print("| batch | one process | two | times as fast | one, steps | two | times as fast |")
    print("|---" * 7 + "|")
    for batch_size in given.batches:
        times: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for _ in range(given.repeats):  # in turns: a machine is not always as fast
            for processes, found in times.items():
                found.append(seconds(processes, batch_size, flags))
        cells = [f"{batch_size:,}"]
        for one, two in zip(zip(*times[1], strict=True), zip(*times[2], strict=True), strict=True):
            ratio = statistics.median(one) / statistics.median(two)
            cells += [middle(one, ".2f"), middle(two, ".2f"), f"{ratio:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
