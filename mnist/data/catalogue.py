"""Published data sets of small labelled images besides MNIST: their files, sums and classes."""

from __future__ import annotations

import bz2
import gzip
import string
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnist.data.download import torchvision
from mnist.data.idx import BYTE, INT, pair, parse_idx, read_bytes
from mnist.data.mnist import MNIST
from mnist.data.npz import read_npz
from mnist.data.published import Addresses, Published, lying
from mnist.data.spec import DataSpec
from mnist.data.types import Split
from mnist.data.writers import CLASS, WRITER
from mnist.errors import UserError, first_line


def words(text: str) -> tuple[str, ...]:
    """Names of classes that have no spaces in them."""
    return tuple(text.split())


KANA = words(
    "a i u e o ka ki ku ke ko sa shi su se so ta chi tsu te to na ni nu ne no ha hi fu he ho "
    "ma mi mu me mo ya yu yo ra ri ru re ro wa wi we wo n iteration"
)
UPPER, LOWER = string.ascii_uppercase, string.ascii_lowercase
SIDE = MNIST.image_shape


def torchvisions(name: str) -> Addresses:
    """Where torchvision says that a data set's files are."""
    source = getattr(torchvision(), name)
    return Addresses(source.resources, source.mirrors)


# --- in MNIST's four files ------------------------------------------------------------------------

PARTS = "train", "t10k"


def four_files(*sums: str) -> dict[str, str]:
    """The names that MNIST's files have, of which others' have the same: with their sums."""
    names = [f"{part}-{what}-ubyte.gz" for part in PARTS for what in ("images-idx3", "labels-idx1")]
    return dict(zip(names, sums, strict=True))


