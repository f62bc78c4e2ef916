"""What guided descent asks for its opinion: a classifier of digits."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mnist.data import CLASSES, Batch, Digits
from mnist.data.augment import not_digits, redrawn, shifted
from mnist.figures import sheets
from mnist.methods.base import Method, cosine, mean_numbers
from mnist.networks.classifier import Classifier
from mnist.networks.layers import seeded
from mnist.networks.player import Player

# Of each batch's size: images that are no digit added to it, and digits in it that are redrawn.
OUTLIERS, REDRAWN = 0.18, 0.1
RARER = 1.5  # how much rarer what is no digit is taken to be than it is in these batches


class Classification(Method):
    """Digits told apart by the log-likelihood of their labels: multinomial logistic regression.

    Args (besides those of `Method`):
        layers, classes, outliers: of the `Classifier`. With outliers it learns besides to tell
            digits from what is none, by examples that are made for each batch (`augment.KINDS`).
    """

    name = "classifier"
    flags = ("layers", "outliers", *Method.flags)
    wording: ClassVar[dict[str, tuple[str, str]]] = {
        "accuracy": ("Classifier", "accuracy"),
        "refused": ("Classifier", "images that are no digit refused"),
    }
    headline = "loss"
    pictured = "confusion matrix"

    def __init__(
        self,
        *,
        layers: int | None = None,
        classes: int = CLASSES,
        outliers: bool = False,
        **common,
    ):
        super().__init__(**common)
        self.config |= {"layers": layers, "classes": classes, "outliers": outliers}
        with seeded(self.config["seed"]):
            self.classifier = Classifier(layers, classes, outliers)
        # Convolutions want a pixel's channels side by side; on a CPU that halves their time.
        self.classifier.to(memory_format=torch.channels_last)
        self.players["classifier"] = Player(self.classifier, lr=self.config["lr"])

    def step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        images, labels = shifted(batch.images, self.generator), batch.labels
        size = len(labels)
        if self.config["outliers"]:
            some = round(REDRAWN * size)
            others = not_digits(batch, max(1, round(OUTLIERS * size)), self.generator)
            images = torch.cat([redrawn(images[:some], self.generator), images[some:], others])
            labels = torch.cat([labels, labels.new_full((len(others),), self.config["classes"])])
        with self.autocast():
            logits = self.classifier(images)
        loss = F.cross_entropy(logits + self.log_odds(logits), labels)
        self.players["classifier"].update(loss, lr_scale=cosine(progress))
        numbers = {"loss": loss.detach(), "accuracy": accuracy(logits[:size], labels[:size])}
        if self.config["outliers"]:
            numbers["refused"] = accuracy(logits[size:], labels[size:])
        return numbers

    def log_odds(self, logits: Tensor) -> Tensor:
        """How much commoner each answer is in training than later, in nats: [outputs].

        Added to the logits in training alone, it leaves them with what is so later: logit
        adjustment (Menon et al. 2021, arXiv 2007.07314, eq. 10).
        """
        odds = logits.new_zeros(logits.shape[1])
        if self.config["outliers"]:
            odds[-1] = math.log(RARER)
        return odds

    def validate(self, digits: Digits) -> dict[str, float]:
        numbers, sizes = [], []
        for images, labels in digits.batches():
            with self.autocast():
                logits = self.classifier(images)
            loss = F.cross_entropy(logits, labels)
            numbers.append({"loss": loss, "accuracy": accuracy(logits, labels)})
            sizes.append(len(labels))
        return mean_numbers(numbers, sizes)

    def picture(self, digits: Digits) -> bytes:
        """The confusion matrix, and images that were taken for another digit."""
        with self.autocast():
            read = torch.cat([self.classifier(images).argmax(1) for images, _ in digits.batches()])
        return sheets.confusion(digits, read)

    def summary(self) -> str:
        layers = self.config["layers"]
        network = f"a perceptron of {layers} layers" if layers else "a convolutional network"
        return network + (" that knows what is no digit" if self.config["outliers"] else "")


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of images [B] whose label has the largest logit."""
    return (logits.detach().argmax(1) == labels).float().mean()
