"""Geodesics from one style to another: what geodesic.py does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from mnist.commands.classifiers import open_classifier
from mnist.commands.flags import GeodesicFlags
from mnist.commands.tools import (
    as_style,
    check_output,
    class_of,
    common_dataset,
    open_run,
    open_run_in,
    test_images,
    write,
)
from mnist.errors import UserError
from mnist.figures import animation, plotting, sheets
from mnist.figures.images import to_arrays
from mnist.latent.geodesics import Geodesics, connect
from mnist.latent.manifold import Decode, directions, flat
from mnist.options import flag_of
from mnist.training.run import Run

SUFFIXES = (".png", ".svg", ".pdf")
SHOWN = 13  # images of a strip
FRAMES = 41  # of the moving picture
FRAME, END = 0.06, 1.0  # seconds that one of them is seen, and the first and the last
MOST_PAIRS = 10_000
WHERE = {"pixels": "pixels", "means": "pixels", "features": "a classifier's features"}
STEP = 1.0  # to where the image changes fastest, in standard deviations of the prior


def geodesic(flags: GeodesicFlags) -> None:
    """Do what the command line says.

    Raises:
        UserError: any user error.
    """
    output = check_output(flags.output, SUFFIXES)
    refuse_contradictions(flags)
    if flags.compare:
        compare(flags.compare, flags, output or Path("geodesic-compare.png"))
        return
    run = open_run(flags, "generate")
    if flags.monte_carlo:
        monte_carlo(run, flags, output or flags.directory / "geodesic-monte-carlo.png")
    else:
        single(run, flags, output or flags.directory / "geodesic.png")


def refuse_contradictions(flags: GeodesicFlags) -> None:
    """Raise a UserError for flags that do not go together."""
    sources = ("from_test", "between", "monte_carlo", "compare")
    named = [flag for flag in sources if flag in flags.given]
    if len(named) > 1 and named != ["monte_carlo", "compare"]:
        one, other = map(flag_of, named[:2])
        raise UserError(f"{one} and {other} cannot go together: each says which pairs to connect")
    if flags.number_of_pairs > MOST_PAIRS:
        raise UserError(f"--monte-carlo {flags.monte_carlo:,}: take at most {MOST_PAIRS:,} pairs")
    if "pairs" in flags.given and named != ["monte_carlo"]:
        raise UserError("--pairs is for --monte-carlo in one run: it says how pairs are drawn")
    if "classifier" in flags.given and flags.space != "features":
        raise UserError("--classifier is for --space features: pixels need none")
    if flags.compare and {"ckpt_dir", "feature_size"} & flags.given:
        raise UserError("--compare names its runs itself: leave --ckpt-dir and --feature-size out")
    if flags.from_test and flags.digit is not None:
        raise UserError("--from-test and --digit cannot go together: the images have a digit")


# --- what is decoded ------------------------------------------------------------------------------


def decoder_of(
    run: Run, label: int | None, features: Decode | None = None, expected: bool = False
) -> Decode:
    """Styles [B, N] in a run -> what is measured, all written as one class, on the CPU.

    Args:
        run: that decodes.
        label: the class, for a conditional run.
        features: of images [B, C, H, W], to be measured instead of their pixels.
        expected: measure the pixels' standard deviations, too.
    """
    labels = None if label is None else torch.tensor([label])

    def decode(styles: Tensor) -> Tensor:
        given = styles, None if labels is None else labels.expand(len(styles))
        images = run.decoder(*given)
        if expected:
            # E JᵀJ of a decoder that draws its pixels is that of their means and deviations side
            # by side (Arvanitidis, Hansen & Hauberg 2018, eq. 6).
            return torch.cat([images, run.decoder_std(*given)], 1).cpu()
        return (features(images) if features else images).cpu()

    return decode


def is_expected(run: Run, flags: GeodesicFlags) -> bool:
    """Whether lengths are of pixels as they are drawn, and not of their means alone."""
    return flags.space == "pixels" and run.method.decodes_std


def features_of(run: Run, flags: GeodesicFlags) -> Decode | None:
    """What `--space` says: a classifier's features, or None for pixels."""
    if flags.space != "features":
        return None
    classifier = open_classifier(flags, "classifier", run)
    classifier.require_features()
    return classifier.method.features


