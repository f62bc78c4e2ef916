"""Windows, with PyQt5. What they show is drawn elsewhere."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PyQt5.QtCore import QSize, Qt, QTimer
from PyQt5.QtGui import QImage, QPixmap
from PyQt5.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from mnist.figures import plotting  # after PyQt5, so that matplotlib takes that
from mnist.figures.images import on_paper, whole_scale
from mnist.files import write_file

NEAR = 9  # screen pixels from a point at which the mouse is over it
SIDE = 168  # screen pixels of the images beside a figure
HELP = "hover: see the image · drag: mark points · click a name in the legend: isolate it"
KEYS = "s save · d isolate the next · q quit"
# A point -> its image and its reconstruction, [H, W] or [H, W, 3] in [0, 1], and a text.
Look = Callable[[int], tuple[np.ndarray, np.ndarray, str]]


class Window(QMainWindow):
    """A window with a status line, which saves with s and closes with q.

    Args:
        title: of the window.
        path: where `s` saves to.
    """

    def __init__(self, title: str, path: Path):
        super().__init__()
        self.setWindowTitle(title)
        self.path = path
        status = self.statusBar()
        assert status is not None  # asking for it makes it
        self.status = status
        self.keys: dict[str, Callable[[], Any]] = {"s": self.save, "q": self.close}

    def keyPressEvent(self, event: Any) -> None:
        """A key was pressed, wherever the mouse is."""
        if action := self.keys.get(event.text().lower()):
            action()

    def content(self) -> bytes:
        """What `s` saves."""
        raise NotImplementedError

    def save(self) -> None:
        """Write what is shown."""
        self.write(self.path, self.content())

    def write(self, path: Path, content: bytes) -> None:
        """Write a file, and say where, or why not."""
        try:
            write_file(path, content)
            self.status.showMessage(f"saved to {path}")
        except OSError as error:
            self.status.showMessage(f"cannot write {path} ({error.strerror})")


class PictureWindow(Window):
    """A picture."""

    def __init__(self, png: bytes, title: str, path: Path):
        super().__init__(title, path)
        self.png = png
        pixmap = QPixmap()
        pixmap.loadFromData(png)
        label = QLabel()
        label.setPixmap(pixmap)
        area = QScrollArea()
        area.setWidget(label)
        area.setFrameShape(QFrame.NoFrame)
        area.setAlignment(Qt.AlignmentFlag.AlignCenter)
        area.setStyleSheet("background: white")  # where the window is the larger
        self.setCentralWidget(area)
        self.status.showMessage("s save · q quit")
        screen = screen_size()
        height = pixmap.height() + self.status.sizeHint().height()
        scrolled = area.verticalScrollBar()
        assert scrolled is not None  # hidden, at most
        bar = scrolled.sizeHint().width() if height > screen.height() else 0
        self.resize(min(pixmap.width() + bar, screen.width()), min(height, screen.height()))

    def content(self) -> bytes:
        return self.png


class AnimationWindow(Window):
    """A moving picture, which begins again at its end; a space stops it and lets it go on.

    Args:
        frames: uint8 [height, width, 3] each.
        seconds: how long each is seen.
        title, path: as for `Window`.
        saved: what `s` saves.
    """

    def __init__(
        self,
        frames: Sequence[np.ndarray],
        seconds: Sequence[float],
        title: str,
        path: Path,
        saved: bytes,
    ):
        super().__init__(title, path)
        self.frames, self.seconds, self.saved = frames, seconds, saved
        self.number = -1
        self.label = QLabel()
        self.setCentralWidget(self.label)
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.timeout.connect(self.next_frame)
        self.keys[" "] = self.toggle
        self.status.showMessage(f"{path} · space stops and goes on · s save · q quit")
        self.next_frame()

    def next_frame(self) -> None:
        """Show the next one, for as long as it is to be seen."""
        self.number = (self.number + 1) % len(self.frames)
        self.label.setPixmap(as_pixmap(self.frames[self.number]))
        self.timer.start(round(1000 * self.seconds[self.number]))

    def toggle(self) -> None:
        """Stop, or go on."""
        if self.timer.isActive():
            self.timer.stop()
        else:
            self.next_frame()

    def content(self) -> bytes:
        return self.saved


class FigureWindow(Window):
    """A figure.

    Args:
        figure: of any kind.
        title, path: as for `Window`.
    """

    figure: plotting.Figure

    def __init__(self, figure: plotting.Figure, title: str, path: Path):
        super().__init__(title, path)
        self.figure = figure
        self.canvas = plotting.qt_canvas(figure)
        self.canvas.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys are the window's
        self.row = QHBoxLayout()
        self.row.addWidget(self.canvas, 1)
        widget = QWidget()
        widget.setLayout(self.row)
        self.setCentralWidget(widget)
        self.status.showMessage("s save · q quit")
        self.fit_screen(0)

    def fit_screen(self, side: int) -> None:
        """As large as the figure is meant to be, or as the screen allows, in its proportions."""
        screen = screen_size()
        wide, tall = self.figure.get_size_inches() * 100
        scale = min(1.0, (screen.width() - side - 40) / wide, (screen.height() - 90) / tall)
        self.resize(round(wide * scale) + side + 24, round(tall * scale) + 50)

    def content(self) -> bytes:
        width, height = self.figure.get_size_inches()  # the window's, which printing would change
        try:
            return plotting.picture(self.figure, self.path.suffix[1:])
        finally:
            self.figure.set_size_inches(width, height, forward=False)
            self.canvas.draw_idle()


class StyleWindow(FigureWindow):
    """A figure of points, and beside it what the mouse points at.

    Args:
        figure: with the points.
        look: for what the mouse points at.
        title, path: as for `Window`.
    """

    figure: plotting.StyleFigure

    def __init__(self, figure: plotting.StyleFigure, look: Look, title: str, path: Path):
        super().__init__(figure, title, path)
        self.look = look
        self.isolated: int | None = None  # a class
        self.pressed: Any = None  # the event with which a drag began
        self.shown: int | None = None  # the point looked at
        self.meant = np.ones(len(figure.labels), bool)
        self.row.addLayout(self.side())
        self.keys["d"] = self.next_class
        self.canvas.mpl_connect("motion_notify_event", self.hover)
        self.canvas.mpl_connect("button_press_event", self.press)
        self.canvas.mpl_connect("button_release_event", self.release)
        self.status.showMessage(f"{HELP} · {KEYS}")
        self.fit_screen(180)

    def side(self) -> QVBoxLayout:
        """Two images with titles, and a text."""
        column = QVBoxLayout()
        self.pictures = [QLabel(), QLabel()]
        self.text = QLabel("point at a dot")
        self.text.setWordWrap(True)
        for title, picture in zip(("test image", "reconstruction"), self.pictures, strict=True):
            picture.setFixedSize(SIDE, SIDE)
            picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
            picture.setStyleSheet("background: white; border: 1px solid lightgrey")
            column.addWidget(QLabel(title))
            column.addWidget(picture)
        self.text.setFixedWidth(SIDE)
        column.addWidget(self.text)
        column.addStretch()
        return column

    # --- the mouse --------------------------------------------------------------------------------

    def point_at(self, event: Any) -> int | None:
        """The meant point that the mouse is over, if any."""
        panel = next((p for p in self.figure.panels if p.axes is event.inaxes), None)
        if panel is None:
            return None
        places = panel.axes.transData.transform(panel.points)
        distance = np.hypot(*(places - (event.x, event.y)).T)
        distance[~self.meant] = np.inf
        nearest = int(distance.argmin())
        return nearest if distance[nearest] <= NEAR * self.canvas.device_pixel_ratio else None

    def hover(self, event: Any) -> None:
        """The mouse moved: look at the point under it, or draw the rectangle that it drags."""
        if self.pressed:
            self.canvas.drawRectangle(self.dragged(event))
            return
        point = self.point_at(event)
        if point is not None and point != self.shown:
            self.shown = point
            *images, text = self.look(point)
            for label, image in zip(self.pictures, images, strict=True):
                enlarged = on_paper(image, whole_scale(image.shape, SIDE))
                label.setPixmap(as_pixmap(np.asarray(enlarged.convert("RGB"))))
            self.text.setText(text)

    def press(self, event: Any) -> None:
        """A button went down: on the legend it isolates a class, in a panel a drag may begin."""
        for label, entry in self.figure.legend_entries.items():
            if any(artist.contains(event)[0] for artist in entry):
                self.isolate(None if label == self.isolated else label)
                return
        if any(panel.axes is event.inaxes for panel in self.figure.panels):
            self.pressed = event

    def release(self, event: Any) -> None:
        """A button went up: mark what was dragged over; a click beside all marks ends marking."""
        if not self.pressed:
            return
        start, self.pressed = self.pressed, None
        self.canvas.drawRectangle(None)
        if max(abs(event.x - start.x), abs(event.y - start.y)) < 4:
            self.isolate(None)
            return
        panel = next(p for p in self.figure.panels if p.axes is start.inaxes)
        places = panel.axes.transData.transform(panel.points)
        low = np.minimum((start.x, start.y), (event.x, event.y))
        high = np.maximum((start.x, start.y), (event.x, event.y))
        self.isolated = None
        self.mark(np.all((places >= low) & (places <= high), axis=1))
        self.status.showMessage(f"{self.meant.sum()} points marked · click to end · {KEYS}")

    def dragged(self, event: Any) -> tuple[float, float, float, float]:
        """The rectangle between where a drag began and where the mouse is: x, y, width, height."""
        height = self.canvas.get_width_height(physical=True)[1]  # matplotlib counts from below
        return (
            *(min(self.pressed.x, event.x), height - max(self.pressed.y, event.y)),
            *(abs(event.x - self.pressed.x), abs(event.y - self.pressed.y)),
        )

    def next_class(self) -> None:
        """Isolate the class after the one that is, of those with points; after the last, none."""
        before = -1 if self.isolated is None else self.isolated
        following = self.figure.labels[self.figure.labels > before]
        self.isolate(int(following.min()) if len(following) else None)

    def isolate(self, label: int | None) -> None:
        """Mark one class's points, or all."""
        self.isolated = label
        if label is None:
            self.mark(np.ones(len(self.figure.labels), bool))
            message = HELP
        else:
            self.mark(self.figure.labels == label)
            spec = self.figure.spec
            message = f"{spec.class_word} {spec.class_names[label]} · click in a panel to end"
        self.status.showMessage(f"{message} · {KEYS}")

    def mark(self, meant: np.ndarray) -> None:
        """Draw these points in colour and the others faintly, in all panels."""
        self.meant = meant
        self.figure.emphasise(meant)
        self.canvas.draw_idle()


