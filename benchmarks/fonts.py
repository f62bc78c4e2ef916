#!/usr/bin/env python3
"""Alphabets of typefaces that a run has never seen, each from one letter: a table and a picture.

Takes what examples/fonts.py wrote, trains a default AAE on it and a classifier that judges, both
kept below --runs. From each letter of each held-out typeface the others are written, and compared
with its own; beside them those of the training typeface in which that letter is most alike.

example: python benchmarks/fonts.py fonts.npz --picture docs/fonts.png
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from judge import judge
from machine import machine
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.commands.evaluate import subject_of  # noqa: E402
from mnist.data import Split, load_dataset  # noqa: E402
from mnist.evaluation.measure import measure  # noqa: E402
from mnist.figures.images import grid  # noqa: E402
from mnist.figures.sheets import Section, sheet  # noqa: E402
from mnist.training.run import Run  # noqa: E402

SHOWN = 10  # held-out typefaces in the picture
TWIN = 0.005  # mean squared error of alphabets, below which they are of one typeface by two names


def alphabets(split: Split, classes: int) -> Tensor:
    """Images [T, K, 1, H, W] of typefaces, whose letters stand together and in order."""
    order = (split.writers * classes + split.labels).argsort()
    return split.batch(order).images.unflatten(0, (-1, classes))


def written(run: Run, every: Tensor, given: int, sharpness: float = 1.0) -> Tensor:
    """Alphabets [T, K, 1, H, W], each in the style of its letter `given`."""
    labels = torch.arange(every.shape[1])
    styles = run.encode(every[:, given], torch.full((len(every),), given))
    pairs = styles.repeat_interleave(len(labels), 0), labels.repeat(len(every))
    return run.decode(*pairs, sharpness=sharpness).unflatten(0, (-1, len(labels)))


def has_twin(train: Tensor, test: Tensor) -> Tensor:
    """Which held-out typefaces are nearly the same as one that was trained on, bool [T]."""
    apart = [(each - train).square().flatten(1).mean(1).min() for each in test]
    return torch.stack(apart) < TWIN


def compared(run: Run, train: Tensor, test: Tensor) -> tuple[float, float, float]:
    """Mean squared error of all other letters from each one; of the typeface most alike in it; and
    how often the former is smaller."""
    ours, theirs = [], []
    for given in range(test.shape[1]):
        others = torch.arange(test.shape[1]) != given
        apart = torch.cdist(test[:, given].flatten(1), train[:, given].flatten(1))
        nearest = train[apart.argmin(1)]
        for found, errors in ((written(run, test, given), ours), (nearest, theirs)):
            errors.append((found - test)[:, others].square().flatten(1).mean(1))
    ours, theirs = torch.cat(ours), torch.cat(theirs)
    return ours.mean().item(), theirs.mean().item(), (ours < theirs).float().mean().item()


def picture(run: Run, test: Tensor, given: int) -> bytes:
    """Some held-out typefaces, and below each what is written from its letter `given`."""
    chosen = test[torch.linspace(0, len(test) - 1, SHOWN).round().long()]
    found = written(run, chosen, given, run.sharpness)
    rows = [row for pair in zip(chosen, found, strict=True) for row in pair]
    name = run.spec.class_names[given]
    title = f"{SHOWN} typefaces that were not trained on, and below each what its {name} says of it"
    return sheet([Section(title, grid(rows), ["its own", f"from its {name}"] * SHOWN)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="FILE.npz of examples/fonts.py")
    parser.add_argument("--feature-sizes", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--given", default="R", help="the letter that the picture goes by")
    parser.add_argument("--picture", type=Path, help="FILE.png, of the last size")
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "fonts")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.dataset)
    spec, name = dataset.spec, Path(arguments.dataset).stem
    reader, accuracy = judge(arguments.dataset, arguments.runs / f"{name}-judge.ckpt")
    train, test = (alphabets(each, spec.classes) for each in (dataset.train, dataset.test))
    alone = ~has_twin(train, test)
    print(
        f"By benchmarks/fonts.py on {machine()}: {len(train):,} typefaces of {spec.classes} "
        f"letters to train on, and {len(test):,} held out, {accuracy:.2%} of whose letters the "
        f"judge reads, and {int(alone.sum())} of which have no twin.\n"
    )
    print(
        "| size | seconds | leakage (chance) | agreement | MSE of the same letter | "
        "of others from one | of the nearest typeface's | smaller | without a twin | nearest |"
    )
    print("|---" * 10 + "|")
    for size in arguments.feature_sizes:
        began = time.perf_counter()
        directory = arguments.runs / f"{name}-{size}.ckpt"
        run = mnist.train("aae", dataset=arguments.dataset, feature_size=size, ckpt_dir=directory)
        seconds = time.perf_counter() - began
        found = measure(subject_of(run), dataset, reader)
        ours, theirs, smaller = compared(run, train, test)
        ours_alone, theirs_alone, _ = compared(run, train, test[alone])
        print(
            f"| {size} | {seconds:.0f} | {found['leakage_mlp']:.1%} "
            f"({found['leakage_chance']:.1%}) | {found['agreement']:.2%} | {found['mse']:.4f} "
            f"| {ours:.4f} | {theirs:.4f} | {smaller:.1%} "
            f"| {ours_alone:.4f} | {theirs_alone:.4f} |",
            flush=True,
        )
        if arguments.picture:
            given = spec.label(arguments.given)
            arguments.picture.write_bytes(picture(run, test, given))


if __name__ == "__main__":
    main()
