"""A run directory: where a training run is kept, found again, and continued.

    mnist4.ckpt/
      config.json             what rebuilds the method, and what it was trained on: a copy
      metrics.csv             a row per epoch: a copy
      samples/epoch-001.png   pictures of test images and samples
      curves.png              the same numbers as curves, once it has ended
      tensorboard/            and for TensorBoard, if that is asked for
      train.log               what training said: a line is lost at worst
      checkpoints/
        step-00000300/        one moment of the run (mnist/checkpoint.py): the newest few are kept
      best/checkpoints/       the best epoch's, if it is to be kept: a run for every tool
      .lock                   held by the process that writes here

A checkpoint stands alone: the copies beside it are for people, and are made anew from it. What is
promised of all this, and how each promise is tested, is in docs/checkpoints.md.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mnist import files
from mnist.errors import StorageFailed, UserError
from mnist.files import Damaged
from mnist.methods import METHODS, Method
from mnist.training.checkpoint import Checkpoint, Progress, contents

STEP = re.compile(r"step-\d{8}")  # their names, which sort by the number of steps done


# What a run directory holds, or was left with by a start that did not live to its first checkpoint;
# besides, runs that were moved out of the way, by the names of methods.
CURVES = "curves.png"
COPIES = "samples", "train.log", "config.json", "metrics.csv", CURVES, "tensorboard"
OURS = {".lock", "best", "checkpoints", *COPIES}


class RunDirectory:
    """The run in one directory.

    Whoever writes to it holds its lock: `with RunDirectory(path) as run_dir: run_dir.lock()`.

    Args:
        path: of the directory; it need not exist yet.
        keep: how many checkpoints are kept.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int = 2):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.keep = keep
        self.config: dict[str, Any] = {}  # what `save` puts beside the weights
        self.lock_file: io.TextIOWrapper | None = None

    # --- one writer -----------------------------------------------------------------------------

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        if self.lock_file:
            self.lock_file.close()

    def lock(self) -> None:
        """Keep other processes from writing to the directory, for as long as this one lives.

        The kernel holds the lock for the process and drops it with it, however that ends; the
        file's content only tells others who it is.

        Raises:
            UserError: another process holds it, which and where; or the directory is not writable.
            StorageFailed: the directory is not writable, and holds a run.
        """
        if self.lock_file:
            return
        try:
            file = open(self.path / ".lock", "a+", encoding="utf-8")  # noqa: SIM115
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read(200).strip() or "another process"
            file.close()
            raise UserError(
                f"{self.path} is in use by {holder}: wait for it, or name another --ckpt-dir"
            ) from error
        except OSError as error:
            raise self.unwritable(error) from error
        self.lock_file = file
        with suppress(OSError):  # a full disk: others then see that it is held, but not by whom
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()

    def check_ours(self) -> None:
        """Make sure that the directory is still the one that was locked.

        Raises:
            StorageFailed: it was deleted or replaced.
        """
        try:
            there = os.stat(self.path / ".lock")
        except OSError:
            there = None
        assert self.lock_file is not None  # as of anybody who writes
        if there is None or not os.path.samestat(there, os.fstat(self.lock_file.fileno())):
            raise StorageFailed(
                f"{self.path} was deleted or replaced while this run went on: nothing is "
                "written there any more"
            )

    # --- what is there --------------------------------------------------------------------------

    def folders(self) -> list[Path]:
        """The checkpoints' folders, oldest first, whole or not.

        Raises:
            StorageFailed: the directory cannot be read.
        """
        try:
            return sorted(p for p in self.checkpoints.iterdir() if STEP.fullmatch(p.name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StorageFailed(f"cannot read {self.checkpoints} ({error.strerror})") from error

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None where there is no run.

        Raises:
            StorageFailed: there is a run, and none of its checkpoints is whole.
            UserError: another version wrote it.
        """
        damaged: dict[Path, str] = {}
        for folder in reversed(self.folders()):
            try:
                return Checkpoint.read(folder, damaged)
            except Damaged as error:
                if not os.path.lexists(folder):
                    return self.newest()  # its writer, who has newer ones, has just deleted it
                self.refuse_format_1(folder)
                damaged[folder] = str(error)
        remains = [self.path / "metrics.csv", *self.checkpoints.glob("step-*")]
        if damaged or any(path.exists() for path in remains):
            reasons = "; ".join(f"{path.name}: {why}" for path, why in damaged.items())
            raise StorageFailed(
                f"no checkpoint in {self.checkpoints} is whole ({reasons or 'there is none'}): "
                "restore one from a copy, or name another --ckpt-dir"
            )
        return None

    def refuse_format_1(self, folder: Path) -> None:
        """Raise a UserError for a checkpoint of the time before there were manifests."""
        if (folder / files.MANIFEST).exists():
            return
        try:
            config = files.json_object("", files.read_file(self.path / "config.json"))
        except Damaged:
            return
        if config.get("format") == 1:
            raise files.another_format(self.path, 1, "mnist-style 0.1.0")

    def require_newest(self) -> Checkpoint:
        """The newest whole checkpoint.

        Raises:
            UserError: there is none.
        """
        newest = self.newest()
        if newest is None:
            if other := self.other_contents():  # into which training would not go either
                raise UserError(
                    f"{self.path} holds no run, but {other}: name the --ckpt-dir of one"
                )
            raise UserError(
                f"no trained run in {self.path}: train one first, as with "
                f"./mnist-aae.py --ckpt-dir {self.path}"
            )
        return newest

    def refuse_other_contents(self) -> None:
        """Raise a UserError for a directory in which there is something, and no run."""
        if other := self.other_contents():
            raise UserError(f"{self.path} holds no run, but {other}: name a new --ckpt-dir")

    def other_contents(self) -> str | None:
        """What there is in it, if it is no run."""
        try:
            there = {path.name for path in self.path.iterdir()}
        except OSError:  # said better where it is to be written
            return None
        others = there - OURS - METHODS.keys()
        return min(others) if others and "checkpoints" not in there else None

    # --- what is written ------------------------------------------------------------------------

    def start(self, config: dict[str, Any], rows: list[dict[str, float]]) -> None:
        """Make ready for saving a run of this configuration, and renew the copies for people.

        Raises:
            UserError: the directory cannot be written, or another process is writing to it, or has
                begun a run there since we looked.
            StorageFailed: it cannot be written, and holds a run.
        """
        self.config = config
        try:
            if self.lock_file:
                self.check_ours()
            else:
                self.path.mkdir(parents=True, exist_ok=True)
                files.flush(self.path.parent)
                self.lock()
                if self.folders():
                    raise UserError(f"another process has begun a run in {self.path} meanwhile")
            self.checkpoints.mkdir(exist_ok=True)
            files.write_file(self.path / "config.json", files.json_bytes(config))
            self.write_metrics(rows)
        except OSError as error:
            raise self.unwritable(error) from error

    def unwritable(self, error: OSError) -> UserError:
        """What to say of a directory that nothing can be written to."""
        kind = StorageFailed if self.folders() else UserError
        return kind(
            f"cannot write to {self.path} ({error.strerror}): mend that, or name another --ckpt-dir"
        )

    def save(self, method: Method, progress: Progress) -> Path:
        """Write a checkpoint of this moment, and metrics.csv as it should be at this moment.

        Raises:
            StorageFailed: the disk refuses; earlier checkpoints are untouched.
        """
        target = self.checkpoints / f"step-{progress.steps:08d}"
        self.check_ours()
        with self.saving(target):
            files.write_folder(target, contents(self.config, method, progress))
            self.write_metrics(progress.rows)
            self.discard_all_but(self.keep)
        return target

    def save_best(self, method: Method, progress: Progress) -> None:
        """Write a checkpoint of this moment that stays until a better one comes: into `best`.

        Raises:
            StorageFailed: the disk refuses; the one before it is untouched.
        """
        best = RunDirectory(self.path / "best")
        target = best.checkpoints / f"step-{progress.steps:08d}"
        if target in best.folders():
            return
        self.check_ours()
        with self.saving(target):
            best.checkpoints.mkdir(parents=True, exist_ok=True)
            files.write_folder(target, contents(self.config, method, progress))
            best.discard_all_but(1)

    @contextmanager
    def saving(self, target: Path) -> Iterator[None]:
        """A context in which a checkpoint is written.

        Raises:
            StorageFailed: the disk refuses.
        """
        try:
            yield
        except OSError as error:
            raise StorageFailed(
                f"cannot save to {target} ({error.strerror}): mend that and give the same command "
                "again; what was saved before is whole"
            ) from error

    def discard_all_but(self, count: int) -> None:
        """Delete all checkpoints but the newest ones."""
        for old in self.folders()[:-count]:
            files.discard(old)

    def write_metrics(self, rows: list[dict[str, float]]) -> None:
        """Make metrics.csv hold these rows: whole rows, one an epoch."""
        path = self.path / "metrics.csv"
        if not rows:
            path.unlink(missing_ok=True)
            return
        table = io.StringIO()
        names = dict.fromkeys(name for row in rows for name in row)
        writer = csv.DictWriter(table, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        content = table.getvalue().encode()
        if not path.exists() or path.read_bytes() != content:
            files.write_file(path, content)

    def write_picture(self, name: str, png: bytes) -> Path:
        """Leave a picture by that name in the directory, for people.

        Raises:
            StorageFailed: the disk refuses.
        """
        self.check_ours()
        path = self.path / name
        try:
            path.parent.mkdir(exist_ok=True)
            files.write_file(path, png)
        except OSError as error:
            raise StorageFailed(
                f"cannot write {path} ({error.strerror}): mend that and give the same command "
                "again; the checkpoints are whole"
            ) from error
        return path

    def set_aside(self, damaged: dict[Path, str]) -> None:
        """Rename damaged checkpoints, so that others can be saved in their place.

        Raises:
            StorageFailed: the disk refuses.
        """
        try:
            for folder in damaged:
                aside = folder.with_name(folder.name + ".damaged")
                files.discard(aside)
                folder.rename(aside)
        except OSError as error:
            raise StorageFailed(f"cannot rename {folder} ({error.strerror})") from error

    def archive(self, name: str) -> None:
        """Move the run in this directory into a sub-directory, making room for another.

        Stopped half-way it can be done again, for the checkpoints, which stand alone, go last.

        Raises:
            UserError: that sub-directory has a run already.
            StorageFailed: the disk refuses.
        """
        target = RunDirectory(self.path / name)
        if target.folders():
            raise UserError(
                f"{self.path} is to move to {target.path}, where another run is: "
                "name another --ckpt-dir, or move that one away"
            )
        try:
            target.path.mkdir(exist_ok=True)
            for item in (*COPIES, "best", "checkpoints"):
                if (self.path / item).exists():
                    (self.path / item).rename(target.path / item)
            files.flush(target.path)
            files.flush(self.path)
        except OSError as error:
            raise StorageFailed(
                f"cannot move {self.path} to {target.path} ({error.strerror})"
            ) from error


class Elsewhere(RunDirectory):
    """A run directory that another process writes, as those see it that train with it."""

    def save(self, method: Method, progress: Progress) -> Path:
        return self.checkpoints / f"step-{progress.steps:08d}"

    def save_best(self, method: Method, progress: Progress) -> None:
        pass

    def write_picture(self, name: str, png: bytes) -> Path:
        return self.path / name
