"""Asking for a class, and seeing the path to it: what guide.py does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from mnist.commands.classifiers import is_trained, open_classifier, usual_place
from mnist.commands.flags import SECOND_OPINION_DIR, GuideFlags
from mnist.commands.survey import advance, survey
from mnist.commands.tools import (
    as_style,
    check_output,
    class_of,
    open_run,
    test_images,
    write,
)
from mnist.data import Dataset, load_same_dataset
from mnist.errors import UserError
from mnist.figures import animation, plotting, sheets
from mnist.figures.display import Probe
from mnist.figures.images import to_arrays
from mnist.latent import maps
from mnist.latent.guidance import ROUND, Descent, descend
from mnist.latent.space import CERTAIN, Space
from mnist.networks.prior import Density
from mnist.options import flag_of
from mnist.training.run import Run, Styles, balanced_sample

SUFFIXES = (".gif", ".mp4", ".png")
# The second opinion: another network, of another seed, that knows what is no digit.
INDEPENDENT = {"outliers": True, "blocks": 1, "seed": 1}
INDEPENDENT_EPOCHS = {"mnist": 12}  # by data set; by default the method's own
NEARLY = 4.0  # logit of the class that the decoder is given at a start
MOST_STARTS = 10_000  # which take some 3 GB
SEEN = 1000  # test images in the plane
MOST_FRAMES = 100
FRAME, FIRST, LAST = 0.15, 1.0, 3.0  # seconds that a frame is seen
SHEET = 8  # frames of a contact sheet


class Scene(NamedTuple):
    """What the picture of a descent needs besides the descent."""

    run: Run
    space: Space
    guiding: Run
    second: Run | None  # asked for its opinion of the last image
    seen: Styles  # of test images
    dims: Sequence[int] | None  # that are drawn, if they were named
    label: int
    directory: Path


def guide(flags: GuideFlags) -> None:
    """Do what the command line says.

    Raises:
        UserError: any user error.
    """
    output = check_output(flags.output, (".png",) if flags.survey else SUFFIXES)
    refuse_contradictions(flags)
    if output and output.suffix.lower() == ".mp4":
        animation.require_ffmpeg()
    with nullcontext() if output or flags.survey else Probe() as probe:
        ask(flags, output, probe)


def ask(flags: GuideFlags, output: Path | None, probe: Probe | None) -> None:
    """Go from the starts that the flags name to their digits, and show or count how that went."""
    run = open_run(flags, "generate")
    label = class_of(run, flags.digit)
    space = open_space(run, flags)
    start = chosen_start(run, space, flags)
    dims = check_dims(run, flags.dims)
    # Before the work, so that it is not for nothing where the data set is not found.
    data = load_same_dataset(run.config["training"], flags.data_dir)
    if not output:
        output = flags.directory / ("survey.png" if flags.survey else "guide.gif")

    classifiers = open_classifiers(flags, run)
    guiding = classifiers["classifier"]
    generator = torch.Generator().manual_seed(flags.seed)
    walk = partial(
        descend_or_say,
        decode=space.decode,
        log_probs=lambda images: guiding.classifier(images).cpu(),
        penalty=lambda points: flags.stay_likely * space.shortfall(points),
        anneal=space.anneal,
        may_rest=space.may_rest,
        moves=space.moves,
        generator=generator,
        steps=flags.steps,
        lr=flags.learning_rate(run.conditional),
        optimizer=flags.optimizer,
        stop_at=flags.stop_at,
    )
    begin, count = partial(draw_starts, space, start, generator), flags.number_of_starts
    if label is None:  # as it is for a survey alone
        survey(run, space, walk, begin, count, classifiers["independent"], data, output)
    else:
        with tqdm(desc="descending", total=count, unit=" starts", leave=False, disable=None) as bar:
            labels = torch.full((count,), label)
            found = walk(begin(count), labels, tell=partial(advance, bar))
        second, seen = classifiers.get("independent"), styles_behind(run, data)
        scene = Scene(run, space, guiding, second, seen, dims, label, flags.directory)
        tell_and_show(scene, found, output, probe)


def descend_or_say(*arguments: Any, **options: Any) -> Descent:
    """`descend`, with its failure as a user error.

    Raises:
        UserError: a loss became NaN or infinite.
    """
    try:
        return descend(*arguments, **options)
    except ValueError as error:
        raise UserError(
            f"{error}: try a smaller --lr or --stay-likely, or another --style"
        ) from error


def refuse_contradictions(flags: GuideFlags) -> None:
    """Raise a UserError for flags that do not go together."""
    given = flags.given
    if ("digit" in given) == flags.survey:
        raise UserError("name a digit by --digit, or ask all ten of many starts by --survey")
    if flags.number_of_starts > MOST_STARTS:
        raise UserError(f"--starts {flags.starts:,}: take at most {MOST_STARTS:,} at once")
    if "style" in given and "start_image" in given:
        raise UserError("--style and --start-image cannot go together: each is a start")
    for flag in ("style", "start_image"):
        if flag in given and ("starts" in given or flags.survey):
            other = "--survey" if flags.survey else "--starts"
            raise UserError(f"{flag_of(flag)} and {other} cannot go together: it is a single start")
    if "start_image" in given and "from_digit" in given:
        raise UserError("--start-image and --from-digit cannot go together: the image has a digit")
    if "dims" in given and flags.survey:
        raise UserError("--dims is for the picture of a descent, and --survey makes none")


def styles_behind(run: Run, data: Dataset) -> Styles:
    """Styles of test images for the plane; none of a run that does not encode."""
    if not run.has_encoder:
        none = np.zeros(0, np.int64)
        return Styles(none, none, np.zeros((0, run.prior.feature_size), np.float32))
    count = min(SEEN, len(data.test))
    return run.styles_of(data.test, balanced_sample(data.test.labels, count, seed=0))


def open_classifiers(flags: GuideFlags, run: Run) -> dict[str, Run]:
    """The classifier that guides, and the second opinion, by their flags.

    Without a survey that is there only where it is named, or where the usual one is trained.

    Raises:
        UserError: one of them is not there, or of another kind.
    """
    usual = usual_place(run, SECOND_OPINION_DIR)
    wanted = flags.survey or "independent" in flags.given or is_trained(usual)
    epochs = INDEPENDENT_EPOCHS.get(run.config["training"]["dataset"])
    how: dict[str, dict[str, Any]] = {
        "classifier": {},
        "independent": {"options": INDEPENDENT, "outliers": True, "epochs": epochs},
    }
    # One that was named first: if it is not there, that is better said before another is trained.
    return {
        flag: open_classifier(flags, flag, run, **how[flag])
        for flag in sorted(how, key=lambda flag: flag not in flags.given)
        if flag == "classifier" or wanted
    }


def open_space(run: Run, flags: GuideFlags) -> Space:
    """The points that the flags let move.

    Raises:
        UserError: what is to move is not there, or what is to stay is not known.
    """
    if not isinstance(run.prior, Density):
        raise UserError(f"{run.name} has no prior whose density guidance could descend")
    if not run.conditional:
        for flag in ("free", "from_digit"):
            if flag in flags.given:
                raise UserError(
                    f"{run.name} is not given the {run.spec.class_word}, so that there is only "
                    f"its style to move: leave {flag_of(flag)} out"
                )
    if flags.free == "style" and not {"from_digit", "start_image"} & flags.given:
        raise UserError(
            f"--free style holds the {run.spec.class_word} that the decoder is given: add "
            "--from-digit D"
        )
    classes = run.spec.classes if run.conditional else 0
    decoder = partial(run.decoder, sharpness=run.sharpness)
    return Space(decoder, run.prior, classes, flags.free, anywhere=flags.stay_likely == 0)


def chosen_start(run: Run, space: Space, flags: GuideFlags) -> Tensor:
    """What the flags fix of a start: [D], NaN being what they leave open.

    Raises:
        UserError: they ask for what there is not.
    """
    start = torch.full((len(space.moves),), torch.nan)
    label = class_of(run, flags.from_digit, "--from-digit")
    if flags.style is not None:
        start[: space.size] = as_style(run, flags.style, "--style")[0] / run.prior.std
    if flags.start_image is not None:
        run.require("encode")
        image = test_images(run, [flags.start_image], flags.data_dir)
        style = run.encode(image.images, image.labels).cpu()
        start[: space.size] = style[0] / run.prior.std
        label = int(image.labels)
    if label is not None and space.classes:
        start[space.size :] = 0
        start[space.size + label] = CERTAIN if flags.free == "style" else NEARLY
    return start


def draw_starts(space: Space, start: Tensor, generator: torch.Generator, count: int) -> Tensor:
    """Starts [count, D]: drawn at random where `start` [D] leaves them open."""
    drawn = torch.randn(count, len(space.moves), generator=generator)
    return torch.where(start.isnan(), drawn, start)


def check_dims(run: Run, dims: Sequence[int] | None) -> Sequence[int] | None:
    """The two dimensions to draw, if they were named.

    Raises:
        UserError: they are not two of the run's.
    """
    if dims is None:
        return None
    size = run.prior.feature_size
    if len(set(dims)) != 2 or len(dims) != 2 or max(dims) >= size:
        raise UserError(
            f"--dims {','.join(map(str, dims))}: name two different ones of 0 to {size - 1}"
        )
    return dims


# --- one descent --------------------------------------------------------------------------------


def tell_and_show(scene: Scene, found: Descent, output: Path, probe: Probe | None) -> None:
    """Say how the starts fared, and write the best one's way as a moving picture and as numbers."""
    named = scene.run.spec.named
    chances = found.log_probs[..., scene.label].exp()
    order = sorted(
        range(len(found.steps)), key=lambda k: (found.steps[k].item(), -chances[-1, k].item())
    )
    for k in order:
        at = f"{chances[found.steps[k], k]:.2%} after {found.steps[k]} steps"
        said = "reached" if found.converged[k] else "not reached"
        stuck = not found.converged[k] and not scene.space.may_rest(found.path[-1, k])
        why = ", where the decoder draws none well" if stuck else ""
        print(f"start {k}: {named(scene.label)} {said}, probability {at}{why}")
    best = order[0]
    with torch.no_grad():
        way = found.path[: found.steps[best] + 1, best]
        decoded = scene.space.decode(way).cpu()
        images, last = to_arrays(decoded), decoded[-1:]
    kind = output.suffix.lower()
    most = SHEET if kind == ".png" else MOST_FRAMES
    frames, seconds = render(draw(scene, found, best, images), len(images), most)
    stem = output.with_suffix("")
    content = {
        ".gif": animation.gif,
        ".mp4": animation.mp4,
        ".png": lambda frames, _: animation.sheet(frames),
    }[kind](frames, seconds)
    write(output, content)
    numbers = table(scene.space, found, order)
    write(Path(f"{stem}-path.csv"), numbers.to_csv(index=False).encode())
    for name, image in (("first", images[0]), ("last", images[-1])):
        write(Path(f"{stem}-{name}.png"), sheets.enlarged(image))
    beside = [f"{stem.name}-{name}" for name in ("path.csv", "first.png", "last.png")]
    print(f"written: {output}, and beside it {', '.join(beside[:-1])} and {beside[-1]}")
    if scene.second:
        read = int(scene.second.read(last))
        if read != scene.label:
            none = read == scene.run.spec.classes
            sees = f"no {scene.run.spec.class_word}" if none else named(read)
            print(f"the second opinion disagrees: it sees {sees} in the last image")
    if probe and probe.obstacle() is None:
        from mnist.figures.window import show_animation  # late: PyQt5 need not be there

        show_animation(frames, seconds, f"guide: {scene.directory}", output, content)


