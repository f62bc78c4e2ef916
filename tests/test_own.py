"""Somebody's own images: read as they are meant, or refused by name and with the reason."""

import gzip
import io
import os
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import assert_refused, idx
from PIL import Image

from mnist import data
from mnist.data import decoding
from mnist.data.pictures import fitted, read_picture
from mnist.errors import UserError
from mnist.reading import Reading

RANDOM = np.random.default_rng(0)


def drawing(kind, number, size=(12, 9)):
    """Light strokes on dark: grey, uint8 [H, W], of a class by its shape."""
    levels = np.zeros(size, np.uint8)
    levels[2:10, 2 + kind] = 255
    levels[1 + number % 8, 2:7] = 200
    return levels


def save(path, levels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path, **options)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten pictures each of two classes, whose names are sorted as people sort them."""
    monkeypatch.chdir(tmp_path)
    for kind, name in enumerate(("2", "10")):
        for number in range(10):
            save(tmp_path / "mine" / name / f"{number}.png", drawing(kind, number))
    return tmp_path / "mine"


def every(dataset):
    """All images and labels of a data set, in the order of their bytes."""
    parts = dataset.train, dataset.test
    images = torch.cat([part.images for part in parts]).numpy()
    labels = torch.cat([part.labels for part in parts]).tolist()
    return sorted((image.tobytes(), label) for image, label in zip(images, labels, strict=True))


def test_a_folder_of_pictures_is_read(folder):
    dataset = data.load_dataset(str(folder))
    assert dataset.spec == data.DataSpec((1, 12, 9), ("2", "10"))
    assert (len(dataset.train), len(dataset.test)) == (16, 4)
    assert dataset.test.labels.bincount().tolist() == [2, 2]
    expected = [(drawing(kind, n).tobytes(), kind) for kind in range(2) for n in range(10)]
    assert every(dataset) == sorted(expected)
    assert dataset.name == str(folder)
    again = data.load_dataset("mine")
    assert again.sha256 == dataset.sha256


def test_pictures_are_decoded_once(folder, monkeypatch):
    before = data.load_dataset(str(folder))
    (cache,) = (folder.parent / "data" / "cache").iterdir()
    monkeypatch.setattr(decoding, "read_picture", lambda path: pytest.fail("decoded again"))
    assert data.load_dataset(str(folder)).sha256 == before.sha256
    monkeypatch.undo()
    monkeypatch.chdir(folder.parent)
    save(folder / "2" / "0.png", drawing(1, 5))  # another picture in its place
    os.utime(folder / "2" / "0.png", (0, 0))
    assert data.load_dataset(str(folder)).sha256 != before.sha256
    assert len([*cache.parent.iterdir()]) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
)
@pytest.mark.parametrize("name", ["images.npy", "notes.json"])
def test_a_damaged_cache_is_made_anew(folder, damage, name):
    before = data.load_dataset(str(folder))
    (cache,) = (folder.parent / "data" / "cache").iterdir()
    damage(cache / name)
    assert data.load_dataset(str(folder)).sha256 == before.sha256
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


def test_folders_of_training_and_test_images_are_kept_apart(folder):
    for part, shift in (("train", 0), ("test", 4)):
        for kind, name in enumerate(("a", "b")):
            for number in range(3):
                save(
                    folder / "split" / part / name / f"{number}.png", drawing(kind, number + shift)
                )
    dataset = data.load_dataset(str(folder / "split"))
    assert (len(dataset.train), len(dataset.test)) == (6, 6)
    assert {image.numpy().tobytes() for image in dataset.test.images} == {
        drawing(kind, number + 4).tobytes() for kind in range(2) for number in range(3)
    }


def test_unlabelled_pictures_are_for_training(folder):
    for number in range(6):
        save(folder / "unlabelled" / f"{number}.png", drawing(0, number))
    dataset = data.load_dataset(str(folder))
    assert dataset.spec.class_names == ("2", "10")
    assert (dataset.train.labels == -1).sum() == 6
    assert (dataset.test.labels >= 0).all()


def test_pictures_in_one_place_are_of_one_class(folder):
    dataset = data.load_dataset(str(folder / "2"))
    assert dataset.spec.class_names == ("image",)
    assert (len(dataset.train), len(dataset.test)) == (8, 2)


def test_a_name_is_no_path_though_there_is_a_folder_of_that_name(run_script, tmp_path):
    (tmp_path / "digits-8x8").mkdir()  # as the project's own folder `mnist`
    flags = "--dataset", "digits-8x8", "--hidden", 16, "--ckpt-dir", "x.ckpt"
    for epochs in (1, 2):  # from scratch, and gone on with
        done = run_script("mnist-sae.py", *flags, "--epochs", epochs)
        assert done.returncode == 0, done.stderr


def test_what_systems_leave_behind_is_no_picture(folder):
    for name in (".DS_Store", "2/.hidden", "10/Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"none")
    assert len(data.load_dataset(str(folder)).train) == 16


def test_dark_on_light_is_found_and_said(folder):
    before, told = every(data.load_dataset(str(folder))), []
    for path in folder.rglob("*.png"):
        save(path, 255 - np.asarray(Image.open(path)))
    assert every(data.load_dataset(str(folder), tell=told.append)) == before
    assert told == ["pictures are dark on light, and inverted; or give --ink light"]
    kept = data.load_dataset(str(folder), reading=Reading(ink="light"))
    assert kept.train.images.float().mean() > 127


def test_sizes_are_made_alike_and_that_is_said(folder):
    save(folder / "2" / "large.png", np.full((40, 20), 90, np.uint8))
    told = []
    dataset = data.load_dataset(str(folder), tell=told.append)
    assert dataset.spec.image_shape == (1, 12, 12)
    assert told == ["pictures are scaled to 12×12; or give --image-size"]
    asked = data.load_dataset(str(folder), reading=Reading(image_size=7))
    assert asked.spec.image_shape == (1, 7, 7)


def test_colour_is_kept_where_most_pictures_have_it(folder):
    colours = {}
    for number in range(30):
        levels = RANDOM.integers(0, 256, (12, 9, 3)).astype(np.uint8)
        save(folder / "10" / f"colour-{number}.png", levels)
        colours[levels.tobytes()] = 1
    told = []
    dataset = data.load_dataset(str(folder), tell=told.append)
    assert dataset.spec.image_shape == (3, 12, 9)
    assert colours.keys() <= {content for content, _ in every(dataset)}
    assert told == ["most pictures are in colour, and all are read so; or give --no-colour"]
    grey = data.load_dataset(str(folder), reading=Reading(colour=False))
    assert grey.spec.image_shape == (1, 12, 9)


# --- pictures -------------------------------------------------------------------------------------


def test_a_picture_keeps_its_shape_on_its_own_paper():
    levels = np.full((10, 40), 30, np.uint8)
    levels[4:6, 10:30] = 250
    found = np.asarray(fitted(Image.fromarray(levels), (20, 20)))
    assert (found[:7] == 30).all()
    assert (found[13:] == 30).all()
    assert found[7:12, 5:15].max() > 200
    assert np.asarray(fitted(Image.fromarray(levels), (10, 40))).tolist() == levels.tolist()


DEEP = (np.arange(108).reshape(12, 9) * 600).astype(np.uint16)
GREY = drawing(0, 1)
KINDS = {
    "16 bits": (lambda: Image.fromarray(DEEP), DEEP >> 8),
    "1 bit": (lambda: Image.fromarray(GREY > 100), np.where(GREY > 100, 255, 0)),
    "palette": (lambda: Image.fromarray(GREY).convert("P"), GREY),
    "grey as colour": (lambda: Image.fromarray(GREY).convert("RGB"), GREY),
    "transparent": (lambda: transparent(GREY), GREY),
}


def transparent(levels):
    """White ink on nothing."""
    white = Image.new("RGBA", levels.shape[::-1], (255, 255, 255, 0))
    white.putalpha(Image.fromarray(levels))
    return white


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_grey_picture_is_the_same_image(tmp_path, kind):
    make, expected = KINDS[kind]
    make().save(tmp_path / "x.png")
    assert np.asarray(read_picture(tmp_path / "x.png")).tolist() == expected.tolist()


def test_ink_colours_for_print_and_the_camera_are_read(tmp_path):
    red = np.zeros((8, 6, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).convert("CMYK").save(tmp_path / "x.jpg", quality=100)
    found = np.asarray(read_picture(tmp_path / "x.jpg")).astype(int)
    assert np.abs(found - red).max() < 10
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(drawing(0, 0)).save(tmp_path / "y.png", exif=exif)
    assert read_picture(tmp_path / "y.png").size == (12, 9)


# --- what is no picture ---------------------------------------------------------------------------


def saved(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def bomb():
    """A PNG that announces 100,000 × 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