def label_of(run: Run, digit: str | None) -> int | None:
    """The class to write; None for an unconditional run.

    Raises:
        UserError: the run has none such, or is unconditional.
    """
    label = class_of(run, digit)
    if run.conditional:
        return run.spec.classes // 2 if label is None else label
    if label is not None:
        raise UserError(f"{run.name} is not given the {run.spec.class_word}: leave --digit out")
    return None


def geodesics(decode: Decode, starts: Tensor, ends: Tensor, solver: str) -> Geodesics:
    """`connect` of starts [B, N] and ends [B, N], with a bar, and its errors as user errors.

    Raises:
        UserError: what is decoded is NaN or infinite, or always the same.
    """
    bar = tqdm(desc="connecting", total=len(starts), unit=" pairs", leave=False, disable=None)
    try:
        with bar:
            found = connect(decode, starts, ends, solver=solver, tell=bar.update)
    except ValueError as error:
        raise UserError(f"{error}: the run is not fit for this") from error
    if not found.straight_lengths.any():
        raise UserError("the image is the same all along the line: there is nothing to shorten")
    return found


# --- one pair -------------------------------------------------------------------------------------


def single(run: Run, flags: GeodesicFlags, output: Path) -> None:
    """One pair: a figure, a moving picture and the points.

    Raises:
        UserError: its ends are the same.
    """
    start, end, label, title = chosen_pair(run, flags)
    if torch.equal(start, end):
        raise UserError(f"{title}: both ends are the same style, so there is no way between them")
    features = features_of(run, flags)
    decode = decoder_of(run, label)
    measure = decoder_of(run, label, features, is_expected(run, flags))
    found = geodesics(measure, start, end, flags.solver)
    share = torch.linspace(0, 1, found.points.shape[1])[:, None]
    straight = start + share * (end - start)
    paths = {"straight": straight, "geodesic": found.points[0]}
    with torch.no_grad():
        images = {name: to_arrays(decode(path)) for name, path in paths.items()}
        seen = {name: flat(measure, path) for name, path in paths.items()}
    speeds = {
        name: (points.diff(dim=0).norm(dim=1) * (len(points) - 1)).numpy()
        for name, points in seen.items()
    }
    shorter = found.shortening.item()
    where = WHERE[flags.space]
    if is_expected(run, flags):
        where = "pixels as they are drawn"
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
    """The largest of speeds [P] over the smallest."""
    return float(speeds.max() / max(speeds.min(), 1e-12))


def chosen_pair(run: Run, flags: GeodesicFlags) -> tuple[Tensor, Tensor, int | None, str]:
    """Both ends [1, N], the class that is written between them, and a title.

    Raises:
        UserError: the flags ask for what there is not.
    """
    size, std = run.prior.feature_size, run.prior.std
    if flags.from_test:
        first, second = flags.from_test
        pair = test_images(run, [first, second], flags.data_dir)
        one, other = pair.labels.tolist()
        if run.conditional and one != other:
            word = run.spec.class_word
            raise UserError(
                f"test images {first} and {second} show {run.spec.named(one)} and "
                f"{run.spec.named(other)}, and this run is conditional on the {word}: a path "
                f"between styles is written as one {word}. Take two of one {word}, or a run "
                "trained with --no-labels"
            )
        run.require("encode")
        start, end = run.encode(pair.images, pair.labels).cpu().split(1)
        return start, end, one if run.conditional else None, f"from test image {first} to {second}"
    label = label_of(run, flags.digit)
    what = "" if label is None else f" of {run.spec.named(label)}"
    if flags.between:
        low, high = flags.between
        start, end = (as_style(run, [n * std] * size, "--between") for n in (low, high))
        return start, end, label, f"from the corner {low:g} to the corner {high:g}{what}"
    generator = torch.Generator().manual_seed(flags.seed)
    start, end = run.prior.sample(2, generator).split(1)
    return start, end, label, f"between two styles{what}, seed {flags.seed}"


