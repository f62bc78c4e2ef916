"""The rows of metrics.csv for TensorBoard, beside the run: an optional package."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnist.errors import UserError, warn

PARTS = "train", "test", "held_out", "generated"  # of the data, as columns of metrics.csv begin


class TensorBoard:
    """Event files of a run, made anew from its rows whenever it goes on.

    So they say what metrics.csv says, wherever a run was killed.

    Args:
        folder: where they are; what was there is deleted.
        rows: of the epochs done so far.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self, folder: Path, rows: Sequence[Mapping[str, float]]):
        writer = summary_writer()
        self.folder = folder
        self.writer: Any = None
        try:
            if folder.exists():
                shutil.rmtree(folder)
            self.writer = writer(str(folder))
        except OSError as error:
            self.give_up(error)
        for row in rows:
            self.tell(row)

    def tell(self, row: Mapping[str, float]) -> None:
        """Write an epoch's row: "test_mse" as "mse/test", so that all of a name share a plot."""
        if self.writer is None:
            return
        try:
            for column, value in row.items():
                part = next((part for part in PARTS if column.startswith(f"{part}_")), None)
                if part:
                    name = f"{column.removeprefix(f'{part}_')}/{part}"
                    self.writer.add_scalar(name, value, int(row["epoch"]))
            self.writer.flush()
        except OSError as error:
            self.give_up(error)

    def give_up(self, error: OSError) -> None:
        """Say that no more goes there: a run is worth more than its curves."""
        warn(f"cannot write {self.folder} ({error.strerror}): TensorBoard gets no more numbers")
        self.writer = None


def summary_writer() -> Any:
    """The class that writes event files.

    Raises:
        UserError: the package is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # late: it takes seconds to import
    except ImportError as error:
        raise UserError(
            "--tensorboard needs a package that is not installed: pip install tensorboard"
        ) from error
    return SummaryWriter
