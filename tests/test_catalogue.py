"""Published data sets: small files made to the letter of their formats, and damaged ones."""

import bz2
import gzip
import hashlib
import io
import string
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from mnist import data
from mnist.data import catalogue, npz
from mnist.data.catalogue import CATALOGUE
from mnist.data.published import Published
from mnist.errors import UserError

RANDOM = np.random.default_rng(0)


def idx_bytes(numbers, kind="B"):
    """Numbers in the IDX format, written by hand: big-endian, as its description has it."""
    code = {"B": 0x08, "i": 0x0C}[kind]
    header = struct.pack(">HBB", 0, code, numbers.ndim)
    header += b"".join(struct.pack(">I", side) for side in numbers.shape)
    return header + struct.pack(f">{numbers.size}{kind}", *numbers.ravel().tolist())


def npz_bytes(numbers):
    """An .npz with a single array, as numpy.savez_compressed names it."""
    file = io.BytesIO()
    np.savez_compressed(file, numbers)
    return file.getvalue()


def some(count, classes, side=28):
    """Images and labels, every class among them."""
    images = RANDOM.integers(0, 256, (count, side, side)).astype(np.uint8)
    return images, RANDOM.permutation(np.arange(count) % classes)


def of_four(classes):
    """MNIST's four files, gzip'd, with what is in them."""
    files, parts = {}, []
    for part, count in (("train", 3 * classes), ("t10k", classes)):
        images, labels = some(count, classes)
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(images))
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx_bytes(labels))
        parts.append((images, labels))
    return files, parts


def of_k49(classes):
    files, parts = {}, []
    for part, count in (("train", 2 * classes), ("test", classes)):
        images, labels = some(count, classes)
        files[f"k49-{part}-imgs.npz"] = npz_bytes(images)
        files[f"k49-{part}-labels.npz"] = npz_bytes(labels.astype(np.uint8))
        parts.append((images, labels))
    return files, parts


def of_emnist(split, classes, first=0):
    """EMNIST's archive: rows and columns exchanged, and labels of letters from 1."""
    archive, parts = io.BytesIO(), []
    with zipfile.ZipFile(archive, "w") as file:
        for part, count in (("train", 2 * classes), ("test", classes)):
            images, labels = some(count, classes)
            name = f"gzip/emnist-{split}-{part}"
            stored = np.stack([image.T for image in images])
            file.writestr(f"{name}-images-idx3-ubyte.gz", gzip.compress(idx_bytes(stored)))
            file.writestr(f"{name}-labels-idx1-ubyte.gz", gzip.compress(idx_bytes(labels + first)))
            parts.append((images, labels))
    return {"gzip.zip": archive.getvalue()}, parts


