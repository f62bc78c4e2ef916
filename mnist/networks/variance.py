"""How unsure a decoder is of each pixel: variances beside its means, all above a floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mnist.networks.decoder import Decoder
from mnist.networks.layers import class_code
from mnist.networks.shares import by_rows

# Standard deviations, of pixels in [0, 1]. Where every image is blank nothing else would keep the
# likelihood from growing without bound; and away from the data a decoder knows nothing at all.
LEAST, MOST = 0.05, 10.0
START = 0.2


class SharedVariance(nn.Module):
    """One variance for all pixels (Rybkin, Daniilidis & Levine 2021, arXiv 2006.13202)."""

    def __init__(self) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.tensor(2 * math.log(START)))

    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """Variances [B, 1, 1, 1] of styles [B, N]."""
        variance = LEAST**2 + self.log_variance.exp()
        return variance.expand(len(style), 1, 1, 1)


class LearnedVariance(Decoder):
    """A decoder to the variance of each pixel (Kingma & Welling 2013, appendix C.2)."""

    def __init__(self, *sizes: Any):
        super().__init__(*sizes)
        with torch.no_grad():
            self.layers[-1].bias.fill_(2 * math.log(START))  # type: ignore[operator]

    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """Variances [B, C, H, W] of styles [B, N], labels as `class_code` takes them."""
        log_variance = super().forward(style, labels)
        return LEAST**2 + log_variance.clamp(max=2 * math.log(MOST)).exp()


class RadialVariance(nn.Module):
    """A variance that is small near the styles of training images, and large everywhere else.

    Its inverse is a sum of bumps about centres of these styles, of positive weights:
    β(z) = Σ w_k exp(-λ_k |z - c_k|²) + ζ (Arvanitidis, Hansen & Hauberg 2018, arXiv 1710.11379,
    section 4, eq. 9 and 10). A perceptron would go on as it likes where it has seen nothing.

    Args:
        image_shape: (C, H, W).
        classes: K, each with weights of its own; 0 for an unconditional decoder.
        feature_size: N.
        centres: how many.
    """

    centres: Tensor
    steepness: Tensor
    placed: Tensor

    def __init__(self, image_shape: Sequence[int], classes: int, feature_size: int, centres: int):
        super().__init__()
        self.image_shape, self.classes = tuple(image_shape), classes
        self.register_buffer("centres", torch.zeros(centres, feature_size))
        self.register_buffer("steepness", torch.ones(centres))
        self.register_buffer("placed", torch.zeros((), dtype=torch.bool))
        self.until_placed = SharedVariance()
        self.log_weights = nn.Parameter(
            torch.zeros(max(classes, 1), centres, math.prod(image_shape))
        )

    def place(self, styles: Tensor, width: float, seed: int) -> None:
        """Put the centres where styles [B, N] are, by k-means.

        Each bump is as wide as the styles nearest to its centre are far from it, times `width`
        (their eq. 10).
        """
        from sklearn.cluster import KMeans  # late: it takes a second to import, and few need it

        found = KMeans(len(self.centres), n_init=1, random_state=seed % 2**32).fit(
            styles.cpu().numpy()
        )
        centres = torch.as_tensor(found.cluster_centers_, dtype=torch.float32)
        nearest = torch.as_tensor(found.labels_, dtype=torch.int64)
        distances = (styles.cpu() - centres[nearest]).norm(dim=1)
        counts = nearest.bincount(minlength=len(centres)).clamp(min=1)
        mean = torch.zeros(len(centres)).index_add(0, nearest, distances) / counts
        self.centres.copy_(centres)
        self.steepness.copy_(0.5 / (width * mean.clamp(min=1e-3)).square())
        self.log_weights.data.copy_(
            -self.until_placed.log_variance.data.expand_as(self.log_weights)
        )
        self.placed.fill_(True)

    @by_rows
    def forward(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """Variances [B, C, H, W] of styles [B, N], labels as `class_code` takes them."""
        if not self.placed:
            return self.until_placed(style)
        far = (style.unsqueeze(1) - self.centres).square().sum(2)
        bumps = (-self.steepness * far).exp()
        weights = self.log_weights.exp()
        if self.classes:
            of_classes = torch.einsum("bm,kmp->bkp", bumps, weights)
            code = class_code(labels, self.classes).to(style.dtype)
            precision = torch.einsum("bk,bkp->bp", code, of_classes)
        else:
            precision = bumps @ weights[0]
        variance = LEAST**2 + 1 / (precision + MOST**-2)
        return variance.unflatten(1, self.image_shape)
