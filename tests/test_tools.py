"""encoder-vis.py and generate-all.py without a screen: files, the Python API, and bad input."""

import csv
import os
import shutil
import signal
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import (
    ROOT,
    SMALL,
    assert_refused,
    bundled,
    constant_classifier,
    one_line,
    save_run,
)
from faults import Faults
from PIL import Image

import mnist
from mnist.commands import encoder_vis, generate_all, tools
from mnist.commands.flags import EncoderVisFlags, GenerateAllFlags
from mnist.data import load_dataset
from mnist.data.mnist import MNIST_SHA256
from mnist.errors import UserError
from mnist.evaluation import metrics
from mnist.figures import display
from mnist.training.checkpoint import Progress

VIS, ALL = "encoder-vis.py", "generate-all.py"


@pytest.fixture
def runs(tmp_path):
    """Makes a run on the bundled images with a style of so many numbers, in mnistN.ckpt."""

    def make(size=3, method="aae", **changes):
        directory = tmp_path / f"mnist{size}.ckpt"
        save_run(directory, method, SMALL | {"feature_size": size} | changes)
        return directory

    return make


def picture(path):
    """A picture's size, once it is seen to show something."""
    with Image.open(path) as image:
        low, high = image.convert("L").getextrema()
        assert high - low > 200
        return image.size


# --- generate-all.py ----------------------------------------------------------------------------


def test_without_a_screen_the_picture_is_written_and_named(runs, run_script, tmp_path):
    runs(3)
    done = run_script(ALL, "--feature-size", 3)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == "no window, as there is no display ($DISPLAY is not set)"
    assert second == "picture written to mnist3.ckpt/generate-all.png"
    width, height = picture(tmp_path / "mnist3.ckpt" / "generate-all.png")
    assert width > 560
    assert height < 120


@pytest.mark.parametrize(
    ("flags", "rows", "titles"),
    [
        (("--count", 4), 4, 1),
        (("--style", "-0.3,1.2,0"), 1, 1),
        (("--style", "-.5,-1e-1,-2"), 1, 1),
        (("--from-test", 7), 2, 2),
        (("--blend", "test3", "-1,0,1", 5), 5, 1),
        (("--blend", "test3", "test4", 2), 2, 1),
    ],
)
def test_rows_of_digits(runs, run_here, tmp_path, flags, rows, titles):
    runs(3)
    done = run_here(ALL, "--feature-size", 3, *flags, "--output", "a.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "picture written to a.png\n"
    # What an untrained run writes is grey up to its edges, so that there is paper between images.
    assert picture(tmp_path / "a.png")[1] == (56 + 4) * rows + 36 * titles + 12
    run_here(ALL, "--feature-size", 3, *flags, "--output", "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(("count", "widths"), [(26, [26]), (47, [24, 23]), (62, [21, 21, 20])])
def test_many_classes_are_in_parts(count, widths):
    names = [f"c{number}" for number in range(count)]
    grid = np.arange(3 * count).reshape(3, count, 1, 1)
    parts = generate_all.by_columns("title", grid, ["x", "y", "z"], names)
    assert [len(part.heads) for part in parts] == widths
    assert [name for part in parts for name in part.heads] == names
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts], 1), grid)
    last = parts[-1]
    assert last.title == ("title" if count == 26 else f"title: {last.heads[0]} to {names[-1]}")


def test_arrays_are_what_python_gives(runs, run_here, tmp_path):
    run = mnist.load(runs(3))
    done = run_here(ALL, *("--feature-size", 3, "--count", 25, "--seed", 4, "--output", "a.npz"))
    assert done.stdout == "250 images written to a.npz\n"
    generated = run.generate(count=25, seed=4)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"images", "labels", "styles"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, getattr(generated, name), strict=True)
        images, labels, styles = arrays["images"], arrays["labels"], arrays["styles"]
    assert (images.dtype, images.shape) == (np.uint8, (250, 28, 28))
    assert labels.tolist() == list(range(10)) * 25
    assert (styles.dtype, styles.shape) == (np.float32, (250, 3))
    assert (styles[0] == styles[9]).all()
    decoded = run.decode(torch.from_numpy(styles), torch.from_numpy(labels)).squeeze(1)
    assert np.abs(decoded.numpy() * 255 - images).max() <= 0.501


