"""Image to digit: what judges whether a generated digit is the one that was asked for."""

from torch import Tensor, nn

from mnist.data import CLASSES, SIDE


class Classifier(nn.Module):
    """A small convolutional network: 28×28 pixels, halved three times, to ten logits.

    Args:
        channels: of the first block; the later ones have two, two and four times as many.
        dropout: share of the last features left out in training.
    """

    def __init__(self, channels: int = 32, dropout: float = 0.3):
        super().__init__()
        side = SIDE // 2 // 2 // 2
        self.features = nn.Sequential(
            block(1, channels),
            nn.MaxPool2d(2),
            block(channels, 2 * channels),
            block(2 * channels, 2 * channels),
            nn.MaxPool2d(2),
            block(2 * channels, 4 * channels),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(4 * channels * side * side, CLASSES)
        )

    def forward(self, images: Tensor) -> Tensor:
        """images [B, 1, 28, 28] in [0, 1] -> logits [B, 10]."""
        return self.head(self.features(images))


def block(inputs: int, outputs: int) -> nn.Sequential:
    """A 3×3 convolution that keeps the size, normalised and rectified."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
