"""geodesic.py, run as a person runs it, on the 5,000 bundled images."""

import re
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import assert_refused
from PIL import Image

import mnist
from mnist.commands.geodesic import fastest, geodesics
from mnist.commands.tools import common_dataset
from mnist.errors import UserError
from mnist.latent.geodesics import FINE
from mnist.latent.manifold import PART, length

SCRIPT = "geodesic.py"
SHORT = {"dataset": "mnist-5k", "batch_size": 100, "quiet": True, "epochs": 3}


@pytest.fixture
def here(trained, run_beside):
    return partial(run_beside(trained), SCRIPT)


def test_a_way_between_two_styles(here, tmp_path):
    done = here("--digit", 3)
    assert (done.returncode, done.stderr) == (0, "")
    run = tmp_path / "mnist3.ckpt"
    title, lengths, _, written = done.stdout.splitlines()
    assert title == "between two styles of a 3, seed 0"
    assert written.endswith("geodesic.png, and beside it geodesic.gif and geodesic-points.csv")
    with Image.open(run / "geodesic.png") as png:
        assert png.width > 2000
    with Image.open(run / "geodesic.gif") as gif:
        assert gif.n_frames > 5
    points = pd.read_csv(run / "geodesic-points.csv")
    ways = dict(list(points.groupby("way")))
    assert set(ways) == {"straight", "geodesic"}
    opened, found = mnist.load(run), {}
    for name, way in ways.items():
        styles = torch.tensor(way.filter(like="style_").to_numpy(np.float32))
        images = opened.decode(styles, torch.full((len(styles),), 3))
        found[name] = length(images.flatten(1)).item()
        said = re.search(rf"{name} ([\d.]+)", lengths)
        assert float(said[1]) == pytest.approx(found[name], abs=1e-3)
    assert found["geodesic"] <= found["straight"]
    ends = [way.iloc[[0, -1]].filter(like="style_").to_numpy() for way in ways.values()]
    assert np.allclose(*ends, atol=1e-5)


def test_it_says_nothing_on_standard_error(trained, run_script, tmp_path):
    """In a process of its own: nobody swallows warnings there."""
    shutil.copytree(trained / "mnist3.ckpt", tmp_path / "mnist3.ckpt")
    done = run_script(SCRIPT, "--feature-size", 3, "--output", "a.png")
    assert (done.returncode, done.stderr) == (0, "")


def test_pairs_of_ones_own(here, tmp_path):
    test = mnist.data.load_dataset("mnist-5k").test
    one, other = torch.nonzero(test.labels == 7)[:2, 0].tolist()
    third = torch.nonzero(test.labels == 2)[0].item()
    assert here("--from-test", one, other, "--output", "a.png").returncode == 0
    styles = pd.read_csv(tmp_path / "a-points.csv").filter(like="style_").to_numpy(np.float32)
    batch = test.batch(torch.tensor([one, other]))
    ends = mnist.load(tmp_path / "mnist3.ckpt").encode(batch.images, batch.labels).numpy()
    assert np.allclose(styles[[0, -1]], ends, atol=1e-5)
    refused = here("--from-test", one, third, "--output", "b.png")
    assert_refused(refused, "show a 7 and a 2, and this run is conditional on the digit")
    # A run without labels has a way between them.
    flags = ("--ckpt-dir", "plain2.ckpt", "--output", "b.svg")
    assert here("--from-test", one, third, *flags, size=None).returncode == 0
    assert here("--between", -1, 1, *flags, size=None).returncode == 0
    corners = pd.read_csv(tmp_path / "b-points.csv").filter(like="style_").to_numpy()
    assert corners[[0, -1]].tolist() == [[-1, -1], [1, 1]]


def test_features_may_be_measured_instead(here, tmp_path):
    done = here("--space", "features", "--output", "a.png")
    assert done.returncode == 0, done.stderr
    assert "length in a classifier's features: " in done.stdout


@pytest.mark.parametrize("pairs", ["random", "fastest"])
def test_many_pairs(here, tmp_path, pairs):
    done = here("--monte-carlo", 12, "--pairs", pairs, "--digit", 8)
    assert (done.returncode, done.stderr) == (0, "")
    table = pd.read_csv(tmp_path / "mnist3.ckpt" / "geodesic-monte-carlo.csv")
    assert len(table) == 12
    assert (table["shortening"] >= 0).all()
    assert np.allclose(table["shortening"], 1 - table["geodesic"] / table["straight"], atol=1e-6)
    assert table["converged"].any()
    values = table["shortening"]
    interval = 1.96 * values.std() / 12**0.5
    assert f"{values.mean():.2%} ± {interval:.2%}" in done.stdout
    assert (tmp_path / "mnist3.ckpt" / "geodesic-monte-carlo.png").exists()


