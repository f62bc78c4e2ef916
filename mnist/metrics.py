"""Numbers about a trained run. Each function takes tensors or arrays, and cites its source."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

NEIGHBOURS = 25  # that read a digit off a style


def ks_distance(style: Tensor, cdf: Callable[[Tensor], Tensor]) -> Tensor:
    """Kolmogorov-Smirnov distance of each style dimension from its prior: [B, N] -> float64 [N].

    sup over x of |F_B(x) - F(x)|, F_B being the B styles' empirical distribution: 0 is a perfect
    fit, and B true samples of the prior lie about 0.87/√B away (Kolmogorov 1933).
    """
    ordered = style.double().sort(0).values
    expected = cdf(ordered)
    count = len(style)
    below = torch.arange(count, device=style.device, dtype=torch.float64).unsqueeze(1) / count
    return torch.maximum(expected - below, below + 1 / count - expected).amax(0)


def probe_accuracy(
    train_styles: np.ndarray,
    train_labels: np.ndarray,
    test_styles: np.ndarray,
    test_labels: np.ndarray,
    seed: int = 0,
) -> float:
    """Share of test styles from which a multi-layer perceptron reads the digit: leakage.

    The probe (256-256 hidden units, scikit-learn's `MLPClassifier`) is trained on the training
    styles. Chance is the share of the commonest digit, 11.4 % on MNIST's test set.

    Args:
        train_styles, test_styles: [B, N].
        train_labels, test_labels: digits [B].
        seed: of the probe.
    """
    from sklearn.exceptions import ConvergenceWarning  # late: a second to import
    from sklearn.neural_network import MLPClassifier

    probe = MLPClassifier(
        (256, 256), batch_size=500, learning_rate_init=2e-3, max_iter=12, random_state=seed
    )
    with warnings.catch_warnings():
        # Twelve rounds are meant: on 60,000 styles later ones only fit noise.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(train_styles, train_labels)
    return float((probe.predict(test_styles) == test_labels).mean())


def knn_accuracy(
    styles: Tensor, labels: Tensor, other_styles: Tensor, other_labels: Tensor, k: int = NEIGHBOURS
) -> float:
    """Share of other styles whose digit is the commonest among their k nearest styles: leakage.

    The classifier of Fix & Hodges (1951). It needs no training, and no package.

    Args:
        styles, other_styles: [A, N] and [B, N].
        labels, other_labels: their digits, int64.
    """
    right = 0
    for some, digits in zip(other_styles.split(1000), other_labels.split(1000), strict=True):
        nearest = torch.cdist(some, styles).topk(k, largest=False).indices
        votes = torch.nn.functional.one_hot(labels[nearest]).sum(1)
        right += (votes.argmax(1) == digits).sum().item()
    return right / len(other_styles)


def chance(labels: np.ndarray) -> float:
    """Accuracy of always answering the commonest digit."""
    return float(np.bincount(labels).max() / len(labels))


def label_agreement(
    decode: Callable[[Tensor, Tensor], Tensor],
    judge: Callable[[Tensor], Tensor],
    styles: Tensor,
) -> float:
    """Share of decodings that a classifier reads as the digit that was asked for.

    Args:
        decode: style [B, N], digit int64 [B] -> images [B, 1, 28, 28].
        judge: images -> logits [B, 10]. It must not have had a part in training.
        styles: [B, N]; the i-th is decoded as digit i mod 10.
    """
    digits = torch.arange(len(styles), device=styles.device) % 10
    right = 0
    for some_styles, some_digits in zip(styles.split(1000), digits.split(1000), strict=True):
        right += (judge(decode(some_styles, some_digits)).argmax(1) == some_digits).sum().item()
    return right / len(styles)
