"""evaluate.py, and what it finds of subjects whose quality is known; on the bundled images."""

import dataclasses
import json
import math
import multiprocessing
import os
import sys
import types
from functools import partial
from urllib.error import URLError

import pytest
import torch
from conftest import (
    SMALL,
    assert_refused,
    bundled,
    constant_classifier,
    one_line,
    save_run,
    train_small,
)
from torch.nn import functional as F

import mnist
from mnist.commands import evaluate
from mnist.commands.evaluate import SAMPLES, TABLE
from mnist.commands.flags import EvaluateFlags
from mnist.data.mnist import MNIST
from mnist.data.spec import DataSpec
from mnist.data.types import Dataset, Split
from mnist.errors import UserError
from mnist.evaluation import metrics
from mnist.evaluation.measure import (
    Subject,
    decoded,
    draw_ex_post,
    measure,
    parzen_windows,
    share_read,
)
from mnist.methods import METHODS
from mnist.networks.prior import Gaussian

EVALUATE = "evaluate.py"
SHORT = {"dataset": "mnist-5k", "batch_size": 100, "quiet": True}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with runs to evaluate, and a judge."""
    # As the defaults were before there were posteriors: with those four epochs are not enough for
    # images to be worth sharpening.
    plain = METHODS["aae"].earlier | {"adversarial_weight": 0.4}
    return train_small(tmp_path_factory.mktemp("trained"), "aae", (4, 5), **plain)


@pytest.fixture(scope="module")
def judge(trained):
    return mnist.load(trained / "mnist-classifier.ckpt")


@pytest.fixture
def here(trained, run_beside):
    return partial(run_beside(trained), EVALUATE)


def read(path):
    return json.loads(path.read_text())


# --- subjects whose quality is known --------------------------------------------------------------


def oracle(degrade=lambda images: images, wrong=0.0, spread=1.0):
    """A subject that remembers images by their styles, which are true samples of the prior.

    In other styles it writes training images.

    Args:
        degrade: images [B, 1, 28, 28] before they are given back.
        wrong: share of images that show another digit than was asked for.
        spread: what styles are multiplied by.
    """
    train = bundled().train
    of_digit = [torch.nonzero(train.labels == digit)[:, 0] for digit in range(10)]
    generator = torch.Generator().manual_seed(1)
    memory = {}

    def encode(images, labels):
        styles = spread * torch.randn(len(images), 3, generator=generator)
        memory.update(zip(styles[:, 0].tolist(), images, strict=True))
        return styles

    def decode(styles, digits):
        if styles[0, 0].item() not in memory:
            return generate(styles, digits)
        return degrade(torch.stack([memory[number] for number in styles[:, 0].tolist()]))

    def generate(styles, digits):
        mistaken = torch.rand(len(digits), generator=generator) < wrong
        shown = torch.where(mistaken, 9 - digits, digits)
        which = (1e3 * styles[:, 0]).frac().abs().mul(399).long()
        chosen = [of_digit[d][k] for d, k in zip(shown.tolist(), which.tolist(), strict=True)]
        return degrade(train.batch(torch.stack(chosen)).images)

    return Subject(MNIST, encode, None, decode, generate, None, Gaussian(3), conditional=True)


@pytest.fixture(scope="module")
def of_oracle(judge):
    """With a draw of its styles, which are points, and with writers, whom the judge knows not."""
    data = bundled()
    writers = {
        part: dataclasses.replace(split, writers=torch.arange(len(split)) // 8 % 25)
        for part, split in (("train", data.train), ("test", data.test))
    }
    subject = oracle()
    return measure(
        subject._replace(draw=subject.encode),
        dataclasses.replace(data, **writers),
        judge,
        parzen=True,
        embedding=judge,
    )


DEGRADED = {
    "blurred": lambda x: F.avg_pool2d(x, 5, 1, 2),
    "noisy": lambda x: (x + 0.4 * torch.rand_like(x)).clamp(0, 1),
    "always the same": lambda x: x[:1].expand_as(x),
}


@pytest.fixture(scope="module")
def degraded(judge):
    return {
        what: measure(oracle(degrade), bundled(), judge, quick=True)
        for what, degrade in DEGRADED.items()
    }


@pytest.mark.slow
def test_training_images_are_as_good_as_real_and_known_by_heart(of_oracle, degraded):
    found = of_oracle
    assert found["train_images"] == 4000
    assert found["test_images"] == 1000
    assert found["mse"] == 0
    assert found["bce"] < 0.1  # that of the images themselves, which are grey at their edges
    assert found["ssim"] == pytest.approx(1)
    assert found["reconstruction_accuracy"] == found["judge_accuracy"]
    assert found["agreement"] == pytest.approx(found["judge_accuracy"], abs=0.02)
    assert found["agreement_swapped"] == pytest.approx(found["judge_accuracy"], abs=0.02)
    assert found["cas"] == pytest.approx(found["cas_real"], abs=0.02)
    assert found["frechet"] == pytest.approx(found["frechet_real"], rel=0.2)
    assert abs(found["kernel"]) < 0.05 * degraded["noisy"]["kernel"]
    assert found["precision"] == pytest.approx(found["precision_real"], abs=0.05)
    assert found["recall"] == pytest.approx(found["recall_real"], abs=0.05)
    assert found["very_near"] == 1
    assert found["nearest"] < 0.01 * found["nearest_real"]  # but for rounding


@pytest.mark.slow
def test_true_samples_of_the_prior_are_as_good_as_others(of_oracle):
    found = of_oracle
    for name in ("ks_worst", "ks_mean", "ks_digit_worst", "ks_train_worst", "wasserstein"):
        assert found[name] == pytest.approx(found[f"{name}_true"], rel=0.6)
    assert found["mmd"] == pytest.approx(0, abs=1e-3)
    # 1,000 readings by chance: a standard error of 0.0095.
    for probe in ("logistic", "knn", "mlp"):
        assert found[f"leakage_{probe}"] < found["leakage_chance"] + 4 * 0.0095
    assert found["std_least"] == pytest.approx(1, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("what", DEGRADED)
def test_degraded_images_are_worse_in_every_number(of_oracle, degraded, what):
    found = degraded[what]
    for name in ("mse", "bce", "frechet", "kernel"):
        assert found[name] > max(1.5 * of_oracle[name], 1e-3), name
    for name in ("ssim", "reconstruction_accuracy", "recall", "agreement", "cas"):
        assert found[name] < of_oracle[name], name


@pytest.mark.slow
def test_wrong_digits_and_wrong_styles_are_seen(judge, of_oracle):
    found = measure(oracle(wrong=0.3, spread=1.5), bundled(), judge, quick=True)
    assert found["agreement"] == pytest.approx(0.7, abs=0.03)
    assert found["cas"] < of_oracle["cas"]
    for name in ("ks_worst", "ks_digit_worst", "wasserstein", "mmd", "std_most"):
        assert found[name] > 1.2 * of_oracle[name], name
    assert found["frechet"] == pytest.approx(of_oracle["frechet"], rel=0.3)


def test_a_subject_that_heeds_no_digit_is_not_asked_for_one(judge):
    found = measure(oracle()._replace(conditional=False), bundled(), judge, quick=True)
    assert found["agreement"] is found["agreement_swapped"] is found["cas"] is None
    assert found["frechet"] > 0


@pytest.mark.slow
def test_every_reference_in_the_table_is_measured(of_oracle):
    # Of a run that classifies, of one without an encoder, of a prior in the plane, and where it is
    # asked for.
    others = {"accuracy", "inverted_images", "wasserstein_train", "part_accuracy", "inception"}
    others |= {"likelihood", "likelihood_error"}
    for row in [*(row for rows in TABLE.values() for row in rows), *SAMPLES]:
        assert (row.name in of_oracle) != (row.name in others)
        assert row.reference is None or row.name in others or row.reference in of_oracle


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options", "measured"),
    [
        ("categorical_aae", {"labelled": 100}, {"accuracy", "agreement", "ks_worst"}),
        ("categorical_aae", {"clusters": 12}, {"accuracy", "mmd", "frechet"}),
        ("categorical_aae", {"labelled": 100, "heads": True}, {"accuracy", "mmd", "frechet"}),
        ("aae", {"prior": "ring", "labels": False}, {"wasserstein_train", "frechet"}),
        (
            "aae",
            {"prior": "mixture", "labels": False, "guide_labels": 500},
            {"wasserstein_train", "part_accuracy", "part_accuracy_true"},
        ),
        ("aae", {"posterior": "universal"}, {"agreement", "ks_worst", "leakage_mlp_mean"}),
    ],
)
def test_runs_of_the_papers_other_sections(tmp_path, judge, method, options, measured):
    run = mnist.train(
        method,
        dataset="mnist-5k",
        epochs=2,
        ckpt_dir=tmp_path / "a.ckpt",
        hidden=(32,),
        feature_size=2,
        **options,
    )
    found = measure(evaluate.subject_of(run), bundled(), judge, quick=True)
    given = {name for name, value in found.items() if value is not None}
    assert measured <= given
    assert ("agreement" in given) == run.conditional
    assert ("part_accuracy" in given) == ("guide_labels" in options)
    for name in given & {"accuracy", "part_accuracy"}:
        assert 0.15 < found[name] < 1, name  # chance is a tenth


def test_a_poor_judge_is_refused(judge):
    with pytest.raises(UserError, match=r"reads only 9\d\.\d\d% of the test images right"):
        measure(oracle(), dataclasses.replace(bundled(), name="mnist"), judge)


def test_share_read():
    digits = bundled().test.some(slice(0, None, 20))
    pixels = F.one_hot(digits.labels, 10).float()
    assert share_read(lambda images: pixels[: len(images)], digits) == 1
    assert share_read(lambda images: pixels.roll(1, 1), digits) == 0
    assert share_read(lambda images: torch.eye(10)[[3]].expand(50, 10), digits) == 0.1


def test_mixtures_have_the_styles_distribution():
    """Two clumps a digit, of which a Gaussian would make one."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4000) % 2
    clump = torch.rand(4000, generator=generator) < 0.3
    centre = torch.stack([10.0 * labels, torch.where(clump, 5.0, -5.0)], 1)
    styles = centre + 0.1 * torch.randn(4000, 2, generator=generator)
    drawn = draw_ex_post(styles, labels, torch.tensor([1] * 1000 + [0] * 3000), seed=0)
    assert drawn[:1000, 0].mean().item() == pytest.approx(10, abs=0.02)
    assert drawn[1000:, 0].mean().item() == pytest.approx(0, abs=0.02)
    assert (drawn[:, 1] > 0).double().mean().item() == pytest.approx(0.3, abs=0.04)
    assert drawn[1000:2000, 1].mean().item() == pytest.approx(
        drawn[2000:3000, 1].mean().item(), abs=0.8
    )
    assert metrics.nearest(drawn, styles).max() < 0.5


