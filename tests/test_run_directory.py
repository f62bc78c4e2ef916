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
from mnist.training.run_directory import RunDirectory


@pytest.fixture
def saved(tmp_path, method_name, tiny):
    """A run of an epoch of three steps and one step more: (run_dir, method, progress)."""
    method = small(method_name, tiny.train)
    progress = Progress()
    with RunDirectory(tmp_path / "run.ckpt") as run_dir:
        config = {"method": method_name, "model": method.config, "training": TRAINING}
        run_dir.start(config, [])
        for start in (0, 20, 40):
            method.step(tiny.train.batch(slice(start, start + 20)), Step(0, 0.2))
        progress.finish_epoch(3, train={"mse": 0.1 + 0.2}, test={"mse": 1 / 3})
        run_dir.save(method, progress)
        numbers = method.step(tiny.train.batch(slice(0, 20)), Step(0, 0.3))
        progress.step = 1
        progress.history.append(numbers)
        run_dir.save(method, progress)
        yield run_dir, method, progress


def same_weights(one, other):
    return all(torch.equal(t, other.state_dict()[n]) for n, t in one.state_dict().items())


def rewrite(run_dir, **changes):
    """Put changed contents, sealed as if they belonged there, in the newest checkpoint's place."""
    folder = run_dir.folders()[-1]
    content = files.read_folder(folder, CONTENTS)
    files.discard(folder)
    files.write_folder(folder, content | changes)


def rewrite_config(run_dir, **changes):
    rewrite(run_dir, **{"config.json": files.json_bytes(run_dir.newest().config | changes)})