def as_pixmap(pixels: np.ndarray) -> QPixmap:
    """A picture, uint8 [height, width, 3], as Qt draws it."""
    tall, wide, _ = pixels.shape
    data = pixels.tobytes()
    return QPixmap.fromImage(QImage(data, wide, tall, 3 * wide, QImage.Format_RGB888))


@functools.cache  # kept for good: a window outliving it would abort the process
def application() -> QApplication:
    """Qt's one object for the process."""
    # OpenGL, which nothing here draws by, may bring an LLVM along, and where that is loaded first
    # triton's crashes, which torch loads only when it needs it: for a geodesic.
    os.environ.setdefault("QT_XCB_GL_INTEGRATION", "none")
    there = QApplication.instance()
    return there if isinstance(there, QApplication) else QApplication(sys.argv[:1])


def screen_size() -> QSize:
    """What there is of the screen for windows."""
    screen = QApplication.primaryScreen()
    assert screen is not None  # without one Qt would have aborted
    return screen.availableSize()


def show_picture(png: bytes, title: str, path: Path) -> None:
    """Show a picture until its window is closed; `s` saves it to a path."""
    application()
    run(PictureWindow(png, title, path))


def show_animation(
    frames: Sequence[np.ndarray], seconds: Sequence[float], title: str, path: Path, saved: bytes
) -> None:
    """Show a moving picture until its window is closed; `s` saves it to a path."""
    application()
    run(AnimationWindow(frames, seconds, title, path, saved))


