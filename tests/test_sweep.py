"""Sweeps: every combination is an ordinary run, however often the sweep was killed."""

import argparse
import csv
import io
import json
import os
import signal
import subprocess
import time

import pytest
from conftest import assert_refused, command, environment
from PIL import Image

from mnist.commands.sweep import jobs_of, report, seeds_of, spread, swept_options
from mnist.figures.sweep import against
from mnist.training.run_directory import RunDirectory

SMALL = "--dataset", "mnist-5k", "--hidden", "8", "--epochs", "3", "--batch-size", "250"


def weights(folder):
    return (RunDirectory(folder).newest().folder / "weights.safetensors").read_bytes()


def test_seeds_are_ranges_or_numbers():
    assert (seeds_of("0-2"), seeds_of("7")) == (["0", "1", "2"], ["7"])
    for text in ("2-0", "x", "1-", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="neither a seed nor"):
            seeds_of(text)


def test_every_combination_is_a_job(tmp_path):
    given = {"feature_size": ["2", "4"], "lr": ["0.01"], "labels": False, "hidden": ["8,4", "16"]}
    jobs = jobs_of(swept_options("aae"), given, ["0", "1"], tmp_path)
    assert len(jobs) == 8
    names = {job.folder.name for job in jobs}
    assert "feature-size-4-hidden-8,4-seed-1" in names
    assert len(names) == 8
    first = ["--lr", "0.01", "--no-labels", "--feature-size", "2", "--hidden", "8,4", "--seed", "0"]
    assert jobs[0].flags == first
    assert jobs[0].values == {"feature_size": "2", "hidden": "8,4", "seed": "0"}


def test_a_figure_has_a_dot_for_each_run_and_a_line_through_the_means():
    rows = {
        ("2", "relu"): [{"test_mse": "1"}, {"test_mse": "3"}],
        ("16", "relu"): [{"test_mse": "5"}],
        ("2", "gelu"): [{"test_mse": "7"}],
    }
    figure = against(rows, ["feature_size", "activation"], ["test_mse"], "a sweep")
    (axes,) = [each for each in figure.axes if each.lines]
    lines = [line.get_xydata().tolist() for line in axes.lines]
    assert [[2, 1], [2, 3]] in lines
    assert [[2, 2], [16, 5]] in lines
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "activation relu",
        "activation gelu",
    ]
    assert (spread([1, 3]), spread([2]), spread([])) == ("2 ± 1", "2", "")


def test_the_table_of_a_sweep_is_a_csv(tmp_path, capsys):
    """With commas in it, and a run that has fewer numbers than others."""
    rows = [
        {"hidden": "8,4", "seed": "0", "epoch": "1", "train_mse": "0.3", "test_mse": "0.2"},
        {"hidden": "16", "seed": "0", "epoch": "1", "train_mse": "0.1"},
    ]
    report(rows, ["hidden", "seed"], tmp_path, "sae")
    with open(tmp_path / "sweep.csv") as file:
        read = [*csv.DictReader(file)]
    assert [{name: cell for name, cell in row.items() if cell} for row in read] == rows
    assert capsys.readouterr().out.splitlines()[:4] == [
        "| hidden | runs | test_mse |",
        "|---|---|---|",
        "| 8,4 | 1 | 0.2 |",
        "| 16 | 1 |  |",
    ]


@pytest.mark.slow
def test_a_sweep_that_was_killed_twice_is_as_separate_runs(tmp_path):
    """Once with SIGKILL, whose runs go on by themselves for a while, and once with SIGTERM."""
    flags = "--method", "sae", "--feature-size", "2", "3", "--seeds", "0-1", *SMALL
    start = command("mnist-sweep.py", *flags, "--jobs", 2)
    how = {"cwd": tmp_path, "env": environment(), "stderr": subprocess.PIPE, "text": True}
    first, third = (f"feature-size-{size}-seed-0/samples/epoch-001.png" for size in (2, 3))
    for number, begun in ((signal.SIGKILL, first), (signal.SIGTERM, third)):
        with subprocess.Popen(start, stdout=subprocess.PIPE, **how) as process:
            deadline = time.monotonic() + 200
            while not (tmp_path / "sweep" / begun).exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.kill(process.pid, number)
            said = process.communicate(timeout=60)[1] if number == signal.SIGTERM else ""
        if number == signal.SIGTERM:
            assert process.returncode == 143
            assert said.startswith("mnist-sweep.py: stopped by SIGTERM: every run is saved; the ")
    done = subprocess.run(start, stdout=subprocess.PIPE, timeout=300, check=True, **how)
    with open(tmp_path / "sweep" / "sweep.csv") as file:
        rows = [*csv.DictReader(file)]
    assert [(row["feature_size"], row["seed"]) for row in rows] == [
        (size, seed) for size in "23" for seed in "01"
    ]
    for row in rows:
        folder = tmp_path / f"alone-{row['feature_size']}-{row['seed']}"
        alone = "--feature-size", row["feature_size"], "--seed", row["seed"], *SMALL
        one_thread = environment(OMP_NUM_THREADS="1")
        subprocess.run(
            command("mnist-sae.py", *alone, "--ckpt-dir", folder, "--quiet"),
            **how | {"env": one_thread},
            check=True,
        )
        swept = tmp_path / "sweep" / f"feature-size-{row['feature_size']}-seed-{row['seed']}"
        assert weights(folder) == weights(swept)
        assert (folder / "metrics.csv").read_bytes() == (swept / "metrics.csv").read_bytes()
        last = [*csv.DictReader(io.StringIO((folder / "metrics.csv").read_text()))][-1]
        assert last == {name: value for name, value in row.items() if name in last}
    assert done.stdout.startswith("| feature_size | runs | test_mse | test_ks |")
    assert min(Image.open(tmp_path / "sweep" / "sweep.png").size) > 200


@pytest.mark.slow
def test_a_run_that_diverges_keeps_no_other_from_its_end(run_script, tmp_path):
    done = run_script("mnist-sweep.py", "--method", "sae", *SMALL, "--lr", "1e30", "0.01")
    assert done.returncode == 3
    assert "mnist-sweep.py: error: 1 of 2 runs failed" in done.stderr
    assert "sweep/lr-1e30-seed-0: mnist-sae.py: error:" in done.stderr
    assert "| 0.01 | 1 |" in done.stdout
    config = json.loads((tmp_path / "sweep" / "lr-0.01-seed-0" / "config.json").read_text())
    assert config["model"]["lr"] == 0.01


def test_what_no_training_takes_is_refused(run_here):
    assert_refused(run_here("mnist-sweep.py", "--feature-size", "0"), "'0' is not a whole number")
    assert_refused(run_here("mnist-sweep.py", "--seeds", "3-1"), "is neither a seed nor a range")
    assert_refused(
        run_here("mnist-sweep.py", "--feature-sizes", "2"), "did you mean --feature-size"
    )
