#!/usr/bin/env python3
"""An epoch of the default AAE, start included, on images in memory and on disk: print a table.

The images are MNIST's, again and again, in an IDX file of --images that is made below --folder and
deleted at the end. Each training is a process of its own, and the two take turns. Needs the full
MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/on_disk.py --images 5000000
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine
from spread import spread

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.data import load_dataset, on_disk  # noqa: E402

LIMITS = {"memory": 2**40, "disk": 2**20}  # bytes of images that are read at once
COLUMNS = {"seconds": ("seconds", ".1f"), "resident": ("largest memory, GB", ".2f")}


def make(folder: Path, images: int) -> None:
    """Write so many training images, and MNIST's test images, as IDX files."""
    dataset = load_dataset("mnist")
    for part, split, count in (
        ("train", dataset.train, images),
        ("test", dataset.test, len(dataset.test)),
    ):
        for kind, numbers in (("images-idx3", split.images), ("labels-idx1", split.labels)):
            shape = (count, *numbers.shape[1:])
            with open(folder / f"{part}-{kind}-ubyte", "wb") as file:
                file.write(bytes([0, 0, 8, len(shape)]))
                file.write(b"".join(side.to_bytes(4, "big") for side in shape))
                for start in range(0, count, len(numbers)):
                    file.write(numbers[: count - start].byte().numpy().tobytes())


def trained(folder: Path, place: str) -> dict[str, float]:
    """Numbers of an epoch in this process."""
    on_disk.IN_MEMORY = LIMITS[place]
    ends: list[float] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder.parent) as runs:
        mnist.train(
            "aae",
            dataset=str(folder),
            ckpt_dir=f"{runs}/run.ckpt",
            epochs=1,
            progress=lambda row: ends.append(time.perf_counter()),
        )
    # In kilobytes on Linux, of which this is a benchmark.
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"seconds": ends[0] - began, "resident": largest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "on-disk")
    parser.add_argument("--one", choices=LIMITS, help="train once, and print numbers")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(trained(arguments.folder, arguments.one)))
        return
    arguments.folder.mkdir(parents=True)
    try:
        make(arguments.folder, arguments.images)
        command = [sys.executable, __file__, "--folder", str(arguments.folder), "--one"]
        rows: dict[str, list[dict[str, float]]] = {place: [] for place in LIMITS}
        for _ in range(arguments.repeats):
            for place, found in rows.items():
                done = subprocess.run([*command, place], check=True, stdout=subprocess.PIPE)
                found.append(json.loads(done.stdout.splitlines()[-1]))
    finally:
        shutil.rmtree(arguments.folder)
    print(f"By benchmarks/on_disk.py, {arguments.images:,} images of 28×28, on {machine()}.\n")
    print("| images in | " + " | ".join(title for title, _ in COLUMNS.values()) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for place, found in rows.items():
        cells = [spread([row[key] for row in found], form) for key, (_, form) in COLUMNS.items()]
        print(f"| {place} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
