"""Sheets of images, with Pillow: what training leaves each epoch, and generate-all.py writes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from mnist.data import Split
from mnist.data.spec import DataSpec
from mnist.figures.images import on_paper, spaced, tile, to_arrays, whole_scale

SIDE = 56  # screen pixels of an image, about: images are enlarged by a whole number
MARGIN = 12
LINE = 24  # screen pixels of a line of text
FEW = 10  # classes, of which two test images each are shown, and counts in large type
MISREAD = 24  # images below a confusion matrix
FOUND = 12  # results of each digit that a survey shows, of either kind


class Section(NamedTuple):
    """A part of a sheet: its title, and images in rows."""

    title: str
    images: np.ndarray  # [rows, columns, H, W] or [rows, columns, H, W, 3] in [0, 1]
    captions: Sequence[str] = ()  # to the right of each row
    heads: Sequence[str] = ()  # above each column


def sheet(sections: Sequence[Section]) -> bytes:
    """A PNG of titled grids of images, one below the other."""
    font, small = font_of(15), font_of(13)
    drawn = [
        on_paper(tile(spaced(each.images)), whole_scale(each.images.shape[2:], SIDE), smooth=True)
        for each in sections
    ]
    heads = [
        column_heads(each.heads, picture.width, small)
        for each, picture in zip(sections, drawn, strict=True)
    ]
    width = max(
        max(
            font.getlength(section.title),
            picture.width + max((small.getlength(c) + MARGIN for c in section.captions), default=0),
        )
        for section, picture in zip(sections, drawn, strict=True)
    )
    height = MARGIN + sum(LINE + MARGIN for _ in drawn) + sum(p.height for p in drawn + heads)
    # In grey if all is grey: compressing three channels takes as long as three such pages.
    mode = "L" if all(picture.mode == "L" for picture in drawn) else "RGB"
    page = Image.new(mode, (2 * MARGIN + round(width), height), "white")
    pen = ImageDraw.Draw(page)
    top = MARGIN
    for section, picture, head in zip(sections, drawn, heads, strict=True):
        pen.text((MARGIN, top), section.title, fill="black", font=font)
        page.paste(head, (MARGIN, top + LINE))
        top += LINE + head.height
        page.paste(picture, (MARGIN, top))
        for row, caption in enumerate(section.captions):
            middle = top + round((row + 0.5) * picture.height / len(section.images))
            right = MARGIN + picture.width + MARGIN
            pen.text((right, middle), caption, fill="black", font=small, anchor="lm")
        top += picture.height + MARGIN
    return png(page)


def column_heads(names: Sequence[str], width: int, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Names above the columns of a picture so wide, turned if one is wider than a column."""
    if not names:
        return Image.new("L", (width, 0))
    wide = width / len(names)
    longest = round(max(map(font.getlength, names)))
    upright = longest < wide
    strip = Image.new("L", (width, (LINE if upright else longest + 8)), "white")
    for column, name in enumerate(names):
        write_above(strip, name, (column + 0.5) * wide, strip.height - 6, font, upright)
    return strip


def write_above(
    page: Image.Image,
    name: str,
    middle: float,
    bottom: int,
    font: ImageFont.FreeTypeFont,
    upright: bool,
) -> None:
    """A column's name, upright or turned, centred at `middle` and ending at `bottom`."""
    if upright:
        pen = ImageDraw.Draw(page)
        pen.text((middle, bottom), name, fill="black", font=font, anchor="ms")
    else:
        label = turned(name, font)
        page.paste(label, (round(middle - label.width / 2), bottom - label.height))