def test_written_images_are_bytes():
    written = decoded(
        lambda s, d: torch.full((len(s), 1, 28, 28), 0.5), torch.zeros(3, 2), torch.arange(3)
    )
    assert written.images.dtype == torch.uint8
    assert written.images.unique().tolist() == [128]


# --- the script -----------------------------------------------------------------------------------


def test_a_run_is_evaluated(here, tmp_path):
    done = here("--quick")
    assert (done.returncode, done.stderr) == (0, "")
    found = read(tmp_path / "mnist3.ckpt" / "evaluation.json")
    # Its style is a point, its prior has no parts, and the others are not asked for.
    absent = {"leakage_mlp_mean", "wasserstein_train", "part_accuracy", "inception"}
    absent |= {"parzen", "parzen_error", "parzen_width", "likelihood", "likelihood_error"}
    absent |= {"inverted_images"}
    for title, rows in (*TABLE.items(), ("", SAMPLES)):
        for row in rows:
            if title.startswith("handwriting"):  # nobody knows who wrote these
                absent.add(row.name)
            assert (row.what in done.stdout) == (row.name not in absent)
    assert not any(isinstance(value, dict | list) for value in found.values())  # flat
    assert (found["dataset"], found["method"], found["feature_size"]) == ("mnist-5k", "aae", 3)
    assert f"{found['mse']:.4f}" in done.stdout
    assert f"{found['frechet']:.4f} ({found['frechet_real']:.4f})" in done.stdout
    assert f"{found['cas']:.2%} ({found['cas_real']:.2%})" in done.stdout
    assert found["frechet"] < found["frechet_mean"]  # sharpened images are nearer to real ones
    run = mnist.load(tmp_path / "mnist3.ckpt")
    assert found["sharpness"] == run.sharpness > 1
    assert found["mse"] == pytest.approx(run.numbers["test_mse"], rel=0.01)


