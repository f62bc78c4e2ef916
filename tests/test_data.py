"""Reading digits: the right ones are found, and wrong ones refused with a word on why."""

import gzip
import hashlib
import multiprocessing
import shutil
import socket
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import idx

from mnist import data
from mnist.data import download, mnist, writers
from mnist.data.bundled import MNIST_5K_SHA256
from mnist.data.idx import pair
from mnist.data.neighbours import nearest_neighbours, upright
from mnist.data.types import Split, in_turns
from mnist.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of four well-formed files that stand for MNIST's, whose sums are taken as right."""
    generator = np.random.default_rng(0)
    sums = {}
    for part, count in (("train", 30), ("t10k", 20)):
        for name, array in {
            f"{part}-images-idx3-ubyte": generator.integers(0, 256, (count, 28, 28), np.uint8),
            f"{part}-labels-idx1-ubyte": (np.arange(count) % 10).astype(np.uint8),
        }.items():
            (tmp_path / name).write_bytes(idx(array))
            sums[name] = hashlib.sha256(idx(array)).hexdigest()
    monkeypatch.setattr(mnist, "MNIST_SHA256", sums)
    monkeypatch.delenv("MNIST_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_raw_files_are_read(folder):
    dataset = data.load_dataset("mnist", folder)
    assert dataset.train.images.shape == (30, 28, 28)
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.test.labels.tolist() == [*range(10)] * 2
    assert dataset.source == str(folder)


def test_gzipped_files_in_torchvisions_layout_are_the_same_data(folder):
    before = data.load_dataset("mnist", folder)
    place = folder / "elsewhere" / "MNIST" / "raw"
    place.mkdir(parents=True)
    for name in mnist.MNIST_SHA256:
        (place / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    after = data.load_dataset("mnist", folder / "elsewhere")
    assert after.sha256 == before.sha256
    assert torch.equal(after.train.images, before.train.images)


def test_folders_are_searched_in_order(folder, monkeypatch):
    monkeypatch.setenv("MNIST_DATA_DIR", "from-environment")
    assert [str(f) for f in mnist.data_folders("from-flag")] == [
        "from-flag",
        "from-environment",
        "data",
    ]
    shutil.copytree(folder, folder / "data", ignore=shutil.ignore_patterns("data"))
    assert data.load_dataset("mnist", "from-flag").source == "data"


# --- who wrote them -----------------------------------------------------------------------------


def qmnist_labels(monkeypatch, shift=0):
    """Two files of labels, of more images than MNIST has; their sums are taken as right."""
    files = {}
    for name, count in zip(writers.QMNIST_SHA256, (35, 60), strict=True):
        rows = np.zeros((count, 8), ">i4")
        rows[:, 0] = (np.arange(count) + shift) % 10
        rows[:, 2] = 2000 + np.arange(count) // 5
        files[name] = idx(rows)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(writers, "QMNIST_SHA256", sums)
    return files


@pytest.mark.parametrize("place", [".", "../qmnist", "../../QMNIST/raw"])
def test_writers_are_read_where_their_files_are(folder, monkeypatch, place):
    home = folder / "data" / "MNIST" / "raw"
    shutil.copytree(folder, home, ignore=shutil.ignore_patterns("data"))
    without = data.load_dataset("mnist", home)
    assert without.train.writers is None
    for number, (name, content) in enumerate(qmnist_labels(monkeypatch).items()):
        target = home / place
        target.mkdir(parents=True, exist_ok=True)
        packed = (f"{name}.gz", gzip.compress(content)) if number else (name, content)
        (target / packed[0]).write_bytes(packed[1])
    dataset = data.load_dataset("mnist", home)
    assert dataset.train.writers.tolist() == [2000 + i // 5 for i in range(30)]
    assert dataset.test.writers.tolist() == [2000 + i // 5 for i in range(20)]
    assert dataset.sha256 == without.sha256  # runs without writers are of the same data
    assert dataset.train.batch(slice(4, 6)).writers.tolist() == [2000, 2001]
    assert len(dataset.hold_out(10).held_out.writers) == 10


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content[:-1] + b"\x01", "is not QMNIST's: the SHA-256"),
        (lambda content: content[:-1], "truncated or damaged"),
        (lambda content: content[:2] + b"\x08" + content[3:], "no IDX file of 2 dimension"),
        (lambda content: None, "some of QMNIST's labels but not qmnist-test-labels-idx2-int"),
    ],
)
def test_labels_of_other_contents_are_named(folder, monkeypatch, change, says):
    for name, content in qmnist_labels(monkeypatch).items():
        content = change(content) if "test" in name else content
        if content is not None:
            (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        data.load_dataset("mnist", folder)
    assert "qmnist-test" in str(caught.value)


def test_labels_of_other_digits_are_named(folder, monkeypatch):
    for name, content in qmnist_labels(monkeypatch, shift=1).items():
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match="names other digits than MNIST's labels"):
        data.load_dataset("mnist", folder)


def test_writers_as_classes(folder, monkeypatch):
    with pytest.raises(UserError, match=r"who wrote the images in .* is not known: put QMNIST's"):
        data.load_dataset("mnist-writers", folder)
    for name, content in qmnist_labels(monkeypatch).items():
        (folder / name).write_bytes(content)
    dataset = data.load_dataset("mnist-writers", folder)
    whole = data.load_dataset("mnist", folder).train
    assert dataset.spec.class_names == tuple(str(2000 + i) for i in range(6))
    assert dataset.spec.named(5) == "a 2005"
    assert (len(dataset.train), len(dataset.test)) == (27, 3)
    for split in (dataset.train, dataset.test):
        for image, label in zip(split.images, split.labels, strict=True):
            index = (whole.images == image).flatten(1).all(1).nonzero()
            assert 2000 + int(label) in whole.writers[index[:, 0]]


def test_writers_are_downloaded_whole(folder, monkeypatch):
    files = qmnist_labels(monkeypatch)
    asked = []

    def fetch(url, root, filename):
        asked.append(url)
        name = filename.removesuffix(".gz")
        content = files[name] if name in files else (folder / name).read_bytes()
        (Path(root) / filename).write_bytes(gzip.compress(content))

    stand_in_torchvision(monkeypatch, fetch)
    dataset = data.load_dataset("mnist", folder / "new")
    assert dataset.train.writers.tolist() == [2000 + i // 5 for i in range(30)]
    assert asked[-2:] == [f"https://q/{name}.gz" for name in files]
    place = folder / "new" / "QMNIST" / "raw"
    assert sorted(path.name for path in place.iterdir()) == sorted(f"{name}.gz" for name in files)
    asked.clear()
    assert data.load_dataset("mnist", folder / "new").test.writers is not None
    assert asked == []


# --- damage -------------------------------------------------------------------------------------


def damage(folder, name, content):
    path = folder / name
    path.write_bytes(content(path.read_bytes()))


def set_byte(position, value):
    return lambda content: content[:position] + bytes([value]) + content[position + 1 :]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t10k-images-idx3-ubyte", set_byte(3, 1), "no IDX file of 3 dimension"),
        ("train-images-idx3-ubyte", lambda c: c[:-1], "truncated or damaged"),
        ("train-images-idx3-ubyte", lambda c: c[:10], "no IDX file"),
        ("train-images-idx3-ubyte", lambda c: c[:4] + b"\xff" * 12 + c[16:], "announces"),
        ("train-labels-idx1-ubyte", set_byte(8, 10), "a label 10"),
        ("train-labels-idx1-ubyte", lambda c: c[:7] + b"\x1d" + c[8:-1], "30 images but 29 labels"),
        ("train-images-idx3-ubyte", set_byte(500, 7), "SHA-256"),
        ("train-images-idx3-ubyte", lambda c: b"", "no IDX file"),
    ],
)
def test_damage_is_named(folder, name, content, says):
    damage(folder, name, content)
    with pytest.raises(UserError, match=says) as caught:
        data.load_dataset("mnist", folder)
    assert name.split("-")[0] in str(caught.value)
    assert not isinstance(caught.value, data.Unavailable)  # or auto would pass over it