def test_the_same_pairs_in_two_runs(here, tmp_path):
    runs = ("mnist3.ckpt", "plain2.ckpt")
    done = here("--compare", *runs, "--monte-carlo", 10, "--output", "c.pdf", size=None)
    assert (done.returncode, done.stderr) == (0, "")
    table = pd.read_csv(tmp_path / "c.csv")
    assert table["run"].value_counts().to_dict() == dict.fromkeys(runs, 10)
    assert (table["from"] != table["to"]).all()
    # Each by its own encoder: the ends are decoded to the images' own reconstructions.
    test = mnist.data.load_dataset("mnist-5k").test
    for name in runs:
        opened, rows = mnist.load(tmp_path / name), table[table["run"] == name]
        ends = []
        for column in ("from", "to"):
            images, labels, *_ = test.batch(torch.tensor(rows[column].to_numpy()))
            assert (labels == 5).all()
            ends.append(opened.encode(images, labels))
        share = torch.linspace(0, 1, FINE + 1)[:, None]
        for row, (start, end) in zip(rows.itertuples(), zip(*ends, strict=True), strict=True):
            styles = start + share * (end - start)
            images = opened.decode(styles, torch.full((len(styles),), 5))
            assert length(images.flatten(1)).item() == pytest.approx(row.straight, rel=1e-4)


def test_where_the_image_changes_fastest():
    """Of a decoder that stretches one direction ten times, that is the one; towards the origin."""
    stretch = torch.diag(torch.tensor([1.0, 10.0, 1.0]))
    count = 2 * PART + 1  # more than are looked at together
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(count, 3)
    expected[:, 1] = -points[:, 1].sign()
    assert torch.allclose(fastest(lambda z: z @ stretch, points), expected, atol=1e-4)


@pytest.mark.parametrize("solver", ["gauss-newton", "adam"])
def test_decoders_that_are_not_fit_for_it(solver):
    ends = torch.zeros(2, 3), torch.ones(2, 3)
    for decode, says in ((torch.ones_like, "the same all along"), (lambda z: z / 0, "NaN")):
        with pytest.raises(UserError, match=says):
            geodesics(decode, *ends, solver)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--digit", 12), "there is no digit '12'"),
        (("--from-test", 3, 3), "both ends are the same style"),
        (("--from-test", 3, 99999), "there is no test image 99,999"),
        (("--from-test", 0, 1, "--digit", 3), "the images have a digit"),
        (("--between", 0, 0), "both ends are the same style"),
        (("--between", 0, "nan"), "not a number"),
        (("--between", 0, 1, "--monte-carlo", 5), "cannot go together"),
        (("--monte-carlo", 10_001), "take at most 10,000 pairs"),
        (("--monte-carlo", 1), "not a whole number of at least 2"),
        (("--pairs", "random"), "--pairs is for --monte-carlo"),
        (("--compare", "mnist3.ckpt", "plain2.ckpt"), "leave --ckpt-dir and --feature-size out"),
        (("--output", "x.gif"), ".gif is not one of"),
        (("--classifier", "nowhere.ckpt", "--space", "features"), "no trained classifier"),
        (("--classifier", "mnist-classifier.ckpt"), "--classifier is for --space features"),
        (("--between", 0, 1e39), "beyond what float32 holds"),
    ],
)
def test_what_it_refuses(here, tmp_path, flags, says):
    before = sorted(tmp_path.rglob("*"))
    assert_refused(here(*flags), says)
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_of_different_data_sets_have_none_in_common():
    configs = [{"training": {"dataset": name, "dataset_sha256": name}} for name in ("a", "b")]
    with pytest.raises(UserError, match=r"different data sets \(a, b\): take one at a time"):
        common_dataset([SimpleNamespace(config=config) for config in configs], None)


def test_runs_that_cannot_be_compared(here):
    assert_refused(here("--compare", "mnist3.ckpt", "gone.ckpt", size=None), "gone.ckpt")
    assert_refused(here("--compare", "mnist3.ckpt", "mnist3.ckpt", size=None), "one run twice")
    assert_refused(
        here("--ckpt-dir", "mnist-classifier.ckpt", size=None), "has no prior and decoder"
    )
    refused = here("--ckpt-dir", "plain2.ckpt", "--digit", 3, size=None)
    assert_refused(refused, "is not given the digit: leave --digit out")
