"""The pictures of a listing, decoded into one array of images that are all alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mnist.data.cache import ARRAY
from mnist.data.listing import Item, Listing
from mnist.data.pictures import NoPicture, dark_on_light, fitted, read_picture
from mnist.errors import UserError
from mnist.reading import Reading

Tell = Callable[[str], None]

SAMPLE = 500  # pictures that size, colour and ink are judged by
LARGEST_SIZE = 64  # of images, where none is asked for
AHEAD = 256  # pictures that are decoded before they are waited for
BAD_SHOWN = 20  # files that a message names
VERSION = 1  # of how pictures are decoded: what was decoded by another is of no use


def decode_all(
    listing: Listing, reading: Reading, folder: Path, tell: Tell | None
) -> dict[str, Any]:
    """Decode the pictures of a listing into a folder's array; return what was found out.

    Raises:
        UserError: some cannot be read, and are not to be skipped.
    """
    items, root = listing.items, listing.root
    told: list[str] = []
    shape, inverted = looks(listing, reading, told)
    channels, *size = shape
    shown = (*size, *([channels] if channels > 1 else []))
    array = np.lib.format.open_memmap(
        folder / ARRAY, "w+", dtype=np.uint8, shape=(len(items), *shown)
    )
    decode = partial(decoded, root, channels > 1, (size[0], size[1]), inverted)
    bad: list[tuple[str, str]] = list(listing.bad)
    kept: list[int] = []
    quiet = None if tell else True  # None: where there is no terminal
    bar = tqdm(total=len(items), desc=f"decoding {root.name}", unit=" pictures", disable=quiet)
    with bar, ThreadPoolExecutor() as pool:
        for index, image in enumerate(in_turn(pool, decode, items)):
            if isinstance(image, str):
                bad.append((items[index].path, image))
            else:
                array[len(kept)] = image
                kept.append(index)
            bar.update()
    if not reading.skip_bad or not kept:
        refuse_bad(root, bad)
    array.flush()
    if bad:
        told.append(f"{len(bad):,} files of {root} are left out: " + named(bad))
    if len(kept) < len(items):
        whole = np.lib.format.open_memmap(
            folder / f"short-{ARRAY}", "w+", dtype=np.uint8, shape=(len(kept), *shown)
        )
        whole[:] = array[: len(kept)]
        whole.flush()
        (folder / f"short-{ARRAY}").replace(folder / ARRAY)
    all_kept = len(kept) == len(items)
    return {"image_shape": list(shape), "kept": None if all_kept else kept, "told": told}


def in_turn(
    pool: ThreadPoolExecutor, decode: Callable[[Item], Any], items: Sequence[Item]
) -> Iterator[Any]:
    """What is decoded, in order, never many more than are waited for."""
    rest = iter(items)
    waiting = deque(pool.submit(decode, item) for item in islice(rest, AHEAD))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(decode, item) for item in islice(rest, 1))


def looks(listing: Listing, reading: Reading, told: list[str]) -> tuple[tuple[int, int, int], bool]:
    """The shape that images are to have, and whether ink is dark, by some of the pictures.

    What is not asked for and follows from them is told.
    """
    step = max(1, len(listing.items) // SAMPLE)
    pictures = []
    for item in listing.items[::step]:
        try:
            pictures.append(read_picture(listing.root / item.path))
        except NoPicture:
            continue  # it is named when all are decoded
    if not pictures:
        return (1, 1, 1), False
    colour = reading.colour
    if colour is None:
        colour = sum(picture.mode == "RGB" for picture in pictures) > len(pictures) / 2
        if colour:
            told.append("most pictures are in colour, and all are read so; or give --no-colour")
    sizes = {picture.size for picture in pictures}
    if reading.image_size:
        height = width = reading.image_size
    elif len(sizes) == 1 and max(pictures[0].size) <= LARGEST_SIZE:
        width, height = pictures[0].size
    else:
        longer = float(np.median([max(picture.size) for picture in pictures]))
        height = width = min(LARGEST_SIZE, round(longer))
        told.append(f"pictures are scaled to {height}×{width}; or give --image-size")
    dark = reading.ink == "dark"
    if reading.ink is None and not colour:
        dark = dark_on_light(pictures)
        if dark:
            told.append("pictures are dark on light, and inverted; or give --ink light")
    return (3 if colour else 1, height, width), dark


def decoded(
    root: Path, colour: bool, size: tuple[int, int], inverted: bool, item: Item
) -> np.ndarray | str:
    """A picture as its image is stored, uint8 [H, W] or [H, W, 3]; or why it is none."""
    try:
        picture = read_picture(root / item.path)
    except NoPicture as error:
        return error.reason
    levels = np.asarray(fitted(picture.convert("RGB" if colour else "L"), size))
    return 255 - levels if inverted else levels


def refuse_bad(root: Path, bad: Sequence[tuple[str, str]]) -> None:
    """Raise a UserError where there are files that cannot be read."""
    if bad:
        raise UserError(
            f"{len(bad):,} files of {root} cannot be read: {named(bad)}; mend or remove them, or "
            "give --skip-bad"
        )


def named(bad: Sequence[tuple[str, str]]) -> str:
    """Files and their reasons, in a line: all, or the first ones."""
    more = f" and {len(bad) - BAD_SHOWN:,} more" if len(bad) > BAD_SHOWN else ""
    return "; ".join(f"{path} {reason}" for path, reason in bad[:BAD_SHOWN]) + more
