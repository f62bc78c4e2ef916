"""All ten digits in one handwriting, or in many: what generate-all.py does."""

from __future__ import annotations

import argparse
import csv
import io
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from mnist import files
from mnist.commands.cli import DEFAULTS, numbers, run_directory, whole_number
from mnist.commands.tools import as_style, check_output, open_run, show, test_images, write
from mnist.data import CLASSES
from mnist.data.scan import read_scan
from mnist.errors import Problem
from mnist.figures import sheets
from mnist.figures.display import Probe
from mnist.figures.sheets import Section
from mnist.latent import maps
from mnist.training.run import Generated, Run

SUFFIXES = (".png", ".npz", "")
SOURCES = ("style", "from_image", "from_test", "blend", "count")
MOST_ROWS = 200  # of a picture: more cannot be looked at
MOST_STYLES = 100_000  # 0.8 GB of images, and as much again on their way into a file
SHOWN = 8  # numbers of a style that fit beside a row


class Rows(NamedTuple):
    """Styles to write all digits in, and what is shown above them."""

    styles: Tensor  # [K, N]
    title: str
    above: tuple[Section, ...] = ()


def generate_all(given: dict[str, Any]) -> None:
    """Do what the command line says.

    Args:
        given: the flags that were given, by name.

    Raises:
        Problem: anything that its user can mend.
    """
    output = check_output(given, SUFFIXES)
    refuse_contradictions(given, output)
    probe = None if output else Probe()
    run = open_run(given)
    if not run.config["model"]["labels"]:
        raise Problem(
            f"{run_directory(given)} was trained with --no-labels: it cannot be asked for a digit"
        )
    rows = choose(run, given)
    generated = run.generate(rows.styles, sharpness=given.get("sharpness"))
    if kind_of(output) == ".png":
        png = draw(rows, generated)
        show(given, "generate-all", output, probe, lambda _: png, partial(open_window, png))
        return
    if kind_of(output) == ".npz":
        write(output, npz(generated))
    else:
        write_directory(output, generated)
    print(f"{len(generated.images):,} images written to {output}")


def kind_of(output: Path | None) -> str:
    """The suffix of what is to be made; a window shows what a .png would hold."""
    return output.suffix.lower() if output else ".png"


def open_window(png: bytes, title: str, path: Path) -> None:
    """Show the picture until its window is closed."""
    from mnist.figures.window import show_picture  # late: PyQt5 need not be there

    show_picture(png, title, path)


def refuse_contradictions(given: dict[str, Any], output: Path | None) -> None:
    """Raise a Problem for flags that do not go together, or ask for too much."""
    asked = [flag for flag in SOURCES if flag in given]
    if len(asked) > 1:
        one, other = ("--" + flag.replace("_", "-") for flag in asked[:2])
        raise Problem(f"{one} and {other} cannot go together: each says which styles to take")
    if ("digit" in given) != ("from_image" in given):
        raise Problem("--from-image and --digit go together: the encoder is told the digit")
    rows = given.get("count", 1)
    if "blend" in given:
        try:
            rows = whole_number(2)(given["blend"][2])
        except argparse.ArgumentTypeError as error:
            raise Problem(f"--blend A B STEPS: the steps, {error}") from error
    if kind_of(output) == ".png" and rows > MOST_ROWS:
        raise Problem(
            f"a picture of {rows:,} rows is more than can be looked at: take at most {MOST_ROWS}, "
            "or --output FILE.npz or a directory"
        )
    if rows > MOST_STYLES:
        raise Problem(f"{rows:,} styles are too many for one file: take at most {MOST_STYLES:,}")


def choose(run: Run, given: dict[str, Any]) -> Rows:
    """The styles that the flags ask for.

    Raises:
        Problem: they ask for what there is not.
    """
    if "style" in given:
        return Rows(as_style(run, given["style"], "--style"), "all ten digits in this style")
    if "from_image" in given:
        return like(run, read_scan(given["from_image"]), given["digit"], Path(given["from_image"]))
    if "from_test" in given:
        batch = test_images(run, [given["from_test"]], given)
        what = f"test image {given['from_test']}"
        return like(run, batch.images, batch.labels.item(), what)
    if "blend" in given:
        start, end, steps = given["blend"]
        styles = maps.blend(end_of(run, start, given)[0], end_of(run, end, given)[0], int(steps))
        return Rows(styles, f"from {start} to {end}")
    wanted = DEFAULTS | given
    generator = torch.Generator().manual_seed(wanted["seed"])
    title = f"all ten digits in styles drawn from the prior, seed {wanted['seed']}"
    return Rows(run.prior.sample(wanted["count"], generator), title)


def end_of(run: Run, text: str, given: dict[str, Any]) -> Tensor:
    """An end of a blend: "test17", or a style."""
    if match := re.fullmatch(r"test(\d{1,9})", text):
        batch = test_images(run, [int(match[1])], given)
        return run.encode(batch.images, batch.labels)
    try:
        return as_style(run, numbers(text), "--blend")
    except argparse.ArgumentTypeError as error:
        raise Problem(f"--blend: {error}, or a test image such as test17") from error


def like(run: Run, image: Tensor, digit: int, what: str | Path) -> Rows:
    """The style of an image [1, 1, 28, 28], and the image beside its reconstruction."""
    labels = torch.tensor([digit])
    style = run.encode(image, labels)
    pair = sheets.grid([torch.cat([image, run.decode(style, labels)])])
    above = Section(f"{what} as a {digit}: as the encoder sees it, and its reconstruction", pair)
    return Rows(style, "all ten digits in its style", (above,))


def draw(rows: Rows, generated: Generated) -> bytes:
    """A PNG with a row of digits for each style, and its numbers beside it."""
    grid = generated.images.reshape(-1, CLASSES, *generated.images.shape[1:]) / 255
    captions = [
        ",".join(f"{number:.2f}" for number in style[:SHOWN]) + (",…" if len(style) > SHOWN else "")
        for style in rows.styles.tolist()
    ]
    return sheets.sheet([*rows.above, Section(rows.title, grid, captions)])


def npz(generated: Generated) -> bytes:
    """The arrays as a NumPy archive, not compressed: that would take longer than all the rest."""
    buffer = io.BytesIO()
    np.savez(buffer, **generated._asdict())
    return buffer.getvalue()


def write_directory(path: Path, generated: Generated) -> None:
    """A PNG for each image, 255 being ink as in MNIST, and index.csv, which says what each shows.

    Raises:
        Problem: the disk refuses; half of it is never found by its name.
    """
    beside = path.with_name(f".{path.name}.partial")
    size = generated.styles.shape[1]
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        with open(beside / "index.csv", "w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["file", "digit", *(f"style_{i}" for i in range(size))])
            everything = zip(*generated, strict=True)
            for number, (image, digit, style) in enumerate(
                tqdm(everything, total=len(generated.images), unit=" images", disable=None)
            ):
                name = f"{number // CLASSES:06d}-{digit}.png"
                Image.fromarray(image).save(beside / name)
                table.writerow([name, digit, *style.tolist()])
        beside.rename(path)
        files.flush(path.parent)
    except OSError as error:
        raise Problem(f"cannot write {path} ({error.strerror})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
