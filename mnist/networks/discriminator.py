"""Style to "does it come from the prior?", asked for each class separately."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist.networks.layers import mlp


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

    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits, positive where a style looks as if drawn from the prior.

        style [B, N], labels int64 [B] -> [B, 1]; without labels, for each class, [B, K]. A style of
        an image without a label (−1) may be of any class: its logit is the mean of all.
        """
        return of_class(self.layers(style).to(style.dtype), self.classes, labels)

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