LARGE = Image.fromarray(RANDOM.integers(0, 256, (60, 60)).astype(np.uint8))
PNG, JPEG, GIF = saved(LARGE, "PNG"), saved(LARGE, "JPEG"), saved(LARGE, "GIF")
TWO = [Image.fromarray(drawing(0, n)) for n in range(2)]
# Files of a hostile folder, by name: content, and what is said of it.
BAD = {
    "empty.png": (b"", "is empty"),
    "one-byte.png": (b"\x89", "is no picture"),
    "text.png": (b"this is no picture\n", "is no picture"),
    "notes.txt": (b"this is none either\n", "is no picture"),
    "page.html": (b"<html><img src=x></html>", "is no picture"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no picture"),
    "paper.pdf": (b"%PDF-1.4\n%%EOF\n", "is no picture"),
    "print.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture"),
    "archive.zip": (b"PK\x05\x06" + bytes(18), "is no picture"),
    "packed.png.gz": (gzip.compress(PNG), "is no picture"),
    "zeros.png": (bytes(500), "is no picture"),
    "noise.jpg": (RANDOM.bytes(500), "is no picture"),
    "cut.png": (PNG[: len(PNG) // 2], "cannot be read"),
    "cut.jpg": (JPEG[: len(JPEG) // 2], "cannot be read"),
    "cut.gif": (GIF[: len(GIF) // 2], "cannot be read"),
    "cut.tif": (saved(LARGE, "TIFF")[:300], ""),
    "cut.bmp": (saved(LARGE, "BMP")[:1500], "cannot be read"),
    "cut.webp": (saved(LARGE, "WEBP", lossless=True)[:200], ""),
    "cut.ppm": (saved(LARGE, "PPM")[:200], "cannot be read"),
    "head.png": (PNG[:8], "is no picture"),
    "head.jpg": (JPEG[:4], ""),
    "flipped.png": (PNG[:60] + bytes([PNG[60] ^ 255]) + PNG[61:], "cannot be read"),
    "bomb.png": (bomb(), "too large"),
    "moving.gif": (saved(TWO[0], "GIF", save_all=True, append_images=TWO[1:]), "has 2 pictures"),
    "moving.png": (saved(TWO[0], "PNG", save_all=True, append_images=TWO[1:]), "has 2 pictures"),
    "moving.webp": (
        saved(LARGE, "WEBP", save_all=True, append_images=[LARGE.rotate(90)]),
        "has 2 pictures",
    ),
    "pages.tif": (saved(TWO[0], "TIFF", save_all=True, append_images=TWO[1:]), "has 2 pictures"),
    "float.tif": (
        saved(Image.fromarray(np.full((9, 9), 0.5, np.float32)), "TIFF"),
        "no whole numbers",
    ),
    "deep.tif": (
        saved(Image.fromarray(np.full((9, 9), 2**20, np.int32)), "TIFF"),
        "more than 16 bits",
    ),
    "icon.ico": (saved(LARGE, "ICO", sizes=[(16, 16)]), "is no picture"),
}


@pytest.fixture
def hostile(folder):
    """The folder, with all of these in it, and what is none by its place or kind alone."""
    said = {}
    for number, (name, (content, says)) in enumerate(BAD.items()):
        path = folder / ("2", "10")[number % 2] / name
        path.write_bytes(content)
        said[f"{path.parent.name}/{name}"] = says
    (folder.parent / "secret.png").write_bytes(PNG)
    (folder / "2" / "out.png").symlink_to(folder.parent / "secret.png")
    (folder / "2" / "nowhere.png").symlink_to("none.png")
    (folder / "2" / "round.png").symlink_to("round.png")
    (folder / "10" / "within").mkdir()
    os.mkfifo(folder / "10" / "pipe.png")
    save(folder / "beside.png", drawing(0, 0))
    return said | {
        "2/out.png": "is a link out of the folder",
        "2/nowhere.png": "leads nowhere",
        "2/round.png": "leads nowhere",
        "10/within": "is a folder where a picture should be",
        "10/pipe.png": "is no plain file",
        "beside.png": "lies beside the folders of the classes",
    }


def test_every_bad_file_is_named_with_its_reason(folder, hostile, monkeypatch):
    monkeypatch.setattr(decoding, "BAD_SHOWN", 100)
    assert len(hostile) > 30
    with pytest.raises(UserError, match=f"{len(hostile)} files of .* cannot be read") as refused:
        data.load_dataset(str(folder))
    message = str(refused.value)
    assert "\n" not in message
    assert "--skip-bad" in message
    reasons = message.partition("cannot be read: ")[2].rpartition("; mend or remove")[0]
    found = dict(reason.split(" ", 1) for reason in reasons.split("; "))
    assert found.keys() == hostile.keys()
    assert {path: says for path, says in hostile.items() if says not in found[path]} == {}
    assert not (folder.parent / "data").exists()


def test_good_pictures_are_gone_on_with_where_that_is_asked_for(folder, hostile):
    told = []
    reading = Reading(skip_bad=True)
    dataset = data.load_dataset(str(folder), reading=reading, tell=told.append)
    assert dataset.spec.image_shape == (1, 12, 9)
    assert len(dataset.train) + len(dataset.test) == 20
    assert told[-1].startswith(f"{len(hostile)} files of {folder} are left out: ")
    assert "and 16 more" in told[-1]


def test_a_link_within_the_folder_is_followed(folder):
    (folder / "10" / "again.png").symlink_to(folder / "10" / "3.png")
    assert len(every(data.load_dataset(str(folder)))) == 21


def test_a_script_refuses_a_hostile_folder_before_it_writes_anything(run_script, folder, hostile):
    done = run_script("mnist-aae.py", "--dataset", folder, "--ckpt-dir", folder.parent / "x.ckpt")
    assert_refused(done, f"files of {folder} cannot be read: beside.png lies beside")
    assert {path.name for path in folder.parent.iterdir()} == {"mine", "secret.png"}


def test_a_run_finds_its_images_again(run_script, folder):
    done = run_script(
        *("mnist-aae.py", "--dataset", "mine", "--epochs", 1, "--batch-size", 4),
        *("--hidden", 16, "--classes", 10, "--ckpt-dir", "x.ckpt"),
    )
    assert done.returncode == 0, done.stderr
    again = run_script("mnist-aae.py", "--dataset", "mine", "--epochs", 2, "--ckpt-dir", "x.ckpt")
    assert "continuing x.ckpt from epoch 2" in again.stdout, again.stderr
    other = run_script("mnist-aae.py", "--classes", 2, "--epochs", 3, "--ckpt-dir", "x.ckpt")
    assert_refused(other, "x.ckpt was trained with --classes ['10'], not ['2']")
    drawn = run_script("encoder-vis.py", "--ckpt-dir", "x.ckpt", "--output", "x.png")
    assert drawn.returncode == 0, drawn.stderr
    folder.rename(folder.parent / "moved")
    lost = run_script("encoder-vis.py", "--ckpt-dir", "x.ckpt", "--output", "y.png")
    assert_refused(lost, f"there is no {folder}: ")
    (folder.parent / "elsewhere").mkdir()
    (folder.parent / "moved").rename(folder.parent / "elsewhere" / "mine")
    flags = "--ckpt-dir", "x.ckpt", "--output", "y.png", "--data-dir", "elsewhere"
    found = run_script("encoder-vis.py", *flags)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda place: place.mkdir(), "has no pictures"),
        (lambda place: (place / "a").mkdir(parents=True), "has no pictures"),
        (lambda place: save(place / "a" / "1.png", GREY), "has no images for testing"),
        (lambda place: place.write_bytes(b"?"), "is no data set that can be read"),
    ],
)
def test_where_there_is_no_data_set_that_is_said(folder, make, says):
    make(folder.parent / "other")
    with pytest.raises(UserError, match=says):
        data.load_dataset(str(folder.parent / "other"))


def test_nothing_at_a_path_is_said(folder):
    with pytest.raises(UserError, match=r"there is no .*/none: name a folder of pictures"):
        data.load_dataset(str(folder.parent / "none"))


# --- tables ---------------------------------------------------------------------------------------


def table(folder, *lines):
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_table_says_what_pictures_show(folder):
    rows = [
        f"{name}/{n}.png,{'x' if name == '2' else 'y'}" for name in ("2", "10") for n in range(10)
    ]
    by_folder = every(data.load_dataset(str(folder)))
    assert every(data.load_dataset(table(folder, "path,label", *rows))) == by_folder


def test_a_table_may_say_who_drew_a_picture_and_what_it_is_for(folder):
    rows = [f"2/{n}.png,a,{'test' if n > 7 else 'train'},w{n % 3}" for n in range(10)]
    dataset = data.load_dataset(
        table(folder, "path,label,split,writer", *rows, "10/0.png,,train,w1")
    )
    assert dataset.test.writers.tolist() == [2, 0]
    assert dataset.train.labels.tolist() == [0] * 8 + [-1]
    assert dataset.spec.class_names == ("a",)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["file,label", "2/0.png,a"], "has no column 'path'"),
        (["path,name", "2/0.png,a"], "has no column 'label'"),
        ([""], "has no column"),
        (["path,label", "2/none.png,a"], "2/none.png leads nowhere"),
        (["path,label", "../secret.png,a"], "../secret.png is out of the table's folder"),
        (["path,label", "/etc/passwd,a"], "/etc/passwd is out of the table's folder"),
        (["path,label", "2/0.png"], "line 2 has not as many columns"),
        (["path,label", "2/0.png,a,b"], "line 2 has not as many columns"),
        (["path,label,split", "2/0.png,a,dev"], "line 2 has a split 'dev': train or test"),
        (["path,label,split", "2/0.png,,test"], "is for testing, and has no class"),
        (["path,label"], "has no pictures"),
    ],
)
def test_a_wrong_table_is_one_line(folder, lines, says):
    (folder.parent / "secret.png").write_bytes(PNG)
    with pytest.raises(UserError) as refused:
        data.load_dataset(table(folder, *lines))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_table_that_is_no_text_is_one_line(folder):
    (folder / "table.csv").write_bytes(b"path,label\n\xff\xfe,1\n")
    with pytest.raises(UserError, match="no table of text in UTF-8"):
        data.load_dataset(str(folder / "table.csv"))


