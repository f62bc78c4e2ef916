"""Somebody's handwriting from images of theirs: --from-image of several, --draws and --writer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SMALL, assert_refused, one_line, save_run
from PIL import Image

import mnist
from mnist.commands import generate_all, hands
from mnist.commands.flags import GenerateAllFlags
from mnist.commands.hands import pictures_in
from mnist.data import DataSpec, load_dataset
from mnist.errors import UserError
from mnist.latent.two_covariance import TwoCovariance, product_of_posteriors

ALL = "generate-all.py"


@pytest.fixture
def run(tmp_path):
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    return mnist.load(tmp_path / "mnist3.ckpt")


@pytest.fixture
def scans(tmp_path):
    """Pictures of three upright strokes, of different widths."""
    (tmp_path / "scans").mkdir()
    for width in (8, 10, 12):
        page = Image.new("L", (90, 120), 255)
        page.paste(0, (40, 20, 40 + width, 100))
        page.save(tmp_path / "scans" / f"1-{width}.png")
    return sorted((tmp_path / "scans").iterdir())


# --- what images say of a style -------------------------------------------------------------------


def test_posteriors_are_multiplied_and_the_prior_counts_once():
    """Against the Gaussian that Bayes' rule makes of the likelihoods, one after the other."""
    likelihoods = torch.tensor([[0.5, 2.0], [0.1, 1.0], [3.0, 0.7]]).double()  # variances
    seen = torch.tensor([[1.0, -2.0], [0.5, 0.3], [-1.0, 0.0]]).double()
    prior = 1.5**2

    def bayes(mean, variance, index):
        gain = variance / (variance + likelihoods[index])
        return mean + gain * (seen[index] - mean), (1 - gain) * variance

    alone = [bayes(torch.zeros(2), torch.full((2,), prior), i) for i in range(3)]
    mean, variance = torch.zeros(2), torch.full((2,), prior)
    for index in range(3):
        mean, variance = bayes(mean, variance, index)
    found = product_of_posteriors(
        torch.stack([m for m, _ in alone]), torch.stack([v for _, v in alone]).sqrt(), 1.5
    )
    torch.testing.assert_close(found, (mean, variance))


def test_points_are_averaged():
    means = torch.randn(4, 3)
    mean, variance = product_of_posteriors(means, torch.zeros(4, 3), 1.0)
    torch.testing.assert_close(mean, means.mean(0))
    assert not variance.any()


def test_one_image_has_its_own_style_and_several_their_writers(run):
    batch = load_dataset("mnist-5k").test.batch(slice(0, 3))
    mean, deviation = run.posterior(batch.images, batch.labels)
    alone = hands.hand_of(run, batch.images[:1], batch.labels[:1], None)
    torch.testing.assert_close(alone.mean, mean[:1])
    torch.testing.assert_close(alone.covariance, deviation[0].double().square().diag())
    model = TwoCovariance(torch.zeros(3).double(), torch.eye(3).double(), torch.eye(3).double() / 2)
    several = hands.hand_of(run, batch.images, batch.labels, model)
    # Of unit variance, seen three times with a half: 6 parts of 7.
    torch.testing.assert_close(several.mean, mean.mean(0, keepdim=True) * 6 / 7)
    unknown = hands.hand_of(run, batch.images, batch.labels, None)
    expected, _ = product_of_posteriors(mean, deviation, 1.0)
    torch.testing.assert_close(unknown.mean[0], expected)


def test_draws_have_the_hands_mean_and_covariance():
    covariance = torch.tensor([[1.0, 0.6, 0.0], [0.6, 0.5, 0.0], [0.0, 0.0, 0.0]]).double()
    hand = hands.Hand(torch.tensor([[1.0, 2.0, 3.0]]), covariance)
    drawn = hand.draw(20_000, torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(drawn.mean(0), hand.mean[0].double(), atol=0.04, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), covariance, atol=0.06, rtol=0)


# --- the commands ---------------------------------------------------------------------------------


def test_several_scans_and_a_folder_of_them_are_the_same(run, scans, run_here, tmp_path):
    flags = ("--feature-size", 3, "--output", "a.png")
    done = run_here(ALL, *flags, "--from-image", *scans, "--digit", 1, 1, 1)
    assert done.returncode == 0, done.stderr
    assert "who wrote the training images is not known" in one_line(done.stderr)
    first = (tmp_path / "a.png").read_bytes()

    def styles():
        with Image.open(tmp_path / "a.png") as image:
            return image.text["styles"]

    expected = styles()
    assert run_here(ALL, *flags, "--from-images", "scans").returncode == 0
    assert styles() == expected
    table = "file,what\n" + "".join(f"{path.name},1\n" for path in scans)
    (tmp_path / "scans" / "index.csv").write_text(table)
    (tmp_path / "scans" / "unnamed.png").write_bytes(first)  # which the table does not name
    assert run_here(ALL, *flags, "--from-images", "scans").returncode == 0
    assert styles() == expected


def test_a_files_name_begins_with_its_class(tmp_path):
    spec = DataSpec((1, 28, 28), ("k", "ki", "7"))
    for name in ("ki_1", "ki 2", "ki", "k-ki", "7x", "77", "7.1", "kix"):
        Image.new("L", (9, 9)).save(tmp_path / f"{name}.png")
    (tmp_path / "ki.txt").write_text("no picture")
    found = {path.stem: label for path, label in pictures_in(str(tmp_path), spec)}
    assert found == {
        **dict.fromkeys(("ki_1", "ki 2", "ki"), "ki"),
        **dict.fromkeys(("k-ki", "kix"), "k"),
        **dict.fromkeys(("7x", "77", "7.1"), "7"),
    }


