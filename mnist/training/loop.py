"""The training loop. It names no method: whatever keeps the promises of `Method` trains here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import torch

from mnist.data.types import Dataset, epoch_order
from mnist.errors import Diverged, UserError
from mnist.methods import Method, Step
from mnist.networks.shares import rows_shared
from mnist.training.capture import CapturedSteps, one_step
from mnist.training.checkpoint import Progress
from mnist.training.diagnosis import Diagnosis
from mnist.training.environment import denormals_flushed
from mnist.training.log import Report
from mnist.training.processes import as_the_first
from mnist.training.run_directory import RunDirectory
from mnist.training.samples import draw_samples
from mnist.training.signals import Signals
from mnist.training.validation import calibrate, validate

Numbers = dict[str, float]


@denormals_flushed()
def train(
    method: Method,
    dataset: Dataset,
    run_dir: RunDirectory,
    progress: Progress,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    log_every: int,
    report: Report,
    save_every: int | None = None,
    patience: int | None = None,
    keep_best: bool = False,
    capture: bool = False,
    tell: Callable[[Numbers], None] = lambda row: None,
) -> None:
    """Train up to `epochs` epochs, saving at the end of each and when asked to.

    Args:
        method: on its device, with the weights that belong to `progress`.
        dataset: on the same device, with images held out if there is a `patience`, or the best
            epoch is to be kept.
        run_dir: where the run is kept.
        progress: where to start, `Progress()` for a new run; it is moved along.
        epochs: in all, those already done included.
        batch_size: images a step; what does not fill a batch at an epoch's end is left out.
        seed: of the order of the images.
        log_every: batches between two lines.
        report: who is told.
        save_every: steps between two more checkpoints, counted from the start of the training.
        patience: epochs without a better headline on the images held out, after which it ends.
        keep_best: keep the epoch whose headline on the images held out is the best, besides.
        capture: run steps by CUDA graphs, of a `capturable` method on a GPU.
        tell: called after each epoch with its row of metrics.csv.

    Raises:
        Diverged: a loss or gradient became NaN or infinite; the checkpoints before it are kept.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; the run is saved where it stood.
        StorageFailed: the disk refuses to save; what was saved before is kept.
        UserError: the batch size does not fit the data.
    """
    steps = steps_per_epoch(dataset, batch_size)
    method.prepare(dataset.train)
    run_step = CapturedSteps(method) if capture else partial(one_step, method)
    diagnosis = None
    if method.diagnosed and len(dataset.train.labelled):
        diagnosis = Diagnosis(dataset.train, method.spec, seed)
    try:
        with Signals() as signals, rows_shared():
            for epoch in range(progress.epoch, epochs):
                if keep_best and progress.step == 0:
                    save_best(method, run_dir, progress)  # where the last save was the last thing
                if patience and waited(progress.rows, method) >= patience:
                    report.line(f"[Epoch {epoch}] Stopping early: no better for {patience} epochs.")
                    break
                began, first = time.perf_counter(), progress.step
                order = epoch_order(len(dataset.train), seed, epoch).to(method.device)

                batches = dataset.train.in_order(order, batch_size, first)
                for step in report.steps(first, steps, epoch, epochs):
                    batch = next(batches)
                    share = (epoch + step / steps) / epochs
                    at = Step(progress.steps, share)
                    try:
                        numbers = run_step(batch, at)
                    except (RuntimeError, ValueError):
                        refuse_broken(method, progress, run_dir)
                        raise
                    remember(progress, numbers, run_dir)
                    report.live(numbers)
                    signals.agree()
                    last = progress.step == steps
                    save = signals.any or (save_every and progress.steps % save_every == 0)
                    if progress.step % log_every == 0 or last or save:
                        means = mean_numbers(progress, run_dir)
                    if progress.step % log_every == 0:
                        report.batch(epoch + 1, progress.step, means)
                    if save and not last:
                        where = save_within_epoch(method, run_dir, progress)
                        signals.stop_if_asked(where)
                        report.line(where)

                trained = time.perf_counter()
                report.training(epoch + 1, means)
                seen, written = look_at(method, dataset, epoch + 1, run_dir, diagnosis)
                seen["train"] = means | seen["train"]
                seen = as_the_first(method, seen)
                progress.finish_epoch(steps, **seen)
                in_steps = (trained - began) * steps / (steps - first)
                seconds = in_steps + time.perf_counter() - trained
                left = seconds * (epochs - epoch - 1)
                report.validation(epoch + 1, seen, written, seconds, in_steps, left)
                begun = epoch > 0 or epochs == 1  # the first hardly ever reaches all classes
                if diagnosis and begun and (wrong := diagnosis.collapse(seen["generated"])):
                    report.warn(f"[Epoch {epoch + 1}] {run_dir.path} has collapsed: {wrong}")
                saved = run_dir.save(method, progress)
                if keep_best:
                    save_best(method, run_dir, progress)
                report.detail("Model parameters and trainer state saved.")
                tell(progress.rows[-1])
                signals.agree()
                if progress.epoch < epochs:
                    signals.stop_if_asked(f"[Epoch {epoch + 1}] saved {saved}")
    finally:
        report.close()


def steps_per_epoch(dataset: Dataset, batch_size: int) -> int:
    """Whole batches in the training images.

    Raises:
        UserError: there is none.
    """
    steps = len(dataset.train) // batch_size
    if steps == 0:
        raise UserError(
            f"a batch of {batch_size:,} is more than the {len(dataset.train):,} training images: "
            "give a smaller --batch-size"
        )
    return steps


def refuse_broken(method: Method, progress: Progress, run_dir: RunDirectory) -> None:
    """Say why a step failed, if it was at numbers that were none any more.

    Raises:
        Diverged: it was, as a distribution refuses NaN.
    """
    mean_numbers(progress, run_dir)  # the steps before it
    norms = {name: norm.item() for name, norm in method.gradient_norms().items()}
    when = f"in epoch {progress.epoch + 1}, batch {progress.step + 1}"
    refuse_non_finite(norms, when, run_dir)


def remember(progress: Progress, numbers: dict[str, torch.Tensor], run_dir: RunDirectory) -> None:
    """Count a step as done, with its numbers.

    Raises:
        UserError: the epoch was begun by a version that had other numbers.
    """
    try:
        progress.history.append(numbers)
    except ValueError as error:
        raise UserError(f"{run_dir.path}: {error}; go on with that one to its end") from error
    progress.step += 1


def mean_numbers(progress: Progress, run_dir: RunDirectory) -> Numbers:
    """Means over the epoch's steps so far, once all of them are seen to be finite.

    Raises:
        Diverged: one is not, and which at what step.
    """
    if bad := progress.history.first_bad():
        step, numbers = bad
        refuse_non_finite(numbers, f"in epoch {progress.epoch + 1}, batch {step + 1}", run_dir)
    return progress.history.means()


def refuse_non_finite(numbers: Numbers, when: str, run_dir: RunDirectory) -> None:
    """Stop a run whose numbers are no longer numbers.

    Raises:
        Diverged: one of them is NaN or infinite.
    """
    for name, value in numbers.items():
        if not math.isfinite(value):
            kept = run_dir.folders()
            raise Diverged(
                f"{name} became {value} {when}: "
                + (f"the run is as it was in {kept[-1]}; " if kept else "nothing was saved yet; ")
                + "try a smaller --lr in another --ckpt-dir"
            )


def look_at(
    method: Method,
    dataset: Dataset,
    epoch: int,
    run_dir: RunDirectory,
    diagnosis: Diagnosis | None,
) -> tuple[dict[str, Numbers], str | None]:
    """A method's numbers after an epoch, by part of the data, and where its picture was written.

    Of the training images, those that its steps could not tell. All are of the averaged weights,
    where there are any.

    Raises:
        Diverged: one of the numbers is NaN or infinite; the last step's own losses were of the
            weights before it.
        StorageFailed: the disk refuses the picture.
    """
    with method.averaged():
        method.fit(dataset.train)
        numbers = {"train": calibrate(method, dataset.train)}
        for name, split in {"test": dataset.test, "held_out": dataset.held_out}.items():
            if split:
                numbers[name] = validate(method, split)
        if diagnosis:
            reals = {"test": dataset.test, "held_out": dataset.held_out}
            found = diagnosis.look(method, {name: split for name, split in reals.items() if split})
            for part, each in found.items():
                numbers[part] = numbers.get(part, {}) | each
        for each in numbers.values():
            refuse_non_finite(each, f"after epoch {epoch}", run_dir)
        samples = draw_samples(method, dataset.test)
    if samples is None:
        return numbers, None
    what, png = samples
    path = run_dir.write_picture(f"samples/epoch-{epoch:03d}.png", png)
    return numbers, f"{what} written to {path}"


def waited(rows: list[Numbers], method: Method | type[Method]) -> int:
    """Epochs since the best one, by the images held out: early stopping goes by it.

    The weights of the last epoch are kept, not those of the best: the learning rate falls towards
    the end, and what is stopped early has been at its best for a while.

    Raises:
        UserError: the headline is told of training batches only.
    """
    try:
        values = [row[f"held_out_{method.headline}"] for row in rows]
    except KeyError as error:
        raise UserError(
            f"the headline of {method.name}, {method.headline}, is none of its numbers about "
            "images held out: neither --patience nor --keep-best can go by it"
        ) from error
    best = max if method.larger_is_better else min
    return len(values) - 1 - values.index(best(values)) if values else 0


def save_best(method: Method, run_dir: RunDirectory, progress: Progress) -> None:
    """Keep the epoch just done, if it is the best so far by the images held out."""
    if progress.rows and waited(progress.rows, method) == 0:
        run_dir.save_best(method, progress)


def save_within_epoch(method: Method, run_dir: RunDirectory, progress: Progress) -> str:
    """Save where the run stands, once its weights are seen to be numbers; say so.

    Raises:
        Diverged: the step just done broke the weights.
    """
    largest = {name: p.abs().max().item() for name, p in method.named_parameters()}
    when = f"in epoch {progress.epoch + 1}, batch {progress.step}"
    refuse_non_finite(largest, when, run_dir)
    saved = run_dir.save(method, progress)
    return f"[Epoch {progress.epoch + 1} Batch {progress.step}] saved {saved}"