# --- arrays ---------------------------------------------------------------------------------------

IMAGES = RANDOM.integers(0, 256, (20, 6, 5)).astype(np.uint8)
LABELS = np.arange(20) % 2


def arrays(tmp_path, **changes):
    path = tmp_path / "some.npz"
    given = {"images": IMAGES, "labels": LABELS} | changes
    np.savez(path, **{name: array for name, array in given.items() if array is not None})
    return str(path)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES,
        IMAGES[..., None],
        IMAGES / 255,
        (IMAGES / 255).astype(np.float32),
        IMAGES.astype(np.int64),
    ],
)
def test_arrays_of_any_numbers_are_the_same_images(tmp_path, images):
    expected = sorted((i.tobytes(), int(label)) for i, label in zip(IMAGES, LABELS, strict=True))
    dataset = data.load_dataset(arrays(tmp_path, images=images))
    assert every(dataset) == expected
    assert dataset.spec == data.DataSpec((1, 6, 5), ("0", "1"))


def test_arrays_say_names_writers_and_what_is_for_testing(tmp_path):
    test = np.arange(20) >= 15
    path = arrays(
        tmp_path, classes=["ki", "su"], writers=np.array(["b", "a"] * 10), test=test, images=IMAGES
    )
    dataset = data.load_dataset(path)
    assert dataset.spec.class_names == ("ki", "su")
    assert dataset.test.images.numpy().tolist() == IMAGES[15:].tolist()
    assert dataset.test.writers.tolist() == [0, 1, 0, 1, 0]
    texts = data.load_dataset(arrays(tmp_path, labels=np.array(["ki", "su"])[LABELS]))
    assert texts.spec.class_names == ("ki", "su")
    named = data.load_dataset(arrays(tmp_path), reading=Reading(class_names=["x", "y"]))
    assert named.spec.class_names == ("x", "y")


