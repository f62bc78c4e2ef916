#!/usr/bin/env python3
"""Every method side by side: train each by its defaults, measure all, print docs/methods.md.

Runs and their numbers are kept below --runs, and --jobs of them are trained at once, on one thread
each; what was stopped goes on with the same command. Pictures go to --pictures. Needs the full
MNIST in $MNIST_DATA_DIR.

example: MNIST_DATA_DIR=... python benchmarks/zoo.py --jobs 2 > docs/methods.md
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from judge import RUN as JUDGE
from judge import judge
from machine import machine
from spread import spread

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.figures import sheets  # noqa: E402
from mnist.figures.images import grid  # noqa: E402
from mnist.figures.sheets import Section  # noqa: E402
from mnist.networks.prior import InParts, same_in_all_parts  # noqa: E402
from mnist.training.run import Run  # noqa: E402

LEAST_SHARE, MOST_SHARE = 0.07, 0.13  # of a digit, in what is no collapse
SHOWN = 20  # images of each method in the picture
# To be read again with every new table: it must say nothing that the table does not.
ADVICE = """\
- **A digit you choose, in a handwriting you choose:** `./mnist-aae.py`. Style and digit are
  independent, so one style writes all ten; an encoder tells the style of a given image.
- **The most lifelike digits, on demand:** `./mnist-gan.py --condition cgan`. There is no encoder;
  `--from-image` and encoder-vis.py look for styles by descent.
- **A likelihood:** `./mnist-vae.py`. Samples are softer.
- **No labels at all:** `./mnist-gan.py` for samples, `./mnist-aae.py --no-labels` for an encoder,
  `./mnist-gan.py --condition infogan` to find the digits.
- **Reconstructions alone:** `./mnist-sae.py`."""


INFOGAN_FOUND = """
The clusters that an InfoGAN found without a label, and the two numbers that it finds again in its
images, here of seed {seed}:

![Ten clusters in twenty styles, and in one as its first or second number grows](infogan.png)
"""


class Contestant(NamedTuple):
    """A method and its flags, by the name that the table has."""

    name: str
    script: str
    flags: tuple[str, ...] = ()

    def directory(self, runs: Path, seed: int) -> Path:
        return runs / "-".join([self.script, *(f.lstrip("-") for f in self.flags), str(seed)])


INFOGAN = Contestant("InfoGAN", "gan", ("--condition", "infogan"))
CONTESTANTS = [
    Contestant("SAE", "sae"),
    Contestant("SAE, squashed code", "sae", ("--code", "sigmoid")),
    Contestant("RAE", "sae", ("--code", "l2")),
    Contestant("RAE, spectral norm", "sae", ("--code", "l2", "--smoothness", "spectral")),
    Contestant("RAE, no labels", "sae", ("--code", "l2", "--no-labels")),
    Contestant("VAE", "vae"),
    Contestant("VAE, no labels", "vae", ("--no-labels",)),
    Contestant("AAE", "aae"),
    Contestant("AAE, no labels", "aae", ("--no-labels",)),
    Contestant("AAE, 16 clusters", "aae", ("--clusters", "16")),
    Contestant("BiGAN", "bigan"),
    Contestant("GAN", "gan"),
    Contestant("GAN, perceptrons", "gan", ("--network", "mlp")),
    *(
        Contestant(name, "gan", ("--loss", loss))
        for name, loss in {
            "LSGAN": "lsgan",
            "WGAN": "wgan",
            "WGAN-GP": "wgan-gp",
            "BEGAN": "began",
            "EBGAN": "ebgan",
        }.items()
    ),
    Contestant("CGAN", "gan", ("--condition", "cgan")),
    Contestant("CGAN, least squares", "gan", ("--loss", "lsgan", "--condition", "cgan")),
    Contestant("ACGAN", "gan", ("--condition", "acgan")),
    Contestant("ACGAN, WGAN-GP", "gan", ("--loss", "wgan-gp", "--condition", "acgan")),
    INFOGAN,
]

COLUMNS = {  # in a run's numbers -> in the table
    "seconds": ("seconds", ".0f"),
    "frechet": ("Fréchet", ".4f"),
    "kernel": ("kernel × 1000", "milli"),
    "precision": ("precision", ".1%"),
    "recall": ("recall", ".1%"),
    "shares": ("digits' shares", ""),
    "agreement": ("agreement", ".2%"),
    "cas": ("CAS", ".2%"),
    "accuracy": ("reads", ".2%"),
    "mse": ("test MSE", ".4f"),
    "leakage_mlp": ("leakage", ".1%"),
    "writer_auc": ("writer AUC", ".3f"),
    "writer_auc_ratio": ("by ratio", ".3f"),
    "hand_transfer": ("transfer", ".1%"),
}


def run_script(script: str, *flags: object) -> float:
    """Run a script of the project on one thread: seconds of processor time that it took.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / script), *map(str, flags)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime


def trained(contestant: Contestant, seed: int, runs: Path) -> Path:
    """Train a run and measure it, as far as that is still to do: where its numbers are."""
    directory = contestant.directory(runs, seed)
    numbers, clock = directory / "evaluation.json", directory / "zoo.json"
    if not clock.exists():
        shutil.rmtree(directory, ignore_errors=True)  # what was begun, whose time nobody knows
        flags = (*contestant.flags, "--seed", seed, "--dataset", "mnist", "--ckpt-dir", directory)
        seconds = run_script(f"mnist-{contestant.script}.py", "--quiet", *flags)
        clock.write_text(json.dumps({"seconds": seconds, "machine": machine()}) + "\n")
    if not numbers.exists():
        run_script("evaluate.py", "--ckpt-dir", directory, "--judge", JUDGE)
    print(f"{contestant.name}, seed {seed}: done", file=sys.stderr, flush=True)
    return numbers


def shares(run: Run) -> list[float]:
    """Of each digit in 10,000 images that a run makes, as the judge reads them."""
    reader, _ = judge()
    count = 10_000 if not run.conditional else 1_000
    images = run.generate(count=count, seed=1).images
    parts = torch.from_numpy(images).unsqueeze(1).float().div(255).split(1000)
    read = torch.cat([reader.read(part) for part in parts])
    return (read.bincount(minlength=run.spec.classes) / len(read)).tolist()


def numbers_of(contestant: Contestant, seed: int, runs: Path) -> dict[str, Any]:
    """What has been measured of a run; without the seconds where it was trained elsewhere."""
    directory = contestant.directory(runs, seed)
    known = json.loads((directory / "zoo.json").read_text())
    if "shares" not in known:
        known["shares"] = shares(mnist.load(directory))
        (directory / "zoo.json").write_text(json.dumps(known) + "\n")
    if known["machine"] != machine():
        del known["seconds"]
    return json.loads((directory / "evaluation.json").read_text()) | known


def exceptions(rows: dict[str, list[dict]], seeds: Sequence[int]) -> str:
    """Sentences on the runs of other machines, and on those that are still missing."""
    machines = Counter(row["machine"] for each in rows.values() for row in each)
    del machines[machine()]
    sentences = [
        f" {count} were trained on {name}, and their seconds are left out."
        for name, count in machines.items()
    ]
    missing = [name for name, each in rows.items() if len(each) < len(seeds)]
    if missing:
        sentences.append(f" Of {'; '.join(missing)} some runs are still to come.")
    return "".join(sentences)


def cell(rows: Sequence[dict], key: str, form: str) -> str:
    """A number of several runs: its mean, and how far they spread."""
    if key == "shares":
        every = [share for row in rows for share in row[key]]
        fine = min(every) >= LEAST_SHARE and max(every) <= MOST_SHARE
        return f"{min(every):.1%} to {max(every):.1%}{'' if fine else ' (!)'}"
    values = [row[key] for row in rows if row.get(key) is not None]
    if not values:
        return ""
    if form == "milli":
        values, form = [1000 * value for value in values], ".3f"
    return spread(values, form)


