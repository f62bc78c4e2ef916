"""The examples: run as their first lines say, and refused in a line where they cannot."""

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from conftest import environment, one_line

from mnist.data import load_dataset

ROOT = Path(__file__).resolve().parent.parent
TYPEFACES = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # which come with matplotlib


def fonts(*flags):
    command = [sys.executable, ROOT / "examples" / "fonts.py", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, env=environment())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("fonts") / "fonts.npz"
    done = fonts(path, "--folder", TYPEFACES, "--letters", 62)
    assert done.returncode == 0, done.stderr
    return path, done.stdout


def test_typefaces_are_a_data_set(written):
    path, said = written
    with np.load(path) as arrays:
        typefaces = arrays["typefaces"].tolist()
    assert {"DejaVu Sans", "DejaVu Serif Italic", "cmr10"} <= set(typefaces)
    assert not {"cmsy10", "cmex10"} & set(typefaces)  # which are of symbols
    assert f"{len(typefaces)} typefaces" in said
    assert "3 of symbols" in said
    dataset = load_dataset(str(path))
    assert dataset.spec.image_shape == (1, 28, 28)
    assert (dataset.spec.classes, dataset.spec.class_names[27]) == (62, "b")
    assert len(dataset.train) + len(dataset.test) == 62 * len(typefaces)
    for part in (dataset.train, dataset.test):  # whole typefaces
        assert set(part.writers.bincount().tolist()) - {0} == {62}


def test_only_typefaces_for_text(tmp_path):
    done = fonts(tmp_path / "fonts.npz", "--folder", TYPEFACES, "--text")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "fonts.npz") as arrays:
        typefaces = arrays["typefaces"].tolist()
    assert "DejaVu Sans" in typefaces
    assert "cmr10" not in typefaces  # which has its accents apart from its letters
    assert "without accented letters" in done.stdout


def test_full_disk(tmp_path):
    (tmp_path / "fonts.npz").symlink_to("/dev/full")
    done = fonts(tmp_path / "fonts.npz", "--folder", TYPEFACES)
    assert done.returncode == 2
    assert "fonts.npz cannot be written: No space left on device" in one_line(done.stderr)
    assert not [*tmp_path.iterdir()]


def test_families_are_not_torn_apart(written):
    path, _ = written
    with np.load(path) as arrays:
        test = arrays["test"].reshape(-1, 62)[:, 0]
        families = [typeface.split()[0] for typeface in arrays["typefaces"]]
    for family in set(families):
        of_it = [bool(each) for each, name in zip(test, families, strict=True) if name == family]
        assert len(set(of_it)) == 1, family


def test_letters_share_a_baseline_and_a_scale(written):
    dataset = load_dataset(str(written[0]))
    both = torch.cat([dataset.train.images, dataset.test.images])
    labels = torch.cat([dataset.train.labels, dataset.test.labels])
    writers = torch.cat([dataset.train.writers, dataset.test.writers])
    names = dataset.spec.class_names

    def rows(letter, writer):
        chosen = (labels == names.index(letter)) & (writers == writer)
        return torch.nonzero(both[chosen][0].amax(1) > 127)[:, 0]

    for writer in writers.unique():
        top, bottom = rows("H", writer)[0], rows("H", writer)[-1]
        assert abs(int(rows("n", writer)[-1] - bottom)) <= 1
        assert rows("n", writer)[0] > top
        assert rows("p", writer)[-1] > bottom


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("fonts.csv",), "is no .npz in a folder that is there"),
        (("none/fonts.npz",), "is no .npz in a folder that is there"),
        (("fonts.npz", "--folder", "."), "fewer than two families in 0 font files"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, flags, says):
    monkeypatch.chdir(tmp_path)
    done = fonts(*flags)
    assert done.returncode == 2
    assert says in one_line(done.stderr)
    assert not [*tmp_path.iterdir()]
