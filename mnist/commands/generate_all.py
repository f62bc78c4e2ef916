"""All ten digits in one handwriting, or in many: what generate-all.py does."""

from __future__ import annotations

import csv
import io
import re
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from mnist import files
from mnist.commands.classifiers import trained_beside
from mnist.commands.flags import KINDS, GenerateAllFlags
from mnist.commands.hands import doubts_of, hand_of, known_writers, page_of, pictures_in, written_by
from mnist.commands.tools import (
    as_style,
    check_output,
    class_of,
    open_run,
    show,
    test_images,
    warn_if_far,
    write,
)
from mnist.commands.written_text import write_text
from mnist.data import Unavailable, load_same_dataset
from mnist.data.spec import DataSpec
from mnist.errors import UserError, warn
from mnist.figures import sheets
from mnist.figures.display import Probe
from mnist.figures.images import grid
from mnist.figures.sheets import Section
from mnist.figures.text import Page, as_outlines, as_picture
from mnist.latent import maps
from mnist.networks.prior import InParts, same_in_all_parts
from mnist.options import flag_of
from mnist.training.run import Generated, Run

PICTURES = (".png", ".jpg", ".jpeg")
SUFFIXES = (*PICTURES, ".npz", "")
OF_TEXT = (*PICTURES, ".svg")
SOURCES = ("style", "from_image", "from_images", "from_test", "writer", "blend", "count")
FROM_IMAGES = ("from_image", "from_images", "from_test")
MOST_ROWS = 200  # of a picture: more cannot be looked at
MOST_STYLES = 100_000  # 0.8 GB of images, and as much again on their way into a file
ACROSS = 10  # of somebody's pictures in a row
WIDE = 26  # columns of classes at most, side by side
SHEET = 20  # images in a row, where there is one of each of more than half as many styles
SHOWN = 8  # coordinates of a style that fit beside a row


class Rows(NamedTuple):
    """Styles to write all digits in, and what is shown above them."""

    styles: Tensor  # [K, N]
    title: str
    above: tuple[Section, ...] = ()
    part_word: str = ""  # where they are of each of a prior's parts in turn, what one is called
    parts: int = 1  # how many of these share a row


def generate_all(flags: GenerateAllFlags) -> None:
    """Do what the command line says.

    Raises:
        UserError: any user error.
    """
    output = check_output(flags.output, SUFFIXES if flags.text is None else OF_TEXT)
    refuse_contradictions(flags, output)
    with nullcontext() if output else Probe() as probe:
        write_all(flags, output, probe)


def write_all(flags: GenerateAllFlags, output: Path | None, probe: Probe | None) -> None:
    """Write all digits into a file, or show them where there can be a window."""
    run = open_run(flags, "decode")
    if flags.writer is not None:
        content = sheets.converted(sheets.sheet(writers_page(run, flags)), kind_of(output), {})
        show_content(flags, content, output, probe)
        return
    classes = chosen_classes(run, flags.digits)
    rows = choose(run, flags)
    if flags.text is not None:
        kind, sharpness = kind_of(output), flags.sharpness
        if kind == ".svg" and sharpness is None:
            sharpness = 1.0  # of smooth images outlines are smooth, and lie in the same places
        page = write_text(run, flags.text, rows.styles, sharpness, flags.seed)
        show_content(flags, text_as(kind, page, flags.text, rows), output, probe)
        return
    generated = run.generate(rows.styles, sharpness=flags.sharpness, classes=classes)
    if output is None or kind_of(output) in PICTURES:
        show_content(flags, draw(run, rows, generated, kind_of(output)), output, probe)
        return
    if kind_of(output) == ".npz":
        write(output, npz(generated, rows))
    else:
        write_directory(output, generated, run.spec, rows)
    print(f"{len(generated.images):,} images written to {output}")


def show_content(
    flags: GenerateAllFlags, content: bytes, output: Path | None, probe: Probe | None
) -> None:
    """Bring a picture before the user's eyes."""
    window = partial(open_window, content)
    show(flags.directory, "generate-all", output, probe, lambda _: content, window)


def text_as(suffix: str, page: Page, text: str, rows: Rows) -> bytes:
    """A written text as a file of a kind, which says in what styles it is.

    Raises:
        UserError: outlines of images in colour.
    """
    if suffix != ".svg":
        return sheets.converted(as_picture(page), suffix, {"text": text, "styles": listed(rows)})
    if page.placed[0].image.ndim != 2:
        raise UserError("--output FILE.svg is of outlines of ink, and these images are in colour")
    return as_outlines(page, text)


