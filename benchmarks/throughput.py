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
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mnist.data import Dataset, DataSpec, Split, load_dataset  # noqa: E402
from mnist.methods import METHODS, Method, Step  # noqa: E402
from mnist.training.checkpoint import Progress  # noqa: E402
from mnist.training.environment import choose_precision  # noqa: E402
from mnist.training.log import Report  # noqa: E402
from mnist.training.loop import train  # noqa: E402
from mnist.training.plan import usual_batch_size  # noqa: E402
from mnist.training.run_directory import RunDirectory  # noqa: E402

# What a standard loop trains: the defaults have a posterior, a second step of the discriminator
# and the writers besides, which the last row times.
PLAIN = {"posterior": "deterministic", "discriminator_steps": 1}
BATCH = METHODS["aae"].batch_size


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


def ours(dataset: Dataset, precision: str, **options: Any) -> float:
    """Seconds of the second of two epochs of ./mnist-aae.py's loop: with its reports, validation,
    picture, checks and checkpoint."""
    method = METHODS["aae"](dataset.spec, precision=precision, **options)
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder, RunDirectory(folder) as run_dir:
        run_dir.start({"method": method.name, "model": method.config, "training": {}}, [])
        train(
            method,
            dataset,
            run_dir,
            Progress(),
            epochs=2,
            batch_size=usual_batch_size(method, len(dataset.train)),
            seed=0,
            log_every=100,
            report=Report(method.headline, quiet=True),
            tell=lambda row: ends.append(time.perf_counter()),
        )
    return ends[1] - ends[0]


class StandIn(torch.utils.data.Dataset):
    """What torchvision's MNIST with ToTensor does for an item, where torchvision cannot import."""

    def __init__(self, digits: Split):
        self.images, self.labels = digits.images, digits.labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = Image.fromarray(self.images[index].numpy(), mode=None)
        array = torch.from_numpy(np.array(image, np.uint8, copy=True))
        tensor = array.view(image.size[1], image.size[0], 1).permute(2, 0, 1).contiguous()
        return tensor.to(dtype=torch.get_default_dtype()).div(255), int(self.labels[index])


def standard_dataset(digits: Split) -> tuple[torch.utils.data.Dataset, str]:
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


def standard(data: Dataset, workers: int) -> float:
    """Seconds of the second of two epochs of the standard loop over the same networks, with a
    validation and a checkpoint by torch.save."""
    method: Method = METHODS["aae"](data.spec, **PLAIN)
    encoder, decoder, discriminator = method.encoder, method.decoder, method.discriminator
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    loaders = [
        DataLoader(standard_dataset(split)[0], BATCH, shuffle=shuffle, num_workers=workers)
        for split, shuffle in ((data.train, True), (data.test, False))
    ]

    def epoch() -> None:
        encoder.train()
        for images, labels in loaders[0]:
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
        encoder.eval()
        with torch.no_grad():
            for images, labels in loaders[1]:
                rebuilt = decoder(encoder(images, labels), labels).sigmoid()
                F.mse_loss(rebuilt, images).item()
        with tempfile.TemporaryDirectory() as folder:
            state = [method.state_dict(), optimizer.state_dict(), optimizer_d.state_dict()]
            torch.save(state, Path(folder) / "checkpoint.pt")

    epoch()
    began = time.perf_counter()
    epoch()
    return time.perf_counter() - began


def flops_per_image(spec: DataSpec, **options: Any) -> float:
    """Floating-point operations of one training step, forward and backward, over its batch."""
    method = METHODS["aae"](spec, **options)
    _, *size = spec.image_shape
    labels = torch.arange(BATCH) % spec.classes
    split = Split(torch.zeros(BATCH, *size, dtype=torch.uint8), labels)
    with FlopCounterMode(display=False) as counter:
        method.step(split.batch(slice(0, BATCH)), Step(0, 0.5))
    return counter.get_total_flops() / BATCH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="epochs timed of each (default: 5)")
    repeats = parser.parse_args().repeats
    dataset = load_dataset("mnist")
    kind = standard_dataset(dataset.train)[1]
    work = flops_per_image(dataset.spec, **PLAIN)
    fp32_peak = matmul_gflops(torch.float32)
    precision = choose_precision("auto", torch.device("cpu"))

    print(machine())
    print(f"AAE as a standard loop has it, batch {BATCH}, {work / 1e6:.2f} MFLOP per image")
    print(f"the second epoch of {len(dataset.train):,} images, with all it does; {repeats} times")
    peaks = f"fp32 {fp32_peak:.0f} GFLOP/s"
    loops = {"this project, fp32": lambda: ours(dataset, "fp32", **PLAIN)}
    # A processor without instructions for it takes minutes for an epoch.
    if precision == "bf16":
        peaks += f", bf16 {matmul_gflops(torch.bfloat16):.0f} GFLOP/s"
        bf16 = {"this project, bf16 (default here)": lambda: ours(dataset, "bf16", **PLAIN)}
        loops = bf16 | loops
    print(f"matrix multiply, 2048²: {peaks}\n")

    by_default = f"this project, {precision}, default settings"
    settings = METHODS["aae"].defaults_for(dataset, {})
    loops |= {
        "DataLoader, fp32": lambda: standard(dataset, workers=0),
        "DataLoader, 2 workers, fp32": lambda: standard(dataset, workers=2),
        by_default: lambda: ours(dataset, precision, **settings),
    }
    works = dict.fromkeys(loops, work) | {
        by_default: flops_per_image(dataset.spec, **settings | {"writers": False})
    }
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(repeats):
        for name, loop in loops.items():
            times[name].append(loop())

    first = statistics.median(next(iter(times.values())))
    print("| loop | s per epoch (min-max) | images/s | GFLOP/s | of fp32 matmul | time / ours |")
    print("|---|---|---|---|---|---|")
    for name, each in times.items():
        median = statistics.median(each)
        rate = len(dataset.train) / median
        gflops = rate * works[name] / 1e9
        print(
            f"| {name} | {median:.2f} ({min(each):.2f}-{max(each):.2f}) | {rate:,.0f} "
            f"| {gflops:.0f} | {gflops / fp32_peak:.2f} | {median / first:.1f}× |"
        )
    print(f"\nThe DataLoader is fed by {kind}; its loop logs each loss with .item().")


if __name__ == "__main__":
    main()
