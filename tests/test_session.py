"""The run directory: what is saved comes back, damage is passed over, one process writes."""

import csv
import json
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from conftest import SMALL, TRAINING, environment, small
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist import files
from mnist.data import Batch
from mnist.data.spec import DataSpec
from mnist.errors import StorageFailed, UserError
from mnist.methods import Step
from mnist.training.checkpoint import CONTENTS, Checkpoint, Progress, contents
from mnist.training.session import Session


@pytest.fixture
def saved(tmp_path, method_name, tiny):
    """A run of an epoch of three steps and one step more: (session, method, progress)."""
    method = small(method_name)
    progress = Progress()
    with Session(tmp_path / "run.ckpt") as session:
        config = {"method": method_name, "model": method.config, "training": TRAINING}
        session.start(config, [])
        for start in (0, 20, 40):
            method.step(tiny.train.batch(slice(start, start + 20)), Step(0, 0.2))
        progress.finish_epoch(3, train={"mse": 0.1 + 0.2}, test={"mse": 1 / 3})
        session.save(method, progress)
        numbers = method.step(tiny.train.batch(slice(0, 20)), Step(0, 0.3))
        progress.step = 1
        progress.history.append(numbers)
        session.save(method, progress)
        yield session, method, progress


def same_weights(one, other):
    return all(torch.equal(t, other.state_dict()[n]) for n, t in one.state_dict().items())


def rewrite(session, **changes):
    """Put changed contents, sealed as if they belonged there, in the newest checkpoint's place."""
    folder = session.folders()[-1]
    content = files.read_folder(folder, CONTENTS)
    files.discard(folder)
    files.write_folder(folder, content | changes)


def rewrite_config(session, **changes):
    rewrite(session, **{"config.json": files.json_bytes(session.newest().config | changes)})


def test_what_is_saved_comes_back(saved):
    session, method, progress = saved
    checkpoint = session.newest()
    twin = checkpoint.build()
    assert not same_weights(method, twin)
    restored = checkpoint.restore(twin)
    assert same_weights(method, twin)
    assert twin.trainer_state().keys() == method.trainer_state().keys()
    for name, tensor in method.trainer_state().items():
        assert torch.equal(tensor, twin.trainer_state()[name]), name
    assert (restored.epoch, restored.step, restored.total_steps) == (1, 1, 3)
    assert restored.rows == progress.rows
    assert torch.equal(restored.history.table(), progress.history.table())


