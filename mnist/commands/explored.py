"""A run as the explorer asks it, by a window or for a page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mnist.commands.classifiers import trained_beside
from mnist.commands.encoder_vis import tsne
from mnist.commands.flags import ExploreFlags
from mnist.commands.generate_all import Rows, draw, npz, what_of
from mnist.commands.hands import doubts_of
from mnist.commands.written_text import write_text
from mnist.data import Unavailable, load_same_dataset, title_of
from mnist.data.scan import read_alike
from mnist.errors import UserError, warn
from mnist.figures import animation
from mnist.figures.exploration import MANY, Explorable, OnMap, Seen
from mnist.figures.images import grid, on_paper, spaced, tile, to_arrays, whole_scale
from mnist.figures.text import as_outlines, as_picture, set_lines
from mnist.latent.geodesics import connect
from mnist.latent.manifold import Decode, jacobian
from mnist.latent.maps import blend
from mnist.latent.two_covariance import product_of_posteriors
from mnist.networks.prior import Marginals
from mnist.training.run import Run, balanced_sample

SAMPLES = 1000  # styles of the prior, of which one is taken at random
SHOWN = 500  # test images on the map
QUANTILES = 0.025, 0.5, 0.975
MEASURED = 10  # classes at most, of whose images a geodesic is
COLUMNS = 160  # of their Jacobians, classes by dimensions, which is what takes memory
ACROSS = 10  # classes in a row, of what is saved
WALK, FRAME = 12, 0.08  # frames of a walk from a style to the next, and seconds of each
WANDERED = 4  # styles of a walk where none are kept


class Explored(Explorable):
    """A run, with answers as the explorer's window and page need them.

    Args:
        run: that can generate.
        flags: which say where data lie, and the seed of the prior's samples.

    Attributes:
        title: of a page.
    """

    def __init__(self, run: Run, flags: ExploreFlags):
        self.run, self.flags = run, flags
        self.spec, self.conditional, self.sharpness = run.spec, run.conditional, run.sharpness
        what = f"Every {run.spec.class_word}" if run.conditional else "Images"
        self.title = f"{what} in any style: {Path(run.name).name}"
        self.dataset: str = run.config["training"]["dataset"]
        self.about = f"{run.method.summary()}; {run.epoch} epochs on {title_of(self.dataset)}"
        self.draws = run.has_encoder
        seeded = torch.Generator().manual_seed(flags.seed)
        self.samples = run.prior.sample(SAMPLES, seeded)
        self.quantiles = self.quantiles_of(self.samples)
        self.labels = torch.arange(run.spec.classes if run.conditional else 1)
        self.order = self.order_of()

    def quantiles_of(self, samples: Tensor) -> list[list[float]]:
        """Of each dimension of the prior, exactly where that is known."""
        shares, prior = torch.tensor(QUANTILES), self.run.prior
        if isinstance(prior, Marginals):
            return [prior.icdf(shares).tolist()] * prior.feature_size
        return samples.quantile(shares, 0).T.tolist()

    def order_of(self) -> list[int]:
        """Of many dimensions those first that change the images most from end to end."""
        size = self.samples.shape[1]
        if size <= MANY:
            return list(range(size))
        ends = torch.tensor(self.quantiles)[:, [0, 2]].T  # [2, N]
        low, high = (torch.where(torch.eye(size) > 0, end, self.samples[0]) for end in ends)
        changed = [
            (self.written(one, 1.0) - self.written(other, 1.0)).square().mean().item()
            for one, other in zip(low, high, strict=True)
        ]
        return sorted(range(size), key=lambda i: -changed[i])

    def written(self, style: Tensor, sharpness: float) -> Tensor:
        """As `Explorable` says; unchecked, for it is asked at each move of the mouse."""
        styles = style.expand(len(self.labels), -1)
        with torch.no_grad():
            return self.run.decoder(styles, self.labels, sharpness=sharpness).cpu()

    def line(self, text: str, style: Tensor, sharpness: float) -> bytes:
        return as_picture(write_text(self.run, text, style[None], sharpness, self.flags.seed))

    @cached_property
    def classifier(self) -> Run | None:
        """That is trained beside the run, if one is."""
        return trained_beside(self.run)

    def opinion(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.classifier is None:
            return None
        chances, read = self.classifier.log_probs(images).exp().max(1)
        return read.cpu(), chances.cpu()

    def look_at(self, picture: Path, label: int) -> Seen:
        doubts: list[str] = []
        image = read_alike(picture, self.dataset, self.spec, tell=doubts.append)
        mean, deviation = self.run.posterior(image, torch.tensor([label]))
        doubts += doubts_of(self.run, self.classifier, image, label, "this")
        return Seen(image, mean[0].cpu(), deviation[0].cpu(), doubts)

    def together(self, hand: Sequence[Seen]) -> tuple[Tensor, Tensor]:
        if len(hand) == 1:
            return hand[0].mean, hand[0].deviation
        means = torch.stack([each.mean for each in hand])
        deviations = torch.stack([each.deviation for each in hand])
        mean, variance = product_of_posteriors(means, deviations, self.run.prior.std)
        return mean, variance.sqrt()

    # --- what takes seconds -------------------------------------------------------------------

    def tests(self) -> OnMap | None:
        if not self.run.has_encoder:
            return None
        try:
            test = load_same_dataset(self.run.config["training"], self.flags.data_dir).test
        except Unavailable as missing:
            warn(f"the map has no test images: {missing}")
            return None
        shown = balanced_sample(test.labels, min(SHOWN, len(test)), self.flags.seed)
        batch = test.batch(shown)
        return OnMap(batch.images, batch.labels, self.run.style_tensor(test, shown))

    def plane(self, styles: Tensor) -> Tensor:
        return torch.from_numpy(tsne(styles.numpy(), self.flags.seed))

    def warm_up(self) -> None:
        jacobian(self.decoder(self.labels[:1]), self.samples[:1])

    def geodesic(self, start: Tensor, end: Tensor) -> Tensor:
        count = max(1, min(MEASURED, len(self.labels), COLUMNS // len(start)))
        few = torch.linspace(0, len(self.labels) - 1, count).long()
        try:
            return connect(self.decoder(few), start[None], end[None]).points[0]
        except (ValueError, RuntimeError) as error:  # NaN, a singular matrix, no memory
            raise UserError(f"no geodesic between these styles: {error}") from error

    def decoder(self, labels: Tensor) -> Decode:
        """Styles [B, N] -> the pixels of some classes in each, [B, P]."""

        def decode(styles: Tensor) -> Tensor:
            pairs = styles.repeat_interleave(len(labels), 0), labels.repeat(len(styles))
            return self.run.decoder(*pairs).cpu().reshape(len(styles), -1)

        return decode

    # --- files --------------------------------------------------------------------------------

    @property
    def suffixes(self) -> dict[str, str]:
        every = {".png": "picture", ".svg": "outlines", ".npz": "arrays", ".gif": "walk"}
        if self.spec.image_shape[0] != 1:
            del every[".svg"]
        return every

    def content(self, suffix: str, styles: Sequence[Tensor], sharpness: float) -> bytes:
        """A file of a style and those kept: of the first style alone, but for a walk.

        A walk goes through all that are kept and back to the first of them, or where there are
        less than two from the style through some of the prior.
        """
        rows = Rows(styles[0][None], f"{what_of(self.run, None)} in this style")
        if suffix == ".gif":
            return self.walk(styles, sharpness)
        if suffix == ".svg":
            images = to_arrays(self.written(styles[0], sharpness))
            count = len(images)
            lines = ["x" * min(ACROSS, count - i) for i in range(0, count, ACROSS)]
            return as_outlines(set_lines(lines, [*images]), rows.title)
        generated = self.run.generate(rows.styles, sharpness=sharpness)
        return npz(generated, rows) if suffix == ".npz" else draw(self.run, rows, generated, suffix)

    def walk(self, styles: Sequence[Tensor], sharpness: float) -> bytes:
        """A GIF of every class, through styles [N] and back."""
        stops = [*styles[1:]] if len(styles) > 2 else [styles[0], *self.samples[1:WANDERED]]
        ways = [blend(*pair, WALK + 1)[:-1] for pair in pairwise([*stops, stops[0]])]
        frames = []
        for style in torch.cat(ways):
            images = self.written(style, sharpness)
            array = spaced(grid(images.split(ACROSS)))
            picture = on_paper(tile(array), whole_scale(array.shape[2:], 56), smooth=True)
            frames.append(np.asarray(picture.convert("RGB")))
        return animation.gif(frames, [FRAME] * len(frames))