def of_qmnist(classes):
    files, parts = {}, []
    for part, count in (("train", 3 * classes), ("test", 2 * classes)):
        images, labels = some(count, classes)
        rows = np.zeros((count, 8), int)
        rows[:, 0], rows[:, 2] = labels, 2000 + np.arange(count)
        files[f"qmnist-{part}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(images))
        files[f"qmnist-{part}-labels-idx2-int.gz"] = gzip.compress(idx_bytes(rows, "i"))
        parts.append((images, labels))
    return files, parts


def of_usps(classes):
    """LIBSVM's lines: "label index:value ...", both from 1, values from -1 to 1."""
    files, parts = {}, []
    for name, count in (("usps.bz2", 2 * classes), ("usps.t.bz2", classes)):
        images, labels = some(count, classes, side=16)
        lines = []
        for image, label in zip(images, labels, strict=True):
            values = image.ravel() / 255 * 2 - 1
            pixels = " ".join(f"{i + 1}:{value:.6f}" for i, value in enumerate(values))
            lines.append(f"{label + 1} {pixels} ")
        files[name] = bz2.compress("\n".join(lines).encode() + b"\n")
        parts.append((images, labels))
    return files, parts


MADE = {
    "fashion-mnist": lambda: of_four(10),
    "kmnist": lambda: of_four(10),
    "k49": lambda: of_k49(49),
    "emnist-letters": lambda: of_emnist("letters", 26, first=1),
    "emnist-balanced": lambda: of_emnist("balanced", 47),
    "emnist-byclass": lambda: of_emnist("byclass", 62),
    "emnist-digits": lambda: of_emnist("digits", 10),
    "qmnist": lambda: of_qmnist(10),
    "usps": lambda: of_usps(10),
}


@pytest.fixture
def published(monkeypatch):
    """Take what `MADE` makes for the published files: (name, folder) -> its parts."""
    monkeypatch.delenv("MNIST_DATA_DIR", raising=False)

    def make(name, folder):
        files, parts = MADE[name]()
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        known: Published = CATALOGUE[name]
        sums = {
            file: getattr(hashlib, "md5" if len(was) == 32 else "sha256")(files[file]).hexdigest()
            if was
            else ""
            for file, was in known.files.items()
        }
        made = replace(known, files=sums)
        monkeypatch.setitem(data.DATASETS, name, made)
        monkeypatch.setitem(data.FOLDERS, name, made.whole)
        return parts

    return make


@pytest.mark.parametrize("name", MADE)
def test_a_published_set_is_read_as_its_format_has_it(tmp_path, published, name):
    parts = published(name, tmp_path)
    dataset = data.load_dataset(name, tmp_path)
    for split, (images, labels) in zip((dataset.train, dataset.test), parts, strict=True):
        assert torch.equal(split.images, torch.from_numpy(images))
        assert split.labels.tolist() == labels.tolist()
    assert dataset.spec.classes == len(set(parts[0][1]))
    assert data.available_on_disk(name, tmp_path) == tmp_path


def test_every_set_of_the_catalogue_is_tested():
    assert MADE.keys() == CATALOGUE.keys()


def test_classes_are_in_the_order_of_the_labels():
    assert CATALOGUE["emnist-letters"].spec.class_names == tuple(string.ascii_uppercase)
    balanced = CATALOGUE["emnist-balanced"].spec
    assert (balanced.classes, balanced.label("Z"), balanced.label("t")) == (47, 35, 46)
    byclass = CATALOGUE["emnist-byclass"].spec
    assert (byclass.classes, byclass.label("a"), byclass.label("A")) == (62, 36, 10)
    kana = CATALOGUE["k49"].spec
    assert (kana.classes, kana.label("n"), kana.label("wo")) == (49, 47, 46)
    assert CATALOGUE["kmnist"].spec.class_names[3] == "tsu"


def test_qmnist_says_who_wrote_its_images(tmp_path, published):
    published("qmnist", tmp_path)
    dataset = data.load_dataset("qmnist", tmp_path)
    assert dataset.train.writers.tolist() == [2000 + i for i in range(30)]
    assert dataset.test.writers.tolist() == [2000 + i for i in range(20)]


@pytest.mark.parametrize("name", ["fashion-mnist", "emnist-letters", "usps", "k49"])
def test_folders_that_are_named_after_a_set_are_found(tmp_path, published, name):
    for below in CATALOGUE[name].folders:
        home = tmp_path / below.replace("/", "-")
        published(name, home / below)
        assert data.load_dataset(name, home).source == str(home / below)


def test_files_of_a_common_name_are_known_by_their_sums(tmp_path, published, monkeypatch):
    published("kmnist", tmp_path / "kana")
    published("fashion-mnist", tmp_path / "clothes")
    monkeypatch.setenv("MNIST_DATA_DIR", str(tmp_path / "kana"))
    assert data.load_dataset("kmnist").source == str(tmp_path / "kana")
    assert data.available_on_disk("fashion-mnist") is None
    monkeypatch.setenv("HOME", str(tmp_path))
    for named in (tmp_path / "kana", "~/kana"):
        with pytest.raises(UserError, match="is not fashion-mnist's"):
            data.load_dataset("fashion-mnist", named)


def test_files_may_lie_unwrapped(tmp_path, published):
    published("kmnist", tmp_path / "KMNIST" / "raw")
    for path in (tmp_path / "KMNIST" / "raw").iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert len(data.load_dataset("kmnist", tmp_path).train) == 30


@pytest.mark.parametrize("name", MADE)
def test_a_missing_or_another_file_is_named(tmp_path, published, name):
    published(name, tmp_path)
    first = next(iter(CATALOGUE[name].files))
    content = (tmp_path / first).read_bytes()
    if name != "k49":  # whose owners have published no sums
        other, _ = MADE[name]()
        (tmp_path / first).write_bytes(other[first])
        with pytest.raises(UserError, match=f"{first} is not {name}'s: its sum starts with"):
            data.load_dataset(name, tmp_path)
        (tmp_path / first).write_bytes(content)
    if len(CATALOGUE[name].files) > 1:
        (tmp_path / first).unlink()
        with pytest.raises(UserError, match=f"has some of {name}'s files but not {first}"):
            data.load_dataset(name, tmp_path)


@pytest.mark.parametrize("name", ["kmnist", "k49", "emnist-letters", "qmnist", "usps"])
def test_every_truncation_is_one_line(tmp_path, published, name):
    published(name, tmp_path)
    for path in list(tmp_path.iterdir()):
        content = path.read_bytes()
        for length in {0, 1, 3, 10, *range(0, len(content), max(1, len(content) // 25))}:
            path.write_bytes(content[:length])
            with pytest.raises(UserError) as refused:
                data.load_dataset(name, tmp_path)
            assert str(tmp_path) in str(refused.value)
            assert "\n" not in str(refused.value)
        path.write_bytes(content)
    data.load_dataset(name, tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"1 1:0.5 257:0.5\n", "line 1, is no image of 16×16"),
        (b"1 0:0.5\n", "line 1, is no image"),
        (b"1 1:0.5\nx 1:0.5\n", "line 2, is no image"),
        (b"1 1:0.5 2\n", "line 1, is no image"),
        (b"1 1:nan\n", "pixels beyond -1 to 1"),
        (b"1 1:1.5\n", "pixels beyond -1 to 1"),
        (b"11 1:1\n", "has a label 10; a digit is 0 to 9"),
        (b"0 1:1\n", "has a label -1"),
        (b"\n", "line 1, is no image"),
        (b"", "0 images"),
        ("1 1:½\n".encode("latin-1"), "damaged"),
    ],
)
def test_wrong_lines_of_libsvm_are_one_line(tmp_path, content, says):
    path = tmp_path / "usps.bz2"
    path.write_bytes(bz2.compress(content))
    with pytest.raises(UserError, match=says):
        catalogue.read_libsvm(path, catalogue.ENVELOPES)


def archive_of(name, content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def npy(array, **changes):
    """An .npy file whose header may say something else."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, np.lib.format.header_data_from_array_1_0(array) | changes
    )
    return file.getvalue() + array.tobytes()


NUMBERS = np.arange(6, dtype=np.uint8)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no .npz file"),
        (npy(NUMBERS), "is no .npz file"),
        (archive_of("other.npy", npy(NUMBERS)), "has no array 'images', but 'other'"),
        (archive_of("images.npy", npy(NUMBERS, shape=(7,))), "not as long"),
        (archive_of("images.npy", npy(NUMBERS, shape=(5,))), "not as long"),
        (archive_of("images.npy", npy(NUMBERS, shape=(2**40,))), "is of uint8 \\[1099511627776\\]"),
        (archive_of("images.npy", npy(np.zeros(2), descr="|O")), "is of object"),
        (archive_of("images.npy", b"no such thing"), "is no .npz file"),
        (archive_of("images.npy", b"\x93NUMPY\x09\x00" + bytes(90)), "version"),
    ],
)
def test_a_damaged_or_hostile_npz_is_one_line(tmp_path, content, says):
    path = tmp_path / "some.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as refused:
        npz.read_npz(path, ("images",))
    assert str(path) in str(refused.value)


def test_arrays_are_as_numpy_wrote_them(tmp_path):
    path = tmp_path / "some.npz"
    arrays = {
        "images": RANDOM.random((3, 4)),
        "labels": np.asfortranarray(RANDOM.integers(0, 9, (2, 3))),
        "classes": np.array(["ki", "su"]),
    }
    np.savez(path, **arrays)
    found = npz.read_npz(path, ("images", "labels"), ("classes", "writers"))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_the_digits_of_scikit_learn_are_always_there():
    dataset = data.load_dataset("digits-8x8")
    assert (len(dataset.train), len(dataset.test)) == (1442, 355)
    assert dataset.train.images.shape == (1442, 8, 8)
    assert dataset.train.images.max() == 255
