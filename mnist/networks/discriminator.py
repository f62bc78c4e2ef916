"""Style to "does it come from the prior?": asked for each class, or of parts of the prior."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist.networks.layers import mlp
from mnist.networks.shares import by_rows


class Discriminator(nn.Module):
    """A Gaussian discriminator for each class, on a common trunk.

    One that does not see the class is content when the styles of all classes *together* look like
    the prior, and each class then keeps a corner of its own. Here the output of class c compares
    the styles of c alone with the prior, so that style and class must become independent. And as
    a style from the prior may belong to any class, each one serves as an example to all of them.

    Args:
        feature_size: N, dimensions of the style.
        classes: K; 0 for an unconditional discriminator, with a single output.
        hidden: sizes of the hidden layers.
    """

    def __init__(self, feature_size: int, classes: int, hidden: Sequence[int]):
        super().__init__()
        self.classes = classes
        self.layers = mlp([feature_size, *hidden, max(classes, 1)], activation=nn.LeakyReLU)

    @by_rows
    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits, positive where a style looks as if drawn from the prior.

        style [B, N], labels int64 [B] -> [B, 1]; without labels, for each class, [B, K]. A style of
        an image without a label (−1) may be of any class: its logit is the mean of all.
        """
        return of_class(self.layers(style).to(style.dtype), self.classes, labels)

    @by_rows
    def compare(self, prior: Tensor, style: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of styles from the prior [B, K] and of images' [B, 1], both as above: in one pass,
        for two take a fifth longer.

        prior [B, N], style [B, N], labels int64 [B].
        """
        both = self.layers(torch.cat([prior, style])).to(style.dtype)
        of_prior, of_images = both.split([len(prior), len(style)])
        return of_prior, of_class(of_images, self.classes, labels)


def of_class(logits: Tensor, classes: int, labels: Tensor | None) -> Tensor:
    """Those of the labels' classes, [B, K] -> [B, 1]; all where there are no classes or labels."""
    if not classes or labels is None:
        return logits
    labels = labels.unsqueeze(1)
    chosen = logits.gather(1, labels.clamp(min=0))
    return torch.where(labels >= 0, chosen, logits.mean(1, keepdim=True))


class GuidedDiscriminator(nn.Module):
    """A discriminator of a prior that falls into parts, one for each class.

    It compares styles of class c with part c of the prior, and those of unknown class with the
    whole: section 2.3 of Makhzani et al. 2015, who give it the class, or "unknown", as an input
    where we have an output for each.

    Args:
        feature_size: N, dimensions of the style.
        classes: K.
        hidden: sizes of the hidden layers.
    """

    def __init__(self, feature_size: int, classes: int, hidden: Sequence[int]):
        super().__init__()
        self.layers = mlp([feature_size, *hidden, classes + 1], activation=nn.LeakyReLU)

    @by_rows
    def forward(self, style: Tensor, labels: Tensor) -> Tensor:
        """Logits, positive where a style looks as if drawn from its class's part.

        style [B, N], labels int64 [B], −1 where it is not known -> [B, 1].
        """
        logits = self.layers(style).to(style.dtype)
        asked = torch.where(labels >= 0, labels, logits.shape[1] - 1)
        return logits.gather(1, asked.unsqueeze(1))

    def compare(self, prior: Tensor, style: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of styles from the labels' parts of the prior, and of images' with these labels:
        prior [B, N], style [B, N], labels int64 [B] -> twice [B, 1]."""
        return self(prior, labels), self(style, labels)
