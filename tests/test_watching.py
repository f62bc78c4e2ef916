"""Watching a training: curves, TensorBoard's files, and lines of JSON."""

import csv
import io
import json
import sys

import numpy as np
import pytest
from conftest import assert_refused
from PIL import Image

import mnist
from mnist.figures.training_curves import by_name, curves
from mnist.training.tensorboard import TensorBoard

FEW = "--dataset", "mnist-5k", "--hidden", 8, "--batch-size", 500, "--ckpt-dir", "run"


def rows_of(folder):
    with open(folder / "metrics.csv") as file:
        return [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def test_parts_of_the_data_share_a_panel():
    row = {"epoch": 1, "step": 9, "train_mse": 0.1, "test_mse": 0.2, "held_out_mse": 0.3}
    row |= {"generated_share_0": 0.4, "generated_share_1": 0.6, "train_discriminator_gradient": 1}
    assert by_name([row]) == {
        "mse": {"train": "train_mse", "test": "test_mse", "held_out": "held_out_mse"},
        "shares of the classes": {
            "share_0": "generated_share_0",
            "share_1": "generated_share_1",
        },
        "discriminator_gradient": {"train": "train_discriminator_gradient"},
    }


def test_curves_show_every_number_where_there_is_one():
    first = {"epoch": 1, "step": 9, "train_mse": 0.5, "train_rate": 900.0}
    second = {"epoch": 2, "step": 18, "train_mse": 0.4, "train_rate": 2.0, "test_mse": 0.3}
    mse, rate = [axes for axes in curves([first, second], "a run").axes if axes.lines]
    drawn = {line.get_label(): np.asarray(line.get_xydata()).tolist() for line in mse.lines}
    assert drawn == {"training": [[1, 0.5], [2, 0.4]], "test": [[2, 0.3]]}
    assert (mse.get_yscale(), rate.get_yscale()) == ("linear", "log")
    with pytest.raises(ValueError, match="without an epoch"):
        curves([], "a run")


def test_a_training_says_the_same_in_every_way(run_here, tmp_path):
    """Lines of JSON, TensorBoard's files and metrics.csv, of a run that went on besides."""
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    watched = "--tensorboard", "--json", "--log-every", 4
    assert run_here("mnist-sae.py", *FEW, "--epochs", 1, *watched).returncode == 0
    done = run_here("mnist-sae.py", *FEW, "--epochs", 3, *watched)
    assert done.returncode == 0
    rows = rows_of(tmp_path / "run")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [2, 3]
    for event, row in zip(epochs, rows[1:], strict=True):
        assert event["seconds"] > 0
        assert {name: event[name] for name in row if name != "step"} == {
            name: value for name, value in row.items() if name != "step"
        }
    steps = [(each["epoch"], each["step"]) for each in events if each["event"] == "batch"]
    assert steps == [(2, 4), (2, 8), (3, 4), (3, 8)]
    assert events[0]["event"] == "message"
    assert events[-1]["text"] == "Done: run is trained to epoch 3."
    assert "[Epoch 3] Training:" in (tmp_path / "run" / "train.log").read_text()

    board = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    board.Reload()
    for tag in board.Tags()["scalars"]:
        name, part = tag.split("/")
        told = [(each.step, each.value) for each in board.Scalars(tag)]
        expected = [(int(row["epoch"]), row[f"{part}_{name}"]) for row in rows]
        assert told == [(epoch, np.float32(value)) for epoch, value in expected]
    assert {"mse/train", "mse/test", "reconstruction/train"} <= set(board.Tags()["scalars"])
    picture = Image.open(io.BytesIO((tmp_path / "run" / "curves.png").read_bytes()))
    assert min(picture.size) > 200


def test_without_tensorboard_nothing_is_begun(run_here, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    done = run_here("mnist-sae.py", *FEW, "--tensorboard")
    assert_refused(done, "--tensorboard needs a package that is not installed: pip install")
    assert not (tmp_path / "run").exists()


def test_a_run_is_worth_more_than_its_curves_for_tensorboard(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    (tmp_path / "file").touch()
    board = TensorBoard(tmp_path / "file" / "tensorboard", [])
    board.tell({"epoch": 1, "step": 1, "train_mse": 0.1})
    assert capsys.readouterr().err.count("TensorBoard gets no more numbers") == 1


def test_quiet_json_says_nothing(run_here):
    done = run_here("mnist-sae.py", *FEW, "--epochs", 1, "--quiet", "--json")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_run_from_python_has_curves(tmp_path):
    mnist.train("sae", dataset="mnist-5k", hidden=(8,), epochs=1, ckpt_dir=tmp_path / "run")
    assert (tmp_path / "run" / "curves.png").exists()
