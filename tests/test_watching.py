"""Watching a training: curves, TensorBoard's files, and lines of JSON."""

import csv
import io
import json
import sys
import warnings

import numpy as np
from conftest import assert_refused
from PIL import Image

import mnist
from mnist.figures.training_curves import curves
from mnist.training.checkpoint import columns_of, part_of
from mnist.training.samples import by_name, draw_curves
from mnist.training.tensorboard import TensorBoard

FEW = "--dataset", "mnist-5k", "--hidden", 8, "--batch-size", 500, "--ckpt-dir", "run"


def rows_of(folder):
    with open(folder / "metrics.csv") as file:
        return [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


FIRST = {"epoch": 1, "step": 9, "train_mse": 0.5, "train_rate": 900.0, "generated_share_0": 0.4}
SECOND = {"epoch": 2, "step": 18, "train_mse": 0.4, "train_rate": 2.0, "held_out_mse": 0.3}


def test_parts_of_the_data_are_lines_of_one_number():
    assert by_name([FIRST, SECOND]) == {
        "mse": {"train": [(1, 0.5), (2, 0.4)], "held_out": [(2, 0.3)]},
        "rate": {"train": [(1, 900.0), (2, 2.0)]},
        "shares of the classes": {"0": [(1, 0.4)]},
    }
    assert columns_of({"held_out": {"mse": 0.3}}) == {"held_out_mse": 0.3}
    assert part_of("held_out_mse") == ("held_out", "mse")
    assert part_of("epoch") is None


def test_curves_show_every_number_where_there_is_one():
    mse, rate, shares = curves(by_name([FIRST, SECOND]), "a run").axes
    drawn = {line.get_label(): np.asarray(line.get_xydata()).tolist() for line in mse.lines}
    assert drawn == {"training": [[1, 0.5], [2, 0.4]], "held out": [[2, 0.3]]}
    assert (mse.get_yscale(), rate.get_yscale()) == ("linear", "log")
    assert [line.get_xydata().tolist() for line in shares.lines] == [[[1, 0.4]]]


def test_a_method_without_numbers_has_no_curves():
    assert draw_curves([{"epoch": 1, "step": 9}], "a run") is None
    assert draw_curves([], "a run") is None


def test_a_training_says_the_same_in_every_way(run_here, tmp_path):
    """Lines of JSON, TensorBoard's files and metrics.csv, of a run that went on besides."""
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
        assert event["seconds"] > event["in_steps"] > 0
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


def test_a_run_is_worth_more_than_its_curves_for_tensorboard(tmp_path):
    warned = []
    (tmp_path / "file").touch()
    board = TensorBoard(tmp_path / "file" / "tensorboard", [], warned.append)
    board.tell({"epoch": 1, "step": 1, "train_mse": 0.1})
    (message,) = warned
    assert message.endswith("TensorBoard gets no more numbers")


def test_quiet_json_says_nothing(run_here):
    done = run_here("mnist-sae.py", *FEW, "--epochs", 1, "--quiet", "--json")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_run_that_has_ended_gets_curves_where_it_has_none(tmp_path):
    options = {"dataset": "mnist-5k", "hidden": (8,), "epochs": 1, "ckpt_dir": tmp_path / "run"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is trained already
        mnist.train("sae", **options)
        picture = (tmp_path / "run" / "curves.png").read_bytes()
        (tmp_path / "run" / "curves.png").unlink()
        mnist.train("sae", **options)
    assert (tmp_path / "run" / "curves.png").read_bytes() == picture
