"""What images of a class are measured by: real ones of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from mnist.data import Dataset
from mnist.evaluation.metrics import Manifold
from mnist.training.run import BATCH, Run

AMONG = 2000  # real images of each digit, at most, that others may lie among


def real_references(
    run: Run, second: Run, dataset: Dataset, count: int
) -> Iterator[tuple[Manifold, float, float]]:
    """Of each class the manifold of training images, and how much of two others lies on it.

    These are images decoded from `count` styles of the prior, and test images. An unconditional
    run is asked for that many images a class, of which those count that look most like it.
    """
    classes = run.spec.classes
    generator = torch.Generator().manual_seed(0)
    styles = run.prior.sample(count if run.conditional else classes * count, generator)
    if not run.conditional:
        parts = (run.decode(s, sharpness=run.sharpness).cpu() for s in styles.split(BATCH))
        decoded = torch.cat([*parts])
        read = second.log_probs(decoded)[:, :classes].argmax(1).cpu()
    for label in range(classes):
        train, test = (
            part.batch(torch.nonzero(part.labels == label)[:AMONG, 0]).images
            for part in (dataset.train, dataset.test)
        )
        manifold = Manifold(second.features(train).cpu())
        if run.conditional:
            drawn = run.decode(styles, torch.full((count,), label), sharpness=run.sharpness)
        else:
            drawn = decoded[read == label]
        of_prior, of_test = (manifold.share(second.features(i).cpu()) for i in (drawn, test))
        yield manifold, of_prior, of_test
