#!/usr/bin/env python3
"""Train the classifier that judges generated digits, and keep it in .cache/.

It is that of mnist-classifier.py --padded, whose defaults those were when the tables in docs/ were
made, and has no part in training the autoencoders.

example: MNIST_DATA_DIR=... python benchmarks/judge.py
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.training.run import Run  # noqa: E402

RUN = ROOT / ".cache" / "judge.ckpt"
LEAST_ACCURACY = 0.994  # on the real test images, or it is no judge


@functools.cache
def judge(dataset: str = "mnist", place: Path = RUN) -> tuple[Run, float]:
    """A classifier trained on a data set, and its accuracy on the real test images.

    Args:
        dataset: its name or path.
        place: where the classifier is kept.

    Raises:
        SystemExit: it is not good enough to judge MNIST.
    """
    script = [sys.executable, str(ROOT / "mnist-classifier.py"), "--dataset", dataset, "--padded"]
    subprocess.run([*script, "--ckpt-dir", str(place)], check=True, stdout=subprocess.DEVNULL)
    reader = mnist.load(place)
    accuracy = reader.numbers["test_accuracy"]
    if dataset == "mnist" and accuracy < LEAST_ACCURACY:
        sys.exit(f"the judge reads only {accuracy:.2%} of the test images correctly")
    return reader, accuracy


if __name__ == "__main__":
    print(f"accuracy on the real test images: {judge()[1]:.4f}")
