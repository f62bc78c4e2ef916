"""generate-all.py --text: how characters are set and outlined, whose they are, and bad input."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from conftest import SMALL, assert_refused, save_run
from PIL import Image

import mnist
from mnist.commands.written_text import class_written, write_text
from mnist.data.spec import DataSpec
from mnist.errors import UserError
from mnist.figures import text
from mnist.figures.text import Placed

ALL = "generate-all.py"


def block(left, wide, tall=20, side=20):
    """An image of a filled rectangle from the top."""
    image = np.zeros((side, side))
    image[:tall, left : left + wide] = 1
    return image


def test_characters_are_set_with_the_same_gap_whatever_their_width():
    page = text.set_lines(["ab c", "d"], [block(3, 5), block(10, 2), block(0, 20), block(8, 1)])
    margin, gap, space = (20 * part for part in (text.MARGIN, text.GAP, text.SPACE))
    assert [each.character for each in page.placed] == list("abcd")
    assert [each.image.shape[1] for each in page.placed] == [5, 2, 20, 1]
    starts = [margin, margin + 5 + gap, margin + 7 + 2 * gap + space, margin]
    assert [each.left for each in page.placed] == pytest.approx(starts)
    assert [each.top for each in page.placed] == pytest.approx([margin] * 3 + [margin + 20])
    assert page.width == pytest.approx(starts[2] + 20 + margin)
    assert page.height == pytest.approx(40 + 2 * margin)


def test_a_character_without_ink_keeps_its_width():
    page = text.set_lines(["ab"], [np.zeros((20, 20)), block(0, 4)])
    assert page.placed[0].image.shape == (20, 20)


@pytest.mark.parametrize("colour", [False, True])
def test_a_picture_has_each_character_where_it_is_set(tmp_path, colour):
    images = [block(3, 6, tall=10), block(3, 6)]
    if colour:
        blank = np.ones_like(images[0])
        images = [np.stack([1 - image, blank, blank], 2) for image in images]
    page = text.set_lines(["ab"], images)
    (tmp_path / "a.png").write_bytes(text.as_picture(page))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (text.SCALE * round(page.width), text.SCALE * round(page.height))
        pixels = np.asarray(picture.convert("RGB"))[..., 0]
    first, second = page.placed
    for placed, tall in ((first, 10), (second, 20)):
        across, down = (text.SCALE * (start + 3) for start in (placed.left, placed.top))
        assert pixels[round(down), round(across)] == 0
        below = text.SCALE * (placed.top + 15)
        assert pixels[round(below), round(across)] == (255 if tall < 15 else 0)
    assert pixels[0, 0] == 255


def area(path):
    """Of an SVG path of closed rings, those of holes going the other way round."""
    total = 0.0
    for ring in re.findall(r"M([^Z]*)Z", path):
        x, y = np.array([point.split(",") for point in ring.split("L")], float).T
        total += (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
    return abs(total)


def test_an_outline_has_the_area_of_the_ink_without_its_holes():
    y, x = np.mgrid[:60, :60] - 29.5
    distance = np.hypot(x, y)
    disc = (20.5 - distance).clip(0, 1)
    ring = disc - (10.5 - distance).clip(0, 1)
    of_disc, of_ring = (text.outline(Placed("0", image, 0, 0)) for image in (disc, ring))
    assert (of_disc.count("M"), of_ring.count("M")) == (1, 2)
    assert area(of_disc) == pytest.approx(np.pi * 20**2, rel=0.01)
    assert area(of_ring) == pytest.approx(np.pi * (20**2 - 10**2), rel=0.01)


def test_pale_ink_has_the_same_outline_and_paper_has_none():
    image = block(2, 6, tall=12)
    dark, pale = (text.outline(Placed("1", tone * image, 0, 0)) for tone in (1, 0.5))
    assert area(pale) == pytest.approx(area(dark), rel=1e-3)
    assert text.outline(Placed("1", 0.01 * image, 0, 0)) == ""


def test_an_outline_lies_where_the_character_is():
    image = block(2, 6, tall=12)
    path = text.outline(Placed("1", image, 100, 50))
    x, y = np.array(re.findall(r"([\d.]+),([\d.]+)", path), float).T
    box = [x.min(), x.max(), y.min(), y.max()]
    assert box == pytest.approx([102, 108, 50, 62], abs=0.1)


def test_a_character_is_the_class_of_that_name_and_never_one_of_that_index():
    letters = DataSpec((1, 28, 28), ("a", "B", "b", "ten"), "letter")
    assert [class_written(letters, each) for each in "aABb"] == [0, 0, 1, 2]
    with pytest.raises(UserError, match=r"no letter '0'; it can write: a B b$"):
        class_written(letters, "0")
    with pytest.raises(UserError, match="has a name of one character"):
        class_written(DataSpec((1, 28, 28), ("ten", "two"), "word"), "t")


@pytest.fixture
def run(tmp_path):
    """A small run whose posterior is Gaussian."""
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL | {"posterior": "gaussian"})
    return mnist.load(tmp_path / "mnist3.ckpt")


def test_a_text_is_in_each_style_and_no_character_is_twice_the_same(run):
    styles = run.prior.sample(2)
    page = write_text(run, "11 7\n7", styles, None, seed=1)
    assert [each.character for each in page.placed] == list("1177") * 2
    one, other = (each.image for each in page.placed[:2])
    assert one.shape != other.shape or not np.array_equal(one, other)
    again = write_text(run, "11 7\n7", styles, None, seed=1)
    for each, same in zip(page.placed, again.placed, strict=True):
        assert np.array_equal(each.image, same.image)


def test_a_run_whose_styles_are_points_writes_a_character_alike(tmp_path):
    save_run(tmp_path / "a.ckpt", "aae", SMALL | {"posterior": "deterministic"})
    run = mnist.load(tmp_path / "a.ckpt")
    style = run.prior.sample(1)
    page = write_text(run, "55", style, 1.0, seed=0)
    expected = run.decode(style, torch.tensor([5]))[0, 0].numpy()
    for each in page.placed:
        assert each.image == pytest.approx(text.without_sides(expected), abs=1e-6)


def test_long_lines_are_wrapped(run):
    page = write_text(run, "12345 " * 20, run.prior.sample(1), None, seed=0)
    assert len({each.top for each in page.placed}) == 4  # of six words each, and one of two


def test_a_picture_and_outlines(run, run_here, tmp_path):
    assert run_here(ALL, "--feature-size", 3, "--text", "314", "--output", "a.png").returncode == 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text["text"] == "314"
        assert len(picture.text["styles"].split(",")) == 3
    done = run_here(ALL, "--feature-size", 3, "--text", "3 4", "--count", 2, "--output", "a.svg")
    assert done.returncode == 0
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert root.attrib["aria-label"] == "3 4"
    assert len(root.findall(".//{*}path")) == 4


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--text", ""], "no character"),
        (["--text", " \n"], "no character"),
        (["--text", "3x"], "no digit 'x'"),
        (["--text", "3" * 2001], "2,001 characters"),
        (["--text", "31415926535", "--count", "200"], "2,200 characters"),
        (["--text", "3", "--digits", "3"], "--digits"),
        (["--text", "3", "--writer", "2491"], "--writer"),
        (["--text", "3", "--output", "a.npz"], "is not one of .png, .jpg, .jpeg, .svg"),
        (["--output", "a.svg"], "is not one of .png"),
    ],
)
def test_bad_input(run, run_here, tmp_path, flags, says):
    output = [] if "--output" in flags else ["--output", "a.png"]
    before = set(tmp_path.iterdir())
    assert_refused(run_here(ALL, "--feature-size", 3, *flags, *output), says)
    assert set(tmp_path.iterdir()) == before


def test_an_unconditional_run_is_refused(tmp_path, run_here):
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL | {"labels": False})
    assert_refused(run_here(ALL, "--feature-size", 3, "--text", "3"), "not given the digit")
