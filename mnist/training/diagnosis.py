"""What a generator makes as it trains: of which classes, how varied, how like real images.

A generator has no error on test images that would show its progress, and its losses show that of
the game: they look the same when it has forgotten half of the data.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mnist.data.spec import DataSpec
from mnist.data.types import Split
from mnist.methods import CLASSIFIER, METHODS, Method, Step
from mnist.networks.distances import frechet_distance
from mnist.networks.random import child_seed, generator

READER_STEPS, READER_BATCH = 300, 250  # of a classifier that is good enough for this
GENERATED = 2000  # images, by the same styles each time
CLUSTERS = 100  # of training images
CLUSTERED = 5000  # training images, at most, that they are found of
REACHED = 0.25  # of a cluster's share of the real images, that makes it one of the modes
UNEVEN = 2.0  # how much more of a class than of the average there is in a collapse, at least
FEW = 0.5  # share of the modes below which it is one, too


class Diagnosis:
    """Looks at a method's images after each epoch, with a classifier that it trains for this.

    Everything follows from the training images and the seed, so that a run that goes on sees the
    same.

    Args:
        train: training images, on the device, of which some are labelled.
        spec: of their data set.
        seed: of the run.
    """

    def __init__(self, train: Split, spec: DataSpec, seed: int):
        self.spec = spec
        self.seed = child_seed(seed, "diagnosis") % 2**32
        labelled = train.labelled
        self.reader = self.trained_reader(labelled)
        # As many images are asked for of each class as there are of it.
        index = torch.randint(len(labelled), (GENERATED,), generator=generator(self.seed, "labels"))
        self.labels = labelled.labels[index.to(labelled.labels.device)]
        counts = labelled.labels.bincount(minlength=spec.classes)
        self.expected = (counts / len(labelled)).tolist()
        self.real: dict[str, Tensor] = {}  # features of each part of the real images
        some = train.some(slice(None, None, max(1, len(train) // CLUSTERED)))
        self.centres, self.usual = self.clusters(self.features(some.batch(slice(None)).images))

    def trained_reader(self, train: Split) -> Method:
        """A classifier that has seen the images once, or as often as there are few of them."""
        device = train.labels.device
        kind: Any = METHODS[CLASSIFIER]
        reader: Method = kind(self.spec, seed=self.seed).to(device)
        rng = generator(self.seed, "order")
        with torch.enable_grad():
            for step in range(READER_STEPS):
                index = torch.randint(len(train), (READER_BATCH,), generator=rng)
                batch = train.batch(index.to(device))
                reader.step(batch, Step(step, step / READER_STEPS))
        return reader.eval().requires_grad_(False)

    def features(self, images: Tensor) -> Tensor:
        """What the classifier sees of images: [B, C, H, W] -> [B, F], on the CPU."""
        return torch.cat([self.reader.features(some).cpu() for some in images.split(READER_BATCH)])

    def clusters(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Centres of clusters of features [B, F], and the shares of these in each."""
        from sklearn.cluster import KMeans  # late: it takes a second to import

        count = min(CLUSTERS, len(features))
        found = KMeans(count, n_init=1, random_state=self.seed).fit(features.numpy())
        shares = torch.from_numpy(found.labels_).long().bincount(minlength=count) / len(features)
        return torch.from_numpy(found.cluster_centers_), shares

    @torch.no_grad()
    def look(self, method: Method, reals: dict[str, Split]) -> dict[str, dict[str, float]]:
        """Numbers of a method that decodes and has a prior, with averaged weights, by part.

        Of "generated": `share_C`, of images that are read as each class; and `modes`, how many of
        100 clusters of training images they fall into (after Richardson & Weiss 2018, arXiv
        1805.12462). Of each part of the real ones: `frechet`, the distance from it in the
        classifier's features (Heusel et al. 2017, arXiv 1706.08500).
        """
        assert method.prior is not None
        styles = method.prior.sample(GENERATED, generator(self.seed, "styles")).to(method.device)
        parts = zip(styles.split(READER_BATCH), self.labels.split(READER_BATCH), strict=True)
        with method.autocast():
            images = torch.cat([method.decode(*part).sigmoid() for part in parts])
        features = self.features(images)
        each = images.split(READER_BATCH)
        read = torch.cat([self.reader.classify(some).argmax(1) for some in each])
        shares = read.bincount(minlength=self.spec.classes) / GENERATED
        nearest = torch.cdist(features, self.centres).argmin(1)
        reached = nearest.bincount(minlength=len(self.centres))
        told = {f"share_{i}": share for i, share in enumerate(shares.tolist())}
        told["modes"] = (reached / GENERATED >= REACHED * self.usual).sum().item()
        numbers = {"generated": told}
        for name, split in reals.items():
            if name not in self.real:
                every = [self.features(batch.images) for batch in split.batches()]
                self.real[name] = torch.cat(every)
            numbers[name] = {"frechet": frechet_distance(self.real[name], features)}
        return numbers

    def collapse(self, numbers: dict[str, float]) -> str | None:
        """What is wrong with generated images of such numbers, if anything."""
        for i, (name, usual) in enumerate(zip(self.spec.class_names, self.expected, strict=True)):
            share = numbers[f"share_{i}"]
            if share > UNEVEN * max(usual, 1 / self.spec.classes):
                word = self.spec.class_word
                return f"{share:.0%} of the generated images are of one {word}, {name}"
        if numbers["modes"] < FEW * len(self.centres):
            return (
                f"generated images fall into {numbers['modes']:.0f} of {len(self.centres)} "
                "clusters of training images"
            )
        return None
