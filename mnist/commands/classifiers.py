"""The classifiers that tools ask for their opinion: opened, or trained first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnist.commands.flags import CLASSIFIER_DIR, ToolFlags
from mnist.commands.tools import open_directory
from mnist.errors import UserError, warn
from mnist.methods import CLASSIFIER
from mnist.training.environment import choose_device
from mnist.training.log import Report
from mnist.training.plan import has_ended, train_run
from mnist.training.run import Run
from mnist.training.run_directory import RunDirectory
from mnist.training.settings import Settings


def is_trained(directory: Path) -> bool:
    """Whether there is a run in a directory, trained to its end."""
    there = RunDirectory(directory).newest()
    return there is not None and bool(has_ended(there))


def usual_place(run: Run, default: str) -> Path:
    """Where the classifier that is used without being named lies: beside the run."""
    return Path(run.name).parent / default


def trained_beside(run: Run) -> Run | None:
    """The usual classifier, if it is there, trained, and of images and classes as the run's."""
    directory = usual_place(run, CLASSIFIER_DIR)
    try:
        there = open_directory(directory) if is_trained(directory) else None
    except UserError as problem:
        warn(f"the classifier is not asked: {problem}")
        return None
    return there if there and there.can_classify and there.spec == run.spec else None


def open_classifier(
    flags: ToolFlags,
    flag: str,
    run: Run,
    options: dict[str, Any] | None = None,
    epochs: int | None = None,
    outliers: bool = False,
    dataset: str | None = None,
) -> Run:
    """The classifier that a flag names, or the usual one, trained first where there is none.

    Args:
        flags: of the tool.
        flag: which of them names its directory; where it was not given its default is the usual
            one's, beside the run.
        run: that it is to give its opinion of.
        options, epochs: that make the usual one, besides the method's defaults.
        outliers: whether it is to know outliers as well, or is not to.
        dataset: that it has learnt from; the run's by default.

    Raises:
        UserError: there is none in the directory that was named, or no such classifier of that data
            set; or the training of the usual one was stopped: that is for whoever began it to
            resume.
    """
    named, name = flag in flags.given, getattr(flags, flag)
    directory = Path(name) if named else usual_place(run, name)
    there = RunDirectory(directory).newest()
    script = "./mnist-classifier.py" + (" --outliers" if outliers else "")
    training = run.config["training"]
    if dataset is not None:
        script += f" --dataset {dataset}"
    if there is None and named:
        raise UserError(
            f"no trained classifier in {directory}: train one by {script} "
            f"--ckpt-dir {directory}, or leave --{flag} out"
        )
    if there is None:
        print(f"no trained classifier in {directory} yet: training it first", flush=True)
        settings = Settings(
            method=CLASSIFIER,
            ckpt_dir=directory,
            options=options or {},
            dataset=dataset or training["dataset"],
            data_dir=flags.data_dir,
            epochs=epochs,
            device=flags.device,
        )
        train_run(settings, Report())
    elif not named and there.config["method"] == CLASSIFIER and not has_ended(there):
        finish = "./mnist-classifier.py"
        if str(directory) != CLASSIFIER_DIR:
            finish += f" --ckpt-dir {directory}"
        raise UserError(
            f"the classifier in {directory} is trained to epoch {there.epoch} of "
            f"{there.config['training']['epochs']} only: finish it by {finish}, or name another by "
            f"--{flag} DIR"
        )
    classifier = open_directory(directory, choose_device(flags.device))
    if not classifier.can_classify:
        method = classifier.config["method"]
        raise UserError(
            f"--{flag} {directory} cannot classify ({method}): name a run of mnist-classifier.py"
        )
    if classifier.knows_outliers != outliers:
        was = "without" if outliers else "with"
        raise UserError(
            f"--{flag} {directory} was trained {was} --outliers: name a run of {script}"
            + ("" if outliers else " without it")
        )
    if classifier.epoch == 0:
        raise UserError(f"--{flag} {directory} has not been trained for an epoch yet")
    learnt = classifier.config["training"]
    if dataset is not None:
        if learnt["dataset"] != dataset:
            raise UserError(
                f"--{flag} {directory} was trained on {learnt['dataset']}, not {dataset}: name a "
                f"run of {script}"
            )
    elif learnt["dataset_sha256"] != training["dataset_sha256"]:
        raise UserError(
            f"the classifier in {directory} was trained on {learnt['dataset']} and the run on "
            f"{training['dataset']}: train one by {script} --dataset {training['dataset']} "
            f"--ckpt-dir DIR, and name it by --{flag} DIR"
        )
    return classifier