def confusion(test: Split, read: Tensor, spec: DataSpec) -> bytes:
    """A PNG of how often each class was read as each, and the first images that were misread.

    Args:
        test: the images, and their classes.
        read: what they were taken for, int64 [N]; `spec.classes` for none of the classes.
        spec: of the data set.
    """
    labels, read, classes = test.labels.cpu(), read.cpu(), spec.classes
    answers = [*spec.class_names, "none"][: max(classes, int(read.max()) + 1)]
    size = len(answers)
    counts = torch.bincount(labels * size + read, minlength=classes * size).reshape(classes, size)
    wrong = torch.nonzero(labels != read)[:, 0]
    shown = wrong[:MISREAD]
    font, caption_font = font_of(15), font_of(13)
    small = font_of(13 if classes <= FEW else 11)
    cell = round(max(2 * small.size, small.getlength(str(counts.max().item())) + 10))
    longest = max(map(small.getlength, answers))
    # The names of the columns are turned if they are too long; "none" may stick out at the end.
    upright = max(map(small.getlength, spec.class_names)) <= cell
    left = MARGIN + round(longest) + 10
    top = MARGIN + LINE + (LINE if upright else round(longest) + 10)
    below = top + cell * classes + 2 * MARGIN

    images = to_arrays(test.batch(shown.to(test.labels.device)).images)
    captions = [f"{spec.class_names[labels[i]]} as {answers[read[i]]}" for i in shown]
    scale = whole_scale(images.shape[1:], SIDE)
    pictures = [on_paper(image, scale, smooth=True) for image in images]
    wide = max((p.width for p in pictures), default=0)
    wide = round(max([wide, *(caption_font.getlength(caption) + 10 for caption in captions)]))
    tall = max((p.height for p in pictures), default=0) + LINE
    title = f"{len(labels):,} test images: the {spec.class_word} down, across what it is read as"
    under = f"misread, {len(shown)} of {len(wrong):,}: the {spec.class_word}, and as what"
    width = max(left + cell * size + 60, MARGIN + 12 * SIDE, MARGIN + font.getlength(title))
    across = max(1, int(width - MARGIN) // wide) if wide else 1
    width = max(width, MARGIN + wide)
    height = below + LINE + -(-len(shown) // across) * tall + MARGIN

    page = Image.new("RGB", (round(width) + MARGIN, height), "white")
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), title, fill="black", font=font)
    wrongly = counts.clone().fill_diagonal_(0)
    most = max(1, wrongly.max().item())
    for j, answer in enumerate(answers):
        write_above(page, answer, left + round((j + 0.5) * cell), top - 6, small, upright)
    for i in range(classes):
        middle = top + (i + 0.5) * cell
        pen.text((left - 8, middle), answers[i], fill="black", font=small, anchor="rm")
        total = counts[i].sum().item()
        share = f"{counts[i, i].item() / total:.1%}" if total else "-"
        right = left + cell * size + 8
        pen.text((right, middle), share, fill="black", font=small, anchor="lm")
        for j in range(size):
            count = counts[i, j].item()
            tint = (225, 235, 245) if i == j else errors_colour(count / most)
            corner = (left + j * cell, top + i * cell)
            pen.rectangle((*corner, corner[0] + cell - 2, corner[1] + cell - 2), fill=tint)
            if count:
                place = (corner[0] + cell / 2 - 1, corner[1] + cell / 2 - 1)
                pen.text(place, str(count), fill="black", font=small, anchor="mm")
    pen.text((MARGIN, below), under, fill="black", font=font)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(number, across)
        centre, y = MARGIN + (column + 0.5) * wide, below + LINE + row * tall
        page.paste(picture, (round(centre - picture.width / 2), y))
        place = (centre, y + picture.height + 2)
        pen.text(place, caption, fill="black", font=caption_font, anchor="ma")
    return png(page)


def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # as any of a size that is asked for
    return font


