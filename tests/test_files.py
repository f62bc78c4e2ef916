"""Sealed folders: whole or not at all, whatever fails; and no damage gets past the manifest."""

import contextlib
import itertools
import json
import multiprocessing
import os
import pickle

import pytest
import safetensors.torch
import torch
from faults import Faults, with_fault
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist import files
from mnist.errors import StorageFailed, UserError
from mnist.files import Damaged

NAMES = ("config.json", "weights.safetensors")
CONTENT = {
    "config.json": files.json_bytes({"size": 3}),
    "weights.safetensors": b"".join(files.tensor_pieces({"w": torch.arange(3.0)})),
}


@pytest.fixture
def folder(tmp_path):
    """A sealed folder."""
    files.write_folder(tmp_path / "step", CONTENT)
    return tmp_path / "step"


def test_what_is_written_is_read(folder):
    assert files.read_folder(folder, NAMES) == CONTENT
    assert torch.equal(files.tensors("w", CONTENT["weights.safetensors"])["w"], torch.arange(3.0))


def test_tensors_are_written_as_their_own_package_reads_them():
    tensors = {
        "matrix": torch.randn(3, 5).T,  # not contiguous
        "number": torch.tensor(7.0),
        "nothing": torch.empty(0, 4),
        "count": torch.tensor(3),
        "state": torch.arange(9, dtype=torch.uint8),
        "learned": torch.nn.Parameter(torch.randn(2)),
        **{str(kind): torch.tensor([[0, 1, 1], [1, 0, 3]]).to(kind) for kind in files.DTYPES},
        "mask": torch.tensor(True),
    }
    assert {torch.bool, torch.float64, torch.float16, torch.bfloat16, torch.int32} <= {
        tensor.dtype for tensor in tensors.values()
    }
    content = b"".join(files.tensor_pieces(tensors))
    read = safetensors.torch.load(content)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor)
        assert read[name].dtype == tensor.dtype
    backwards = dict(reversed(tensors.items()))
    assert b"".join(files.tensor_pieces(backwards)) == content
    pieces = files.tensor_pieces(tensors)
    assert files.entry(pieces) == files.entry(content)
    assert files.entry(content)["bytes"] == len(content)


def test_the_order_of_a_save(tmp_path):
    with Faults().applied() as faults:
        files.write_folder(tmp_path / "step", CONTENT)
    order = [(name, getattr(argument[0], "name", "")) for name, argument in faults.calls]
    each = [("write", ""), ("fsync", "")]
    assert order == [
        ("mkdir", ".partial"),
        *[("open", "config.json"), *each],
        *[("open", "weights.safetensors"), *each],
        *[("open", "manifest.json"), *each],
        *[("open", ".partial"), ("fsync", "")],
        ("rename", ".partial"),
        *[("open", tmp_path.name), ("fsync", "")],
    ]


@pytest.mark.parametrize("fault", ["error", "kill"])
def test_a_fault_at_any_call_leaves_a_folder_whole_or_absent(tmp_path, fault):
    for at in itertools.count(1):
        target = tmp_path / str(at) / "step"
        target.parent.mkdir()
        there = with_fault(fault, at, lambda target=target: files.write_folder(target, CONTENT))
        if not target.exists():
            assert there
            files.write_folder(target, CONTENT)  # what was left lying about is in nobody's way
        assert files.read_folder(target, NAMES) == CONTENT
        if not there:
            break
    assert at == 16  # calls of test_the_order_of_a_save, and no more


WRITES = {  # what writes to a path, the bytes there before and after, a number of calls it is above
    "write_file": (lambda path: files.write_file(path, b"after it"), b"before", b"after it", 6),
    "append_line": (
        lambda path: files.append_line(path, "after"),
        b"before\n",
        b"before\nafter\n",
        4,
    ),
}


@pytest.mark.parametrize("fault", ["error", "kill"])
@pytest.mark.parametrize("name", WRITES)
def test_a_fault_at_any_call_leaves_the_old_bytes_or_the_new(tmp_path, name, fault):
    path = tmp_path / "file"
    write, before, after, calls = WRITES[name]
    there, at = True, 0
    while there:
        at += 1
        path.write_bytes(before)
        there = with_fault(fault, at, lambda: write(path))
        assert path.read_bytes() in (before, after)
    assert path.read_bytes() == after
    assert at > calls


def test_lines_of_several_processes_are_all_there(tmp_path):
    path, lines = tmp_path / "x.jsonl", [str(n) * 5000 for n in range(8)]

    def write(line):
        for _ in range(20):
            files.append_line(path, line)

    fork = multiprocessing.get_context("fork")
    several = [fork.Process(target=write, args=[line]) for line in lines]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
    assert sorted(path.read_text().splitlines()) == sorted(lines * 20)


def test_a_full_disk_and_a_torn_line(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    path.write_text("whole\nto")
    files.append_line(path, "next")
    assert path.read_text() == "whole\nto\nnext\n"
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:2]))
    with pytest.raises(OSError, match="No space left"):
        files.append_line(path, "no room")
    assert path.read_text() == "whole\nto\nnext\n"