@pytest.mark.slow
def test_evaluations_repeat_and_are_all_kept(here, tmp_path):
    """The same again, to the last digit; and another seed."""
    path = tmp_path / "mnist3.ckpt" / "evaluation.json"
    assert here("--quick").returncode == 0
    written, found = path.read_bytes(), read(path)
    assert here("--quick").returncode == 0
    assert path.read_bytes() == written
    assert here("--quick", "--seed", 1).returncode == 0
    assert read(path)["frechet"] != found["frechet"]
    lines = (tmp_path / "mnist3.ckpt" / "evaluations.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert [each["seed"] for each in history] == [0, 0, 1]
    assert {k: v for k, v in history[0].items() if k != "at"} == found


def test_evaluations_at_once_are_all_kept(tmp_path):
    fork = multiprocessing.get_context("fork")

    def keep(process):
        for _ in range(20):
            evaluate.keep(tmp_path, {"process": process, "text": "x" * 5000})

    several = [fork.Process(target=keep, args=[number]) for number in range(4)]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
    assert [process.exitcode for process in several] == [0] * 4
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["process"] for line in lines) == sorted([*range(4)] * 20)
    assert len(read(tmp_path / "evaluation.json")["text"]) == 5000
    assert len(list(tmp_path.iterdir())) == 2


