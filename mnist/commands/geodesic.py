"""Shortest ways from one digit's style to another: what geodesic.py does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from mnist.commands.cli import GEODESIC_DEFAULTS, run_directory
from mnist.commands.readers import open_reader
from mnist.commands.tools import (
    as_style,
    check_output,
    common_dataset,
    open_run,
    test_images,
    write,
)
from mnist.errors import Problem
from mnist.figures import animation, plotting, sheets
from mnist.latent.geodesics import Geodesics, connect
from mnist.latent.manifold import Decode, directions, flat
from mnist.training.run import Run

SUFFIXES = (".png", ".svg", ".pdf")
SHOWN = 13  # images of a strip
FRAMES = 41  # of the moving picture
FRAME, END = 0.06, 1.0  # seconds that one of them is seen, and the first and the last
MOST_PAIRS = 10_000
STEP = 1.0  # to where the image changes fastest, in standard deviations of the prior


def geodesic(given: dict[str, Any]) -> None:
    """Do what the command line says.

    Args:
        given: the flags that were given, by name.

    Raises:
        Problem: anything that its user can mend.
    """
    wanted = GEODESIC_DEFAULTS | given
    output = check_output(given, SUFFIXES)
    refuse_contradictions(given)
    if "compare" in given:
        compare(given, wanted, output or Path("geodesic-compare.png"))
        return
    run = open_run(given)
    refuse_digit(run, given)
    if "monte_carlo" in given:
        output = output or run_directory(given) / "geodesic-monte-carlo.png"
        monte_carlo(run, given, wanted, output)
    else:
        single(run, given, wanted, output or run_directory(given) / "geodesic.png")


def refuse_contradictions(given: dict[str, Any]) -> None:
    """Raise a Problem for flags that do not go together."""
    named = [flag for flag in ("from_test", "between", "monte_carlo", "compare") if flag in given]
    if len(named) > 1 and named != ["monte_carlo", "compare"]:
        one, other = ("--" + flag.replace("_", "-") for flag in named[:2])
        raise Problem(f"{one} and {other} cannot go together: each says which pairs to connect")
    if given.get("monte_carlo", 0) > MOST_PAIRS:
        raise Problem(f"--monte-carlo {given['monte_carlo']:,}: take at most {MOST_PAIRS:,} pairs")
    if "pairs" in given and ("monte_carlo" not in given or "compare" in given):
        raise Problem("--pairs is for --monte-carlo in one run: it says how pairs are drawn")
    if "classifier" in given and given.get("space") != "features":
        raise Problem("--classifier is for --space features: pixels need none")
    if "compare" in given and ({"ckpt_dir", "feature_size"} & given.keys()):
        raise Problem("--compare names its runs itself: leave --ckpt-dir and --feature-size out")
    if "from_test" in given and "digit" in given:
        raise Problem("--from-test and --digit cannot go together: the images have a digit")


# --- what is decoded ------------------------------------------------------------------------------


def decoder_of(run: Run, digit: int | None, features: Decode | None) -> Decode:
    """Styles [B, N] in a run -> what is measured, all written as one digit.

    Args:
        run: the autoencoder.
        digit: for a run that is told one.
        features: of images [B, 1, 28, 28], to be measured instead of their pixels.
    """
    labels = None if digit is None else torch.tensor([digit])

    def decode(styles: Tensor) -> Tensor:
        told = None if labels is None else labels.expand(len(styles))
        images = run.method.decoder(styles, told).sigmoid()
        return features(images) if features else images

    return decode


def features_of(run: Run, given: dict[str, Any]) -> Decode | None:
    """What `--space` says: a classifier's features, or None for pixels."""
    if given.get("space") != "features":
        return None
    dataset = run.config["training"]["dataset"]
    reader = open_reader(given, "classifier", GEODESIC_DEFAULTS["classifier"], dataset)
    return reader.method.classifier.features


def digit_of(run: Run, wanted: dict[str, Any]) -> int | None:
    """The digit to write, or None for a run that is not told one."""
    return wanted["digit"] if run.config["model"]["labels"] else None


def refuse_digit(run: Run, given: dict[str, Any]) -> None:
    """Raise a Problem for a digit that the run could not be told."""
    if "digit" in given and not run.config["model"]["labels"]:
        raise Problem(f"{run_directory(given)} was trained with --no-labels: leave --digit out")