def test_a_truncated_gzip_is_named(folder):
    path = folder / "train-images-idx3-ubyte"
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    path.with_name(path.name + ".gz").write_bytes(packed[:-20])
    with pytest.raises(UserError, match="damaged gzip"):
        data.load_dataset("mnist", folder)


def test_a_missing_one_of_four_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="t10k-labels-idx1-ubyte"):
        data.load_dataset("mnist", folder)


def test_images_and_labels_must_belong_together():
    images = np.zeros((3, 28, 28), np.uint8)
    with pytest.raises(UserError, match="3 images but 2 labels"):
        pair(images, np.zeros(2, np.uint8), mnist.MNIST, "here")
    with pytest.raises(UserError, match="a label 10"):
        pair(images, np.array([0, 10, 3], np.uint8), mnist.MNIST, "here")
    with pytest.raises(UserError, match="27×28"):
        pair(images[:, 1:], np.zeros(3, np.uint8), mnist.MNIST, "here")


def test_unknown_data_set():
    with pytest.raises(UserError, match="choose from mnist, mnist-5k"):
        data.load_dataset("fashion")


def stand_in_torchvision(monkeypatch, fetch):
    """A torchvision whose `download_url` is `fetch(url, folder, filename)`."""
    datasets = types.ModuleType("torchvision.datasets")
    utils = types.ModuleType("torchvision.datasets.utils")
    datasets.MNIST = types.SimpleNamespace(
        mirrors=["http://plain/", "https://one/", "https://two/"],
        resources=[(f"{name}.gz", "md5") for name in mnist.MNIST_SHA256],
    )
    datasets.QMNIST = types.SimpleNamespace(
        resources={
            part: [("https://q/images.gz", "md5"), (f"https://q/{name}.gz", "md5")]
            for part, name in zip(("train", "test"), writers.QMNIST_SHA256, strict=True)
        }
    )
    utils.download_url = lambda url, root, filename, md5: fetch(url, root, filename)
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    monkeypatch.setitem(sys.modules, "torchvision.datasets.utils", utils)


