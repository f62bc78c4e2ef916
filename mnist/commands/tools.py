"""What the tools on a trained run share: opening it, and where their results go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnist import files
from mnist.commands.arguments import run_directory
from mnist.data import Batch, Dataset, load_same_dataset, more_data_than
from mnist.errors import UserError, warn
from mnist.figures.display import Probe
from mnist.training import run as runs
from mnist.training.environment import choose_device
from mnist.training.run import Run
from mnist.training.session import Session

FAR = 5.0  # standard deviations, beyond which no style of the prior's lies


def open_run(given: dict[str, Any], *able: str) -> Run:
    """The run that the flags name, which is able to do what is needed.

    Args:
        given: the flags.
        able: "encode", "decode", "generate" or "classify".

    Raises:
        UserError: there is none, or it cannot; or `--feature-size` says otherwise than it.
    """
    directory = run_directory(given)
    if "ckpt_dir" not in given and "feature_size" in given and not Session(directory).folders():
        raise UserError(
            f"no trained run in {directory}: train one first, as with ./mnist-aae.py "
            f"--feature-size {given['feature_size']}"
        )
    run = open_directory(directory, chosen_device(given))
    for what in able:
        run.require(what)
    size = run.feature_size
    if given.get("feature_size", size) != size:
        has = f"a style of {size} dimensions" if size else "no prior of styles"
        raise UserError(
            f"{directory} has {has}, and --feature-size {given['feature_size']} was given: leave "
            "it out"
        )
    if line := more_data_than(run.config["training"], given.get("data_dir")):
        warn(f"{directory}: {line}")
    return run


def chosen_device(given: dict[str, Any]) -> torch.device:
    """Where the flags say to compute; without them the fastest device there is."""
    return choose_device(given.get("device", "auto"))


def open_directory(directory: Path, device: str | torch.device = "cpu") -> Run:
    """What was trained in a directory; where its newest checkpoint is damaged, with a warning.

    Raises:
        UserError: nothing was.
    """
    run = runs.open_run(directory, device)
    if run.damage:
        warn(f"damaged, and passed over: {run.damage}")
    return run


def class_of(run: Run, given: dict[str, Any], flag: str = "digit") -> int | None:
    """The class that a flag names, by name or index; None where it was not given.

    Raises:
        UserError: the run's data set has none such.
    """
    try:
        return run.spec.label(given[flag]) if flag in given else None
    except UserError as error:
        raise UserError(f"--{flag.replace('_', '-')}: {error}") from error


def common_dataset(runs: Sequence[Run], given: dict[str, Any]) -> Dataset:
    """The data set that all of some runs were trained on.

    Raises:
        UserError: they were trained on different ones, or it is not found.
    """
    if len({run.config["training"]["dataset_sha256"] for run in runs}) > 1:
        names = ", ".join(run.config["training"]["dataset"] for run in runs)
        raise UserError(
            f"the runs were trained on different data sets ({names}): take one at a time"
        )
    return load_same_dataset(runs[0].config["training"], given.get("data_dir"))


def as_style(run: Run, numbers: list[float], flag: str) -> Tensor:
    """A style [1, N] from the numbers that a flag was given.

    Raises:
        UserError: they are not as many as this run's styles have, or too large.
    """
    if len(numbers) != run.prior.feature_size:
        raise UserError(
            f"{flag} has {len(numbers)} numbers, and a style of this run has "
            f"{run.prior.feature_size}"
        )
    style = torch.tensor([numbers])
    if not torch.isfinite(style).all():
        raise UserError(f"{flag} has a number beyond what float32 holds")
    return style


def warn_if_far(run: Run, style: Tensor, flag: str) -> None:
    """Warn of a style [1, N] that lies where the decoder was not trained."""
    farthest = (style / run.prior.std).abs().max().item()
    if farthest > FAR:
        warn(f"{flag} lies {farthest:g} standard deviations from the prior's mean: expect no digit")


def test_images(run: Run, numbers: list[int], given: dict[str, Any]) -> Batch:
    """Some images of the run's test set, and their digits.

    Raises:
        UserError: there is none of such a number, or the data set is not found.
    """
    test = load_same_dataset(run.config["training"], given.get("data_dir")).test
    if max(numbers) >= len(test):
        raise UserError(f"there is no test image {max(numbers):,}: the last is {len(test) - 1:,}")
    return test.batch(torch.tensor(numbers))


def check_output(given: dict[str, Any], suffixes: tuple[str, ...]) -> Path | None:
    """Where the result is to go, once that is seen to be possible; None for a window.

    Args:
        given: the flags.
        suffixes: that a file may have; "" stands for a directory, in which nothing may be yet.

    Raises:
        UserError: another suffix, or a place where nothing can be written.
    """
    if "output" not in given:
        return None
    path = Path(given["output"])
    if path.suffix.lower() not in suffixes:
        known = ", ".join(suffix or "a directory" for suffix in suffixes)
        raise UserError(f"--output {path}: {path.suffix or 'no suffix'} is not one of {known}")
    if not path.parent.is_dir():
        raise UserError(f"--output {path}: there is no directory {path.parent}")
    if path.is_dir() and (path.suffix or any(path.iterdir())):
        raise UserError(f"--output {path}: there is a directory of that name already")
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
        UserError: the disk refuses.
    """
    try:
        files.write_file(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror})") from error