def test_the_sharpness_may_be_asked_for(runs, run_here, tmp_path):
    run = mnist.load(runs(3))
    options = ("--feature-size", 3, "--seed", 4, "--sharpness")
    for number in (0.5, 4):
        done = run_here(ALL, *options, number, "--output", f"{number}.npz")
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / f"{number}.npz", allow_pickle=False) as arrays:
            expected = run.generate(count=1, seed=4, sharpness=number).images
            assert np.array_equal(arrays["images"], expected)
    assert_refused(run_here(ALL, *options, 0), "'0' is not a number above zero")


def test_a_suffix_in_capitals_is_the_same(runs, run_here, tmp_path):
    runs(3)
    for name in ("A.NPZ", "A.PNG"):
        assert run_here(ALL, "--feature-size", 3, "--output", name).returncode == 0
    with np.load(tmp_path / "A.NPZ", allow_pickle=False) as arrays:
        assert len(arrays["images"]) == 10
    picture(tmp_path / "A.PNG")


def test_a_directory_of_pictures(runs, run_here, tmp_path):
    run = mnist.load(runs(3))
    done = run_here(ALL, "--feature-size", 3, "--count", 2, "--output", "out")
    assert done.stdout == "20 images written to out\n"
    generated = run.generate(count=2)
    with open(tmp_path / "out" / "index.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 20
    assert len(list((tmp_path / "out").iterdir())) == 21
    for number, row in enumerate(table):
        with Image.open(tmp_path / "out" / row["file"]) as image:
            np.testing.assert_array_equal(np.asarray(image), generated.images[number])
        assert int(row["digit"]) == number % 10
        assert [float(row[f"style_{i}"]) for i in range(3)] == generated.styles[number].tolist()
    refused = run_here(ALL, "--feature-size", 3, "--output", "out")
    assert refused.returncode == 2
    assert "there is a directory of that name already" in one_line(refused.stderr)


def test_doubts_about_a_scan_are_told(tmp_path, run_here):
    flags = ("--feature-size", 3, "--from-image", "scan.png", "--output", "a.png", "--digit")
    page = Image.new("L", (90, 120), 255)
    page.paste(0, (40, 20, 50, 100))
    page.save(tmp_path / "scan.png")

    def warnings_for(digit, usual):
        rows = [{"epoch": 1, "test_mse": usual}]
        shutil.rmtree(tmp_path / "mnist3.ckpt", ignore_errors=True)
        save_run(tmp_path / "mnist3.ckpt", "aae", SMALL, Progress(1, 0, 5, rows))
        done = run_here(ALL, *flags, digit)
        assert done.returncode == 0, done.stderr
        return done.stderr.splitlines()

    assert warnings_for(8, usual=1.0) == []
    said = warnings_for(8, usual=1e-3)
    assert len(said) == 1
    assert said[0].startswith("warning: the encoder does not recognise scan.png as an 8: its")
    save_run(tmp_path / "mnist-classifier.ckpt", "classifier", {"lr": 1e-3, "seed": 0, "layers": 1})
    assert warnings_for(8, usual=1.0) == []  # one whose training was stopped has no say
    shutil.rmtree(tmp_path / "mnist-classifier.ckpt")
    constant_classifier(tmp_path / "mnist-classifier.ckpt", 5)
    assert warnings_for(5, usual=1.0) == []
    assert warnings_for(7, usual=1.0) == [
        "warning: scan.png is read as a 5 by mnist-classifier.ckpt, not as a 7"
    ]
    (step,) = (tmp_path / "mnist-classifier.ckpt" / "checkpoints").iterdir()
    (step / "weights.safetensors").write_bytes(b"")
    (said,) = warnings_for(7, usual=1.0)
    assert said.startswith("warning: the classifier is not asked: no checkpoint in")

    wide = Image.new("L", (200, 120), 255)
    for left in (40, 140):
        wide.paste(0, (left, 20, left + 10, 100))
    wide.save(tmp_path / "scan.png")
    assert "more than one digit: crop it" in warnings_for(7, usual=1.0)[0]


def test_a_tool_says_that_the_full_set_is_there_by_now(runs, run_here, tmp_path):
    runs(3)
    for name in MNIST_SHA256:
        (tmp_path / name).touch()
    flags = ("--feature-size", 3, "--output", "a.png")
    done = run_here(ALL, *flags, "--data-dir", tmp_path)
    assert done.returncode == 0
    assert f"the full MNIST is in {tmp_path} by now" in one_line(done.stderr)
    assert run_here(ALL, *flags).stderr == ""


def test_a_scan_gives_its_style(runs, run_here, tmp_path):
    runs(3)
    Image.new("L", (90, 120), 255).save(tmp_path / "scan.png")
    flags = ("--feature-size", 3, "--from-image", "scan.png")
    empty = run_here(ALL, *flags, "--digit", 1, "--output", "a.png")
    assert empty.returncode == 2
    assert "scan.png shows no digit" in one_line(empty.stderr)
    with Image.open(tmp_path / "scan.png") as page:
        page.paste(0, (40, 20, 50, 100))
        page.save(tmp_path / "scan.png")
    done = run_here(ALL, *flags, "--digit", 1, "--output", "a.png")
    assert done.returncode == 0, done.stderr
    picture(tmp_path / "a.png")
    assert done.stderr == ""
    alone = run_here(ALL, *flags)
    assert "--from-image and --digit go together" in one_line(alone.stderr)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--ckpt-dir", "none"), "no trained run in none"),
        (("--style", "1,2"), "--style has 2 numbers, and a style of this run has 3"),
        (("--style", "a,b"), "not a list of numbers"),
        (("--style", "nan,0,0"), "not a list of numbers"),
        (("--blend", "test1", "2,2", "3"), "--blend has 2 numbers"),
        (("--blend", "test1", "x", "3"), "a test image such as test17"),
        (("--blend", "test1", "test2", "1"), "is not a whole number of at least 2"),
        (("--from-test", "1000"), "the last is 999"),
        (("--from-test", "1", "--count", "2"), "cannot go together"),
        (("--from-image", "none.png", "--digit", "1"), "none.png cannot be read: No such file"),
        (("--digit", "11"), "--digit"),
        (("--output", "a.bmp"), ".bmp is not one of .png, .jpg, .jpeg, .npz, a directory"),
        (("--digits", "3,x"), "--digits: there is no digit 'x'"),
        (("--output", "none/a.png"), "there is no directory none"),
        (("--count", "201"), "more than can be looked at"),
        (("--count", "201", "--output", "a.PNG"), "more than can be looked at"),
        (("--count", "999999999", "--output", "a.npz"), "too many for one file"),
        (("--blend", "test1", "test2", "²"), "is not a whole number of at least 2"),
        (("--style", "1e39,0,0"), "beyond what float32 holds"),
        (("--count", "0"), "--count"),
        (("--feature-size", "4", "--ckpt-dir", "mnist3.ckpt"), "a style of 3 dimensions"),
    ],
)
def test_bad_input_to_generate_all(runs, run_here, tmp_path, flags, says):
    runs(3)
    before = sorted(tmp_path.rglob("*"))
    named = () if "--ckpt-dir" in flags else ("--feature-size", 3)
    done = run_here(ALL, *named, *flags)
    assert_refused(done, says)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unconditional_run_writes_one_image_a_style(runs, run_here, tmp_path):
    run = mnist.load(runs(3, labels=False))
    generated = run.generate(count=5)
    assert generated.images.shape == (5, 28, 28)
    assert (generated.labels == -1).all()
    done = run_here(ALL, "--feature-size", 3, "--count", 4, "--output", "rows.png")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "rows.png").text["run"] == "mnist3.ckpt"
    done = run_here(ALL, "--feature-size", 3, "--count", 45, "--output", "sheet.png")
    assert done.returncode == 0, done.stderr
    few, many = (Image.open(tmp_path / f"{name}.png").height for name in ("rows", "sheet"))
    assert many < few  # three rows of twenty against four of one
    assert_refused(run_here(ALL, "--feature-size", 3, "--digits", 3), "is not given the digit")