@pytest.mark.parametrize("name", [*NAMES, files.MANIFEST])
def test_every_flipped_byte_is_seen(folder, name):
    content = bytearray((folder / name).read_bytes())
    for place in range(len(content)):
        for flip in (0xFF, 1 << place % 8):
            content[place] ^= flip
            (folder / name).write_bytes(content)
            with pytest.raises((Damaged, UserError)):
                files.read_folder(folder, NAMES)
            content[place] ^= flip
    (folder / name).write_bytes(content)
    assert files.read_folder(folder, NAMES) == CONTENT


@pytest.mark.parametrize("name", [*NAMES, files.MANIFEST])
def test_every_truncation_is_seen(folder, name):
    content = (folder / name).read_bytes()
    for length in range(len(content)):
        (folder / name).write_bytes(content[:length])
        with pytest.raises(Damaged):
            files.read_folder(folder, NAMES)


@pytest.mark.parametrize("name", [*NAMES, files.MANIFEST])
def test_what_is_no_plain_file_is_seen(folder, name):
    (folder / name).unlink()
    with pytest.raises(Damaged, match=f"{name} cannot be read: No such file"):
        files.read_folder(folder, NAMES)
    os.mkfifo(folder / name)
    with pytest.raises(Damaged, match=f"{name} is no plain file"):
        files.read_folder(folder, NAMES)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(Damaged, match=f"{name} cannot be read: Is a directory"):
        files.read_folder(folder, NAMES)


def test_a_file_of_terabytes_is_not_read(folder):
    for name in (*NAMES, files.MANIFEST):
        os.truncate(folder / name, 2**42)  # sparse: it takes no room
        with pytest.raises(Damaged, match="too large: 4,398,046,511,104 bytes"):
            files.read_folder(folder, NAMES)
        (folder / name).write_bytes(CONTENT.get(name, b""))


def test_a_header_that_claims_terabytes_is_refused():
    header = {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    text = json.dumps(header).encode()
    for claimed in (len(text), 2**62):
        with pytest.raises(Damaged, match="no safetensors file"):
            files.tensors("w.safetensors", claimed.to_bytes(8, "little") + text)


def test_a_file_one_may_not_read_is_not_called_damaged(folder, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:  # no longer than it takes: all else opens by it, too
        patch.setattr(os, "open", refuse)
        with pytest.raises(StorageFailed, match="Permission denied") as caught:
            files.read_folder(folder, NAMES)
    assert caught.value.exit_code == 4


def test_another_format_names_who_wrote_it(folder, monkeypatch):
    monkeypatch.setattr(files, "FORMAT", files.FORMAT + 1)
    monkeypatch.setattr(files, "VERSION", "mnist-style 9.8.7")
    manifest = files.manifest(CONTENT)
    monkeypatch.undo()
    (folder / files.MANIFEST).write_bytes(manifest)
    with pytest.raises(UserError, match=r"written in format 3 by mnist-style 9\.8\.7"):
        files.read_folder(folder, NAMES)


def test_a_manifest_of_other_files_is_refused(folder):
    (folder / files.MANIFEST).write_bytes(files.manifest(CONTENT | {"../evil.json": b"{}"}))
    with pytest.raises(Damaged, match="lists other files"):
        files.read_folder(folder, NAMES)
    content = {"format": files.FORMAT, "files": [1, 2]}
    (folder / files.MANIFEST).write_bytes(files.sealed(content))
    with pytest.raises(Damaged, match="lists other files"):
        files.read_folder(folder, NAMES)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", [*NAMES, files.MANIFEST])
def test_a_pickle_is_not_unpickled(folder, name, tmp_path):
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    (folder / name).write_bytes(trap)
    with pytest.raises(Damaged):
        files.read_folder(folder, NAMES)
    if name != files.MANIFEST:  # nor where the manifest says that it belongs there
        files.discard(folder)
        files.write_folder(folder, CONTENT | {name: trap})
        with pytest.raises(Damaged):  # noqa: PT012
            contents = files.read_folder(folder, NAMES)
            files.json_object("config.json", contents["config.json"])
            files.tensors("weights.safetensors", contents["weights.safetensors"])
    assert not (tmp_path / "sprung").exists()


def test_nested_without_end_is_no_json():
    with pytest.raises(Damaged, match="no JSON"):
        files.json_object("config.json", b'{"a":' + b"[" * 10**6)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_any_bytes_are_tensors_or_damaged(noise, length):
    """Either is right. What would fail here is any other exception, or another type."""
    for content in (noise, length.to_bytes(8, "little") + noise):
        with contextlib.suppress(Damaged):
            read = files.tensors("weights.safetensors", content)
            assert all(isinstance(tensor, torch.Tensor) for tensor in read.values())
        with contextlib.suppress(Damaged):
            assert isinstance(files.json_object("config.json", content), dict)


def test_permissions_follow_the_umask(tmp_path):
    for mask in (0o022, 0o077, 0o002):
        before = os.umask(mask)
        try:
            files.write_folder(tmp_path / f"{mask}", CONTENT)
        finally:
            os.umask(before)
        for path in (tmp_path / f"{mask}").iterdir():
            assert path.stat().st_mode & 0o777 == 0o666 & ~mask
