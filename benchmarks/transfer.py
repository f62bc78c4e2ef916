#!/usr/bin/env python3
"""What features of some classes are worth for others: print docs/transfer.md, and plot it.

A classifier of digits 0 to 4 is trained on all of them. Others start from its layers, frozen or
not, or from nothing, and learn digits 5 to 9, or the ten characters of KMNIST, from a few images of
each class. Needs the full MNIST in $MNIST_DATA_DIR and KMNIST's test files in --kmnist; what has
been trained is kept below --runs.

example: MNIST_DATA_DIR=... python benchmarks/transfer.py --kmnist DIR > docs/transfer.md
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from machine import machine
from spread import spread

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.data import DATASETS, Dataset, DataSpec, Split, load_dataset  # noqa: E402
from mnist.data.idx import pair, parse_idx, read_bytes  # noqa: E402
from mnist.training.run import balanced_sample  # noqa: E402

STEPS, BATCH = 600, 50  # of every training on few images
EPOCH = 3000  # images, at least: reading the test images after it takes longer than a step
LAYERS = 3  # that can be frozen
WAYS: dict[str, dict[str, Any]] = {
    "frozen": {"from_": True, "freeze": LAYERS},
    "two layers frozen": {"from_": True, "freeze": LAYERS - 1},
    "fine-tuned": {"from_": True},
    "from nothing": {},
}
# To be read again with every new table: it must say nothing that the tables do not.
FOUND = """\
From ten images of a class there are a tenth to three tenths fewer errors than from nothing. To go
on training all layers is the best or near it throughout; all of them frozen lose to a start from
nothing where there are 300 images of a class, with KMNIST 30."""
COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#D55E00")  # Okabe & Ito
COUNTS = {"digits 5 to 9": (10, 30, 100, 300, 1000), "KMNIST": (10, 30, 100, 300, 700)}
KMNIST_CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
KMNIST_TRAIN = 700  # images of each of its classes that may be learnt from; the others are a test

Errors = dict[str, dict[str, dict[int, list[float]]]]  # target -> way -> count -> of each seed


def digits(first: int, last: int) -> Dataset:
    """MNIST with some of its digits only."""
    whole = load_dataset("mnist")

    def some(split: Split) -> Split:
        kept = split.some((split.labels >= first) & (split.labels <= last))
        return replace(kept, labels=kept.labels - first)

    names = tuple(str(digit) for digit in range(first, last + 1))
    spec = DataSpec(whole.spec.image_shape, names, "digit")
    return Dataset(
        f"digits-{first}-{last}", spec, some(whole.train), some(whole.test), whole.source
    )


def kmnist(folder: Path) -> Dataset:
    """KMNIST's 10,000 test images, of which some are learnt from here."""
    files = [folder / f"t10k-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")]
    images, labels = (
        parse_idx(read_bytes(path), dimensions, path)
        for path, dimensions in zip(files, (3, 1), strict=True)
    )
    spec = DataSpec((1, *images.shape[1:]), KMNIST_CLASSES, "character")
    every = pair(images, labels, spec, folder)
    train = torch.zeros(len(every), dtype=torch.bool)
    train[balanced_sample(every.labels, KMNIST_TRAIN * spec.classes, 0)] = True
    return Dataset("kmnist", spec, every.some(train), every.some(~train), str(folder))


