"""What training says while it runs: plain lines that people and scripts read, and a bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from mnist.errors import silence_if_dead, warn
from mnist.training.checkpoint import columns_of

LOOK_EVERY = 10  # batches
# How numbers are told: (who, what). Others are told by their names.
WORDS = {
    "mse": ("AutoEncoder", "mse"),
    "frechet": ("Samples", "Fréchet distance from real images"),
    "discriminator_accuracy": ("Discriminator", "accuracy in pairs of a real and another image"),
    "ks": ("Style", "worst KS distance to the prior"),
    "gauss_detection": ("GaussDiscriminator", "actual gauss detection accuracy"),
    "feature_detection": ("GaussDiscriminator", "feature space detection accuracy"),
    "feature_satisfaction": ("GaussDiscriminator", "feature space satisfaction accuracy"),
    "accuracy": ("Classifier", "accuracy"),
    "refused": ("Classifier", "images that are no digit refused"),
}


def clock(seconds: float) -> str:
    """45 -> '0:45', 3700 -> '1:01:40'."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Report:
    """Lines on standard output and in a file, and on a terminal a bar with the remaining time.

    A terminal, which the bar already informs, gets one line per epoch; the file, and a standard
    output that is none, all of them.

    Args:
        headline: the number that is told during an epoch, if there is one.
        quiet: say nothing but warnings.
        warn: how to warn; by default in a line on standard error.
    """

    def __init__(
        self,
        headline: str | None = None,
        quiet: bool = False,
        warn: Callable[[str], None] = warn,
    ):
        self.headline = headline
        self.quiet = quiet
        self.warn = warn
        self.file: Path | None = None  # to which all lines are appended
        self.terse = sys.stdout.isatty()
        self.bar: tqdm | None = None

    @property
    def aside(self) -> Callable[[str], None] | None:
        """How to say a line that is good to know, and how to be quiet about it: None."""
        return None if self.quiet else self.line

    def notice(self, text: str) -> None:
        """Say a line that is the whole outcome, and so is said even if quiet."""
        if self.quiet:
            self.warn(text)
        else:
            self.line(text)

    def close(self) -> None:
        """Take the bar off the screen, however training ended."""
        if self.bar is not None:
            with self.listened_to():
                self.bar.close()

    def line(self, text: str) -> None:
        """Say a line, above the bar where there is one."""
        self.write(text)
        self.show(text)
        self.event("message", text=text)

    def detail(self, text: str) -> None:
        """Say a line that a terminal is spared."""
        self.write(text)
        if not self.terse:
            self.show(text)

    def write(self, text: str) -> None:
        """Append a line to the file."""
        if self.file is not None:
            try:
                with open(self.file, "a", encoding="utf-8") as file:
                    file.write(text + "\n")
            except OSError as error:  # a run is worth more than its log
                self.warn(f"cannot write {self.file} ({error.strerror}): no more lines go there")
                self.file = None

    def show(self, text: str) -> None:
        """Print a line."""
        if not self.quiet:
            with self.listened_to():
                tqdm.write(text, file=sys.stdout)
                sys.stdout.flush()

    def event(self, name: str, **values: Any) -> None:
        """Nothing for people, who are told in lines; see `JsonLines`."""

    @contextmanager
    def listened_to(self) -> Iterator[None]:
        """Say something if anybody is still there: a closed terminal or pipe must not end a run."""
        try:
            yield
        except OSError:
            self.quiet = True
            for stream in (sys.stdout, sys.stderr):
                silence_if_dead(stream)

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
            if self.bar is not None:
                with self.listened_to():
                    self.bar.update()
        self.close()

    def live(self, numbers: dict[str, Tensor]) -> None:
        """This batch's losses, shown in the bar now and then: each look waits for the device."""
        bar = self.bar
        if bar is not None and not (self.quiet or bar.disable or bar.n % LOOK_EVERY):
            losses = {
                name: number.item()
                for name, number in numbers.items()
                if name not in WORDS and not name.endswith("_gradient")
            }
            with self.listened_to():
                bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})

    def batch(self, epoch: int, step: int, numbers: dict[str, float]) -> None:
        """Means over the epoch so far."""
        told = [self.headline] if self.headline in numbers else losses_in(numbers)
        values = ", ".join(f"{name}={numbers[name]:.4f}" for name in told)
        self.detail(f"[Epoch {epoch} Batch {step}] Training: {values}")
        self.event("batch", epoch=epoch, step=step, **numbers)

    def training(self, epoch: int, numbers: dict[str, float]) -> None:
        """Means over an epoch's training batches."""
        self.detail(f"[Epoch {epoch}] Training:")
        self.numbers(numbers)

    def validation(
        self,
        epoch: int,
        numbers: dict[str, dict[str, float]],
        written: str | None,
        seconds: float,
        in_steps: float,
        left: float,
    ) -> None:
        """Numbers about the images not trained on, what was written, and the time it takes."""
        self.detail(f"[Epoch {epoch}] Validation:")
        self.numbers(numbers["test"])
        held_out = numbers.get("held_out", {})
        if self.headline in held_out:
            self.detail(f"  held out: {self.headline}={held_out[self.headline]:.4f}")
        if "generated" in numbers:
            self.detail(f"  Samples: {generated_in(numbers)}")
        if written:
            self.detail(f"  {written}")
        time = f"{seconds:.1f} s an epoch, {clock(left)} to go"
        self.detail(f"  {time}")
        if self.terse:
            self.show(f"[Epoch {epoch}] {self.summary(numbers)}; {time}")
        times = {"seconds": seconds, "in_steps": in_steps, "left": left}
        self.event("epoch", epoch=epoch, **columns_of(numbers), **times)

    def summary(self, numbers: dict[str, dict[str, float]]) -> str:
        """An epoch's headline by part of the data; without one, its losses."""
        told = [
            f"{prefix}{name}={numbers[part][name]:.4f}"
            for part, prefix in {"train": "", "test": "test ", "held_out": "held-out "}.items()
            for name in ([self.headline] if self.headline else losses_in(numbers.get(part, {})))
            if name in numbers.get(part, {})
        ]
        return ", ".join(told + ([generated_in(numbers)] if "generated" in numbers else []))

    def numbers(self, numbers: dict[str, float]) -> None:
        """Those numbers that there are words for, a line each; if there are none, all losses."""
        told = [name for name in numbers if name in WORDS]
        for name in told or losses_in(numbers):
            who, what = WORDS.get(name, ("Loss", name))
            self.detail(f"  {who}: {what}={numbers[name]:.4f}")


def generated_in(numbers: dict[str, dict[str, float]]) -> str:
    """What a generator's images are of, in a few words."""
    of = numbers["generated"]
    shares = " ".join(f"{of[name]:.3f}" for name in of if name.startswith("share_"))
    return f"modes={of['modes']:.0f}, shares of the classes={shares}"


def losses_in(numbers: dict[str, float]) -> list[str]:
    """Names of those numbers that are neither told in words nor norms of gradients."""
    return [name for name in numbers if name not in WORDS and not name.endswith("_gradient")]


class JsonLines(Report):
    """A line of JSON on standard output for each event, for programs that start a training.

    The file of the run gets its usual lines. Events are "batch", with means over the epoch so far,
    "epoch", with its numbers in metrics.csv, the seconds it took, those of its steps alone and
    those that are left, and "message", whose "text" is what people would be told.
    """

    def show(self, text: str) -> None:
        """Nothing: an event says the same."""

    def event(self, name: str, **values: Any) -> None:
        if not self.quiet:
            with self.listened_to():
                print(json.dumps({"event": name, **values}), flush=True)
