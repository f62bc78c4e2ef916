"""What is measured and shown of a method after each epoch, by what it is able to do."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from mnist.data.types import Batch, Split
from mnist.methods import Classifies, Decodes, Encodes, Method
from mnist.networks import losses
from mnist.networks.prior import Marginals, ks_distance
from mnist.networks.random import child_seed, seeded
from mnist.networks.shares import shared_out
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


class Looked(NamedTuple):
    """What is found about a batch of images not trained on, [B, ...].

    Attributes:
        numbers: means over the images that have what each needs, with how many these are.
        style: [B, N] on the CPU, of a method that encodes.
        found: logits and labels, of one that has to find the classes.
    """

    numbers: dict[str, tuple[float, int]]
    style: Tensor | None
    found: tuple[Tensor, Tensor] | None


def validate(method: Method, split: Split) -> dict[str, float]:
    """Numbers about images not trained on, means over those that have what each needs.

    For a method that encodes and decodes `mse`, from the mean where a style is a distribution; for
    one that encodes, and whose prior's distribution is known, `ks`, how far styles are from it
    in the worst dimension, drawn where they are distributions; for one that classifies `loss` and
    `accuracy` over labelled images; and whatever else it has.
    """
    totals: dict[str, float] = {}
    counts: dict[str, int] = {}
    looked = shared_out(
        split.parts(), lambda which, part: looked_at(method, split.batch(part), which)
    )
    for each in looked:
        for name, (number, count) in each.numbers.items():
            totals[name] = totals.get(name, 0.0) + number * count
            counts[name] = counts.get(name, 0) + count
    means = {name: total / counts[name] for name, total in totals.items()}
    if found := [each.found for each in looked if each.found]:
        # A cluster's class can be decided only over all images.
        logits, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
        means["accuracy"] = losses.cluster_accuracy(logits, labels).item()
    styles = [each.style for each in looked if each.style is not None]
    if styles and isinstance(method.prior, Marginals):
        means["ks"] = ks_distance(torch.cat(styles), method.prior.cdf).max().item()
    return means


@torch.no_grad()
def looked_at(method: Method, batch: Batch, which: int) -> Looked:
    """What `validate` tells of one batch, `which` of all."""
    numbers: dict[str, tuple[Tensor, int]] = {}
    style = found = None
    with method.autocast():
        if isinstance(method, Encodes):
            encoded = method.encode(batch.images, batch.labels)
            style = drawn_style(encoded, child_seed(method.seed, f"validation {which}"))
            if isinstance(method, Decodes):
                logits = method.decode(mean_style(encoded), batch.labels)
                numbers["mse"] = losses.mse(logits, batch.images), len(batch.labels)
        labelled = batch.labels >= 0
        if isinstance(method, Classifies) and labelled.any():
            logits, labels = method.classify(batch.images)[labelled], batch.labels[labelled]
            if method.finds_classes:
                found = logits.cpu(), labels.cpu()
            else:
                numbers["loss"] = F.cross_entropy(logits, labels), len(labels)
                numbers["accuracy"] = losses.accuracy(logits, labels), len(labels)
        others = method.validate(batch, style)
    numbers |= {name: (number, len(batch.labels)) for name, number in others.items()}
    told = {name: (number.item(), count) for name, (number, count) in numbers.items()}
    return Looked(told, None if style is None else style.cpu(), found)


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