def test_what_is_saved_comes_back(saved):
    run_dir, method, progress = saved
    checkpoint = run_dir.newest()
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
    run_dir, _, progress = saved
    with open(run_dir.path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1
    assert float(rows[0]["train_mse"]) == progress.rows[0]["train_mse"]


@pytest.mark.parametrize("left", [None, "", "epoch,st", "epoch\n1\n2\n3\n"])
def test_metrics_are_mended_at_the_start(saved, left):
    run_dir, _, progress = saved
    path = run_dir.path / "metrics.csv"
    whole = path.read_text()
    path.unlink() if left is None else path.write_text(left)
    run_dir.start(run_dir.config, progress.rows)
    assert path.read_text() == whole
    run_dir.start(run_dir.config, [])
    assert not path.exists()


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(saved, keep):
    run_dir, method, progress = saved
    run_dir.keep = keep
    for step in (2, 3, 10):
        progress.step = step
        run_dir.save(method, progress)
    names = sorted(p.name for p in run_dir.checkpoints.iterdir())
    assert names == ["step-00000005", "step-00000006", "step-00000013"][-keep:]


def test_a_failed_save_leaves_the_one_before(saved, monkeypatch):
    run_dir, method, progress = saved
    before = run_dir.folders()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    progress.step = 2
    with pytest.raises(StorageFailed, match="No space left on device") as caught:
        run_dir.save(method, progress)
    assert caught.value.exit_code == 4
    assert run_dir.folders() == before
    assert not any(p.name.startswith(".") for p in run_dir.checkpoints.iterdir())
    run_dir.newest().restore(run_dir.newest().build())


@pytest.mark.parametrize("gone", ["the directory", "its lock"])
def test_a_directory_that_vanished_is_not_made_again(saved, gone):
    run_dir, method, progress = saved
    if gone == "the directory":
        shutil.rmtree(run_dir.path)
    else:  # deleted, and another run begun in its place
        (run_dir.path / ".lock").unlink()
        (run_dir.path / ".lock").touch()
    progress.step = 2
    with pytest.raises(StorageFailed, match="deleted or replaced"):
        run_dir.save(method, progress)
    assert run_dir.path.exists() == (gone == "its lock")


@pytest.mark.parametrize("name", [*CONTENTS, files.MANIFEST])
@pytest.mark.parametrize("damage", ["gone", "cut", "one bit"])
def test_damage_is_named_and_passed_over(saved, name, damage):
    run_dir, method, progress = saved
    older, newest = run_dir.folders()
    content = (newest / name).read_bytes()
    (newest / name).unlink()
    if damage == "cut":
        (newest / name).write_bytes(content[: len(content) // 2])
    elif damage == "one bit":
        (newest / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    checkpoint = run_dir.newest()
    assert checkpoint.folder == older
    assert list(checkpoint.damaged) == [newest]
    assert name in checkpoint.damaged[newest]

    run_dir.set_aside(checkpoint.damaged)
    assert run_dir.newest().damaged == {}
    assert (run_dir.checkpoints / "step-00000004.damaged").is_dir()
    run_dir.save(method, progress)  # its place is free again
    assert run_dir.newest().folder == newest


def test_where_no_checkpoint_is_whole_nothing_starts_afresh(saved):
    run_dir, _, _ = saved
    for folder in run_dir.folders():
        (folder / "progress.json").write_bytes(b"{}")
    with pytest.raises(StorageFailed, match=r"is whole \(step-00000004: progress.json does") as e:
        run_dir.newest()
    assert e.value.exit_code == 4
    for folder in run_dir.folders():
        folder.rename(folder.with_name(folder.name + ".damaged"))
    with pytest.raises(StorageFailed, match="there is none"):
        run_dir.newest()
    shutil.rmtree(run_dir.checkpoints)
    with pytest.raises(StorageFailed, match="there is none"):  # but there is a metrics.csv
        run_dir.newest()


def test_a_checkpoint_deleted_by_its_writer_is_no_damage(saved, monkeypatch):
    run_dir, method, progress = saved
    read = Checkpoint.read.__func__

    def read_late(cls, folder, damaged):
        if progress.step == 1:  # at the first try only: by then the writer is two saves on
            for progress.step in (2, 3):
                run_dir.save(method, progress)
        return read(cls, folder, damaged)

    monkeypatch.setattr(Checkpoint, "read", classmethod(read_late))
    checkpoint = run_dir.newest()
    assert checkpoint.folder.name == "step-00000006"
    assert checkpoint.damaged == {}


def test_a_link_to_nowhere_is_damage(saved):
    run_dir, _, _ = saved
    older, newest = run_dir.folders()
    shutil.rmtree(newest)
    newest.symlink_to("nowhere")
    checkpoint = run_dir.newest()
    assert (checkpoint.folder, list(checkpoint.damaged)) == (older, [newest])


def test_a_start_after_another_process_began_there_changes_nothing(saved):
    run_dir, _, _ = saved
    before = {p: p.read_bytes() for p in run_dir.path.rglob("*.*") if p.is_file()}
    config = run_dir.config
    run_dir.lock_file.close()
    with RunDirectory(run_dir.path) as second, pytest.raises(UserError, match="meanwhile"):
        second.start(config | {"method": "other"}, [])
    assert {p: p.read_bytes() for p in run_dir.path.rglob("*.*") if p.is_file()} == before


def test_weights_of_another_shape_are_named(saved):
    run_dir, method, _ = saved
    change = {"model": method.config | {"feature_size": 5}}
    says = r"float32 \(8, 13\), float32 \(8, 15\) was expected"
    if method.name == "classifier":
        change = {"data": DataSpec((1, 28, 28), tuple("abcde")).as_config()}
        says = r"float32 \(10,\), float32 \(5,\) was expected"
    if method.name in ("bigan", "gan"):
        says = "was expected"
    rewrite_config(run_dir, **change)
    with pytest.raises(UserError, match=says):
        run_dir.newest().build()


def test_weights_of_another_network_are_named(saved):
    run_dir, method, _ = saved
    other, says = {
        "sae": ("aae", "discriminator.* absent"),
        "aae": ("sae", "discriminator.* absent was expected"),
        "vae": ("aae", "discriminator.* absent"),
        "bigan": ("sae", "averages.* absent was expected"),
        "gan": ("sae", "averages.* absent was expected"),
        "categorical_aae": ("sae", "averages.* absent was expected"),
        "classifier": ("sae", "classifier.* absent was expected"),
    }[method.name]
    rewrite_config(run_dir, method=other, model=SMALL)
    with pytest.raises(UserError, match=says):
        run_dir.newest().build()


def test_a_network_of_terabytes_is_not_built(saved):
    run_dir, method, _ = saved
    for hidden in ([10**9, 10**9], [10**30], [3] * 10_000):
        size = {"feature_size": hidden[0] * len(hidden)}  # of those without hidden layers
        model = method.config | ({"hidden": hidden} if "hidden" in method.config else size)
        if "spectral" in model:  # which takes 25 ms for each of 10,000 layers, even of none
            model["spectral"] = False
        rewrite_config(run_dir, model=model)
        with pytest.raises(UserError):
            run_dir.newest().build()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "flow"}, "unknown method 'flow'"),
        ({"method": ["sae"]}, "'method' is"),
        ({"training": None}, "'training' is None"),
        ({"training": TRAINING | {"epochs": "30"}}, "'epochs' is '30'"),
        ({"training": TRAINING | {"epochs": -1}}, "'epochs' is -1"),
        ({"model": {"size": 4}}, "config.json does not describe"),
    ],
)
def test_a_config_that_is_not_ours_is_named(saved, change, says):
    run_dir, _, _ = saved
    rewrite_config(run_dir, **change)
    with pytest.raises(UserError, match=says):
        run_dir.newest().build()


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
    run_dir, _, _ = saved
    progress = run_dir.newest().progress | change
    rewrite(run_dir, **{"progress.json": files.json_bytes(progress)})
    with pytest.raises(UserError):
        run_dir.newest().restore(run_dir.newest().build())


