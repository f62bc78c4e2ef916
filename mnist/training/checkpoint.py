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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnist import files
from mnist.data.mnist import MNIST
from mnist.data.spec import DataSpec
from mnist.errors import UserError
from mnist.methods import METHODS, Method

CONTENTS = ("config.json", "progress.json", "weights.safetensors", "trainer.safetensors")
# What these hold at least; numbers are not negative.
CONFIG = {"method": str, "model": dict, "training": dict}
TRAINING = {"dataset": str, "dataset_sha256": str, "batch_size": int, "epochs": int}
PROGRESS = {"epoch": int, "step": int, "total_steps": int, "rows": list}


class History:
    """Numbers of each step of an epoch, which may differ from step to step.

    They stay on the device until they are asked for: looking at one makes the host wait for it.

    Attributes:
        names: of all numbers that any step had, in the order in which they came up.
    """

    def __init__(self, names: Sequence[str] = (), values: Tensor | None = None):
        self.names = list(names)
        # Of each step which numbers it has, and their values [K].
        self.steps: list[tuple[tuple[int, ...], Tensor]] = []
        for row in values if values is not None else ():
            there = torch.nonzero(~row.isnan())[:, 0]  # only finite numbers are saved
            self.steps.append((tuple(there.tolist()), row[there]))

    def __len__(self) -> int:
        return len(self.steps)

    def append(self, numbers: dict[str, Tensor]) -> None:
        """Add a step's scalars.

        Raises:
            ValueError: the epoch was begun by a version that had other numbers.
        """
        if self.names and not any(self.names):  # written before they had names
            if len(self.names) != len(numbers):
                raise ValueError("another version of mnist-style stopped it within an epoch")
            self.names = [*numbers]
        self.names += [name for name in numbers if name not in self.names]
        which = tuple(map(self.names.index, numbers))
        values = [*numbers.values()]
        self.steps.append((which, torch.stack(values) if values else torch.empty(0)))

    def table(self) -> Tensor:
        """float32 [steps, names] on the CPU, NaN where a step has no such number."""
        table = torch.full((len(self.steps), len(self.names)), torch.nan)
        groups: dict[tuple[int, ...], list[int]] = {}
        for step, (which, _) in enumerate(self.steps):
            groups.setdefault(which, []).append(step)
        for which, steps in groups.items():
            values = torch.stack([self.steps[step][1] for step in steps]).float().cpu()
            table[torch.tensor(steps).unsqueeze(1), torch.tensor(which, dtype=torch.int64)] = values
        return table

    def first_bad(self) -> tuple[int, dict[str, float]] | None:
        """The first step with a number that is NaN or infinite, and its numbers."""
        # Of each step how many are finite, against how many it has.
        finite = self.table().isfinite().sum(1).tolist()
        for step, (which, values) in enumerate(self.steps):
            if finite[step] < len(which):
                names = [self.names[i] for i in which]
                return step, dict(zip(names, values.tolist(), strict=True))
        return None

    def means(self) -> dict[str, float]:
        """Mean of each number over the steps that have it."""
        return dict(zip(self.names, self.table().double().nanmean(0).tolist(), strict=True))


PARTS = "train", "test", "held_out", "generated"  # of the data, as columns of metrics.csv begin


