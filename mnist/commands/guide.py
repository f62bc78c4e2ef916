"""Asking for a digit, and seeing the way to it: what guide.py does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from mnist.commands.cli import GUIDE_DEFAULTS, run_directory
from mnist.commands.readers import is_trained, open_reader
from mnist.commands.space import Space
from mnist.commands.survey import advance, survey
from mnist.commands.tools import as_style, check_output, open_run, test_images, write
from mnist.data import CLASSES, load_same_dataset
from mnist.errors import Problem
from mnist.figures import animation, plotting, sheets
from mnist.figures.display import Probe
from mnist.latent.guidance import ROUND, Descent, descend
from mnist.training.run import Reader, Run, Styles, balanced_sample

SUFFIXES = (".gif", ".mp4", ".png")
# The second opinion: another network, of another seed, that knows what is no digit.
INDEPENDENT = {"outliers": True, "seed": 1}
NEARLY, CERTAIN = 4.0, 30.0  # logits of a digit that the decoder is told
MOST_STARTS = 10_000  # which take some 3 GB
SEEN = 1000  # test images in the plane
LANDSCAPE = 80  # points to a side of a map of the digit's probability
MOST_FRAMES = 100
FRAME, FIRST, LAST = 0.15, 1.0, 3.0  # seconds that a frame is seen
SHEET = 8  # frames of a contact sheet


class Scene(NamedTuple):
    """What the picture of a descent needs besides the descent."""

    space: Space
    guiding: Reader
    second: Reader | None  # asked for its opinion of the last image
    seen: Styles  # of test images
    dims: list[int] | None  # that are drawn, if they were named
    digit: int
    directory: Path


def guide(given: dict[str, Any]) -> None:
    """Do what the command line says.

    Args:
        given: the flags that were given, by name.

    Raises:
        Problem: anything that its user can mend.
    """
    survey_asked = given.get("survey", False)
    output = check_output(given, (".png",) if survey_asked else SUFFIXES)
    refuse_contradictions(given)
    if output and output.suffix.lower() == ".mp4":
        animation.require_ffmpeg()
    probe = None if output or survey_asked else Probe()
    run = open_run(given)
    space = open_space(run, given)
    start = chosen_start(space, given)
    dims = check_dims(run, given)
    # Before the work, so that it is not for nothing where the data set is not found.
    data = load_same_dataset(run.config["training"], given.get("data_dir"))
    if not output:
        output = run_directory(given) / ("survey.png" if survey_asked else "guide.gif")

    guiding, second = open_readers(given, data.name)
    wanted = GUIDE_DEFAULTS | given
    generator = torch.Generator().manual_seed(wanted["seed"])
    options = ("steps", "optimizer", "stop_at", "stay_likely")
    walk = partial(
        descend_or_say,
        decode=space.decode,
        log_probs=guiding.method.classifier.log_probs,
        log_prior=space.log_prior,
        anneal=space.anneal,
        may_rest=space.may_rest,
        moves=space.moves,
        generator=generator,
        lr=given.get("lr", GUIDE_DEFAULTS["lr"][wanted["optimizer"]]),
        **{key: wanted[key] for key in options},
    )
    begin = partial(draw_starts, space, start, generator)
    if survey_asked:
        count = given.get("starts", GUIDE_DEFAULTS["starts"]["a survey"])
        survey(space, walk, begin, count, second, data, output)
    else:
        count = given.get("starts", GUIDE_DEFAULTS["starts"]["a digit"])
        with tqdm(desc="descending", total=count, unit=" starts", leave=False, disable=None) as bar:
            digits = torch.full((count,), given["digit"])
            found = walk(begin(count), digits, tell=partial(advance, bar))
        seen = run.styles_of(data.test, balanced_sample(data.test.labels, SEEN, seed=0))
        directory = run_directory(given)
        scene = Scene(space, guiding, second, seen, dims, given["digit"], directory)
        tell_and_show(scene, found, output, probe)


def descend_or_say(*arguments: Any, **options: Any) -> Descent:
    """`descend`, with its failure as something that its user can mend.

    Raises:
        Problem: a loss became NaN or infinite.
    """
    try:
        return descend(*arguments, **options)
    except ValueError as error:
        raise Problem(
            f"{error}: try a smaller --lr or --stay-likely, or another --style"
        ) from error


def refuse_contradictions(given: dict[str, Any]) -> None:
    """Raise a Problem for flags that do not go together."""
    if ("digit" in given) == given.get("survey", False):
        raise Problem("name a digit by --digit, or ask all ten of many starts by --survey")
    if given.get("starts", 1) > MOST_STARTS:
        raise Problem(f"--starts {given['starts']:,}: take at most {MOST_STARTS:,} at once")
    if "style" in given and "start_image" in given:
        raise Problem("--style and --start-image cannot go together: each is a start")
    for flag in ("style", "start_image"):
        if flag in given and ("starts" in given or given.get("survey")):
            other = "survey" if given.get("survey") else "starts"
            name = flag.replace("_", "-")
            raise Problem(f"--{name} and --{other} cannot go together: it is a single start")
    if "start_image" in given and "from_digit" in given:
        raise Problem("--start-image and --from-digit cannot go together: the image has a digit")
    if "dims" in given and given.get("survey"):
        raise Problem("--dims is for the picture of a descent, and --survey makes none")


def open_readers(given: dict[str, Any], dataset: str) -> tuple[Reader, Reader | None]:
    """The classifier that guides, and the second opinion.

    Without a survey that is asked only where it is named, or where the usual one is trained.

    Raises:
        Problem: one of them is not there, or of another kind.
    """
    usual = GUIDE_DEFAULTS["independent"]
    wanted = given.get("survey") or "independent" in given or is_trained(usual)
    options = {"classifier": {}, "independent": {"flags": INDEPENDENT, "outliers": True}}
    # One that was named first: if it is not there, that is better said before another is trained.
    readers = {
        flag: open_reader(given, flag, GUIDE_DEFAULTS[flag], dataset, **options[flag])
        for flag in sorted(options, key=lambda flag: flag not in given)
        if flag == "classifier" or wanted
    }
    return readers["classifier"], readers.get("independent")


def open_space(run: Run, given: dict[str, Any]) -> Space:
    """The points that the flags let move.

    Raises:
        Problem: what is to move is not there, or what is to stay is not known.
    """
    if not run.config["model"]["labels"]:
        for flag in ("free", "from_digit"):
            if flag in given:
                raise Problem(
                    f"{run_directory(given)} was trained with --no-labels, so that there is only "
                    f"its style to move: leave --{flag.replace('_', '-')} out"
                )
    free = given.get("free", "both")
    if free == "style" and "from_digit" not in given and "start_image" not in given:
        raise Problem("--free style holds the digit that the decoder is told: add --from-digit D")
    return Space(run, free, anywhere=given.get("stay_likely") == 0)


def chosen_start(space: Space, given: dict[str, Any]) -> Tensor:
    """What the flags fix of a start: [D], NaN being what they leave open.

    Raises:
        Problem: they ask for what there is not.
    """
    start = torch.full((len(space.moves),), torch.nan)
    digit = given.get("from_digit")
    if "style" in given:
        start[: space.size] = as_style(space.run, given["style"], "--style") / space.run.prior.std
    if "start_image" in given:
        image = test_images(space.run, [given["start_image"]], given)
        start[: space.size] = space.run.encode(*image) / space.run.prior.std
        digit = image.labels.item()
    if digit is not None and space.labels:
        start[space.size :] = 0
        start[space.size + digit] = NEARLY if given.get("free", "both") != "style" else CERTAIN
    return start


def draw_starts(space: Space, start: Tensor, generator: torch.Generator, count: int) -> Tensor:
    """Starts [count, D]: drawn at random where `start` [D] leaves them open."""
    drawn = torch.randn(count, len(space.moves), generator=generator)
    return torch.where(start.isnan(), drawn, start)


def check_dims(run: Run, given: dict[str, Any]) -> list[int] | None:
    """The two dimensions to draw, if they were named.

    Raises:
        Problem: they are not two of the run's.
    """
    if "dims" not in given:
        return None
    dims, size = given["dims"], run.prior.feature_size
    if len(set(dims)) != 2 or len(dims) != 2 or max(dims) >= size:
        raise Problem(
            f"--dims {','.join(map(str, dims))}: name two different ones of 0 to {size - 1}"
        )
    return dims


# --- one descent --------------------------------------------------------------------------------


def tell_and_show(scene: Scene, found: Descent, output: Path, probe: Probe | None) -> None:
    """Say how the starts fared, and write the best one's way as a moving picture and as numbers."""
    chances = found.log_probs[..., scene.digit].exp()
    order = sorted(
        range(len(found.steps)), key=lambda k: (found.steps[k].item(), -chances[-1, k].item())
    )
    for k in order:
        at = f"{chances[found.steps[k], k]:.2%} after {found.steps[k]} steps"
        said = "reached" if found.converged[k] else "not reached"
        stuck = not found.converged[k] and not scene.space.may_rest(found.path[-1, k])
        why = ", where the decoder draws no digit well" if stuck else ""
        print(f"start {k}: {plotting.named(scene.digit)} {said}, probability {at}{why}")
    best = order[0]
    with torch.no_grad():
        way = found.path[: found.steps[best] + 1, best]
        images = scene.space.decode(way)[:, 0].numpy()
    frames, seconds = render(draw(scene, found, best, images), len(images))
    stem = output.with_suffix("")
    content = {
        ".gif": animation.gif,
        ".mp4": animation.mp4,
        ".png": lambda frames, _: animation.sheet(frames, SHEET),
    }[output.suffix.lower()](frames, seconds)
    write(output, content)
    numbers = table(scene.space, found, order)
    write(Path(f"{stem}-path.csv"), numbers.to_csv(index=False).encode())
    for name, image in (("first", images[0]), ("last", images[-1])):
        write(Path(f"{stem}-{name}.png"), sheets.enlarged(image))
    print(f"written: {output}, and beside it {stem.name}-path.csv, -first.png and -last.png")
    if scene.second:
        read = scene.second.read(torch.from_numpy(images[-1:]).unsqueeze(1)).item()
        if read != scene.digit:
            sees = "no digit" if read == CLASSES else plotting.named(read)
            print(f"the second opinion disagrees: it sees {sees} in the last image")
    if probe and probe.obstacle() is None:
        from mnist.figures.window import show_animation  # late: PyQt5 need not be there

        show_animation(frames, seconds, f"guide: {scene.directory}", output, content)


