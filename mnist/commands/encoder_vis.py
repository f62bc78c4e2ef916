"""The style space of a trained run, drawn: what encoder-vis.py does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mnist.commands.flags import EncoderVisFlags
from mnist.commands.tools import as_style, check_output, class_of, open_run, show, write
from mnist.data import DataSpec, Split, load_same_dataset, title_of
from mnist.errors import UserError
from mnist.evaluation import metrics
from mnist.figures import plotting
from mnist.figures.display import Probe
from mnist.figures.images import to_arrays
from mnist.latent import inversion, maps
from mnist.networks.planar import Planar
from mnist.networks.prior import (
    InParts,
    Marginals,
    ks_distance,
    names_of_parts,
    same_in_all_parts,
)
from mnist.options import flag_of
from mnist.training.run import Run, balanced_sample

SUFFIXES = (".png", ".svg", ".pdf")
MOST_DIMENSIONS = 10  # in one figure
GRID, SMALL_GRID = 20, 10  # images to a side of a manifold: of one digit, of each of ten
STEPS, SMALL_STEPS = 13, 7  # images in a row of a traversal: likewise
REACH = 3  # standard deviations that a traversal goes each way


class Measured(NamedTuple):
    """The styles of test images, and what they come to."""

    test: Split
    styles: Tensor  # [B, N], NaN of images that were not looked at
    ks: Tensor | None  # [N], where the prior's distribution is known
    leakage: float


def encoder_vis(flags: EncoderVisFlags) -> None:
    """Do what the command line says.

    Raises:
        UserError: any user error.
    """
    output = check_output(flags.output, SUFFIXES)
    refuse_contradictions(flags)
    with nullcontext() if output else Probe() as probe:
        look_at(flags, output, probe)


def look_at(flags: EncoderVisFlags, output: Path | None, probe: Probe | None) -> None:
    """Draw the figure that the flags ask for, into a file or where there can be a window."""
    run = open_run(flags, "generate" if flags.manifold else "encode")
    look = None
    if flags.manifold:
        figure = manifold(run, flags)
    else:
        test = load_same_dataset(run.config["training"], flags.data_dir).test
        usual = "sample_size" not in flags.given
        count = min(flags.sample_size, len(test)) if usual else flags.sample_size
        index = balanced_sample(test.labels, count, flags.seed)
        found = measure(run, test, index, flags)
        figure = scatter(run, flags, found, index)
        look = Look(run, found, index)
        if flags.csv is not None:
            write_csv(Path(flags.csv), run.spec, found, index)
    picture, window = partial(plotting.picture, figure), partial(open_window, figure, look)
    show(flags.directory, "encoder-vis", output, probe, picture, window)


def refuse_contradictions(flags: EncoderVisFlags) -> None:
    """Raise a UserError for flags that do not go together."""
    if flags.manifold:
        for flag in ("csv", "projection", "space", "sample_size"):
            if flag in flags.given:
                raise UserError(
                    f"--manifold and {flag_of(flag)} do not go together: it decodes, they encode"
                )
    elif flags.digit is not None or flags.style is not None:
        raise UserError("--digit and --style are for --manifold: add it")
    if flags.dims is not None and flags.projection != "matrix":
        raise UserError("--dims is for the matrix: a projection takes all dimensions")
    if flags.space == "pixels" and flags.projection == "matrix":
        raise UserError("so many pixels make no matrix: add --projection pca or tsne")
    if flags.csv is not None and not Path(flags.csv).parent.is_dir():
        raise UserError(f"--csv {flags.csv}: there is no such directory")


# --- styles of test images ----------------------------------------------------------------------


def measure(run: Run, test: Split, index: Tensor, flags: EncoderVisFlags) -> Measured:
    """Encode all test images, or without an encoder find the styles of those numbered `index`; see
    how near to the prior and how free of the digit they are."""
    if run.has_encoder:
        index = torch.arange(len(test))
        some = run.style_tensor(test, index, None if flags.means else flags.seed)
    else:
        batch = test.batch(index)
        with tqdm(desc="finding styles", total=inversion.STEPS, leave=False, disable=None) as bar:
            some = run.invert(batch.images, batch.labels, tell=bar.update).styles.cpu()
    labels, prior = test.labels[index], run.method.prior
    ks = ks_distance(some, prior.cdf) if isinstance(prior, Marginals) else None
    # Every second style is read by the help of the others.
    leakage = metrics.knn_accuracy(some[::2], labels[::2], some[1::2], labels[1::2])
    styles = some.new_full((len(test), some.shape[1]), torch.nan)
    styles[index] = some
    return Measured(test, styles, ks, leakage)


def scatter(
    run: Run, flags: EncoderVisFlags, found: Measured, index: Tensor
) -> plotting.StyleFigure:
    """The figure of the styles, or pixels, of the images numbered `index`, int64 [B]."""
    labels, spec = found.test.labels[index].numpy(), run.spec
    shown = f"Shown: {len(index):,} of the {len(found.test):,} test images"
    if flags.space == "pixels":
        title = f"{title_of(run.config['training']['dataset'])}: test images by their pixels"
        points, names = project(found, index, flags)
        subtitle = f"{shown}; the autoencoder has no part in it."
        return plotting.projection(points, labels, spec, names, title, subtitle)
    if run.has_posterior:
        shown += ", posterior means" if flags.means else ", drawn from their posteriors"
    over = f"all {len(found.test):,}"
    if not run.has_encoder:
        shown += ", whose styles were found by descent"
        over = f"these {len(index):,}"
    subtitle = f"{shown}.\nOver {over}: "
    if found.ks is not None:
        worst = int(found.ks.argmax())
        subtitle += f"worst KS distance to the prior {found.ks[worst]:.3f} (dimension {worst});\n"
    subtitle += (
        f"{spec.class_word} read off the style by {metrics.NEIGHBOURS} nearest neighbours "
        f"{found.leakage:.1%} (chance {metrics.chance(found.test.labels.numpy()):.1%})."
    )
    title = name_of(run, flags.directory)
    if flags.projection != "matrix":
        points, names = project(found, index, flags)
        return plotting.projection(points, labels, spec, names, title, subtitle)
    size = found.styles.shape[1]
    prior = run.method.prior
    if size == 2 and isinstance(prior, InParts):  # whose shape is what there is to see
        if flags.dims is not None:
            raise UserError(f"--dims is not for {run.name}: its two dimensions are shown together")
        points, names = found.styles[index].numpy(), ("dimension 0", "dimension 1")
        return plotting.projection(points, labels, spec, names, title, subtitle)
    # Of too many dimensions to draw, those farthest from the prior.
    farthest = found.ks if found.ks is not None else torch.arange(size, 0, -1)
    worst_ones = farthest.topk(min(MOST_DIMENSIONS, size)).indices.tolist()
    dims = dimensions(flags.dims, size) or sorted(worst_ones)
    return plotting.scatter_matrix(
        found.styles[index][:, dims].numpy(),
        labels,
        spec,
        [f"dimension {i}" for i in dims],
        prior.pdf if isinstance(prior, Marginals) else None,
        prior.std if prior is not None else float(found.styles.std()),
        title,
        subtitle,
    )


def name_of(run: Run, directory: Path) -> str:
    """What is looked at: run, method, data set, epoch."""
    dataset = title_of(run.config["training"]["dataset"])
    return f"{directory}: {run.method.title} on {dataset}, epoch {run.epoch}"


def dimensions(asked: Sequence[int] | None, size: int) -> list[int]:
    """The dimensions asked for, of `size`; none if that was left open.

    Raises:
        UserError: there are no such dimensions, or too many were asked for.
    """
    dims = list(asked or [])
    bad = [i for i in dims if not 0 <= i < size]
    if bad or len(set(dims)) < len(dims) or len(dims) > MOST_DIMENSIONS:
        raise UserError(
            f"--dims {','.join(map(str, dims))}: name at most {MOST_DIMENSIONS} different ones "
            f"of 0 to {size - 1}"
        )
    return dims


def project(
    found: Measured, index: Tensor, flags: EncoderVisFlags
) -> tuple[np.ndarray, tuple[str, str]]:
    """The images numbered `index`, int64 [B], in the plane, [B, 2], and the names of the axes.

    By scikit-learn.

    Raises:
        UserError: there are too few images or dimensions.
    """
    if len(index) < 4:
        raise UserError(
            f"--projection needs at least 4 images, not {len(index)}: more --sample-size"
        )
    if flags.space == "pixels":
        inputs, what = found.test.batch(index).images.flatten(1).numpy(), "pixels"
    else:
        inputs, what = found.styles[index].numpy(), "style"
    if flags.projection == "pca":
        if inputs.shape[1] < 2:
            raise UserError("a style of one number has no second component: leave --projection out")
        from sklearn.decomposition import PCA  # late: a second to import

        pca = PCA(2, random_state=flags.seed)
        points = pca.fit_transform(inputs)
        first, second = (
            f"principal component {i + 1} of {what} ({share:.0%} of the variance)"
            for i, share in enumerate(pca.explained_variance_ratio_)
        )
        return points, (first, second)
    points = tsne(inputs, flags.seed)
    return points, (f"t-SNE of {what}, first", f"t-SNE of {what}, second")


def tsne(inputs: np.ndarray, seed: int) -> np.ndarray:
    """Rows of numbers [B, N] in a plane [B, 2], near those they are near to, by scikit-learn.

    van der Maaten & Hinton 2008, Visualizing Data using t-SNE. It needs four rows.
    """
    from sklearn.manifold import TSNE  # late: a second to import

    perplexity = min(30, (len(inputs) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="random", random_state=seed).fit_transform(inputs)


def write_csv(path: Path, spec: DataSpec, found: Measured, index: Tensor) -> None:
    """Image number, class and style of the images numbered `index`, int64 [B]."""
    import pandas as pd  # late: half a second to import

    columns = {"index": index.numpy(), spec.class_word: found.test.labels[index].numpy()}
    columns |= {f"style_{i}": numbers for i, numbers in enumerate(found.styles[index].T.numpy())}
    write(path, pd.DataFrame(columns).to_csv(index=False).encode())
    print(f"{len(index):,} styles written to {path}")


class Look:
    """What a window shows of a point: the test image, its reconstruction, and what they are."""

    def __init__(self, run: Run, found: Measured, index: Tensor):
        self.run, self.found, self.index = run, found, index

    def __call__(self, point: int) -> tuple[np.ndarray, np.ndarray, str]:
        """Two images [H, W] or [H, W, 3] in [0, 1] and a text."""
        number = self.index[point : point + 1]
        images, labels, *_ = self.found.test.batch(number)
        style = self.found.styles[number]
        rebuilt = torch.zeros_like(images)
        if self.run.can_decode:
            rebuilt = self.run.decode(style, labels).cpu()
        numbers = ", ".join(f"{value:.2f}" for value in style[0, :MOST_DIMENSIONS].tolist())
        named = self.run.spec.named(int(labels))
        text = f"test image {int(number)}: {named}\nstyle {numbers}"
        return to_arrays(images[0]), to_arrays(rebuilt[0]), text


# --- decoded styles -----------------------------------------------------------------------------


def manifold(run: Run, flags: EncoderVisFlags) -> Any:
    """The figure of decoded styles: a map of two dimensions, or a line along each of more.

    Raises:
        UserError: a flag that goes with another kind of run.
    """
    size = run.prior.feature_size
    chosen = class_of(run, flags.digit)
    if not run.conditional:
        if chosen is not None:
            raise UserError(f"{run.name} is not given the {run.spec.class_word}: leave --digit out")
        labels: list[int | None] = [None]
    else:
        labels = list(range(run.spec.classes)) if chosen is None else [chosen]
    alone = len(labels) == 1
    in_plane = isinstance(run.prior, Planar) or (size == 2 and isinstance(run.prior, Marginals))
    if in_plane and (flags.style is not None or flags.dims is not None):
        raise UserError("--style and --dims are not for two dimensions, of which there is a map")
    if isinstance(run.prior, Planar):
        steps, word, parts = (STEPS if alone else SMALL_STEPS), run.prior.part_word, run.prior.parts
        styles = run.prior.grid(1, steps)[0].unflatten(0, (parts, steps))
        across = [f"{(step + 0.5) / steps:.2f}" for step in range(steps)], f"along the {word}"
        down = names_of_parts(run.prior, run.spec.class_names), word
        what = f"Each {word} of the prior at equal steps of probability"
    elif isinstance(run.prior, InParts):
        if flags.style is not None or flags.dims is not None:
            raise UserError(
                f"--style and --dims are not for {run.name}: its map shows "
                f"each {run.prior.part_word}"
            )
        styles = same_in_all_parts(run.prior, STEPS, flags.seed)
        across = [str(draw + 1) for draw in range(STEPS)], "draw from the prior"
        down = names_of_parts(run.prior, run.spec.class_names), run.prior.part_word
        what = f"Styles drawn from each {run.prior.part_word} of the prior"
    elif isinstance(run.prior, Marginals) and size == 2:
        side = GRID if alone else SMALL_GRID
        styles = maps.quantile_grid(run.prior.icdf, side)
        numbers = styles[0, :, 0].tolist()
        across = [f"{x:.1f}" for x in numbers], "dimension 0, quantiles of the prior"
        down = [f"{y:.1f}" for y in reversed(numbers)], "dimension 1"
        what = f"Styles at {side} × {side} quantiles of the prior"
    else:
        centre = as_style(run, flags.style or [0.0] * size, "--style")[0]
        steps = STEPS if alone else SMALL_STEPS
        # A style space of many dimensions does not fit on a page: its first ones stand for it.
        dims = dimensions(flags.dims, size) or list(range(min(MOST_DIMENSIONS, size)))
        styles = maps.traversals(centre, REACH * run.prior.std, steps)[dims]
        numbers = torch.linspace(-REACH, REACH, steps).tolist()
        across = [f"{x:.1f}" for x in numbers], "standard deviations"
        down = [str(i) for i in dims], "dimension"
        about = "the style given" if flags.style else "the prior's mean"
        what = f"Each dimension in turn from -{REACH}σ to {REACH}σ about {about}"
    grids = [decode_grid(run, styles, label) for label in labels]
    names = ["" if label is None else run.spec.class_names[label] for label in labels]
    subtitle = f"{what}, decoded: means, not sharpened."
    return plotting.image_grids(grids, names, across, down, name_of(run, flags.directory), subtitle)


def decode_grid(run: Run, styles: Tensor, label: int | None) -> np.ndarray:
    """Images [rows, columns, H, W] or [..., 3] of styles [rows, columns, N]."""
    flat = styles.flatten(0, 1)
    labels = None if label is None else torch.full((len(flat),), label)
    return to_arrays(run.decode(flat, labels).unflatten(0, styles.shape[:2]))


def open_window(figure: Any, look: Look | None, title: str, path: Path) -> None:
    """Show a figure until its window is closed."""
    from mnist.figures.window import show_figure  # late: PyQt5 need not be there

    show_figure(figure, look, title, path)
