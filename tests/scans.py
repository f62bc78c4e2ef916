"""Scans and photos that nobody took: an MNIST digit as a phone or a scanner might have seen it."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter


def enlarged(digit: np.ndarray, side: int) -> np.ndarray:
    """A digit uint8 [28, 28] drawn large with smooth edges: ink in [0, 1], [side, side]."""
    picture = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    if side > 28:
        picture = picture.filter(ImageFilter.GaussianBlur(side / 80))
        ink = np.asarray(picture, np.float64) / 255
        return ((ink - 0.35) / 0.3).clip(0, 1)
    return np.asarray(picture, np.float64) / 255


def variants(digit: np.ndarray, seed: int = 0) -> dict[str, Callable[[], Image.Image]]:
    """What makes the digit into many kinds of picture, by what is special about each."""
    chance = np.random.default_rng(seed)

    def grey(ink, paper, pen, noise=0.0):
        levels = paper + (pen - paper) * ink + noise * chance.standard_normal(ink.shape)
        return Image.fromarray(levels.clip(0, 255).round().astype(np.uint8))

    def on_page(ink, height, width, top, left):
        page = np.zeros((height, width))
        page[top : top + len(ink), left : left + len(ink)] = ink
        return page

    large = enlarged(digit, 300)
    y, x = np.mgrid[0:300, 0:300] / 300
    speckled = large.copy()
    for place in chance.integers(5, 290, (12, 2)):
        speckled[place[0] : place[0] + 4, place[1] : place[1] + 4] = 1
    tinted = np.stack([250 - 200 * large, 240 - 190 * large, 200 - 60 * large], -1)
    clear = np.zeros((300, 300, 4), np.uint8)
    clear[..., 3] = 255 * large
    clear_white = clear.copy()
    clear_white[..., :3] = 255
    shade = 235 - 110 * x - 40 * y
    return {
        "as in MNIST: 28 pixels, light on dark": lambda: Image.fromarray(digit),
        "dark on white, 300 pixels": lambda: grey(large, 255, 0),
        "light on black, 300 pixels": lambda: grey(large, 0, 255),
        "faint pencil on grey, with grain": lambda: grey(large, 200, 120, 8),
        "strong grain": lambda: grey(large, 230, 40, 25),
        "12 pixels": lambda: grey(enlarged(digit, 12), 255, 0),
        "2,000 pixels": lambda: grey(enlarged(digit, 2000), 250, 20, 5),
        "small, in the corner of a page": lambda: grey(
            on_page(enlarged(digit, 90), 600, 400, 450, 40), 245, 30, 3
        ),
        "wide page": lambda: grey(on_page(large, 320, 1400, 10, 900), 255, 60),
        "blue ink on yellow paper": lambda: Image.fromarray(tinted.astype(np.uint8)),
        "transparent, black ink (RGBA)": lambda: Image.fromarray(clear),
        "transparent, white ink (RGBA)": lambda: Image.fromarray(clear_white),
        "palette": lambda: grey(large, 255, 0).convert("RGB").quantize(16),
        "one bit": lambda: grey(large, 255, 0).convert("1"),
        "16 bits": lambda: Image.fromarray((60000 - 50000 * large).astype(np.uint16)),
        "16 bits, narrow range": lambda: Image.fromarray((900 + 300 * large).astype(np.uint16)),
        "shade across the page": lambda: grey(large, shade, 0.25 * shade, 4),
        "specks of dust": lambda: grey(speckled, 255, 20),
    }
