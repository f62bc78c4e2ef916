#!/usr/bin/env python3
"""How fast explore.py's window is: opening it, and drawing it anew while a slider is dragged.

Needs a run in --ckpt-dir, and a display; without one `xvfb-run -a` gives it one that nobody sees.

example: python benchmarks/window.py --ckpt-dir mnist4.ckpt
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
OPEN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from mnist.commands.explore import explore
from mnist.commands.flags import ExploreFlags
from mnist.figures import explorer_window

class Timed(explorer_window.ExplorerWindow):
    def paintEvent(self, event):
        super().paintEvent(event)
        print("painted", time.time(), flush=True)
        self.soon.timeout.connect(self.close)
        self.soon.start()

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


def dragging(directory: str, count: int) -> dict[str, list[float]]:
    """Milliseconds of each of so many moves of a slider, after as many that warm up: alone, and
    while a geodesic is computed beside it."""
    from PyQt5.QtWidgets import QApplication

    from mnist.commands.explored import Explored
    from mnist.commands.flags import ExploreFlags
    from mnist.commands.tools import open_run
    from mnist.figures.explorer_window import ExplorerWindow
    from mnist.figures.window import application

    app = application()
    app.setStyle("Fusion")
    flags = ExploreFlags(ckpt_dir=directory)
    window = ExplorerWindow(Explored(open_run(flags, "generate"), flags), "t", Path("t.png"))
    window.show()
    slider = next(iter(window.style_panel.sliders.values()))

    def moves() -> list[float]:
        times = []
        for i in range(2 * count):
            began = time.perf_counter()
            slider.setValue(100 + i % 200)
            while window.soon.isActive():
                QApplication.processEvents()
            QApplication.processEvents()  # what was drawn is painted
            times.append(1000 * (time.perf_counter() - began))
        return times[count:]

    while window.tasks:
        app.processEvents()
    found = {"a drag": moves()}
    for style in window.space.samples[:2]:
        window.written.take(style)
        window.written.keep()
    window.written.curved.setChecked(True)
    busy = []
    while window.tasks:
        busy += moves()[:10]
    found["a drag while a geodesic is computed"] = busy
    window.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ckpt-dir", default="mnist4.ckpt")
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
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