def writers_page(run: Run, flags: GenerateAllFlags) -> list[Section]:
    """What --writer asks for.

    Raises:
        UserError: it is not known who wrote the images, or the run cannot show it.
    """
    run.require("encode")
    if not run.conditional:
        raise UserError(f"{run.name} is not given the {run.spec.class_word}, which --writer needs")
    dataset = load_same_dataset(run.config["training"], flags.data_dir)
    assert flags.writer is not None
    written = {writer: written_by(dataset.test, writer, dataset.name) for writer in flags.writer}
    known = known_writers(run, dataset)  # last: it encodes all training images
    return [
        page_of(run, theirs, known, writer, flags.sharpness) for writer, theirs in written.items()
    ]


def kind_of(output: Path | None) -> str:
    """The suffix of what is to be made; a window shows what a .png would hold."""
    return output.suffix.lower() if output else ".png"


def open_window(png: bytes, title: str, path: Path) -> None:
    """Show the picture until its window is closed."""
    from mnist.figures.window import show_picture  # late: PyQt5 need not be there

    show_picture(png, title, path)


def refuse_contradictions(flags: GenerateAllFlags, output: Path | None) -> None:
    """Raise a UserError for flags that do not go together, or ask for too much."""
    asked = [flag for flag in SOURCES if flag in flags.given]
    if len(asked) > 1:
        one, other = map(flag_of, asked[:2])
        raise UserError(f"{one} and {other} cannot go together: each says which styles to take")
    if (flags.digit is None) != (flags.from_image is None):
        raise UserError("--from-image and --digit go together: the encoder needs the class")
    images, digits = (len(each or ()) for each in (flags.from_image, flags.digit))
    if images != digits:
        raise UserError(
            f"--from-image has {images} pictures and --digit {digits} classes: say of "
            "each picture which it shows, in the same order"
        )
    if flags.draws and not any(flag in flags.given for flag in FROM_IMAGES):
        raise UserError("--draws goes with --from-image, --from-images or --from-test")
    if flags.text is not None and flags.digits is not None:
        raise UserError("--text and --digits cannot go together: the text says which")
    if flags.writer is not None:
        if flags.text is not None:
            raise UserError("--text and --writer cannot go together: that shows what they wrote")
        if kind_of(output) not in PICTURES:
            raise UserError("--writer makes a picture: --output FILE.png or .jpg")
        if flags.digits is not None:
            raise UserError("--writer and --digits cannot go together: it shows them all")
    rows = flags.draws or flags.count
    if flags.blend:
        try:
            rows = KINDS["Several"].parse(flags.blend[2])
        except ValueError as error:
            raise UserError(f"--blend A B STEPS: the steps, {error}") from error
    if kind_of(output) in PICTURES and rows > MOST_ROWS:
        raise UserError(
            f"a picture of {rows:,} rows is more than can be looked at: take at most {MOST_ROWS}, "
            "or --output FILE.npz or a directory"
        )
    if rows > MOST_STYLES:
        raise UserError(f"{rows:,} styles are too many for one file: take at most {MOST_STYLES:,}")


