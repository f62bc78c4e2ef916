"""A run directory: where a training run is kept, found again, and continued.

    mnist4.ckpt/
      config.json             what rebuilds the method, and what it was trained on
      metrics.csv             a row per epoch
      samples/epoch-001.png   pictures of test images and samples
      checkpoints/
        step-00000300/        one moment of the run: the newest two are kept
          weights.safetensors   the networks
          trainer.safetensors   optimisers, random generator, the epoch's numbers so far
          progress.json         epoch, step, the rows of metrics.csv

Files appear whole or not at all: each is written under another name, flushed to the disk, and
renamed. Nothing is pickled, so nothing that is read can run code.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mnist.errors import Problem
from mnist.methods import METHODS, Method

FORMAT = 1  # of the run directory; a later one says so in config.json
KEEP = 2  # checkpoints
STEP = "step-" + 8 * "[0-9]"  # their names, which sort by the number of steps done


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: epochs completed.
        step: steps done in the epoch after those.
        total_steps: steps done in all completed epochs.
        rows: one dict of numbers per completed epoch, the rows of metrics.csv.
        history: numbers of each step of this epoch so far, float32 [K] each.
    """

    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    history: list[Tensor] = field(default_factory=list)

    def finish_epoch(
        self, steps: int, training: dict[str, float], validation: dict[str, float]
    ) -> None:
        """Count an epoch of so many steps as completed, with its numbers."""
        self.epoch += 1
        self.total_steps += steps
        # No seconds here: the file of a run that was stopped is to equal that of one that was not.
        self.rows.append(
            {"epoch": self.epoch, "step": self.total_steps}
            | {f"train_{name}": value for name, value in training.items()}
            | {f"test_{name}": value for name, value in validation.items()}
        )
        self.step = 0
        self.history = []


