"""A classifier: what guided descent asks for its opinion, and evaluation for its judgement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mnist.data.augment import outliers_of, random_shifts, redrawn, shifted
from mnist.data.mnist import MNIST
from mnist.data.spec import DataSpec
from mnist.data.types import Batch, Dataset
from mnist.errors import UserError
from mnist.methods.base import Method, Step, warmed_up
from mnist.networks.classifier import ClassifierNetwork, places
from mnist.networks.losses import accuracy, classification
from mnist.networks.player import Player
from mnist.options import Count, Folder, Positive, Share, Whole

# Of each batch's size: outliers added to it, and images in it that are redrawn.
OUTLIERS, REDRAWN = 0.2, 0.1
RARER = 2.0  # how much rarer outliers are taken to be than they are in these batches
# As good as with padding in 0.6 of the time (docs/performance.md), but not chosen for perceptrons,
# outliers, or layers that have been learnt already.
UNPADDED = {"padded": False, "lr": 8e-3, "warm_up": 0.2}


class Classifier(Method):
    """Classes told apart by the log-likelihood of their labels: multinomial logistic regression.

    Args (besides those of `Method`):
        layers: train a perceptron of so many layers instead of a convolutional network.
        blocks: residual blocks more in the convolutional network.
        padded: surround what convolutions see by zeros; padding is the default for images of fewer
            than 15 pixels to a side, and with --outliers.
        outliers: learn another class as well, of images that are none of the data set's, by
            examples that are made for each batch (`mnist/data/augment.py`).
        from_: start from the layers of the classifier in DIR, the last of them apart, which may
            tell other classes: transfer learning (Yosinski et al. 2014, arXiv 1411.1792).
        freeze: keep the first K of these layers as they are.
        warm_up: share of the training over which the learning rate rises from zero.
    """

    name = "classifier"
    headline = "loss"
    epochs = (8, 40)
    taken_over = ("layers", "blocks", "padded", "outliers")
    only_with: ClassVar = {"freeze": {"from_": True}}
    earlier: ClassVar = {"padded": True}
    dropped = ("fast",)

    @classmethod
    def defaults_for(cls, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
        others = any(options.get(name) for name in ("layers", "outliers", "from_", "padded"))
        fits = places(dataset.spec.image_shape, padded=False) > 0
        usual = UNPADDED if fits and not others else {"padded": True}
        return super().defaults_for(dataset, options) | usual

    def __init__(
        self,
        spec: DataSpec,
        *,
        layers: Count | None = None,
        blocks: Whole = 0,
        padded: bool | None = None,
        outliers: bool = False,
        from_: Folder | None = None,
        freeze: Whole = 0,
        warm_up: Share = 0.0,
        lr: Positive = 4e-3,
        **common: Any,
    ):
        super().__init__(spec, lr=lr, **common)
        padded = padded is not False
        if not (layers or places(spec.image_shape, padded)):
            raise UserError(f"images of {spec.size} need padding: leave --no-padded out")
        self.layers = layers
        self.outliers = outliers
        self.capturable = not outliers
        self.warm_up = warm_up
        with self.seeded("classifier"):
            self.classifier = ClassifierNetwork(
                spec.image_shape, spec.classes, layers, outliers, blocks, padded
            )
        # Convolutions want a pixel's channels side by side; on a CPU that halves their time.
        self.classifier.to(memory_format=torch.channels_last)
        learnt = self.classifier.learnt_layers()
        if freeze >= len(learnt):
            raise UserError(
                f"--freeze {freeze} of {len(learnt)} layers: the last one has to learn the "
                f"{spec.class_word}s, so freeze {len(learnt) - 1} at most"
            )
        self.frozen = learnt[:freeze]
        self.train()
        self.players["classifier"] = Player(*learnt[freeze:], lr=lr)

    def start_from(self, other: Classifier) -> None:
        """Take over the layers of a classifier of such images, but for the last.

        Raises:
            UserError: it is of images of another size.
        """
        if other.spec.image_shape != self.spec.image_shape:
            raise UserError(
                f"it is of images of {other.spec.size}, and these are of {self.spec.size}"
            )
        both = self.classifier.learnt_layers(), other.classifier.learnt_layers()
        for ours, theirs in zip(*(layers[:-1] for layers in both), strict=True):
            ours.load_state_dict(theirs.state_dict())

    def train(self, mode: bool = True) -> Classifier:
        """As every module; what is frozen keeps the statistics of its normalisation, too."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        labels, size = batch.labels, len(batch.labels)
        shifts = step.given(lambda _: random_shifts(size, self.rng))
        images = shifted(batch.images, shifts.to(self.device))
        if self.outliers:
            some = round(REDRAWN * size)
            count = max(1, round(OUTLIERS * size))
            digits = self.spec.class_names == MNIST.class_names
            others = outliers_of(batch, count, self.rng, digits)
            images = torch.cat([redrawn(images[:some], self.rng), images[some:], others])
            labels = torch.cat([labels, labels.new_full((len(others),), self.spec.classes)])
        with self.autocast():
            logits = self.classifier(images)
        loss = classification(logits + self.log_odds(logits), labels)
        lr_scale = step.given(lambda at: warmed_up(at.progress, self.warm_up))
        self.players["classifier"].update(loss, lr_scale)
        numbers = {"loss": loss.detach(), "accuracy": accuracy(logits[:size], labels[:size])}
        if self.outliers:
            numbers["refused"] = accuracy(logits[size:], labels[size:])
        return numbers

    def classify(self, images: Tensor) -> Tensor:
        return self.classifier(images)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer reads the classes off: images [B, C, H, W] -> [B, F]."""
        return self.classifier.features(images)

    def log_odds(self, logits: Tensor) -> Tensor:
        """How much commoner each answer is in training than later, in nats: [K].

        Added to the logits in training alone, it leaves them with what is so later: logit
        adjustment (Menon et al. 2021, arXiv 2007.07314, eq. 10).
        """
        odds = logits.new_zeros(logits.shape[1])
        if self.outliers:
            odds[-1] = math.log(RARER)
        return odds

    def summary(self) -> str:
        network = (
            f"a perceptron of {self.layers} layers" if self.layers else "a convolutional network"
        )
        return network + (f" that knows what is no {self.spec.class_word}" if self.outliers else "")
