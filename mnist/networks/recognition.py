"""InfoGAN's Q: from an image to the code that it was made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mnist.networks.layers import at_least_float32

MEMORY = 100  # steps that the mean information of a head reaches back over


class Recognition(nn.Module):
    """Images to the logits of their cluster, and to continuous numbers.

    Chen et al. 2016 (arXiv 1606.03657, section 5). Which clusters images fall into depends on the
    initial weights, so several heads look for them on the same features, and the one that says most
    of images is used (Ji, Henriques & Vedaldi 2019, arXiv 1807.06653, section 4.1).

    Args:
        features: a network from images [B, C, H, W] to F features.
        size: F.
        clusters: K.
        numbers: M, how many continuous ones.
        heads: H, how many.

    Attributes:
        information: running mean of what each head says, [H].
        chosen: number of the head that is used, int64.
    """

    information: Tensor
    chosen: Tensor

    def __init__(self, features: nn.Module, size: int, clusters: int, numbers: int, heads: int):
        super().__init__()
        self.features = features
        self.clusters = nn.Linear(size, heads * clusters)
        self.numbers = nn.Linear(size, numbers)
        self.register_buffer("information", torch.zeros(heads))
        self.register_buffer("chosen", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the cluster by the head that is used, [B, K], and numbers [B, M]."""
        features = self.features(images)
        clusters = self.by_heads(features).index_select(0, self.chosen)
        return clusters.squeeze(0), at_least_float32(self.numbers(features))

    def by_heads(self, features: Tensor) -> Tensor:
        """Logits of the cluster of features [B, F] by each head: [H, B, K]."""
        heads = len(self.information)
        return at_least_float32(self.clusters(features)).unflatten(1, (heads, -1)).transpose(0, 1)

    @torch.no_grad()
    def choose(self, information: Tensor) -> None:
        """Use the head that says most by now: of a batch each says `information`, [H]."""
        self.information.lerp_(information, 1 / MEMORY)
        self.chosen.copy_(self.information.argmax())