def choose(run: Run, flags: GenerateAllFlags) -> Rows:
    """The styles that the flags ask for.

    Raises:
        UserError: they ask for what there is not.
    """
    written = what_of(run, flags.digits)
    if flags.style is not None:
        style = as_style(run, flags.style, "--style")
        warn_if_far(run, style, "--style")
        return Rows(style, f"{written} in this style")
    pictures: list[tuple[Path, str]] = []
    if flags.from_image is not None and flags.digit is not None:  # they go together
        pictures = list(zip(map(Path, flags.from_image), flags.digit, strict=True))
    if flags.from_images is not None:
        pictures = pictures_in(flags.from_images, run.spec)
    if pictures:
        read = [own_image(run, str(path), digit) for path, digit in pictures]
        images, labels = torch.cat([image for image, _ in read]), [label for _, label in read]
        what = str(flags.from_images or pictures[0][0])
        if flags.from_images is None and len(pictures) > 1:
            what = f"{len(pictures)} pictures"
        return like(run, images, torch.tensor(labels), what, written, flags)
    if flags.from_test is not None:
        batch = test_images(run, [flags.from_test], flags.data_dir)
        what = f"test image {flags.from_test}"
        return like(run, batch.images, batch.labels, what, written, flags)
    if flags.blend:
        start, end, steps = (text.strip() for text in flags.blend)
        first, last = (end_of(run, text, flags.data_dir)[0] for text in (start, end))
        return Rows(maps.blend(first, last, int(steps)), f"from {start} to {end}")
    run.require("generate")
    drawn = f"in styles drawn from the prior, seed {flags.seed}"
    prior = run.prior
    if isinstance(prior, InParts) and not run.conditional:
        styles = same_in_all_parts(prior, flags.count, flags.seed).transpose(0, 1).flatten(0, 1)
        return Rows(styles, f"every {prior.part_word} {drawn}", (), prior.part_word, prior.parts)
    generator = torch.Generator().manual_seed(flags.seed)
    return Rows(prior.sample(flags.count, generator), f"{written} {drawn}")


def own_image(run: Run, path: str, digit: str) -> tuple[Tensor, int]:
    """Somebody's picture as the encoder takes it, [1, C, H, W], and its class; with warnings.

    Raises:
        UserError: it cannot be read, or there is no such class.
    """
    run.require("encode")
    label = class_of(run, digit)
    from mnist.data.scan import read_alike  # late: scipy takes a quarter of a second to import

    image = read_alike(path, run.config["training"]["dataset"], run.spec, tell=warn)
    for doubt in doubts_of(run, trained_beside(run), image, label, path):
        warn(doubt)
    return image, label


def end_of(run: Run, text: str, data_dir: str | None) -> Tensor:
    """An end of a blend, "test17" or a style: [1, N].

    Raises:
        UserError: it is neither.
    """
    if match := re.fullmatch(r"test(\d{1,9})", text):
        batch = test_images(run, [int(match[1])], data_dir)
        return run.encode(batch.images, batch.labels).cpu()
    try:
        return as_style(run, KINDS["Numbers"].parse(text), "--blend")
    except ValueError as error:
        raise UserError(f"--blend: {error}, or a test image such as test17") from error


def chosen_classes(run: Run, digits: str | None) -> list[int] | None:
    """The classes that --digits names, or None for all.

    Raises:
        UserError: there is none such, or the run is unconditional.
    """
    if digits is None:
        return None
    if not run.conditional:
        raise UserError(f"{run.name} is not given the {run.spec.class_word}: leave --digits out")
    try:
        return [run.spec.label(text) for text in digits.split(",")]
    except UserError as error:
        raise UserError(f"--digits: {error}") from error


def what_of(run: Run, digits: str | None) -> str:
    """What is written in each style, for a title."""
    if not run.conditional:
        return "decodings"
    if digits is not None:
        return f"{run.spec.class_word} {', '.join(digits.split(','))}"
    return f"every {run.spec.class_word}"


def like(
    run: Run, images: Tensor, labels: Tensor, what: str, written: str, flags: GenerateAllFlags
) -> Rows:
    """The style of images [B, C, H, W] by one person, and them above their reconstructions.

    Args:
        labels: of the images, int64 [B].
        what: names them in messages.
        written: what the picture says of them.

    Raises:
        UserError: styles are to be drawn where they are points.
    """
    rebuilt = run.decode(run.encode(images, labels), labels).cpu()
    known = None
    if len(images) > 1:
        try:
            known = known_writers(run, load_same_dataset(run.config["training"], flags.data_dir))
        except Unavailable as missing:
            warn(str(missing))
        if known is None:
            warn(
                "who wrote the training images is not known, so that all of these count as drawn "
                "in the very same style (docs/handwriting.md)"
            )
    hand = hand_of(run, images, labels, known)
    named = f" as {run.spec.named(int(labels))}" if len(labels) == 1 else ""
    them, its = (
        ("it", "its reconstruction") if len(labels) == 1 else ("them", "their reconstructions")
    )
    who = "the encoder sees" if run.has_encoder else "the descent is given"
    seen = f"{what}{named}: as {who} {them}, and {its}"
    title = f"{written} in its style" if len(images) == 1 else f"{written} in their writer's style"
    style = hand.mean
    if flags.draws:
        if not hand.covariance.any():
            raise UserError(
                f"--draws: in {run.name} the style of an image is a point (--posterior "
                "deterministic): leave it out, or train another run"
            )
        style = hand.draw(flags.draws, torch.Generator().manual_seed(flags.seed))
        title = f"{written} in {flags.draws} styles that it allows, drawn with seed {flags.seed}"
    return Rows(style, title, (Section(seen, with_reconstructions(images, rebuilt)),))


