"""The training loop. It names no method: whatever keeps the promises of `Method` trains here."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch

from mnist.data import Dataset, epoch_order
from mnist.errors import Diverged, Problem, StorageFailed
from mnist.files import write_file
from mnist.methods import Method
from mnist.training.checkpoint import Progress
from mnist.training.log import Report
from mnist.training.session import Session
from mnist.training.signals import Signals


def train(
    method: Method,
    dataset: Dataset,
    session: Session,
    progress: Progress,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    log_every: int,
    report: Report,
    save_every: int | None = None,
    patience: int | None = None,
) -> None:
    """Train up to `epochs` epochs, saving at the end of each and when asked to.

    Args:
        method: on its device, with the weights that belong to `progress`.
        dataset: on the same device, with images held out if there is a `patience`.
        session: where the run is kept.
        progress: where to start, `Progress()` for a new run; it is moved along.
        epochs: in all, those already done included.
        batch_size: images a step; what does not fill a batch at an epoch's end is left out.
        seed: of the order of the images.
        log_every: batches between two lines.
        report: who is told.
        save_every: steps between two more checkpoints, counted from the start of the training.
        patience: epochs without a better headline on the images held out, after which it ends.

    Raises:
        Diverged: a loss or gradient became NaN or infinite; the checkpoints before it are kept.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; the run is saved where it stood.
        StorageFailed: the disk refuses to save; what was saved before is kept.
        Problem: the batch size does not fit the data.
    """
    steps = steps_per_epoch(dataset, batch_size)
    with Signals() as signals:
        for epoch in range(progress.epoch, epochs):
            if patience and waited(progress.rows, method.headline) >= patience:
                report.line(f"[Epoch {epoch}] Stopping early: no better for {patience} epochs.")
                break
            first, began = progress.step, time.perf_counter()
            order = epoch_order(len(dataset.train), seed, epoch).to(dataset.train.images.device)

            for step in report.steps(first, steps, epoch, epochs):
                batch = dataset.train.batch(order[step * batch_size : (step + 1) * batch_size])
                numbers = method.step(batch, (epoch + step / steps) / epochs)
                numbers |= method.gradient_norms()
                # They stay on the device: looking at a number makes the host wait for it.
                progress.history.append(torch.stack(list(numbers.values())))
                progress.step += 1
                report.live(numbers)
                last = progress.step == steps
                save = signals.any or (save_every and progress.steps % save_every == 0)
                if progress.step % log_every == 0 or last or save:
                    means = mean_numbers(progress, list(numbers), session)
                if progress.step % log_every == 0:
                    report.batch(epoch + 1, progress.step, means)
                if save and not last:
                    where = save_within_epoch(method, session, progress)
                    signals.stop_if_asked(where)
                    report.line(where)

            trained = time.perf_counter()
            report.training(epoch + 1, means)
            picture = session.directory / "samples" / f"epoch-{epoch + 1:03d}.png"
            seen = look_at(method, dataset, picture, epoch + 1, session)
            progress.finish_epoch(steps, **seen | {"train": means | seen["train"]})
            seconds = (trained - began) * steps / (steps - first) + time.perf_counter() - trained
            left = seconds * (epochs - epoch - 1)
            written = f"{method.pictured} written to {picture}"
            report.validation(epoch + 1, seen, written, seconds, left)
            saved = session.save(method, progress)
            report.line("Model parameters and trainer state saved.")
            if progress.epoch < epochs:
                signals.stop_if_asked(f"[Epoch {epoch + 1}] saved {saved}")


def steps_per_epoch(dataset: Dataset, batch_size: int) -> int:
    """Whole batches in the training images.

    Raises:
        Problem: there is none.
    """
    steps = len(dataset.train) // batch_size
    if steps == 0:
        raise Problem(
            f"a batch of {batch_size:,} is more than the {len(dataset.train):,} training images: "
            "give a smaller --batch-size"
        )
    return steps


def mean_numbers(progress: Progress, names: list[str], session: Session) -> dict[str, float]:
    """Means over the epoch's steps so far, once all of them are seen to be finite.

    Raises:
        Diverged: one is not, and which at what step.
        Problem: the epoch was begun by a version that had other numbers.
    """
    if len(progress.history[0]) != len(names):
        raise Problem(
            f"{session.directory} was stopped within an epoch by another version of mnist-style: "
            "go on with that one to the epoch's end"
        )
    history = torch.stack(progress.history).cpu()
    bad = torch.nonzero(~torch.isfinite(history).all(1))
    if len(bad):
        step = int(bad[0])
        numbers = dict(zip(names, history[step].tolist(), strict=True))
        refuse_non_finite(numbers, f"in epoch {progress.epoch + 1}, batch {step + 1}", session)
    return dict(zip(names, history.double().mean(0).tolist(), strict=True))


def refuse_non_finite(numbers: dict[str, float], when: str, session: Session) -> None:
    """Stop a run whose numbers are no longer numbers.

    Raises:
        Diverged: one of them is NaN or infinite.
    """
    for name, value in numbers.items():
        if not math.isfinite(value):
            kept = session.folders()
            raise Diverged(
                f"{name} became {value} {when}: "
                + (f"the run is as it was in {kept[-1]}; " if kept else "nothing was saved yet; ")
                + "try a smaller --lr in another --ckpt-dir"
            )


@torch.no_grad()
def look_at(
    method: Method, dataset: Dataset, path: Path, epoch: int, session: Session
) -> dict[str, dict[str, float]]:
    """A method's numbers after an epoch, by part of the data; its picture of test images.

    Of the training images, those that its steps could not tell.

    Raises:
        Diverged: one of the numbers is NaN or infinite; the last step's own losses were of the
            weights before it.
        StorageFailed: the disk refuses the picture.
    """
    parts = {"test": dataset.test, "held_out": dataset.held_out}
    method.eval()
    numbers = {"train": method.calibrate(dataset.train)}
    numbers |= {on: method.validate(digits) for on, digits in parts.items() if digits}
    for each in numbers.values():
        refuse_non_finite(each, f"after epoch {epoch}", session)
    png = method.picture(dataset.test)
    method.train()
    session.check_ours()
    try:
        path.parent.mkdir(exist_ok=True)
        write_file(path, png)
    except OSError as error:
        raise StorageFailed(
            f"cannot write {path} ({error.strerror}): mend that and give the same command again; "
            "the checkpoints are whole"
        ) from error
    return numbers


def waited(rows: list[dict[str, float]], headline: str) -> int:
    """Epochs since the best one, by the images held out: early stopping goes by it.

    The weights of the last epoch are kept, not those of the best: the learning rate falls towards
    the end, and what is stopped early has been at its best for a while.
    """
    values = [row[f"held_out_{headline}"] for row in rows]
    return len(values) - 1 - values.index(min(values)) if values else 0


def save_within_epoch(method: Method, session: Session, progress: Progress) -> str:
    """Save where the run stands, once its weights are seen to be numbers; say so.

    Raises:
        Diverged: the step just done broke the weights.
    """
    largest = {name: p.abs().max().item() for name, p in method.named_parameters()}
    when = f"in epoch {progress.epoch + 1}, batch {progress.step}"
    refuse_non_finite(largest, when, session)
    saved = session.save(method, progress)
    return f"[Epoch {progress.epoch + 1} Batch {progress.step}] saved {saved}"
