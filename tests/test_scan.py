"""Somebody's own picture of a digit: whatever its kind, the image that MNIST would have made."""

import contextlib
import gc
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from scans import enlarged, hairline, surrounded, variants

from mnist.data import DataSpec, load_dataset, scan
from mnist.data.mnist import MNIST
from mnist.errors import UserError

NAMES = list(variants(np.zeros((28, 28), np.uint8)))


@pytest.fixture(scope="module")
def digits():
    """One real image of each digit, not too thin to be enlarged."""
    test = load_dataset("mnist-5k").test
    chosen = [
        next(
            image
            for image, label in zip(test.images, test.labels, strict=True)
            if label == digit and image.float().mean() > 30
        )
        for digit in range(10)
    ]
    return torch.stack(chosen).numpy()


def correlation(one, other):
    return np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_scan_becomes_the_digit_it_was_made_from(name, digits, tmp_path):
    likeness = []
    for number, digit in enumerate(digits):
        path = tmp_path / f"{number}.{'tif' if '16' in name else 'png'}"
        variants(digit, number)[name]().save(path)
        found = scan.read_scan(path)
        assert (found.shape, found.dtype) == ((1, 1, 28, 28), torch.float32)
        assert found.min() >= 0
        assert found.max() <= 1
        likeness.append(correlation(found, digit))
    # What is left is the anti-aliasing, and a shift by a pixel where a rounding fell otherwise.
    assert np.median(likeness) > (0.8 if name.startswith("12") else 0.9)
    assert min(likeness) > 0.6


@pytest.mark.parametrize("name", list(surrounded(np.zeros((28, 28), np.uint8))))
def test_paper_is_what_lies_about_the_digit(name, digits, tmp_path):
    for digit in digits:
        surrounded(digit)[name].save(tmp_path / "x.png")
        said = []
        found = scan.read_scan(tmp_path / "x.png", said.append)
        assert correlation(found, digit) > 0.65  # some of them are turned, some have it small
        assert said == []


@pytest.mark.parametrize(
    "page",
    [{"width": w} for w in (1, 2, 3, 5)] + [{"width": 3, "pen": 180}, {"width": 6, "side": 2000}],
    ids=str,
)
def test_a_hairline_becomes_a_stroke(page, tmp_path):
    """As wide and as dark as MNIST's: 2 to 4 pixels, and near 1."""
    hairline(**page).save(tmp_path / "x.png")
    found = scan.read_scan(tmp_path / "x.png")[0, 0].numpy()
    inked = np.nonzero(found.max(1) > 0.3)[0][4:-2]  # rows of the 7's stem
    assert len(inked) > 10
    assert np.median(found[inked].max(1)) > 0.7
    assert 1.5 < np.median(found[inked].sum(1)) < 4  # across a stem that leans


def test_a_stroke_as_wide_as_mnists_is_left_alone(digits):
    for digit in digits:
        ink = enlarged(digit, 300)
        rows, columns = np.nonzero(ink.any(1))[0], np.nonzero(ink.any(0))[0]
        ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert scan.thickened(ink) is ink


def test_two_digits_are_told(digits, tmp_path):
    for one, other in zip(digits, np.roll(digits, 3, 0), strict=True):
        for pair in ([one, other], [one.T, other.T]):  # side by side, and one above the other
            page = np.hstack([np.pad(enlarged(each, 200), 40) for each in pair])
            page = page if pair[0] is one else page.T
            Image.fromarray((255 - 200 * page).astype(np.uint8)).save(tmp_path / "x.png")
            said = []
            scan.read_scan(tmp_path / "x.png", said.append)
            assert len(said) == 1
            assert "x.png seems to show more than one digit: crop it" in said[0]


def test_a_digit_in_pieces_is_one(digits, tmp_path):
    """Of 500 test images, of which some have a stroke by itself, hardly any is taken for two."""
    said = []
    for digit in load_dataset("mnist-5k").test.images[::2].numpy():
        Image.fromarray(digit).save(tmp_path / "x.png")
        scan.read_scan(tmp_path / "x.png", said.append)
    assert len(said) <= 5