def draw(scene: Scene, found: Descent, which: int, images: np.ndarray) -> plotting.GuideFigure:
    """The figure of one start's way, whose decoded images [S + 1, 28, 28] are given."""
    space, steps = scene.space, len(images)
    way = found.path[:steps, which]
    basis, names = plane(space.style(way), scene.dims)
    points, path = torch.from_numpy(scene.seen.styles) @ basis, space.style(way) @ basis
    region = None
    if space.size == 2 and not scene.dims and not space.moves[2:].any():
        limit = plotting.plane_reach(points.numpy(), path.numpy())
        region = landscape(scene, way[0], limit)
    code = space.code(way)
    return plotting.GuideFigure(
        (points.numpy(), path.numpy()),
        scene.seen.digits,
        names,
        range(ROUND, steps, ROUND),
        images,
        found.log_probs[:steps, which].exp().numpy(),
        None if code is None else code.numpy(),
        scene.digit,
        found.losses[:steps, which].numpy(),
        region,
    )


def plane(path: Tensor, dims: list[int] | None) -> tuple[Tensor, tuple[str, str]]:
    """Two directions of the style space, [N, 2], and their names.

    Those of two dimensions; of more the two along which the path goes farthest.
    """
    size = path.shape[1]
    if size == 1:
        return torch.tensor([[1.0, 0.0]]), ("dimension 0", "")
    moves = (path != path[0]).any()
    if dims or size == 2 or not moves:
        first, second = dims or (0, 1)
        basis = torch.eye(size)[:, [first, second]]
        return basis, (f"dimension {first}", f"dimension {second}")
    directions = torch.linalg.svd(path - path.mean(0), full_matrices=True).Vh[:2]
    return directions.T, ("the way's main direction", "its second direction")


