"""What the tools on a trained run share: opening it, and where their results go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnist import files
from mnist.commands.cli import run_directory, warn
from mnist.data import Batch, Dataset, load_same_dataset
from mnist.errors import Problem
from mnist.figures.display import Probe
from mnist.training.run import Reader, Run, open_trained


def open_run(given: dict[str, Any]) -> Run:
    """The run that the flags name.

    Raises:
        Problem: there is none, or `--feature-size` says otherwise than it.
    """
    directory = run_directory(given)
    run = open_directory(directory)
    if not isinstance(run, Run):
        raise Problem(
            f"{directory} is a classifier, which has no styles: name an autoencoder's --ckpt-dir"
        )
    if given.get("feature_size", run.prior.feature_size) != run.prior.feature_size:
        raise Problem(
            f"{directory} has styles of {run.prior.feature_size} numbers, and --feature-size "
            f"{given['feature_size']} was given: leave it out"
        )
    return run


def open_directory(directory: Path) -> Run | Reader:
    """What was trained in a directory; where its newest checkpoint is damaged, with a warning.

    Raises:
        Problem: nothing was.
    """
    trained = open_trained(directory)
    if trained.damage:
        warn(f"damaged, and passed over: {trained.damage}")
    return trained


def common_dataset(runs: Sequence[Run], given: dict[str, Any]) -> Dataset:
    """The data set that all of some runs were trained on.

    Raises:
        Problem: they were trained on different ones, or it is not found.
    """
    if len({run.config["training"]["dataset_sha256"] for run in runs}) > 1:
        names = ", ".join(run.config["training"]["dataset"] for run in runs)
        raise Problem(f"the runs were trained on different data sets ({names}): take one at a time")
    return load_same_dataset(runs[0].config["training"], given.get("data_dir"))


def as_style(run: Run, numbers: list[float], flag: str) -> Tensor:
    """A style [1, N] from the numbers that a flag was given.

    Raises:
        Problem: they are not as many as this run's styles have, or too large.
    """
    if len(numbers) != run.prior.feature_size:
        raise Problem(
            f"{flag} has {len(numbers)} numbers, and a style of this run has "
            f"{run.prior.feature_size}"
        )
    style = torch.tensor([numbers])
    if not torch.isfinite(style).all():
        raise Problem(f"{flag} has a number beyond what float32 holds")
    return style


def test_images(run: Run, numbers: list[int], given: dict[str, Any]) -> Batch:
    """Some images of the run's test set, and their digits.

    Raises:
        Problem: there is none of such a number, or the data set is not found.
    """
    test = load_same_dataset(run.config["training"], given.get("data_dir")).test
    if max(numbers) >= len(test):
        raise Problem(f"there is no test image {max(numbers):,}: the last is {len(test) - 1:,}")
    return test.batch(torch.tensor(numbers))


def check_output(given: dict[str, Any], suffixes: tuple[str, ...]) -> Path | None:
    """Where the result is to go, once that is seen to be possible; None for a window.

    Args:
        given: the flags.
        suffixes: that a file may have; "" stands for a directory, in which nothing may be yet.

    Raises:
        Problem: another suffix, or a place where nothing can be written.
    """
    if "output" not in given:
        return None
    path = Path(given["output"])
    if path.suffix.lower() not in suffixes:
        known = ", ".join(suffix or "a directory" for suffix in suffixes)
        raise Problem(f"--output {path}: {path.suffix or 'no suffix'} is not one of {known}")
    if not path.parent.is_dir():
        raise Problem(f"--output {path}: there is no directory {path.parent}")
    if path.is_dir() and (path.suffix or any(path.iterdir())):
        raise Problem(f"--output {path}: there is a directory of that name already")
    return path


def show(
    given: dict[str, Any],
    script: str,
    output: Path | None,
    probe: Probe | None,
    picture: Callable[[str], bytes],
    window: Callable[[str, Path], None],
) -> None:
    """Bring a result before the user's eyes: in a file, in a window, or in a file after all.

    Args:
        given: the flags.
        script: the tool's name.
        output: the file asked for, if one was.
        probe: whether there can be a window, if no file was asked for.
        picture: makes the content of a file of a kind such as "png".
        window: opens a window with a title, which saves to a path, and waits until it is closed.
    """
    fallback = run_directory(given) / f"{script}.png"
    obstacle = probe.obstacle() if probe else None
    if output is None and obstacle is None:
        window(f"{script}: {run_directory(given)}", fallback)
        return
    if output is None:
        output = fallback
        print(f"no window, as {obstacle}")
    write(output, picture(output.suffix[1:].lower()))
    print(f"picture written to {output}")


def write(path: Path, content: bytes) -> None:
    """Write a result, whole or not at all.

    Raises:
        Problem: the disk refuses.
    """
    try:
        files.write_file(path, content)
    except OSError as error:
        raise Problem(f"cannot write {path} ({error.strerror})") from error