class Session:
    """The run in one directory.

    Args:
        directory: the run's; it need not exist yet.
    """

    def __init__(self, directory: str | os.PathLike):
        self.directory = Path(directory)
        self.checkpoints = self.directory / "checkpoints"

    # --- what is there --------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The saved configuration.

        Raises:
            Problem: there is none, or it cannot be read.
        """
        path = self.directory / "config.json"
        if not path.is_file() and self.latest() is None:
            raise Problem(
                f"no trained run in {self.directory}: train one first, as with "
                f"./mnist-aae.py --ckpt-dir {self.directory}"
            )
        config = read_json(path)
        if config.get("format") != FORMAT:
            raise Problem(
                f"{path} is of format {config.get('format')}; this version reads {FORMAT}"
            )
        if not isinstance(config.get("method"), str) or config["method"] not in METHODS:
            raise Problem(f"{path} names an unknown method {config.get('method')!r}")
        for part in ("model", "training"):
            if not isinstance(config.get(part), dict):
                raise Problem(f"{path} is damaged: it has no {part!r}; restore it from a copy")
        return config

    def latest(self) -> Path | None:
        """The newest checkpoint, or None."""
        return max(self.checkpoints.glob(STEP), default=None)

    def require_latest(self) -> Path:
        """The newest checkpoint.

        Raises:
            Problem: there is none.
        """
        latest = self.latest()
        if latest is None:
            raise Problem(f"no checkpoint in {self.checkpoints}: train the run first")
        return latest

    def build(self) -> Method:
        """The method that the saved configuration describes, with fresh weights."""
        config = self.config()
        try:
            return METHODS[config["method"]](**config["model"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise Problem(
                f"{self.directory / 'config.json'} does not describe a run of this version "
                f"({error}): use the version that wrote it"
            ) from error

    def load_weights(self, method: Method, strict: bool = True) -> None:
        """Put the newest checkpoint's weights into a method, on whatever device it is.

        With `strict` false, networks that the checkpoint lacks keep what they have.
        """
        path = self.require_latest() / "weights.safetensors"
        weights = read_tensors(path)
        expected = method.state_dict()
        odd = weights.keys() ^ expected.keys() if strict else weights.keys() - expected.keys()
        odd |= {
            n for n in weights.keys() & expected.keys() if weights[n].shape != expected[n].shape
        }
        if odd:
            name = min(odd)
            there, wanted = (
                f"of shape {tuple(tensors[name].shape)}" if name in tensors else "absent"
                for tensors in (weights, expected)
            )
            raise Problem(
                f"{path} is of another kind of run: {name} is {there}, {wanted} was expected"
            )
        method.load_state_dict(weights, strict=strict)

    def epochs_done(self) -> int:
        """How many epochs the newest checkpoint has behind it."""
        path = self.require_latest() / "progress.json"
        epoch = read_json(path).get("epoch")
        if not isinstance(epoch, int):
            raise Problem(f"cannot read {path} (no epoch in it)")
        return epoch

    def restore(self, method: Method) -> Progress:
        """Put a method back where the newest checkpoint left it; say where that was."""
        self.load_weights(method)
        folder = self.require_latest()
        state = read_tensors(folder / "trainer.safetensors")
        saved = read_json(folder / "progress.json")
        try:
            history = list(state.pop("history").to(method.device))
            method.load_trainer_state(state)
            return Progress(**saved, history=history)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise Problem(
                f"{folder} does not fit this run ({error}): delete that folder to go on "
                "from the checkpoint before it"
            ) from error

    # --- what is written ------------------------------------------------------------------------

    def start(self, config: dict[str, Any]) -> None:
        """Make the directory and write its configuration.

        Raises:
            Problem: the directory cannot be written.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_durably(self.directory / "config.json", json.dumps(config, indent=2) + "\n")
        except OSError as error:
            raise Problem(
                f"cannot write to {self.directory} ({error.strerror}): "
                "name another directory with --ckpt-dir"
            ) from error

    def save(self, method: Method, progress: Progress) -> Path:
        """Write a checkpoint of this moment, and metrics.csv as it should be at this moment.

        Raises:
            Problem: the disk refuses; earlier checkpoints are untouched.
        """
        target = self.checkpoints / f"step-{progress.total_steps + progress.step:08d}"
        partial = self.checkpoints / ".partial"
        history = torch.stack(progress.history) if progress.history else torch.empty(0, 0)
        trainer = method.trainer_state() | {"history": history}
        saved = {name: getattr(progress, name) for name in ("epoch", "step", "total_steps", "rows")}
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            write_tensors(partial / "weights.safetensors", method.state_dict())
            write_tensors(partial / "trainer.safetensors", trainer)
            write_durably(partial / "progress.json", json.dumps(saved))
            if not target.exists():  # saved already, by a signal right at an epoch's end
                partial.rename(target)
                flush(self.checkpoints)
            if progress.rows:
                import pandas as pd  # late: only training needs it, and it takes half a second

                table = pd.DataFrame(progress.rows)
                write_durably(self.directory / "metrics.csv", table.to_csv(index=False))
            for old in sorted(self.checkpoints.glob(STEP))[:-KEEP]:
                shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise Problem(
                f"cannot save to {target} ({error.strerror}): make room or name another directory "
                "with --ckpt-dir; the checkpoints before it are whole"
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return target

    def archive(self, name: str) -> Session:
        """Move the run in this directory into a sub-directory, making room for another.

        Stopped half-way it can be done again: the configuration is copied first and the
        checkpoints go last, so that they are always beside one.

        Raises:
            Problem: that sub-directory has a run already, or the disk refuses.
        """
        target = Session(self.directory / name)
        if target.latest():
            raise Problem(
                f"{self.directory} is to move to {target.directory}, where another run is: "
                "name another --ckpt-dir, or move that one away"
            )
        target.start(self.config())
        try:
            for item in ("samples", "metrics.csv", "checkpoints"):
                if (self.directory / item).exists():
                    (self.directory / item).rename(target.directory / item)
            flush(self.directory)
        except OSError as error:
            raise Problem(
                f"cannot move {self.directory} to {target.directory} ({error.strerror})"
            ) from error
        return target


# --- files ----------------------------------------------------------------------------------------


def write_durably(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, and return once it is on the disk."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    flush(path.parent)


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as safetensors, from whatever device, durably."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_durably(path, safetensors.torch.save(on_cpu))


def flush(folder: Path) -> None:
    """Return once the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        Problem: it is missing or damaged.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise Problem(
            f"cannot read {path} ({error}): delete {path.parent} to go on from the checkpoint "
            "before it"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        Problem: it is missing, damaged, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Problem(f"cannot read {path} ({error})") from error
    if not isinstance(content, dict):
        raise Problem(f"cannot read {path} (it holds no JSON object)")
    return content