def table(rows: dict[str, list[dict]]) -> str:
    """Markdown: a line per method."""
    lines = ["| method | " + " | ".join(title for title, _ in COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for name, each in rows.items():
        cells = [cell(each, key, form) for key, (_, form) in COLUMNS.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def some_images(run: Run) -> torch.Tensor:
    """Images of a run, a few of each digit or part where it can be asked for them."""
    prior, generator = run.prior, torch.Generator().manual_seed(0)
    classes = run.spec.classes
    if isinstance(prior, InParts) and not run.conditional:
        every = same_in_all_parts(prior, -(-SHOWN // prior.parts), 0)
        styles, labels = every.transpose(0, 1).flatten(0, 1)[:SHOWN], None
    else:
        styles = prior.sample(SHOWN, generator)
        labels = torch.arange(SHOWN) % classes if run.conditional else None
    return run.decode(styles, labels, sharpness=run.sharpness)


def picture(contestants: Sequence[Contestant], seed: int, runs: Path) -> bytes:
    """A row of images of each method, not chosen."""
    rows = [some_images(mnist.load(each.directory(runs, seed))) for each in contestants]
    title = f"{SHOWN} images of each method, seed {seed}; where it is told the digit, 0 to 9 twice"
    return sheets.sheet([Section(title, grid(rows), [each.name for each in contestants])])


def document(rows: dict[str, list[dict]], seeds: Sequence[int]) -> str:
    """docs/methods.md."""
    _, accuracy = judge()
    return f"""\
# Methods

What to use for what:

{ADVICE}

Every method with its default settings on all of MNIST; mean ± standard deviation of seeds
{", ".join(map(str, seeds))}. By `benchmarks/zoo.py` on {machine()}; each run on one thread.{
        exceptions(rows, seeds)
    }

{table(rows)}

- *seconds*: of processor time, on one thread, with what is looked at after each epoch.
- *Fréchet*, *kernel*, *precision*, *recall*: of 10,000 generated images against the test images,
  in the features of a classifier that reads {accuracy:.2%} of those ([evaluation](evaluation.md)).
- *digits' shares*: of what that classifier reads in 10,000 generated images, the least and the
  largest of all seeds; (!) beyond {LEAST_SHARE:.0%} to {MOST_SHARE:.0%}.
- *agreement*: how often it reads the digit asked for; *CAS*: how many real test images a classifier
  reads that learnt from generated ones alone.
- *reads*: how many test images the method itself reads, or has in a cluster of their digit.
- *test MSE*: of reconstructions; without an encoder of 500 images, whose styles descent found.
- *leakage*: how often the digit is read off the style, 11.35 % being chance.
- *writer AUC*, *by ratio*, *transfer*: of handwriting ([handwriting](handwriting.md)).

![A row of images of each method](methods.png)
{INFOGAN_FOUND.format(seed=seeds[0]) if INFOGAN.name in rows else ""}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", help="names of methods, all without it")
    parser.add_argument("--jobs", type=int, default=1, help="runs trained at once")
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "zoo")
    parser.add_argument("--measured", action="store_true", help="train none, show what is there")
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs", help="folder of pictures")
    arguments = parser.parse_args()
    chosen = [each for each in CONTESTANTS if not arguments.only or each.name in arguments.only]
    judge()
    if not arguments.measured:
        with ThreadPoolExecutor(arguments.jobs) as pool:
            jobs = [(each, seed) for seed in arguments.seeds for each in chosen]
            [*pool.map(lambda job: trained(*job, arguments.runs), jobs)]
    rows = {
        each.name: [
            numbers_of(each, seed, arguments.runs)
            for seed in arguments.seeds
            if (each.directory(arguments.runs, seed) / "evaluation.json").exists()
        ]
        for each in chosen
    }
    rows = {name: each for name, each in rows.items() if each}
    first, folder = arguments.seeds[0], arguments.pictures
    chosen = [
        each for each in chosen if (each.directory(arguments.runs, first) / "zoo.json").exists()
    ]
    (folder / "methods.png").write_bytes(picture(chosen, first, arguments.runs))
    if INFOGAN in chosen:
        sheets_of_epochs = (INFOGAN.directory(arguments.runs, first) / "samples").glob("*.png")
        shutil.copy(max(sheets_of_epochs), folder / "infogan.png")
    print(document(rows, arguments.seeds), end="")


if __name__ == "__main__":
    main()
