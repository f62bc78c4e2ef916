#!/usr/bin/env python3
"""How fast the tools are, and whether what they write is read as what was asked for.

Whole processes are timed, imports included, and their results are judged by a classifier that had
no part in training (judge.py). Needs a folder with runs trained on the full MNIST in
$MNIST_DATA_DIR: by ./mnist-aae.py, the same with --feature-size 8, and ./mnist-sae.py --no-labels
--feature-size 2 --ckpt-dir sae2.ckpt. Classifiers that are missing are trained there first.

example: MNIST_DATA_DIR=... python benchmarks/tools.py --runs .
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from judge import judge
from machine import machine

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from scans import variants  # noqa: E402

import mnist  # noqa: E402
from mnist.data import load_dataset  # noqa: E402
from mnist.data.scan import read_scan  # noqa: E402
from mnist.errors import UserError  # noqa: E402

# As users type them, in a folder with the runs they ask for.
COMMANDS = (
    "./generate-all.py --output x.png",
    "./generate-all.py --count 10000 --output x.npz",
    "./encoder-vis.py --output x.png",
    "./encoder-vis.py --projection tsne --output x.png",
    "./encoder-vis.py --manifold --output x.png",
    "./guide.py --digit 5 --output x.png",
    "./geodesic.py --feature-size 8 --digit 5 --output x.png",
    "./geodesic.py --feature-size 8 --digit 5 --monte-carlo 200 --output x.png",
    "./evaluate.py --quick",
    "./evaluate.py",
    "./guide.py --survey --output x.png",
    "./guide.py --survey --ckpt-dir sae2.ckpt --output x.png",
    'python -c "import torch"',
    'python -c "import matplotlib.figure"',
)


def seconds(command: str, runs: Path, folder: Path) -> float:
    """How long a command takes in the folder of runs, from its start to its end.

    What it writes as x.* goes to another folder.
    """
    script, *flags = shlex.split(command)
    flags = [str(folder / flag) if flag.startswith("x.") else flag for flag in flags]
    call = [sys.executable, *([] if script == "python" else [str(ROOT / script)]), *flags]
    environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"}
    began = time.perf_counter()
    done = subprocess.run(call, cwd=runs, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr.strip()}")
    return time.perf_counter() - began


def timings(runs: Path, folder: Path, repeats: int) -> None:
    """Print a table of whole commands."""
    print(f"\n| command, median of {repeats} after one more | s (min-max) |\n|---|---|")
    for command in COMMANDS:
        seconds(command, runs, folder)
        times = [seconds(command, runs, folder) for _ in range(repeats)]
        spread = f"{min(times):.2f}-{max(times):.2f}"
        print(f"| `{command}` | {statistics.median(times):.2f} ({spread}) |", flush=True)
        if "--count" in command:
            print(f"| that is | {100_000 / statistics.median(times):,.0f} images/s |", flush=True)


def agreement(runs: Path, folder: Path, reader) -> None:
    """Print how many of 10,000 images, as the .npz has them, are read as their labels."""
    seconds("./generate-all.py --count 1000 --output x.npz", runs, folder)
    with np.load(folder / "x.npz", allow_pickle=False) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    read = reader.read(images.unsqueeze(1).float() / 255)
    print(
        f"\n1,000 styles, ten digits each: {(read == labels).float().mean():.2%} read as asked for"
    )


def scans(runs: Path, folder: Path, reader, count: int) -> None:
    """Print how pictures of test digits fare, by kind of picture."""
    test, styles = load_dataset("mnist").test, mnist.load(runs / "mnist4.ckpt")
    chosen = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:count].tolist()
    found = defaultdict(list)
    for number in chosen:
        digit, label = test.images[number].numpy(), test.labels[number]
        for kind, make in variants(digit, number).items():
            path = folder / ("scan.tif" if "16" in kind else "scan.png")
            make().save(path)
            try:
                image = read_scan(path)
            except UserError:
                found[kind].append((False, False, 0.0))
                continue
            row = styles.generate(styles.encode(image, label.unsqueeze(0)))
            read = reader.read(torch.from_numpy(row.images).unsqueeze(1).float() / 255).numpy()
            right = read == row.labels
            found[kind].append((reader.read(image)[0] == label, right[label], right.mean()))
    print(f"\n| picture, of {count} test digits | read as its digit | digit of its row | all ten |")
    print("|---|---|---|---|")
    for kind, each in found.items():
        shares = " | ".join(f"{share:.1%}" for share in np.mean(np.array(each, float), 0))
        print(f"| {kind} | {shares} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path(), help="folder of runs (default: .)")
    parser.add_argument("--repeats", type=int, default=3, help="(default: 3)")
    parser.add_argument("--scans", type=int, default=40, help="digits of each kind (default: 40)")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timings(arguments.runs, folder, arguments.repeats)
        reader, accuracy = judge()
        print(f"\nThe judge reads {accuracy:.2%} of the real test images.", flush=True)
        agreement(arguments.runs, folder, reader)
        scans(arguments.runs, folder, reader, arguments.scans)


if __name__ == "__main__":
    main()
