"""Somebody's style, from images of theirs: for --from-image and --writer of generate-all.py."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from mnist.data import Dataset, DataSpec, Split
from mnist.errors import UserError
from mnist.figures.images import to_arrays
from mnist.figures.sheets import Section
from mnist.latent.two_covariance import TwoCovariance, product_of_posteriors
from mnist.networks.prior import BesideClasses
from mnist.training.run import Run

SHOWN = 3  # images of each class that somebody wrote
# A reconstruction is poor whose squared error is so many times the mean of test images. Of 20,000
# training images, in runs with 4, 8 and 16 numbers, it is so of 2 to 5 in 1,000 with their own
# digit, and with another of 56 to 73 in 100.
FAR = 3


class Hand(NamedTuple):
    """What images say of the style that they are written in: a Gaussian."""

    mean: Tensor  # float32 [1, N]
    covariance: Tensor  # float64 [N, N]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Styles that the images allow, float32 [count, N]."""
        values, vectors = torch.linalg.eigh(self.covariance)
        noise = torch.randn(count, len(values), generator=generator, dtype=torch.float64)
        spread = (noise * values.clamp(min=0).sqrt()) @ vectors.T
        return self.mean + spread.float()


def hand_of(run: Run, images: Tensor, labels: Tensor, known: TwoCovariance | None) -> Hand:
    """The style of one image; of several, by one person, that of the person.

    Args:
        run: whose styles.
        images: float32 [B, C, H, W]; labels: int64 [B].
        known: how writers' styles are distributed, if that is known.
    """
    means, deviations = (each.cpu() for each in run.posterior(images, labels))
    if len(images) == 1:
        return Hand(means, deviations[0].double().square().diag())
    if known is None:
        mean, variance = product_of_posteriors(means, deviations, run.prior.std)
        return Hand(mean[None], variance.double().diag())
    mean, covariance = known.writers_style(means.double().mean(0, keepdim=True), len(means))
    return Hand(mean.float(), covariance)


def doubts_of(run: Run, classifier: Run | None, image: Tensor, label: int, what: str) -> list[str]:
    """Why somebody's picture [1, C, H, W] may be of another class than they say, or of none.

    Args:
        run: that encodes it.
        classifier: to be asked as well, if there is one.
        image, label: the picture, and what it is said to be.
        what: the picture is called.
    """
    labels, doubts = torch.tensor([label]), []
    as_named = f" as {run.spec.named(label)}" if run.conditional else ""
    rebuilt = run.decode(run.encode(image, labels), labels).cpu()
    error = (rebuilt - image).square().mean().item()
    usual = run.numbers.get("test_mse")  # that of test images; none in a run of no epoch
    if usual and error > FAR * usual:
        doubts.append(
            f"the encoder does not recognise {what}{as_named}: its reconstruction is "
            f"{error / usual:.1f} times as far off as those of test images"
        )
    if classifier is None or not run.conditional:
        return doubts
    if (read := int(classifier.read(image))) != label:
        none = read == run.spec.classes
        seen = f"no {run.spec.class_word}" if none else run.spec.named(read)
        doubts.append(f"{what} is read as {seen} by {classifier.name}, not{as_named}")
    return doubts


def known_writers(run: Run, dataset: Dataset) -> TwoCovariance | None:
    """How the styles of those are distributed who wrote the training images; None if not known."""
    if dataset.train.writers is None or isinstance(run.prior, BesideClasses):
        return None
    if not run.has_encoder:  # to find the styles of all training images would take hours
        return None
    every = torch.arange(len(dataset.train))
    return TwoCovariance.fit(run.style_tensor(dataset.train, every), dataset.train.writers)


def pictures_in(folder: str, spec: DataSpec) -> list[tuple[Path, str]]:
    """The pictures in a folder, and the class of each.

    As index.csv there says, whose first column names the files and whose second the classes, as
    generate-all.py writes it; without one the class is what a file's name begins with, up to the
    first space or mark, or if there is none of that name its first character.

    Raises:
        UserError: there is no such folder, no picture in it, or an index.csv of another kind.
    """
    place = Path(folder)
    index = place / "index.csv"
    try:
        if index.exists():
            with open(index, newline="", encoding="utf-8") as file:
                _, *rows = csv.reader(file)
            found = [(place / row[0], row[1]) for row in rows if row]
        else:
            formats = Image.registered_extensions()  # by suffix, in small letters
            paths = sorted(place.iterdir())
            those = [path for path in paths if formats.get(path.suffix.lower()) in Image.OPEN]
            begins = [re.split(r"[\W_]", path.name)[0] for path in those]
            known = spec.class_names
            found = [
                (path, begin if begin in known else path.name[0])
                for path, begin in zip(those, begins, strict=True)
            ]
    except OSError as error:
        raise UserError(f"--from-images {folder}: cannot read it ({error.strerror})") from error
    except (IndexError, ValueError, csv.Error) as error:
        raise UserError(
            f"{index} is no table of files and their classes, with a line of titles above"
        ) from error
    if not found:
        raise UserError(f"--from-images {folder}: there is no picture in it")
    return found


def written_by(test: Split, writer: int, name: str) -> Split:
    """The test images by a writer.

    Raises:
        UserError: there is none of that number, or it is not known who wrote them.
    """
    if test.writers is None:
        raise UserError(
            f"--writer: who wrote the images of {name} is not known (docs/handwriting.md)"
        )
    theirs = test.writers == writer
    if not theirs.any():
        first, last = int(test.writers.min()), int(test.writers.max())
        raise UserError(
            f"--writer {writer} wrote no test image: those who did have numbers from {first} to "
            f"{last}, such as {first} and {last}"
        )
    return test.some(theirs)


def page_of(
    run: Run, theirs: Split, known: TwoCovariance | None, writer: int, sharpness: float | None
) -> Section:
    """What a writer wrote, and what a run writes for each class knowing the others only.

    Raises:
        UserError: they wrote one class alone.
    """
    channels, *sides = run.spec.image_shape
    paper = torch.full((SHOWN, channels, *sides), float(channels == 3))
    columns = []
    for label in range(run.spec.classes):
        own = theirs.batch(torch.nonzero(theirs.labels == label)[:SHOWN, 0]).images
        others = theirs.batch(torch.nonzero(theirs.labels != label)[:, 0])
        if not len(others.labels):
            raise UserError(f"--writer {writer} wrote no {run.spec.class_word} but one")
        style = hand_of(run, others.images, others.labels, known).mean
        sharp = run.sharpness if sharpness is None else sharpness
        guessed = run.decode(style, torch.tensor([label]), sharpness=sharp).cpu()
        columns.append(torch.cat([own, paper[len(own) :], guessed]))
    word = run.spec.class_word
    return Section(
        f"writer {writer}: what they wrote, and each {word} by {run.name} from their other {word}s",
        to_arrays(torch.stack(columns, 1)),
        [*["written"] * SHOWN, "by the run"],
    )
