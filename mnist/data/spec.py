"""What the images and classes of a data set are: networks, figures and tools are built from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mnist.errors import UserError

VOWELS = tuple("AEFHILMNORSXaefhilmnorsx8")  # single characters that are said with a vowel first


@dataclass(frozen=True)
class DataSpec:
    """Shape of the images, and names of the classes.

    Attributes:
        image_shape: (C, H, W): 1 channel for grey or 3 for colour, height and width in pixels.
        class_names: of the classes 0, 1, ...
        class_word: for one of them, such as "digit" or "letter".
    """

    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    class_word: str = "class"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DataSpec:
        """What `as_config` returned, after a round trip through JSON.

        Raises:
            KeyError, TypeError, ValueError: it is no such thing.
        """
        shape, names = tuple(config["image_shape"]), tuple(config["class_names"])
        sizes = all(isinstance(size, int) and size > 0 for size in shape)
        if len(shape) != 3 or not sizes or not all(isinstance(name, str) for name in names):
            raise ValueError(f"images {shape} of classes {names} are none")
        return cls(shape, names, str(config["class_word"]))

    def as_config(self) -> dict[str, Any]:
        """For a run's configuration, in JSON's types."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.class_names)

    @property
    def pixels(self) -> int:
        """Numbers in an image: C·H·W."""
        channels, height, width = self.image_shape
        return channels * height * width

    @property
    def size(self) -> str:
        """Of the images, for people: "28×28", or "20×24 in colour"."""
        channels, height, width = self.image_shape
        return f"{height}×{width}" + (" in colour" if channels == 3 else "")

    def named(self, label: int) -> str:
        """A class with its article: "a 5", "an 8", "a trouser"."""
        name = self.class_names[label]
        vowel = name in VOWELS if len(name) == 1 else name[0].lower() in "aeiou"
        return f"{'an' if vowel else 'a'} {name}"

    def label(self, text: str) -> int:
        """The class of that name, or with that index where no name is meant.

        Raises:
            UserError: there is none, and which there are.
        """
        exact = [i for i, name in enumerate(self.class_names) if name == text]
        alike = [i for i, name in enumerate(self.class_names) if name.lower() == text.lower()]
        for found in (exact, alike):
            if len(found) == 1:
                return found[0]
        if text.isascii() and text.isdecimal() and int(text) < self.classes:
            return int(text)
        shown = self.class_names if self.classes <= 12 else (*self.class_names[:11], "...")
        raise UserError(
            f"there is no {self.class_word} {text!r}: it is one of "
            f"{', '.join(shown)}, or its index from 0 to {self.classes - 1}"
        )