def with_reconstructions(images: Tensor, rebuilt: Tensor) -> np.ndarray:
    """A grid of one image beside its reconstruction, or of several above theirs, [B, C, H, W]."""
    if len(images) == 1:
        return grid([torch.cat([images, rebuilt])])
    pairs = zip(images.split(ACROSS), rebuilt.split(ACROSS), strict=True)
    return grid([row for pair in pairs for row in pair])


def draw(run: Run, rows: Rows, generated: Generated, suffix: str) -> bytes:
    """A picture with a row for each style, and its numbers beside it; all of them inside a PNG.

    Of many styles with an image each, a sheet of these.
    """
    images, lines = generated.images, len(rows.styles) // rows.parts
    one_each = rows.styles.tolist() if rows.parts == 1 else []
    if len(images) == lines > SHEET // 2:
        lines = -(-lines // SHEET)
        blank = np.zeros((lines * SHEET - len(images), *images.shape[1:]), images.dtype)
        images, one_each = np.concatenate([images, blank]), []
    grid = images.reshape(lines, -1, *images.shape[1:]) / 255
    captions = [
        ",".join(f"{number:.2f}" for number in style[:SHOWN]) + (",…" if len(style) > SHOWN else "")
        for style in one_each
    ]
    sections = [Section(rows.title, grid, captions)]
    # Whoever looks at a digit knows which it is.
    if run.conditional and one_each and run.spec.class_word != "digit":
        names = [run.spec.class_names[label] for label in generated.labels[: grid.shape[1]]]
        sections = by_columns(rows.title, grid, captions, names)
    png = sheets.sheet([*rows.above, *sections])
    return sheets.converted(png, suffix, {"styles": listed(rows), "run": run.name})


def listed(rows: Rows) -> str:
    """All coordinates of styles, as --style takes them."""
    return "; ".join(",".join(f"{x:.6g}" for x in style) for style in rows.styles.tolist())


def by_columns(
    title: str, grid: np.ndarray, captions: list[str], names: list[str]
) -> list[Section]:
    """A grid with names above its columns, in as many parts as it takes for each to be legible."""
    parts = -(-len(names) // WIDE)
    each = -(-len(names) // parts)
    sections = []
    for start in range(0, len(names), each):
        these = names[start : start + each]
        which = f": {these[0]} to {these[-1]}" if parts > 1 else ""
        sections.append(Section(title + which, grid[:, start : start + each], captions, these))
    return sections


def npz(generated: Generated, rows: Rows) -> bytes:
    """The arrays as a NumPy archive, not compressed: that would take longer than all the rest."""
    buffer = io.BytesIO()
    arrays = generated._asdict()
    if rows.part_word:
        arrays["parts"] = np.arange(len(generated.images)) % rows.parts
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def write_directory(path: Path, generated: Generated, spec: DataSpec, rows: Rows) -> None:
    """A PNG for each image, 255 being ink as in MNIST, and index.csv, which says what each shows.

    Names begin with the number of the picture's row.

    Raises:
        UserError: the disk refuses; half of it is never found by its name.
    """
    styles = [f"style_{i}" for i in range(generated.styles.shape[1])]
    each = len(generated.images) // len(rows.styles) * rows.parts  # images in a row
    part_word = [rows.part_word] if rows.part_word else []
    try:
        with (
            files.new_folder(path) as folder,
            open(folder / "index.csv", "w", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["file", spec.class_word, *part_word, *styles])
            everything = zip(*generated, strict=True)
            for number, (image, label, style) in enumerate(
                tqdm(everything, total=len(generated.images), unit=" images", disable=None)
            ):
                part = [number % rows.parts] if rows.part_word else []
                (shown,) = part or [label]
                name = f"{number // each:06d}" + (f"-{shown}.png" if shown >= 0 else ".png")
                Image.fromarray(image).save(folder / name)
                table.writerow([name, label, *part, *style.tolist()])
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror})") from error
