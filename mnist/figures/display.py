"""Whether a window can be opened here at all."""

from __future__ import annotations

import os
import subprocess
import sys

# What opening a window needs, tried in another process: where Qt finds no display, or not the
# libraries for it, it does not raise but aborts, and would take this process with it.
TRY = """
import sys
try:
    from PyQt5.QtWidgets import QApplication
except ImportError as error:
    print(f"PyQt5 does not import ({error}): install vis-requirements.txt for a window")
    sys.exit(1)
QApplication(["probe"])
"""
NO_SCREEN = ("offscreen", "minimal")  # platforms on which Qt works and nobody sees anything


def no_display() -> str | None:
    """Why nothing can be shown here at all, or None if there is a display."""
    displays = os.environ.get("DISPLAY"), os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(displays):
        return "there is no display ($DISPLAY is not set)"
    return None


class Probe:
    """Finds out, while other work goes on, whether a window can be opened.

    It has a process for that, of which nothing is left once `with Probe() as probe` is over, be it
    by an error.
    """

    def __init__(self) -> None:
        self.reason = no_display()
        self.process: subprocess.Popen[str] | None = None
        if self.reason:
            return
        if os.environ.get("QT_QPA_PLATFORM") in NO_SCREEN:
            self.reason = f"QT_QPA_PLATFORM is {os.environ['QT_QPA_PLATFORM']}"
        else:
            self.process = subprocess.Popen(
                [sys.executable, "-c", TRY],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            with self.process:  # waits for it, and closes the pipe
                self.process.kill()  # nothing happens where it has ended

    def obstacle(self) -> str | None:
        """Why no window can be opened, or None if one can."""
        if self.process:
            try:
                said, _ = self.process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()
                return "the display does not answer"
            if self.process.returncode:
                self.reason = said.strip() or "Qt cannot open the display"
        return self.reason
