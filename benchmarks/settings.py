#!/usr/bin/env python3
"""Whether the AAE's default settings stand: each halved and doubled, judged on held-out images.

5,000 training images are kept from all trainings (--hold-out), and every number is of those; the
test images are not looked at. Runs are kept below --runs, so that an interrupted table goes on
where it stopped. Needs the full MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/settings.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from judge import judge
from machine import machine
from quality import COLUMNS, ROOT, evaluate

import mnist
from mnist.data import load_dataset

HELD_OUT = 5000
CHANGES = {  # name of a run -> the flags that it is trained by
    "defaults": [],
    "defaults, another seed": ["--seed", 1],
    "--no-writers": ["--no-writers"],
    "--writers-weight 0.0075": ["--writers-weight", 0.0075],
    "--writers-weight 0.03": ["--writers-weight", 0.03],
    "--adversarial-weight 0.3": ["--adversarial-weight", 0.3],
    "--adversarial-weight 1.2": ["--adversarial-weight", 1.2],
    "--lr 0.00125": ["--lr", 0.00125],
    "--lr 0.005": ["--lr", 0.005],
    "--discriminator-lr 0.0015": ["--discriminator-lr", 0.0015],
    "--discriminator-lr 0.006": ["--discriminator-lr", 0.006],
    "--batch-size 125": ["--batch-size", 125],
    "--batch-size 500": ["--batch-size", 500],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "settings")
    runs = parser.parse_args().runs
    dataset = load_dataset("mnist").hold_out(HELD_OUT)
    judge()  # trained now, if it is not there yet
    titles = [title.replace(", test", ", held-out") for title, _ in COLUMNS.values()]
    titles[0] = "held-out MSE"
    print(f"Evaluated on {machine()}.\n\n| setting | " + " | ".join(titles) + " |")
    print("|---" * (len(titles) + 1) + "|", flush=True)
    for name, flags in CHANGES.items():
        directory = runs / name.replace(" ", "").strip("-")
        kept = directory / "quality.json"
        if not kept.exists():
            script = [sys.executable, ROOT / "mnist-aae.py", "--quiet", "--dataset", "mnist"]
            where = ["--hold-out", HELD_OUT, "--ckpt-dir", directory]
            subprocess.run([str(part) for part in (*script, *where, *flags)], check=True)
            held = replace(dataset, test=dataset.held_out)
            kept.write_text(json.dumps(evaluate(mnist.load(directory), held)) + "\n")
        found = json.loads(kept.read_text())
        cells = [format(found[key], form) for key, (_, form) in COLUMNS.items()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
