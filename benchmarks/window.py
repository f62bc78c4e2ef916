#!/usr/bin/env python3
"""How fast explore.py's window is: opening it, and drawing it anew while a slider is dragged.

Needs a run in --ckpt-dir, and a display; without one `xvfb-run -a` gives it one that nobody sees.
With --gif it makes a moving picture of the window instead.

example: python benchmarks/window.py --ckpt-dir mnist4.ckpt
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from machine import machine
from PyQt5.QtCore import QPointF
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QApplication, QSlider

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mnist.commands.explored import Explored  # noqa: E402
from mnist.commands.flags import ExploreFlags  # noqa: E402
from mnist.commands.tools import open_run  # noqa: E402
from mnist.figures import animation  # noqa: E402
from mnist.figures.explorer_window import ExplorerWindow  # noqa: E402
from mnist.figures.window import application  # noqa: E402

FILMED = 780, 640  # screen pixels of the moving picture
OPEN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from mnist.commands.explore import explore
from mnist.commands.flags import ExploreFlags
from mnist.figures import explorer_window
from PyQt5.QtCore import QTimer

class Timed(explorer_window.ExplorerWindow):
    def paintEvent(self, event):
        super().paintEvent(event)
        QTimer.singleShot(0, self.painted)  # after its children, too

    def painted(self):
        print("painted", time.time(), flush=True)
        self.close()

explorer_window.ExplorerWindow = Timed
explore(ExploreFlags(ckpt_dir=sys.argv[2]))
"""


def opening(directory: str) -> float:
    """Seconds until a process has painted the window."""
    began = time.time()
    command = [sys.executable, "-c", OPEN, str(ROOT), directory]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    word, *number = done.stdout.splitlines()[0].split()
    if word != "painted":  # no window, and why
        sys.exit(done.stdout.splitlines()[0])
    return float(number[0]) - began


def opened(directory: str) -> ExplorerWindow:
    """The window of a run, when it has read its test images."""
    application().setStyle("Fusion")
    flags = ExploreFlags(ckpt_dir=directory)
    window = ExplorerWindow(Explored(open_run(flags, "generate"), flags), "t", Path("t.png"))
    window.show()
    while window.tasks:
        QApplication.processEvents()
    return window


def dragging(directory: str, count: int) -> dict[str, list[float]]:
    """Milliseconds of each of so many moves of a slider, after as many that warm up; and of those
    while a first geodesic is computed beside it."""
    window = opened(directory)
    slider = next(iter(window.style_panel.sliders.values()))

    def move(place: int) -> float:
        began = time.perf_counter()
        slider.setValue(100 + place % 200)
        while window.soon.isActive():
            QApplication.processEvents()
        QApplication.processEvents()  # what was drawn is painted
        return 1000 * (time.perf_counter() - began)

    found = {"a drag": [move(i) for i in range(2 * count)][count:]}
    for style in window.space.samples[:2]:
        window.written.take(style)
        window.written.keep()
    window.written.curved.setChecked(True)
    busy = []
    while window.tasks:
        busy.append(move(len(busy)))
    found["a drag while a geodesic is computed"] = busy
    window.close()
    return found


class Film:
    """Pictures of a window as it is used.

    Args:
        window: to be filmed.
    """

    def __init__(self, window: ExplorerWindow):
        self.window, self.frames, self.seconds = window, [], []

    def take(self, seconds: float = 0.1) -> None:
        """One more, which is seen for so long."""
        window = self.window
        QApplication.processEvents()
        while window.tasks or window.soon.isActive():
            QApplication.processEvents()
        window.draw_rest()
        image = window.grab().toImage().convertToFormat(QImage.Format_RGB888)
        rows = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
        pixels = rows.reshape(image.height(), -1)[:, : 3 * image.width()]
        self.frames.append(pixels.reshape(image.height(), image.width(), 3).copy())
        self.seconds.append(seconds)

    def drag(self, slider: QSlider, path: Sequence[float]) -> None:
        """Move a slider along shares of its way."""
        for share in path:
            slider.setValue(round(share * slider.maximum()))
            self.take()

    def stroke(self, corners: Sequence[tuple[float, float]], steps: int = 4) -> None:
        """Draw a line through corners on the pad, and let its style be taken."""
        pad = self.window.drawing.pad
        for start, end in pairwise(corners):
            for i in range(steps):
                places = [
                    QPointF(*(np.add(start, np.subtract(end, start) * (i + more) / steps)))
                    for more in (0, 1)
                ]
                pad.stroke(*places)
                self.take()
        pad.drawn.emit()


def film(directory: str) -> bytes:
    """A GIF: two sliders are dragged, a 7 is drawn, and its style is blended with another's."""
    window = opened(directory)
    window.resize(*FILMED)
    there = Film(window)
    sliders = list(window.style_panel.sliders.values())
    window.written.take(torch.zeros_like(window.state.style))
    swing = 0.5 + 0.32 * np.sin(np.linspace(0, 2 * np.pi, 17))
    for slider in sliders[:2]:
        there.drag(slider, swing)
    window.drawing.label.setCurrentText("7")
    there.stroke([(40, 45), (125, 40), (70, 135)])
    there.take(1.0)
    window.written.keep()
    window.written.take(window.space.samples[1])
    window.written.keep()
    there.take(0.6)
    there.drag(window.written.share, np.linspace(1, 0, 14))
    there.take(1.0)
    window.close()
    return animation.gif(there.frames, there.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ckpt-dir", default="mnist4.ckpt")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--gif", type=Path, help="FILE.gif, of the window in use")
    arguments = parser.parse_args()
    if arguments.gif:
        arguments.gif.write_bytes(film(arguments.ckpt_dir))
        return
    print(f"By benchmarks/window.py on {machine()}.\n")
    print("| | n | median, ms | worst, ms |")
    print("|---|---|---|---|")
    opening(arguments.ckpt_dir)  # files are in memory then
    times = {"opening": [1000 * opening(arguments.ckpt_dir) for _ in range(5)]}
    times |= dragging(arguments.ckpt_dir, arguments.count)
    for name, each in times.items():
        print(f"| {name} | {len(each)} | {statistics.median(each):.1f} | {max(each):.1f} |")


if __name__ == "__main__":
    main()
