"""guide.py and mnist-classifier.py, run as a person runs them, on the 5,000 bundled images."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import (
    assert_refused,
    bundled,
    constant_classifier,
    one_line,
    save_run,
)
from PIL import Image

import mnist
from mnist.commands import guide, tools
from mnist.commands.flags import GuideFlags, RunFlags
from mnist.errors import UserError
from mnist.latent import maps
from mnist.latent.space import PURE
from mnist.methods import CLASSIFIER as CLASSIFIER_METHOD
from mnist.methods import METHODS
from mnist.networks.sharpness import sharpen

GUIDE, CLASSIFIER = "guide.py", "mnist-classifier.py"
SHORT = {"dataset": "mnist-5k", "batch_size": 100, "quiet": True}


@pytest.fixture
def here(trained, run_beside):
    return run_beside(trained)


def written(folder):
    return {path.name for path in folder.iterdir() if path.is_file()}


# --- guide.py -----------------------------------------------------------------------------------


def test_a_digit_is_asked_for(here, tmp_path):
    # Of a run of four epochs a less certain 5 may be a bad 0.
    done = here(GUIDE, "--digit", 5, "--stop-at", 0.95)
    assert (done.returncode, done.stderr) == (0, "")
    first, last = done.stdout.splitlines()
    assert first.startswith("start 0: a 5 reached, probability ")
    beside = "guide-path.csv, guide-first.png and guide-last.png"
    assert last == f"written: mnist3.ckpt/guide.gif, and beside it {beside}"
    run = tmp_path / "mnist3.ckpt"
    way = pd.read_csv(run / "guide-path.csv")
    assert way["step"].tolist() == list(range(len(way)))
    assert f"after {len(way) - 1} steps" in first
    # It may have been higher on the way, where the code was still a mixture or the style unlikely.
    assert way["p5"].iloc[-1] >= 0.95
    assert way["code_5"].iloc[-1] >= PURE
    code = [f"code_{digit}" for digit in range(10)]
    chances = [f"p{digit}" for digit in range(10)]
    assert np.allclose(way[code].sum(axis=1), 1, atol=1e-5)
    assert np.allclose(way[chances].sum(axis=1), 1, atol=1e-5)
    with Image.open(run / "guide.gif") as gif:
        assert 2 <= gif.n_frames <= len(way)
        assert gif.size == (796, 310)
    assert (run / "guide.gif").stat().st_size < 3e6

    # The numbers written are those that lead to the pictures written.
    opened = mnist.load(run)
    style = torch.tensor(way.filter(like="style_").to_numpy(np.float32))
    told = torch.tensor(way[code].to_numpy(np.float32))
    decoded = sharpen(opened.method.decoder(style, told), opened.sharpness)[:, 0].numpy()
    for name, image in (("first", decoded[0]), ("last", decoded[-1])):
        with Image.open(run / f"guide-{name}.png") as png:
            pixels = 255 - np.asarray(png.resize((28, 28), Image.Resampling.NEAREST))
        assert np.abs(pixels - 255 * image).max() <= 1
    reader = mnist.load("mnist-classifier.ckpt")
    read = reader.log_probs(torch.from_numpy(decoded).unsqueeze(1)).exp().numpy()
    assert np.allclose(read, way[chances], atol=1e-4)


def test_the_same_seed_is_the_same_way(here, tmp_path):
    ways = []
    for seed in (0, 0, 1):
        done = here(GUIDE, "--digit", 3, "--seed", seed, "--steps", 25, "--output", "x.png")
        assert done.returncode == 0
        ways.append((tmp_path / "x-path.csv").read_bytes())
    assert ways[0] == ways[1] != ways[2]


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (("--free", "style", "--from-digit", 4), "code_"),
        (("--free", "digit"), "style_"),
        (("--free", "style", "--start-image", 7), "code_"),
    ],
)
def test_what_is_not_free_stays(here, tmp_path, flags, kept):
    done = here(GUIDE, "--digit", 9, *flags, "--steps", 25, "--output", "x.png")
    assert done.returncode == 0, done.stderr
    way = pd.read_csv(tmp_path / "x-path.csv")
    moved = {name for name in way.filter(regex="^(code_|style_)") if way[name].nunique() > 1}
    assert moved
    assert not any(name.startswith(kept) for name in moved)


def test_starts_of_ones_own(here, tmp_path):
    options = ("--steps", 5, "--output", "x.png")
    assert here(GUIDE, "--digit", 1, "--style", "0.5,-1,2", *options).returncode == 0
    way = pd.read_csv(tmp_path / "x-path.csv")
    assert way.filter(like="style_").iloc[0].tolist() == [0.5, -1, 2]

    assert here(GUIDE, "--digit", 1, "--start-image", 900, *options).returncode == 0
    way = pd.read_csv(tmp_path / "x-path.csv")
    image = bundled().test.batch(slice(900, 901))
    style = mnist.load("mnist3.ckpt").encode(image.images, image.labels)[0].tolist()
    assert way.filter(like="style_").iloc[0].tolist() == pytest.approx(style, abs=1e-4)
    assert way.filter(like="code_").iloc[0].argmax() == image.labels.item()


def test_several_starts_are_told_best_first(here, tmp_path):
    done = here(GUIDE, "--digit", 2, "--starts", 4, "--steps", 40, "--output", "x.png")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[:4]
    assert sorted(line.split(":")[0] for line in lines) == [f"start {k}" for k in range(4)]
    steps = [int(re.search(r"after (\d+) steps", line)[1]) for line in lines]
    assert steps == sorted(steps)
    way = pd.read_csv(tmp_path / "x-path.csv")
    assert way["start"].nunique() == 4
    assert f"start {way['start'].iloc[0]}:" == " ".join(lines[0].split()[:2])


def test_what_cannot_be_reached_is_said(here):
    done = here(GUIDE, "--digit", 2, "--steps", 1, "--output", "x.png")
    assert done.returncode == 0
    assert "start 0: a 2 not reached, probability" in done.stdout


@pytest.mark.parametrize("flags", [(), ("--dims", "1,0")])
def test_a_run_without_labels(here, tmp_path, flags):
    done = here(
        *(GUIDE, "--digit", 0, "--ckpt-dir", "plain2.ckpt", "--output", "x.gif"),
        *flags,
        *("--steps", 30),
        size=None,
    )
    assert done.returncode == 0, done.stderr
    way = pd.read_csv(tmp_path / "x-path.csv")
    assert not len(way.filter(like="code_").columns)
    assert written(tmp_path) == {"x.gif", "x-path.csv", "x-first.png", "x-last.png"}


def test_a_survey_counts_what_it_says(here, tmp_path):
    constant_classifier(tmp_path / "three", 3, outliers=True)
    done = here(GUIDE, "--survey", "--starts", 6, "--steps", 60, "--independent", "three")
    assert (done.returncode, done.stderr) == (0, "")
    run = tmp_path / "mnist3.ckpt"
    table = pd.read_csv(run / "survey.csv")
    assert table["digit"].tolist() == [*"0123456789", "all"]
    digits, overall = table.iloc[:10], table.iloc[10]
    for column in ("converged", "agreement", "none", "among_real_test", "distance"):
        assert overall[column] == pytest.approx(digits[column].mean())
    assert digits["agreement"].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert overall["converged"] > 0.5
    assert overall["distance"] > 0.5
    # Its features are the pixels.
    for column in ("among_real", "among_real_prior", "among_real_test"):
        assert digits[column].between(0, 1).all()
    assert overall["among_real_test"] > 0.5
    assert f"{overall['converged']:.2%}" in done.stdout
    with Image.open(run / "survey.png") as sheet:
        assert sheet.height > 10 * 56

    arrays = np.load(run / "survey.npz")
    assert {name: (a.dtype.name, a.shape) for name, a in arrays.items()} == {
        "images": ("uint8", (60, 28, 28)),
        "labels": ("int64", (60,)),
        "converged": ("bool", (60,)),
        "probability": ("float32", (60,)),
    }
    assert arrays["labels"].tolist() == [digit for digit in range(10) for _ in range(6)]
    assert arrays["converged"].reshape(10, 6).mean(1) == pytest.approx(digits["converged"])
    assert (arrays["probability"][arrays["converged"]] >= 0.99).all()
    reader = mnist.load("mnist-classifier.ckpt")
    images = torch.from_numpy(arrays["images"]).unsqueeze(1).float() / 255
    read = reader.log_probs(images).exp()[range(60), arrays["labels"]].numpy()
    assert read == pytest.approx(arrays["probability"], abs=0.05)  # rounded to 8 bits


def test_a_survey_without_labels_names_what_is_no_digit(here, tmp_path):
    constant_classifier(tmp_path / "none", 10, outliers=True)
    done = here(
        *(GUIDE, "--survey", "--starts", 3, "--steps", 25, "--independent", "none"),
        *("--ckpt-dir", "plain2.ckpt"),
        size=None,
    )
    assert (done.returncode, done.stderr) == (0, "")
    table = pd.read_csv(tmp_path / "plain2.ckpt" / "survey.csv")
    assert (table["none"] == 1).all()
    assert (table["agreement"] == 0).all()


@pytest.mark.slow
def test_a_second_opinion_is_asked_where_there_is_one(here, tmp_path):
    asked = (GUIDE, "--digit", 8, "--steps", 3, "--output", "x.png")
    assert "second opinion" not in here(*asked).stdout
    for answer, sees in ((8, None), (3, "it sees a 3"), (10, "it sees no digit")):
        constant_classifier(tmp_path / "mnist-second-opinion.ckpt", answer, outliers=True)
        said = here(*asked).stdout.splitlines()[-1]
        assert ("second opinion" in said) == bool(sees)
        if sees:
            assert said == f"the second opinion disagrees: {sees} in the last image"
        shutil.rmtree(tmp_path / "mnist-second-opinion.ckpt")
    constant_classifier(tmp_path / "another", 0, outliers=True)
    assert "it sees a 0" in here(*asked, "--independent", "another").stdout


def test_styles_that_the_prior_hardly_draws_are_no_rest(here, tmp_path):
    """The decoder writes something there, and a classifier may take it for anything."""
    asked = (GUIDE, "--digit", 1, "--style", "9,9,9", "--lr", 1e-6, "--steps", 3, "--stop-at", 0.1)
    options = ("--from-digit", 1, "--output", "x.png")
    done = here(*asked, *options)
    assert "not reached" in done.stdout
    assert "where the decoder draws none well" in done.stdout
    anywhere = here(*asked, *options, "--stay-likely", 0)
    assert "decoder draws no" not in anywhere.stdout


def test_a_landscape_is_a_map(trained):
    """The probability at a place of it, along the first and the second dimension."""
    run, reader = (mnist.load(trained / name) for name in ("plain2.ckpt", "mnist-classifier.ckpt"))
    space = guide.open_space(run, GuideFlags())
    side, there = maps.landscape(
        space, lambda images: reader.log_probs(images)[:, 7].exp(), torch.zeros(2), 2.5
    )
    assert (side[0], side[-1]) == (-2.5, 2.5)
    for first, second in [(10, 60), (70, 5), (40, 40)]:
        image = run.decode(torch.tensor([[side[first], side[second]]]), sharpness=run.sharpness)
        chance = reader.log_probs(image)[0, 7].exp().item()
        assert there[first, second].item() == pytest.approx(chance, rel=1e-3, abs=1e-7)


@pytest.mark.slow
def test_the_classifier_is_trained_first_where_there_is_none(here, tmp_path, monkeypatch):
    monkeypatch.setattr(METHODS[CLASSIFIER_METHOD], "epochs", (1, 1))
    shutil.rmtree(tmp_path / "mnist-classifier.ckpt")
    typo = here(GUIDE, "--survey", "--independent", "typo")
    assert_refused(typo, "no trained classifier in typo")  # before a minute is spent on the other
    done = here(GUIDE, "--digit", 5, "--steps", 1)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "no trained classifier in mnist-classifier.ckpt yet: training it first"
    assert "CLASSIFIER, a convolutional network" in said[1]
    assert mnist.load("mnist-classifier.ckpt").config["training"]["dataset"] == "mnist-5k"
    done = here(GUIDE, "--survey", "--starts", 2, "--steps", 1)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("no trained classifier in mnist-second-opinion.ckpt yet")
    assert "a convolutional network that knows what is no digit" in said[1]
    again = here(GUIDE, "--survey", "--starts", 2, "--steps", 1)
    assert "training it first" not in again.stdout


def test_a_classifier_that_was_stopped_is_left_to_who_began_it(here, tmp_path):
    for name in ("mnist-classifier.ckpt", "mnist-second-opinion.ckpt"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    classifier = {"lr": 1e-3, "seed": 0, "layers": 1}
    save_run(tmp_path / "mnist-classifier.ckpt", "classifier", classifier)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = here(GUIDE, "--digit", 5, "--steps", 1)
    assert_refused(done, "mnist-classifier.ckpt is trained to epoch 0 of 3 only")
    assert "finish it by ./mnist-classifier.py, or name another by --classifier DIR" in done.stderr
    done = here("evaluate.py", "--quick")
    assert_refused(done, "finish it by ./mnist-classifier.py, or name another by --judge DIR")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before

    shutil.rmtree(tmp_path / "mnist-classifier.ckpt")
    constant_classifier(tmp_path / "mnist-classifier.ckpt", 3)
    save_run(tmp_path / "mnist-second-opinion.ckpt", "classifier", classifier | {"outliers": True})
    done = here(GUIDE, "--survey", "--starts", 2)
    assert_refused(
        done, "finish it by ./mnist-classifier.py --ckpt-dir mnist-second-opinion.ckpt, or name"
    )
    assert "--independent DIR" in done.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--digit", 12), "--digit: there is no digit '12'"),
        ((), "name a digit by --digit, or ask all ten"),
        (("--digit", 1, "--survey"), "name a digit by --digit, or ask all ten"),
        (("--digit", 1, "--ckpt-dir", "none.ckpt"), "no trained run in none.ckpt"),
        (("--digit", 1, "--style", "0.5,1"), "--style has 2 numbers, and a style of this run has"),
        (("--digit", 1, "--dims", "0,3"), "--dims 0,3: name two different ones of 0 to 2"),
        (("--digit", 1, "--dims", "1,1"), "--dims 1,1: name two different ones"),
        (("--digit", 1, "--output", "no/x.gif"), "there is no directory no"),
        (("--digit", 1, "--output", "x.avi"), ".avi is not one of .gif, .mp4, .png"),
        (("--digit", 1, "--output", "x.mp4"), "ffmpeg, which is not installed"),
        (("--digit", 1, "--steps", 1, "--output", "/proc/x.gif"), "cannot write"),
        (("--survey", "--output", "x.gif"), ".gif is not one of .png"),
        (("--digit", 1, "--classifier", "none"), "no trained classifier in none"),
        (("--digit", 1, "--classifier", "mnist3.ckpt"), "mnist3.ckpt cannot classify"),
        (("--digit", 1, "--classifier", "other"), "the classifier in other was trained on"),
        (("--digit", 1, "--ckpt-dir", "mnist-classifier.ckpt"), "has no prior and decoder"),
        (
            ("--digit", 1, "--classifier", "untrained"),
            "untrained has not been trained for an epoch",
        ),
        (("--digit", 1, "--style", "1e20,0,0"), "NaN or infinite at step 0: try a smaller --lr or"),
        (("--survey", "--starts", 10_001), "--starts 10,001: take at most 10,000"),
        (("--digit", 1, "--free", "style"), "add --from-digit"),
        (("--digit", 1, "--stop-at", 1), "--stop-at: '1' is not a number of at least 0.1"),
        (("--digit", 1, "--stay-likely", -1), "--stay-likely"),
        (("--digit", 1, "--lr", "inf"), "--lr"),
        (("--digit", 1, "--start-image", 1000), "there is no test image 1,000"),
        (("--digit", 1, "--start-image", 1, "--style", "1,1,1"), "cannot go together"),
        (("--digit", 1, "--start-image", 1, "--starts", 2), "it is a single start"),
        (("--digit", 1, "--start-image", 1, "--from-digit", 2), "cannot go together"),
        (("--survey", "--dims", "0,1"), "--survey makes none"),
        (
            ("--survey", "--independent", "x"),
            "train one by ./mnist-classifier.py --outliers --ckpt",
        ),
        (
            ("--digit", 1, "--independent", "mnist-classifier.ckpt"),
            "was trained without --outliers",
        ),
        (("--digit", 1, "--classifier", "knowing"), "was trained with --outliers: name a run of"),
    ],
)
def test_bad_input_to_guide(here, tmp_path, monkeypatch, flags, says):
    which = shutil.which
    monkeypatch.setattr("shutil.which", lambda name: which(name) if name != "ffmpeg" else None)
    constant_classifier(tmp_path / "other", 3, sha256="of another data set")
    save_run(tmp_path / "untrained", "classifier", {"lr": 1e-3, "seed": 0, "layers": 1})
    constant_classifier(tmp_path / "knowing", 3, outliers=True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = here(GUIDE, *flags, size=None if "--ckpt-dir" in flags else 3)
    if "cannot write" not in says:
        assert_refused(done, says)
    else:  # said after the descent, which cannot know
        assert done.returncode == 2
        assert says in one_line(done.stderr)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("flag", [("--free", "both"), ("--from-digit", 3)])
def test_without_labels_there_is_no_digit_to_move(here, flag):
    done = here(GUIDE, "--digit", 1, "--ckpt-dir", "plain2.ckpt", *flag, size=None)
    assert_refused(done, f"leave {flag[0]} out")


def test_a_missing_data_set_is_said_before_the_work(here, tmp_path, monkeypatch):
    def missing(*_):
        raise UserError("no files")

    monkeypatch.setattr("mnist.commands.guide.load_same_dataset", missing)
    assert_refused(here(GUIDE, "--digit", 1), "no files")


# --- mnist-classifier.py ------------------------------------------------------------------------


def test_a_classifier_from_start_to_use(run_here, tmp_path):
    short = ("--dataset", "mnist-5k", "--batch-size", 200, "--layers", 2, "--log-every", 10)
    done = run_here(CLASSIFIER, *short, "--epochs", 2)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert "CLASSIFIER, a perceptron of 2 layers" in said[0]
    expected = """\
