"""Whether styles are somebody's handwriting.

Do images of different digits by one writer have styles that belong together, and does a digit that
is decoded in the style of somebody's other digits look like what they really wrote?
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mnist.data import Split
from mnist.latent.two_covariance import TwoCovariance

NEAREST = 10  # writers, among whom the right one is looked for
SEVERAL = (1, 2, 5, 10, 20)  # images that a writer's style is estimated from
ROWS = 1000  # images whose pairs with those by others are looked at, at least
PART = 500  # images that are compared with all others, or decoded, at once

Score = Callable[[Tensor, Tensor], Tensor]  # [A, N], [B, N] -> [A, B], larger for the more alike


def handwriting(
    model: TwoCovariance,
    test: Split,
    styles: Tensor,
    embedded: Tensor | None,
    decode: Callable[[Tensor, Tensor], Tensor] | None,
    generator: torch.Generator,
) -> dict[str, float | None]:
    """All that is measured of styles as handwriting.

    Args:
        model: of training images' styles.
        test: images by writers who wrote none of those.
        styles: of the test images, [B, N].
        embedded: of the same, [B, W], how likely each of the training writers is to have written
            them by a network that learnt to tell those apart: what images allow. None without one.
        decode: of a decoder that is given the class; None for others, of which a style in another
            class cannot be asked.
        generator: of the images that `by_images_known` takes.

    Returns:
        Numbers by name; None where there are too few images for one.
    """
    assert test.writers is not None
    of = test.labels, test.writers
    pixels = test.batch(slice(None)).images.flatten(1)
    writers = len(test.writers.unique())
    # The same of mean styles over half of a writer's images, as many as that is on average.
    halves = model._replace(within=model.within * (2 * writers / len(test)))
    numbers: dict[str, float | None] = {
        "writers": writers,
        "writer_auc": same_writer_auc(nearness, styles, *of),
        "writer_auc_pixels": same_writer_auc(nearness, pixels, *of),
        "writer_auc_ratio": same_writer_auc(model.log_likelihood_ratio, styles, *of),
        "writer_found": found_among_nearest(nearness, styles, *of, NEAREST),
        "writer_found_ratio": found_among_nearest(
            halves.log_likelihood_ratio, styles, *of, NEAREST
        ),
        "writer_found_pixels": found_among_nearest(nearness, pixels, *of, NEAREST),
        "writer_found_chance": min(1.0, NEAREST / writers),
    }
    if embedded is not None:
        centred = embedded - embedded.mean(0)
        numbers["writer_auc_embedding"] = same_writer_auc(cosine, centred, *of)
        numbers["writer_found_embedding"] = found_among_nearest(nearness, centred, *of, NEAREST)
    if decode:
        numbers |= transfer(decode, model, styles, test)
        numbers |= by_images_known(decode, model, styles, test, generator)
    return {name: None if number != number else number for name, number in numbers.items()}


# --- do styles of one writer lie together? --------------------------------------------------------


def nearness(styles: Tensor, others: Tensor) -> Tensor:
    """Minus the Euclidean distances, [A, N], [B, N] -> [A, B]: a `Score`."""
    return -torch.cdist(styles, others)


def cosine(styles: Tensor, others: Tensor) -> Tensor:
    """The cosines of the angles between them, [A, N], [B, N] -> [A, B]: a `Score`."""
    unit, other_unit = (each / each.norm(dim=1, keepdim=True) for each in (styles, others))
    return unit @ other_unit.T


def same_writer_auc(score: Score, styles: Tensor, labels: Tensor, writers: Tensor) -> float:
    """P(a pair by one writer scores higher than a pair by two), of pairs of different classes.

    The area under the ROC curve (Hanley & McNeil 1982), ½ for ties. All pairs by one writer count;
    of those by two, in sets of more than 2 · `ROWS` images, those of about `ROWS` images with all.

    Args:
        score: how alike two styles are; the same in both directions.
        styles, labels, writers: of images, [B, N], int64 [B], int64 [B].

    Returns:
        From 0 to 1; 0.5 where styles say nothing of their writers. NaN without pairs of a kind.
    """
    every = torch.arange(len(styles))

    def scores(some: Tensor, others: Tensor, by_one: bool) -> Tensor:
        wanted = (writers[some, None] == writers[others]) == by_one
        wanted &= labels[some, None] != labels[others]
        wanted &= some.unsqueeze(1) < others  # each pair once
        return score(styles[some], styles[others])[wanted]

    groups = (torch.nonzero(writers == writer)[:, 0] for writer in writers.unique())
    same = torch.cat([scores(group, group, True) for group in groups]).sort().values
    below, above, pairs = 0, 0, 0
    for rows in every[:: max(1, len(every) // ROWS)].split(PART):
        others = scores(rows, every, False)
        pairs += len(others)
        # Of the pairs by one writer, how many are below each of these, and how many above.
        below += int(torch.searchsorted(same, others).sum())
        above += int((len(same) - torch.searchsorted(same, others, right=True)).sum())
    both = len(same) * pairs
    return 0.5 + (above - below) / (2 * both) if both else float("nan")


def found_among_nearest(
    score: Score, styles: Tensor, labels: Tensor, writers: Tensor, count: int
) -> float:
    """Share of writers whose mean styles over either half of the classes belong together.

    That is: of all writers' mean styles over the upper half, their own is among the `count` that
    score highest with theirs over the lower half. By chance it is `count` in the number of writers,
    and so it is where all score alike: of ties each is as likely to be among them. Those without an
    image in either half are left out.

    styles [B, N], labels and writers int64 [B]. NaN where a score is none.
    """
    own = ByWriter(styles, labels, writers)
    half = own.counts.shape[1] // 2
    parts = slice(half), slice(half, None)
    seen = torch.stack([own.counts[:, part].sum(1) for part in parts])
    there = (seen > 0).all(0)
    lower, upper = (
        (own.sums[:, part].sum(1) / number.unsqueeze(1))[there]
        for part, number in zip(parts, seen, strict=True)
    )
    scores = score(lower, upper)
    own_score = scores.diag().unsqueeze(1)
    nearer, alike = (scores > own_score).sum(1), (scores == own_score).sum(1)
    found = ((count - nearer).double() / alike).clamp(0, 1)
    return found.where(alike > 0, math.nan).mean().item()


class ByWriter:
    """Styles added up by who wrote the images, and of which class they are.

    Args:
        styles, labels, writers: of images, [B, N], int64 [B], int64 [B].

    Attributes:
        who: int64 [B], the writers' numbers from 0 on.
        sums: float64 [W, K, N], of the styles of each writer and class.
        counts: float64 [W, K], images of each.
    """

    def __init__(self, styles: Tensor, labels: Tensor, writers: Tensor):
        self.styles, self.labels = styles.double(), labels
        names, self.who = writers.unique(return_inverse=True)
        size = len(names), int(labels.max()) + 1
        place = self.who, labels
        one = torch.ones(len(labels), dtype=torch.float64)
        self.counts = torch.zeros(size, dtype=torch.float64)
        self.counts.index_put_(place, one, accumulate=True)
        self.sums = torch.zeros(*size, styles.shape[1], dtype=torch.float64)
        self.sums.index_put_(place, self.styles, accumulate=True)

    def of_others(self, who: Tensor) -> tuple[Tensor, Tensor]:
        """Mean styles of images by these writers [B], of other classes than images 0, 1, ... [B].

        Returns:
            float64 [B, N], and how many images it is the mean of, [B].
        """
        count = self.counts.sum(1)[who] - self.counts[who, self.labels]
        sums = self.sums.sum(1)[who] - self.sums[who, self.labels]
        return sums / count.unsqueeze(1), count

    def of_same(self) -> tuple[Tensor, Tensor]:
        """Likewise, of other images of the same class by the same writer."""
        count = self.counts[self.who, self.labels] - 1
        sums = self.sums[self.who, self.labels] - self.styles
        return sums / count.unsqueeze(1), count


# --- does a digit in somebody's style look like theirs? -------------------------------------------


def transfer(
    decode: Callable[[Tensor, Tensor], Tensor], model: TwoCovariance, styles: Tensor, split: Split
) -> dict[str, float]:
    """How far images are from decodings that know their writer from other images only.

    Args:
        decode: styles [B, N], labels -> images in [0, 1].
        model: of training images' styles.
        styles: of the images, [B, N].
        split: the images, with labels and writers. Those are left out of which the writer wrote no
            other of the class, or none of another class.

    Returns:
        Mean squared errors a pixel, written in style zero ("hand_zero"); in the mean style of their
        writer's images of other classes ("hand_own"), of another writer's ("hand_another"), and
        of their writer's other images of the same class ("hand_same"), and in the style that the
        images of other classes make likeliest ("hand_likeliest"); the share of images for which
        own is better than another ("hand_wins"); and "hand_transfer", how far own goes of the way
        from zero to same: 1 if other classes say as much of the writer. Nothing if no image is
        left.
    """
    assert split.writers is not None
    known = ByWriter(styles, split.labels, split.writers)
    writers = len(known.counts)
    same, of_same = known.of_same()
    own, of_own = known.of_others(known.who)
    another, of_another = known.of_others((known.who + 1) % writers)
    there = (of_same > 0) & (of_own > 0) & (of_another > 0)
    if not there.any():
        return {}
    likeliest = torch.empty_like(own)
    for count in of_own[there].unique():
        those = there & (of_own == count)
        likeliest[those] = model.writers_style(own[those], int(count))[0]
    errors = {
        name: squared_errors(decode, style[there], split.some(there))
        for name, style in {
            "zero": torch.zeros_like(own),
            "own": own,
            "another": another,
            "same": same,
            "likeliest": likeliest,
        }.items()
    }
    numbers = {f"hand_{name}": error.mean().item() for name, error in errors.items()}
    wins = (errors["own"] < errors["another"]).double().mean().item()
    zero, least = numbers["hand_zero"], numbers["hand_same"]
    share = (zero - numbers["hand_own"]) / (zero - least) if zero != least else float("nan")
    return numbers | {"hand_wins": wins, "hand_transfer": share}


def by_images_known(
    decode: Callable[[Tensor, Tensor], Tensor],
    model: TwoCovariance,
    styles: Tensor,
    split: Split,
    generator: torch.Generator,
) -> dict[str, float]:
    """How far images are from decodings that know 1, 2, 5, ... images of other classes by their
    writer, in the style that these make likeliest: "hand_from_1", ...; arguments as `transfer`.

    The same images for each number: those whose writer wrote enough of other classes. styles [B, N]
    are those of all images of the split.
    """
    assert split.writers is not None
    most = max(SEVERAL)
    kept, known = [], []
    order = torch.randperm(len(split), generator=generator)
    for image in range(len(split)):
        theirs = split.writers[order] == split.writers[image]
        others = order[theirs & (split.labels[order] != split.labels[image])]
        if len(others) >= most:
            kept.append(image)
            known.append(others[:most])
    if not kept:
        return {}
    seen, shown = styles[torch.stack(known)], split.some(torch.tensor(kept))
    numbers = {}
    for count in SEVERAL:
        style, _ = model.writers_style(seen[:, :count].mean(1), count)
        numbers[f"hand_from_{count}"] = squared_errors(decode, style, shown).mean().item()
    return numbers


def squared_errors(
    decode: Callable[[Tensor, Tensor], Tensor], styles: Tensor, split: Split
) -> Tensor:
    """Of each image, a pixel's mean squared error if it is decoded from this style: float64 [B]."""
    parts = zip(split.batches(PART), styles.float().split(PART), strict=True)
    return torch.cat(
        [
            (decode(some, batch.labels).cpu() - batch.images).double().square().flatten(1).mean(1)
            for batch, some in parts
        ]
    )