def test_without_writers_handwriting_is_left_out_and_said_so(capsys):
    run = types.SimpleNamespace(has_encoder=True)
    unknown = dataclasses.replace(bundled(), name="mnist", source="/some/where")
    assert evaluate.open_embedding(EvaluateFlags(), run, unknown) is None
    said = one_line(capsys.readouterr().err)
    assert "who wrote the images in /some/where is not known" in said
    assert evaluate.open_embedding(EvaluateFlags(), run, bundled()) is None
    assert capsys.readouterr().err == ""


def test_a_classifier_of_digits_is_none_of_writers(tmp_path):
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    constant_classifier(tmp_path / "digits.ckpt", 5)
    writers = torch.zeros(1000, dtype=torch.int64)
    data = bundled()
    known = dataclasses.replace(
        data,
        name="mnist",
        train=dataclasses.replace(data.train, writers=writers),
        test=dataclasses.replace(data.test, writers=writers),
    )
    flags = EvaluateFlags(writers=str(tmp_path / "digits.ckpt"))
    run = mnist.load(tmp_path / "mnist3.ckpt")
    says = "--writers .*digits.ckpt was trained on mnist-5k, not mnist-writers: name a run of"
    with pytest.raises(UserError, match=says):
        evaluate.open_embedding(flags, run, known)
    missing = EvaluateFlags(writers=str(tmp_path / "none"))
    says = "train one by ./mnist-classifier.py --dataset mnist-writers --ckpt-dir"
    with pytest.raises(UserError, match=says):
        evaluate.open_embedding(missing, run, known)


@pytest.mark.slow
def test_runs_are_compared(here, tmp_path):
    names = ("mnist3.ckpt", "plain2.ckpt")
    done = here("--ckpt-dir", *names, "--quick", "--ex-post", "gmm", "--parzen", size=None)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split() == [*names]
    agreement = next(line for line in done.stdout.splitlines() if "digit asked for" in line)
    assert agreement.endswith(" -")  # without labels it cannot be asked
    with_labels, without = (read(tmp_path / name / "evaluation.json") for name in names)
    assert without["cas"] is None
    assert 0.1 < without["gmm_cas"] < with_labels["gmm_cas"] < 1
    assert without["leakage_mlp"] > with_labels["leakage_mlp"] + 0.2
    assert "a mixture for each digit" in done.stdout
    assert "Parzen windows say little" in done.stdout


