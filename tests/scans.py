"""Scans and photos that nobody took: an MNIST digit as a phone or a scanner might have seen it."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


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


def surrounded(digit: np.ndarray) -> dict[str, Image.Image]:
    """The digit, 300 of 400 pixels high, on pages whose rim is not the paper about the digit."""
    ink = np.zeros((400, 400))
    ink[50:350, 50:350] = enlarged(digit, 300)
    y, x = np.mgrid[0:400, 0:400] / 200 - 1
    corner = (x**2 + y**2) / 2  # 1 in the corners
    noise = 3 * np.random.default_rng(0).standard_normal(ink.shape)

    def grey(light, dark=0.2):
        return Image.fromarray((light * (1 - (1 - dark) * ink) + noise).clip(0, 255).astype("u1"))

    def frame(width, tone=15):
        light = np.full((400, 400), float(tone))
        light[width:-width, width:-width] = 240
        return grey(light)

    box = grey(240)
    ImageDraw.Draw(box).rectangle((20, 20, 380, 380), outline=40, width=6)
    bar = grey(np.where(x < -0.85, 15, 240))
    return {
        "light that falls off": grey(240 * (1 - 0.7 * corner**1.5)),
        "dark corners": grey(240 * (1 - 1.8 * (corner - 0.5).clip(0))),
        "hair-thin frame": frame(3),
        "frame": frame(12),
        "broad frame": frame(45),
        "dark bar at one side": bar,
        "drawn box": box,
        "page on a dark table, turned by 3°": grey(240).rotate(3, fillcolor=15),
        "page on a dark table, turned by 8°": grey(240).rotate(8, fillcolor=15),
        "light on dark in a light frame": Image.eval(frame(12), lambda level: 255 - level),
    }


def hairline(width: int, side: int = 400, pen: int = 40) -> Image.Image:
    """A 7 of a line so many pixels wide."""
    page = Image.new("L", (side, side), 245)
    corners = [(0.2 * side, 0.15 * side), (0.75 * side, 0.15 * side), (0.4 * side, 0.9 * side)]
    ImageDraw.Draw(page).line(corners, fill=pen, width=width)
    return page
