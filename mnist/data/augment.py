"""Images made of real ones in training: ones still of their class, and outliers, of no class.

Each function draws from a generator on the CPU, whatever the images' device, so that a run draws
the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from mnist.data.types import Batch

SHIFT = 2  # pixels
# Of an image distorted with strength 1, at most: radians, ratio, ratio less one, pixels.
TURN, SLANT, SCALE, MOVE = math.radians(10), 0.25, 0.1, 1.5
PIECES = 4  # to a side of an image that is cut up
# Digits that are none when turned by a quarter, and in a mirror, where a 2 is a 5.
QUARTERED, MIRRORED = (2, 3, 4, 5, 6, 7, 9), (3, 6, 7, 9)
STROKES, LINES = 4, 6  # of a scribble and of a sign, at most


# --- still the same digit ------------------------------------------------------------------------


def random_shifts(count: int, generator: torch.Generator) -> Tensor:
    """How far to move so many images across and down, int64 [2, count]: from 0, `SHIFT` pixels to
    one side, to 2 · `SHIFT`, as many to the other."""
    return torch.randint(0, 2 * SHIFT + 1, (2, count), generator=generator)


def shifted(images: Tensor, shifts: Tensor) -> Tensor:
    """Each image moved by its shift: [B, C, H, W], int64 [2, B] -> [B, C, H, W]."""
    height, width = images.shape[2:]
    windows = F.pad(images, (SHIFT,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    x, y = shifts
    return windows[torch.arange(len(images), device=images.device), :, y, x]


def distorted(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Each image turned, slanted, scaled and moved a little, as another hand might write it.

    By up to `strength` times `TURN`, `SLANT`, `SCALE` (of width and height each) and `MOVE`, with
    bilinear interpolation: [B, C, H, W] -> the same.
    """
    height, width = images.shape[2:]
    most = strength * torch.tensor([[TURN], [SLANT], [SCALE], [SCALE], [MOVE], [MOVE]])
    numbers = most * (2 * torch.rand(6, len(images), generator=generator) - 1)
    turn, slant, wide, high, across, down = numbers.to(images.device)
    wide, high, cos, sin = 1 + wide, 1 + high, turn.cos(), turn.sin()
    # Where in the original a pixel is taken from, relative to the middle, in pixels ...
    from_x = torch.stack([wide * cos, high * (slant * cos - sin), across], 1)
    from_y = torch.stack([wide * sin, high * (slant * sin + cos), down], 1)
    # ... and as `affine_grid` has it, in halves of the width and the height.
    half = torch.tensor([width / 2, height / 2, 1], device=images.device)
    maps = torch.stack([from_x * half / half[0], from_y * half / half[1]], 1)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def redrawn(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image as another pen, scanner or decoder has it: [B, C, H, W] -> the same.

    A third each blurred not at all, by 0.7 and by 1 pixel, and then most with their contrast raised
    again, which makes strokes thinner or thicker.
    """
    count = len(images)
    third = count // 3
    soft = torch.cat(
        [images[:third], blur(images[third : 2 * third], 0.7), blur(images[2 * third :], 1.0)]
    )
    slope = uniform(soft, 3, 10, generator)
    middle = uniform(soft, 0.3, 0.5, generator)
    return torch.where(uniform(soft, 0, 1, generator) < 0.4, soft, contrast(soft, slope, middle))


# --- no digit any more ---------------------------------------------------------------------------


def outliers_of(
    batch: Batch, count: int, generator: torch.Generator, digits: bool = True
) -> Tensor:
    """Images of no class, made of a batch of real ones: about equally many of each kind.

    What a classifier learns to refuse by such examples it also refuses of other kinds: outlier
    exposure (Hendrycks, Mazeika & Dietterich 2019, arXiv 1812.04606).

    Args:
        batch: images [B, C, H, W] in [0, 1] and their labels.
        count: how many.
        generator: of every choice.
        digits: whether the classes are the ten digits, of which it is known how they may be turned.

    Returns:
        [count, C, H, W] in [0, 1].
    """
    kinds = [kind for name, kind in KINDS.items() if digits or name != "turned"]
    numbers = (len(part) for part in torch.arange(count).tensor_split(len(kinds)))
    made = [
        kind(batch, number, generator)
        for kind, number in zip(kinds, numbers, strict=True)
        if number
    ]
    return torch.cat([images.expand(-1, *batch.images.shape[1:]) for images in made])


def mixed(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Means of two or three images of different digits, half with their contrast raised again."""
    chosen = draw(batch, count, generator)
    labels = batch.labels[chosen]
    images = batch.images[chosen]
    others = [batch.images[of_another_class(batch, labels, generator)] for _ in range(2)]
    share = uniform(images, 0.35, 0.65, generator)
    two = torch.lerp(others[0], images, share)
    three = torch.lerp(others[1], two, uniform(images, 0.6, 0.72, generator))
    means = torch.where(uniform(images, 0, 1, generator) < 0.5, two, three)
    # Its middle lies below each image's share, so that none of them goes under.
    slope = uniform(images, 4, 12, generator)
    middle = uniform(images, 0.15, 0.3, generator)
    return torch.where(
        uniform(images, 0, 1, generator) < 0.5, contrast(means, slope, middle), means
    )


def blurred(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Smudges: digits blurred by 4 or 6 pixels, grey or with their contrast raised again."""
    images = batch.images[draw(batch, count, generator)]
    half = count // 2
    smudges = torch.cat([blur(images[:half], 4.0), blur(images[half:], 6.0)])
    slope = uniform(images, 1, 12, generator)
    middle = uniform(images, 0.25, 0.6, generator)
    return torch.where(
        uniform(images, 0, 1, generator) < 0.5, smudges, contrast(smudges, slope, middle)
    )


def erased(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Digits with parts rubbed out, half of their ink or more in nearly all of them."""
    images = batch.images[draw(batch, count, generator)]
    ink = images.sum((1, 2, 3), keepdim=True)
    left = images
    for cells in (5, 7, 6):
        rubbed = left * torch.sigmoid(6 * smooth_noise(images, cells, generator))
        left = torch.where(left.sum((1, 2, 3), keepdim=True) > 0.5 * ink, rubbed, left)
    return left


def scrambled(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Digits cut into squares that are put together in another order, with or without margins."""
    images = batch.images[draw(batch, count, generator)]
    margin = images.shape[-1] // 7  # of MNIST: a digit fills 20×20 of 28×28 pixels
    whole = cut_and_shuffled(images[: count // 2], generator)
    inner = cut_and_shuffled(images[count // 2 :, :, margin:-margin, margin:-margin], generator)
    return torch.cat([whole, F.pad(inner, (margin,) * 4)])


def noise(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Grains and clouds, most of them where a digit would be."""
    images = batch.images[draw(batch, count, generator)]
    height, width = images.shape[2:]
    cells = (height, height // 2, height // 3, height // 5)
    parts = images.tensor_split(len(cells))
    clouds = torch.cat(
        [smooth_noise(p, c, generator) for p, c in zip(parts, cells, strict=True) if len(p)]
    )
    slope = uniform(images, 2, 8, generator)
    middle = uniform(images, 0, 1.5, generator)
    y = torch.arange(height, device=images.device).view(-1, 1) - (height - 1) / 2
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    radius = uniform(images, 0.25, 0.45, generator) * height
    window = torch.sigmoid(radius - torch.hypot(x, y))
    window = torch.where(uniform(images, 0, 1, generator) < 0.7, window, torch.ones_like(window))
    return torch.sigmoid(slope * (clouds - middle)) * window


def warped(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Digits on a cloth that is crumpled beyond reading."""
    images = batch.images[draw(batch, count, generator)]
    shifts = torch.cat([smooth_noise(images, 5, generator) for _ in range(2)], 1)
    shifts = shifts * uniform(images, 0.2, 0.4, generator)
    straight = torch.eye(2, 3, device=images.device).expand(count, -1, -1)
    places = F.affine_grid(straight, list(images.shape), align_corners=False)
    return F.grid_sample(images, places + shifts.permute(0, 2, 3, 1), align_corners=False)


def turned(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Mirror images of digits, and digits turned by a quarter, where these are no digits."""
    turns = {
        QUARTERED: (lambda x: x.rot90(1, (2, 3)), lambda x: x.rot90(-1, (2, 3))),
        MIRRORED: (lambda x: x.flip(3),),
    }
    ways = [(digits, turn) for digits, each in turns.items() for turn in each]
    parts = []
    for (digits, turn), part in zip(ways, torch.arange(count).tensor_split(3), strict=True):
        there = torch.isin(batch.labels, torch.tensor(digits, device=batch.labels.device))
        images = batch.images[there if there.any() else slice(None)]
        parts.append(turn(images[draw_numbers(len(images), len(part), generator).to(there.device)]))
    return torch.cat(parts)


def scribbled(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Two to four strokes of a pen anywhere: cubic Bézier curves between random points."""
    images = batch.images[draw(batch, count, generator)]
    spread = uniform(images, 0.15, 0.32, generator)
    corners = torch.randn(count, STROKES, 4, 2, generator=generator).to(images.device)
    corners = (0.5 + spread * corners).clamp(0.05, 0.95)
    t = torch.linspace(0, 1, 40, device=images.device).unsqueeze(1)
    weights = torch.cat([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    curves = torch.einsum("pk,nskd->nspd", weights, corners)
    drawn = 2 + draw_numbers(STROKES - 1, count, generator)
    softness = uniform(images, 3, 6, generator)
    radius = uniform(images, 0.8, 2, generator)
    return strokes(images, curves, drawn, softness, radius)


def lettered(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Signs such as letters: three to six straight or bent strokes between places of a 3×3 grid.

    Each begins where the pen has been before. Some of them are a 7 or a 4; most are none.
    """
    images = batch.images[draw(batch, count, generator)]
    places = torch.cartesian_prod(*[torch.arange(-1.0, 2.0)] * 2)  # [9, 2]
    places = places + 0.15 * torch.randn(count, len(places), 2, generator=generator)
    extent = torch.cat(
        [uniform(images, 0.28, 0.4, generator), uniform(images, 0.18, 0.4, generator)], -1
    )
    places = 0.5 + extent[:, 0].cpu() * places
    visited = [draw_numbers(9, count, generator)]
    ends = []
    for _ in range(LINES):
        place = draw_numbers(len(visited), count, generator).unsqueeze(1)
        start = torch.stack(visited, 1).gather(1, place)[:, 0]
        visited.append((start + 1 + draw_numbers(8, count, generator)) % 9)  # another place
        ends.append(torch.stack([start, visited[-1]], 1))
    first, last = (
        places.gather(1, index.unsqueeze(2).expand(-1, -1, 2)).unsqueeze(2)
        for index in torch.stack(ends, 1).unbind(2)
    )  # [B, LINES, 1, 2] each
    along = last - first
    across = torch.stack([-along[..., 1], along[..., 0]], -1)
    bend = 0.5 * torch.randn(count, LINES, 1, 1, generator=generator)
    bent = torch.rand(count, LINES, 1, 1, generator=generator) < 0.4
    middle = (first + last) / 2 + bend * bent * across
    t = torch.linspace(0, 1, 24).unsqueeze(1)
    curves = (1 - t) ** 2 * first + 2 * t * (1 - t) * middle + t**2 * last  # quadratic Béziers
    drawn = 3 + draw_numbers(LINES - 2, count, generator)
    softness = uniform(images, 2, 6, generator)
    radius = uniform(images, 0.6, 1.8, generator)
    return strokes(images, curves, drawn, softness, radius)


def recombined(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Two or three digits or halves of them, turned and stretched, across each other."""
    pieces = [piece(batch, count, generator) for _ in range(3)]
    two = torch.maximum(*pieces[:2])
    more = uniform(two, 0, 1, generator) < 0.3
    together = torch.where(more, torch.maximum(two, pieces[2]), two)
    slope = uniform(two, 3, 8, generator)
    middle = uniform(two, 0.3, 0.45, generator)
    return contrast(together, slope, middle)


KINDS: dict[str, Callable[[Batch, int, torch.Generator], Tensor]] = {
    kind.__name__: kind
    for kind in (
        *(mixed, blurred, erased, scrambled, noise),
        *(warped, turned, scribbled, lettered, recombined),
    )
}


# --- what these are made with --------------------------------------------------------------------


def uniform(images: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """A number for each image, [B, 1, 1, 1]."""
    numbers = torch.rand(len(images), 1, 1, 1, generator=generator)
    return (low + (high - low) * numbers).to(images.device)


def draw_numbers(below: int, count: int, generator: torch.Generator) -> Tensor:
    """int64 [count], on the CPU."""
    return torch.randint(below, (count,), generator=generator)


def draw(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Which images of a batch to take, int64 [count]."""
    return draw_numbers(len(batch.labels), count, generator).to(batch.labels.device)


def of_another_class(batch: Batch, digits: Tensor, generator: torch.Generator) -> Tensor:
    """For each of some digits [K] an image of another one, if eight draws find any: int64 [K]."""
    drawn = draw(batch, 8 * len(digits), generator).view(len(digits), 8)
    differs = batch.labels[drawn] != digits.unsqueeze(1)
    return drawn.gather(1, differs.float().argmax(1, keepdim=True))[:, 0]


def blur(images: Tensor, sigma: float) -> Tensor:
    """Images [B, C, H, W] convolved with a Gaussian of standard deviation `sigma`, in pixels."""
    reach = math.ceil(3 * sigma)
    ticks = torch.arange(-reach, reach + 1, device=images.device)
    window = torch.exp(-(ticks**2) / (2 * sigma**2))
    window = window / window.sum()
    each = images.flatten(0, 1).unsqueeze(1)  # channels by themselves
    across = F.conv2d(each, window.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(across, window.view(1, 1, -1, 1), padding=(reach, 0)).view(images.shape)


def contrast(images: Tensor, slope: Tensor, middle: Tensor) -> Tensor:
    """Images with their blackest pixel at 1, through an S-shaped curve from (0, 0) to (1, 1).

    Args:
        images: [B, C, H, W] in [0, 1].
        slope, middle: of the logistic curve, [B, 1, 1, 1].
    """
    images = images / images.amax((1, 2, 3), keepdim=True).clamp(min=1e-3)
    low, high = torch.sigmoid(-slope * middle), torch.sigmoid(slope * (1 - middle))
    return (torch.sigmoid(slope * (images - middle)) - low) / (high - low)


def smooth_noise(images: Tensor, cells: int, generator: torch.Generator) -> Tensor:
    """Normal noise for each image, that is smooth within one of cells × cells: [B, 1, H, W]."""
    coarse = torch.randn(len(images), 1, cells, cells, generator=generator).to(images.device)
    fine = F.interpolate(coarse, images.shape[2:], mode="bicubic", align_corners=False)
    return fine / fine.std((2, 3), keepdim=True)


def cut_and_shuffled(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images [B, C, H, W] cut into `PIECES` × `PIECES` that are put together in another order."""
    count, channels, height, width = images.shape
    tall, wide = height // PIECES, width // PIECES
    pieces = images.unfold(2, tall, tall).unfold(3, wide, wide)[:, :, :PIECES, :PIECES]
    pieces = pieces.flatten(2, 3).transpose(1, 2)  # [B, PIECES², C, tall, wide]
    order = torch.rand(count, PIECES**2, generator=generator).argsort(1).to(images.device)
    pieces = pieces[torch.arange(count, device=images.device).unsqueeze(1), order]
    grid = pieces.unflatten(1, (PIECES, PIECES)).permute(0, 3, 1, 4, 2, 5)
    whole = grid.reshape(count, channels, PIECES * tall, PIECES * wide)
    return F.pad(whole, (0, width - whole.shape[3], 0, height - whole.shape[2]))


def strokes(
    images: Tensor, curves: Tensor, drawn: Tensor, softness: Tensor, radius: Tensor
) -> Tensor:
    """What a pen leaves that follows curves: [B, 1, H, W], of the size of `images`.

    Args:
        images: [B, C, H, W].
        curves: points on them, (y, x) in [0, 1] across the image: [B, S, P, 2].
        drawn: how many of the curves of each are, int64 [B].
        softness, radius: of the pen's edge and of the pen, [B, 1, 1, 1], the latter in pixels.
    """
    height, width = images.shape[2:]
    points = curves.to(images.device) * (height - 1)
    unused = torch.arange(curves.shape[1]) >= drawn.unsqueeze(1)
    points[unused.to(images.device)] = -height  # out of sight
    rows, columns = (
        torch.arange(side, device=images.device, dtype=torch.float32) for side in (height, width)
    )
    pixels = torch.cartesian_prod(rows, columns).expand(len(images), -1, -1)
    distance = torch.cdist(pixels, points.flatten(1, 2)).amin(2).view(-1, 1, height, width)
    return torch.sigmoid(softness * (radius - distance))


def piece(batch: Batch, count: int, generator: torch.Generator) -> Tensor:
    """Digits and halves of digits, each turned, stretched, sheared and moved at random."""
    images = batch.images[draw(batch, count, generator)]
    angle = uniform(images, 0, 2 * math.pi, generator)
    y, x = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in images.shape[2:])
    halves = images * torch.sigmoid(2 * (torch.cos(angle) * x + torch.sin(angle) * y.unsqueeze(1)))
    images = torch.where(uniform(images, 0, 1, generator) < 0.5, halves, images)

    turn = uniform(images, -math.pi, math.pi, generator).view(-1)
    across, down = (1 / uniform(images, 0.7, 1.5, generator).view(-1) for _ in range(2))
    shear, *shift = (uniform(images, -e, e, generator).view(-1) for e in (0.5, 0.36, 0.36))
    cos, sin = torch.cos(turn), torch.sin(turn)
    first = torch.stack([across * (cos - shear * sin), across * (sin + shear * cos), shift[0]], 1)
    second = torch.stack([-down * sin, down * cos, shift[1]], 1)
    places = F.affine_grid(torch.stack([first, second], 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, places, align_corners=False)