def columns_of(numbers: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Numbers by part of the data, as columns of metrics.csv have them."""
    return {f"{part}_{name}": v for part, each in numbers.items() for name, v in each.items()}


def part_of(column: str) -> tuple[str, str] | None:
    """Which part of the data a column of metrics.csv is about, and what it says of it.

    "held_out_mse" -> ("held_out", "mse"); None for the number of the epoch, or of its steps.
    """
    part = next((part for part in PARTS if column.startswith(f"{part}_")), None)
    return (part, column.removeprefix(f"{part}_")) if part else None


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: epochs completed.
        step: steps done in the epoch after those.
        total_steps: steps done in all completed epochs.
        rows: one dict of numbers per completed epoch, the rows of metrics.csv.
        history: numbers of each step of this epoch so far.
    """

    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    history: History = field(default_factory=lambda: History())

    @property
    def steps(self) -> int:
        """Steps done in all."""
        return self.total_steps + self.step

    def finish_epoch(self, steps: int, **numbers: dict[str, float]) -> None:
        """Count an epoch of so many steps as completed, with its numbers: train, test, ..."""
        self.epoch += 1
        self.total_steps += steps
        # No seconds here: the file of a run that was stopped is to equal that of one that was not.
        self.rows.append({"epoch": self.epoch, "step": self.total_steps} | columns_of(numbers))
        self.step = 0
        self.history = History()


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
            UserError: it is, but not for this version.
        """
        return cls.of(folder, files.read_folder(folder, CONTENTS), damaged)

    @classmethod
    def of(cls, folder: Path, content: dict[str, bytes], damaged: dict[Path, str]) -> Checkpoint:
        """What the contents of a folder say.

        Raises:
            Damaged: they are not those of a checkpoint.
            UserError: they are, but not for this version.
        """
        config, progress = (files.json_object(name, content[name]) for name in CONTENTS[:2])
        refuse_other_types(f"{folder / 'config.json'}", config, CONFIG)
        refuse_other_types(f"{folder / 'config.json'}: training", config["training"], TRAINING)
        refuse_other_types(f"{folder / 'progress.json'}", progress, PROGRESS)
        if "names" in progress:
            names = progress["names"]
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise UserError(
                    f"{folder / 'progress.json'} is of another kind of run: its 'names'"
                )
        if config["method"] not in METHODS:
            raise UserError(
                f"{folder} is of an unknown method {config['method']!r}: name the .py file that "
                "registers it in MNIST_IMPORT (docs/extending.md)"
            )
        weights, trainer = (files.tensors(name, content[name]) for name in CONTENTS[2:])
        return cls(folder, config, progress, weights, trainer, damaged)

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
            UserError: it describes none, or one that the weights are not of.
        """
        kind = METHODS[self.config["method"]]
        model = {**kind.earlier, **self.config["model"]}
        for name in kind.dropped:
            model.pop(name, None)
        try:
            spec = DataSpec.from_config(self.config["data"]) if "data" in self.config else MNIST
            # Of classifiers up to version 0.5.0; now the data set's.
            if model.pop("classes", spec.classes) != spec.classes:
                raise ValueError(f"its classes are not the {spec.classes} of its data set")
            # Shapes first, which take no memory: a configuration may claim any size.
            with torch.device("meta"):
                blueprint = kind(spec, **model)
            self.refuse_other_shapes(blueprint)
            return kind(spec, **model)
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise UserError(
                f"{self.folder / 'config.json'} does not describe a run of this version "
                f"({error}): use the one that its 'versions' name"
            ) from error

    def load_weights(self, method: Method, strict: bool = True) -> None:
        """Put the weights into a method, on whatever device it is.

        With `strict` false, networks that the checkpoint lacks keep what they have.

        Raises:
            UserError: they are of other networks.
        """
        self.refuse_other_shapes(method, strict)
        method.load_state_dict(self.weights, strict=strict)

    def refuse_other_shapes(self, method: Method, strict: bool = True) -> None:
        """Raise a UserError where the weights are not those of such a method."""
        expected, there = (
            {n: f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for n, t in each.items()}
            for each in (method.state_dict(), self.weights)
        )
        for name in sorted(expected.keys() | there.keys()):
            if name not in there and not strict:
                continue
            if expected.get(name) != there.get(name):
                raise UserError(
                    f"{self.folder} is of another kind of run: {name} is "
                    f"{there.get(name, 'absent')}, {expected.get(name, 'absent')} was expected"
                )

    def restore(self, method: Method) -> Progress:
        """Put a method back into this moment; say where that is in the training.

        Raises:
            UserError: this is a moment of something else.
        """
        self.load_weights(method)
        state = dict(self.trainer)
        try:
            values = state.pop("history").to(method.device)
            method.load_trainer_state(state)
            saved = dict(self.progress)
            # Up to version 0.5.0 they had no names; those that the method gives are its first ones.
            names = saved.pop("names", [""] * values.shape[1])
            progress = Progress(**saved, history=History(names, values))
            history = progress.history
            if (len(history), len(progress.rows)) != (progress.step, progress.epoch):
                raise ValueError("its steps and rows are not as many as it says")
            for row in progress.rows:
                refuse_other_types("a row", row, {"epoch": int})
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{self.folder} does not fit this run ({error})") from error
        return progress


def contents(
    config: dict[str, Any], method: Method, progress: Progress
) -> dict[str, files.Content]:
    """The files of a checkpoint of this moment, by name."""
    saved = {name: getattr(progress, name) for name in ("epoch", "step", "total_steps", "rows")}
    if progress.history.names:
        saved["names"] = progress.history.names
    ordered = (
        files.json_bytes(config),
        files.json_bytes(saved),
        files.tensor_pieces(method.state_dict()),
        files.tensor_pieces(method.trainer_state() | {"history": progress.history.table()}),
    )
    return dict(zip(CONTENTS, ordered, strict=True))


def refuse_other_types(where: str, content: dict[str, Any], types: Mapping[str, type]) -> None:
    """Raise a UserError where an object lacks something of these types."""
    for key, wanted in types.items():
        value = content.get(key) if isinstance(content, dict) else None
        if not isinstance(value, wanted) or (isinstance(value, int) and value < 0):
            raise UserError(f"{where} is of another kind of run: its {key!r} is {value!r:.50}")