@pytest.mark.parametrize("suffix", ["gif", "tif", "mpo"])
def test_the_first_of_several_pictures_is_read(suffix, digits, tmp_path):
    first, second = (variants(digits[i])["dark on white, 300 pixels"]() for i in (4, 8))
    first.save(tmp_path / "first.png")
    path = tmp_path / f"x.{suffix}"
    first.convert("RGB").save(path, save_all=True, append_images=[second.convert("RGB")])
    expected = scan.read_scan(tmp_path / "first.png")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert correlation(scan.read_scan(path), expected) > 0.98
        gc.collect()
    assert warned == []  # such as of a file that was not closed


def test_whatever_a_decoder_stumbles_over_is_one_line(digits, tmp_path, monkeypatch):
    def stumble(_):
        raise struct.error("unpack requires a buffer of 4 bytes")

    variants(digits[4])["dark on white, 300 pixels"]().save(tmp_path / "x.png")
    monkeypatch.setattr(scan.ImageOps, "exif_transpose", stumble)
    with pytest.raises(
        UserError, match=r"x\.png cannot be read: its picture is damaged \(unpack requires"
    ):
        scan.read_scan(tmp_path / "x.png")


@pytest.mark.parametrize("kind", ["DDS", "EPS", "GIF", "ICNS", "JPEG", "PNG", "PPM", "SGI", "TIFF"])
def test_a_damaged_picture_is_read_or_refused(kind, digits, tmp_path):
    """Either is right. What would fail here is any other exception."""
    picture = variants(digits[4])["as in MNIST: 28 pixels, light on dark"]().convert("RGB")
    picture.save(tmp_path / "whole", kind)
    whole = (tmp_path / "whole").read_bytes()
    chance = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole[: chance.integers(1, len(whole) + 1)])
        for place in chance.integers(0, min(len(damaged), 150), 3):
            damaged[place] = chance.integers(256)
        (tmp_path / "x").write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert scan.read_scan(tmp_path / "x").shape == (1, 1, 28, 28)


def test_it_lies_in_a_box_of_20_about_its_centre_of_mass(digits, tmp_path):
    for digit in digits:
        Image.fromarray((255 * (1 - enlarged(digit, 400))).astype(np.uint8)).save(
            tmp_path / "x.png"
        )
        found = scan.read_scan(tmp_path / "x.png")[0, 0].numpy()
        rows, columns = np.nonzero(found.any(1))[0], np.nonzero(found.any(0))[0]
        assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
        for axis in (0, 1):
            mass = found.sum(1 - axis)
            assert abs((mass * np.arange(28)).sum() / mass.sum() - 14) <= 0.51


def test_formats_and_turned_photos(digits, tmp_path):
    upright = variants(digits[4])["dark on white, 300 pixels"]()
    upright.save(tmp_path / "upright.png")
    expected = scan.read_scan(tmp_path / "upright.png")
    for name in ("x.jpg", "x.bmp", "x.gif", "x.webp", "x.tif"):
        upright.save(tmp_path / name)
        assert correlation(scan.read_scan(tmp_path / name), expected) > 0.98, name
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif)
    assert correlation(scan.read_scan(tmp_path / "turned.jpg"), expected) > 0.98