[Epoch 1 Batch 10] Training: loss=
[Epoch 1 Batch 20] Training: loss=
[Epoch 1] Training:
  Classifier: accuracy=0.
[Epoch 1] Validation:
  Classifier: accuracy=0.
  confusion matrix written to mnist-classifier.ckpt/samples/epoch-001.png
""".splitlines()
    for line, start in zip(said[4:], expected, strict=False):
        assert line.startswith(start), line

    refused = run_here(CLASSIFIER, "--layers", 3)
    assert_refused(refused, "was trained with --layers 2, not 3")
    assert_refused(run_here(CLASSIFIER, "--patience", 3), "no images were held out")
    assert_refused(run_here(CLASSIFIER, "--feature-size", 3), "--feature-size")
    more = run_here(CLASSIFIER, "--epochs", 6)
    assert "continuing mnist-classifier.ckpt from epoch 3" in more.stdout
    rows = pd.read_csv(tmp_path / "mnist-classifier.ckpt" / "metrics.csv")
    assert rows["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert rows["test_accuracy"].iloc[-1] > 0.8

    reader = mnist.load("mnist-classifier.ckpt")
    images, labels, *_ = bundled().test.batch(slice(None))
    right = (reader.read(images) == labels).double().mean().item()
    assert right == pytest.approx(rows["test_accuracy"].iloc[-1], abs=0.003)  # bf16 there
    assert reader.log_probs(images[:3]).exp().sum(1).tolist() == pytest.approx([1, 1, 1])
    assert reader.numbers["epoch"] == 6
    with pytest.raises(ValueError, match="divide 8-bit pixels"):
        reader.read(images[:1] * 255)
    with pytest.raises(UserError, match="has no encoder, so that it has no styles"):
        tools.open_run(RunFlags(ckpt_dir="mnist-classifier.ckpt"), "encode")


def test_a_classifier_learns_what_is_no_digit(run_here, tmp_path):
    short = ("--dataset", "mnist-5k", "--batch-size", 100, "--layers", 2, "--epochs", 8)
    done = run_here(CLASSIFIER, *short, "--outliers")
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert "a perceptron of 2 layers that knows what is no digit" in said[0]
    assert any(line.startswith("  Classifier: images that are no digit refused=") for line in said)
    reader = mnist.load("mnist-classifier.ckpt")
    images, labels, *_ = bundled().test.batch(slice(None))
    read = reader.read(images)
    assert (read == labels).float().mean() > 0.85
    noise = torch.rand(200, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert (reader.read(noise) == 10).float().mean() > 0.9
    assert reader.log_probs(noise).exp().sum(1).tolist() == pytest.approx([1] * 200)
    assert_refused(run_here("evaluate.py", "--judge", "mnist-classifier.ckpt"), "no trained run in")


@pytest.mark.parametrize("outliers", [True, False])
def test_a_class_more_is_another_run(run_here, tmp_path, outliers):
    short = ("--dataset", "mnist-5k", "--batch-size", 1000, "--layers", 1, "--epochs", 1)
    flag = ("--outliers",) if outliers else ()
    assert run_here(CLASSIFIER, *short, *flag).returncode == 0
    again = run_here(CLASSIFIER, "--outliers")
    if outliers:
        assert "already trained to epoch 1" in again.stdout
    else:
        assert_refused(again, "was trained without --outliers: leave the flag out")


def test_early_stopping_goes_by_images_held_out(run_here, tmp_path):
    short = ("--dataset", "mnist-5k", "--batch-size", 200, "--layers", 1)
    done = run_here(CLASSIFIER, *short, "--epochs", 200, "--lr", 0.3, "--patience", 2)
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(tmp_path / "mnist-classifier.ckpt" / "metrics.csv")
    losses = rows["held_out_loss"]
    assert 3 <= len(rows) < 200
    assert losses.idxmin() == len(rows) - 3
    assert f"[Epoch {len(rows)}] Stopping early: no better for 2 epochs." in done.stdout
    assert "  held out: loss=" in done.stdout
    assert "3,670 training and 1,000 test images, 330 held out" in done.stdout
    again = run_here(CLASSIFIER)
    assert f"already trained to epoch {len(rows)}; give a larger --patience" in again.stdout
    more = run_here(CLASSIFIER, "--patience", 3)
    assert f"from epoch {len(rows) + 1}" in more.stdout
    assert len(pd.read_csv(tmp_path / "mnist-classifier.ckpt" / "metrics.csv")) > len(rows)


def test_a_batch_must_fit_what_is_left_to_train_on(run_here, tmp_path):
    done = run_here(CLASSIFIER, "--dataset", "mnist-5k", "--batch-size", 3700, "--patience", 1)
    assert_refused(done, "a batch of 3,700 is more than the 3,670 training images")
    assert not (tmp_path / "mnist-classifier.ckpt").exists()


def test_what_is_held_out_is_not_trained_on():
    dataset = bundled()
    held = dataset.hold_out_every_twelfth()  # as runs of 0.5.0 have it
    assert (len(held.train), len(held.held_out)) == (3666, 334)
    assert torch.equal(held.held_out.images, dataset.train.images[::12])
    assert held.test is dataset.test
    rest = [i for i in range(4000) if i % 12]
    assert torch.equal(held.train.images, dataset.train.images[rest])
    assert torch.equal(held.train.labels, dataset.train.labels[rest])
