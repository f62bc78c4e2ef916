"""What the players descend: pure functions of logits, each with its equation and source."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional as F


def reconstruction(logits: Tensor, images: Tensor) -> Tensor:
    """Mean binary cross-entropy of the pixels, in nats per pixel: -x log σ(l) - (1-x) log(1-σ(l)).

    The negative log-likelihood of Kingma & Welling 2013 (arXiv 1312.6114, appendix C.1), averaged
    over pixels so that its size does not depend on the image's. [B, C, H, W] both -> a scalar.
    """
    return CrossEntropies.apply(logits, images)[0].mean()


class CrossEntropies(torch.autograd.Function):
    """Binary cross-entropy of each pixel in nats, log(1 + e^l) - x l, and its slope, σ(l) - x.

    The slope is how far the pixel is off, too. torch's own takes three times as long on a CPU,
    where its log(1 + x) is not vectorised. This one is wrong by 6e-8 at most, half of what float32
    tells apart at 1.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and images of one shape, any -> the entropies and how far pixels are off, both of
        the same shape; only the first have slopes, and none of the images."""
        off = logits.sigmoid().sub_(images)
        ctx.save_for_backward(off)
        ctx.mark_non_differentiable(off)
        ctx.set_materialize_grads(False)  # no zeros for the second
        of_zeros = logits.abs().neg_().exp_().add_(1).log_().add_(logits.clamp(min=0))
        return of_zeros.addcmul_(images, logits, value=-1), off

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slopes: Tensor | None, _: None) -> tuple[Tensor | None, None]:
        (off,) = ctx.saved_tensors
        return None if slopes is None else off * slopes, None


def softplus(numbers: Tensor) -> Tensor:
    """log(1 + e^x) of each finite number, of any shape, without second slopes.

    Sooner than torch's, as above.
    """
    return CrossEntropies.apply(numbers, torch.zeros_like(numbers))[0]


def gaussian_distortion(mean: Tensor, variance: Tensor, images: Tensor) -> Tensor:
    """-log p(x|z) of each image under independent normal pixels, in nats: [B, C, H, W] all -> [B].

    Kingma & Welling 2013 (arXiv 1312.6114, appendix C.2).
    """
    each = (images - mean).square() / variance + variance.log() + math.log(2 * math.pi)
    return each.flatten(1).sum(1) / 2


def bernoulli_distortion(logits: Tensor, images: Tensor) -> Tensor:
    """-log p(x|z) of each image under independent pixels, in nats: [B, C, H, W] both -> [B].

    Kingma & Welling 2013 (arXiv 1312.6114, appendix C.1): exact of black and white pixels, and of
    grey ones the mean over pixels that are black as often as they are dark.
    """
    return CrossEntropies.apply(logits, images)[0].flatten(1).sum(1)


def distortion_and_errors(logits: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """`bernoulli_distortion`, and `squared_errors` without slopes.

    Cheaper together than one by one: [B, C, H, W] both -> [B] both.
    """
    nats, off = CrossEntropies.apply(logits, images)
    return nats.flatten(1).sum(1), off.square().flatten(1).mean(1)


def discriminator_loss(prior_logits: Tensor, style_logits: Tensor) -> Tensor:
    """The discriminator's loss: -E log D(z) - E log(1 - D(E(x))), D = σ(logit).

    Goodfellow et al. 2014 (arXiv 1406.2661, eq. 1), whose "data" is the prior here. Logits of any
    shape -> a scalar, in nats.
    """
    return F.softplus(-prior_logits).mean() + F.softplus(style_logits).mean()


def generator_loss(style_logits: Tensor) -> Tensor:
    """The loss of the encoder, the generator of styles, against the discriminator: -E log D(E(x)).

    The non-saturating form of Goodfellow et al. 2014 (section 3): its gradient stays alive while
    the discriminator still wins. Logits of any shape -> a scalar, in nats.
    """
    return F.softplus(-style_logits).mean()


def least_squares(real: Tensor, fake: Tensor) -> Tensor:
    """A discriminator's loss ½ E (D(x) - 1)² + ½ E D(G(z))²: Mao et al. 2017 (arXiv 1611.04076,
    eq. 9). Outputs of any shape -> a scalar."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def least_squares_generator(fake: Tensor) -> Tensor:
    """The generator's, ½ E (D(G(z)) - 1)²: likewise."""
    return (fake - 1).square().mean() / 2


def wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    """A critic's estimate E f(x) - E f(G(z)) of the Wasserstein distance, if f is 1-Lipschitz.

    Arjovsky, Chintala & Bottou 2017 (arXiv 1701.07875, eq. 2). Outputs of any shape -> a scalar.
    """
    return real.mean() - fake.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor
) -> Tensor:
    """How far from 1 a critic's slopes are between real and generated images: E (‖∇f(x̂)‖ - 1)².

    Gulrajani et al. 2017 (arXiv 1704.00028, eq. 3), x̂ being on the line between each pair.

    Args:
        critic: images [B, ...] -> [B, 1].
        real, fake: [B, ...].
        share: how far from the real one x̂ is, [B, 1, ...] in [0, 1].
    """
    between = torch.lerp(real, fake, share).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slopes.flatten(1).norm(dim=1) - 1).square().mean()


def pulling_away(codes: Tensor) -> Tensor:
    """How alike the codes [B, F] of generated images are: the mean squared cosine of all pairs.

    Zhao, Mathieu & LeCun 2017 (arXiv 1609.03126, eq. 4): -> a scalar from 0 to 1.
    """
    unit = F.normalize(codes, dim=1)
    count = len(codes)
    return ((unit @ unit.T).square().sum() - count) / (count * (count - 1))


def rate(posterior: Normal, std: float) -> Tensor:
    """Mean KL divergence of posteriors [B, N] from the prior, N(0, std²), in nats per image.

    The second term of Kingma & Welling 2013 (arXiv 1312.6114, eq. 10): how much images say in their
    styles.
    """
    variance = (posterior.stddev / std).square()
    return (0.5 * (variance + (posterior.mean / std).square() - 1 - variance.log())).sum(1).mean()


def entropies(logits: Tensor) -> tuple[Tensor, Tensor]:
    """How unsure a classifier is: the mean entropy of its answers, and that of their mean.

    H(p(y|x)) small: each image is surely of one class; H(E p(y|x)) large: not all of the same one
    (Springenberg 2015, arXiv 1511.06390, eq. 4 and 5). [B, K] -> two scalars, in nats.
    """
    logs = logits.log_softmax(1)
    mean = logs.logsumexp(0) - math.log(len(logs))
    return -(logs.exp() * logs).sum(1).mean(), -(mean.exp() * mean).sum()


def disagreement(logits: Tensor, others: Tensor) -> Tensor:
    """How unlikely two images are of one class, by their own distributions: -E log Σ p(y) p'(y).

    Van Gansbeke et al. 2020 (arXiv 2005.12320, eq. 2): least where both are surely of the same.
    Twice [B, K] -> a scalar, in nats.
    """
    return -(logits.log_softmax(1) + others.log_softmax(1)).logsumexp(1).mean()


def mutual_information(logits: Tensor, others: Tensor, evenness: float = 1.0) -> Tensor:
    """How much the classes of two images of one thing say of each other, in nats.

    That of Σ_b p_b(y) p'_b(y') / B, made symmetric (Ji, Henriques & Vedaldi 2019, arXiv 1807.06653,
    section 3.1): log K where each image is surely of one class, the other of the same, and all K
    are equally many. It is H(y) + H(y') - H(y, y'), and `evenness` is a weight on the first two.
    Twice [..., B, K] -> [...].
    """
    # A sum and no matrix product, which would be in bf16.
    joint = (logits.softmax(-1).unsqueeze(-1) * others.softmax(-1).unsqueeze(-2)).mean(-3)
    joint = (joint + joint.mT) / 2
    apart = joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
    tiny = torch.finfo(joint.dtype).tiny
    of_both, of_each = (-(joint * p.clamp(min=tiny).log()).sum((-2, -1)) for p in (joint, apart))
    return evenness * of_each - of_both


def classification(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labelled images, in nats: logits [B, K], int64 [B] -> a scalar.

    Of a batch without any, whose labels are all −1, it is 0 and not NaN.
    """
    total = F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
    return total / (labels >= 0).sum().clamp(min=1)


def closeness(heads: Tensor, apart: float) -> Tensor:
    """How much closer than `apart` heads [K, N] are to each other, summed over pairs: a scalar.

    Makhzani et al. 2015 (arXiv 1511.05644, section 7): a linear penalty below a threshold.
    """
    return F.relu(apart - F.pdist(heads)).sum()


def squared_errors(logits: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of each image's pixels: [B, C, H, W] both -> [B]."""
    return (logits.sigmoid() - images).square().flatten(1).mean(1)


def mse(logits: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of the pixels: [B, C, H, W] both -> a scalar."""
    return squared_errors(logits, images).mean()


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of images whose label has the largest logit: [B, K], int64 [B] -> a scalar."""
    return (logits.detach().argmax(1) == labels).float().mean()


def cluster_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of images that are in a cluster of their class: [B, C], int64 [B] -> a scalar.

    Each cluster takes the class of the image that is surest to be in it: Makhzani et al. 2015
    (arXiv 1511.05644, section 6).
    """
    log_probs = logits.double().log_softmax(1)  # in fp32 the surest are all alike
    of_cluster = labels[log_probs.argmax(0)]
    return (of_cluster[log_probs.argmax(1)] == labels).float().mean()
