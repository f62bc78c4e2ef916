"""A style that one changes by hand: what the explorer's window shows, without the window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mnist.data.spec import DataSpec

MANY = 12  # dimensions: of more those come first that change the images most
MOST_STEPS = 200  # that `undo` goes back
TEXT = "31415926"  # written where nothing else is asked for


class Seen(NamedTuple):
    """What is made of a picture of somebody's handwriting."""

    image: Tensor  # [1, C, H, W] in [0, 1], as the encoder takes it
    mean: Tensor  # [N], of the style's posterior
    deviation: Tensor  # [N]; 0 where the style is a point
    doubts: Sequence[str]


class OnMap(NamedTuple):
    """Test images on the map."""

    images: Tensor  # [T, C, H, W] in [0, 1]
    labels: Tensor  # int64 [T]
    styles: Tensor  # [T, N]


class Explorable(ABC):
    """A run as the explorer asks it.

    Attributes:
        about: a line on the run.
        spec: of its data set.
        conditional: whether it writes every class in a style.
        quantiles: the prior's of 2.5, 50 and 97.5 % of each dimension.
        order: of the dimensions, as they are shown.
        samples: styles drawn from the prior, [S, N].
        sharpness: at which images look like real ones.
        draws: whether handwriting can be encoded.
    """

    about: str
    spec: DataSpec
    conditional: bool
    quantiles: Sequence[Sequence[float]]
    order: Sequence[int]
    samples: Tensor
    sharpness: float
    draws: bool

    @abstractmethod
    def written(self, style: Tensor, sharpness: float) -> Tensor:
        """Every class in a style [N], or the one image of it: [K, C, H, W] in [0, 1]."""

    @abstractmethod
    def line(self, text: str, style: Tensor, sharpness: float) -> bytes:
        """A PNG of a text in a style [N]. Raises UserError where it cannot be written."""

    @abstractmethod
    def opinion(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        """What a classifier reads in images [B, C, H, W]: classes and their probabilities, [B]
        both; None where none is trained."""

    @abstractmethod
    def look_at(self, picture: Path, label: int) -> Seen:
        """What a picture file of a class says. Raises UserError where nothing is seen in it."""

    @abstractmethod
    def together(self, hand: Sequence[Seen]) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the style that pictures by one person share, [N] both."""

    @abstractmethod
    def content(self, suffix: str, styles: Sequence[Tensor], sharpness: float) -> bytes:
        """What is saved of the style shown and those kept, [N] each: see `suffixes`."""

    @property
    @abstractmethod
    def suffixes(self) -> dict[str, str]:
        """Of files that can be saved, and what each holds."""

    # --- what takes seconds -------------------------------------------------------------------

    @abstractmethod
    def tests(self) -> OnMap | None:
        """Test images with their styles; None where there are none."""

    @abstractmethod
    def warm_up(self) -> None:
        """Load what the first derivative of a process needs: later a drag would stop for that."""

    @abstractmethod
    def plane(self, styles: Tensor) -> Tensor:
        """The t-SNE of styles [T, N], [T, 2]."""

    @abstractmethod
    def geodesic(self, start: Tensor, end: Tensor) -> Tensor:
        """The way between styles [N] that changes images of several classes least, [P, N].

        Raises UserError where there is none to be found.
        """


class Exploration:
    """The style, what it was before, and what is kept.

    Attributes:
        style: [N].
        sharpness: of the images.
        locked: dimensions that stay as they are.
        kept: styles, [N] each.
        hand: what was drawn and is to be one person's; `drawn` comes to it, if it is not None.
    """

    def __init__(self, space: Explorable):
        self.space = space
        self.style = space.samples[0]
        self.sharpness = space.sharpness
        self.locked: set[int] = set()
        self.kept: list[Tensor] = []
        self.hand: list[Seen] = []
        self.drawn: Seen | None = None
        self.past: list[Tensor] = []
        self.future: list[Tensor] = []
        self.by = ""

    def go(self, style: Tensor, by: str = "") -> None:
        """Change the style [N] but for what is locked.

        Args:
            style: the new one.
            by: what changes it: `undo` goes back to before the first of several changes by the
                same. Without it each change is one of its own.
        """
        if not by or by != self.by:
            self.past = [*self.past, self.style][-MOST_STEPS:]
            self.future = []
        self.by = by
        self.style = self.unlocked(style)

    def unlocked(self, style: Tensor) -> Tensor:
        """A style [N], but for what is locked."""
        free = torch.tensor([i not in self.locked for i in range(len(style))])
        return torch.where(free, style, self.style)

    def set(self, dimension: int, number: float, by: str = "") -> None:
        """Change one of the style's numbers; otherwise as `go`."""
        style = self.style.clone()
        style[dimension] = number
        self.go(style, by)

    def pause(self) -> None:
        """What follows is another change, even by the same."""
        self.by = ""

    def undo(self) -> None:
        """Go back to the style before, if there is one."""
        self.step(self.past, self.future)

    def redo(self) -> None:
        """Undo `undo`."""
        self.step(self.future, self.past)

    def step(self, source: list[Tensor], other: list[Tensor]) -> None:
        """Take a style from one list, and leave this one in the other."""
        if source:
            other.append(self.style)
            self.style = self.unlocked(source.pop())
            self.by = ""

    def look_at(self, picture: Path, label: int) -> Seen:
        """Take the style of a picture, with those of the hand. Raises UserError: as the run's."""
        self.drawn = self.space.look_at(picture, label)
        self.go(self.space.together([*self.hand, self.drawn])[0], "hand")
        return self.drawn

    def add(self) -> None:
        """What was drawn is the hand's."""
        if self.drawn is not None:
            self.hand.append(self.drawn)
            self.drawn = None

    def forget(self) -> None:
        """There is no hand any more."""
        self.hand, self.drawn = [], None

    @property
    def posterior(self) -> tuple[Tensor, Tensor] | None:
        """Mean and deviation of the hand's style, [N] both, if there is any."""
        everything = [*self.hand, *([self.drawn] if self.drawn is not None else [])]
        return self.space.together(everything) if everything else None

    def blend(self, share: float, way: Tensor | None = None) -> None:
        """Go to a point between the last two styles that were kept.

        Args:
            share: 0 for the first, 1 for the second.
            way: between them, [P, N]; a straight line by default.
        """
        way = torch.stack(self.kept[-2:]) if way is None else way
        place = share * (len(way) - 1)
        before = min(int(place), len(way) - 2)
        self.go(torch.lerp(way[before], way[before + 1], place - before), "blend")
