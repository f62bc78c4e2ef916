#!/usr/bin/env python3
"""Train the classifier that judges generated digits, and keep it in .cache/.

It has no part in training the autoencoders. On two cores it takes about two minutes.

example: MNIST_DATA_DIR=... python benchmarks/judge.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mnist import files  # noqa: E402
from mnist.classifier import Classifier  # noqa: E402
from mnist.data import SIDE, Dataset, Digits, epoch_order, load_dataset  # noqa: E402
from mnist.launch import choose_precision  # noqa: E402
from mnist.layers import seeded  # noqa: E402

EPOCHS, BATCH, LR, SHIFT = 8, 250, 3e-3, 2
LEAST_ACCURACY = 0.994  # on the real test images, or it is no judge


def judge(dataset: Dataset, seed: int = 0) -> tuple[Classifier, float]:
    """A trained classifier and its accuracy on the real test images, from .cache/ if it is there.

    Raises:
        SystemExit: it is not good enough to judge.
    """
    path = ROOT / ".cache" / f"judge-{dataset.name}-{seed}.safetensors"
    if path.exists():
        model = Classifier()
        model.load_state_dict(load_file(path))
    else:
        model = train(dataset, seed)
        path.parent.mkdir(exist_ok=True)
        files.write_file(path, b"".join(files.tensor_pieces(model.state_dict())))
    model.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    accuracy = accuracy_on(model, dataset.test)
    if accuracy < LEAST_ACCURACY:
        sys.exit(f"the judge reads only {accuracy:.2%} of {dataset.name}'s test images correctly")
    return model, accuracy


def train(dataset: Dataset, seed: int) -> Classifier:
    """Train on images shifted by up to two pixels each way, with a one-cycle learning rate."""
    with seeded(seed):
        model = Classifier().to(memory_format=torch.channels_last)
    steps = len(dataset.train) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), LR, weight_decay=0.02, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=EPOCHS * steps)
    padded = F.pad(dataset.train.images, (SHIFT,) * 4)
    generator = torch.Generator().manual_seed(seed)
    bf16 = choose_precision("auto", torch.device("cpu")) == "bf16"
    with seeded(seed):  # dropout
        for epoch in range(EPOCHS):
            order = epoch_order(len(dataset.train), seed, epoch)
            for step in tqdm(range(steps), desc=f"judge, epoch {epoch + 1}/{EPOCHS}", leave=False):
                chosen = order[step * BATCH : (step + 1) * BATCH]
                x, y = torch.randint(0, 2 * SHIFT + 1, (2,), generator=generator).tolist()
                images = padded[chosen, y : y + SIDE, x : x + SIDE].unsqueeze(1).float() / 255
                images = images.contiguous(memory_format=torch.channels_last)
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    loss = F.cross_entropy(
                        model(images), dataset.train.labels[chosen], label_smoothing=0.05
                    )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return model


@torch.no_grad()
def accuracy_on(model: Classifier, digits: Digits) -> float:
    """Share of images whose digit is read correctly."""
    right = 0
    for start in range(0, len(digits), 1000):
        batch = digits.batch(slice(start, start + 1000))
        images = batch.images.contiguous(memory_format=torch.channels_last)
        right += (model(images).argmax(1) == batch.labels).sum().item()
    return right / len(digits)


if __name__ == "__main__":
    print(f"accuracy on the real test images: {judge(load_dataset('mnist'))[1]:.4f}")