def test_only_some_digits_and_every_number_of_a_style(runs, run_here, tmp_path):
    runs(3)
    flags = ("--feature-size", 3, "--digits", "8,3", "--count", 2)
    assert run_here(ALL, *flags, "--output", "a.npz").returncode == 0
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["labels"].tolist() == [8, 3, 8, 3]
    assert run_here(ALL, *flags, "--output", "a.png").returncode == 0
    rows = Image.open(tmp_path / "a.png").text["styles"].split("; ")
    written = np.array([[float(x) for x in row.split(",")] for row in rows])
    assert np.allclose(written, arrays["styles"][::2], atol=1e-5)
    assert run_here(ALL, *flags, "--output", "a.jpg").returncode == 0
    assert Image.open(tmp_path / "a.jpg").format == "JPEG"


def test_a_style_far_from_the_prior_is_warned_of(runs, run_here, tmp_path):
    runs(3)
    done = run_here(ALL, "--feature-size", 3, "--style", "0,30,-100", "--output", "a.png")
    assert done.returncode == 0
    assert "--style lies 100 standard deviations from the prior's mean" in one_line(done.stderr)
    done = run_here(ALL, "--feature-size", 3, "--style", "0,3,-1", "--output", "a.png")
    assert done.stderr == ""


@pytest.mark.parametrize("count", [0, -1, 2.5])
def test_a_count_that_is_none_is_refused(runs, count):
    with pytest.raises(ValueError, match="count is"):
        mnist.load(runs(3)).generate(count=count)


