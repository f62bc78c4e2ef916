"""The explorer's window: every class in a style that sliders, a map and a pad to draw on change."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PyQt5.QtCore import QEvent, Qt, QThread, QTimer
from PyQt5.QtGui import QKeySequence, QPalette
from PyQt5.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QScrollArea,
    QShortcut,
    QSlider,
)

from mnist.errors import UserError
from mnist.figures.exploration import Explorable, Exploration
from mnist.figures.explorer_panels import (
    DrawingPanel,
    MapPanel,
    Panel,
    StylePanel,
    TextPanel,
    WrittenPanel,
)
from mnist.figures.explorer_parts import Columns, dark_palette
from mnist.figures.window import Window, application, run, screen_size

SIZE = 1240, 780  # screen pixels of the window, where the screen has them
PAUSE = 80  # milliseconds without a change, after which what is not drawn in each frame is
KEYS = "r random · z undo · y redo · k keep · s save · c copy · o open · t theme · q quit"


def show_explorer(space: Explorable, title: str, path: Path) -> None:
    """Show the explorer until its window is closed; `s` offers to save to a path."""
    application().setStyle("Fusion")  # which is drawn alike everywhere, light and dark
    run(ExplorerWindow(space, title, path))


class Task(QThread):
    """Work beside the window: what it returns is given to `then`, in the window's thread."""

    def __init__(
        self, explorer: ExplorerWindow, work: Callable[[], Any], then: Callable[[Any], None]
    ):
        super().__init__(explorer)
        self.explorer, self.work, self.then = explorer, work, then
        self.error: BaseException | None = None
        self.result: Any = None
        self.finished.connect(self.deliver)
        self.start()

    def run(self) -> None:
        """Called by Qt in a thread of its own."""
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error

    def deliver(self) -> None:
        """Hand the result over, or the error: a user's is shown, another ends the window."""
        self.explorer.tasks.discard(self)
        self.deleteLater()
        if isinstance(self.error, UserError):
            self.explorer.say(str(self.error))
        elif self.error is not None:
            raise self.error
        else:
            self.then(self.result)