def draw(scene: Scene, found: Descent, which: int, images: np.ndarray) -> plotting.GuideFigure:
    """The figure of one start's way, whose decoded images [S + 1, 28, 28] are given."""
    space, steps = scene.space, len(images)
    way = found.path[:steps, which]
    basis, names = maps.plane(space.style(way), scene.dims)
    points, path = torch.from_numpy(scene.seen.styles) @ basis, space.style(way) @ basis
    region = None
    if space.size <= 2 and not scene.dims and not space.moves[space.size :].any():
        limit = plotting.plane_reach(points.numpy(), path.numpy())

        def chance(images: Tensor) -> Tensor:
            return scene.guiding.log_probs(images)[:, scene.label].exp()

        side, chances = maps.landscape(space, chance, way[0], limit)
        region = side.numpy(), chances.numpy()
    code = space.code(way)
    return plotting.GuideFigure(
        (points.numpy(), path.numpy()),
        scene.seen.labels,
        scene.run.spec,
        names,
        range(ROUND, steps, ROUND),
        images,
        found.log_probs[:steps, which].exp().numpy(),
        None if code is None else code.numpy(),
        scene.label,
        found.losses[:steps, which].numpy(),
        region,
    )


def render(figure: Any, steps: int, most: int) -> tuple[list[np.ndarray], list[float]]:
    """Frames of a figure's steps, all or so many evenly chosen with the first and the last, and how
    long each is seen."""
    shown = np.unique(np.linspace(0, steps - 1, min(steps, most)).round().astype(int))
    progress = tqdm(shown, desc="drawing", unit=" frames", leave=False, disable=None)
    frames = [figure.draw_step(step) for step in progress]
    seconds = [FRAME] * len(frames)
    seconds[0], seconds[-1] = FIRST, LAST
    return frames, seconds


def table(space: Space, found: Descent, order: list[int]) -> pd.DataFrame:
    """A row per step of each start, the best start first."""
    parts = []
    for k in order:
        steps = int(found.steps[k]) + 1
        way = found.path[:steps, k]
        columns = {"start": k, "step": range(steps), "loss": found.losses[:steps, k].numpy()}
        columns |= numbered("p", found.log_probs[:steps, k].exp())
        columns |= numbered("style_", space.style(way))
        if (code := space.code(way)) is not None:
            columns |= numbered("code_", code)
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts)


def numbered(name: str, values: Tensor) -> dict[str, np.ndarray]:
    """Columns name0, name1, ... of values [B, N]."""
    return {f"{name}{i}": column for i, column in enumerate(values.T.numpy())}