def test_metrics_have_a_row_per_epoch(saved):
    session, _, progress = saved
    with open(session.directory / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1
    assert float(rows[0]["train_mse"]) == progress.rows[0]["train_mse"]


@pytest.mark.parametrize("left", [None, "", "epoch,st", "epoch\n1\n2\n3\n"])
def test_metrics_are_mended_at_the_start(saved, left):
    session, _, progress = saved
    path = session.directory / "metrics.csv"
    whole = path.read_text()
    path.unlink() if left is None else path.write_text(left)
    session.start(session.config, progress.rows)
    assert path.read_text() == whole
    session.start(session.config, [])
    assert not path.exists()


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(saved, keep):
    session, method, progress = saved
    session.keep = keep
    for step in (2, 3, 10):
        progress.step = step
        session.save(method, progress)
    names = sorted(p.name for p in session.checkpoints.iterdir())
    assert names == ["step-00000005", "step-00000006", "step-00000013"][-keep:]


def test_a_failed_save_leaves_the_one_before(saved, monkeypatch):
    session, method, progress = saved
    before = session.folders()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    progress.step = 2
    with pytest.raises(StorageFailed, match="No space left on device") as caught:
        session.save(method, progress)
    assert caught.value.exit_code == 4
    assert session.folders() == before
    assert not any(p.name.startswith(".") for p in session.checkpoints.iterdir())
    session.newest().restore(session.newest().build())


@pytest.mark.parametrize("gone", ["the directory", "its lock"])
def test_a_directory_that_vanished_is_not_made_again(saved, gone):
    session, method, progress = saved
    if gone == "the directory":
        shutil.rmtree(session.directory)
    else:  # deleted, and another run begun in its place
        (session.directory / ".lock").unlink()
        (session.directory / ".lock").touch()
    progress.step = 2
    with pytest.raises(StorageFailed, match="deleted or replaced"):
        session.save(method, progress)
    assert session.directory.exists() == (gone == "its lock")


@pytest.mark.parametrize("name", [*CONTENTS, files.MANIFEST])
@pytest.mark.parametrize("damage", ["gone", "cut", "one bit"])
def test_damage_is_named_and_passed_over(saved, name, damage):
    session, method, progress = saved
    older, newest = session.folders()
    content = (newest / name).read_bytes()
    (newest / name).unlink()
    if damage == "cut":
        (newest / name).write_bytes(content[: len(content) // 2])
    elif damage == "one bit":
        (newest / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    checkpoint = session.newest()
    assert checkpoint.folder == older
    assert list(checkpoint.damaged) == [newest]
    assert name in checkpoint.damaged[newest]

    session.set_aside(checkpoint.damaged)
    assert session.newest().damaged == {}
    assert (session.checkpoints / "step-00000004.damaged").is_dir()
    session.save(method, progress)  # its place is free again
    assert session.newest().folder == newest


def test_where_no_checkpoint_is_whole_nothing_starts_afresh(saved):
    session, _, _ = saved
    for folder in session.folders():
        (folder / "progress.json").write_bytes(b"{}")
    with pytest.raises(StorageFailed, match=r"is whole \(step-00000004: progress.json does") as e:
        session.newest()
    assert e.value.exit_code == 4
    for folder in session.folders():
        folder.rename(folder.with_name(folder.name + ".damaged"))
    with pytest.raises(StorageFailed, match="there is none"):
        session.newest()
    shutil.rmtree(session.checkpoints)
    with pytest.raises(StorageFailed, match="there is none"):  # but there is a metrics.csv
        session.newest()


def test_a_checkpoint_deleted_by_its_writer_is_no_damage(saved, monkeypatch):
    session, method, progress = saved
    read = Checkpoint.read.__func__

    def read_late(cls, folder, damaged):
        if progress.step == 1:  # at the first try only: by then the writer is two saves on
            for progress.step in (2, 3):
                session.save(method, progress)
        return read(cls, folder, damaged)

    monkeypatch.setattr(Checkpoint, "read", classmethod(read_late))
    checkpoint = session.newest()
    assert checkpoint.folder.name == "step-00000006"
    assert checkpoint.damaged == {}


def test_a_link_to_nowhere_is_damage(saved):
    session, _, _ = saved
    older, newest = session.folders()
    shutil.rmtree(newest)
    newest.symlink_to("nowhere")
    checkpoint = session.newest()
    assert (checkpoint.folder, list(checkpoint.damaged)) == (older, [newest])


def test_a_start_after_another_process_began_there_changes_nothing(saved):
    session, _, _ = saved
    before = {p: p.read_bytes() for p in session.directory.rglob("*.*") if p.is_file()}
    config = session.config
    session.lock_file.close()
    with Session(session.directory) as second, pytest.raises(UserError, match="meanwhile"):
        second.start(config | {"method": "other"}, [])
    assert {p: p.read_bytes() for p in session.directory.rglob("*.*") if p.is_file()} == before


def test_weights_of_another_shape_are_named(saved):
    session, method, _ = saved
    change = {"model": method.config | {"feature_size": 5}}
    says = r"float32 \(8, 13\), float32 \(8, 15\) was expected"
    if method.name == "classifier":
        change = {"data": DataSpec((1, 28, 28), tuple("abcde")).as_config()}
        says = r"float32 \(10,\), float32 \(5,\) was expected"
    rewrite_config(session, **change)
    with pytest.raises(UserError, match=says):
        session.newest().build()


def test_weights_of_another_network_are_named(saved):
    session, method, _ = saved
    other, says = {
        "sae": ("aae", "discriminator.* absent"),
        "aae": ("sae", "discriminator.* absent was expected"),
        "classifier": ("sae", "classifier.* absent was expected"),
    }[method.name]
    rewrite_config(session, method=other, model=SMALL)
    with pytest.raises(UserError, match=says):
        session.newest().build()


def test_a_network_of_terabytes_is_not_built(saved):
    session, method, _ = saved
    for hidden in ([10**9, 10**9], [10**30], [3] * 10_000):
        rewrite_config(session, model=method.config | {"hidden": hidden})
        with pytest.raises(UserError):
            session.newest().build()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "gan"}, "unknown method 'gan'"),
        ({"method": ["sae"]}, "'method' is"),
        ({"training": None}, "'training' is None"),
        ({"training": TRAINING | {"epochs": "30"}}, "'epochs' is '30'"),
        ({"training": TRAINING | {"epochs": -1}}, "'epochs' is -1"),
        ({"model": {"size": 4}}, "config.json does not describe"),
    ],
)
def test_a_config_that_is_not_ours_is_named(saved, change, says):
    session, _, _ = saved
    rewrite_config(session, **change)
    with pytest.raises(UserError, match=says):
        session.newest().build()


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 0},
        {"epoch": "1"},
        {"step": 5},
        {"rows": [1]},
        {"rows": None},
        {"more": 1},
    ],
)
def test_a_progress_that_cannot_be_is_refused(saved, change):
    session, _, _ = saved
    progress = session.newest().progress | change
    rewrite(session, **{"progress.json": files.json_bytes(progress)})
    with pytest.raises(UserError):
        session.newest().restore(session.newest().build())