class ExplorerWindow(Window):
    """The explorer.

    Args:
        space: the run that is explored.
        title, path: as for `Window`; what is saved goes there unless another name is chosen.
    """

    def __init__(self, space: Explorable, title: str, path: Path):
        super().__init__(title, path)
        self.space, self.state = space, Exploration(space)
        self.tasks: set[Task] = set()
        self.soon, self.later = QTimer(self), QTimer(self)
        for timer in (self.soon, self.later):
            timer.setSingleShot(True)
        self.later.setInterval(PAUSE)
        self.soon.timeout.connect(self.draw)
        self.later.timeout.connect(self.draw_rest)
        self.written = WrittenPanel(self)
        self.style_panel = StylePanel(self)
        self.drawing = DrawingPanel(self)
        self.map_panel = MapPanel(self)
        self.text = TextPanel(self)
        # Each with its column where there are two, and where there are three.
        placed: list[tuple[Panel, int, int]] = [
            (self.written, 0, 0),
            (self.text, 0, 0),
            (self.style_panel, 1, 1),
            (self.drawing, 1, 1),
            (self.map_panel, 0, 2),
        ]
        self.panels = [panel for panel, *_ in placed]
        self.columns = Columns(placed)
        if not space.draws:
            self.drawing.hide()
        if not (space.conditional and any(len(name) == 1 for name in space.spec.class_names)):
            self.text.hide()
        self.area = QScrollArea()
        self.area.setWidget(self.columns)
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setCentralWidget(self.area)
        for widget in self.findChildren((QSlider, QComboBox)):
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            widget.installEventFilter(self)
        for box in self.findChildren(QComboBox):
            box.activated.connect(lambda: self.setFocus())  # letters are keys again
        self.keys |= {
            "r": self.random,
            "z": self.undo,
            "y": self.redo,
            "k": self.written.keep,
            "c": self.copy,
            "t": self.switch_theme,
        }
        if space.draws:
            self.keys["o"] = self.drawing.open_picture
            QShortcut(QKeySequence.Paste, self).activated.connect(self.paste)
            self.setAcceptDrops(True)
        self.say()
        screen = screen_size()
        self.resize(min(SIZE[0], screen.width()), min(SIZE[1], screen.height()))
        self.dark = self.palette().color(QPalette.Window).lightness() < 128
        self.map_panel.show_map()
        self.draw()
        self.task(space.tests, self.map_panel.show_tests)
        self.task(space.warm_up, lambda _: None)

    # --- for its panels -----------------------------------------------------------------------

    def changed(self, *_: object) -> None:
        """Draw everything anew as soon as nothing else is to be done."""
        self.soon.start()

    def say(self, text: str = KEYS) -> None:
        """Show a line at the bottom."""
        self.status.showMessage(text)

    def task(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do what takes long beside the window, and then something with what comes of it."""
        self.tasks.add(Task(self, work, then))

    def as_text(self) -> str:
        """The style as `--style` takes it."""
        return ",".join(f"{number:.3f}" for number in self.state.style.tolist())

    # --- drawing ------------------------------------------------------------------------------

    def draw(self) -> None:
        """What follows the mouse."""
        self.images = self.space.written(self.state.style, self.state.sharpness)
        for panel in self.panels:
            panel.draw()
        self.later.start()

    def draw_rest(self) -> None:
        """What is drawn when nothing has changed for a moment."""
        for panel in self.panels:
            panel.draw_rest()

    # --- what keys and buttons do -------------------------------------------------------------

    def random(self) -> None:
        """A style of the prior."""
        which = torch.randint(len(self.space.samples), ())
        self.state.go(self.space.samples[which])
        self.changed()

    def undo(self) -> None:
        """Go back."""
        self.state.undo()
        self.changed()

    def redo(self) -> None:
        """Undo that."""
        self.state.redo()
        self.changed()

    def copy(self) -> None:
        """Copy the style as text."""
        clipboard = QApplication.clipboard()
        assert clipboard is not None  # as there is an application
        clipboard.setText(self.as_text())
        self.say(f"copied, for --style={self.as_text()}")

    def paste(self) -> None:
        """Look at a picture from the clipboard."""
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        self.drawing.look_at_data(clipboard.mimeData())

    def save(self) -> None:
        """Ask where to, and write what the name's suffix says."""
        kinds = self.space.suffixes
        filters = ";;".join(f"{what} (*{suffix})" for suffix, what in kinds.items())
        name = self.ask_for_file(filters)
        if not name:
            return
        path = Path(name)
        suffix = path.suffix.lower()
        if suffix not in kinds:
            self.say(f"{path}: {suffix} is not one of {', '.join(kinds)}")
            return
        self.path = path
        styles = [self.state.style, *self.state.kept]
        work = partial(self.space.content, suffix, styles, self.state.sharpness)
        self.say(f"writing {path} …")
        self.task(work, partial(self.write, path))

    def ask_for_file(self, filters: str) -> str:
        """The name of a file to write, with the suffix of the chosen filter; "" for none."""
        dialog = QFileDialog(self, "Save", str(self.path.with_suffix("")), filters)
        dialog.setAcceptMode(QFileDialog.AcceptSave)
        dialog.setDefaultSuffix("png")
        # "walk (*.gif)": before the dialog asks whether a file is to be replaced
        dialog.filterSelected.connect(lambda name: dialog.setDefaultSuffix(name[-4:-1]))
        return dialog.selectedFiles()[0] if dialog.exec_() else ""

    def switch_theme(self) -> None:
        """Light on dark, or dark on light."""
        self.dark = not self.dark
        app = application()
        style = app.style()
        assert style is not None  # it was set
        app.setPalette(dark_palette() if self.dark else style.standardPalette())

    # --- what Qt calls ------------------------------------------------------------------------

    def keyPressEvent(self, event: Any) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.setFocus()  # out of a text field: letters are keys again
        else:
            super().keyPressEvent(event)

    def eventFilter(self, widget: Any, event: Any) -> bool:
        """A wheel scrolls the window, and changes what it is over only where that has the focus."""
        if event.type() == QEvent.Type.Wheel and not widget.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(widget, event)

    def dragEnterEvent(self, event: Any) -> None:
        if event.mimeData().hasUrls() or event.mimeData().hasImage():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        self.drawing.look_at_data(event.mimeData())

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self.columns.arrange(self.width())
        self.later.start()

    def closeEvent(self, event: Any) -> None:
        """Await what has begun: Qt would abort if the window took its thread with it."""
        self.hide()
        for task in list(self.tasks):
            task.wait()
        super().closeEvent(event)