def morph(images: dict[str, np.ndarray]) -> bytes:
    """A GIF of both paths side by side, the straight one on the left.

    images: [P, H, W] or [P, H, W, 3] in [0, 1], by the path's name.
    """
    steps = np.linspace(0, len(images["straight"]) - 1, FRAMES).round().astype(int)
    frames = [
        sheets.side_by_side({name: each[step] for name, each in images.items()}, share)
        for step, share in zip(steps, np.linspace(0, 1, FRAMES), strict=True)
    ]
    seconds = [FRAME] * FRAMES
    seconds[0] = seconds[-1] = END
    return animation.gif(frames, seconds)


# --- many pairs -----------------------------------------------------------------------------------


def monte_carlo(run: Run, flags: GeodesicFlags, output: Path) -> None:
    """Many pairs in one run: how much shorter their geodesics are."""
    count, generator = flags.number_of_pairs, torch.Generator().manual_seed(flags.seed)
    label, features = label_of(run, flags.digit), features_of(run, flags)
    decode = decoder_of(run, label, features, is_expected(run, flags))
    starts = run.prior.sample(count, generator)
    if flags.pairs == "random":
        ends = run.prior.sample(count, generator)
    else:
        ends = starts + STEP * run.prior.std * fastest(decode, starts)
    report({str(flags.directory): geodesics(decode, starts, ends, flags.solver)}, {}, output)


def fastest(decode: Decode, points: Tensor) -> Tensor:
    """Unit directions in which the image changes fastest: points [B, N] -> [B, N].

    An eigenvector has no sign: they point towards the origin, for styles are there (as in the code
    of Michelis & Becker 2021).
    """
    with torch.no_grad():
        along = directions(decode, points)[1][:, :, -1]
    return along.where((along * points).sum(1, keepdim=True) < 0, -along)


def compare(directories: Sequence[str], flags: GeodesicFlags, output: Path) -> None:
    """The same pairs of test images in two runs, each encoded by its own encoder.

    Raises:
        UserError: the runs are of different data sets.
    """
    runs = {name: open_run_in(Path(name), flags, "encode", "generate") for name in directories}
    if len(runs) < 2:
        raise UserError("--compare names one run twice")
    test = common_dataset([*runs.values()], flags.data_dir).test
    first_run = next(iter(runs.values()))
    label = class_of(first_run, flags.digit)
    label = first_run.spec.classes // 2 if label is None else label
    there = torch.nonzero(test.labels == label)[:, 0]
    if len(there) < 2:
        raise UserError(f"there are no two test images of {first_run.spec.named(label)}")
    generator = torch.Generator().manual_seed(flags.seed)
    count, total = flags.number_of_pairs, len(there)
    first = torch.randint(total, (count,), generator=generator)
    second = (first + torch.randint(1, total, (count,), generator=generator)) % total  # another one
    pairs = {"from": there[first], "to": there[second]}
    features = features_of(first_run, flags)
    if len({is_expected(run, flags) for run in runs.values()}) > 1:
        raise UserError(
            "of these runs one says how sure it is of each pixel and the other does not, so that "
            "their lengths cannot be compared: give --space means"
        )
    found = {}
    for name, run in runs.items():
        written = label if run.conditional else None
        decode = decoder_of(run, written, features, is_expected(run, flags))
        batches = (test.batch(numbers) for numbers in pairs.values())
        starts, ends = (run.encode(batch.images, batch.labels).cpu() for batch in batches)
        found[name] = geodesics(decode, starts, ends, flags.solver)
    report(found, pairs, output)


def report(found: dict[str, Geodesics], pairs: dict[str, Tensor], output: Path) -> None:
    """Print how much shorter geodesics are, and write a histogram and a table of all pairs.

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