def test_a_download_is_whole_and_kept(folder, monkeypatch):
    asked = []

    def fetch(url, root, filename):
        asked.append(url)
        assert socket.getdefaulttimeout() == download.TIMEOUT
        if url.startswith("https://one/t10k"):
            raise OSError("connection lost")
        packed = gzip.compress((folder / filename.removesuffix(".gz")).read_bytes())
        (Path(root) / filename).write_bytes(packed)

    stand_in_torchvision(monkeypatch, fetch)
    dataset = data.load_dataset("mnist", folder / "new")
    assert len(dataset.train) == 30
    assert all(url.startswith("https://") for url in asked)
    assert socket.getdefaulttimeout() is None
    assert [p.name for p in (folder / "new" / "MNIST").iterdir()] == ["raw"]
    asked.clear()
    data.load_dataset("mnist", folder / "new")
    assert asked == []


def test_a_failed_download_leaves_nothing(folder, monkeypatch):
    def fetch(url, root, filename):
        (Path(root) / filename).write_bytes(b"half")
        raise OSError("Name or service not known")

    stand_in_torchvision(monkeypatch, fetch)
    with pytest.raises(data.Unavailable, match="Name or service not known"):
        data.load_dataset("mnist", folder / "new")
    assert not (folder / "new").exists()


def unpacked_for(folder):
    """A `fetch` that finds each file in that folder."""

    def fetch(url, root, filename):
        packed = gzip.compress((folder / filename.removesuffix(".gz")).read_bytes())
        (Path(root) / filename).write_bytes(packed)

    return fetch


def faster_one(folder, place):
    """What another process leaves in a place that downloads the same at the same time."""
    place.mkdir(parents=True, exist_ok=True)
    for name in mnist.MNIST_SHA256:
        shutil.copy(folder / name, place)


@pytest.mark.parametrize("fails", [False, True])
def test_whoever_downloads_more_slowly_takes_what_is_there(folder, monkeypatch, fails):
    place = folder / "new" / "MNIST" / "raw"
    fetch = unpacked_for(folder)

    def fetch_slowly(url, root, filename):
        fetch(url, root, filename)
        if not place.exists():
            faster_one(folder, place)
        if fails:
            raise OSError("too many connections")

    stand_in_torchvision(monkeypatch, fetch_slowly)
    dataset = data.load_dataset("mnist", folder / "new")
    assert (len(dataset.train), dataset.source) == (30, str(place))
    assert [p.name for p in place.parent.iterdir()] == ["raw"]


