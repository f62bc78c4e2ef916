"""What training says while it runs: plain lines that people and scripts read, and a bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from tqdm import tqdm

LOOK_EVERY = 10  # batches
Wording = dict[str, tuple[str, str]]


def clock(seconds: float) -> str:
    """45 -> '0:45', 3700 -> '1:01:40'."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Report:
    """Lines on standard output, and on a terminal a bar with the remaining time.

    Args:
        wording: how a method's numbers are told: name -> (who, what).
        headline: the one of them that is told during an epoch.
        quiet: say nothing.
    """

    def __init__(self, wording: Wording, headline: str, quiet: bool = False):
        self.wording = wording
        self.headline = headline
        self.quiet = quiet
        self.bar: tqdm | None = None

    def line(self, text: str) -> None:
        """Say a line, above the bar where there is one."""
        if not self.quiet:
            with self.listened_to():
                tqdm.write(text, file=sys.stdout)
                sys.stdout.flush()

    @contextmanager
    def listened_to(self) -> Iterator[None]:
        """Say something if anybody is still there: a closed terminal or pipe must not end a run."""
        try:
            yield
        except OSError:
            self.quiet = True
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except OSError:  # what is still to be said there goes nowhere
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    def steps(self, first: int, steps: int, epoch: int, epochs: int) -> Iterator[int]:
        """The steps of an epoch from `first` on, counted by the bar."""
        with self.listened_to():
            self.bar = tqdm(
                desc=f"Epoch {epoch + 1}/{epochs}",
                initial=first,
                total=steps,
                bar_format="{desc} {percentage:3.0f}% |{bar}| {remaining} left{postfix}",
                leave=False,
                dynamic_ncols=True,
                disable=self.quiet or not sys.stderr.isatty(),
            )
        for step in range(first, steps):
            yield step
            with self.listened_to():
                self.bar.update()
        with self.listened_to():
            self.bar.close()

    def live(self, numbers: dict[str, Tensor]) -> None:
        """This batch's losses, shown in the bar now and then: each look waits for the device."""
        if not self.quiet and not self.bar.disable and self.bar.n % LOOK_EVERY == 0:
            losses = {
                name: number.item()
                for name, number in numbers.items()
                if name not in self.wording and not name.endswith("_gradient")
            }
            with self.listened_to():
                self.bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})

    def batch(self, epoch: int, step: int, numbers: dict[str, float]) -> None:
        """Means over the epoch so far."""
        value = numbers[self.headline]
        self.line(f"[Epoch {epoch} Batch {step}] Training: {self.headline}={value:.4f}")

    def training(self, epoch: int, numbers: dict[str, float]) -> None:
        """Means over an epoch's training batches."""
        self.line(f"[Epoch {epoch}] Training:")
        self.numbers(numbers)

    def validation(
        self,
        epoch: int,
        numbers: dict[str, dict[str, float]],
        written: str,
        seconds: float,
        left: float,
    ) -> None:
        """Numbers about the images not trained on, what was written, and the time it takes."""
        self.line(f"[Epoch {epoch}] Validation:")
        self.numbers(numbers["test"])
        if "held_out" in numbers:
            self.line(f"  held out: {self.headline}={numbers['held_out'][self.headline]:.4f}")
        self.line(f"  {written}")
        self.line(f"  {seconds:.1f} s an epoch, {clock(left)} to go")

    def numbers(self, numbers: dict[str, float]) -> None:
        """Those numbers that the method has words for, a line each."""
        for name, value in numbers.items():
            if name in self.wording:
                who, what = self.wording[name]
                self.line(f"  {who}: {what}={value:.4f}")