def few(dataset: Dataset, count: int, seed: int) -> Dataset:
    """The same with so many training images of each class, again and again up to an epoch."""
    chosen = balanced_sample(dataset.train.labels, count * dataset.spec.classes, seed)
    again = chosen.repeat(-(-EPOCH // len(chosen)))
    return replace(dataset, name="few", train=dataset.train.some(again))


def error_of(dataset: Dataset, way: dict[str, Any], source: Path, folder: Path, seed: int) -> float:
    """The test error after training on a data set in some way."""
    DATASETS["few"] = lambda data_dir=None: dataset
    options = {key: str(source) if key == "from_" else value for key, value in way.items()}
    run = mnist.train(
        "classifier",
        dataset="few",
        ckpt_dir=folder,
        epochs=round(STEPS / (len(dataset.train) // BATCH)),
        batch_size=BATCH,
        seed=seed,
        **options,
    )
    return 1 - run.numbers["test_accuracy"]


def measure(targets: dict[str, Dataset], seeds: Sequence[int], runs: Path) -> Errors:
    """Test errors of all trainings."""
    DATASETS["digits-0-4"] = lambda data_dir=None: digits(0, 4)
    source = runs / "digits-0-4.ckpt"
    mnist.train("classifier", dataset="digits-0-4", ckpt_dir=source)
    found: Errors = {}
    for target, dataset in targets.items():
        for name, way in WAYS.items():
            for count in COUNTS[target]:
                print(f"{target}: {count} images a class, {name}", file=sys.stderr, flush=True)
                found.setdefault(target, {}).setdefault(name, {})[count] = [
                    error_of(
                        few(dataset, count, seed),
                        way,
                        source,
                        runs / f"{target}-{name}-{count}-{seed}.ckpt".replace(" ", "-"),
                        seed,
                    )
                    for seed in seeds
                ]
    return found


def table(errors: dict[str, dict[int, list[float]]]) -> str:
    """Markdown: a line per number of images, a column per way."""
    counts = next(iter(errors.values())).keys()
    lines = ["| images of a class | " + " | ".join(errors) + " |", "|---" * (len(errors) + 1) + "|"]
    for count in counts:
        cells = [spread(of[count], ".2%") for of in errors.values()]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: Errors, path: Path) -> None:
    """Test error by images of a class, on logarithmic scales."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(9, 3.8), layout="constrained")
    markers: Callable[[int], str] = "osD^".__getitem__
    for axis, (target, errors) in zip(axes, found.items(), strict=True):
        for i, (way, of) in enumerate(errors.items()):
            means = [100 * statistics.mean(each) for each in of.values()]
            deviations = [100 * statistics.stdev(each) for each in of.values()]
            axis.errorbar(
                list(of),
                means,
                deviations,
                label=way,
                color=COLOURS[i],
                marker=markers(i),
                capsize=2,
            )
        axis.set(xscale="log", yscale="log", title=target, xlabel="training images of each class")
        axis.set_xticks(list(of), [f"{count:,}" for count in of], minor=False)
        axis.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g} %")
        axis.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("test error")
    axes[-1].legend()
    figure.savefig(path, dpi=110)


def document(found: Errors, seeds: Sequence[int], picture: Path) -> str:
    """docs/transfer.md."""
    tables = "\n\n".join(f"## {target}\n\n{table(errors)}" for target, errors in found.items())
    return f"""\
# Transfer learning

`./mnist-classifier.py --from DIR --freeze K` starts from the layers of the classifier in DIR, the
last of them apart, and keeps the first K as they are. What that is worth (Yosinski et al. 2014,
arXiv 1411.1792) where there are few images: a classifier of digits 0 to 4, trained on all of theirs
in MNIST, and its convolutional layers before {STEPS} steps on a few images of other classes. Test
error, mean ± standard deviation of seeds {", ".join(map(str, seeds))}, each with other images. By
`benchmarks/transfer.py` on {machine()}.

{FOUND}

{tables}

![Test error by number of training images]({picture.name})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kmnist", type=Path, required=True, help="folder of t10k-*.gz")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "transfer")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "transfer.png")
    arguments = parser.parse_args()
    targets = {"digits 5 to 9": digits(5, 9), "KMNIST": kmnist(arguments.kmnist)}
    found = measure(targets, arguments.seeds, arguments.runs)
    plot(found, arguments.picture)
    print(document(found, arguments.seeds, arguments.picture), end="")


if __name__ == "__main__":
    main()
