#!/usr/bin/env python3
"""How fast the tools are, and whether what they write is read as what was asked for.

Whole processes are timed, imports included, and their results are judged by a classifier that had
no part in training (judge.py). Needs a run trained on the full MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/tools.py --ckpt-dir mnist4.ckpt
"""

from __future__ import annotations

import argparse
import os
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


def seconds(*command: str | Path) -> float:
    """How long a script takes, from its start to its end."""
    environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *map(str, command)], check=True, env=environment, capture_output=True
    )
    return time.perf_counter() - began


def timings(run: Path, folder: Path, repeats: int) -> None:
    """Print a table of whole commands."""
    picture = folder / "x.png"
    commands = {
        "`./encoder-vis.py --output x.png`": ("encoder-vis.py", "--output", picture),
        "`… --projection tsne`": ("encoder-vis.py", "--projection", "tsne", "--output", picture),
        "`… --manifold`": ("encoder-vis.py", "--manifold", "--output", picture),
        "`./generate-all.py --output x.png`": ("generate-all.py", "--output", picture),
        "`… --count 10000 --output x.npz`, 100,000 images": (
            *("generate-all.py", "--count", "10000", "--output"),
            folder / "x.npz",
        ),
        "`python -c 'import torch'`": ("-c", "import torch"),
        "`python -c 'import matplotlib.figure'`": ("-c", "import matplotlib.figure"),
    }
    print(f"\n| command, median of {repeats} after one more | s (min-max) |\n|---|---|")
    for name, (script, *flags) in commands.items():
        call = (script, *flags) if script == "-c" else (ROOT / script, "--ckpt-dir", run, *flags)
        seconds(*call)
        times = [seconds(*call) for _ in range(repeats)]
        print(f"| {name} | {statistics.median(times):.2f} ({min(times):.2f}-{max(times):.2f}) |")
        if "100,000" in name:
            print(f"| that is | {100_000 / statistics.median(times):,.0f} images/s |", flush=True)


def agreement(run: Path, folder: Path, reader) -> None:
    """Print how many of 10,000 images, as the .npz has them, are read as their labels."""
    path = folder / "x.npz"
    seconds(ROOT / "generate-all.py", *("--ckpt-dir", run, "--count", "1000", "--output", path))
    with np.load(path, allow_pickle=False) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    read = reader.read(images.unsqueeze(1).float() / 255)
    print(
        f"\n1,000 styles, ten digits each: {(read == labels).float().mean():.2%} read as asked for"
    )


def scans(run: Path, folder: Path, reader, count: int) -> None:
    """Print how pictures of test digits fare, by kind of picture."""
    test, styles = load_dataset("mnist").test, mnist.load(run)
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
    parser.add_argument("--ckpt-dir", type=Path, default="mnist4.ckpt")
    parser.add_argument("--repeats", type=int, default=5, help="(default: 5)")
    parser.add_argument("--scans", type=int, default=40, help="digits of each kind (default: 40)")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timings(arguments.ckpt_dir, folder, arguments.repeats)
        reader, accuracy = judge()
        print(f"\nThe judge reads {accuracy:.2%} of the real test images.", flush=True)
        agreement(arguments.ckpt_dir, folder, reader)
        scans(arguments.ckpt_dir, folder, reader, arguments.scans)


if __name__ == "__main__":
    main()