def show_figure(figure: plotting.Figure, look: Look | None, title: str, path: Path) -> None:
    """Show a figure until its window is closed; `s` saves it to a path."""
    application()
    if look is not None and isinstance(figure, plotting.StyleFigure):
        run(StyleWindow(figure, look, title, path))
    else:
        run(FigureWindow(figure, title, path))


def run(window: Window) -> None:
    """Show a window, and wait until it is closed.

    Raises:
        KeyboardInterrupt: Ctrl-C in the terminal.
        Exception: what an action of the window raised. Left to itself PyQt5 would abort.
    """
    app = application()
    failures: list[BaseException] = []

    def fail(_kind: type, error: BaseException, _trace: Any) -> None:
        failures.append(error)
        app.exit(1)

    before = sys.excepthook
    sys.excepthook = fail
    handler = signal.signal(
        signal.SIGINT, lambda *_: fail(KeyboardInterrupt, KeyboardInterrupt(), 0)
    )
    # Qt waits in its own code: Python gets to its signals only when called. And an exit before
    # Qt waits is forgotten.
    beat = QTimer()
    beat.timeout.connect(lambda: app.exit(1) if failures else None)
    beat.start(100)
    try:
        window.show()
        app.exec_()
    finally:
        window.close()
        beat.stop()
        signal.signal(signal.SIGINT, handler)
        sys.excepthook = before
    if failures:
        raise failures[0]
