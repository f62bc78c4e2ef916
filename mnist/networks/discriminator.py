"""Style to "does it come from the prior?", asked for each digit separately."""

from collections.abc import Sequence

from torch import Tensor, nn

from mnist.data import CLASSES
from mnist.networks.layers import mlp


class Discriminator(nn.Module):
    """A Gaussian discriminator for each digit, on a common trunk.

    One that does not know the digit is content when the styles of all digits *together* look like
    the prior, and each digit then keeps a corner of its own. Here digit d's output compares the
    styles of digit d alone with the prior, so that style and digit must become independent. And
    as a style from the prior may belong to any digit, each one serves as an example to all ten.

    Args:
        feature_size: N, numbers in a style.
        labels: whether it is told the digit; otherwise it has a single output.
        hidden: sizes of the hidden layers.
    """

    def __init__(self, feature_size: int, labels: bool, hidden: Sequence[int]):
        super().__init__()
        self.labels = labels
        outputs = CLASSES if labels else 1
        self.layers = mlp([feature_size, *hidden, outputs], activation=nn.LeakyReLU)

    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits, positive where a style looks as if drawn from the prior.

        style [B, N], labels int64 [B], 0 to 9 -> [B, 1]; without labels, for every digit, [B, 10].
        """
        logits = self.layers(style).to(style.dtype)
        if self.labels and labels is not None:
            logits = logits.gather(1, labels.unsqueeze(1))
        return logits