@pytest.mark.parametrize("change", ["shape", "missing", "extra", "generator", "history"])
def test_a_trainer_state_that_cannot_be_is_refused(saved, change):
    run_dir, _, _ = saved
    state = dict(run_dir.newest().trainer)
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
    rewrite(run_dir, **{"trainer.safetensors": files.tensor_pieces(state)})
    with pytest.raises(UserError, match="does not fit this run"):
        run_dir.newest().restore(run_dir.newest().build())


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
        checkpoint = RunDirectory(folder.parent.parent).newest()
        checkpoint.restore(checkpoint.build())
    except UserError as problem:
        line = str(problem)
        assert str(folder.parent.parent) in line


def test_no_run(tmp_path):
    assert RunDirectory(tmp_path / "nowhere").newest() is None
    with pytest.raises(UserError, match="no trained run in"):
        RunDirectory(tmp_path / "nowhere").require_newest()


def test_a_run_of_the_format_before_names_its_version(saved):
    run_dir, _, _ = saved
    (run_dir.path / "config.json").write_text('{"format": 1}')
    for folder in run_dir.folders():
        (folder / files.MANIFEST).unlink()
    with pytest.raises(UserError, match=r"in format 1 by mnist-style 0\.1\.0") as caught:
        run_dir.newest()
    assert caught.value.exit_code == 2


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write to") as caught:
        RunDirectory(tmp_path / "file").start({}, [])
    assert caught.value.exit_code == 2


HOLD = """
import sys
from mnist.training.run_directory import RunDirectory
with RunDirectory(sys.argv[1]) as run_dir:
    run_dir.lock()
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
            RunDirectory(tmp_path) as second,
        ):
            second.lock()
        with pytest.raises(UserError, match="in use by"), RunDirectory(tmp_path) as second:
            second.start({}, [])
        holder.kill()
        holder.wait()
        with RunDirectory(tmp_path) as second:  # SIGKILL leaves nothing to clear away
            second.lock()
            second.lock()
            second.check_ours()
    with RunDirectory(tmp_path) as third:
        third.lock()


def test_archiving_keeps_a_run_whole_even_if_it_stops_half_way(saved):
    run_dir, method, _ = saved
    half = run_dir.path / "sae"
    half.mkdir()
    (run_dir.path / "metrics.csv").rename(half / "metrics.csv")  # where a crash left it
    run_dir.archive("sae")
    assert run_dir.newest() is None
    checkpoint = RunDirectory(half).newest()
    twin = checkpoint.build()
    checkpoint.restore(twin)
    assert same_weights(method, twin)
    assert {p.name for p in half.iterdir()} == {"metrics.csv", "config.json", "checkpoints"}
    assert {p.name for p in run_dir.path.iterdir()} == {".lock", "sae"}


def test_archiving_overwrites_no_run(saved):
    run_dir, method, progress = saved
    run_dir.archive("sae")
    kept = RunDirectory(run_dir.path / "sae").folders()[-1].stat().st_mtime_ns
    run_dir.start(run_dir.config, progress.rows)
    run_dir.save(method, progress)
    with pytest.raises(UserError, match="where another run is"):
        run_dir.archive("sae")
    assert RunDirectory(run_dir.path / "sae").folders()[-1].stat().st_mtime_ns == kept


def test_a_checkpoint_stands_alone(saved):
    run_dir, method, _ = saved
    (run_dir.path / "config.json").write_text("damaged")
    (run_dir.path / "metrics.csv").unlink()
    checkpoint = run_dir.newest()
    twin = checkpoint.build()
    checkpoint.restore(twin)
    assert same_weights(method, twin)


def test_loading_never_unpickles(saved, monkeypatch):
    run_dir, method, _ = saved

    def refuse(*_, **__):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    checkpoint = run_dir.newest()
    twin = checkpoint.build()
    checkpoint.restore(twin)
    assert same_weights(method, twin)


def test_a_leftover_of_a_killed_save_is_no_checkpoint(saved):
    run_dir, method, progress = saved
    shutil.copytree(run_dir.folders()[-1], run_dir.checkpoints / ".partial")
    (run_dir.checkpoints / ".partial" / "progress.json").unlink()
    twin = run_dir.newest().build()
    run_dir.newest().restore(twin)
    assert same_weights(method, twin)
    progress.step = 2
    run_dir.save(method, progress)
    assert not (run_dir.checkpoints / ".partial").exists()


needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="moves a run to a GPU and back, which needs one"
)


# The CPU is no move, but shows on every machine that the test itself runs.
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_a_run_moves_between_devices(saved, tiny, device):
    run_dir, _, _ = saved
    moved = run_dir.newest().build().to(device)
    progress = run_dir.newest().restore(moved)
    images, labels, *_ = tiny.train.batch(slice(0, 20))
    numbers = moved.step(Batch(images.to(device), labels.to(device)), Step(0, 0.3))
    progress.step = 2
    progress.history.append(numbers)
    run_dir.save(moved, progress)
    back = run_dir.newest().build()
    run_dir.newest().restore(back)
    assert same_weights(back, moved.cpu())
