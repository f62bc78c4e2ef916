"""How a number of several runs is told."""

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], form: str) -> str:
    """Their mean and standard deviation, by a format; of one value that itself."""
    mean = format(statistics.mean(values), form)
    return mean if len(values) < 2 else f"{mean} ± {format(statistics.stdev(values), form)}"


def middle(values: Sequence[float], form: str) -> str:
    """Their median, least and most, by a format."""
    median, least, most = (f(values) for f in (statistics.median, min, max))
    return f"{median:{form}} ({least:{form}} to {most:{form}})"