def test_colour_arrays_are_read(tmp_path):
    colour = RANDOM.integers(0, 256, (20, 6, 5, 3)).astype(np.uint8)
    dataset = data.load_dataset(arrays(tmp_path, images=colour))
    assert dataset.spec.image_shape == (3, 6, 5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": None}, "has no array 'labels'"),
        ({"labels": LABELS[1:]}, "has labels [19] for 20 images"),
        ({"labels": LABELS / 2}, "has labels of float64"),
        ({"labels": LABELS - 2}, "has labels beyond -1"),
        ({"labels": LABELS + 10**6}, "has labels beyond -1"),
        ({"labels": np.full(20, 2**64 - 5, np.uint64)}, "has labels beyond -1"),
        ({"labels": LABELS * 0 - 1}, ""),
        ({"images": IMAGES[0]}, "has images [6, 5]"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "has images [0, 6, 5]"),
        ({"images": np.stack([IMAGES] * 4, 3)}, "has images [20, 6, 5, 4]"),
        ({"images": IMAGES * 2.0}, "beyond 0 to 255"),
        ({"images": IMAGES.astype(int) * 2}, "beyond 0 to 255"),
        ({"images": IMAGES / 255 - 0.5}, "beyond 0 to 255"),
        ({"images": np.full((20, 6, 5), np.nan)}, "beyond 0 to 255"),
        ({"images": IMAGES.astype(complex)}, "beyond 0 to 255"),
        ({"classes": ["a"]}, "has a label 1, and 1 names"),
        ({"writers": np.arange(3)}, "has writers [3] for 20 images"),
        ({"test": np.zeros(20, bool)}, "has no images for testing"),
        ({"test": np.ones(20, bool)}, "has no images for training"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(tmp_path, changes, says):
    with pytest.raises(UserError) as refused:
        data.load_dataset(arrays(tmp_path, **changes))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_pictures_flags_say_nothing_of_arrays(tmp_path):
    with pytest.raises(UserError, match="--image-size says nothing"):
        data.load_dataset(arrays(tmp_path), reading=Reading(image_size=9))


def idx_file(path, numbers):
    content = idx(numbers.astype(np.uint8))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("name", ["{}-idx{}-ubyte", "{}-idx{}-ubyte.gz", "t10k-{}-idx{}-ubyte.gz"])
def test_a_pair_of_idx_files_is_read(tmp_path, name):
    images = tmp_path / "some" / name.format("images", 3)
    idx_file(images, IMAGES)
    idx_file(tmp_path / "some" / name.format("labels", 1), LABELS)
    expected = sorted((i.tobytes(), int(label)) for i, label in zip(IMAGES, LABELS, strict=True))
    for path in (tmp_path / "some", images):
        assert every(data.load_dataset(str(path))) == expected


def test_two_pairs_of_idx_files_are_training_and_test_images(tmp_path):
    for part, some in (("train", slice(0, 12)), ("test", slice(12, 20))):
        idx_file(tmp_path / "some" / f"{part}-images-idx3-ubyte", IMAGES[some])
        idx_file(tmp_path / "some" / f"{part}-labels-idx1-ubyte", LABELS[some])
    dataset = data.load_dataset(str(tmp_path / "some"))
    assert dataset.test.images.numpy().tolist() == IMAGES[12:].tolist()
    (tmp_path / "some" / "test-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="has no labels beside it: test-labels-idx1-ubyte"):
        data.load_dataset(str(tmp_path / "some"))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("train", "more"), "testing: one pair has to begin"),
        (("test", "t10k"), "training"),
    ],
)
def test_two_pairs_of_which_none_is_for_testing_or_training_are_refused(tmp_path, names, says):
    for name in names:
        idx_file(tmp_path / "some" / f"{name}-images-idx3-ubyte", IMAGES)
        idx_file(tmp_path / "some" / f"{name}-labels-idx1-ubyte", LABELS)
    with pytest.raises(UserError, match=f"two pairs of IDX files, and none for {says}"):
        data.load_dataset(str(tmp_path / "some"))


