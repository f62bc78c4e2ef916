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
        logits = self.layers(style).to(style.dtype)
        if self.classes and labels is not None:
            labels = labels.unsqueeze(1)
            of_class = logits.gather(1, labels.clamp(min=0))
            logits = torch.where(labels >= 0, of_class, logits.mean(1, keepdim=True))
        return logits
