"""Asking for every digit from many starts, and what came of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from mnist.commands.tools import write
from mnist.data import Dataset, to_bytes
from mnist.evaluation.survey import real_references
from mnist.figures import sheets
from mnist.latent.guidance import Descent
from mnist.latent.space import Space
from mnist.training.run import Run


class Column(NamedTuple):
    """A number of the survey's table."""

    name: str
    title: str
    form: str


COLUMNS = (
    Column("converged", "converged", ".2%"),
    Column("median_steps", "steps", ".0f"),
    Column("agreement", "agreement", ".2%"),
    Column("none", "no digit", ".2%"),
    Column("among_real", "among real", ".2%"),
    Column("among_real_prior", "(prior", ".2%"),
    Column("among_real_test", "test)", ".2%"),
    Column("distance", "distance", ".2f"),
)


def survey(
    run: Run,
    space: Space,
    walk: Callable[..., Descent],
    draw_starts: Callable[[int], Tensor],
    count: int,
    second: Run,
    dataset: Dataset,
    output: Path,
) -> None:
    """Ask for every class from many starts; print how it went, and write what was found.

    Args:
        run, space, walk, draw_starts: as in `guide`.
        count: starts for each class.
        second: a classifier that had no part in it, and knows outliers.
        dataset: that the run was trained on.
        output: of the picture; the table and the images are written beside it.
    """
    rows, steps, ends = [], [], []
    references = real_references(run, second, dataset, count)
    classes = run.spec.classes
    with tqdm(total=classes * count, unit=" starts", leave=False, disable=None) as bar:
        for label, (manifold, of_prior, of_test) in enumerate(references):
            tell = partial(advance, bar, before=label * count)
            found = walk(draw_starts(count), torch.full((count,), label), tell=tell)
            with torch.no_grad():
                images = space.decode(found.path[-1]).cpu()
            opinion = second.log_probs(images).cpu()
            read = opinion.argmax(1)
            distances = space.style(found.path[-1]).norm(dim=1) / run.prior.std
            rows.append(
                {
                    run.spec.class_word: run.spec.class_names[label],
                    "converged": found.converged.double().mean().item(),
                    "median_steps": found.steps.double().median().item(),
                    "agreement": (read == label).double().mean().item(),
                    "none": (read == classes).double().mean().item(),
                    "among_real": manifold.share(second.features(images).cpu()),
                    "among_real_prior": of_prior,
                    "among_real_test": of_test,
                    "distance": distances.double().mean().item(),
                }
            )
            steps.append(found.steps)
            ends.append(
                {
                    "images": to_bytes(images).numpy(),
                    "labels": np.full(count, label),
                    "converged": found.converged.numpy(),
                    "probability": found.log_probs[-1, :, label].exp().numpy(),
                    "second": opinion[:, label].exp().numpy(),
                }
            )
    word = run.spec.class_word
    means = pd.DataFrame(rows).drop(columns=word).mean().to_dict()
    middle = {"median_steps": torch.cat(steps).double().median().item()}
    rows.append({word: "all"} | means | middle)
    print_survey(run, second, rows, count)
    write(output, sheets.survey_sheet(ends, word))
    numbers, arrays = output.with_suffix(".csv"), output.with_suffix(".npz")
    write(numbers, pd.DataFrame(rows).to_csv(index=False).encode())
    buffer = io.BytesIO()
    names = ("images", "labels", "converged", "probability")
    # Any, since each might be the keyword of savez_compressed that is no array.
    kept: dict[str, Any] = {name: np.concatenate([each[name] for each in ends]) for name in names}
    np.savez_compressed(buffer, **kept)
    write(arrays, buffer.getvalue())
    print(f"\nwritten: {output}, {numbers} and {arrays}")


def print_survey(run: Run, second: Run, rows: list[dict[str, Any]], count: int) -> None:
    """The table, and what its columns are."""
    prior = run.prior.sample(100_000, torch.Generator().manual_seed(0)).norm(dim=1)
    accuracy = second.numbers["test_accuracy"]
    word = run.spec.class_word
    print(
        f"""{count:,} starts for each {word}
  converged   where a point may rest, the classifier that guides is sure of the {word}
  steps       median
  agreement   a second opinion reads the {word}: {second.method.summary()}
              ({accuracy:.2%} of real test images)
  no {word:<9}it sees none
  among real  in its features, the image lies among training images of the {word}; in brackets
              images decoded from the prior, and test images
  distance    of the style from the prior's mean, in standard deviations; the prior's own:"""
        f" {(prior / run.prior.std).mean():.2f}\n"
    )
    width = max(len(str(row[word])) for row in [*rows, {word: word}])
    titles = (column.title.replace("digit", word) for column in COLUMNS)
    print(f"{word:>{width}}" + "".join(f"{title:>12}" for title in titles))
    for row in rows:
        cells = (f"{row[column.name]:>12{column.form}}" for column in COLUMNS)
        print(f"{row[word]:>{width}}" + "".join(cells))


def advance(bar: tqdm, arrived: int, before: int = 0) -> None:
    """Move a bar on to so many starts that have arrived, and those before."""
    bar.update(before + arrived - bar.n)