def png_that_claims(width, height):
    """The beginning of a PNG of that size, and nothing of its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 100)
        + b"IDAT"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "no picture"),
        (b"not a picture at all", "no picture"),
        (png_that_claims(100_000, 100_000), "too large to be decoded"),
        (png_that_claims(8_000, 8_000), "8,000 × 8,000 pixels: make it smaller"),
        (png_that_claims(30, 30), "cannot be read|no picture"),
    ],
)
def test_what_cannot_be_read_is_named(content, says, tmp_path):
    path = tmp_path / "scan.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        scan.read_scan(path)
    assert str(path) in str(caught.value)


def test_a_picture_cut_short_and_a_directory(digits, tmp_path):
    path = tmp_path / "cut.png"
    variants(digits[0])["2,000 pixels"]().save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be read"):
        scan.read_scan(path)
    with pytest.raises(UserError, match="Is a directory"):
        scan.read_scan(tmp_path)


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_an_empty_page_shows_nothing(tone, tmp_path):
    Image.new("L", (200, 100), tone).save(tmp_path / "empty.png")
    with pytest.raises(UserError, match="shows no digit"):
        scan.read_scan(tmp_path / "empty.png")
    Image.new("L", (1, 1), tone).save(tmp_path / "one.png")
    with pytest.raises(UserError, match="shows no digit"):
        scan.read_scan(tmp_path / "one.png")


@pytest.mark.parametrize("size", [(60, 60), (300, 400), (900, 700)])
def test_grain_is_no_digit(size, tmp_path):
    for seed in range(5):
        grain = np.random.default_rng(seed).normal(180, 12, size)
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(tmp_path / "grain.png")
        with pytest.raises(UserError, match="shows no digit"):
            scan.read_scan(tmp_path / "grain.png")


@pytest.mark.parametrize("size", [(1000, 1), (5000, 2), (1000, 3), (1, 700)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_sliver_is_read_or_refused(size, kind, tmp_path):
    """Either is right. What would fail here is any other exception."""
    levels = np.zeros(size, kind)
    levels[len(levels) // 2 :] = 200
    Image.fromarray(levels).save(tmp_path / "x.tif")
    with contextlib.suppress(UserError):
        assert scan.read_scan(tmp_path / "x.tif").shape == (1, 1, 28, 28)


def test_pixels_that_are_no_numbers_are_refused(tmp_path):
    Image.fromarray(np.full((30, 30), np.nan, np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(UserError, match="no numbers"):
        scan.read_scan(tmp_path / "x.tif")


def test_otsu_parts_two_tones():
    chance = np.random.default_rng(0)
    values = np.concatenate([chance.normal(0, 1, 5000), chance.normal(10, 1, 500)])
    assert 3 < scan.otsu(values) < 7


# --- of other data sets than digits ---------------------------------------------------------------

KANA = DataSpec((1, 12, 9), ("ki", "su"))


def test_a_picture_of_another_set_is_taken_whole(tmp_path):
    """MNIST's centre of mass is for what was prepared so; a letter is where its baseline is."""
    levels = np.zeros((12, 9), np.uint8)
    levels[1:6, 1:4] = 200
    expected = torch.from_numpy(levels / np.float32(255))
    for name, shown in {"light": levels, "dark": 255 - levels}.items():
        Image.fromarray(shown).save(tmp_path / f"{name}.png")
        found = scan.read_alike(tmp_path / f"{name}.png", "/mine", KANA)
        torch.testing.assert_close(found, expected[None, None])
    Image.fromarray(levels.repeat(4, 0).repeat(4, 1)).save(tmp_path / "large.png")
    large = scan.read_alike(tmp_path / "large.png", "/mine", KANA)
    assert correlation(large, expected) > 0.95
    assert large.shape == (1, 1, 12, 9)


@pytest.mark.parametrize("name", ["mnist-5k", "emnist-letters", "kmnist", "/home/mnist"])
def test_what_was_prepared_as_mnist_is_prepared_so(tmp_path, digits, name):
    Image.fromarray(digits[3]).resize((90, 140)).save(tmp_path / "three.png")
    found = scan.read_alike(tmp_path / "three.png", name, MNIST)
    as_mnist = torch.equal(found, scan.read_scan(tmp_path / "three.png"))
    assert as_mnist == ("mnist-" in name)


def test_colour_is_kept_where_the_set_has_it(tmp_path):
    colour = np.full((20, 24, 3), (250, 240, 20), np.uint8)
    Image.fromarray(colour).save(tmp_path / "yellow.png")
    found = scan.read_alike(tmp_path / "yellow.png", "/mine", DataSpec((3, 20, 24), ("A", "B")))
    assert found.shape == (1, 3, 20, 24)
    assert found.mean((0, 2, 3)).mul(255).round().tolist() == [250, 240, 20]
