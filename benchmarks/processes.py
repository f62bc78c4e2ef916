#!/usr/bin/env python3
"""How much faster two processes of one thread each train than one, by the size of a batch.

Seconds of the second epoch of ./mnist-aae.py, without the writers (whose loss over all pairs of a
batch grows with its square). Needs MNIST in $MNIST_DATA_DIR, and a core for each process.

example: MNIST_DATA_DIR=... python benchmarks/processes.py
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parent.parent


def seconds(processes: int, batch_size: int, precision: str) -> float:
    """Of the second epoch."""
    with tempfile.TemporaryDirectory() as folder:
        torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", processes]
        script = [ROOT / "mnist-aae.py", "--json", "--dataset", "mnist", "--no-writers"]
        flags = ["--batch-size", batch_size, "--precision", precision, "--epochs", 2]
        command = [sys.executable, *(torchrun if processes > 1 else []), *script, *flags]
        done = subprocess.run(
            list(map(str, [*command, "--ckpt-dir", Path(folder) / "run"])),
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event["seconds"] for event in events if event["event"] == "epoch"][1]


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
        cells = [
            f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f})"
            for found in times.values()
        ]
        ratio = statistics.median(times[1]) / statistics.median(times[2])
        print(f"| {batch_size:,} | {cells[0]} | {cells[1]} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
