#!/usr/bin/env python3
"""How fast a default training step is, against this machine's arithmetic and a standard loop.

All in one run: matrix multiplication by itself, this project's loop in float32 and bfloat16, and
the same networks trained the way most code does it: `DataLoader` over torchvision's MNIST with
`ToTensor`, a stock Adam, `.item()` at every step. Needs the full MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/throughput.py
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from machine import machine
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mnist.commands.cli import DEFAULTS  # noqa: E402
from mnist.data import Digits, epoch_order, load_dataset  # noqa: E402
from mnist.methods import METHODS  # noqa: E402
from mnist.training.environment import choose_precision  # noqa: E402

BATCH = DEFAULTS["batch_size"]
MODEL = {key: DEFAULTS[key] for key in ("feature_size", "labels", "prior_std", "lr", "seed")}
WARM_UP = 30  # steps


def seconds(action, repeats: int) -> list[float]:
    """How long each of some calls took, after one that is not counted."""
    action()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return times


def matmul_gflops(dtype: torch.dtype, size: int = 2048) -> float:
    """Median GFLOP/s of square matrix products."""
    a, b = torch.randn(2, size, size, dtype=dtype)
    return 2 * size**3 / statistics.median(seconds(lambda: a @ b, 15)) / 1e9


def ours(train: Digits, precision: str) -> float:
    """Seconds of one epoch of this project's AAE, after a warm-up."""
    method = METHODS["aae"](**MODEL, precision=precision)
    steps = len(train) // BATCH
    order = epoch_order(len(train), 0, 0)
    for step in range(-WARM_UP, steps):
        if step == 0:
            began = time.perf_counter()
        batch = train.batch(order[step % steps * BATCH :][:BATCH])
        method.step(batch, 0.5)
    return time.perf_counter() - began


class StandIn(torch.utils.data.Dataset):
    """What torchvision's MNIST with ToTensor does for an item, where torchvision cannot import."""

    def __init__(self, digits: Digits):
        self.images, self.labels = digits.images, digits.labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = Image.fromarray(self.images[index].numpy(), mode=None)
        array = torch.from_numpy(np.array(image, np.uint8, copy=True))
        tensor = array.view(image.size[1], image.size[0], 1).permute(2, 0, 1).contiguous()
        return tensor.to(dtype=torch.get_default_dtype()).div(255), int(self.labels[index])


def standard_dataset(digits: Digits) -> tuple[torch.utils.data.Dataset, str]:
    """torchvision's MNIST class around the images that are in memory already."""
    try:
        from torchvision.datasets import MNIST
        from torchvision.transforms import ToTensor
    except (ImportError, RuntimeError):
        return StandIn(digits), "a stand-in for torchvision's MNIST (which does not import here)"
    dataset = MNIST.__new__(MNIST)
    dataset.data, dataset.targets = digits.images, digits.labels
    dataset.transform, dataset.target_transform = ToTensor(), None
    return dataset, "torchvision's MNIST"


def standard(digits: Digits, workers: int) -> float:
    """Seconds of one epoch of the standard loop over the same networks, after a warm-up."""
    method = METHODS["aae"](**MODEL)
    encoder, decoder, discriminator = method.encoder, method.decoder, method.discriminator
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    dataset, _ = standard_dataset(digits)
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=workers)

    def epoch(limit: int) -> None:
        for step, (images, labels) in enumerate(loader):
            if step == limit:
                return
            style = encoder(images, labels)
            optimizer.zero_grad()
            logits = decoder(style, labels)
            judged = discriminator(style, labels)
            reconstruction = F.binary_cross_entropy_with_logits(logits, images)
            fooling = F.binary_cross_entropy_with_logits(judged, torch.ones_like(judged))
            (reconstruction + 0.1 * fooling).backward()
            optimizer.step()
            optimizer_d.zero_grad()
            real = discriminator(torch.randn_like(style))
            fake = discriminator(style.detach(), labels)
            loss = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
            loss = loss + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
            loss.backward()
            optimizer_d.step()
            reconstruction.item(), fooling.item(), loss.item()

    epoch(WARM_UP)
    began = time.perf_counter()
    epoch(len(loader))
    return time.perf_counter() - began


def flops_per_image() -> float:
    """Floating-point operations of one training step, forward and backward, over its batch."""
    method = METHODS["aae"](**MODEL)
    digits = Digits(torch.zeros(BATCH, 28, 28, dtype=torch.uint8), torch.arange(BATCH) % 10)
    with FlopCounterMode(display=False) as counter:
        method.step(digits.batch(slice(0, BATCH)), 0.5)
    return counter.get_total_flops() / BATCH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="epochs timed of each (default: 5)")
    repeats = parser.parse_args().repeats
    train = load_dataset("mnist").train
    kind = standard_dataset(train)[1]
    work = flops_per_image()
    fp32_peak, bf16_peak = matmul_gflops(torch.float32), matmul_gflops(torch.bfloat16)

    print(machine())
    print(f"AAE, default settings, batch {BATCH}, {work / 1e6:.2f} MFLOP per image")
    print(f"one epoch of {len(train):,} images, {repeats} times in turn after {WARM_UP} steps each")
    print(f"matrix multiply, 2048²: fp32 {fp32_peak:.0f} GFLOP/s, bf16 {bf16_peak:.0f} GFLOP/s\n")

    default = choose_precision("auto", torch.device("cpu"))
    other = "fp32" if default == "bf16" else "bf16"
    loops = {
        f"this project, {default} (default here)": lambda: ours(train, default),
        f"this project, {other}": lambda: ours(train, other),
        "DataLoader, fp32": lambda: standard(train, workers=0),
        "DataLoader, 2 workers, fp32": lambda: standard(train, workers=2),
    }
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(repeats):
        for name, loop in loops.items():
            times[name].append(loop())

    by_default = statistics.median(next(iter(times.values())))
    print("| loop | s per epoch (min-max) | images/s | GFLOP/s | of fp32 matmul | time / ours |")
    print("|---|---|---|---|---|---|")
    for name, each in times.items():
        median = statistics.median(each)
        rate = len(train) / median
        print(
            f"| {name} | {median:.2f} ({min(each):.2f}-{max(each):.2f}) | {rate:,.0f} "
            f"| {rate * work / 1e9:.0f} | {rate * work / 1e9 / fp32_peak:.2f} "
            f"| {median / by_default:.1f}× |"
        )
    print(f"\nThe DataLoader is fed by {kind}; its loop logs each loss with .item().")


if __name__ == "__main__":
    main()