@pytest.mark.parametrize("change", ["shape", "missing", "extra", "generator", "history"])
def test_a_trainer_state_that_cannot_be_is_refused(saved, change):
    session, _, _ = saved
    state = dict(session.newest().trainer)
    memory = next(name for name in state if name.endswith(".0.exp_avg"))
    player = memory.split(".")[0]
    if change == "shape":
        state[memory] = state[memory][:1].clone()
    elif change == "missing":
        state = {k: t for k, t in state.items() if not k.startswith(f"{player}.1.")}
    elif change == "extra":
        state[f"{player}.99.exp_avg"] = state[memory].clone()
    elif change == "generator":
        state["generator"] = state["generator"][:7].clone()
    else:
        del state["history"]
    rewrite(session, **{"trainer.safetensors": files.tensor_pieces(state)})
    with pytest.raises(UserError, match="does not fit this run"):
        session.newest().restore(session.newest().build())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_config_gives_a_run_or_one_clear_line(data, tmp_path_factory):
    """Sealed like a true one, so that nothing but our own checks stands in its way."""
    method = small("sae")
    config = {"method": "sae", "model": method.config, "training": TRAINING}
    content = contents(config, method, Progress())
    part = data.draw(st.sampled_from(["config", "model", "training", "progress"]))
    changed = json.loads(content["progress.json"]) if part == "progress" else config
    inner = changed[part] if part in ("model", "training") else changed
    key = data.draw(st.sampled_from(sorted(inner)) | st.text(max_size=5))
    inner = inner | {key: data.draw(JSON)}
    changed = changed | {part: inner} if part in ("model", "training") else inner
    name = "progress.json" if part == "progress" else "config.json"
    folder = tmp_path_factory.mktemp("run") / "checkpoints" / "step-00000000"
    folder.parent.mkdir()
    files.write_folder(folder, content | {name: files.json_bytes(changed)})
    try:
        checkpoint = Session(folder.parent.parent).newest()
        checkpoint.restore(checkpoint.build())
    except UserError as problem:
        line = str(problem)
        assert str(folder.parent.parent) in line


def test_no_run(tmp_path):
    assert Session(tmp_path / "nowhere").newest() is None
    with pytest.raises(UserError, match="no trained run in"):
        Session(tmp_path / "nowhere").require_newest()


