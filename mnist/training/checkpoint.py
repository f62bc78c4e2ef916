"""One moment of a training run: what is written of it, and what comes back.

    step-00000300/
      config.json           what rebuilds the method, and what it is trained on
      progress.json         epoch, step, the rows of metrics.csv
      weights.safetensors   the networks
      trainer.safetensors   optimisers, random generator, the epoch's numbers so far
      manifest.json         size and SHA-256 of each, and of itself

It stands alone, and is written and read whole or not at all (`mnist/files.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnist import files
from mnist.errors import Problem
from mnist.methods import METHODS, Method

CONTENTS = ("config.json", "progress.json", "weights.safetensors", "trainer.safetensors")
# What these hold at least; numbers are not negative.
CONFIG = {"method": str, "model": dict, "training": dict}
TRAINING = {"dataset": str, "dataset_sha256": str, "batch_size": int, "epochs": int}
PROGRESS = {"epoch": int, "step": int, "total_steps": int, "rows": list}


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

    @property
    def steps(self) -> int:
        """Steps done in all."""
        return self.total_steps + self.step

    def finish_epoch(self, steps: int, **numbers: dict[str, float]) -> None:
        """Count an epoch of so many steps as completed, with its numbers: train, test, ..."""
        self.epoch += 1
        self.total_steps += steps
        # No seconds here: the file of a run that was stopped is to equal that of one that was not.
        self.rows.append(
            {"epoch": self.epoch, "step": self.total_steps}
            | {f"{on}_{name}": v for on, each in numbers.items() for name, v in each.items()}
        )
        self.step = 0
        self.history = []


@dataclass(frozen=True)
class Checkpoint:
    """One moment of a run, as it was read and found whole.

    Attributes:
        folder: where from.
        config: what rebuilds the method, and what it was trained on.
        progress: `Progress` without the history.
        weights: of the networks.
        trainer: all else that training needs.
        damaged: checkpoints after this one that are not whole, and why not.
    """

    folder: Path
    config: dict[str, Any]
    progress: dict[str, Any]
    weights: dict[str, Tensor]
    trainer: dict[str, Tensor]
    damaged: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, damaged: dict[Path, str]) -> Checkpoint:
        """Read and verify one.

        Raises:
            Damaged: it is not what was written.
            Problem: it is, but not for this version.
        """
        config, progress, weights, trainer = files.read_folder(folder, CONTENTS).values()
        config = files.json_object("config.json", config)
        progress = files.json_object("progress.json", progress)
        refuse_other_types(f"{folder / 'config.json'}", config, CONFIG)
        refuse_other_types(f"{folder / 'config.json'}: training", config["training"], TRAINING)
        refuse_other_types(f"{folder / 'progress.json'}", progress, PROGRESS)
        if config["method"] not in METHODS:
            raise Problem(f"{folder} names an unknown method {config['method']!r}")
        return cls(
            folder,
            config,
            progress,
            files.tensors("weights.safetensors", weights),
            files.tensors("trainer.safetensors", trainer),
            damaged,
        )

    @property
    def damage(self) -> str:
        """Which checkpoints after this one are not whole, and why, in a line; or nothing."""
        return "; ".join(f"{folder} ({why})" for folder, why in self.damaged.items())

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self.progress["epoch"]

    def build(self) -> Method:
        """The method that the configuration describes, with fresh weights.

        Raises:
            Problem: it describes none, or one that the weights are not of.
        """
        try:
            # Shapes first, which take no memory: a configuration may claim any size.
            with torch.device("meta"):
                blueprint = METHODS[self.config["method"]](**self.config["model"])
            self.refuse_other_shapes(blueprint)
            return METHODS[self.config["method"]](**self.config["model"])
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise Problem(
                f"{self.folder / 'config.json'} does not describe a run of this version "
                f"({error}): use the one that its 'versions' name"
            ) from error

    def load_weights(self, method: Method, strict: bool = True) -> None:
        """Put the weights into a method, on whatever device it is.

        With `strict` false, networks that the checkpoint lacks keep what they have.

        Raises:
            Problem: they are of other networks.
        """
        self.refuse_other_shapes(method, strict)
        method.load_state_dict(self.weights, strict=strict)

    def refuse_other_shapes(self, method: Method, strict: bool = True) -> None:
        """Raise a Problem where the weights are not those of such a method."""
        expected, there = (
            {n: f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for n, t in each.items()}
            for each in (method.state_dict(), self.weights)
        )
        for name in sorted(expected.keys() | there.keys()):
            if name not in there and not strict:
                continue
            if expected.get(name) != there.get(name):
                raise Problem(
                    f"{self.folder} is of another kind of run: {name} is "
                    f"{there.get(name, 'absent')}, {expected.get(name, 'absent')} was expected"
                )

    def restore(self, method: Method) -> Progress:
        """Put a method back into this moment; say where that is in the training.

        Raises:
            Problem: this is a moment of something else.
        """
        self.load_weights(method)
        state = dict(self.trainer)
        try:
            history = list(state.pop("history").to(method.device))
            method.load_trainer_state(state)
            progress = Progress(**self.progress, history=history)
            if (len(history), len(progress.rows)) != (progress.step, progress.epoch):
                raise ValueError("its steps and rows are not as many as it says")
            for row in progress.rows:
                refuse_other_types("a row", row, {"epoch": int})
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise Problem(f"{self.folder} does not fit this run ({error})") from error
        return progress


def contents(
    config: dict[str, Any], method: Method, progress: Progress
) -> dict[str, files.Content]:
    """The files of a checkpoint of this moment, by name."""
    history = torch.stack(progress.history) if progress.history else torch.empty(0, 0)
    saved = {name: getattr(progress, name) for name in ("epoch", "step", "total_steps", "rows")}
    ordered = (
        files.json_bytes(config),
        files.json_bytes(saved),
        files.tensor_pieces(method.state_dict()),
        files.tensor_pieces(method.trainer_state() | {"history": history}),
    )
    return dict(zip(CONTENTS, ordered, strict=True))


def refuse_other_types(where: str, content: dict[str, Any], types: dict[str, type]) -> None:
    """Raise a Problem where an object lacks something of these types."""
    for key, wanted in types.items():
        value = content.get(key) if isinstance(content, dict) else None
        if not isinstance(value, wanted) or (wanted is int and value < 0):
            raise Problem(f"{where} is of another kind of run: its {key!r} is {value!r:.50}")