def test_a_style_without_its_second_axis_is_refused(runs):
    with pytest.raises(ValueError, match=r"styles are a int|styles are .*\[B, 3\] was expected"):
        mnist.load(runs(3)).generate(1000)


def test_a_run_says_what_it_is(runs):
    said = repr(mnist.load(runs(3)))
    assert "mnist3.ckpt" in said
    assert "can encode, generate" in said


def test_a_full_disk_leaves_nothing(runs, tmp_path, monkeypatch):
    runs(3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    before = set(tmp_path.rglob("*"))
    for output in ("a.png", "a.npz"):
        for at in (1, 2, 3, 4):
            with Faults(at, "error").applied(), pytest.raises(UserError, match="No space"):
                generate_all.generate_all(GenerateAllFlags(feature_size=3, output=output))
            assert set(tmp_path.rglob("*")) - before <= {tmp_path / output}
    with Faults(3, "error").applied(), pytest.raises(UserError, match="No space"):
        generate_all.generate_all(GenerateAllFlags(feature_size=3, output="out"))
    assert not (tmp_path / "out").exists()


# --- encoder-vis.py -----------------------------------------------------------------------------


def test_without_a_screen_the_figure_is_written_and_named(runs, run_script, tmp_path):
    runs(3)
    done = run_script(VIS, "--feature-size", 3, "--sample-size", 100)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "no window, as there is no display ($DISPLAY is not set)",
        "picture written to mnist3.ckpt/encoder-vis.png",
    ]
    picture(tmp_path / "mnist3.ckpt" / "encoder-vis.png")


