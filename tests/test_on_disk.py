"""Images that stay on disk: the same batches, and the same training to the bit, as from memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import SMALL_MODELS, environment, idx
from PIL import Image

import mnist
from mnist import data
from mnist.data import on_disk
from mnist.data.on_disk import ImageFile, OnDisk, in_memory
from mnist.errors import UserError
from mnist.reading import Reading

RANDOM = np.random.default_rng(1)
IMAGES = RANDOM.integers(0, 256, (330, 9, 7), np.uint8)
LABELS = RANDOM.integers(0, 3, 330)


def idx_files(folder, part, images, labels):
    folder.mkdir(exist_ok=True)
    for kind, numbers in (("images-idx3", images), ("labels-idx1", labels)):
        (folder / f"{part}-{kind}-ubyte").write_bytes(idx(numbers.astype(np.uint8)))
    return folder


def in_idx(home):
    return idx_files(home / "idx", "some", IMAGES, LABELS)


def in_two_parts(home):
    idx_files(home / "parts", "train", IMAGES[:250], LABELS[:250])
    return idx_files(home / "parts", "test", IMAGES[250:], LABELS[250:])


def in_npz(home):
    np.savez(home / "some.npz", labels=LABELS, images=IMAGES)
    return home / "some.npz"


def in_pictures(home):
    for index, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        folder = home / "pictures" / f"class-{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index}.png")
    return home / "pictures"


@pytest.fixture(params=[in_idx, in_two_parts, in_npz, in_pictures])
def twice(request, tmp_path, monkeypatch):
    """How to load the same images from memory, and from disk."""
    monkeypatch.chdir(tmp_path)
    path = str(request.param(tmp_path))

    def load(limit, **reading):
        monkeypatch.setattr(on_disk, "IN_MEMORY", limit)
        dataset = data.load_dataset(path, reading=Reading(**reading))
        assert isinstance(dataset.train.images, torch.Tensor if limit else OnDisk)
        return dataset

    return lambda **reading: (load(2**30, **reading), load(0, **reading))


def assert_same(there, here):
    assert torch.equal(in_memory(there.images), in_memory(here.images))
    assert torch.equal(there.labels, here.labels)


@pytest.mark.parametrize("reading", [{}, {"classes": ["2", "0"]}, {"limit_per_class": 20}])
def test_images_on_disk_are_the_same(twice, reading):
    memory, disk = (each.hold_out(30) for each in twice(**reading))
    assert memory.sha256 == disk.sha256
    for part in ("train", "test", "held_out"):
        assert_same(getattr(memory, part), getattr(disk, part))
    for chosen in (torch.tensor([3, 0, 3]), slice(5, None, 9), memory.train.labels == 1):
        assert_same(memory.train.some(chosen), disk.train.some(chosen))
        for there, here in zip(memory.train.batch(chosen), disk.train.batch(chosen), strict=True):
            assert there is here is None or torch.equal(there, here)


def test_rows_in_any_order_are_those_of_the_array(tmp_path):
    (tmp_path / "images").write_bytes(b"head" + IMAGES.tobytes())
    file = ImageFile(tmp_path / "images", 4, IMAGES.shape)
    for rows in ([], [7], [3, 4, 5, 6], [9, 8, 8, 9, 10, 0, 329], RANDOM.integers(0, 330, 500)):
        rows = np.array(rows, np.int64)
        assert np.array_equal(file.read(rows), IMAGES[rows])


def test_a_file_that_is_too_short_or_becomes_so_is_said(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(IMAGES.tobytes())
    with pytest.raises(ValueError, match="shorter than its images"):
        ImageFile(path, 1, IMAGES.shape)
    file = ImageFile(path, 0, IMAGES.shape)
    path.write_bytes(IMAGES[:100].tobytes())
    assert np.array_equal(file.read(np.array([99])), IMAGES[99:100])
    with pytest.raises(UserError, match="images has become shorter"):
        file.read(np.array([3, 100]))


def test_a_disk_that_refuses_is_said(tmp_path, monkeypatch):
    (tmp_path / "images").write_bytes(IMAGES.tobytes())
    file = ImageFile(tmp_path / "images", 0, IMAGES.shape)

    def refuse(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.preadv", refuse)
        with pytest.raises(UserError, match=r"images: cannot read it \(Input/output error\)"):
            file.read(np.array([3]))


def test_reading_all_of_a_large_file_does_not_fill_memory(tmp_path):
    """Each image lies in a page of its own; mapped, the whole file would be the process's."""
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(2**30)
    program = (
        "import resource, numpy as np\n"
        "from pathlib import Path\n"
        "from mnist.data.on_disk import ImageFile\n"
        f"file = ImageFile(Path({str(path)!r}), 0, [2**15, 2**15])\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "for start in range(0, 2**15, 128):\n"
        "    file.read(np.arange(start, start + 128))\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True)
    # In kilobytes on Linux, in bytes on macOS: of 1 GiB much less than half.
    assert int(done.stdout) < 100_000 * (1024 if sys.platform == "darwin" else 1)


@pytest.mark.parametrize("first", [0, 2])
def test_batches_come_in_order_while_the_next_are_read(twice, first):
    order = data.epoch_order(250, 0, 0)
    expected = [order[start : start + 40] for start in range(first * 40, 240, 40)]
    for dataset in twice():
        batches = list(dataset.train.in_order(order, 40, first))
        assert [batch.index.tolist() for batch in batches] == [each.tolist() for each in expected]
        for batch, index in zip(batches, expected, strict=True):
            assert torch.equal(batch.images, dataset.train.batch(index).images)
    assert not list(dataset.train.in_order(order[:39], 40))


@pytest.mark.filterwarnings("ignore:.*has collapsed")
def test_training_from_disk_is_that_from_memory_to_the_bit(tmp_path, monkeypatch, method_name):
    monkeypatch.chdir(tmp_path)
    options = SMALL_MODELS[method_name] | {"dataset": str(in_npz(tmp_path)), "batch_size": 50}
    weights = []
    for limit in (2**30, 0):
        monkeypatch.setattr(on_disk, "IN_MEMORY", limit)
        run = mnist.train(method_name, ckpt_dir=f"{limit}.ckpt", epochs=2, **options)
        weights.append(run.method.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
