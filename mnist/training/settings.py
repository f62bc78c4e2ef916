"""What to train and how; and the flags that say so. No torch here, so that --help is instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mnist.options import Count, Several
from mnist.reading import Reading


@dataclass(frozen=True, kw_only=True)
class Settings(Reading):
    """What to train and how. None is for what was not given: then the default holds, or the run's.

    Args (besides those of `Reading`):
        method: a key of `METHODS`.
        options: of the method, those that were given.
        epochs (E): epochs in all.
        batch_size (B): images a step.
        ckpt_dir (DIR): directory of the run, which is resumed there.
        dataset (NAME): mnist, the 70,000 images, mnist-5k, those that are always there, another
            name, or the path of your own (docs/data.md); auto takes the first of these two that it
            can have (default: auto).
        data_dir (DIR): where the files are, or are downloaded to (default: $MNIST_DATA_DIR, then
            ./data).
        hold_out (K): keep K training images from training, the last ones of each class, and
            validate on them as well.
        patience (P): stop after P epochs without improvement on held-out training images; keeps the
            last weights.
        keep_best: keep the best epoch by held-out training images as well, as a run in DIR/best.
        device: where to compute (default: auto).
        cuda_graph: capture a step in a CUDA graph and launch it whole from then on, instead of
            kernel by kernel; of some methods, and not yet tried on a GPU (docs/performance.md).
        log_every (K): batches between two lines.
        save_every (K): steps between two checkpoints, besides the one at each epoch's end.
        keep (K): checkpoints kept, the newest ones.
        tensorboard: write the numbers of metrics.csv for TensorBoard as well, into DIR/tensorboard;
            needs that package.
        deterministic: the same bits on every run on a GPU too, if more slowly; on a CPU they are so
            anyway.
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    epochs: Count | None = None
    batch_size: Several | None = None
    ckpt_dir: Path
    dataset: str | None = None
    data_dir: str | None = None
    hold_out: Count | None = None
    patience: Count | None = None
    keep_best: bool | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] | None = None
    cuda_graph: bool = False
    log_every: Count = 100
    save_every: Count | None = None
    keep: Count = 2
    tensorboard: bool = False
    deterministic: bool | None = None