@pytest.mark.parametrize(
    ("obstacle", "says"),
    [
        ({"DISPLAY": ":987"}, "Qt cannot open the display"),
        ({"DISPLAY": ":0", "QT_QPA_PLATFORM": "offscreen"}, "QT_QPA_PLATFORM is offscreen"),
        ({"DISPLAY": ":0", "PYTHONPATH": f"broken{os.pathsep}{ROOT}"}, "vis-requirements.txt"),
    ],
)
def test_whatever_hinders_a_window_a_file_comes(runs, run_script, tmp_path, obstacle, says):
    runs(2)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "PyQt5.py").write_text("raise ImportError('not here')")
    for script in (VIS, ALL):
        done = run_script(script, "--feature-size", 2, **obstacle)
        assert (done.returncode, done.stderr) == (0, "")
        assert says in done.stdout.splitlines()[0]
        picture(tmp_path / done.stdout.split()[-1])


@pytest.mark.parametrize(
    ("size", "flags"),
    [
        (1, ()),
        (2, ()),
        (12, ()),
        (12, ("--dims", "11,0")),
        (3, ("--projection", "pca")),
        (3, ("--projection", "tsne")),
        (3, ("--projection", "pca", "--space", "pixels")),
        (1, ("--manifold",)),
        (2, ("--manifold",)),
        (2, ("--manifold", "--digit", 3)),
        (3, ("--manifold", "--digit", 0, "--style", "-1,0,2")),
        (12, ("--manifold",)),
    ],
)
def test_every_kind_of_figure(runs, run_here, tmp_path, size, flags):
    runs(size)
    sample = () if "--manifold" in flags else ("--sample-size", 60)
    for name in ("a.png", "b.png"):
        done = run_here(VIS, "--feature-size", size, *sample, *flags, "--output", name)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"picture written to {name}\n"
    picture(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_figures_for_print(runs, run_here, tmp_path, kind):
    runs(2)
    for name in ("a", "b"):
        done = run_here(VIS, "--feature-size", 2, "--output", f"{name}.{kind}")
        assert done.returncode == 0, done.stderr
    content = (tmp_path / f"a.{kind}").read_bytes()
    assert content == (tmp_path / f"b.{kind}").read_bytes()
    assert content.startswith(b"%PDF" if kind == "pdf" else b"<?xml")


def test_the_table_holds_what_python_gives(runs, run_here, tmp_path):
    run = mnist.load(runs(3))
    flags = ("--sample-size", 95, "--seed", 2, "--csv", "a.csv", "--output", "a.png")
    done = run_here(VIS, "--feature-size", 3, *flags, "--means")
    assert done.stdout.splitlines()[0] == "95 styles written to a.csv"
    table = pd.read_csv(tmp_path / "a.csv")
    assert table.columns.tolist() == ["index", "digit", "style_0", "style_1", "style_2"]
    styles = run.styles(95, seed=2)
    np.testing.assert_array_equal(table["index"], styles.index)
    np.testing.assert_array_equal(table["digit"], styles.labels)
    np.testing.assert_allclose(table.iloc[:, 2:], styles.styles, rtol=1e-5, atol=1e-6)
    assert np.bincount(styles.labels).tolist() == [10] * 5 + [9] * 5
    assert len(set(styles.index.tolist())) == 95
    assert run_here(VIS, "--feature-size", 3, *flags).returncode == 0
    drawn = pd.read_csv(tmp_path / "a.csv").iloc[:, 2:]
    test = load_dataset("mnist-5k").test
    batch = test.batch(torch.from_numpy(styles.index))
    mean, deviation = run.posterior(batch.images, batch.labels)
    scores = ((torch.tensor(drawn.to_numpy()) - mean) / deviation).flatten()
    # 285 standard normal numbers.
    assert scores.mean().abs() < 4 / 285**0.5
    assert scores.std().item() == pytest.approx(1, abs=4 / (2 * 285) ** 0.5)


def test_a_run_without_labels_has_figures_too(runs, run_here, tmp_path):
    runs(2, method="sae", labels=False)
    flags = ("--feature-size", 2, "--output", "a.png")
    assert run_here(VIS, *flags).returncode == 0
    assert run_here(VIS, *flags, "--manifold").returncode == 0
    refused = run_here(VIS, *flags, "--manifold", "--digit", 3)
    assert "leave --digit out" in one_line(refused.stderr)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--ckpt-dir", "none"), "no trained run in none"),
        (("--dims", "0,3"), "different ones of 0 to 2"),
        (("--dims", "0,0"), "different ones of 0 to 2"),
        (("--dims", "a"), "not a list of whole numbers"),
        (("--sample-size", "2000"), "there are 1,000 images, and a sample of 2,000"),
        (("--space", "pixels"), "add --projection pca or tsne"),
        (("--projection", "umap"), "--projection"),
        (("--digit", "3"), "are for --manifold"),
        (("--manifold", "--csv", "a.csv"), "--manifold and --csv do not go together"),
        (("--manifold", "--style", "1,2"), "--style has 2 numbers"),
        (("--csv", "none/a.csv"), "no such directory"),
        (("--csv", "a.csv", "--dims", "99"), "different ones of 0 to 2"),
        (("--projection", "pca", "--dims", "0,1"), "--dims is for the matrix"),
        (("--projection", "tsne", "--sample-size", "3"), "at least 4 images"),
        (("--seed", "4294967296"), "--seed"),
        (("--output", "a.gif"), ".gif is not one of .png, .svg, .pdf"),
        (("--output", "noname"), "no suffix is not one of"),
    ],
)
def test_bad_input_to_encoder_vis(runs, run_here, tmp_path, flags, says):
    runs(3)
    before = sorted(tmp_path.rglob("*"))
    named = () if "--ckpt-dir" in flags else ("--feature-size", 3)
    done = run_here(VIS, *named, *flags)
    assert_refused(done, says)
    assert sorted(tmp_path.rglob("*")) == before