def test_what_is_there_is_checked_before_it_is_taken(folder, monkeypatch):
    place = folder / "new" / "MNIST" / "raw"
    fetch = unpacked_for(folder)

    def fetch_and_spoil(url, root, filename):
        fetch(url, root, filename)
        faster_one(folder, place)
        damage(place, "train-images-idx3-ubyte", set_byte(500, 7))

    stand_in_torchvision(monkeypatch, fetch_and_spoil)
    with pytest.raises(data.Unavailable, match="the download failed"):
        data.load_dataset("mnist", folder / "new")


def test_several_processes_download_at_once(folder, monkeypatch):
    """Each waits for the others before its last file, so that all rename at the same time."""
    fork = multiprocessing.get_context("fork")
    fetch, together = unpacked_for(folder), fork.Barrier(4)

    def fetch_together(url, root, filename):
        if filename.startswith("t10k-labels"):
            together.wait(timeout=30)
        fetch(url, root, filename)

    def train_part():
        sys.exit(0 if len(data.load_dataset("mnist", folder / "new").train) == 30 else 1)

    stand_in_torchvision(monkeypatch, fetch_together)
    several = [fork.Process(target=train_part) for _ in range(4)]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
    assert [process.exitcode for process in several] == [0] * 4
    assert [p.name for p in (folder / "new" / "MNIST").iterdir()] == ["raw"]


def test_no_data_says_how_to_name_a_folder(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(data.Unavailable, match="name a folder with the files by --data-dir"):
        data.load_dataset("mnist", folder / "new")


def test_the_full_set_on_disk_is_told_to_a_run_on_a_part_of_it(folder, monkeypatch):
    stand_in_torchvision(monkeypatch, lambda *_: pytest.fail("a download"))
    on_part = {"dataset": "mnist-5k"}
    assert data.available_on_disk("mnist", folder / "none") is None
    assert data.more_data_than(on_part, folder / "none") is None
    assert data.available_on_disk("mnist", folder) == folder
    line = data.more_data_than(on_part, folder)
    assert f"the full MNIST is in {folder}" in line
    assert "--dataset mnist and another --ckpt-dir" in line
    assert data.more_data_than({"dataset": "mnist"}, folder) is None
    (folder / "train-labels-idx1-ubyte").unlink()  # three of four are no data set
    assert data.available_on_disk("mnist", folder) is None


def test_a_torchvision_that_does_not_import_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(data.Unavailable, match="torchvision"):
        data.load_dataset("mnist", folder / "new")


def test_the_bundled_subset_is_always_the_same():
    dataset = data.load_dataset("mnist-5k")
    assert dataset.sha256 == MNIST_5K_SHA256
    assert torch.bincount(dataset.train.labels).tolist() == [400] * 10
    assert torch.bincount(dataset.test.labels).tolist() == [100] * 10
    train = {image.numpy().tobytes() for image in dataset.train.images}
    assert not any(image.numpy().tobytes() in train for image in dataset.test.images)


def test_a_few_labels_are_balanced_and_follow_from_the_seed():
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 3 + [-1] * 5)
    split = data.Split(torch.zeros(len(labels), 2, 2, dtype=torch.uint8), labels, torch.arange(88))
    few = split.with_few_labels(12, seed=0)
    kept = few.labels >= 0
    assert torch.equal(few.labels[kept], labels[kept])
    # Of the rare class all there are, of the others as many as of each other, but for one.
    counts = few.labels[kept].bincount().tolist()
    assert counts[2] == 3
    assert sorted(counts[:2]) == [4, 5]
    assert torch.equal(few.images, split.images)
    assert torch.equal(few.writers, split.writers)
    assert torch.equal(few.labels, split.with_few_labels(12, seed=0).labels)
    assert not torch.equal(few.labels, split.with_few_labels(12, seed=1).labels)
    assert torch.equal(split.with_few_labels(83, seed=0).labels, labels)


@pytest.mark.parametrize("count", [2, 84])
def test_too_few_or_too_many_labels_are_refused(count):
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 3 + [-1] * 5)
    split = data.Split(torch.zeros(len(labels), 2, 2, dtype=torch.uint8), labels)
    with pytest.raises(UserError, match="at least one for each of 3 classes, and at most 83"):
        split.with_few_labels(count, 0)


