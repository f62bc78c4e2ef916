"""The rows of metrics.csv for TensorBoard, beside the run: an optional package."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnist.errors import UserError
from mnist.training.checkpoint import part_of


class TensorBoard:
    """Event files of a run, made anew from its rows whenever it goes on.

    So they say what metrics.csv says, wherever a run was killed.

    Args:
        folder: where they are; what was there is deleted.
        rows: of the epochs done so far.
        warn: how to say that they cannot be written.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(
        self,
        folder: Path,
        rows: Sequence[Mapping[str, float]],
        warn: Callable[[str], None],
    ):
        writer = summary_writer()
        self.folder, self.warn = folder, warn
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
                if found := part_of(column):
                    part, name = found
                    self.writer.add_scalar(f"{name}/{part}", value, int(row["epoch"]))
            self.writer.flush()
        except OSError as error:
            self.give_up(error)

    def give_up(self, error: OSError) -> None:
        """Say that no more goes there: a run is worth more than its curves."""
        self.warn(
            f"cannot write {self.folder} ({error.strerror}): TensorBoard gets no more numbers"
        )
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