def test_a_run_of_the_format_before_names_its_version(saved):
    session, _, _ = saved
    (session.directory / "config.json").write_text('{"format": 1}')
    for folder in session.folders():
        (folder / files.MANIFEST).unlink()
    with pytest.raises(UserError, match=r"in format 1 by mnist-style 0\.1\.0") as caught:
        session.newest()
    assert caught.value.exit_code == 2


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write to") as caught:
        Session(tmp_path / "file").start({}, [])
    assert caught.value.exit_code == 2


HOLD = """
import sys
from mnist.training.session import Session
with Session(sys.argv[1]) as session:
    session.lock()
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_process_writes(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "locked\n"
        with (
            pytest.raises(UserError, match=rf"in use by process {holder.pid} on \S+:"),
            Session(tmp_path) as second,
        ):
            second.lock()
        with pytest.raises(UserError, match="in use by"), Session(tmp_path) as second:
            second.start({}, [])
        holder.kill()
        holder.wait()
        with Session(tmp_path) as second:  # SIGKILL leaves nothing to clear away
            second.lock()
            second.lock()
            second.check_ours()
    with Session(tmp_path) as third:
        third.lock()


def test_archiving_keeps_a_run_whole_even_if_it_stops_half_way(saved):
    session, method, _ = saved
    half = session.directory / "sae"
    half.mkdir()
    (session.directory / "metrics.csv").rename(half / "metrics.csv")  # where a crash left it
    session.archive("sae")
    assert session.newest() is None
    checkpoint = Session(half).newest()
    twin = checkpoint.build()
    checkpoint.restore(twin)
    assert same_weights(method, twin)
    assert {p.name for p in half.iterdir()} == {"metrics.csv", "config.json", "checkpoints"}
    assert {p.name for p in session.directory.iterdir()} == {".lock", "sae"}


def test_archiving_overwrites_no_run(saved):
    session, method, progress = saved
    session.archive("sae")
    kept = Session(session.directory / "sae").folders()[-1].stat().st_mtime_ns
    session.start(session.config, progress.rows)
    session.save(method, progress)
    with pytest.raises(UserError, match="where another run is"):
        session.archive("sae")
    assert Session(session.directory / "sae").folders()[-1].stat().st_mtime_ns == kept


def test_a_checkpoint_stands_alone(saved):
    session, method, _ = saved
    (session.directory / "config.json").write_text("damaged")
    (session.directory / "metrics.csv").unlink()
    checkpoint = session.newest()
    twin = checkpoint.build()
    checkpoint.restore(twin)
    assert same_weights(method, twin)


def test_loading_never_unpickles(saved, monkeypatch):
    session, method, _ = saved

    def refuse(*_, **__):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    checkpoint = session.newest()
    twin = checkpoint.build()
    checkpoint.restore(twin)
    assert same_weights(method, twin)


def test_a_leftover_of_a_killed_save_is_no_checkpoint(saved):
    session, method, progress = saved
    shutil.copytree(session.folders()[-1], session.checkpoints / ".partial")
    (session.checkpoints / ".partial" / "progress.json").unlink()
    twin = session.newest().build()
    session.newest().restore(twin)
    assert same_weights(method, twin)
    progress.step = 2
    session.save(method, progress)
    assert not (session.checkpoints / ".partial").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="it moves a run to a GPU and back")
def test_a_run_moves_between_devices(saved, tiny):
    session, _, progress = saved
    moved = session.newest().build().to("cuda")
    session.newest().restore(moved)
    images, labels, *_ = tiny.train.batch(slice(0, 20))
    moved.step(Batch(images.cuda(), labels.cuda()), Step(0, 0.3))
    progress.step = 2
    progress.history.append(progress.history[-1])
    session.save(moved, progress)
    back = session.newest().build()
    session.newest().restore(back)
    assert same_weights(back, moved.cpu())