def test_parzen_windows_are_chosen_by_images_that_are_held_out():
    """Of Gaussians about an image of each class the width is found again."""
    torch.manual_seed(0)
    spec = DataSpec((1, 8, 8), ("a", "b"))
    middles = 60 + 130 * torch.rand(2, 8, 8, 1)

    def noisy(count):
        labels = torch.arange(count) % 2
        images = middles[labels] + 0.15 * 255 * torch.randn(count, 8, 8, 1)
        return Split(images.clamp(0, 255).to(torch.uint8), labels)

    dataset = Dataset("noise", spec, noisy(600), noisy(400), "here")
    centres = Split(middles.to(torch.uint8), torch.arange(2))
    found = parzen_windows(centres, dataset.test, dataset)
    assert found["parzen_width"] == pytest.approx(0.15, rel=0.1)
    entropy = 64 * math.log(0.15 * math.sqrt(2 * math.pi * math.e)) + math.log(2)
    assert found["parzen"] == pytest.approx(-entropy, abs=3)
    assert found["parzen_error"] == pytest.approx(math.sqrt(64 / 2 / 400), rel=0.2)


def test_the_inception_distance_is_measured_where_it_can_be(here, tmp_path, monkeypatch):
    class Metric:
        def __init__(self, feature):
            self.reset()

        def reset(self):
            self.seen = {True: [], False: []}

        def update(self, images, real):
            assert images.dtype == torch.uint8
            assert images.shape[1:] == (3, 28, 28)
            self.seen[real].append(images)

        def compute(self):
            real, generated = (torch.cat(each).double().mean() for each in self.seen.values())
            assert sum(map(len, self.seen[True])) == sum(map(len, self.seen[False])) == 1000
            return (real - generated).abs()

    module = types.SimpleNamespace(FrechetInceptionDistance=Metric)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", module)
    done = here("--quick", "--inception")
    assert (done.returncode, done.stderr) == (0, "")
    found = read(tmp_path / "mnist3.ckpt" / "evaluation.json")
    assert f"{found['inception']:.2f}" in next(
        line for line in done.stdout.splitlines() if "Inception FID" in line
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (URLError("Name or service not known"), "could not be fetched"),
        (ModuleNotFoundError("No module named 'torch_fidelity'"), "pip install torchmetrics"),
    ],
)
def test_without_inception_it_says_so_and_goes_on(here, tmp_path, monkeypatch, error, says):
    def refuse(feature):
        raise error

    module = types.SimpleNamespace(FrechetInceptionDistance=refuse)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", module)
    monkeypatch.setattr(evaluate, "measure", lambda *_, **__: {"test_images": 1, "mse": 0.5})
    monkeypatch.setattr(evaluate, "table", lambda found: "the table")
    done = here("--inception")
    assert done.returncode == 0
    assert says in one_line(done.stderr)
    assert done.stderr.startswith("warning: --inception needs ")
    assert read(tmp_path / "mnist3.ckpt" / "evaluation.json")["mse"] == 0.5


def test_what_cannot_be_evaluated(here, tmp_path, monkeypatch):
    assert_refused(here("--ckpt-dir", "nothing.ckpt", size=None), "nothing.ckpt")
    assert_refused(here("--ckpt-dir", "nothing2.ckpt", size=None), "no trained run")
    assert_refused(here("--judge", "nowhere.ckpt"), "no trained classifier in nowhere.ckpt")
    assert_refused(here("--judge", "mnist3.ckpt"), "mnist3.ckpt cannot classify")
    assert_refused(here("--ex-post", "vine"), "invalid choice")
    assert_refused(here("--ckpt-dir", "mnist3.ckpt", "gone.ckpt", size=None), "gone.ckpt")
    assert_refused(here("--ckpt-dir", "mnist3.ckpt", "mnist3.ckpt", size=None), "twice")
    save_run(tmp_path / "new.ckpt", "sae", SMALL)
    assert_refused(here("--ckpt-dir", "new.ckpt", size=None), "not been trained for an epoch")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert_refused(here(), "cannot write to mnist3.ckpt")
    assert not list(tmp_path.glob("*/evaluation*"))