def turned(text: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """A text that is read from below."""
    left, top, right, bottom = font.getbbox(text)
    label = Image.new("RGB", (round(right - left), round(bottom - top)), "white")
    ImageDraw.Draw(label).text((-left, -top), text, fill="black", font=font)
    return label.rotate(90, expand=True)


def enlarged(image: np.ndarray, side: int = 280) -> bytes:
    """A PNG of one image [H, W] or [H, W, 3] in [0, 1], of about `side` pixels a side."""
    return png(on_paper(image, whole_scale(image.shape, side)))


def survey_sheet(ends: list[dict[str, np.ndarray]], word: str) -> bytes:
    """A PNG: of each class the worst images by the second opinion, and beside them typical ones.

    Args:
        ends: of each class "images", uint8 [B, H, W] or [B, H, W, 3], and the probabilities of the
            class by the second opinion, "second" [B].
        word: what a class is called.
    """
    rows, captions = [], []
    for each in ends:
        order = each["second"].argsort()
        worst = order[:FOUND]
        typical = order[len(order) // 2 :][: len(worst)]
        gap = np.zeros((1, *each["images"].shape[1:]))
        shown = [each["images"][worst] / 255, gap, each["images"][typical] / 255]
        rows.append(np.concatenate(shown))
        least, most = each["second"][worst[[0, -1]]]
        captions.append(f"{least:.2f} to {most:.2f}")
    title = (
        f"asked for each {word}: the {len(worst)} that a second opinion believes least, worst "
        "first (its probabilities are at the right), and typical ones"
    )
    return sheet([Section(title, np.stack(rows), captions)])


def side_by_side(images: dict[str, np.ndarray], share: float) -> np.ndarray:
    """A frame of a moving picture: images with their names, and how far it has come.

    Args:
        images: [H, W] or [H, W, 3] in [0, 1], by name.
        share: of the time that has passed, drawn as a bar.

    Returns:
        uint8 [height, width, 3].
    """
    font = font_of(16)
    pictures = [on_paper(image, whole_scale(image.shape, 196)) for image in images.values()]
    tall = max(picture.height for picture in pictures)
    widths = [
        max(picture.width, round(font.getlength(name)))
        for name, picture in zip(images, pictures, strict=True)
    ]
    page = Image.new("RGB", (MARGIN + sum(wide + MARGIN for wide in widths), tall + 48), "white")
    pen = ImageDraw.Draw(page)
    left = MARGIN
    for name, picture, wide in zip(images, pictures, widths, strict=True):
        pen.text((left + wide / 2, 4), name, fill="black", font=font, anchor="ma")
        page.paste(picture, (left + (wide - picture.width) // 2, LINE + 4))
        left += wide + MARGIN
    pen.rectangle((MARGIN, tall + 36, page.width - MARGIN, tall + 40), fill=(225, 225, 225))
    end = MARGIN + share * (page.width - 2 * MARGIN)
    pen.rectangle((MARGIN, tall + 36, end, tall + 40), fill=(90, 90, 90))
    return np.asarray(page)


def errors_colour(share: float) -> tuple[int, int, int]:
    """White for none, orange for the most."""
    red, green, blue = (round(255 + share * (full - 255)) for full in (240, 140, 40))
    return red, green, blue


def png(page: Image.Image) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    page.save(buffer, "PNG", compress_type=zlib.Z_RLE)  # of digits as small, in half the time
    return buffer.getvalue()


def converted(content: bytes, suffix: str, about: dict[str, str]) -> bytes:
    """A PNG as a picture of another kind, with texts inside it that say what it shows.

    Args:
        content: of the PNG.
        suffix: ".png", ".jpg" or ".jpeg".
        about: texts by name: chunks of a PNG, the comment of a JPEG.
    """
    page, buffer = Image.open(io.BytesIO(content)), io.BytesIO()
    if suffix == ".png":
        chunks = PngInfo()
        for name, text in about.items():
            chunks.add_text(name, text)
        page.save(buffer, "PNG", pnginfo=chunks)
    else:
        comment = "\n".join(f"{name}: {text}" for name, text in about.items())
        page.convert("RGB").save(buffer, "JPEG", quality=92, comment=comment.encode()[:60_000])
    return buffer.getvalue()
