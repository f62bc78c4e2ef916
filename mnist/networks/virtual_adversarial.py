"""Virtual adversarial training: what is said of an image should hold for all images near it."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

# How far off the curvature is looked at, in pixels' units: as far as Hu et al. 2017 (below) do.
# Close by the answer hardly changes, least of all in bf16 (docs/LOG.md).
DISTANCE = 5.0


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Mean KL(p ‖ q) of the classes' distributions, in nats: logits of p and q [B, K] -> scalar."""
    return F.kl_div(
        others.log_softmax(1), logits.log_softmax(1), reduction="batchmean", log_target=True
    )


def worst_direction(
    classify: Callable[[Tensor], Tensor],
    images: Tensor,
    logits: Tensor,
    generator: torch.Generator,
    rounds: int = 1,
    distance: float = DISTANCE,
) -> Tensor:
    """In which direction each image would change fastest what is said of it.

    The leading eigenvector of the Hessian of KL(p(x) ‖ p(x + r)) at r = 0, by the power method with
    finite differences from a random start: Miyato, Maeda, Koyama & Ishii 2017 (arXiv 1704.03976,
    eq. 11 to 14).

    Args:
        classify: images -> logits [B, K].
        images: x, [B, C, H, W].
        logits: what it says of them, [B, K].
        generator: of the start.
        rounds: of the power method.
        distance: of the finite differences.

    Returns:
        Of length 1 for each image, [B, C, H, W].
    """
    start = torch.randn(images.shape, generator=generator).to(images.device)
    found = F.normalize(start.flatten(1)).view_as(images)
    for _ in range(rounds):
        step = (distance * found).requires_grad_()
        (found,) = torch.autograd.grad(divergence(logits.detach(), classify(images + step)), step)
        found = F.normalize(found.flatten(1)).view_as(images)
    return found


def virtual_adversarial_loss(
    classify: Callable[[Tensor], Tensor],
    images: Tensor,
    logits: Tensor,
    radius: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """How much what is said of images changes where it changes fastest, `radius` [B] away: a scalar
    in nats (Miyato et al. 2017, eq. 8). Other arguments as `worst_direction`."""
    direction = worst_direction(classify, images, logits, generator)
    return divergence(logits.detach(), classify(images + radius.view(-1, 1, 1, 1) * direction))


def to_nearest(images: Tensor) -> Tensor:
    """How far each image is from the nearest other one, [B, C, H, W] -> [B].

    Where images lie close a class may end close by: so Hu, Miyato, Tokui, Matsumoto & Sugiyama
    2017 (arXiv 1702.08720, section 4.2) choose the radius, by the tenth nearest of all.
    """
    points = images.flatten(1)
    return torch.cdist(points, points).fill_diagonal_(torch.inf).amin(1)
