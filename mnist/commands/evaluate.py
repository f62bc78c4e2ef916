"""How good runs are, in numbers side by side: what evaluate.py does."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from mnist import files
from mnist.commands.classifiers import open_classifier
from mnist.commands.flags import EvaluateFlags
from mnist.commands.tools import common_dataset, open_run_in, write
from mnist.data import Dataset
from mnist.errors import UserError, warn
from mnist.evaluation.handwriting import SEVERAL
from mnist.evaluation.inception import InceptionDistance
from mnist.evaluation.measure import Subject, measure, steps_to_measure, writers_known
from mnist.methods import Classifies
from mnist.training.environment import versions
from mnist.training.run import Run


class Row(NamedTuple):
    """A number in the printed table."""

    name: str
    what: str
    form: str
    reference: str | None = None  # the number in brackets beside it


TABLE = {
    "classification of test images": [Row("accuracy", "read as their digit", ".2%")],
    "reconstruction of test images": [
        Row("inverted_images", "images whose style was found by descent", ".0f"),
        Row("mse", "squared error (MSE)", ".4f"),
        Row("bce", "cross-entropy (BCE), nats a pixel", ".4f"),
        Row("ssim", "structural similarity (SSIM)", ".4f"),
        Row("reconstruction_accuracy", "read as their digit", ".2%", "judge_accuracy"),
    ],
    "likelihood of test images, black and white": [
        Row("likelihood", "log-likelihood by importance sampling, nats", ".2f"),
        Row("likelihood_error", "its standard error", ".2f"),
    ],
    "styles against the prior": [
        Row("ks_mean", "KS distance, mean of dimensions", ".4f", "ks_mean_true"),
        Row("ks_worst", "KS distance, worst dimension", ".4f", "ks_worst_true"),
        Row("ks_train_worst", "the same, of training images", ".4f", "ks_train_worst_true"),
        Row("ks_digit_worst", "the same, of the worst digit", ".4f", "ks_digit_worst_true"),
        Row("wasserstein", "sliced Wasserstein-2 distance", ".4f", "wasserstein_true"),
        Row(
            "wasserstein_train",
            "… over training images",
            ".4f",
            "wasserstein_train_true",
        ),
        Row("mmd", "squared MMD × 1000", "milli", "mmd_true"),
        Row("part_accuracy", "in their class's part of the prior", ".2%", "part_accuracy_true"),
    ],
    "digit read off the style (leakage)": [
        Row("leakage_logistic", "by logistic regression", ".2%", "leakage_chance"),
        Row("leakage_knn", "by nearest neighbours", ".2%", "leakage_chance"),
        Row("leakage_mlp", "by a perceptron", ".2%", "leakage_chance"),
        Row("leakage_mlp_mean", "the same, of posterior means", ".2%", "leakage_chance"),
    ],
    "handwriting of people unseen in training": [
        Row("writer_auc", "one writer's nearer than two's (AUC)", ".3f", "writer_auc_pixels"),
        Row("writer_auc_ratio", "the same, by likelihood ratio", ".3f", "writer_auc_embedding"),
        Row("writer_found", "writer among the 10 nearest", ".1%", "writer_found_embedding"),
        Row("writer_found_ratio", "the same, by likelihood ratio", ".1%"),
        Row("writer_found_pixels", "the same, by pixels", ".1%", "writer_found_chance"),
        Row("hand_zero", "MSE of a digit, in style zero", ".4f"),
        Row("hand_another", "in another writer's style", ".4f"),
        Row("hand_own", "in its writer's, from other digits", ".4f"),
        Row("hand_likeliest", "in what those make likeliest", ".4f"),
        Row("hand_same", "in its writer's, from the same digit", ".4f"),
        Row("hand_wins", "its writer's better than another's", ".1%"),
        Row("hand_transfer", "handwriting transfer", ".1%"),
        *(
            Row(f"hand_from_{n}", f"MSE from {n} image{'s' * (n > 1)} of other digits", ".4f")
            for n in SEVERAL
        ),
    ],
}
SAMPLES = [
    Row("agreement", "read as the digit asked for", ".2%", "judge_accuracy"),
    Row("agreement_swapped", "the same, in test images' styles", ".2%", "judge_accuracy"),
    Row("frechet", "Fréchet distance", ".4f", "frechet_real"),
    Row("frechet_mean", "the same, not sharpened", ".4f", "frechet_real"),
    Row("kernel", "kernel distance × 1000", "milli", "kernel_real"),
    Row("precision", "precision", ".2%", "precision_real"),
    Row("recall", "recall", ".2%", "recall_real"),
    Row("nearest", "nearest training image, median distance", ".2f", "nearest_real"),
    Row("very_near", "nearer to one than 99 % of test images", ".2%", "very_near_real"),
    Row("cas", "real digits read after learning from them", ".2%", "cas_real"),
    Row("inception", "Inception FID", ".2f"),
    Row("parzen", "log-likelihood by Parzen windows, nats", ".1f"),
    Row("parzen_error", "its standard error", ".1f"),
    Row("parzen_width", "width of the windows", ".3f"),
]


def evaluate(flags: EvaluateFlags) -> None:
    """Do what the command line says.

    Raises:
        UserError: any user error.
    """
    directories = flags.directories
    if len(set(directories)) < len(directories):
        raise UserError("--ckpt-dir names a directory twice")
    runs = [open_to_evaluate(flags, directory) for directory in directories]
    dataset = common_dataset(runs, flags.data_dir)
    judge = open_classifier(flags, "judge", runs[0])
    encoding = [run for run in runs if run.has_encoder]
    embedding = open_embedding(flags, encoding[0], dataset) if encoding else None
    inception = open_inception() if flags.inception else None
    options: dict[str, Any] = {
        "quick": flags.quick,
        "ex_post": flags.ex_post == "gmm",
        "importance_samples": flags.importance_samples,
    }
    subjects = [subject_of(run) for run in runs]

    found = []
    steps = sum(steps_to_measure(subject, dataset, judge, **options) for subject in subjects)
    with tqdm(desc="evaluating", total=steps, unit=" steps", leave=False, disable=None) as bar:
        for directory, run, subject in zip(directories, runs, subjects, strict=True):
            numbers = measure(
                subject,
                dataset,
                judge,
                seed=flags.seed,
                tell=bar.update,
                parzen=flags.parzen,
                embedding=embedding,
                inception=inception,
                **options,
            )
            found.append(about(directory, run, judge, flags.seed) | options | numbers)
            keep(directory, found[-1])
    print(table(found))
    print(
        "\nwritten: " + ", ".join(str(directory / "evaluation.json") for directory in directories)
    )


def open_to_evaluate(flags: EvaluateFlags, directory: Path) -> Run:
    """A run, in whose directory something can be written.

    Raises:
        UserError: there is none, or nothing can.
    """
    run = open_run_in(directory, flags)
    if run.epoch == 0:
        raise UserError(f"{directory} has not been trained for an epoch yet")
    if flags.importance_samples and not run.has_likelihood:
        raise UserError(
            f"{directory} has no Gaussian posterior of styles, or no density of their prior, so "
            "that no likelihood can be estimated: leave --importance-samples out"
        )
    if not os.access(directory, os.W_OK):
        raise UserError(f"cannot write to {directory}, where evaluation.json is to be")
    return run


def subject_of(run: Run) -> Subject:
    """A run as what is evaluated."""
    sharp = partial(run.decode, sharpness=run.sharpness)
    seeds = count()  # a new one for each batch

    def draw(images: Tensor, labels: Tensor) -> Tensor:
        return run.draw(images, labels, seed=next(seeds))

    return Subject(
        run.spec,
        encode=run.encode if run.has_encoder else None,
        invert=None if run.has_encoder or not run.can_generate else run.encode,
        draw=draw if run.has_posterior else None,
        decode=run.decode if run.can_decode else None,
        generate=sharp if run.can_generate else None,
        classify=run.classifier if isinstance(run.method, Classifies) else None,
        posterior=run.posterior if run.has_likelihood else None,
        log_likelihood=run.log_likelihood if run.has_likelihood else None,
        prior=run.method.prior,
        conditional=run.conditional,
        finds_classes=run.method.finds_classes,
    )


def open_embedding(flags: EvaluateFlags, run: Run, dataset: Dataset) -> Run | None:
    """The classifier of MNIST's writers, beside a run of MNIST; None where they are not known.

    Raises:
        UserError: as `open_classifier`.
    """
    if dataset.name != "mnist":
        return None
    if not writers_known(dataset):
        warn(
            f"who wrote the images in {dataset.source} is not known, so that styles are not "
            "measured as handwriting: put QMNIST's labels there (docs/handwriting.md)"
        )
        return None
    return open_classifier(flags, "writers", run, dataset="mnist-writers")


def open_inception() -> InceptionDistance | None:
    """The Inception network, or None and a warning where it cannot be had."""
    try:
        return InceptionDistance()
    except UserError as error:
        warn(f"{error}; going on without it")
        return None


def about(directory: Path, run: Run, judge: Run, seed: int) -> dict[str, Any]:
    """What an evaluation is of, and by what."""
    training, model = run.config["training"], run.config["model"]
    return {
        "ckpt_dir": str(directory),
        "method": run.config["method"],
        "feature_size": run.prior.feature_size if run.method.prior else None,
        "labels": run.conditional,
        "epochs": run.epoch,
        "run_seed": model["seed"],
        "class_word": run.spec.class_word,
        "dataset": training["dataset"],
        "dataset_sha256": training["dataset_sha256"],
        "sharpness": run.sharpness,
        "judge": judge.name,
        "judge_network": judge.method.summary(),
        "seed": seed,
        "threads": torch.get_num_threads(),
    } | versions("torch", "numpy", "scikit-learn", "scipy")


def keep(directory: Path, found: dict[str, Any]) -> None:
    """Write an evaluation beside the run, and add it to those before.

    Raises:
        UserError: the disk refuses.
    """
    write(directory / "evaluation.json", (json.dumps(found, indent=2) + "\n").encode())
    history = directory / "evaluations.jsonl"
    at = {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        files.append_line(history, json.dumps(at | found))
    except OSError as error:
        raise UserError(f"cannot write {history} ({error.strerror})") from error


def table(found: list[dict[str, Any]]) -> str:
    """Evaluations side by side, as text."""
    word = found[0]["class_word"]
    sections = TABLE | {"images in styles of the prior": SAMPLES}
    if any("gmm_cas" in each for each in found):
        rows = [row._replace(name=f"gmm_{row.name}") for row in SAMPLES]
        sections["images in styles of a mixture for each digit"] = rows
    # Only what applies to one of the runs, at least.
    sections = {
        title.replace("digit", word): [
            row._replace(what=row.what.replace("digit", word))
            for row in rows
            if any(each.get(row.name) is not None for each in found)
        ]
        for title, rows in sections.items()
    }
    columns = [[each["ckpt_dir"] for each in found]]
    first = [""]
    for title, rows in sections.items():
        if not rows:
            continue
        first += ["", title]
        columns += [[""] * len(found)] * 2
        for row in rows:
            first.append(f"  {row.what}")
            columns.append([cell(row, each) for each in found])
    width = max(map(len, first))
    widths = [max(len(line[i]) for line in columns) for i in range(len(found))]
    lines = [
        f"{name:{width}}  " + "  ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))
        for name, cells in zip(first, columns, strict=True)
    ]
    one = found[0]  # the judge and the data are the same for all
    hands = (
        "Of handwriting, what pixels have, and an embedding that learnt who wrote what.\n"
        if any("writer_auc" in each for each in found)
        else ""
    )
    parzen = (
        "Parzen windows say little of how good images are (Theis et al. 2016): k-means centres\n"
        "have a larger likelihood by them than real images.\n"
        if any("parzen" in each for each in found)
        else ""
    )
    ending = (
        "In brackets: what real images have, or a true sample of the prior, or chance.\n"
        f"{hands}{parzen}"
        f"{one['test_images']:,} images of each kind; read, and seen as features, by "
        f"{one['judge_network']}\nin {one['judge']}, which reads {one['judge_accuracy']:.2%} of "
        "the real ones right."
    )
    return "\n".join([line.rstrip() for line in lines]) + "\n\n" + ending


def cell(row: Row, found: dict[str, Any]) -> str:
    """A number and in brackets its reference, or a dash."""

    def text(name: str) -> str:
        value = found[name]
        return f"{1e3 * value:.3f}" if row.form == "milli" else format(value, row.form)

    if found.get(row.name) is None:
        return "-"
    if row.reference is None or found.get(row.reference) is None:
        return text(row.name)
    return f"{text(row.name)} ({text(row.reference)})"
