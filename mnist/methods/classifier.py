"""What guided descent asks for its opinion: a classifier of digits."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mnist import pictures
from mnist.classifier import Classifier
from mnist.data import CLASSES, SIDE, Batch, Digits
from mnist.layers import seeded
from mnist.methods.base import Method, cosine, mean_numbers
from mnist.player import Player

SHIFT = 2  # pixels


class Classification(Method):
    """Digits told apart by the log-likelihood of their labels: multinomial logistic regression.

    Args (besides those of `Method`):
        layers, classes: of the `Classifier`.
    """

    name = "classifier"
    flags = ("layers", *Method.flags)
    wording: ClassVar[dict[str, tuple[str, str]]] = {"accuracy": ("Classifier", "accuracy")}
    headline = "loss"
    pictured = "confusion matrix"

    def __init__(self, *, layers: int | None = None, classes: int = CLASSES, **common):
        super().__init__(**common)
        self.config |= {"layers": layers, "classes": classes}
        with seeded(self.config["seed"]):
            self.classifier = Classifier(layers, classes)
        # Convolutions want a pixel's channels side by side; on a CPU that halves their time.
        self.classifier.to(memory_format=torch.channels_last)
        self.players["classifier"] = Player(self.classifier, lr=self.config["lr"])

    def step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        images, labels = shifted(batch.images, self.generator), batch.labels
        with self.autocast():
            logits = self.classifier(images)
        loss = F.cross_entropy(logits, labels)
        self.players["classifier"].update(loss, lr_scale=cosine(progress))
        return {"loss": loss.detach(), "accuracy": accuracy(logits, labels)}

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
        return pictures.confusion(digits, read)

    def summary(self) -> str:
        layers = self.config["layers"]
        return f"a perceptron of {layers} layers" if layers else "a convolutional network"


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by up to `SHIFT` pixels across and down: it stays the same digit."""
    windows = F.pad(images[:, 0], (SHIFT,) * 4).unfold(1, SIDE, 1).unfold(2, SIDE, 1)
    x, y = torch.randint(0, 2 * SHIFT + 1, (2, len(images)), generator=generator).to(images.device)
    return windows[torch.arange(len(images), device=images.device), y, x].unsqueeze(1)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of images [B] whose label has the largest logit."""
    return (logits.detach().argmax(1) == labels).float().mean()