# --- parts ----------------------------------------------------------------------------------------


def test_classes_are_chosen_by_name_and_numbered_in_that_order(tiny, monkeypatch):
    monkeypatch.setitem(data.DATASETS, tiny.name, lambda data_dir: tiny)
    dataset = data.load_dataset(tiny.name, reading=Reading(classes=["3", "1"]))
    assert dataset.spec == replace(tiny.spec, class_names=("3", "1"))
    for part, whole in ((dataset.train, tiny.train), (dataset.test, tiny.test)):
        chosen = (whole.labels == 3) | (whole.labels == 1)
        assert torch.equal(part.images, whole.images[chosen])
        assert part.labels.tolist() == [int(label == 1) for label in whole.labels[chosen]]


def test_so_many_images_of_each_class_are_the_first(tiny, monkeypatch):
    monkeypatch.setitem(data.DATASETS, tiny.name, lambda data_dir: tiny)
    dataset = data.load_dataset(tiny.name, reading=Reading(limit_per_class=2))
    assert dataset.train.labels.bincount().max() == 2
    first = (tiny.train.labels == 4).nonzero()[:2, 0]
    assert torch.equal(dataset.train.images[dataset.train.labels == 4], tiny.train.images[first])
    assert len(dataset.test) == len(tiny.test)


@pytest.mark.parametrize(
    ("reading", "says"),
    [
        (Reading(classes=["3", "x"]), "there is no digit 'x'"),
        (Reading(classes=["3", "3"]), "names a class twice"),
        (Reading(image_size=9), "--image-size is for images of your own"),
        (Reading(class_names=["a"]), "--class-names is for images of your own"),
    ],
)
def test_what_does_not_apply_to_a_named_set_is_refused(reading, says):
    with pytest.raises(UserError, match=says):
        data.load_dataset("mnist-5k", reading=reading)


def test_a_reading_of_a_later_version_is_named(tiny):
    training = {"dataset": tiny.name, "dataset_sha256": tiny.sha256, "reading": {"turned": 90}}
    with pytest.raises(UserError, match="were read by --turned, which this version does not know"):
        data.load_same_dataset(training)
