"""Images as a few uncorrelated numbers of about equal variance: a first layer in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RIDGE = 0.01  # added to variances, in units of the largest: what varies less is amplified less


class Whitening(nn.Module):
    """The leading principal components of images, whitened.

    Neighbouring pixels say nearly the same, and descent is slow along what they differ in. Their
    principal components say different things, and at equal variance they are learnt at equal speed
    (LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3). Some tens say as much to a
    layer after them as hundreds of pixels, and cost less.

    Args:
        image_shape: (C, H, W).
        components: K, how many; no more than there are pixels.
    """

    components: Tensor
    offset: Tensor
    fitted: Tensor

    def __init__(self, image_shape: Sequence[int], components: int):
        super().__init__()
        pixels = math.prod(image_shape)
        self.register_buffer("components", torch.zeros(components, pixels))
        self.register_buffer("offset", torch.zeros(components))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Find the components of training images [M, C, H, W] in [0, 1]."""
        points = images.flatten(1).cpu().double()  # which not every device has
        variances, axes = torch.linalg.eigh(points.T.cov(correction=0))
        count = len(self.components)
        leading, axes = variances.flip(0)[:count], axes.flip(1)[:, :count]
        scales = (leading + RIDGE * variances[-1]).sqrt()
        components = (axes / scales).T
        self.components.copy_(components)
        self.offset.copy_(-components @ points.mean(0))
        self.fitted.fill_(True)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] in [0, 1] -> [B, K]."""
        return F.linear(images.flatten(1), self.components, self.offset)