def test_leakage_does_not_depend_on_the_order_of_the_images(runs):
    """The bundled test images come sorted by digit: one half of them says nothing of the other."""
    run = mnist.load(runs(3))
    test = bundled().test
    found = encoder_vis.measure(run, test, torch.arange(5), EncoderVisFlags())
    assert found.test.labels.tolist() == sorted(found.test.labels.tolist())
    assert 0.1 < found.leakage < 1  # the first weights' style is not free of the digit


def test_nearest_neighbours_are_scikit_learns():
    from sklearn.neighbors import KNeighborsClassifier

    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (600,), generator=generator)
    styles = torch.randn(600, 3, generator=generator) + labels.unsqueeze(1) / 4
    ours = metrics.knn_accuracy(styles[:400], labels[:400], styles[400:], labels[400:])
    theirs = KNeighborsClassifier(25).fit(styles[:400], labels[:400])
    assert ours == pytest.approx(theirs.score(styles[400:], labels[400:]), abs=1e-9)


def test_an_output_is_checked_before_anything_is_computed(tmp_path):
    (tmp_path / "empty").mkdir()
    assert tools.check_output(str(tmp_path / "empty"), ("",)) == tmp_path / "empty"
    assert tools.check_output(None, ("",)) is None


# --- windows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "flags"), [(ALL, ()), (VIS, ()), ("guide.py", ("--digit", 1))], ids=str
)
def test_no_process_is_left_of_looking_for_a_screen(script, flags, run_here, monkeypatch):
    started = []

    def start(*arguments, **options):
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(display, "subprocess", SimpleNamespace(Popen=start, PIPE=-1, DEVNULL=-3))
    monkeypatch.setattr(display, "TRY", "import time; time.sleep(60)")
    monkeypatch.setenv("DISPLAY", ":99")
    assert_refused(run_here(script, "--ckpt-dir", "none", *flags), "no trained run in none")
    assert [process.returncode for process in started] == [-signal.SIGKILL]
    assert started[0].stdout.closed