def ways(decode: Decode, starts: Tensor, ends: Tensor, wanted: dict[str, Any]) -> Geodesics:
    """`connect`, with a bar, and its errors as something that its user can mend.

    Raises:
        Problem: what is decoded is NaN or infinite, or always the same.
    """
    bar = tqdm(desc="connecting", total=len(starts), unit=" pairs", leave=False, disable=None)
    try:
        with bar:
            found = connect(decode, starts, ends, solver=wanted["solver"], tell=bar.update)
    except ValueError as error:
        raise Problem(f"{error}: the run is not fit for this") from error
    if not found.straight_lengths.any():
        raise Problem("the image is the same all along the way: there is nothing to shorten")
    return found


# --- one pair -------------------------------------------------------------------------------------


def single(run: Run, given: dict[str, Any], wanted: dict[str, Any], output: Path) -> None:
    """One pair: a figure, a moving picture and the points."""
    start, end, digit, title = chosen_pair(run, given, wanted)
    if torch.equal(start, end):
        raise Problem(f"{title}: both ends are the same style, so there is no way between them")
    features = features_of(run, given)
    decode, measure = decoder_of(run, digit, None), decoder_of(run, digit, features)
    found = ways(measure, start, end, wanted)
    share = torch.linspace(0, 1, found.points.shape[1])[:, None]
    straight = start + share * (end - start)
    paths = {"straight": straight, "geodesic": found.points[0]}
    with torch.no_grad():
        images = {name: decode(path)[:, 0].numpy() for name, path in paths.items()}
        seen = {name: flat(measure, path) for name, path in paths.items()}
    speeds = {
        name: (points.diff(dim=0).norm(dim=1) * (len(points) - 1)).numpy()
        for name, points in seen.items()
    }
    shorter = found.shortening.item()
    where = "pixels" if features is None else "a classifier's features"
    converged = "" if found.converged.item() else ", not converged"
    print(
        f"{title}\nlength in {where}: straight {found.straight_lengths.item():.4f}, geodesic "
        f"{found.lengths.item():.4f}, {shorter:.2%} shorter{converged}\nspeed, largest over "
        f"smallest: straight {spread(speeds['straight']):.2f}, geodesic "
        f"{spread(speeds['geodesic']):.2f}"
    )
    figure = plotting.geodesic(
        images, speeds, found.history[0].numpy(), f"{title}: {shorter:.1%} shorter", SHOWN
    )
    write(output, plotting.picture(figure, output.suffix[1:].lower()))
    stem = output.with_suffix("")
    write(Path(f"{stem}.gif"), morph(images))
    rows = [
        pd.DataFrame(path.numpy()).add_prefix("style_").assign(way=name, time=share[:, 0].numpy())
        for name, path in paths.items()
    ]
    table = pd.concat(rows)[["way", "time", *rows[0].filter(like="style_").columns]]
    write(Path(f"{stem}-points.csv"), table.to_csv(index=False).encode())
    print(f"written: {output}, and beside it {stem.name}.gif and {stem.name}-points.csv")


def spread(speeds: np.ndarray) -> float:
    """The largest speed over the smallest."""
    return float(speeds.max() / max(speeds.min(), 1e-12))


def chosen_pair(
    run: Run, given: dict[str, Any], wanted: dict[str, Any]
) -> tuple[Tensor, Tensor, int | None, str]:
    """Both ends [1, N], the digit that is written between them, and a title.

    Raises:
        Problem: the flags ask for what there is not.
    """
    size, std = run.prior.feature_size, run.prior.std
    if "from_test" in given:
        first, second = given["from_test"]
        pair = test_images(run, [first, second], given)
        one, other = pair.labels.tolist()
        if run.config["model"]["labels"] and one != other:
            raise Problem(
                f"test images {first} and {second} show a {one} and a {other}, and this run is "
                "told the digit: a way between styles is written as one digit. Take two of one "
                "digit, or a run trained with --no-labels"
            )
        start, end = run.encode(*pair).split(1)
        digit = one if run.config["model"]["labels"] else None
        return start, end, digit, f"from test image {first} to {second}"
    digit = digit_of(run, wanted)
    what = "" if digit is None else f" of a {digit}"
    if "between" in given:
        low, high = given["between"]
        start, end = (as_style(run, [n * std] * size, "--between") for n in (low, high))
        return start, end, digit, f"from the corner {low:g} to the corner {high:g}{what}"
    generator = torch.Generator().manual_seed(wanted["seed"])
    start, end = run.prior.sample(2, generator).split(1)
    return start, end, digit, f"between two styles{what}, seed {wanted['seed']}"