def read_four(folder: Path, spec: DataSpec) -> tuple[Split, Split]:
    """Training and test images from four such files."""
    train, test = (
        read_pair(folder, f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz", spec)
        for part in PARTS
    )
    return train, test


def read_pair(folder: Path, images: str, labels: str, spec: DataSpec) -> Split:
    """Images and labels from an IDX file each, wrapped or not."""
    where = f"{folder} ({images.partition('-images')[0]} files)"
    return pair(read_idx(folder, images, 3), read_idx(folder, labels, 1), spec, where)


def read_idx(folder: Path, name: str, dimensions: int, kind: int = BYTE) -> np.ndarray:
    """The array in an IDX file, wrapped or not, that is known to be there."""
    path = lying(folder, name)
    assert path is not None  # seen by `Published.read_folder`
    return parse_idx(read_bytes(path), dimensions, path, kind)


# Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747.
CLOTHES = DataSpec(
    SIDE,
    (
        *words("T-shirt trouser pullover dress coat sandal shirt sneaker bag"),
        "ankle boot",
    ),
    "garment",
)
FASHION_MNIST = Published(
    "fashion-mnist",
    CLOTHES,
    four_files(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    ("FashionMNIST/raw", "fashion-mnist"),
    lambda folder: read_four(folder, CLOTHES),
    lambda: torchvisions("FashionMNIST"),
    common=True,
)

# Clanuwat et al. 2018, arXiv 1812.01718: old Japanese script.
TEN_KANA = DataSpec(SIDE, words("o ki su tsu na ha ma ya re wo"), "kana")
KMNIST = Published(
    "kmnist",
    TEN_KANA,
    four_files(
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    ),
    ("KMNIST/raw", "kmnist"),
    lambda folder: read_four(folder, TEN_KANA),
    lambda: torchvisions("KMNIST"),
    common=True,
)


# --- all 49 kana, in NumPy's files ----------------------------------------------------------------

ALL_KANA = DataSpec(SIDE, KANA, "kana")


def read_k49(folder: Path) -> tuple[Split, Split]:
    parts = []
    for part in ("train", "test"):
        images, labels = (
            read_npz(folder / f"k49-{part}-{what}.npz", ("arr_0",))["arr_0"]
            for what in ("imgs", "labels")
        )
        parts.append(pair(images, labels, ALL_KANA, f"{folder} ({part} files)"))
    return parts[0], parts[1]


K49 = Published(
    "k49",
    ALL_KANA,
    {f"k49-{part}-{what}.npz": "" for part in ("train", "test") for what in ("imgs", "labels")},
    ("k49", "K49/raw"),
    read_k49,
    None,  # torchvision has no address, and its owners have published no sums
)


# --- NIST's letters and digits --------------------------------------------------------------------

ARCHIVE = "gzip.zip"
# Of upper and lower case, where both are alike, a single class: Cohen et al. 2017, arXiv
# 1702.05373, section II-B.
BALANCED = string.digits + UPPER + "abdefghnqrt"


def emnist(name: str, split: str, classes: str, word: str, first: int = 0) -> Published:
    """One of the ways in which EMNIST's images are put together.

    Args:
        name: that it is asked for by.
        split: in its files' names.
        classes: single characters.
        word: for one of them.
        first: the label that the first has.
    """
    spec = DataSpec(SIDE, tuple(classes), word)
    return Published(
        name,
        spec,
        {ARCHIVE: "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"},
        ("EMNIST/raw", "emnist"),
        lambda folder: read_emnist(folder, split, spec, first),
        emnist_addresses,
    )


def emnist_addresses() -> Addresses:
    source: Any = torchvision().EMNIST
    return Addresses([(ARCHIVE, source.md5)], [source.url.removesuffix(ARCHIVE)])


def read_emnist(folder: Path, split: str, spec: DataSpec, first: int) -> tuple[Split, Split]:
    """Training and test images from the archive in a folder.

    They are stored with rows and columns exchanged, as NIST's own programs want them.
    """
    parts, path = [], folder / ARCHIVE
    try:
        with zipfile.ZipFile(path) as archive:
            for part in ("train", "test"):
                arrays = []
                for what, dimensions in (("images-idx3", 3), ("labels-idx1", 1)):
                    member = f"gzip/emnist-{split}-{part}-{what}-ubyte.gz"
                    content = gzip.decompress(archive.read(member))
                    arrays.append(parse_idx(content, dimensions, path / member))
                images, labels = arrays
                labels = labels.astype(np.int64) - first
                parts.append(pair(images.transpose(0, 2, 1), labels, spec, f"{path} ({part})"))
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, KeyError) as error:
        raise UserError(
            f"{path} is no archive of EMNIST, or a damaged one ({first_line(error)}): delete it "
            "and fetch it again"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): see who may") from error
    return parts[0], parts[1]


EMNIST = {
    each.name: each
    for each in (
        emnist("emnist-letters", "letters", UPPER, "letter", first=1),
        emnist("emnist-balanced", "balanced", BALANCED, "character"),
        emnist("emnist-byclass", "byclass", string.digits + UPPER + LOWER, "character"),
        emnist("emnist-digits", "digits", string.digits, "digit"),
    )
}


# --- MNIST's own images again, with all of its test images and who wrote them ---------------------

QMNIST_FILES = {
    "qmnist-train-images-idx3-ubyte.gz": "ed72d4157d28c017586c42bc6afe6370",
    "qmnist-train-labels-idx2-int.gz": "0058f8dd561b90ffdd0f734c6a30e5e4",
    "qmnist-test-images-idx3-ubyte.gz": "1394631089c404de565df7b7aeaf9412",
    "qmnist-test-labels-idx2-int.gz": "5b5b05890a5e13444e108efe57b788aa",
}


def read_qmnist(folder: Path) -> tuple[Split, Split]:
    """Yadav & Bottou 2019, arXiv 1905.10498: 60,000 images each, of which MNIST tests by 10,000."""
    parts = []
    for part in ("train", "test"):
        images = read_idx(folder, f"qmnist-{part}-images-idx3-ubyte.gz", 3)
        rows = read_idx(folder, f"qmnist-{part}-labels-idx2-int.gz", 2, INT)
        split = pair(images, rows[:, CLASS], MNIST, f"{folder} ({part} files)")
        writers = torch.from_numpy(rows[:, WRITER].astype(np.int64))
        parts.append(Split(split.images, split.labels, writers))
    return parts[0], parts[1]


def qmnist_addresses() -> Addresses:
    files = [file for part in torchvision().QMNIST.resources.values() for file in part]
    mirror = files[0][0].rpartition("/")[0] + "/"  # the same for all
    named = [(url.removeprefix(mirror), md5) for url, md5 in files]
    return Addresses([(name, md5) for name, md5 in named if name in QMNIST_FILES], [mirror])


QMNIST = Published(
    "qmnist", MNIST, QMNIST_FILES, ("QMNIST/raw", "qmnist"), read_qmnist, qmnist_addresses
)


# --- digits of envelopes --------------------------------------------------------------------------

ENVELOPES = DataSpec((1, 16, 16), tuple(string.digits), "digit")
USPS_FILES = {
    "usps.bz2": "ec16c51db3855ca6c91edd34d0e9b197",
    "usps.t.bz2": "8ea070ee2aca1ac39742fdd1ef5ed118",
}


def read_usps(folder: Path) -> tuple[Split, Split]:
    """Hull 1994, "A database for handwritten text recognition research", as LIBSVM has it."""
    train, test = (read_libsvm(folder / name, ENVELOPES) for name in USPS_FILES)
    return train, test


def read_libsvm(path: Path, spec: DataSpec) -> Split:
    """Images from LIBSVM's text: a line is a label from 1, and pixels from -1 to 1 as "5:0.3".

    Raises:
        UserError: the file is damaged, or has other lines.
    """
    try:
        lines = bz2.decompress(path.read_bytes()).decode("ascii").splitlines()
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is a damaged bzip2 file ({error}): fetch it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): see who may") from error
    images = np.full((len(lines), spec.pixels), -1.0)  # pixels that are left out are background
    labels = np.zeros(len(lines), np.int64)
    for number, line in enumerate(lines):
        try:
            label, *pixels = line.split()
            labels[number] = int(float(label)) - 1
            for pixel in pixels:
                place, value = pixel.split(":")
                if int(place) < 1:
                    raise IndexError(place)
                images[number, int(place) - 1] = float(value)
        except (ValueError, IndexError) as error:
            raise UserError(
                f"{path}, line {number + 1}, is no image of {spec.size} in LIBSVM's format "
                f"({first_line(error)}): fetch it again"
            ) from error
    if not np.isfinite(images).all() or np.abs(images).max(initial=0) > 1:
        raise UserError(f"{path} has pixels beyond -1 to 1: fetch it again")
    bytes_of = ((images + 1) / 2 * 255).round().astype(np.uint8)
    return pair(bytes_of.reshape(-1, *spec.image_shape[1:]), labels, spec, path)


def usps_addresses() -> Addresses:
    files = list(torchvision().USPS.split_list.values())
    mirror = files[0][0].removesuffix(files[0][1])
    return Addresses([(name, md5) for _, name, md5 in files], [mirror])


USPS = Published("usps", ENVELOPES, USPS_FILES, ("USPS", "usps"), read_usps, usps_addresses)

CATALOGUE = {
    each.name: each for each in (FASHION_MNIST, KMNIST, K49, *EMNIST.values(), QMNIST, USPS)
}
