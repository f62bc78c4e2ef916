"""What the tools on a trained run share: opening it, and where their results go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import torch
from torch import Tensor

from mnist import files
from mnist.commands.flags import RunFlags, ToolFlags
from mnist.data import Batch, Dataset, load_same_dataset, more_data_than
from mnist.errors import UserError, warn
from mnist.figures.display import Probe
from mnist.training import run as runs
from mnist.training.environment import choose_device
from mnist.training.run import Run
from mnist.training.run_directory import RunDirectory

FAR = 5.0  # standard deviations, beyond which no style of the prior's lies


def open_run(flags: RunFlags, *able: str) -> Run:
    """The run that the flags name, which is able to do what is needed.

    Args:
        flags: of the tool.
        able: "encode", "decode", "generate" or "classify".

    Raises:
        UserError: there is none, or it cannot; or `--feature-size` says otherwise than it.
    """
    sized = "feature_size" in flags.given
    if sized and not flags.ckpt_dir and not RunDirectory(flags.directory).folders():
        raise UserError(
            f"no trained run in {flags.directory}: train one first, as with ./mnist-aae.py "
            f"--feature-size {flags.feature_size}"
        )
    return open_run_in(flags.directory, flags, *able)


def open_run_in(directory: Path, flags: ToolFlags, *able: str) -> Run:
    """As `open_run`, but one of several: the run in a directory.

    Raises:
        UserError: likewise, or it has another latent dimension than was asked for.
    """
    wanted = flags.feature_size if "feature_size" in flags.given else None
    run = open_directory(directory, choose_device(flags.device))
    for what in able:
        run.require(what)
    size = run.feature_size
    if wanted and wanted != size:
        has = f"a style of {size} dimensions" if size else "no prior of styles"
        raise UserError(
            f"{directory} has {has}, and --feature-size {wanted} was given: leave it out"
        )
    if line := more_data_than(run.config["training"], flags.data_dir):
        warn(f"{directory}: {line}")
    return run


def open_directory(directory: Path, device: str | torch.device = "cpu") -> Run:
    """What was trained in a directory; where its newest checkpoint is damaged, with a warning.

    Raises:
        UserError: nothing was.
    """
    run = runs.open_run(directory, device)
    if run.damage:
        warn(f"damaged, and passed over: {run.damage}")
    return run


@overload
def class_of(run: Run, text: str, flag: str = ...) -> int: ...
@overload
def class_of(run: Run, text: None, flag: str = ...) -> None: ...
def class_of(run: Run, text: str | None, flag: str = "--digit") -> int | None:
    """The class that a flag names, by name or index; None where it was not given.

    Raises:
        UserError: the run's data set has none such.
    """
    try:
        return None if text is None else run.spec.label(text)
    except UserError as error:
        raise UserError(f"{flag}: {error}") from error


def common_dataset(runs: Sequence[Run], data_dir: str | None) -> Dataset:
    """The data set that all of some runs were trained on.

    Raises:
        UserError: they were trained on different ones, or it is not found.
    """
    if len({run.config["training"]["dataset_sha256"] for run in runs}) > 1:
        names = ", ".join(run.config["training"]["dataset"] for run in runs)
        raise UserError(
            f"the runs were trained on different data sets ({names}): take one at a time"
        )
    return load_same_dataset(runs[0].config["training"], data_dir)


def as_style(run: Run, numbers: Sequence[float], flag: str) -> Tensor:
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


def test_images(run: Run, numbers: Sequence[int], data_dir: str | None) -> Batch:
    """Some images of the run's test set, and their digits.

    Raises:
        UserError: there is none of such a number, or the data set is not found.
    """
    test = load_same_dataset(run.config["training"], data_dir).test
    if max(numbers) >= len(test):
        raise UserError(f"there is no test image {max(numbers):,}: the last is {len(test) - 1:,}")
    return test.batch(torch.tensor(numbers))


def check_output(
    output: str | None, suffixes: tuple[str, ...], flag: str = "--output"
) -> Path | None:
    """Where the result is to go, once that is seen to be possible; None for a window.

    Args:
        output: what the flag says, if it was given.
        suffixes: that a file may have; "" stands for a directory, in which nothing may be yet.
        flag: its name.

    Raises:
        UserError: another suffix, or a place where nothing can be written.
    """
    if output is None:
        return None
    path = Path(output)
    if path.suffix.lower() not in suffixes:
        known = ", ".join(suffix or "a directory" for suffix in suffixes)
        raise UserError(f"{flag} {path}: {path.suffix or 'no suffix'} is not one of {known}")
    if not path.parent.is_dir():
        raise UserError(f"{flag} {path}: there is no directory {path.parent}")
    if path.is_dir() and (path.suffix or any(path.iterdir())):
        raise UserError(f"{flag} {path}: there is a directory of that name already")
    return path


def show(
    directory: Path,
    script: str,
    output: Path | None,
    probe: Probe | None,
    picture: Callable[[str], bytes],
    window: Callable[[str, Path], None],
) -> None:
    """Bring a result before the user's eyes: in a file, in a window, or in a file after all.

    Args:
        directory: of the run.
        script: the tool's name.
        output: the file asked for, if one was.
        probe: whether there can be a window, if no file was asked for.
        picture: makes the content of a file of a kind such as "png".
        window: opens a window with a title, which saves to a path, and waits until it is closed.
    """
    fallback = directory / f"{script}.png"
    obstacle = probe.obstacle() if probe else None
    if output is None and obstacle is None:
        window(f"{script}: {directory}", fallback)
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
