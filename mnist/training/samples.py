"""Pictures that training leaves: after each epoch what a method makes, in the end its curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mnist.data.types import Split
from mnist.figures import sheets
from mnist.figures.images import grid
from mnist.figures.sheets import Section
from mnist.methods import Classifies, Decodes, Encodes, Method
from mnist.networks.prior import InParts, Prior, names_of_parts, same_in_all_parts
from mnist.networks.random import child_seed, generator
from mnist.training.checkpoint import part_of
from mnist.training.validation import mean_style

COLUMNS = 20  # images in a row
REACH = 2.5  # standard deviations that a single number is moved by
SCREEN = 120  # dots per inch of the picture of curves
FEW = 10  # classes, of which two test images each are shown


@torch.no_grad()
def draw_samples(method: Method, test: Split) -> tuple[str, bytes] | None:
    """What a method makes of images not trained on, the same ones every time.

    Returns:
        What is shown and a PNG of it; None of a method that has neither.
    """
    if isinstance(method, Decodes) and (isinstance(method, Encodes) or method.prior is not None):
        sections = [reconstructions(method, test)] if isinstance(method, Encodes) else []
        if method.prior is not None:
            sections.append(generated(method, method.prior))
            sections += [moved(method, method.prior, code) for code in range(method.codes)]
        what = "test images" if isinstance(method, Encodes) else "samples"
        return what, sheets.sheet(sections)
    if isinstance(method, Classifies):
        with method.autocast():
            read = torch.cat([method.classify(batch.images).argmax(1) for batch in test.batches()])
        return "confusion matrix", sheets.confusion(test, read, method.spec)
    return None


def reconstructions(method: Method, test: Split) -> Section:
    """Test images of each class, and below them their reconstructions."""
    classes = method.spec.classes
    each = 2 if classes <= FEW else 1
    there = (torch.nonzero(test.labels == label)[:each, 0] for label in range(classes))
    batch = test.batch(torch.cat([*there]))
    style = mean_style(method.encode(batch.images, batch.labels))
    rebuilt = method.decode(style, batch.labels).sigmoid()
    lines = -(-len(style) // COLUMNS)
    across = -(-len(style) // lines)  # so that the lines are equally long
    pairs = zip(batch.images.split(across), rebuilt.split(across), strict=True)
    title = "test images, and below them their reconstructions"
    return Section(title, grid([row for pair in pairs for row in pair]))


def generated(method: Method, prior: Prior) -> Section:
    """Images in styles of its prior: of a conditional method each class, a row each."""
    spec = method.spec
    if isinstance(prior, InParts) and not method.conditional:
        seed = child_seed(method.seed, "pictures")
        of_parts = same_in_all_parts(prior, COLUMNS, seed).to(method.device)
        rows = [method.decode(styles).sigmoid() for styles in of_parts]
        title = f"{COLUMNS} styles drawn from the prior, a {prior.part_word} a row"
        return Section(title, grid(rows), names_of_parts(prior, spec.class_names))
    styles = prior.sample(COLUMNS, generator(method.seed, "pictures")).to(method.device)
    if not method.conditional:
        written = method.decode(styles).sigmoid()
        return Section(f"decodings of {COLUMNS} styles drawn from the prior", grid([written]))
    labels = torch.arange(spec.classes, device=method.device).repeat_interleave(COLUMNS)
    written = method.decode(styles.repeat(spec.classes, 1), labels).sigmoid()
    title = f"every {spec.class_word} in {COLUMNS} styles drawn from the prior, a style a column"
    return Section(title, grid(written.split(COLUMNS)), spec.class_names)


def moved(method: Method, prior: Prior, code: int) -> Section:
    """Images in one style of each part of its prior, a row each, as one of its numbers grows."""
    assert isinstance(prior, InParts)
    seed = child_seed(method.seed, "pictures")
    styles = same_in_all_parts(prior, 1, seed).repeat(1, COLUMNS, 1)
    styles[:, :, code] = prior.std * torch.linspace(-REACH, REACH, COLUMNS)
    rows = [method.decode(each.to(method.device)).sigmoid() for each in styles]
    title = f"one style, whose number {code + 1} goes from -{REACH} to {REACH} standard deviations"
    return Section(title, grid(rows), names_of_parts(prior, method.spec.class_names))


def draw_curves(rows: Sequence[Mapping[str, float]], title: str) -> bytes | None:
    """Every number of metrics.csv by epoch, as a PNG; None where there is no number."""
    # Late: matplotlib takes a second to import.
    from mnist.figures.plotting import picture
    from mnist.figures.training_curves import curves

    numbers = by_name(rows)
    return picture(curves(numbers, title), "png", SCREEN) if numbers else None


def by_name(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """The numbers of rows of metrics.csv: name -> part of the data -> (epoch, value) of each row.

    The shares of the classes are lines of one number, and not one each.
    """
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        for column, value in row.items():
            if which := part_of(column):
                part, name = which
                if name.startswith("share_"):
                    part, name = name.removeprefix("share_"), "shares of the classes"
                found.setdefault(name, {}).setdefault(part, []).append((row["epoch"], value))
    return found
