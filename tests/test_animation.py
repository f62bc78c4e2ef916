"""Moving pictures keep their time."""

import io
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mnist.commands.guide import LAST, render
from mnist.errors import UserError
from mnist.figures import animation


def frames(count):
    """A black square that moves on white."""
    pictures = np.full((count, 40, 61, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        picture[10:20, 5 * i : 5 * i + 8] = 0
    return list(pictures)


def durations(gif):
    with Image.open(io.BytesIO(gif)) as image:
        found = []
        for i in range(image.n_frames):
            image.seek(i)
            found.append(image.info["duration"])
        return found


def test_each_frame_is_seen_for_its_time():
    gif = animation.gif(frames(4), [1.0, 0.15, 0.15, 3.0])
    assert durations(gif) == [1000, 150, 150, 3000]
    with Image.open(io.BytesIO(gif)) as image:
        for i, frame in enumerate(frames(4)):
            image.seek(i)
            assert np.array_equal(np.asarray(image.convert("RGB")), frame)
        assert image.info["loop"] == 0


def test_frames_that_are_alike_keep_their_time_together():
    """Pillow merges them into one, whose time must be theirs."""
    first, second, third = frames(3)
    gif = animation.gif([first, first, second, second, second, third], [1, 0.1, 0.1, 0.2, 0.3, 2])
    assert durations(gif) == [1100, 600, 2000]
    assert durations(animation.gif([first] * 5, [0.2] * 5)) == [1000]


def test_a_sheet_holds_the_first_and_the_last():
    many = frames(8)
    with Image.open(io.BytesIO(animation.sheet(many))) as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (160, 122, 3)
    assert np.array_equal(pixels[:40, :61], many[0])
    assert np.array_equal(pixels[-40:, 61:], many[-1])
    with Image.open(io.BytesIO(animation.sheet(many[:3]))) as sheet:
        assert sheet.size == (122, 80)


@pytest.mark.parametrize(("steps", "shown"), [(1, [0]), (3, [0, 1, 2]), (50, [0, 16, 33, 49])])
def test_no_more_steps_are_drawn_than_are_shown(steps, shown):
    drawn = []
    _, seconds = render(SimpleNamespace(draw_step=drawn.append), steps, 4)
    assert drawn == shown
    assert len(seconds) == len(shown)
    assert seconds[-1] == LAST


def test_without_ffmpeg_an_mp4_is_refused(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="ffmpeg, which is not installed"):
        animation.require_ffmpeg()


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="makes an MP4, which needs ffmpeg")
def test_an_mp4_lasts_as_long_as_its_frames(tmp_path):
    (tmp_path / "x.mp4").write_bytes(animation.mp4(frames(4), [1.0, 0.2, 0.2, 2.0]))
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]
    done = subprocess.run([*command, tmp_path / "x.mp4"], capture_output=True, text=True)
    assert float(done.stdout) == pytest.approx(3.4, abs=0.05)
