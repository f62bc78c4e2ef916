"""The run directory: what is saved comes back, and what is damaged is named."""

import csv
import json
import pickle
import shutil

import pytest
import torch
from conftest import SMALL

from mnist import session as module
from mnist.errors import Problem
from mnist.methods import METHODS
from mnist.session import FORMAT, Progress, Session


@pytest.fixture
def saved(tmp_path, method_name, tiny):
    """A run of an epoch of three steps and one step more: (session, method, progress)."""
    method = METHODS[method_name](**SMALL)
    session = Session(tmp_path / "run.ckpt")
    session.start({"format": FORMAT, "method": method_name, "model": method.config, "training": {}})
    progress = Progress()
    for start in (0, 20, 40):
        method.step(tiny.train.batch(slice(start, start + 20)), 0.2)
    progress.finish_epoch(3, {"mse": 0.1 + 0.2}, {"mse": 1 / 3})
    session.save(method, progress)
    numbers = method.step(tiny.train.batch(slice(0, 20)), 0.3)
    progress.step = 1
    progress.history.append(torch.stack(list(numbers.values())))
    session.save(method, progress)
    return session, method, progress


def same_weights(one, other):
    return all(torch.equal(t, other.state_dict()[n]) for n, t in one.state_dict().items())


def test_what_is_saved_comes_back(saved):
    session, method, progress = saved
    twin = session.build()
    assert not same_weights(method, twin)
    restored = session.restore(twin)
    assert same_weights(method, twin)
    assert twin.trainer_state().keys() == method.trainer_state().keys()
    for name, tensor in method.trainer_state().items():
        assert torch.equal(tensor, twin.trainer_state()[name]), name
    assert (restored.epoch, restored.step, restored.total_steps) == (1, 1, 3)
    assert restored.rows == progress.rows
    assert torch.equal(torch.stack(restored.history), torch.stack(progress.history))


def test_metrics_have_a_row_per_epoch(saved):
    session, _, progress = saved
    with open(session.directory / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1
    assert float(rows[0]["train_mse"]) == progress.rows[0]["train_mse"]


def test_the_newest_two_are_kept(saved):
    session, method, progress = saved
    for step in (2, 3, 10):
        progress.step = step
        session.save(method, progress)
    names = sorted(p.name for p in session.checkpoints.iterdir())
    assert names == ["step-00000006", "step-00000013"]


def test_a_failed_save_leaves_the_one_before(saved, monkeypatch):
    session, method, progress = saved
    before = session.latest()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_tensors", fail)
    progress.step = 2
    with pytest.raises(Problem, match="No space left on device"):
        session.save(method, progress)
    assert session.latest() == before
    assert [p.name for p in session.checkpoints.iterdir() if p.name.startswith(".")] == []
    session.restore(session.build())


def test_files_obey_the_umask(saved):
    session, _, _ = saved
    plain = session.directory / "plain"
    plain.touch()
    for path in session.latest().iterdir():
        assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("name", ["weights.safetensors", "trainer.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "noise", "a pickle"])
def test_damage_is_named(saved, name, damage, tmp_path):
    session, _, _ = saved
    path = session.latest() / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "noise":
        path.write_bytes(b"\xff" * len(content))
    elif damage == "a pickle":
        path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(Problem, match=name):
        session.restore(session.build())
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_weights_of_another_shape_are_named(saved):
    session, _, _ = saved
    config = json.loads((session.directory / "config.json").read_text())
    config["model"]["feature_size"] = 5
    session.start(config)
    with pytest.raises(Problem, match=r"of shape \(8, 13\), of shape \(8, 15\) was expected"):
        session.load_weights(session.build())


def test_weights_of_another_network_are_named(saved):
    session, method, _ = saved
    config = session.config() | {"method": "aae" if method.name == "sae" else "sae"}
    session.start(config | {"model": {k: method.config[k] for k in SMALL}})
    with pytest.raises(Problem, match=r"discriminator.* absent"):
        session.load_weights(session.build())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 99}, "format 99"),
        ({"method": "gan"}, "unknown method 'gan'"),
        ({"method": ["sae"]}, "unknown method"),
        ({"training": None}, "has no 'training'"),
        ({"model": {"size": 4}}, "config.json does not describe"),
    ],
)
def test_a_config_that_is_not_ours_is_named(saved, change, says):
    session, _, _ = saved
    session.start(session.config() | change)
    with pytest.raises(Problem, match=says):
        session.build()


def test_no_run(tmp_path):
    with pytest.raises(Problem, match="no trained run in"):
        Session(tmp_path / "nowhere").config()
    empty = Session(tmp_path / "empty")
    empty.start({})
    with pytest.raises(Problem, match="format None"):
        empty.config()
    with pytest.raises(Problem, match="no checkpoint in"):
        empty.require_latest()


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Problem, match="cannot write to"):
        Session(tmp_path / "file").start({})


def test_archiving_keeps_a_run_whole_even_if_it_stops_half_way(saved):
    session, method, _ = saved
    half = session.directory / "sae"
    half.mkdir()
    (session.directory / "metrics.csv").rename(half / "metrics.csv")  # where a crash left it
    archived = session.archive("sae")
    assert session.latest() is None
    twin = archived.build()
    archived.restore(twin)
    assert same_weights(method, twin)
    assert {p.name for p in half.iterdir()} == {"metrics.csv", "config.json", "checkpoints"}
    assert {p.name for p in session.directory.iterdir()} == {"config.json", "sae"}


def test_archiving_overwrites_no_run(saved):
    session, method, progress = saved
    archived = session.archive("sae")
    kept = archived.require_latest().stat().st_mtime_ns
    session.save(method, progress)
    with pytest.raises(Problem, match="where another run is"):
        session.archive("sae")
    assert archived.require_latest().stat().st_mtime_ns == kept


def test_a_checkpoint_without_its_config_is_no_missing_run(saved):
    session, _, _ = saved
    (session.directory / "config.json").unlink()
    with pytest.raises(Problem, match=r"cannot read .*config.json"):
        session.config()


def test_a_checkpoint_set_aside_is_not_the_newest(saved):
    session, _, _ = saved
    newest = session.latest()
    newest.rename(newest.with_name(newest.name + ".damaged"))
    assert session.latest().name == "step-00000003"


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("before")

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        module.write_durably(tmp_path / "file", "after")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "before")]


def test_loading_never_unpickles(saved, monkeypatch):
    session, method, _ = saved

    def refuse(*_, **__):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    twin = session.build()
    session.restore(twin)
    assert same_weights(method, twin)


def test_a_leftover_of_a_killed_save_is_no_checkpoint(saved):
    session, method, _ = saved
    shutil.copytree(session.latest(), session.checkpoints / ".partial")
    (session.checkpoints / ".partial" / "progress.json").unlink()
    twin = session.build()
    session.restore(twin)
    assert same_weights(method, twin)