def test_the_sum_of_a_data_set_sees_every_pixel_and_label(tiny):
    before = tiny.sha256
    tiny.test.images[-1, -1, -1] += 1
    between = tiny.sha256
    tiny.train.labels[0] = 9
    assert len({before, between, tiny.sha256}) == 3


def test_the_sum_tells_labels_apart_that_share_a_byte(tiny):
    as_ever = "063fe340a65d75e39c7dc4d0a3ed62b443c7db2486f2b886254a31a848ab0759"
    assert tiny.sha256 == as_ever
    tiny.train.labels[0] = 255
    highest = tiny.sha256
    sums = {as_ever, highest}
    for label in (-1, 256, 511):
        tiny.train.labels[0] = label
        sums.add(tiny.sha256)
    assert len(sums) == 5


def test_batches_are_index_selections(tiny):
    batch = tiny.train.batch(torch.tensor([5, 2, 5]))
    assert batch.images.shape == (3, 1, 28, 28)
    assert batch.images.dtype == torch.float32
    assert torch.equal(batch.images[0, 0] * 255, tiny.train.images[5].float())
    assert batch.labels.tolist() == [5, 2, 5]


def test_an_order_follows_from_seed_and_epoch_alone():
    state = torch.get_rng_state()
    order = data.epoch_order(1000, seed=3, epoch=7)
    assert torch.equal(torch.get_rng_state(), state)
    assert order.sort().values.tolist() == [*range(1000)]
    assert torch.equal(order, data.epoch_order(1000, 3, 7))
    for seed, epoch in ((3, 8), (7, 3), (4, 7)):
        assert not torch.equal(order, data.epoch_order(1000, seed, epoch))


@pytest.mark.full
def test_the_full_set_is_the_published_one():
    dataset = data.load_dataset("mnist")
    assert (len(dataset.train), len(dataset.test)) == (60_000, 10_000)
    # The counts in LeCun, Bottou, Bengio & Haffner's set, as given on its page.
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(dataset.train.labels).tolist() == counts


def test_nearest_neighbours(tiny):
    """Of few images all components are kept, so that they are those by upright pixels."""
    found = nearest_neighbours(tiny.train.some(slice(40)), 3)
    points = upright(tiny.train.batch(slice(40)).images).flatten(1).double()
    expected = torch.cdist(points, points).fill_diagonal_(torch.inf).argsort(1)[:, :3]
    assert torch.equal(found, expected)


def test_nearest_neighbours_of_the_same_image_are_each_other(tiny):
    images = tiny.train.images[[0, 1, 2, 0]]
    found = nearest_neighbours(Split(images, torch.zeros(4, dtype=torch.int64)), 5)
    assert found.shape == (4, 3)  # there are no more
    assert found[[0, 3], 0].tolist() == [3, 0]


def test_upright_images_have_no_slant():
    """Lines of known slant, on images that are not square; and a blank one."""
    images = torch.zeros(3, 2, 20, 28)
    for row in range(4, 16):
        images[0, :, row, 4 + row] = 0.5
        images[1, :, row, 20 - row // 2] = 1
    found = upright(images)
    down, across = torch.meshgrid(torch.arange(20.0), torch.arange(28.0), indexing="ij")
    for image, made in zip(images[:2].double(), found[:2].double(), strict=True):
        (x, y), (new_x, new_y) = (
            [((each.sum(0) * of).sum() / each.sum()).item() for of in (across, down)]
            for each in (image, made)
        )
        assert (new_x, new_y) == pytest.approx((x, y), abs=1e-4)
        slant = (made.sum(0) * (across - new_x) * (down - new_y)).sum() / made.sum()
        assert slant.item() == pytest.approx(0, abs=1e-4)
    assert not found[2].any()


def test_images_take_turns(tiny):
    split = tiny.train.some(slice(10))
    turns = [in_turns(split, 4, 0, step) for step in range(6)]
    for first, second in (turns[0:2], turns[2:4], turns[4:6]):  # two, and two images wait
        assert len({*first.index.tolist(), *second.index.tolist()}) == 8
    assert turns[0].index.tolist() != turns[2].index.tolist()
    assert torch.equal(turns[3].index, in_turns(split, 4, 0, 3).index)
    assert len(in_turns(split, 50, 0, 0).labels) == 10
