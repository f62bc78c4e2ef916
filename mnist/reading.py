"""How a data set is to be read: what of it, and as what. No torch here: --help is instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from mnist.errors import UserError
from mnist.options import Count, Names, flag_of

OF_PICTURES = "image_size", "ink", "colour", "skip_bad"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a data set is read. What is None, the data themselves decide.

    Args:
        classes (LIST): only these classes, in this order, as 3,8.
        limit_per_class (K): only the first K training images of each class.
        class_names (LIST): of the labels 0, 1, ... of your own arrays, as o,ki,su.
        image_size (S): of your own pictures, height and width in pixels.
        ink: whether they are dark on light, or light on dark, as images are kept.
        colour: read them in colour.
        skip_bad: go on without those that cannot be read.
    """

    classes: Names | None = None
    limit_per_class: Count | None = None
    class_names: Names | None = None
    image_size: Count | None = None
    ink: Literal["dark", "light"] | None = None
    colour: bool | None = None
    skip_bad: bool | None = None

    @classmethod
    def of(cls, given: Any) -> Reading:
        """What a dataclass that has these fields, too, says of them."""
        return cls(**{field.name: getattr(given, field.name) for field in fields(Reading)})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Reading:
        """What `as_config` returned.

        Raises:
            UserError: it is of a version that knew more.
        """
        if unknown := config.keys() - {field.name for field in fields(Reading)}:
            raise UserError(
                f"the run's images were read by {flag_of(min(unknown))}, which this version does "
                "not know: take the one that trained it (config.json)"
            )
        return cls(**config)

    def as_config(self) -> dict[str, Any]:
        """What was asked for, in JSON's types."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in every.items()
            if value is not None
        }

    @property
    def of_pictures(self) -> dict[str, Any]:
        """What was asked for and says something of pictures only."""
        return {name: value for name, value in self.as_config().items() if name in OF_PICTURES}
