"""What is measured and shown of a method after each epoch, by what it is able to do."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from mnist.data.types import Split
from mnist.methods import Classifies, Decodes, Encodes, Method
from mnist.networks import losses
from mnist.networks.prior import Marginals, ks_distance
from mnist.networks.random import child_seed, seeded
from mnist.networks.shares import by_rows
from mnist.networks.sharpness import fit_sharpness

FITTED = 2000  # training images, at least, to which the sharpness is fitted


def mean_style(encoded: Tensor | Distribution) -> Tensor:
    """The style [B, N] that an encoder's answer comes to: itself, or the mean of a posterior."""
    return (encoded.mean if isinstance(encoded, Distribution) else encoded).float()


def drawn_style(encoded: Tensor | Distribution, seed: int) -> Tensor:
    """The style [B, N] itself, or one drawn from the posterior of each image."""
    if isinstance(encoded, Distribution):
        with seeded(seed):
            encoded = encoded.sample()
    return encoded.float()


@torch.no_grad()
def validate(method: Method, split: Split) -> dict[str, float]:
    """Numbers about images not trained on, means over those that have what each needs.

    For a method that encodes and decodes `mse`, from the mean where a style is a distribution; for
    one that encodes, and whose prior's distribution is known, `ks`, how far styles are from it
    in the worst dimension, drawn where they are distributions; for one that classifies `loss` and
    `accuracy` over labelled images; and whatever else it has.
    """
    totals: dict[str, float] = {}
    counts: dict[str, int] = {}
    styles, found = [], []
    for which, batch in enumerate(split.batches()):
        numbers: dict[str, tuple[Tensor, int]] = {}
        style = None
        with method.autocast():
            if isinstance(method, Encodes):
                encoded = method.encode(batch.images, batch.labels)
                style = drawn_style(encoded, child_seed(method.seed, f"validation {which}"))
                styles.append(style)
                if isinstance(method, Decodes):
                    style_mean = mean_style(encoded)
                    errors = decoded_errors(method, style_mean, batch.images, batch.labels)
                    numbers["mse"] = errors.mean(), len(batch.labels)
            labelled = batch.labels >= 0
            if isinstance(method, Classifies) and labelled.any():
                logits, labels = method.classify(batch.images)[labelled], batch.labels[labelled]
                if method.finds_classes:
                    found.append((logits, labels))
                else:
                    numbers["loss"] = F.cross_entropy(logits, labels), len(labels)
                    numbers["accuracy"] = losses.accuracy(logits, labels), len(labels)
            others = method.validate(batch, style)
        numbers |= {name: (number, len(batch.labels)) for name, number in others.items()}
        for name, (number, count) in numbers.items():
            totals[name] = totals.get(name, 0.0) + number.item() * count
            counts[name] = counts.get(name, 0) + count
    means = {name: total / counts[name] for name, total in totals.items()}
    if found:  # a cluster's class can be decided only over all images
        logits, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
        means["accuracy"] = losses.cluster_accuracy(logits.cpu(), labels.cpu()).item()
    if styles and isinstance(method.prior, Marginals):
        means["ks"] = ks_distance(torch.cat(styles).cpu(), method.prior.cdf).max().item()
    return means


@by_rows
def decoded_errors(method: Decodes, style: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Mean squared errors [B] of images [B, C, H, W] made from their styles [B, N], which processes
    exchange instead of the images."""
    return losses.squared_errors(method.decode(style, labels), images)


@torch.no_grad()
def calibrate(method: Method, split: Split) -> dict[str, float]:
    """Numbers that are fitted to training images after an epoch.

    For a method that encodes and decodes `sharpness`, at which images from styles are as black and
    white as these.
    """
    if not (isinstance(method, Encodes) and isinstance(method, Decodes)):
        return {}
    batch = split.batch(slice(None, None, max(1, len(split) // FITTED)))
    with method.autocast():
        labels = batch.labels
        if method.label_count is not None and isinstance(method, Classifies):
            labels = method.classify(batch.images).softmax(1)  # it may not know the true ones
        style = mean_style(method.encode(batch.images, labels))
        logits = method.decode(style, labels)
    return {"sharpness": fit_sharpness(logits, batch.images).item()}