def test_draws_are_styles_that_an_image_allows(run, scans, run_here, tmp_path):
    flags = ("--feature-size", 3, "--from-image", scans[0], "--digit", 1, "--output", "a.npz")
    assert run_here(ALL, *flags, "--draws", 6).returncode == 0
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        styles = arrays["styles"][::10]
    assert len(np.unique(styles, axis=0)) == 6
    assert run_here(ALL, *flags).returncode == 0
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        likeliest = arrays["styles"][0]
    assert np.abs(styles - likeliest).max() < 1  # deviations of a tenth or so at the start
    save_run(tmp_path / "point.ckpt", "aae", SMALL | {"posterior": "deterministic"})
    done = run_here(ALL, "--ckpt-dir", "point.ckpt", *flags[2:], "--draws", 6)
    assert_refused(done, "the style of an image is a point")


@pytest.fixture
def known(monkeypatch):
    """The bundled data set, as if 40 people had written it; those of 20 images are testing."""
    data = load_dataset("mnist-5k")
    train = replace(data.train, writers=torch.arange(len(data.train)) % 40)
    test = replace(data.test, writers=1000 + torch.arange(len(data.test)) % 20)
    data = replace(data, train=train, test=test)
    monkeypatch.setattr(generate_all, "load_same_dataset", lambda *_: data)
    return data


def test_a_writers_page(run, known):
    model = hands.known_writers(run, known)
    theirs = known.test.some(known.test.writers == 1003)
    assert torch.equal(hands.written_by(known.test, 1003, known.name).images, theirs.images)
    title, images, captions, _ = hands.page_of(run, theirs, model, 1003, None)
    assert "writer 1003" in title
    assert images.shape == (hands.SHOWN + 1, 10, 28, 28)
    assert len(captions) == len(images)
    for label in range(10):
        own = theirs.batch(torch.nonzero(theirs.labels == label)[:, 0])
        np.testing.assert_array_equal(images[0, label], own.images[0, 0])
        others = theirs.batch(torch.nonzero(theirs.labels != label)[:, 0])
        known_styles = run.encode(others.images, others.labels)
        style, _ = model.writers_style(known_styles.mean(0, keepdim=True), len(known_styles))
        written = run.decode(style.float(), torch.tensor([label]), sharpness=run.sharpness)
        np.testing.assert_allclose(images[-1, label], written[0, 0], atol=1e-5)


def test_a_writer_who_left_digits_out_has_blanks(run, known):
    test = known.test.some(known.test.labels != 4)
    theirs = hands.written_by(test, 1003, known.name)
    images = hands.page_of(run, theirs, None, 1003, None).images
    assert not images[:-1, 4].any()
    assert images[-1].reshape(10, -1).any(1).all()


def test_writers_in_one_picture(run, known, tmp_path):
    output = tmp_path / "a.png"
    flags = {"ckpt_dir": run.name, "writer": [1000, 1019], "output": str(output)}
    generate_all.generate_all(GenerateAllFlags(**flags))
    with Image.open(output) as image:
        assert image.height > 8 * 56
    with pytest.raises(UserError, match=r"--writer 7 wrote no test image: .* from 1000 to 1019"):
        generate_all.generate_all(GenerateAllFlags(**flags | {"writer": [7]}))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--writer", 3), "who wrote the images of mnist-5k is not known"),
        (("--writer", 3, "--digits", "1,2"), "--writer and --digits cannot go together"),
        (("--writer", 3, "--count", 2), "--writer and --count cannot go together"),
        (("--writer", -1), "'-1' is not a whole number"),
        (("--draws", 3), "--draws goes with --from-image"),
        (("--from-test", 3, "--draws", 0), "'0' is not a whole number of at least 1"),
        (("--from-image", "a.png", "b.png", "--digit", 1), "2 pictures and --digit 1 classes"),
        (("--from-image", "a.png", "--digit", 1, 2), "1 pictures and --digit 2 classes"),
        (("--from-images", "none"), "cannot read it (No such file or directory)"),
        (("--from-images", "empty"), "there is no picture"),
        (("--from-images", "bad"), "is no table of files and their classes"),
        (("--from-images", "letters"), "there is no digit 'x'"),
        (("--from-images", "empty", "--from-test", 1), "cannot go together"),
    ],
)
def test_bad_input(run, run_here, tmp_path, flags, says):
    for name in ("empty", "bad", "letters"):
        (tmp_path / name).mkdir()
    (tmp_path / "bad" / "index.csv").write_text("file\na.png\n")
    Image.new("L", (90, 120), 255).save(tmp_path / "letters" / "x.png")
    before = sorted(tmp_path.rglob("*"))
    assert_refused(run_here(ALL, "--feature-size", 3, *flags, "--output", "a.png"), says)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unconditional_run_has_no_page(run_here, tmp_path):
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL | {"labels": False})
    done = run_here(ALL, "--feature-size", 3, "--writer", 3, "--output", "a.png")
    assert_refused(done, "is not given the digit, which --writer needs")