def morph(images: dict[str, np.ndarray]) -> bytes:
    """A GIF of both ways side by side, the straight one on the left."""
    steps = np.linspace(0, len(images["straight"]) - 1, FRAMES).round().astype(int)
    frames = [
        sheets.side_by_side({name: each[step] for name, each in images.items()}, share)
        for step, share in zip(steps, np.linspace(0, 1, FRAMES), strict=True)
    ]
    seconds = [FRAME] * FRAMES
    seconds[0] = seconds[-1] = END
    return animation.gif(frames, seconds)


# --- many pairs -----------------------------------------------------------------------------------


def monte_carlo(run: Run, given: dict[str, Any], wanted: dict[str, Any], output: Path) -> None:
    """Many pairs in one run: how much shorter their ways become."""
    count, generator = given["monte_carlo"], torch.Generator().manual_seed(wanted["seed"])
    decode = decoder_of(run, digit_of(run, wanted), features_of(run, given))
    starts = run.prior.sample(count, generator)
    if wanted["pairs"] == "random":
        ends = run.prior.sample(count, generator)
    else:
        ends = starts + STEP * run.prior.std * fastest(decode, starts)
    report({str(run_directory(given)): ways(decode, starts, ends, wanted)}, {}, output)


def fastest(decode: Decode, points: Tensor) -> Tensor:
    """Unit directions in which the image changes fastest: points [B, N] -> [B, N].

    An eigenvector has no sign: they point towards the origin, for styles are there (as in the code
    of Michelis & Becker 2021).
    """
    with torch.no_grad():
        along = directions(decode, points)[1][:, :, -1]
    return along.where((along * points).sum(1, keepdim=True) < 0, -along)


def compare(given: dict[str, Any], wanted: dict[str, Any], output: Path) -> None:
    """The same pairs of test images in two runs, each encoded by its own encoder.

    Raises:
        Problem: the runs are of different data sets.
    """
    runs = {name: open_run({"ckpt_dir": name}) for name in given["compare"]}
    if len(runs) < 2:
        raise Problem("--compare names one run twice")
    test = common_dataset([*runs.values()], given).test
    there = torch.nonzero(test.labels == wanted["digit"])[:, 0]
    generator = torch.Generator().manual_seed(wanted["seed"])
    count = given.get("monte_carlo", GEODESIC_DEFAULTS["monte_carlo"]["--compare"])
    total = len(there)
    first = torch.randint(total, (count,), generator=generator)
    second = (first + torch.randint(1, total, (count,), generator=generator)) % total  # another one
    pairs = {"from": there[first], "to": there[second]}
    features = features_of(next(iter(runs.values())), given)
    found = {}
    for name, run in runs.items():
        decode = decoder_of(run, digit_of(run, wanted), features)
        ends = (run.encode(*test.batch(numbers)) for numbers in pairs.values())
        found[name] = ways(decode, *ends, wanted)
    report(found, pairs, output)


def report(found: dict[str, Geodesics], pairs: dict[str, Tensor], output: Path) -> None:
    """Print how much shorter ways became, and write a histogram and a table of all pairs.

    Args:
        found: of each run.
        pairs: more columns of the table: what is to be known of the pairs, [C] each.
        output: of the histogram; the table goes beside it.
    """
    print(f"{'run':24} {'pairs':>6} {'shorter by':>18} {'median':>8} {'most':>8} {'converged':>10}")
    for name, each in found.items():
        values = each.shortening[~each.shortening.isnan()]
        interval = 1.96 * values.std().item() / len(values) ** 0.5
        print(
            f"{name:24} {len(values):6} {values.mean():10.2%} ± {interval:5.2%} "
            f"{values.median():8.2%} {values.max():8.2%} {each.converged.double().mean():10.1%}"
        )
    print("shorter by: mean and its 95 % interval, relative to the straight way's length")
    figure = plotting.shortenings({name: each.shortening.numpy() for name, each in found.items()})
    write(output, plotting.picture(figure, output.suffix[1:].lower()))
    rows = [
        {"run": name}
        | {column: numbers.numpy() for column, numbers in pairs.items()}
        | {"straight": each.straight_lengths.numpy(), "geodesic": each.lengths.numpy()}
        | {"shortening": each.shortening.numpy(), "converged": each.converged.numpy()}
        for name, each in found.items()
    ]
    numbers = output.with_suffix(".csv")
    write(numbers, pd.concat(map(pd.DataFrame, rows)).to_csv(index=False).encode())
    print(f"written: {output} and {numbers}")
