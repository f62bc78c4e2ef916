#!/usr/bin/env python3
"""What a classifier trained with --outliers takes for a digit, and what it refuses.

Real test digits, the kinds of non-digits that it learnt from (made of test images), and images of
kinds that it never saw: IDX files such as KMNIST's or Fashion-MNIST's, and typeset letters.

example: MNIST_DATA_DIR=... python benchmarks/outliers.py --ckpt-dir mnist-second-opinion.ckpt \
             --images kmnist/t10k-images-idx3-ubyte.gz fashion/train-images-idx3-ubyte.gz
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
from machine import machine
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist  # noqa: E402
from mnist.data import Split, load_same_dataset  # noqa: E402
from mnist.data.augment import KINDS  # noqa: E402
from mnist.data.idx import parse_idx, read_bytes  # noqa: E402
from mnist.data.scan import in_a_box, in_the_middle  # noqa: E402

MADE = 2000  # images of each kind that it learnt from
# Without those that somebody's digit looks like: B D G I J L O Q S T Y Z, a b g l o q s z.
LETTERS = "ACEFHKMNPRUVWXcdefhijkmnprtuvwxy&#@%$"
FONTS = "DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono-Oblique.ttf", "cmr10.ttf", "cmmi10.ttf"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ckpt-dir", default="mnist-second-opinion.ckpt")
    parser.add_argument("--images", nargs="*", type=Path, default=[], help="IDX files")
    given = parser.parse_args()
    reader = mnist.load(given.ckpt_dir)
    test = load_same_dataset(reader.config["training"]).test
    batch = test.batch(slice(None))
    answers = reader.read(batch.images)
    print(f"{machine()}\n\n| images | n | |\n|---|---|---|")
    right, none = (answers == batch.labels).double().mean(), refused(answers)
    print(f"| real test digits | {len(test):,} | {right:.2%} read right, {none:.2%} refused |")
    generator = torch.Generator().manual_seed(0)
    for name, kind in KINDS.items():
        said = refused(reader.read(kind(batch, MADE, generator).clamp(0, 1)))
        print(f"| {name} (a kind it learnt from) | {MADE:,} | {said:.2%} refused |")
    unseen = {str(path): images(path) for path in given.images} | {"typeset letters": letters()}
    for name, each in unseen.items():
        print(f"| {name} (unseen) | {len(each):,} | {refused(reader.read(each)):.2%} refused |")


def refused(answers: Tensor, none: int = 10) -> float:
    """Share of answers [B] that name no digit."""
    return (answers == none).double().mean().item()


def images(path: Path) -> Tensor:
    """The images of an IDX file, [B, 1, 28, 28] in [0, 1]."""
    pixels = torch.from_numpy(parse_idx(read_bytes(path), 3, path).copy())
    return Split(pixels, torch.zeros(len(pixels), dtype=torch.int64)).batch(slice(None)).images


def letters() -> Tensor:
    """Letters of some fonts that come with matplotlib, brought into MNIST's form as scans are."""
    drawn = []
    for name in FONTS:
        font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), 40)
        for letter in LETTERS:
            page = Image.new("L", (100, 100))
            ImageDraw.Draw(page).text((50, 50), letter, fill=255, font=font, anchor="mm")
            ink = np.asarray(page.crop(page.getbbox())) / 255
            drawn.append(in_the_middle(in_a_box(ink)))
    return torch.from_numpy(np.stack(drawn)).float().unsqueeze(1)


if __name__ == "__main__":
    main()