def landscape(
    scene: Scene, point: Tensor, limit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The digit's probability over styles of two numbers, what else `point` [D] holds being kept.

    Returns:
        [W], [H] and [H, W].
    """
    side = torch.linspace(-limit, limit, LANDSCAPE)
    second, first = torch.meshgrid(side, side, indexing="ij")
    points = point.repeat(LANDSCAPE**2, 1)
    styles = torch.stack([first.flatten(), second.flatten()], 1)
    points[:, :2] = styles / scene.space.run.prior.std
    with torch.no_grad():
        chances = scene.guiding.log_probs(scene.space.decode(points))[:, scene.digit].exp()
    return side.numpy(), side.numpy(), chances.reshape(LANDSCAPE, LANDSCAPE).numpy()


def render(figure: Any, steps: int) -> tuple[list[np.ndarray], list[float]]:
    """Frames of a figure's steps, all or as many as are bearable, and how long each is seen."""
    shown = np.unique(np.linspace(0, steps - 1, min(steps, MOST_FRAMES)).round().astype(int))
    progress = tqdm(shown, desc="drawing", unit=" frames", leave=False, disable=None)
    frames = [figure.draw_step(step) for step in progress]
    seconds = [FRAME] * len(frames)
    seconds[0], seconds[-1] = FIRST, LAST
    return frames, seconds


def table(space: Space, found: Descent, order: list[int]) -> pd.DataFrame:
    """A row per step of each start, the best start first."""
    parts = []
    for k in order:
        steps = found.steps[k].item() + 1
        way = found.path[:steps, k]
        columns = {"start": k, "step": range(steps), "loss": found.losses[:steps, k].numpy()}
        columns |= numbered("p", found.log_probs[:steps, k].exp())
        columns |= numbered("style_", space.style(way))
        if space.labels:
            columns |= numbered("code_", space.code(way))
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts)


def numbered(name: str, values: Tensor) -> dict[str, np.ndarray]:
    """Columns name0, name1, ... of values [B, N]."""
    return {f"{name}{i}": column for i, column in enumerate(values.T.numpy())}
