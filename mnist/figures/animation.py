"""Moving pictures: frames into a GIF with Pillow, or into an MP4 with ffmpeg."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mnist.errors import UserError

GREYS = 52  # of the 256 colours of a GIF, a step of 5 apart
RATE = 20  # frames a second of an MP4


def gif(frames: Sequence[np.ndarray], seconds: Sequence[float]) -> bytes:
    """A GIF that plays once and again.

    Args:
        frames: uint8 [height, width, 3] each.
        seconds: how long each is seen, in hundredths as GIF counts.
    """
    # One palette for all, as one per frame would flicker. Greys for the digit; and the colours of
    # the first, middle and last frame by coverage, so that small points count as much as paper.
    chosen = np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]])
    seen = Image.fromarray(chosen).quantize(256 - GREYS, method=Image.Quantize.MAXCOVERAGE)
    greys = np.linspace(0, 255, GREYS).round().repeat(3).astype(int).tolist()
    colours = seen.getpalette()
    assert colours is not None  # what was quantised has one
    palette = np.array(greys + colours[: 3 * (256 - GREYS)]).reshape(-1, 3)
    images: list[Image.Image] = []
    durations: list[int] = []
    for frame, duration in zip(frames, seconds, strict=True):
        image = indexed(frame, palette)
        if images and image.tobytes() == images[-1].tobytes():
            durations[-1] += round(100 * duration) * 10  # Pillow merges them too, less carefully
        else:
            images.append(image)
            durations.append(round(100 * duration) * 10)
    buffer = io.BytesIO()
    images[0].save(
        *(buffer, "GIF"), save_all=True, append_images=images[1:], duration=durations, loop=0
    )
    return buffer.getvalue()


def indexed(frame: np.ndarray, palette: np.ndarray) -> Image.Image:
    """A frame [height, width, 3] in the nearest colours of a palette [256, 3].

    Pillow has the same, faster, but takes neighbours of the nearest one: white would be grey.
    """
    packed = (frame.astype(np.int32) << np.array([16, 8, 0])).sum(2)
    packed, where = np.unique(packed, return_inverse=True)
    colours = packed[:, None] >> np.array([16, 8, 0]) & 255
    distances = ((colours[:, None] - palette) ** 2).sum(2)
    numbers = distances.argmin(1).astype(np.uint8)[where.reshape(frame.shape[:2])]
    image = Image.fromarray(numbers)
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


def require_ffmpeg() -> None:
    """Raise a UserError unless there is an ffmpeg to make an MP4 with."""
    if not shutil.which("ffmpeg"):
        raise UserError("an .mp4 is made by ffmpeg, which is not installed: name a .gif instead")


def mp4(frames: Sequence[np.ndarray], seconds: Sequence[float]) -> bytes:
    """An MP4 (H.264); frames and seconds as for `gif`.

    Raises:
        UserError: ffmpeg fails, and what it said.
    """
    height, width = (length - length % 2 for length in frames[0].shape[:2])  # as H.264 wants
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "x.mp4"
        raw = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {RATE} -i".split()
        coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-movflags", "+faststart"]
        source = Path(folder) / "x.rgb"
        with open(source, "wb") as file:
            for frame, duration in zip(frames, seconds, strict=True):
                pixels = frame[:height, :width].tobytes()
                for _ in range(round(duration * RATE)):
                    file.write(pixels)
        command = ["ffmpeg", "-y", "-loglevel", "error", *raw, str(source), *coded, str(target)]
        done = subprocess.run(command, capture_output=True)
        if done.returncode:
            raise UserError(f"ffmpeg failed: {done.stderr.decode(errors='replace').strip()}")
        return target.read_bytes()


def sheet(frames: Sequence[np.ndarray]) -> bytes:
    """A PNG of frames two by two."""
    blank = np.full_like(frames[0], 255)
    cells = [*frames] + [blank] * (len(frames) % 2)
    rows = [np.concatenate(cells[i : i + 2], 1) for i in range(0, len(cells), 2)]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(buffer, "PNG")
    return buffer.getvalue()
