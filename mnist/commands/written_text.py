"""Text in somebody's hand: what --text of generate-all.py writes."""

from __future__ import annotations

import textwrap

import torch
from torch import Tensor

from mnist.data.spec import DataSpec
from mnist.errors import UserError
from mnist.figures.images import to_arrays
from mnist.figures.text import Page, set_lines
from mnist.networks.random import child_seed
from mnist.training.run import Run

WIDE = 40  # characters in a line at most
MOST = 2000  # characters in all: a page of fifty lines


def write_text(run: Run, text: str, styles: Tensor, sharpness: float | None, seed: int) -> Page:
    """A text in each of some styles [K, N], one below the other.

    No two characters are the same where an image leaves its style open: each is written in a style
    drawn from the posterior of itself.

    Raises:
        UserError: the run is not told what to write, or has a character only as part of a name or
            not at all; or there are too many.
    """
    if not run.conditional:
        raise UserError(f"{run.name} is not given the {run.spec.class_word}, which --text needs")
    lines = [piece for line in text.splitlines() for piece in textwrap.wrap(line, WIDE)]
    characters = [each for line in lines for each in line if each != " "]
    if not characters:
        raise UserError("--text has no character to write")
    if len(characters) * len(styles) > MOST:
        raise UserError(
            f"--text: {len(characters) * len(styles):,} characters are more than can be looked at: "
            f"at most {MOST:,}"
        )
    labels = torch.tensor([class_written(run.spec, each) for each in characters]).repeat(
        len(styles)
    )
    styles = styles.repeat_interleave(len(characters), 0)
    sharpness = run.sharpness if sharpness is None else sharpness
    if run.has_posterior:
        written = run.decode(styles, labels, sharpness=sharpness)
        styles = run.draw(written, labels, seed=child_seed(seed, "text"))
    images = run.decode(styles, labels, sharpness=sharpness)
    return set_lines(lines * (len(styles) // len(characters)), [*to_arrays(images)])


def class_written(spec: DataSpec, character: str) -> int:
    """The class that is this character, or else the same in capitals or in small letters.

    Raises:
        UserError: there is none.
    """
    for same in (str, str.casefold):
        names = [same(name) for name in spec.class_names]
        if same(character) in names:
            return names.index(same(character))
    names = [name for name in spec.class_names if len(name) == 1]
    those = " ".join(names) if names else f"no {spec.class_word} has a name of one character"
    raise UserError(f"--text: there is no {spec.class_word} {character!r}; it can write: {those}")
